"""How often the intervals hold the truth, and the p-value cries wolf, on corpora drawn from a population that is known."""

import numpy as np
import pandas as pd
import pytest

from crossask import evaluation
from crossask.evaluation import resampling

DRAWS, RESAMPLES, SCENES, MARGIN = 1000, 500, 10, 0.06


def corpus(rng, locations: int, margin: float):
    """(correct [clips, 2], truth [clips], location [clips]) of ten scenes, 6 to 14 clips a location.

    A location is easy or hard for both systems (from 0.1 to 0.9, mean 0.5, mostly near either end), and a little kinder to
    one of them (by up to 0.1). The macro accuracies of the population are 0.5 + margin / 2 and 0.5 - margin / 2.
    """
    ease = 0.1 + 0.8 * rng.beta(0.7, 0.7, SCENES * locations)
    kindness = rng.uniform(-0.05, 0.05, SCENES * locations)
    location = np.repeat(np.arange(SCENES * locations), rng.integers(6, 15, SCENES * locations))
    chance = np.stack([ease + margin / 2 + kindness, ease - margin / 2 - kindness], axis=1)[
        location
    ]
    return (rng.random(chance.shape) < chance).astype(float), location // locations, location


def measured(locations: int, margin: float) -> dict:
    """Shares of the draws: the interval of macro accuracy holds it, that of the difference does, p is below 0.05."""
    rng = np.random.default_rng(locations)
    inside = {"macro_accuracy": 0, "difference": 0, "told": 0}
    for draw in range(DRAWS):
        drawn = resampling.class_accuracies(
            *corpus(rng, locations, margin), SCENES, RESAMPLES, draw
        ).mean(axis=1)
        for name, values, true in (
            ("macro_accuracy", drawn[:, 0], 0.5 + margin / 2),
            ("difference", drawn[:, 0] - drawn[:, 1], margin),
        ):
            low, high = resampling.percentiles(values, 0.95)
            inside[name] += low <= true <= high
        inside["told"] += resampling.p_value(drawn[:, 0] - drawn[:, 1]) < 0.05
    return {name: count / DRAWS for name, count in inside.items()}


@pytest.mark.parametrize("locations", [12, 5])
def test_intervals_of_95_percent_hold_the_truth_in_92_to_98_of_100_corpora(locations):
    shares = measured(locations, MARGIN)
    assert 0.92 <= shares["macro_accuracy"] <= 0.98
    assert 0.92 <= shares["difference"] <= 0.98
    assert shares["told"] > 0.4  # the planted margin is found


@pytest.mark.parametrize("locations", [12, 5])
def test_equal_systems_have_a_p_value_below_5_percent_in_2_to_8_of_100_corpora(locations):
    assert 0.02 <= measured(locations, 0)["told"] <= 0.08


def test_what_was_measured_is_what_is_reported():
    correct, truth, location = corpus(np.random.default_rng(0), 5, MARGIN)
    names = [f"s{scene}" for scene in range(SCENES)]
    tables = []
    for side in range(2):
        chosen = np.where(correct[:, side] == 1, truth, (truth + 1) % SCENES)
        table = pd.DataFrame(np.eye(SCENES)[chosen], columns=names)
        rows = {
            "clip": [f"{clip:04d}" for clip in range(len(truth))],
            "location": [f"l{place:03d}" for place in location],
        }
        tables.append(table.assign(**rows, truth=[names[scene] for scene in truth]))
    drawn = resampling.class_accuracies(correct, truth, location, SCENES, RESAMPLES, 3).mean(axis=1)
    interval = evaluation.score(tables[0], RESAMPLES, 3)["interval"]
    assert [interval["low"], interval["high"]] == pytest.approx(
        resampling.percentiles(drawn[:, 0], 0.95), abs=1e-12
    )
    result = evaluation.compare(tables[:1], tables[1:], RESAMPLES, 3)
    expected = resampling.percentiles(drawn[:, 0] - drawn[:, 1], 0.95)
    assert [result["interval"]["low"], result["interval"]["high"]] == pytest.approx(
        expected, abs=1e-12
    )
    assert result["p_value"] == resampling.p_value(drawn[:, 0] - drawn[:, 1])
