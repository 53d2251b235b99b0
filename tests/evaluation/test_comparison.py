"""Paired differences, their p-values and the adjustment of several, against cases worked by hand."""

import json

import numpy as np
import pytest
from evaluation.tables import HAND, SCENES, random_table, table_of

from crossask import evaluation
from crossask.errors import DataError
from crossask.evaluation import resampling


def test_a_paired_difference_is_surer_than_two_intervals_suggest():
    # both sides fail at the same locations; a is right on one clip more at each
    pairs_a, pairs_b, places = [], [], []
    for scene, other in zip(SCENES, ("park", "tram", "bus"), strict=True):
        for place, right in enumerate((0, 2, 4, 6, 8, 9)):
            pairs_a += [(scene, scene if clip < right + 1 else other) for clip in range(10)]
            pairs_b += [(scene, scene if clip < right else other) for clip in range(10)]
            places += [f"{scene}{place}"] * 10
    a, b = table_of(pairs_a, locations=places), table_of(pairs_b, locations=places)
    result = evaluation.compare([a], [b])
    assert result["difference"] == pytest.approx(0.1)
    assert (result["interval"]["low"], result["interval"]["high"]) == pytest.approx((0.1, 0.1))
    assert result["verdict"] == "better"
    assert evaluation.compare([b], [a])["verdict"] == "worse"
    overlap = evaluation.score(a)["interval"]["low"] < evaluation.score(b)["interval"]["high"]
    assert overlap


def test_equal_predictions_and_single_locations_let_nothing_be_told():
    table = random_table(5)
    assert evaluation.compare([table], [table])["verdict"] == "cannot tell"
    perfect = table_of(
        [(truth, truth) for truth, _ in HAND], locations=[truth for truth, _ in HAND]
    )
    result = evaluation.compare([perfect], [table_of(HAND, locations=[truth for truth, _ in HAND])])
    assert result["difference"] > 0
    assert result["verdict"] == "cannot tell"
    assert any("One location only" in note for note in result["notes"])


def test_the_verdict_of_two_equal_systems_is_rarely_wrong():
    rng = np.random.default_rng(11)
    told = 0
    for _ in range(60):
        pairs_a, pairs_b, places = [], [], []
        for scene, other in zip(SCENES, ("park", "tram", "bus"), strict=True):
            for place in range(5):
                for side in (pairs_a, pairs_b):
                    right = rng.random(8) < rng.beta(3, 2)
                    side += [(scene, scene if hit else other) for hit in right]
                places += [f"{scene}{place}"] * 8
        result = evaluation.compare(
            [table_of(pairs_a, locations=places)],
            [table_of(pairs_b, locations=places)],
            resamples=400,
        )
        told += result["verdict"] != "cannot tell"
    assert told / 60 < 0.12


def test_a_comparison_of_different_clips_names_the_difference():
    a, b = table_of(HAND), table_of(HAND).iloc[1:]
    with pytest.raises(
        DataError, match="1 only in the first, 0 only in the second; the second lacks 'clip0000'"
    ):
        evaluation.compare([a], [b])
    c = table_of((("park", "park"), *HAND[1:]))
    with pytest.raises(
        DataError, match="'clip0000' has the truth 'bus' in the first and 'park' in the second"
    ):
        evaluation.compare([a], [c])


def test_a_rival_may_order_or_lack_columns_and_have_fewer_seeds():
    places = [f"{truth}{number % 2}" for number, (truth, _) in enumerate(HAND)]
    ours = [table_of(HAND, locations=places), table_of(HAND, locations=places)]
    rival = table_of(HAND)[["truth", "tram", "bus", "park", "clip"]]
    result = evaluation.compare(ours, [rival])
    assert result["difference"] == 0
    assert result["interval"]["over"] == "location"
    assert evaluation.compare([rival], ours)["interval"]["over"] == "location"


