"""Comparisons: two rows on the same clips, a row with a published number, two inputs of a model."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import binomtest, t

from crossask.errors import DataError
from crossask.evaluation import intervals
from crossask.evaluation.intervals import Bootstrap, Interval
from crossask.evaluation.predictions import Predictions, aligned, check_same_clips
from crossask.evaluation.scores import Score, Summary, deviation

# Largest half-width of an agreement. Anything wider would agree with each of the paper's rows on
# TAU 2019 (65.1, 66.5 and 68.8 %).
WIDEST_AGREEMENT = 0.03
MCNEMAR_NOTE = (
    "McNemar's test assumes that clips are independent. Clips of one location are not, so its "
    "p-value is too small."
)


@dataclasses.dataclass(frozen=True)
class Side:
    """One of two compared rows.

    Attributes:
      macro_accuracy: Macro accuracy, mean over seeds.
      seed_macro_accuracies: Macro accuracy of each seed.
      seed_deviation: Their standard deviation; None for one seed.
    """

    macro_accuracy: float
    seed_macro_accuracies: tuple[float, ...]
    seed_deviation: float | None


@dataclasses.dataclass(frozen=True)
class McNemar:
    """McNemar's test; see `mcnemar`.

    Attributes:
      only_a: Clips that only the first row predicts correctly.
      only_b: Clips that only the second row predicts correctly.
      p_value: Exact two-sided p-value.
    """

    only_a: int
    only_b: int
    p_value: float


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The paired difference of two rows, a minus b, in fractions; see `compare`.

    Attributes:
      difference: Difference of the macro accuracies.
      interval: Its interval.
      p_value: See `intervals.p_value`; 1 if all clips of a scene come from one location.
      verdict: "better", "worse" or "cannot tell".
      mcnemar: McNemar's test; None unless both rows have one seed.
      clips: Number of clips.
      locations: Number of locations; None if they are unknown.
      a: The first row.
      b: The second row.
      notes: Sentences on how far the figures can be trusted.
    """

    difference: float
    interval: Interval
    p_value: float
    verdict: str
    mcnemar: McNemar | None
    clips: int
    locations: int | None
    a: Side
    b: Side
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Agreement:
    """A score beside a published one; see `against`.

    Attributes:
      difference: Our score minus the published one, a fraction.
      verdict: "agrees", "differs" or "cannot tell".
      half_width: Largest difference that chance explains.
    """

    difference: float
    verdict: str
    half_width: float


@dataclasses.dataclass(frozen=True)
class SwappedShares:
    """Shares of the predictions that follow either input; see `whose_scene`.

    Attributes:
      log_mel: Share that predicts the scene of the log-mel.
      embedding: Share that predicts the scene of the embedding.
      neither: The rest.
      difference: Interval of log_mel - embedding.
      clips: Number of clips.
    """

    log_mel: float
    embedding: float
    neither: float
    difference: Interval
    clips: int


