"""How often the intervals contain the truth, and how often the p-value is wrong.

The corpora and runs are drawn from a population whose macro accuracies are known.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from evaluation.tables import random_table
from scipy.stats import t, ttest_1samp, ttest_ind

from crossask import evaluation
from crossask.errors import DataError
from crossask.evaluation import intervals
from crossask.evaluation.intervals import Bootstrap, Runs

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "interval_coverage.py"
SCENES = 10


@pytest.fixture(scope="module")
def coverage():
    """Returns the benchmark's module, which draws the corpora and counts."""
    spec = importlib.util.spec_from_file_location("interval_coverage", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.simulates
@pytest.mark.parametrize("run_deviation", [0, 0.01, 0.022, 0.037])
@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_of_95_percent_contain_the_truth_and_false_alarms_are_near_5_percent(
    coverage, seeds, run_deviation
):
    corpora = 1000
    # Three standard errors of a share of 1,000 corpora are 2.1 points.
    shares = coverage.counted(coverage.Population(12, seeds, run_deviation), corpora, 300)
    assert 0.92 <= shares["macro_accuracy"] <= 0.98
    assert 0.92 <= shares["difference"] <= 0.98
    assert 0.02 <= shares["alarms"] <= 0.08


def test_an_interval_over_locations_alone_is_wrong_where_training_is_random(coverage):
    shares = coverage.counted(coverage.Population(12, 3, 0.022), 300, 200)
    assert shares["alarms_locations_alone"] > 0.15


@pytest.mark.parametrize("locations", [12, 5])
def test_the_percentiles_of_one_seed_cover_the_locations(coverage, locations):
    shares = coverage.counted(coverage.Population(locations, 1, 0), 600, 500)
    assert 0.92 <= shares["macro_accuracy"] <= 0.98
    assert 0.92 <= shares["difference"] <= 0.98


def test_without_differences_between_locations_it_is_students_t_over_the_seeds():
    # The drawn scores are the observed ones, so that only the seeds vary.
    first = np.array([0.61, 0.64, 0.66, 0.60])
    second = np.array([0.57, 0.62, 0.55])
    rows = [Runs(scores, np.tile(scores, (50, 1))) for scores in (first, second)]
    estimate = intervals.mean_over_seeds(rows[0], 20)
    low, high = estimate.ends(0.9)
    expected = ttest_1samp(first, 0).confidence_interval(0.9)
    assert (low, high) == pytest.approx((expected.low, expected.high))
    difference = intervals.difference_of_means(*rows, 20)
    welch = ttest_ind(first, second, equal_var=False)
    assert difference.p_value == pytest.approx(welch.pvalue)
    assert difference.freedom == pytest.approx(welch.df)


def test_without_random_training_it_is_the_standard_error_over_the_locations():
    # Three seeds with the same predictions.
    drawn = np.random.default_rng(0).normal(0.7, 0.02, 1000)
    runs = Runs(np.full(3, 0.7), np.stack([drawn] * 3, axis=1))
    estimate = intervals.mean_over_seeds(runs, 15)
    assert estimate.standard_error == pytest.approx(drawn.std())
    assert estimate.freedom == pytest.approx(15)
    low, high = estimate.ends(0.95)
    assert (high - low) / 2 == pytest.approx(t.ppf(0.975, 15) * drawn.std())


def test_noise_that_is_in_both_parts_is_counted_once():
    # Each seed predicts each clip correctly with the same probability, independently: the variance
    # of the mean is that of all clips and seeds, p (1 - p) / (clips * seeds).
    rng = np.random.default_rng(1)
    clips = 400
    seeds = 4
    variances = []
    for number in range(150):
        correct = (rng.random((clips, seeds)) < 0.7).astype(float)
        truth = np.zeros(clips, int)
        drawn = intervals.class_accuracies(
            correct, truth, np.arange(clips), 1, Bootstrap(200, number)
        )[:, 0]
        estimate = intervals.mean_over_seeds(Runs(correct.mean(axis=0), drawn), clips - 1)
        variances.append(estimate.standard_error**2)
    expected = 0.7 * 0.3 / (clips * seeds)
    assert np.mean(variances) == pytest.approx(expected, rel=0.2)


def test_the_degrees_of_freedom_are_at_least_those_of_the_seeds():
    # Most of the difference between the two seeds is that of the locations, and is subtracted.
    drawn = np.random.default_rng(3).normal(0.69, 0.03, (2000, 2))
    estimate = intervals.mean_over_seeds(Runs(np.array([0.70, 0.675]), drawn), 18)
    assert estimate.freedom == 1
    three = np.random.default_rng(4).normal(0.69, 0.03, (2000, 3))
    estimate = intervals.mean_over_seeds(Runs(np.array([0.70, 0.675, 0.69]), three), 18)
    assert estimate.freedom >= 2


def test_one_seed_has_percentiles_and_no_p_value():
    drawn = np.linspace(0.5, 0.7, 101)
    estimate = intervals.mean_over_seeds(Runs(np.array([0.6]), drawn[:, None]), 10)
    assert estimate.ends(0.9) == pytest.approx((0.51, 0.69))
    assert estimate.p_value is None
    several = Runs(np.array([0.6, 0.62]), np.stack([drawn, drawn], axis=1))
    one = Runs(np.array([0.6]), drawn[:, None])
    assert intervals.difference_of_means(several, one, 10).p_value is None


def test_the_p_value_is_5_percent_where_the_interval_ends_at_zero():
    rng = np.random.default_rng(2)
    first = Runs(np.array([0.6, 0.63, 0.65]), rng.normal(0.63, 0.02, (400, 3)))
    second = Runs(np.array([0.58, 0.6, 0.59]), rng.normal(0.59, 0.02, (400, 3)))
    estimate = intervals.difference_of_means(first, second, 30)
    low, high = estimate.ends(1 - estimate.p_value)
    assert min(abs(low), abs(high)) == pytest.approx(0, abs=1e-12)


def test_equal_rows_have_a_p_value_of_one_and_certain_differences_one_of_zero():
    same = Runs(np.array([0.5, 0.5]), np.full((10, 2), 0.5))
    better = Runs(np.array([0.6, 0.6]), np.full((10, 2), 0.6))
    assert intervals.difference_of_means(same, same, 5).p_value == 1
    assert intervals.difference_of_means(better, same, 5).p_value == 0


@pytest.mark.parametrize("seeds", [(2, 3), (3, 5), (3, 7)])
def test_rounding_errors_are_no_difference_of_equal_rows(seeds):
    # The mean of three equal numbers may differ from that of seven in the last bit.
    table = random_table(5)
    for clips in range(60, 90):
        rows = [[table.iloc[:clips]] * count for count in seeds]
        found = evaluation.compare(*rows, resamples=50)
        assert (found.difference, found.p_value, found.verdict) == (0, 1, "cannot tell")
        assert (found.interval.low, found.interval.high) == (0, 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"confidence": 95}, "The confidence is 95"),
        ({"confidence": 1.0}, r"The confidence is 1\.0"),
        ({"confidence": float("nan")}, "The confidence is nan"),
        ({"resamples": 0}, "The number of resamples is 0"),
        ({"seed": -1}, "The seed of the bootstrap is -1"),
    ],
)
def test_settings_of_the_bootstrap_that_mean_nothing_are_errors(settings, message):
    # Two seeds: quantiles of Student's t would make an interval of NaN.
    with pytest.raises(DataError, match=message):
        evaluation.summarise([random_table(1)] * 2, **settings)


