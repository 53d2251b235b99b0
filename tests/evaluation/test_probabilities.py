"""Brier score and calibration against scikit-learn and a case worked by hand."""

import numpy as np
import pandas as pd
import pytest
from evaluation.tables import HAND, SCENES, random_table, table_of
from sklearn.calibration import calibration_curve
from sklearn.metrics import mean_squared_error
from sklearn.preprocessing import label_binarize

from crossask import evaluation


def sure_table(groups):
    """groups: (confidence, clips, of them right), of two scenes."""
    rows = [(sure, clip < right) for sure, clips, right in groups for clip in range(clips)]
    truth = ["bus" if right else "park" for _, right in rows]
    sures = np.array([sure for sure, _ in rows])
    return pd.DataFrame(
        {
            "clip": [f"c{i:02d}" for i in range(len(rows))],
            "truth": truth,
            "bus": sures,
            "park": 1 - sures,
        }
    )


def test_the_brier_score_of_a_sure_error_is_two_and_of_a_sure_hit_zero():
    assert evaluation.score(table_of(HAND, sure=1.0), resamples=10)["brier"] == pytest.approx(
        2 * 3 / 10
    )
    # right: 0.2^2 + 2 * 0.1^2; wrong: 0.9^2 + 0.8^2 + 0.1^2
    assert evaluation.score(table_of(HAND), resamples=10)["brier"] == pytest.approx(
        (7 * 0.06 + 3 * 1.46) / 10
    )


def test_the_brier_score_is_the_squared_error_of_one_hot_truths():
    tables = [random_table(seed, clips=83) for seed in (0, 1)]
    errors = [
        len(SCENES)
        * mean_squared_error(
            label_binarize(table["truth"], classes=SCENES), table[list(SCENES)].to_numpy()
        )
        for table in tables
    ]
    assert evaluation.score(tables[0], resamples=10)["brier"] == pytest.approx(errors[0], abs=1e-12)
    assert evaluation.summarise(tables, resamples=10)["brier"] == pytest.approx(
        np.mean(errors), abs=1e-12
    )


def test_a_hand_worked_calibration_of_ten_clips():
    # 0.4 * |3/4 - 0.95| + 0.3 * |3/3 - 0.9| + 0.3 * |1/3 - 0.55| = 0.08 + 0.03 + 0.065
    result = evaluation.score(sure_table([(0.95, 4, 3), (0.9, 3, 3), (0.55, 3, 1)]), resamples=10)[
        "calibration"
    ]
    assert result["expected_calibration_error"] == pytest.approx(0.175)
    assert len(result["bins"]) == 15
    filled = {number: found for number, found in enumerate(result["bins"]) if found["clips"]}
    assert list(filled) == [8, 13, 14]
    assert filled[14] == pytest.approx(
        {"low": 14 / 15, "high": 1.0, "clips": 4, "confidence": 0.95, "accuracy": 0.75}
    )
    assert result["bins"][0] == {
        "low": 0.0,
        "high": pytest.approx(1 / 15),
        "clips": 0,
        "confidence": None,
        "accuracy": None,
    }


def test_a_probability_of_one_falls_into_the_last_bin():
    bins = evaluation.score(table_of(HAND, sure=1.0), resamples=10)["calibration"]["bins"]
    assert [found["clips"] for found in bins] == [0] * 14 + [10]


def test_a_bin_holds_its_upper_edge_and_not_its_lower():
    edges = np.linspace(0, 1, 16)
    bins = evaluation.score(sure_table([(edges[12], 4, 3), (edges[14], 2, 2)]), resamples=10)[
        "calibration"
    ]["bins"]
    assert {number: found["clips"] for number, found in enumerate(bins) if found["clips"]} == {
        11: 4,
        13: 2,
    }


def test_bins_equal_those_of_scikit_learn():
    table = random_table(2, clips=300)
    right = table[list(SCENES)].idxmax(axis=1) == table["truth"]
    accuracy, confidence = calibration_curve(right, table[list(SCENES)].max(axis=1), n_bins=15)
    bins = [
        found
        for found in evaluation.score(table, resamples=10)["calibration"]["bins"]
        if found["clips"]
    ]
    assert [found["accuracy"] for found in bins] == pytest.approx(accuracy, abs=1e-12)
    assert [found["confidence"] for found in bins] == pytest.approx(confidence, abs=1e-12)
    assert sum(found["clips"] for found in bins) == 300


def test_one_seeds_overconfidence_does_not_cancel_anothers_caution():
    # both sure by 0.75; one seed right in all four clips, the other in two: 0.25 off either way
    tables = [sure_table([(0.75, 4, right)]) for right in (4, 2)]
    tables[1] = tables[1].assign(
        truth=tables[0]["truth"], bus=[0.75, 0.75, 0.25, 0.25], park=[0.25, 0.25, 0.75, 0.75]
    )
    result = evaluation.summarise(tables, resamples=10)["calibration"]
    assert result["expected_calibration_error"] == pytest.approx(0.25)
    found = next(one for one in result["bins"] if one["clips"])
    assert (found["clips"], found["confidence"], found["accuracy"]) == pytest.approx(
        (4, 0.75, 0.75)
    )
