"""Scores of one row of a results table, and their spread over folds and seeds.

The score is macro accuracy, the mean of the class-wise accuracies (Section 3.2 of the paper). Its
interval covers other locations like these, in cities like these, and with several seeds the
randomness of training; see `crossask.evaluation.intervals`.
"""

import dataclasses
import json
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from crossask.errors import DataError
from crossask.evaluation import calibration, intervals
from crossask.evaluation.calibration import Calibration
from crossask.evaluation.intervals import Bootstrap, Interval, Runs
from crossask.evaluation.predictions import Predictions, aligned, macro_accuracy, pool


@dataclasses.dataclass(frozen=True)
class SceneScore:
    """The score of one scene.

    Attributes:
      accuracy: Share of its clips that are predicted correctly; None without clips.
      clips: Number of its clips.
      locations: Number of its locations; None if they are unknown.
      interval: Ends of the interval of the accuracy; None without clips.
    """

    accuracy: float | None
    clips: int
    locations: int | None
    interval: tuple[float, float] | None


@dataclasses.dataclass(frozen=True)
class CityScore:
    """The score of one city; macro accuracy is the mean over the scenes recorded there."""

    clips: int
    locations: int | None
    micro_accuracy: float
    macro_accuracy: float


@dataclasses.dataclass(frozen=True)
class PartScore:
    """The score of a part of the clips; macro accuracy is the mean over the scenes in it."""

    clips: int
    locations: int | None
    macro_accuracy: float
    interval: Interval


@dataclasses.dataclass(frozen=True)
class Groups:
    """Groups of clips, of which some also have training clips.

    Attributes:
      kind: What they are, in the plural: "cities" or "devices".
      names: Name of each clip's group, [clips]; None if they are unknown.
      seen: Names of the groups of the training clips; None if they are unknown.
    """

    kind: str
    names: np.ndarray | None
    seen: Collection[str] | None


@dataclasses.dataclass(frozen=True)
class Score:
    """The scores of a table of predictions; accuracies are fractions.

    Attributes:
      clips: Number of clips.
      locations: Number of locations; None if they are unknown.
      scenes: Names of the scenes.
      macro_accuracy: Mean of the class-wise accuracies.
      interval: Interval of the macro accuracy.
      micro_accuracy: Share of the clips that are predicted correctly.
      log_loss: See `calibration.log_loss`.
      brier: See `calibration.brier`.
      calibration: See `calibration.calibration`.
      per_class: Scene -> its score.
      confusion: Clips by true scene (rows) and predicted scene (columns), in the order of `scenes`.
      cities: City -> its score.
      seen: Score of the cities of the training clips; None without such clips, and if the cities
        are unknown.
      unseen: The same for the other cities.
      notes: Sentences on how far the intervals can be trusted.
    """

    clips: int
    locations: int | None
    scenes: tuple[str, ...]
    macro_accuracy: float
    interval: Interval
    micro_accuracy: float
    log_loss: float
    brier: float
    calibration: Calibration
    per_class: dict[str, SceneScore]
    confusion: tuple[tuple[float, ...], ...]
    cities: dict[str, CityScore]
    seen: PartScore | None
    unseen: PartScore | None
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Summary(Score):
    """The scores of one row: means over its seeds.

    Attributes:
      seeds: Number of seeds.
      seed_macro_accuracies: Macro accuracy of each seed.
      seed_deviation: Their standard deviation (n - 1); None for one seed.
    """

    seeds: int
    seed_macro_accuracies: tuple[float, ...]
    seed_deviation: float | None


@dataclasses.dataclass(frozen=True)
class Spread:
    """The spread of macro accuracy over folds and over seeds; see `spread`.

    Attributes:
      fold_means: Fold -> mean over its seeds.
      seed_means: Seed -> score of the pooled clips of all folds, which is not the mean of the
        folds' scores.
      fold_deviation: Standard deviation of `fold_means`; it includes 1 / seeds of the variance of
        the seeds within a fold. None for one fold.
      seed_deviation: Standard deviation of `seed_means`, which belongs to a pooled score. None for
        one seed.
      within_fold_seed_deviation: Root of the mean over folds of the variance over seeds. None for
        one seed.
    """

    fold_means: dict[Hashable, float]
    seed_means: dict[Hashable, float]
    fold_deviation: float | None
    seed_deviation: float | None
    within_fold_seed_deviation: float | None


def score(
    table: pd.DataFrame,
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
    seen_cities: Collection[str] | None = None,
) -> Score:
    """Computes the scores of one table of predictions.

    Args:
      table: A line for each clip, with the columns clip, truth (the true scene), optionally
        location, city and device, and one column of probabilities for each scene. Without
        locations, the bootstrap draws clips.
      resamples: Number of draws of the bootstrap.
      seed: Seed of the bootstrap.
      confidence: Confidence of the intervals, between 0 and 1.
      seen_cities: Cities of the training clips; None if they are unknown, or the corpus has none.

    Raises:
      DataError: The table is not valid, or `seen_cities` is a string.
    """
    summary = summarise([table], resamples, seed, confidence, seen_cities)
    values = {field.name: getattr(summary, field.name) for field in dataclasses.fields(Score)}
    return Score(**values)