def test_degrees_of_freedom_are_locations_minus_one_in_each_scene():
    truth = np.array([0, 0, 0, 1, 1, 2])
    units = np.array(["a", "b", "a", "c", "c", "d"])
    assert intervals.freedom_of_units(truth, units) == 1
    units = np.array(["a", "b", "e", "c", "f", "d"])
    assert intervals.freedom_of_units(truth, units) == 2 + 1


def test_intervals_end_at_the_possible_values():
    runs = Runs(np.array([1.0, 0.98]), np.full((20, 2), 0.99))
    estimate = intervals.mean_over_seeds(runs, 5)
    found = intervals.interval(estimate, "location", Bootstrap(20))
    assert found.high == 1
    assert found.covers_seeds


def test_scores_and_comparisons_use_the_measured_functions(coverage):
    correct, truth, location = coverage.Population(5, 2, 0.02).corpus(np.random.default_rng(0))
    names = [f"s{scene}" for scene in range(SCENES)]
    rows = []
    for row in range(2):
        tables = []
        for seed in range(2):
            predicted = np.where(correct[:, row, seed] == 1, truth, (truth + 1) % SCENES)
            table = pd.DataFrame(np.eye(SCENES)[predicted], columns=names)
            table["clip"] = [f"{clip:04d}" for clip in range(len(truth))]
            table["location"] = [f"l{number:03d}" for number in location]
            table["truth"] = [names[scene] for scene in truth]
            tables.append(table)
        rows.append(tables)
    first, second = coverage.runs_of_rows(correct, truth, location, Bootstrap(200, 3))
    freedom = intervals.freedom_of_units(truth, location)

    interval = evaluation.summarise(rows[0], 200, 3).interval
    expected = intervals.mean_over_seeds(first, freedom).ends(0.95)
    assert (interval.low, interval.high) == pytest.approx(expected, abs=1e-12)
    result = evaluation.compare(*rows, 200, 3)
    expected = intervals.difference_of_means(first, second, freedom)
    assert (result.interval.low, result.interval.high) == pytest.approx(expected.ends(0.95))
    assert result.p_value == pytest.approx(expected.p_value)
