"""Comparisons: two rows on the same clips, a row with a published number, two inputs of a model."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from crossask.errors import DataError
from crossask.evaluation import intervals
from crossask.evaluation.intervals import Bootstrap, Estimate, Interval, Runs
from crossask.evaluation.predictions import Predictions, aligned, check_same_clips, sorted_by_clip
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
      p_value: See `intervals.Estimate`; 1 if all clips of a scene come from one location, and None
        if a row has one seed.
      verdict: "better", "worse", "cannot tell", or "one seed" if a row has one seed.
      mcnemar: McNemar's test; None unless both rows have one seed.
      clips: Number of clips.
      locations: Number of locations; None if they are unknown.
      a: The first row.
      b: The second row.
      notes: Sentences on how far the figures can be trusted.
    """

    difference: float
    interval: Interval
    p_value: float | None
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
      verdict: "agrees", "differs", "cannot tell" or "one seed".
      half_width: Largest difference that the randomness of training explains; None with one seed.
      interval_half_width: Half of the length of the score's interval, which also covers other
        locations.
    """

    difference: float
    verdict: str
    half_width: float | None
    interval_half_width: float


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
    tables_a: Iterable[pd.DataFrame | Predictions],
    tables_b: Iterable[pd.DataFrame | Predictions],
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Comparison:
    """Compares the macro accuracies of two rows on the same clips.

    Both rows are scored on the same drawn locations, so that the difficulty of a location cancels.
    Interval and p-value cover the choice of the locations and the randomness of training; see
    `crossask.evaluation.intervals`. The verdict is "better" or "worse" if the interval of the
    difference excludes zero and every scene has clips of two locations or more; otherwise it is
    "cannot tell".

    If a row has one seed, the randomness of its training is unknown. Then the interval covers the
    locations alone, and there is no verdict.

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
    correct = np.stack(
        [predictions.correct for predictions in (*seeds_a, *seeds_b)], axis=1
    )  # [clips, seeds of both]
    bootstrap = Bootstrap(resamples, seed, confidence)
    # The truth of `a` serves both: `b` may have its scenes in another order, or more of them.
    drawn = intervals.class_accuracies(
        correct, a.truth, with_locations.units, len(a.scenes), bootstrap
    )  # [resamples, scenes, seeds of both]
    drawn = drawn[:, a.has_clips].mean(axis=1)  # [resamples, seeds of both]
    estimate = intervals.difference_of_means(
        _runs(seeds_a, drawn[:, : len(seeds_a)]),
        _runs(seeds_b, drawn[:, len(seeds_a) :]),
        intervals.freedom_of_units(a.truth, with_locations.units),
    )
    interval = intervals.interval(estimate, with_locations.unit, bootstrap, lowest=-1.0)
    p_value = estimate.p_value
    verdict = "one seed" if p_value is None else _verdict(interval)
    if p_value is not None and with_locations.single_unit_scenes():
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
        difference=estimate.value,
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


def opposite_verdict(verdict: str) -> str:
    """Returns the verdict on the second row for a verdict on the first one."""
    return {"better": "worse", "worse": "better"}.get(verdict, verdict)


def reversed_comparison(comparison: Comparison) -> Comparison:
    """Returns the comparison of b with a from that of a with b."""
    interval = dataclasses.replace(
        comparison.interval, low=-comparison.interval.high, high=-comparison.interval.low
    )
    test = comparison.mcnemar
    if test is not None:
        test = dataclasses.replace(test, only_a=test.only_b, only_b=test.only_a)
    return dataclasses.replace(
        comparison,
        difference=-comparison.difference,
        interval=interval,
        verdict=opposite_verdict(comparison.verdict),
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
    # This import takes half a second, and rows of several seeds do not need it.
    from scipy.stats import binomtest

    only_a = int(((a.correct == 1) & (b.correct == 0)).sum())
    only_b = int(((a.correct == 0) & (b.correct == 1)).sum())
    p_value = 1.0
    if only_a + only_b:
        p_value = float(binomtest(only_a, only_a + only_b, 0.5).pvalue)
    return McNemar(only_a, only_b, p_value)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusts p-values for their number by Holm's step-down method (1979).

    The adjusted i-th smallest of m p-values is the largest, over j <= i, of (m - j + 1) times the
    j-th smallest, but at most 1. The probability of calling at least one true zero a difference is
    then at most the level to which the adjusted values are compared, however the tests depend on
    each other.

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
    """Compares a score with a published macro accuracy of the same clips, which has no interval.

    The locations of both numbers are the same, so that only training differs. The half-width is
    that of the interval over the seeds: q s / sqrt(n), where s is the standard deviation over n
    seeds and q the (1 + c) / 2 quantile of Student's t with n - 1 degrees of freedom for the
    confidence c of the score's interval. With two seeds q is 12.7 at 95 %, so that one more seed
    makes a large difference.

    The verdict is "one seed" if there is one seed; else "differs" if the published number is
    further than half_width from our score; else "agrees" if half_width is at most
    `widest_agreement`; else "cannot tell".

    The published number is taken as exact, which it is not: another training would have changed it.
    "differs" therefore means that this number was not met, not that the method cannot reach it.

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
    difference = score.macro_accuracy - published
    of_interval = (score.interval.high - score.interval.low) / 2
    if not isinstance(score, Summary) or score.seeds == 1:
        return Agreement(difference, "one seed", None, of_interval)
    quantile = intervals.quantile_of_t((1 + score.interval.confidence) / 2, score.seeds - 1)
    half_width = quantile * score.seed_deviation / math.sqrt(score.seeds)
    if abs(difference) > half_width:
        verdict = "differs"
    elif half_width <= widest_agreement:
        verdict = "agrees"
    else:
        verdict = "cannot tell"
    return Agreement(difference, verdict, half_width, of_interval)


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
    scene_of_embedding = sorted_by_clip(table)["events_truth"].to_numpy(str)
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
    # One model is described, so there is no randomness of training to cover.
    estimate = Estimate(log_mel - embedding, drawn[:, 0] - drawn[:, 1], None, None)
    return SwappedShares(
        log_mel=log_mel,
        embedding=embedding,
        neither=1 - log_mel - embedding,
        difference=intervals.interval(estimate, predictions.unit, bootstrap, lowest=-1.0),
        clips=len(follows),
    )


def _runs(seeds: Sequence[Predictions], drawn: np.ndarray) -> Runs:
    """Returns the scores of a row; `drawn` are those under resampling, [resamples, seeds]."""
    return Runs(np.array([predictions.macro_accuracy for predictions in seeds]), drawn)


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
