"""Verdicts against a number in print, worked by hand."""

import pytest
from evaluation.tables import HAND, random_table, table_of

from crossask import evaluation
from crossask.errors import DataError


def summary(low, high, seeds=1, deviation=None, locations=(5, 5)):
    per_class = {
        scene: {"clips": 50, "locations": count}
        for scene, count in zip(("bus", "park"), locations, strict=True)
    }
    interval = {"low": low, "high": high, "confidence": 0.95}
    return {
        "macro_accuracy": 0.7,
        "interval": interval,
        "per_class": per_class,
        "seeds": seeds,
        "seed_deviation": deviation,
    }


@pytest.mark.parametrize(
    ("found", "published", "verdict"),
    [
        (summary(0.68, 0.72), 0.73, "differs"),
        (summary(0.68, 0.72), 0.67, "differs"),
        (summary(0.68, 0.72), 0.69, "agrees"),
        (summary(0.65, 0.75), 0.69, "cannot tell"),  # too wide to tell
        (summary(0.65, 0.75), 0.5, "differs"),
        (summary(0.68, 0.72, locations=(5, 1)), 0.5, "cannot tell"),
    ],
)
def test_a_score_differs_from_print_agrees_with_it_or_is_too_wide_to_tell(
    found, published, verdict
):
    result = evaluation.against(found, published)
    assert result["verdict"] == verdict
    assert result["difference"] == pytest.approx(0.7 - published)


def test_the_seeds_widen_what_the_locations_leave_open():
    # three seeds: 4.302653 (the 0.975 quantile of Student's t with 2 degrees of freedom) * 0.01 / sqrt(3) = 0.024841
    result = evaluation.against(summary(0.68, 0.72, seeds=3, deviation=0.01), 0.73)
    assert result["half_width"] == pytest.approx((0.02**2 + 0.024841**2) ** 0.5, abs=1e-6)
    assert result["verdict"] == "cannot tell"  # 3 points off, within 3.19, which is wider than 3
    assert evaluation.against(summary(0.68, 0.72), 0.73)["half_width"] == pytest.approx(0.02)
    assert (
        evaluation.against(
            summary(0.68, 0.72, seeds=3, deviation=0.01), 0.73, widest_agreement=0.04
        )["verdict"]
        == "agrees"
    )


def test_summaries_and_single_scores_can_be_held_against_print():
    table = random_table(1)
    assert (
        evaluation.against(evaluation.summarise([table, table], resamples=50), 0.99)["verdict"]
        == "differs"
    )
    score = evaluation.score(table, resamples=50)
    assert evaluation.against(score, 0.99)["half_width"] == pytest.approx(
        (score["interval"]["high"] - score["interval"]["low"]) / 2
    )
    by_clip = evaluation.score(
        table_of([*HAND[:4], *HAND[4:5], *HAND[7:]]), resamples=50
    )  # one clip of park, no locations
    assert evaluation.against(by_clip, 0.1)["verdict"] == "cannot tell"


@pytest.mark.parametrize("published", [66.5, -0.1])
def test_percent_is_refused(published):
    with pytest.raises(DataError, match="published score is"):
        evaluation.against(summary(0.68, 0.72), published)
