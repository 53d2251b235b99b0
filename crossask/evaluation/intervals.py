"""Intervals and p-values of macro accuracies and their differences, over locations and seeds.

Two things are random in a score: which locations were recorded, and how training went. Both enter
the variance of a mean over n seeds, as in a two-way random-effects model of locations and seeds:

  variance = L + (s^2 - e) / n

L is the variance over locations of the mean over the seeds, s^2 the variance of the seeds' scores,
and e the part of s^2 that other locations would change. L and e come from a bootstrap. A
difference of two rows has one such second term for each row, and an L of the difference itself,
because both rows are scored on the same locations. The interval is the value +- q sqrt(variance),
where q is the quantile of Student's t with Satterthwaite's degrees of freedom (1946): few seeds
estimate s^2 badly, and so make the interval longer.

The bootstrap: clips of one location resemble each other, so locations are drawn instead of clips.
They are drawn within each scene, so that no scene disappears. Of n locations n - 1 are drawn (Rao
and Wu 1988): drawing n would make the variance too small by the factor (n - 1) / n, which matters
where a scene has few locations. Where the locations are unknown, clips are drawn instead.

One seed says nothing about the randomness of training. Its interval, the percentiles of the
bootstrap, covers the locations alone, and there is no p-value.

How far this can be trusted, counted by benchmarks/interval_coverage.py on corpora from a population
of known accuracy (1,000 for each line; 10 scenes with 28 locations of 15 clips are as large as a
fold of TAU 2019; the small corpora have 10 clips a location). Shares in per cent:

  locations | seeds | run       | interval | interval of | p < 0.05    | the same,
  a scene   |       | deviation | of macro | the paired  | for equal   | locations
            |       | (points)  | accuracy | difference  | rows        | alone
         28 |     2 |       0.0 |     95.0 |        94.4 |         5.6 |       5.7
         28 |     2 |       1.0 |     94.7 |        95.5 |         4.5 |      23.1
         28 |     2 |       2.2 |     93.0 |        96.1 |         3.9 |      50.9
         28 |     2 |       3.7 |     91.0 |        97.4 |         2.6 |      68.4
         28 |     3 |       0.0 |     94.1 |        95.9 |         4.1 |       4.6
         28 |     3 |       1.0 |     94.1 |        95.5 |         4.5 |      22.9
         28 |     3 |       2.2 |     93.7 |        96.1 |         3.9 |      53.7
         28 |     3 |       3.7 |     93.5 |        96.7 |         3.3 |      70.3
         28 |     5 |       0.0 |     94.9 |        95.9 |         4.1 |       5.2
         28 |     5 |       1.0 |     94.3 |        95.7 |         4.3 |      19.6
         28 |     5 |       2.2 |     94.1 |        95.9 |         4.1 |      45.3
         28 |     5 |       3.7 |     94.5 |        96.2 |         3.8 |      63.6
          4 |     2 |       0.0 |     94.0 |        98.8 |         1.2 |       5.7
          4 |     2 |       1.0 |     94.2 |        98.7 |         1.3 |       8.8
          4 |     2 |       2.2 |     94.2 |        98.5 |         1.5 |      17.3
          4 |     2 |       3.7 |     93.2 |        97.9 |         2.1 |      32.0
          4 |     3 |       0.0 |     95.2 |        98.4 |         1.6 |       6.0
          4 |     3 |       1.0 |     95.4 |        97.8 |         2.2 |       9.0
          4 |     3 |       2.2 |     95.5 |        97.1 |         2.9 |      16.6
          4 |     3 |       3.7 |     95.3 |        97.6 |         2.4 |      28.5
          4 |     5 |       0.0 |     94.7 |        97.5 |         2.5 |       5.1
          4 |     5 |       1.0 |     94.7 |        97.1 |         2.9 |       6.8
          4 |     5 |       2.2 |     93.8 |        97.0 |         3.0 |      13.8
          4 |     5 |       3.7 |     94.5 |        96.2 |         3.8 |      26.2

With four locations a scene, differences between equal rows are found more rarely than in 5 %: the
interval is rather too long.

Where most scenes have the same predictions in both rows, few locations decide, and the interval of
the difference is too short. With five seeds that hardly differ, and rows that differ in three of
ten scenes, equal rows have p < 0.05 in 7 to 9 % of the cases; if they differ in one scene, in 8 %
(28 locations), 10 % (12) and 16 % (4). With three seeds it is at most 4 % and 7 %
(`--differing_scenes`).

With two seeds and very random training, the interval of a row is too short. Train three or more.

The locations of this population are independent. Where those of one city resemble each other, an
interval describes these cities only.
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import numpy as np
from scipy.special import stdtr, stdtrit

from crossask.errors import DataError

# The variance has a negative term, which chance can make too large. The variance is never smaller
# than this share of the variance over the locations.
LEAST_SHARE = 0.25
# Draws of more units are not kept, for they would fill the memory: 16 MB for 2,000 resamples.
MOST_KEPT_UNITS = 1000
# An interval that is shorter than rounding errors has no width.
LEAST_WIDTH = 1e-9
# Smaller differences and standard errors are rounding errors: means over different numbers of seeds
# differ in their last bits.
LEAST_DIFFERENCE = 1e-12


@dataclasses.dataclass(frozen=True)
class Bootstrap:
    """Settings of the bootstrap.

    Attributes:
      resamples: Number of draws.
      seed: Seed of the draws.
      confidence: Share of the draws between the ends of an interval, 0..1.

    Raises:
      DataError: One of them is out of range.
    """

    resamples: int = 2000
    seed: int = 0
    confidence: float = 0.95

    def __post_init__(self) -> None:
        """Checks the settings."""
        if self.resamples < 1:
            raise DataError(f"The number of resamples is {self.resamples}.", "Give at least 1.")
        if self.seed < 0:
            raise DataError(f"The seed of the bootstrap is {self.seed}.", "Give 0 or more.")
        # The comparison is also false for NaN.
        if not 0 < self.confidence < 1:
            raise DataError(
                f"The confidence is {self.confidence}.",
                "Give a fraction above 0 and below 1, such as 0.95.",
            )


@dataclasses.dataclass(frozen=True)
class Interval:
    """An interval, with everything that is needed to compute it again.

    Attributes:
      low: Lower end, a fraction.
      high: Upper end, a fraction.
      confidence: See `Bootstrap`.
      over: What was drawn: "location" or "clip".
      covers_seeds: Whether the interval also covers the randomness of training.
      method: The method in words.
      resamples: See `Bootstrap`.
      resampling_seed: Seed of the draws.
    """

    low: float
    high: float
    confidence: float
    over: str
    covers_seeds: bool
    method: str
    resamples: int
    resampling_seed: int


def class_accuracies(
    values: np.ndarray,
    truth: np.ndarray,
    units: np.ndarray,
    scenes: int,
    bootstrap: Bootstrap,
) -> np.ndarray:
    """Computes class accuracies under resampling.

    Args:
      values: Correctness of each clip for k systems, 0..1, [clips, k].
      truth: Index of each clip's scene, [clips].
      units: What is drawn as a whole: the location of each clip, or the clip itself, [clips].
      scenes: Number of scenes.
      bootstrap: Settings of the bootstrap.

    Returns:
      Accuracies [resamples, scenes, k]; NaN for a scene without clips.
    """
    accuracies = np.full((bootstrap.resamples, scenes, values.shape[1]), np.nan)
    present = np.unique(truth)
    units_of_scenes = []
    for scene in present:
        units_of_scenes.append(np.unique(units[truth == scene], return_inverse=True)[1])
    counts = tuple(int(of_scene.max()) + 1 for of_scene in units_of_scenes)
    draw = _kept_draws if sum(counts) <= MOST_KEPT_UNITS else _draws
    weights_of_scenes = draw(counts, bootstrap.resamples, bootstrap.seed)
    for scene, unit_of_clip, weights in zip(
        present, units_of_scenes, weights_of_scenes, strict=True
    ):
        clips = np.bincount(unit_of_clip).astype(float)  # [units]
        columns = values[truth == scene].T
        correct = np.stack(
            [np.bincount(unit_of_clip, weights=column) for column in columns], axis=1
        )  # [units, k]
        # All draws are one matrix product.
        accuracies[:, scene] = (weights @ correct) / (weights @ clips)[:, None]
    return accuracies


def _draws(units: Sequence[int], resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Draws units of each scene; yields how often each one is drawn, [resamples, units].

    Args:
      units: Number of units of each scene.
      resamples: Number of draws.
      seed: Seed of the draws.
    """
    rng = np.random.default_rng(seed)
    for count in units:
        equal_chances = np.full(count, 1 / count)
        weights = rng.multinomial(max(count - 1, 1), equal_chances, size=resamples)
        yield weights.astype(float)


