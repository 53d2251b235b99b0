"""Paired differences, adjusted p-values, published numbers and swapped inputs, worked by hand."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from evaluation.tables import HAND, SCENES, random_table, table_of

from crossask import evaluation
from crossask.errors import DataError

OTHER = {"bus": "park", "park": "tram", "tram": "bus"}


def one_location_a_scene(pairs):
    return table_of(pairs, locations=[truth for truth, _ in pairs])


def test_a_paired_difference_is_more_certain_than_two_intervals_suggest():
    # Both fail at the same locations; a has one more correct clip at each.
    pairs_a = []
    pairs_b = []
    locations = []
    for scene in SCENES:
        for number, correct in enumerate((0, 2, 4, 6, 8, 9)):
            wrong = (scene, OTHER[scene])
            pairs_a += [(scene, scene)] * (correct + 1) + [wrong] * (9 - correct)
            pairs_b += [(scene, scene)] * correct + [wrong] * (10 - correct)
            locations += [f"{scene}{number}"] * 10
    a = table_of(pairs_a, locations=locations)
    b = table_of(pairs_b, locations=locations)
    result = evaluation.compare([a, a], [b, b])
    assert result.difference == pytest.approx(0.1)
    assert (result.interval.low, result.interval.high) == pytest.approx((0.1, 0.1))
    assert result.verdict == "better"
    assert evaluation.compare([b, b], [a, a]).verdict == "worse"
    assert evaluation.score(a).interval.low < evaluation.score(b).interval.high
    # One seed: the same figures, but no verdict.
    one = evaluation.compare([a], [b, b])
    assert (one.interval.low, one.interval.high) == pytest.approx((0.1, 0.1))
    assert (one.verdict, one.p_value) == ("one seed", None)
    assert not one.interval.covers_seeds
    assert result.interval.covers_seeds


def test_equal_predictions_and_single_locations_have_no_verdict():
    table = random_table(5)
    assert evaluation.compare([table] * 2, [table] * 2).verdict == "cannot tell"
    perfect = one_location_a_scene([(truth, truth) for truth, _ in HAND])
    result = evaluation.compare([perfect] * 2, [one_location_a_scene(HAND)] * 2)
    assert result.difference > 0
    assert result.verdict == "cannot tell"
    assert any("Scenes with a single location" in note for note in result.notes)


def test_a_comparison_of_different_clips_is_refused_with_the_difference():
    a = table_of(HAND)
    with pytest.raises(
        DataError, match="1 only in the first, 0 only in the second; the second lacks 'clip0000'"
    ):
        evaluation.compare([a], [a.iloc[1:]])
    b = table_of((("park", "park"), *HAND[1:]))
    with pytest.raises(
        DataError, match="'clip0000' has the truth 'bus' in the first and 'park' in the second"
    ):
        evaluation.compare([a], [b])


def test_one_side_may_order_or_lack_columns_and_have_fewer_seeds():
    locations = [f"{truth}{number % 2}" for number, (truth, _) in enumerate(HAND)]
    two_seeds = [table_of(HAND, locations=locations)] * 2
    other = table_of(HAND)[["truth", "tram", "bus", "park", "clip"]]
    result = evaluation.compare(two_seeds, [other])
    assert result.difference == 0
    assert result.interval.over == "location"
    assert evaluation.compare([other], two_seeds).interval.over == "location"


def test_the_p_value_is_small_where_the_interval_excludes_zero():
    verdicts = 0
    for seed in range(12):
        a = random_table(seed)
        b = random_table(seed)
        # b has other probabilities, and a part of the truth in them.
        truth = b["truth"].to_numpy()[:, None] == np.array(SCENES)
        b[list(SCENES)] = 0.85 * random_table(seed + 100)[list(SCENES)] + 0.15 * truth
        other = a.assign(**random_table(seed + 200)[list(SCENES)])
        result = evaluation.compare([a, other], [b, b])
        json.dumps(evaluation.to_json(result), allow_nan=False)
        assert (result.p_value < 0.05) == (result.verdict != "cannot tell")
        verdicts += result.verdict != "cannot tell"
    assert 0 < verdicts < 12


def test_the_p_value_is_one_for_single_locations_and_equal_predictions():
    perfect = one_location_a_scene([(truth, truth) for truth, _ in HAND])
    assert evaluation.compare([perfect] * 2, [one_location_a_scene(HAND)] * 2).p_value == 1
    table = random_table(5)
    assert evaluation.compare([table] * 2, [table] * 2).p_value == 1


def test_a_reversed_comparison_is_the_comparison_the_other_way_round():
    a = random_table(1)
    b = a.assign(**random_table(2)[list(SCENES)])
    reversed_ = evaluation.reversed_comparison(evaluation.compare([a], [b]))
    expected = evaluation.compare([b], [a])
    for name in ("difference", "p_value", "verdict", "mcnemar", "a", "b"):
        assert getattr(reversed_, name) == getattr(expected, name), name
    assert reversed_.interval.low == pytest.approx(expected.interval.low)
    assert reversed_.interval.high == pytest.approx(expected.interval.high)


def test_mcnemar_counts_the_clips_that_only_one_side_has_right():
    # Of 6 clips that only one side has right, a has 5: p = 2 * (C(6, 0) + C(6, 1)) / 2^6 = 14 / 64
    truths = ["bus", "park"] * 6
    wrong = {"bus": "park", "park": "bus"}
    tables = []
    for wrong_clips in ((5, 6), (0, 1, 2, 3, 4, 6)):
        pairs = []
        for number, truth in enumerate(truths):
            pairs.append((truth, wrong[truth] if number in wrong_clips else truth))
        tables.append(table_of(pairs, scenes=("bus", "park"), locations=list("abcdefghijkl")))
    result = evaluation.compare(tables[:1], tables[1:])
    assert (result.mcnemar.only_a, result.mcnemar.only_b) == (5, 1)
    assert result.mcnemar.p_value == pytest.approx(14 / 64)
    assert any("McNemar's test assumes" in note for note in result.notes)
    backwards = evaluation.compare(tables[1:], tables[:1])
    assert backwards.mcnemar.p_value == pytest.approx(14 / 64)


def test_mcnemar_finds_nothing_for_equal_sides_and_is_missing_for_several_seeds():
    table = random_table(5)
    test = evaluation.compare([table], [table]).mcnemar
    assert dataclasses.astuple(test) == (0, 0, 1.0)
    result = evaluation.compare([table, table], [table])
    assert result.mcnemar is None
    assert not any("McNemar" in note for note in result.notes)


def test_holm_steps_down_from_the_smallest():
    # In order 0.005 * 4, 0.01 * 3, 0.03 * 2, 0.04 * 1; the last is at least the one before it.
    given = {"first": 0.01, "second": 0.04, "third": 0.03, "fourth": 0.005}
    adjusted = evaluation.holm(given)
    assert list(adjusted) == list(given)
    assert adjusted == pytest.approx({"first": 0.03, "second": 0.06, "third": 0.06, "fourth": 0.02})
    assert evaluation.holm({"a": 0.6, "b": 0.7}) == {"a": 1, "b": 1}
    assert evaluation.holm({"alone": 0.2}) == {"alone": 0.2}
    assert evaluation.holm({}) == {}
    assert evaluation.holm({"none": 0.0, "all": 1.0}) == {"none": 0, "all": 1}


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_holm_refuses_values_that_are_no_p_values(value):
    with pytest.raises(DataError, match="p-value of 'bad' is") as error:
        evaluation.holm({"good": 0.5, "bad": value})
    assert "from 0 to 1" in error.value.fix


TEMPLATE = evaluation.summarise([table_of(HAND)], resamples=10)


def summary(seeds, deviation, low=0.6, high=0.8):
    """Returns a summary with a macro accuracy of 0.7."""
    return dataclasses.replace(
        TEMPLATE,
        macro_accuracy=0.7,
        interval=dataclasses.replace(TEMPLATE.interval, low=low, high=high, confidence=0.95),
        seeds=seeds,
        seed_deviation=deviation,
    )


# Three seeds: 4.302653 (the 0.975 quantile of Student's t with 2 degrees of freedom) * 0.01 /
# sqrt(3) = 0.024841
@pytest.mark.parametrize(
    ("found", "published", "verdict"),
    [
        (summary(3, 0.01), 0.73, "differs"),
        (summary(3, 0.01), 0.67, "differs"),
        (summary(3, 0.01), 0.72, "agrees"),
        (summary(3, 0.02), 0.72, "cannot tell"),  # too wide for a verdict
        (summary(3, 0.02), 0.5, "differs"),
        (summary(1, None), 0.5, "one seed"),
    ],
)
def test_a_score_differs_from_a_published_number_agrees_or_is_too_wide(found, published, verdict):
    result = evaluation.against(found, published)
    assert result.verdict == verdict
    assert result.difference == pytest.approx(0.7 - published)


def test_the_clips_are_the_same_so_that_only_the_seeds_matter():
    result = evaluation.against(summary(3, 0.01), 0.73)
    assert result.half_width == pytest.approx(0.024841, abs=1e-6)
    # Both half-widths are there.
    assert result.interval_half_width == pytest.approx(0.1)
    assert evaluation.against(summary(3, 0.02), 0.72, 0.05).verdict == "agrees"


def test_a_single_table_has_no_verdict_against_a_published_number():
    table = random_table(1)
    score = evaluation.score(table, resamples=50)
    result = evaluation.against(score, 0.99)
    assert (result.verdict, result.half_width) == ("one seed", None)
    width = score.interval.high - score.interval.low
    assert result.interval_half_width == pytest.approx(width / 2)
    of_seeds = evaluation.summarise([table, table], resamples=50)
    assert evaluation.against(of_seeds, 0.99).verdict == "differs"


@pytest.mark.parametrize("published", [66.5, 1.01, -0.1])
def test_a_published_number_in_percent_is_refused(published):
    with pytest.raises(DataError, match="published score is") as error:
        evaluation.against(summary(3, 0.01), published)
    assert "not in percent" in error.value.fix
    for fraction in (0, 1):
        assert evaluation.against(summary(3, 0.01), fraction).verdict == "differs"


def test_shares_of_swapped_inputs_are_means_over_the_scenes_of_the_log_mel():
    # scene of the log-mel, scene of the embedding, predicted scene
    clips = ["aba", "abb", "acb", "acc", "bab", "bcb", "caa", "cba"]
    rows = []
    for number, (truth, events_truth, predicted) in enumerate(clips):
        row = {"clip": f"{number}", "location": f"{truth}{number % 2}", "city": "x"}
        row |= {"truth": truth, "events_of": "?", "events_truth": events_truth}
        for scene in "abc":
            row[scene] = 0.8 if scene == predicted else 0.1
        rows.append(row)
    found = evaluation.whose_scene(pd.DataFrame(rows[::-1]), resamples=200)
    # log-mel: a 1/4, b 2/2, c 0/2; embedding: a 2/4, b 0/2, c 1/2
    assert found.log_mel == pytest.approx((0.25 + 1 + 0) / 3)
    assert found.embedding == pytest.approx((0.5 + 0 + 0.5) / 3)
    assert found.log_mel + found.embedding + found.neither == pytest.approx(1)
    assert found.difference.low <= found.log_mel - found.embedding <= found.difference.high
    assert found.clips == 8
    # The draws and the confidence are those that were asked for.
    assert evaluation.whose_scene(pd.DataFrame(rows), resamples=200) == found
    narrow = evaluation.whose_scene(pd.DataFrame(rows), resamples=200, confidence=0.5)
    assert narrow.difference.confidence == 0.5


def test_the_difference_of_the_shares_of_swapped_inputs_is_from_minus_1_to_1():
    rows = []
    for number in range(6):
        scene, other = ("a", "b") if number % 2 else ("b", "a")
        row = {"clip": f"{number}", "location": f"{scene}{number}", "truth": scene}
        rows.append(row | {"events_of": "?", "events_truth": other, scene: 0.1, other: 0.9})
    follows_embedding = evaluation.whose_scene(pd.DataFrame(rows), resamples=50)
    assert follows_embedding.embedding == 1
    assert (follows_embedding.difference.low, follows_embedding.difference.high) == (-1, -1)