def summarise(
    tables: Iterable[pd.DataFrame | Predictions],
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
    seen_cities: Collection[str] | None = None,
) -> Summary:
    """Computes the scores of one row of a results table.

    Every score is a mean over seeds. With several seeds, the intervals cover the choice of the
    locations and the randomness of training; with one seed, the choice of the locations alone.

    Args:
      tables: Predictions of the same clips, one table for each training seed.
      resamples: Number of draws of the bootstrap.
      seed: Seed of the bootstrap.
      confidence: Confidence of the intervals.
      seen_cities: Cities of the training clips; None if they are unknown, or the corpus has none.

    Raises:
      DataError: A table is not valid, the tables have different clips, or `seen_cities` is a
        string.
    """
    if isinstance(seen_cities, str):
        raise DataError(
            f"The seen cities are one name, {seen_cities!r}.", "Give a collection of names."
        )
    seeds = aligned(tables)
    bootstrap = Bootstrap(resamples, seed, confidence)
    first = seeds[0]
    correct = np.stack([predictions.correct for predictions in seeds], axis=1)  # [clips, seeds]
    drawn = intervals.class_accuracies(
        correct, first.truth, first.units, len(first.scenes), bootstrap
    )  # [resamples, scenes, seeds]
    seed_macro_accuracies = [predictions.macro_accuracy for predictions in seeds]
    macro_accuracies = Runs(np.array(seed_macro_accuracies), drawn[:, first.has_clips].mean(axis=1))
    freedom = intervals.freedom_of_units(first.truth, first.units)
    estimate = intervals.mean_over_seeds(macro_accuracies, freedom)
    parts, part_notes = seen_and_unseen(
        first, correct, Groups("cities", first.city, seen_cities), bootstrap
    )
    return Summary(
        clips=len(first.truth),
        locations=first.location_count(),
        scenes=first.scenes,
        macro_accuracy=estimate.value,
        interval=intervals.interval(estimate, first.unit, bootstrap),
        micro_accuracy=float(correct.mean()),
        log_loss=float(np.mean([calibration.log_loss(predictions) for predictions in seeds])),
        brier=float(np.mean([calibration.brier(predictions) for predictions in seeds])),
        calibration=calibration.calibration(seeds),
        per_class=_per_class(first, correct, drawn, bootstrap),
        confusion=_confusion(seeds),
        cities=_cities(first, correct.mean(axis=1)),
        seen=parts.get("seen"),
        unseen=parts.get("unseen"),
        notes=(*first.notes(), *part_notes),
        seeds=len(seeds),
        seed_macro_accuracies=tuple(seed_macro_accuracies),
        seed_deviation=deviation(seed_macro_accuracies),
    )


def spread(tables: Mapping[tuple[Hashable, Hashable], pd.DataFrame]) -> Spread:
    """Computes the spread of macro accuracy over folds and over seeds.

    Folds differ because their locations differ, seeds because training is random. One deviation
    over all runs would mix the two.

    Args:
      tables: (fold, seed) -> predictions.

    Raises:
      DataError: There is no table, a seed lacks a fold, the seeds have different clips, or a clip
        is in two folds.
    """
    if not tables:
        raise DataError(
            "No table of predictions was given.", "Give one table for each fold and seed."
        )
    folds = list(dict.fromkeys(fold for fold, _ in tables))
    seeds = list(dict.fromkeys(seed for _, seed in tables))
    scores = np.zeros((len(folds), len(seeds)))
    for row, fold in enumerate(folds):
        for seed in seeds:
            if (fold, seed) not in tables:
                raise DataError(
                    f"Seed {seed} has no predictions of fold {fold}.",
                    "Give only seeds that have run every fold.",
                )
        of_fold = aligned(tables[fold, seed] for seed in seeds)
        scores[row] = [predictions.macro_accuracy for predictions in of_fold]
    fold_means = scores.mean(axis=1)
    seed_means = []
    for seed in seeds:
        pooled = pool(tables[fold, seed] for fold in folds)
        seed_means.append(Predictions(pooled).macro_accuracy)
    within_fold = None
    if len(seeds) > 1:
        within_fold = float(np.sqrt(np.var(scores, axis=1, ddof=1).mean()))
    return Spread(
        fold_means=dict(zip(folds, fold_means.tolist(), strict=True)),
        seed_means=dict(zip(seeds, seed_means, strict=True)),
        fold_deviation=deviation(fold_means),
        seed_deviation=deviation(seed_means),
        within_fold_seed_deviation=within_fold,
    )


