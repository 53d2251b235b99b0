"""Counts how often intervals contain the truth, and how often equal rows are called different.

It draws corpora and runs from a population whose macro accuracies are known, and applies
`crossask.evaluation` to each of them. Two rows are compared that are equally good in the
population, so that every p-value below 0.05 is a false alarm. Shares in per cent:

  python benchmarks/interval_coverage.py --corpora 2000
  python benchmarks/interval_coverage.py --corpora 2000 --differing_scenes 1

"locations alone" is an interval that ignores the randomness of training. With --differing_scenes,
both rows have the same predictions in all other scenes.
"""

import argparse
import dataclasses

import numpy as np

from crossask.evaluation import intervals
from crossask.evaluation.intervals import Bootstrap, Runs

SCENES = 10
CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Population:
    """Corpora of ten scenes, and two rows with the same macro accuracy on all of its locations.

    Attributes:
      locations: Locations of a scene in a corpus.
      seeds: Seeds of each row.
      run_deviation: Standard deviation of the macro accuracy over seeds, on all locations; a
        fraction.
      mean_clips: Mean number of clips of a location.
      differing_scenes: Scenes in which the predictions of the rows differ.
    """

    locations: int
    seeds: int
    run_deviation: float
    mean_clips: int = 10
    differing_scenes: int = SCENES

    def corpus(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draws a corpus and the runs of both rows on it.

        A location is easy or difficult for both rows (accuracies from 0.1 to 0.9, mean 0.5, most
        of them near either end), and slightly easier for one of them (by up to 0.1). A run is
        better or worse than its row on every location.

        Returns:
          Correctness of each clip in each run, [clips, rows, seeds], true scene [clips] and
          location [clips].
        """
        places = SCENES * self.locations
        ease = 0.1 + 0.8 * rng.beta(0.7, 0.7, places)
        preference = rng.uniform(-0.05, 0.05, places)
        fewest = round(0.6 * self.mean_clips)
        most = round(1.4 * self.mean_clips)
        clips_of_location = rng.integers(fewest, most + 1, places)
        location = np.repeat(np.arange(places), clips_of_location)
        of_rows = np.stack([ease + preference, ease - preference], axis=1)[location]
        of_runs = rng.normal(0, self.run_deviation, (2, self.seeds))
        probability = of_rows[:, :, None] + of_runs  # [clips, rows, seeds]
        correct = (rng.random(probability.shape) < probability).astype(float)
        truth = location // self.locations
        is_equal = truth >= self.differing_scenes
        correct[is_equal, 1] = correct[is_equal, 0]
        return correct, truth, location


def counted(population: Population, corpora: int, resamples: int = 500) -> dict[str, float]:
    """Returns how often the intervals contain the truth, and how often there is a false alarm.

    Args:
      population: The population.
      corpora: Number of corpora that are drawn.
      resamples: Number of draws of the bootstrap.

    Returns:
      Shares of the corpora. "macro_accuracy": those whose interval of the first row's macro
      accuracy contains the truth; "difference": those whose interval of the difference of the rows
      does; "alarms": those with a p-value below 0.05 (none with one seed, which has no p-value);
      "alarms_locations_alone": those where the interval of the difference over the locations alone
      excludes zero.
    """
    rng = np.random.default_rng([population.locations, population.seeds, corpora])
    outcomes: dict[str, list[bool]] = {
        "macro_accuracy": [],
        "difference": [],
        "alarms": [],
        "alarms_locations_alone": [],
    }
    for number in range(corpora):
        correct, truth, location = population.corpus(rng)
        first, second = runs_of_rows(correct, truth, location, Bootstrap(resamples, number))
        freedom = intervals.freedom_of_units(truth, location)
        low, high = intervals.mean_over_seeds(first, freedom).ends(CONFIDENCE)
        outcomes["macro_accuracy"].append(low <= 0.5 <= high)
        difference = intervals.difference_of_means(first, second, freedom)
        low, high = difference.ends(CONFIDENCE)
        outcomes["difference"].append(low <= 0 <= high)
        p_value = difference.p_value
        outcomes["alarms"].append(p_value is not None and p_value < 1 - CONFIDENCE)
        low, high = intervals.percentiles(difference.drawn, CONFIDENCE)
        outcomes["alarms_locations_alone"].append(low > 0 or high < 0)
    return {name: float(np.mean(of_corpora)) for name, of_corpora in outcomes.items()}


def runs_of_rows(
    correct: np.ndarray, truth: np.ndarray, location: np.ndarray, bootstrap: Bootstrap
) -> list[Runs]:
    """Returns the scores of both rows."""
    _, rows, seeds = correct.shape
    columns = correct.reshape(len(correct), rows * seeds)
    drawn = intervals.class_accuracies(columns, truth, location, SCENES, bootstrap)
    drawn = drawn.mean(axis=1).reshape(bootstrap.resamples, rows, seeds)
    of_scenes = [correct[truth == scene].mean(axis=0) for scene in range(SCENES)]
    scores = np.mean(of_scenes, axis=0)  # [rows, seeds]
    return [Runs(scores[row], drawn[:, row]) for row in range(rows)]


def main() -> None:
    """Parses the command line and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--corpora", type=int, default=2000, help="corpora that are drawn for each line"
    )
    parser.add_argument(
        "--differing_scenes",
        type=int,
        default=SCENES,
        help="scenes in which the predictions of the rows differ",
    )
    arguments = parser.parse_args()
    print(
        "| locations of a scene | seeds | run deviation, points | interval of macro accuracy "
        "contains it | interval of the difference contains it | p < 0.05 between equal rows | "
        "the same, locations alone |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for locations, mean_clips in ((28, 15), (12, 10), (4, 10)):
        for seeds in (1, 2, 3, 5):
            for deviation in (0, 0.01, 0.022, 0.037):
                population = Population(
                    locations, seeds, deviation, mean_clips, arguments.differing_scenes
                )
                shares = counted(population, arguments.corpora)
                percent = {name: f"{100 * share:.1f}" for name, share in shares.items()}
                alarms = percent["alarms"] if seeds > 1 else "no verdict"
                cells = [locations, seeds, f"{100 * deviation:.1f}", percent["macro_accuracy"]]
                cells += [percent["difference"], alarms, percent["alarms_locations_alone"]]
                print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
