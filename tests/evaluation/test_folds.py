"""Folds pooled once, and spread over folds kept apart from spread over seeds; worked by hand."""

import numpy as np
import pytest
from evaluation.tables import random_table, table_of

from crossask import evaluation
from crossask.errors import DataError

TWO = ("bus", "park")


def test_folds_are_pooled_once():
    table = random_table(2)
    pooled = evaluation.pool([table.iloc[:40], table.iloc[40:]])
    assert evaluation.score(pooled, resamples=50) == evaluation.score(table, resamples=50)
    with pytest.raises(DataError, match="'c039' stands in two folds"):
        evaluation.pool([table.iloc[:40], table.iloc[39:]])


def test_a_location_known_in_one_fold_only_is_no_location_of_the_pool():
    table = random_table(2)
    pooled = evaluation.pool([table.iloc[:40], table.iloc[40:].drop(columns="location")])
    assert evaluation.score(pooled, resamples=50)["interval"]["over"] == "clip"


def fold_table(fold: str, right: int):
    """Four clips of either scene, of which `right` each are predicted rightly."""
    pairs = [
        (scene, scene if clip < right else other)
        for scene, other in zip(TWO, TWO[::-1], strict=True)
        for clip in range(4)
    ]
    return table_of(pairs, scenes=TWO, prefix=f"{fold}-")


def test_spread_over_folds_and_over_seeds_is_kept_apart():
    # fold 1: 0.5 and 1; fold 2: 0.25 twice
    right = {("1", 0): 2, ("1", 1): 4, ("2", 0): 1, ("2", 1): 1}
    result = evaluation.spread({key: fold_table(key[0], count) for key, count in right.items()})
    assert result["fold_means"] == pytest.approx({"1": 0.75, "2": 0.25})
    assert result["seed_means"] == pytest.approx({0: 0.375, 1: 0.625})
    assert result["fold_deviation"] == pytest.approx(0.5 / np.sqrt(2))
    assert result["seed_deviation"] == pytest.approx(0.25 / np.sqrt(2))
    assert result["within_fold_seed_deviation"] == pytest.approx(np.sqrt((0.125 + 0) / 2))


def test_one_fold_or_one_seed_has_no_spread():
    one_seed = evaluation.spread({("1", 0): fold_table("1", 2), ("2", 0): fold_table("2", 4)})
    assert one_seed["fold_deviation"] == pytest.approx(0.5 / np.sqrt(2))
    assert one_seed["seed_deviation"] is one_seed["within_fold_seed_deviation"] is None
    one_fold = evaluation.spread({("1", 0): fold_table("1", 2), ("1", 1): fold_table("1", 4)})
    assert one_fold["fold_deviation"] is None
    assert (
        one_fold["seed_deviation"]
        == one_fold["within_fold_seed_deviation"]
        == pytest.approx(0.5 / np.sqrt(2))
    )


def test_the_pooled_score_is_of_clips_not_the_mean_of_folds():
    # bus: 4 of 4 in a large fold, 0 of 1 in a small one; pooled 4 of 5
    large = table_of([("bus", "bus")] * 4 + [("park", "park")], scenes=TWO, prefix="large")
    small = table_of([("bus", "park"), ("park", "park")], scenes=TWO, prefix="small")
    result = evaluation.spread({("1", 0): large, ("2", 0): small})
    assert result["seed_means"] == {0: pytest.approx((4 / 5 + 1) / 2)}
    assert (
        result["seed_means"][0]
        == evaluation.score(evaluation.pool([large, small]), resamples=10)["macro_accuracy"]
    )


def test_a_seed_that_lacks_a_fold_is_named():
    tables = {
        ("1", 0): fold_table("1", 2),
        ("2", 0): fold_table("2", 2),
        ("1", 7): fold_table("1", 2),
    }
    with pytest.raises(DataError, match="Seed 7 has no predictions of fold 2"):
        evaluation.spread(tables)
    with pytest.raises(DataError, match="No table"):
        evaluation.spread({})