def seen_and_unseen(
    first: Predictions, correct: np.ndarray, groups: Groups, bootstrap: Bootstrap
) -> tuple[dict[str, PartScore], list[str]]:
    """Returns the scores of seen and of unseen groups of clips, and notes on their intervals.

    Args:
      first: Predictions of the first seed.
      correct: Correctness of each clip, [clips, seeds].
      groups: The group of each clip, such as its city.
      bootstrap: Settings of the bootstrap.

    Returns:
      "seen" and "unseen" -> score; a part without clips is left out, and both are if the groups are
      unknown.
    """
    if groups.names is None or groups.seen is None:
        return {}, []
    scores = {}
    notes = []
    # The notes of the whole table name these scenes already.
    single_anyway = first.single_unit_scenes()
    is_seen = np.isin(groups.names, sorted(groups.seen))
    for name, selected in (("seen", is_seen), ("unseen", ~is_seen)):
        if not selected.any():
            continue
        scores[name] = part_score(first, correct, selected, bootstrap)
        single = [
            scene for scene in first.single_unit_scenes(selected) if scene not in single_anyway
        ]
        if single:
            notes.append(
                f"Scenes with a single {first.unit} in the {name} {groups.kind}: "
                f"{', '.join(single)}. The interval of these {groups.kind} is too narrow."
            )
    return scores, notes


def part_score(
    first: Predictions, correct: np.ndarray, selected: np.ndarray, bootstrap: Bootstrap
) -> PartScore:
    """Returns the score of the selected clips; `correct` as in `seen_and_unseen`."""
    truth = first.truth[selected]
    units = first.units[selected]
    drawn = intervals.class_accuracies(
        correct[selected], truth, units, len(first.scenes), bootstrap
    )  # [resamples, scenes, seeds]
    present = np.bincount(truth, minlength=len(first.scenes)) > 0
    scores = [macro_accuracy(of_seed, truth) for of_seed in correct[selected].T]
    runs = Runs(np.array(scores), drawn[:, present].mean(axis=1))
    estimate = intervals.mean_over_seeds(runs, intervals.freedom_of_units(truth, units))
    return PartScore(
        clips=int(selected.sum()),
        locations=first.location_count(selected),
        macro_accuracy=estimate.value,
        interval=intervals.interval(estimate, first.unit, bootstrap),
    )


def deviation(values: Sequence[float] | np.ndarray) -> float | None:
    """Returns the standard deviation with n - 1; None for fewer than two values."""
    if len(values) < 2:
        return None
    return float(np.std(values, ddof=1))


def to_json(result: object) -> dict[str, Any]:
    """Returns a result of this package (Score, Summary, Comparison ...) as plain JSON values."""
    return json.loads(json.dumps(dataclasses.asdict(result)))


def _per_class(
    first: Predictions, correct: np.ndarray, drawn: np.ndarray, bootstrap: Bootstrap
) -> dict[str, SceneScore]:
    """Returns scene -> its score.

    Args:
      first: Predictions of the first seed.
      correct: Correctness of each clip, [clips, seeds].
      drawn: Accuracies under resampling, [resamples, scenes, seeds].
      bootstrap: Settings of the bootstrap.
    """
    scores = {}
    for index, scene in enumerate(first.scenes):
        selected = first.truth == index
        accuracy = None
        interval = None
        if selected.any():
            runs = Runs(correct[selected].mean(axis=0), drawn[:, index])
            freedom = intervals.freedom_of_units(first.truth[selected], first.units[selected])
            estimate = intervals.mean_over_seeds(runs, freedom)
            accuracy = estimate.value
            found = intervals.interval(estimate, first.unit, bootstrap)
            interval = (found.low, found.high)
        scores[scene] = SceneScore(
            accuracy, int(selected.sum()), first.location_count(selected), interval
        )
    return scores


def _confusion(seeds: Sequence[Predictions]) -> tuple[tuple[float, ...], ...]:
    """Returns the confusion matrix as counts, and of several seeds the mean."""
    mean = np.mean([predictions.confusion(seeds[0].scenes) for predictions in seeds], axis=0)
    if len(seeds) == 1:
        mean = mean.astype(int)
    return tuple(tuple(row) for row in mean.tolist())


def _cities(first: Predictions, correct: np.ndarray) -> dict[str, CityScore]:
    """Returns city -> its score."""
    if first.city is None:
        return {}
    scores = {}
    for city in sorted(set(first.city)):
        selected = first.city == city
        scores[city] = CityScore(
            clips=int(selected.sum()),
            locations=first.location_count(selected),
            micro_accuracy=float(correct[selected].mean()),
            macro_accuracy=macro_accuracy(correct[selected], first.truth[selected]),
        )
    return scores