def test_the_p_value_counts_the_smaller_tail_twice_and_the_observed_once():
    # 97 above zero, 2 below, 1 at zero, which belongs to both tails: 2 * (1 + 3) / (1 + 100)
    draws = [0.1] * 97 + [-0.1] * 2 + [0.0]
    assert resampling.p_value(draws) == pytest.approx(8 / 101)
    assert resampling.p_value(-np.array(draws)) == pytest.approx(8 / 101)
    assert resampling.p_value([0.1] * 99) == pytest.approx(2 / 100)  # never zero
    assert resampling.p_value([0.0] * 99) == 1


def test_the_p_value_is_small_where_the_interval_excludes_zero():
    told = 0
    for seed in range(12):
        a, b = random_table(seed), random_table(seed)
        b[list(SCENES)] = random_table(seed + 100)[list(SCENES)]
        half = b["truth"].to_numpy()[:, None] == np.array(SCENES)
        b[list(SCENES)] = 0.85 * b[list(SCENES)] + 0.15 * half  # b is given a part of the truth
        result = evaluation.compare([a], [b], resamples=1999)
        assert json.loads(json.dumps(result, allow_nan=False)) == result
        if abs(result["p_value"] - 0.05) > 0.002:
            assert (result["p_value"] < 0.05) == (result["verdict"] != "cannot tell")
        told += result["verdict"] != "cannot tell"
    assert 0 < told < 12


def test_no_p_value_bears_a_difference_of_single_locations():
    places = [truth for truth, _ in HAND]
    perfect = table_of([(truth, truth) for truth, _ in HAND], locations=places)
    assert evaluation.compare([perfect], [table_of(HAND, locations=places)])["p_value"] == 1
    table = random_table(5)
    assert evaluation.compare([table], [table])["p_value"] == 1


def test_mcnemar_counts_the_clips_that_one_side_alone_has_right():
    # of 6 clips that one side alone has right, a has 5: p = 2 * (C(6, 0) + C(6, 1)) / 2^6 = 14 / 64
    truth = ["bus", "park"] * 6
    wrong = {"bus": "park", "park": "bus"}
    a = [(t, wrong[t] if number in (5, 6) else t) for number, t in enumerate(truth)]
    b = [(t, wrong[t] if number in (0, 1, 2, 3, 4, 6) else t) for number, t in enumerate(truth)]
    tables = [
        table_of(pairs, scenes=("bus", "park"), locations=list("abcdefghijkl")) for pairs in (a, b)
    ]
    result = evaluation.compare(tables[:1], tables[1:])
    assert result["mcnemar"] == {"only_a": 5, "only_b": 1, "p_value": pytest.approx(14 / 64)}
    assert any("McNemar's test takes clips for independent" in note for note in result["notes"])
    assert evaluation.compare(tables[1:], tables[:1])["mcnemar"]["p_value"] == pytest.approx(
        14 / 64
    )


def test_mcnemar_has_nothing_to_say_of_equal_sides_or_of_several_seeds():
    table = random_table(5)
    assert evaluation.compare([table], [table])["mcnemar"] == {
        "only_a": 0,
        "only_b": 0,
        "p_value": 1.0,
    }
    result = evaluation.compare([table, table], [table])
    assert result["mcnemar"] is None
    assert not any("McNemar" in note for note in result["notes"])


def test_holm_steps_down_from_the_smallest():
    # in order 0.005 * 4, 0.01 * 3, 0.03 * 2, 0.04 * 1; the last may not fall below the one before it
    given = {"first": 0.01, "second": 0.04, "third": 0.03, "fourth": 0.005}
    adjusted = evaluation.holm(given)
    assert list(adjusted) == list(given)
    assert adjusted == pytest.approx({"first": 0.03, "second": 0.06, "third": 0.06, "fourth": 0.02})
    assert evaluation.holm({"a": 0.6, "b": 0.7}) == {"a": 1, "b": 1}
    assert evaluation.holm({"alone": 0.2}) == {"alone": 0.2}
    assert evaluation.holm({}) == {}


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_holm_refuses_what_is_no_p_value(value):
    with pytest.raises(DataError, match="p-value of 'bad' is"):
        evaluation.holm({"good": 0.5, "bad": value})