@functools.lru_cache(maxsize=4)
def _kept_draws(units: Sequence[int], resamples: int, seed: int) -> tuple[np.ndarray, ...]:
    """Returns the results of `_draws`, which are the same for all rows of one corpus."""
    return tuple(_draws(units, resamples, seed))


def quantile_of_t(share: float, freedom: float) -> float:
    """Returns the value below which Student's t lies with the probability `share`."""
    # As scipy.stats.t.ppf, whose import takes half a second.
    return float(stdtrit(freedom, share))


def percentiles(draws: np.ndarray, confidence: float) -> tuple[float, float]:
    """Returns the ends of the percentile interval of `draws` [resamples]."""
    tail = 50 * (1 - confidence)
    low, high = np.percentile(draws, [tail, 100 - tail])
    return float(low), float(high)


@dataclasses.dataclass(frozen=True)
class Runs:
    """Scores of the runs of one row, one for each training seed.

    Attributes:
      scores: Score of each run on all clips, a fraction, [seeds].
      drawn: The same under resampling of the locations, [resamples, seeds].
    """

    scores: np.ndarray
    drawn: np.ndarray

    @property
    def seeds(self) -> int:
        """Number of runs."""
        return len(self.scores)

    @property
    def variance_of_seeds(self) -> float:
        """s^2 / n, the share of the seeds in the variance of their mean."""
        return float(np.var(self.scores, ddof=1)) / self.seeds

    @property
    def variance_of_both(self) -> float:
        """The part e / n of `variance_of_seeds` that other locations would change.

        Seeds also differ because each of them predicts other clips correctly. This part is in the
        variance over the locations already.
        """
        from_mean = self.drawn - self.drawn.mean(axis=1, keepdims=True)  # [resamples, seeds]
        e = float(from_mean.var(axis=0).sum()) / (self.seeds - 1)
        return e / self.seeds


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over seeds, or the difference of two, with what its interval is computed from.

    Attributes:
      value: The mean or the difference.
      drawn: The same under resampling of the locations, [resamples].
      standard_error: Root of the variance of the module's equation; None with one seed.
      freedom: Degrees of freedom of Student's t; None with one seed.
    """

    value: float
    drawn: np.ndarray
    standard_error: float | None
    freedom: float | None

    def ends(self, confidence: float) -> tuple[float, float]:
        """Returns the ends of the interval."""
        if self.standard_error is None:
            return percentiles(self.drawn, confidence)
        half_width = quantile_of_t((1 + confidence) / 2, self.freedom) * self.standard_error
        return self.value - half_width, self.value + half_width

    @property
    def p_value(self) -> float | None:
        """Two-sided p-value of the hypothesis that the value is zero; None with one seed.

        It is below 0.05 exactly where the 95 % interval excludes zero.
        """
        if self.standard_error is None:
            return None
        if self.standard_error == 0:
            return 1.0 if self.value == 0 else 0.0
        return float(2 * stdtr(self.freedom, -abs(self.value) / self.standard_error))


def mean_over_seeds(runs: Runs, freedom_of_locations: int) -> Estimate:
    """Returns the mean score of a row.

    Args:
      runs: The row's scores.
      freedom_of_locations: See `freedom_of_units`.
    """
    value = float(runs.scores.mean())
    return _estimate(value, runs.drawn.mean(axis=1), (runs,), freedom_of_locations)


def has_width(low: float | np.ndarray, high: float | np.ndarray) -> bool | np.ndarray:
    """Returns whether intervals have a width.

    An interval has none if every draw of the bootstrap has the same score. Such draws show nothing
    about other locations, so the interval is not printed.

    Args:
      low: Lower end, or ends.
      high: Upper end, or ends.
    """
    return high - low > LEAST_WIDTH


def difference_of_means(first: Runs, second: Runs, freedom_of_locations: int) -> Estimate:
    """Returns the difference of the mean scores of two rows, first minus second.

    Args:
      first: Scores of the first row.
      second: Scores of the second row under the same draws of locations.
      freedom_of_locations: See `freedom_of_units`.
    """
    value = _without_rounding_error(float(first.scores.mean() - second.scores.mean()))
    drawn = first.drawn.mean(axis=1) - second.drawn.mean(axis=1)
    return _estimate(value, drawn, (first, second), freedom_of_locations)


def freedom_of_units(truth: np.ndarray, units: np.ndarray) -> int:
    """Returns the degrees of freedom of the variance over the locations.

    They are the number of locations minus one in each scene, and at least 1.

    Args:
      truth: Index of each clip's scene, [clips].
      units: Location of each clip, or the clip itself, [clips].
    """
    freedom = 0
    for scene in np.unique(truth):
        freedom += len(np.unique(units[truth == scene])) - 1
    return max(freedom, 1)


def interval(estimate: Estimate, unit: str, bootstrap: Bootstrap, lowest: float = 0.0) -> Interval:
    """Returns the interval of an estimate.

    Args:
      estimate: The estimate.
      unit: What was drawn, "location" or "clip".
      bootstrap: Settings of the bootstrap.
      lowest: Smallest possible value: 0 for an accuracy, -1 for a difference. The largest is 1.
    """
    low, high = estimate.ends(bootstrap.confidence)
    covers_seeds = estimate.standard_error is not None
    method = f"{unit}s drawn with replacement within each scene, one fewer than there are; "
    if covers_seeds:
        method += f"Student's t with the variance over {unit}s and seeds"
    else:
        method += "percentiles"
    return Interval(
        low=max(low, lowest),
        high=min(high, 1.0),
        confidence=bootstrap.confidence,
        over=unit,
        covers_seeds=covers_seeds,
        method=method,
        resamples=bootstrap.resamples,
        resampling_seed=bootstrap.seed,
    )


def _estimate(
    value: float, drawn: np.ndarray, rows: Sequence[Runs], freedom_of_locations: int
) -> Estimate:
    """Returns an estimate from the runs of one row or two; see the module's equation."""
    if any(runs.seeds == 1 for runs in rows):
        return Estimate(value, drawn, None, None)
    of_locations = float(drawn.var())
    of_seeds = [runs.variance_of_seeds for runs in rows]
    of_both = [runs.variance_of_both for runs in rows]
    variance = of_locations + sum(of_seeds) - sum(of_both)
    variance = max(variance, LEAST_SHARE * of_locations)
    # Satterthwaite: the square of the variance over the sum of the squares of its parts, each
    # divided by its own degrees of freedom.
    uncertainty = of_locations**2 / freedom_of_locations
    for runs, part in zip(rows, of_seeds, strict=True):
        uncertainty += part**2 / (runs.seeds - 1)
    # The freedom of a sum is never below the smallest of its parts. The subtracted part could bring
    # it below 1, and the interval would have no bounds.
    least = min(freedom_of_locations, *(runs.seeds - 1 for runs in rows))
    freedom = float(freedom_of_locations)
    if uncertainty:
        freedom = max(variance**2 / uncertainty, float(least))
    return Estimate(value, drawn, _without_rounding_error(variance**0.5), freedom)


def _without_rounding_error(value: float) -> float:
    return 0.0 if abs(value) < LEAST_DIFFERENCE else value