def compare(
    tables_a: Iterable[pd.DataFrame],
    tables_b: Iterable[pd.DataFrame],
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Comparison:
    """Compares the macro accuracies of two rows on the same clips.

    The correctness of a clip is its mean over the seeds. Both rows are scored on the same drawn
    locations, so that the difficulty of a location cancels. The verdict is "better" or "worse" if
    the interval of the difference excludes zero and every scene has clips of two locations or more;
    otherwise it is "cannot tell". Interval and p-value cover the choice of the locations and not
    the randomness of training, for which there is each side's `seed_deviation`.

    Args:
      tables_a: Predictions of the first row, one table for each training seed.
      tables_b: Predictions of the second row; its number of seeds may differ.
      resamples: Number of draws of the bootstrap.
      seed: Seed of the bootstrap.
      confidence: Confidence of the interval.

    Raises:
      DataError: The tables have different clips or truths; the message contains the difference.
    """
    seeds_a = aligned(tables_a)
    seeds_b = aligned(tables_b)
    a = seeds_a[0]
    b = seeds_b[0]
    check_same_clips(a, b, "the first", "the second")
    # One of the tables may lack the locations.
    with_locations = b if a.location is None else a
    correct = np.stack([_mean_correct(seeds_a), _mean_correct(seeds_b)], axis=1)  # [clips, 2]
    bootstrap = Bootstrap(resamples, seed, confidence)
    # The truth of `a` serves both: `b` may have its scenes in another order, or more of them.
    drawn = intervals.class_accuracies(
        correct, a.truth, with_locations.units, len(a.scenes), bootstrap
    )  # [resamples, scenes, 2]
    differences = (drawn[..., 0] - drawn[..., 1])[:, a.has_clips].mean(axis=1)
    interval = intervals.interval(differences, with_locations.unit, bootstrap)
    p_value = intervals.p_value(differences)
    verdict = _verdict(interval)
    if with_locations.single_unit_scenes():
        # One location says nothing about others.
        p_value = 1.0
        verdict = "cannot tell"
    side_a = _side(seeds_a)
    side_b = _side(seeds_b)
    notes = with_locations.notes()
    test = None
    if len(seeds_a) == len(seeds_b) == 1:
        test = mcnemar(a, b)
        if with_locations.location is not None:
            notes.append(MCNEMAR_NOTE)
    return Comparison(
        difference=side_a.macro_accuracy - side_b.macro_accuracy,
        interval=interval,
        p_value=p_value,
        verdict=verdict,
        mcnemar=test,
        clips=len(a.truth),
        locations=with_locations.location_count(),
        a=side_a,
        b=side_b,
        notes=tuple(notes),
    )


def reversed_comparison(comparison: Comparison) -> Comparison:
    """Returns the comparison of b with a from that of a with b."""
    interval = dataclasses.replace(
        comparison.interval, low=-comparison.interval.high, high=-comparison.interval.low
    )
    opposite = {"better": "worse", "worse": "better", "cannot tell": "cannot tell"}
    test = comparison.mcnemar
    if test is not None:
        test = dataclasses.replace(test, only_a=test.only_b, only_b=test.only_a)
    return dataclasses.replace(
        comparison,
        difference=-comparison.difference,
        interval=interval,
        verdict=opposite[comparison.verdict],
        mcnemar=test,
        a=comparison.b,
        b=comparison.a,
    )


def mcnemar(a: Predictions, b: Predictions) -> McNemar:
    """Computes McNemar's exact test (1947) for two runs on the same clips.

    If both runs are equally good, half of the clips that only one of them predicts correctly are
    expected on either side; the p-value is the two-sided binomial one of the actual split, and 1
    without such clips. The test is here because others report it. It compares micro accuracies and
    assumes independent clips, so rely on `compare` instead.
    """
    only_a = int(((a.correct == 1) & (b.correct == 0)).sum())
    only_b = int(((a.correct == 0) & (b.correct == 1)).sum())
    p_value = 1.0
    if only_a + only_b:
        p_value = float(binomtest(only_a, only_a + only_b, 0.5).pvalue)
    return McNemar(only_a, only_b, p_value)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusts p-values for their number by Holm's step-down method (1979).

    The i-th smallest of m p-values becomes the largest, over j <= i, of (m - j + 1) times the j-th
    smallest, but at most 1. The probability of calling at least one true zero a difference is then
    at most the level to which the adjusted values are compared, however the tests depend on each
    other.

    Args:
      p_values: Name of a comparison -> its p-value.

    Raises:
      DataError: A value is outside 0..1.
    """
    for name, value in p_values.items():
        if not 0 <= value <= 1:
            raise DataError(
                f"The p-value of {name!r} is {value}.",
                "Give p-values from 0 to 1, and leave out what was not tested.",
            )
    adjusted = {}
    largest = 0.0
    for rank, name in enumerate(sorted(p_values, key=p_values.get)):
        multiplied = (len(p_values) - rank) * float(p_values[name])
        largest = max(largest, min(1.0, multiplied))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def against(
    score: Score, published: float, widest_agreement: float = WIDEST_AGREEMENT
) -> Agreement:
    """Compares a score with a published macro accuracy that has no interval.

    half_width = sqrt(h^2 + (q s / sqrt(n))^2), where h is half the length of the interval over the
    locations, s the standard deviation over n seeds, and q the (1 + c) / 2 quantile of Student's t
    with n - 1 degrees of freedom for the interval's confidence c. With one seed the second term is
    missing, so that the randomness of training is not included. With two seeds q is 12.7 at 95 %,
    so that one more seed makes a large difference.

    The verdict is "cannot tell" if all clips of a scene come from one location (without locations:
    if a scene has one clip); else "differs" if the published number is further than half_width from
    our score; else "agrees" if half_width is at most `widest_agreement`; else "cannot tell".

    The published number is taken as exact, which it is not: another training would have changed it.
    "differs" therefore means that this number was not met, not that the method cannot reach it. If
    the published number is of the same clips, part of the chance of the locations is common to
    both, and half_width is rather wide.

    Args:
      score: Result of `score` or `summarise`.
      published: The published macro accuracy, a fraction.
      widest_agreement: See above.

    Raises:
      DataError: The published number is not a fraction.
    """
    if not 0 <= published <= 1:
        raise DataError(
            f"The published score is {published}.",
            "Give it as a fraction from 0 to 1, not in percent.",
        )
    half_width = (score.interval.high - score.interval.low) / 2
    if isinstance(score, Summary) and score.seeds > 1:
        quantile = float(t.ppf((1 + score.interval.confidence) / 2, score.seeds - 1))
        of_seeds = quantile * score.seed_deviation / math.sqrt(score.seeds)
        half_width = math.hypot(half_width, of_seeds)
    difference = score.macro_accuracy - published
    if _has_single_unit_scene(score):
        verdict = "cannot tell"
    elif abs(difference) > half_width:
        verdict = "differs"
    elif half_width <= widest_agreement:
        verdict = "agrees"
    else:
        verdict = "cannot tell"
    return Agreement(difference, verdict, half_width)


def whose_scene(
    table: pd.DataFrame, resamples: int = 2000, seed: int = 0, confidence: float = 0.95
) -> SwappedShares:
    """Computes which input predictions follow if log-mel and embedding belong to different scenes.

    Shares are means over the scenes of the log-mel, as in macro accuracy.

    Args:
      table: Predictions with two more columns: events_of (the clip whose embedding was used) and
        events_truth (its scene). The other columns describe the clip whose log-mel was used.
      resamples: Number of draws of the bootstrap, which draws locations of the log-mel.
      seed: Seed of the bootstrap.
      confidence: Confidence of the interval.
    """
    predictions = Predictions(table.drop(columns=["events_of", "events_truth"]))
    scene_of_embedding = table.sort_values("clip", kind="stable")["events_truth"].to_numpy(str)
    predicted = np.array(predictions.scenes)[predictions.predicted]
    follows_log_mel = predicted == predictions.labels
    follows_embedding = predicted == scene_of_embedding
    follows = np.stack([follows_log_mel, follows_embedding], axis=1).astype(float)  # [clips, 2]
    present = np.unique(predictions.truth)
    shares = [follows[predictions.truth == scene].mean(axis=0) for scene in present]
    log_mel, embedding = np.mean(shares, axis=0).tolist()
    bootstrap = Bootstrap(resamples, seed, confidence)
    drawn = intervals.class_accuracies(
        follows, predictions.truth, predictions.units, len(predictions.scenes), bootstrap
    )
    drawn = drawn[:, present].mean(axis=1)  # [resamples, 2]
    return SwappedShares(
        log_mel=log_mel,
        embedding=embedding,
        neither=1 - log_mel - embedding,
        difference=intervals.interval(drawn[:, 0] - drawn[:, 1], predictions.unit, bootstrap),
        clips=len(follows),
    )


def _mean_correct(seeds: Sequence[Predictions]) -> np.ndarray:
    """Returns the correctness of each clip, mean over seeds, [clips]."""
    return np.mean([predictions.correct for predictions in seeds], axis=0)


def _verdict(interval: Interval) -> str:
    if interval.low > 0:
        return "better"
    if interval.high < 0:
        return "worse"
    return "cannot tell"


def _side(seeds: Sequence[Predictions]) -> Side:
    macro_accuracies = [predictions.macro_accuracy for predictions in seeds]
    return Side(
        float(np.mean(macro_accuracies)), tuple(macro_accuracies), deviation(macro_accuracies)
    )


def _has_single_unit_scene(score: Score) -> bool:
    """Returns whether all clips of a scene come from one location."""
    for scene in score.per_class.values():
        units = scene.clips if scene.locations is None else scene.locations
        if units == 1:
            return True
    return False
