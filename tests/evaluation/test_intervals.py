"""How often the intervals contain the truth, and how often the p-value is wrong.

The corpora are drawn from a population whose macro accuracies are known.
"""

import numpy as np
import pandas as pd
import pytest

from crossask import evaluation
from crossask.evaluation import intervals
from crossask.evaluation.intervals import Bootstrap

DRAWS = 600
RESAMPLES = 500
SCENES = 10
MARGIN = 0.06


def corpus(rng, locations: int, margin: float):
    """Returns correctness [clips, 2], true scene [clips] and location [clips] of one corpus.

    It has ten scenes and 6 to 14 clips a location. A location is easy or difficult for both systems
    (accuracies from 0.1 to 0.9, mean 0.5, most of them near either end), and slightly easier for
    one of them (by up to 0.1). The macro accuracies of the population are 0.5 + margin / 2 and
    0.5 - margin / 2.
    """
    ease = 0.1 + 0.8 * rng.beta(0.7, 0.7, SCENES * locations)
    preference = rng.uniform(-0.05, 0.05, SCENES * locations)
    clips_of_location = rng.integers(6, 15, SCENES * locations)
    location = np.repeat(np.arange(SCENES * locations), clips_of_location)
    first = ease + margin / 2 + preference
    second = ease - margin / 2 - preference
    probability = np.stack([first, second], axis=1)[location]
    correct = (rng.random(probability.shape) < probability).astype(float)
    return correct, location // locations, location


def measured(locations: int, margin: float) -> dict[str, float]:
    """Returns the shares of corpora whose intervals contain the truth and whose p is below 0.05."""
    rng = np.random.default_rng(locations)
    counts = {"macro_accuracy": 0, "difference": 0, "significant": 0}
    for draw in range(DRAWS):
        drawn = intervals.class_accuracies(
            *corpus(rng, locations, margin), SCENES, Bootstrap(RESAMPLES, draw)
        ).mean(axis=1)
        differences = drawn[:, 0] - drawn[:, 1]
        low, high = intervals.percentiles(drawn[:, 0], 0.95)
        counts["macro_accuracy"] += low <= 0.5 + margin / 2 <= high
        low, high = intervals.percentiles(differences, 0.95)
        counts["difference"] += low <= margin <= high
        counts["significant"] += intervals.p_value(differences) < 0.05
    return {name: count / DRAWS for name, count in counts.items()}


@pytest.mark.parametrize("locations", [12, 5])
def test_intervals_of_95_percent_contain_the_truth_in_92_to_98_of_100_corpora(locations):
    shares = measured(locations, MARGIN)
    assert 0.92 <= shares["macro_accuracy"] <= 0.98
    assert 0.92 <= shares["difference"] <= 0.98
    # The difference of the population is found.
    assert shares["significant"] > 0.4


@pytest.mark.parametrize("locations", [12, 5])
def test_equal_systems_have_a_p_value_below_5_percent_in_2_to_8_of_100_corpora(locations):
    assert 0.02 <= measured(locations, 0)["significant"] <= 0.08


def test_scores_and_comparisons_use_the_measured_functions():
    correct, truth, location = corpus(np.random.default_rng(0), 5, MARGIN)
    names = [f"s{scene}" for scene in range(SCENES)]
    tables = []
    for side in range(2):
        predicted = np.where(correct[:, side] == 1, truth, (truth + 1) % SCENES)
        table = pd.DataFrame(np.eye(SCENES)[predicted], columns=names)
        table["clip"] = [f"{clip:04d}" for clip in range(len(truth))]
        table["location"] = [f"l{number:03d}" for number in location]
        table["truth"] = [names[scene] for scene in truth]
        tables.append(table)
    drawn = intervals.class_accuracies(
        correct, truth, location, SCENES, Bootstrap(RESAMPLES, 3)
    ).mean(axis=1)
    differences = drawn[:, 0] - drawn[:, 1]

    interval = evaluation.score(tables[0], RESAMPLES, 3).interval
    expected = intervals.percentiles(drawn[:, 0], 0.95)
    assert (interval.low, interval.high) == pytest.approx(expected, abs=1e-12)
    result = evaluation.compare(tables[:1], tables[1:], RESAMPLES, 3)
    expected = intervals.percentiles(differences, 0.95)
    assert (result.interval.low, result.interval.high) == pytest.approx(expected, abs=1e-12)
    assert result.p_value == intervals.p_value(differences)


def test_the_p_value_doubles_the_smaller_tail_and_counts_the_observed_difference():
    # 97 above zero, 2 below, and 1 at zero, which belongs to both tails: 2 * (1 + 3) / (1 + 100)
    draws = np.array([0.1] * 97 + [-0.1] * 2 + [0.0])
    assert intervals.p_value(draws) == pytest.approx(8 / 101)
    assert intervals.p_value(-draws) == pytest.approx(8 / 101)
    assert intervals.p_value([0.1] * 99) == pytest.approx(2 / 100)  # never zero
    assert intervals.p_value([0.0] * 99) == 1
