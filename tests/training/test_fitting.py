"""Which epoch is kept and when training stops, by hand-worked histories."""

from crossask.training.loop import Selection


def history(*scores):
    return [
        {"epoch": number, "val_accuracy": score, "val_loss": 1.0}
        for number, score in enumerate(scores, start=1)
    ]


def test_the_first_of_the_best_epochs_is_kept():
    assert Selection("accuracy").kept(history(0.1, 0.5, 0.3, 0.5))["epoch"] == 2


def test_the_lower_loss_decides_between_equals():
    rows = history(0.5, 0.5)
    rows[1]["val_loss"] = 0.9
    assert Selection("accuracy").kept(rows)["epoch"] == 2


def test_an_epoch_before_the_first_eligible_one_is_kept_only_until_that_comes():
    selection = Selection("accuracy", keep_from=3)
    assert selection.kept(history(0.9, 0.8))["epoch"] == 1
    assert selection.kept(history(0.9, 0.8, 0.1, 0.2))["epoch"] == 4


def test_the_last_epoch_is_kept_where_that_is_the_rule():
    assert Selection("accuracy", keep="last").kept(history(0.9, 0.1))["epoch"] == 2


def test_training_stops_after_patience_epochs_without_a_better_one():
    selection = Selection("accuracy", patience=2, patience_from=3)
    assert [
        selection.stops(history(*[0.9, 0.9, 0.5, 0.6, 0.6, 0.5][:count])) for count in range(1, 7)
    ] == [False] * 5 + [True]
    assert not selection.stops(history(0.9, 0.9, 0.5, 0.4, 0.6))
    assert not Selection("accuracy").stops(history(*[0.5] * 50))
