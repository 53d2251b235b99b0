"""Brier score and calibration against scikit-learn and against cases worked by hand."""

import numpy as np
import pandas as pd
import pytest
from evaluation.tables import HAND, SCENES, random_table, table_of
from sklearn.calibration import calibration_curve
from sklearn.metrics import mean_squared_error
from sklearn.preprocessing import label_binarize

from crossask import evaluation
from crossask.evaluation.calibration import Bin


def confident_table(groups):
    """Returns a table of two scenes from groups of (confidence, clips, correct clips)."""
    confidences = []
    truths = []
    for confidence, clips, correct in groups:
        confidences += [confidence] * clips
        truths += ["bus"] * correct + ["park"] * (clips - correct)
    confidences = np.array(confidences)
    clips = [f"c{number:02d}" for number in range(len(truths))]
    return pd.DataFrame(
        {"clip": clips, "truth": truths, "bus": confidences, "park": 1 - confidences}
    )


def calibration_of(table):
    return evaluation.score(table, resamples=10).calibration


def filled_bins(calibration):
    return {number: found for number, found in enumerate(calibration.bins) if found.clips}


def test_the_brier_score_of_a_certain_error_is_two_and_of_a_certain_hit_zero():
    certain = evaluation.score(table_of(HAND, sure=1.0), resamples=10)
    assert certain.brier == pytest.approx(2 * 3 / 10)
    # correct: 0.2^2 + 2 * 0.1^2; wrong: 0.9^2 + 0.8^2 + 0.1^2
    less_certain = evaluation.score(table_of(HAND), resamples=10)
    assert less_certain.brier == pytest.approx((7 * 0.06 + 3 * 1.46) / 10)


def test_the_brier_score_is_the_squared_error_of_one_hot_truths():
    tables = [random_table(seed, clips=83) for seed in (0, 1)]
    errors = []
    for table in tables:
        one_hot = label_binarize(table["truth"], classes=SCENES)
        error = mean_squared_error(one_hot, table[list(SCENES)].to_numpy())
        errors.append(len(SCENES) * error)
    one_seed = evaluation.score(tables[0], resamples=10)
    assert one_seed.brier == pytest.approx(errors[0], abs=1e-12)
    two_seeds = evaluation.summarise(tables, resamples=10)
    assert two_seeds.brier == pytest.approx(np.mean(errors), abs=1e-12)


def test_the_calibration_of_ten_clips_is_that_worked_by_hand():
    # 0.4 * |3/4 - 0.95| + 0.3 * |3/3 - 0.9| + 0.3 * |1/3 - 0.55| = 0.08 + 0.03 + 0.065
    result = calibration_of(confident_table([(0.95, 4, 3), (0.9, 3, 3), (0.55, 3, 1)]))
    assert result.expected_calibration_error == pytest.approx(0.175)
    assert len(result.bins) == 15
    filled = filled_bins(result)
    assert list(filled) == [8, 13, 14]
    last = filled[14]
    assert (last.low, last.high, last.clips) == pytest.approx((14 / 15, 1.0, 4))
    assert (last.confidence, last.accuracy) == pytest.approx((0.95, 0.75))
    assert result.bins[0] == Bin(0.0, pytest.approx(1 / 15), 0, None, None)


def test_a_probability_of_one_belongs_to_the_last_bin():
    bins = calibration_of(table_of(HAND, sure=1.0)).bins
    assert [found.clips for found in bins] == [0] * 14 + [10]


def test_a_bin_includes_its_upper_end_and_not_its_lower():
    edges = np.linspace(0, 1, 16)
    result = calibration_of(confident_table([(edges[12], 4, 3), (edges[14], 2, 2)]))
    clips = {number: found.clips for number, found in filled_bins(result).items()}
    assert clips == {11: 4, 13: 2}


def test_bins_equal_those_of_scikit_learn():
    table = random_table(2, clips=300)
    correct = table[list(SCENES)].idxmax(axis=1) == table["truth"]
    accuracy, confidence = calibration_curve(correct, table[list(SCENES)].max(axis=1), n_bins=15)
    bins = list(filled_bins(calibration_of(table)).values())
    assert [found.accuracy for found in bins] == pytest.approx(accuracy, abs=1e-12)
    assert [found.confidence for found in bins] == pytest.approx(confidence, abs=1e-12)
    assert sum(found.clips for found in bins) == 300


def test_overconfidence_of_one_seed_does_not_cancel_underconfidence_of_another():
    # Both have confidence 0.75. One seed is correct for all four clips, the other for two, so the
    # error of each is 0.25.
    tables = [confident_table([(0.75, 4, correct)]) for correct in (4, 2)]
    tables[1] = tables[1].assign(
        truth=tables[0]["truth"], bus=[0.75, 0.75, 0.25, 0.25], park=[0.25, 0.25, 0.75, 0.75]
    )
    result = evaluation.summarise(tables, resamples=10).calibration
    assert result.expected_calibration_error == pytest.approx(0.25)
    (found,) = filled_bins(result).values()
    assert (found.clips, found.confidence, found.accuracy) == pytest.approx((4, 0.75, 0.75))
