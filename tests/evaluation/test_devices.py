"""Scores by recording device, against scores of the same clips alone."""

import json

import pytest
from evaluation.tables import HAND, table_of

from crossask import evaluation
from crossask.cli import evaluate
from crossask.errors import DataError

# The devices of the clips of HAND. a: bus 1 of 2, park 2 of 2, tram 1 of 1; s4: bus 1 of 2,
# park 0 of 1, tram 2 of 2.
DEVICES = ["a", "s4", "a", "s4", "a", "a", "s4", "a", "s4", "s4"]
LOCATIONS = [f"{truth}-{number}" for number, (truth, _) in enumerate(HAND)]


def with_devices(devices=DEVICES):
    table = table_of(HAND, locations=LOCATIONS)
    table.insert(2, "device", devices)
    return table


def test_each_device_has_the_score_that_is_worked_by_hand():
    found = evaluation.score_devices([with_devices()], resamples=50)
    assert list(found.devices) == ["a", "s4"]
    assert found.devices["a"].macro_accuracy == pytest.approx((1 / 2 + 1 + 1) / 3)
    assert found.devices["s4"].macro_accuracy == pytest.approx((1 / 2 + 0 + 1) / 3)
    assert [score.clips for score in found.devices.values()] == [5, 5]
    assert (found.seen, found.unseen, found.training_devices) == (None, None, None)


def test_the_interval_of_a_device_is_that_of_its_clips_alone():
    table = with_devices()
    found = evaluation.score_devices([table], resamples=200)
    for device, score in found.devices.items():
        alone = evaluation.score(table[table["device"] == device], resamples=200)
        assert score.macro_accuracy == pytest.approx(alone.macro_accuracy)
        assert score.interval == alone.interval


def test_devices_without_training_clips_are_unseen():
    devices = ["a", "s4", "b", "s5", "a", "b", "s4", "a", "s5", "s4"]
    found = evaluation.score_devices([with_devices(devices)], {"b", "a", "s1"}, resamples=50)
    assert found.training_devices == ("a", "b", "s1")
    # The clips of a and b are those of a in DEVICES, the others those of s4.
    assert found.seen.macro_accuracy == pytest.approx(5 / 6)
    assert found.unseen.macro_accuracy == pytest.approx(1 / 2)
    assert (found.seen.clips, found.unseen.clips) == (5, 5)
    assert set(found.devices) == {"a", "b", "s4", "s5"}
    # Device b has one bus, at one location, and so has s5.
    assert "a scene has a single location: a, b, s4, s5" in found.notes[-1]


def test_the_score_of_a_device_is_the_mean_over_seeds():
    worse = with_devices()
    # The first clip, of a, is predicted as another scene.
    worse.loc[0, ["bus", "park", "tram"]] = [0.1, 0.8, 0.1]
    found = evaluation.score_devices([with_devices(), worse], resamples=50)
    means = [(1 / 2 + 1 + 1) / 3, (0 + 1 + 1) / 3]
    assert found.devices["a"].macro_accuracy == pytest.approx(sum(means) / 2)
    assert found.devices["s4"].interval.covers_seeds


def test_tables_without_devices_have_no_scores_by_device(tmp_path):
    assert evaluation.score_devices([table_of(HAND)]) is None
    path = tmp_path / "predictions.csv"
    with_devices([""] * len(HAND)).to_csv(path, index=False)
    table = evaluation.read_predictions(path)
    assert "device" not in table
    assert evaluation.score_devices([table]) is None


def test_a_device_that_is_missing_in_some_rows_is_an_error(tmp_path):
    path = tmp_path / "predictions.csv"
    with_devices(["a", "", *DEVICES[2:]]).to_csv(path, index=False)
    with pytest.raises(DataError, match=r"Row 2 of .* has no device, other rows have"):
        evaluation.read_predictions(path)


def test_a_table_of_any_program_is_scored_by_device(tmp_path, capsys):
    path = tmp_path / "predictions.csv"
    with_devices().to_csv(path, index=False)
    assert evaluate.main(["crossask-evaluate", f"--predictions={path}"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["devices"]["devices"]["s4"]["macro_accuracy"] == pytest.approx(1 / 2)
    table_of(HAND).to_csv(path, index=False)
    assert evaluate.main(["crossask-evaluate", f"--predictions={path}"]) == 0
    assert "devices" not in json.loads(capsys.readouterr().out)
