"""Events that stand out in a scene: effects of the scene on mean event scores, with intervals.

The mean score of an event in the clips of a scene estimates the share p of these clips that contain
the event. q is the mean of this over the other scenes. The effect of the scene on the event is
Cohen's h (Statistical Power Analysis, 1988, chapter 6), the usual effect size of two proportions:

  h = 2 arcsin(sqrt(p)) - 2 arcsin(sqrt(q))

The standard error of arcsin(sqrt(p)) does not depend on p, so h compares rare events with frequent
ones: from 1 to 4 % h is 0.20, from 50 to 53 % it is 0.06, and from 0.01 to 0.04 % it is 0.02. The
difference p - q prefers frequent events, and those that the event model predicts too often in this
corpus. The ratio p / q, differences in units of the deviation over clips, and the area under the
ROC curve prefer events that never happen but whose tiny scores depend on the sound of a scene.
benchmarks/scene_events_recovery.py compares these rankings where the truth is known.

A table of event scores has one row for each location of a scene (for each clip, if the locations
are unknown): truth (the scene), location, clips (their number), and the mean score of each event.
"""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from crossask.errors import DataError
from crossask.evaluation import intervals
from crossask.evaluation.intervals import Bootstrap

UNIT_COLUMNS = ("truth", "location", "clips")


@dataclasses.dataclass(frozen=True)
class EventInScene:
    """An event in a scene, compared with the other scenes.

    Attributes:
      scene: Name of the scene.
      event: Name of the event.
      rank: Position of the event among all events of the scene by effect, 1 for the largest.
      mean: Mean score over the clips of the scene.
      elsewhere: Mean over the other scenes of their mean scores.
      low: Lower end of the interval of the difference.
      high: Upper end of the interval of the difference.
      effect: Cohen's h of `mean` and `elsewhere`, see the top of this file.
      effect_low: Lower end of the interval of the effect.
      effect_high: Upper end of the interval of the effect.
    """

    scene: str
    event: str
    rank: int
    mean: float
    elsewhere: float
    low: float
    high: float
    effect: float
    effect_low: float
    effect_high: float

    @property
    def difference(self) -> float:
        """The mean of the scene minus the mean of the other scenes."""
        return self.mean - self.elsewhere

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval of the effect excludes zero; see `excludes_zero`."""
        return bool(excludes_zero(self.effect_low, self.effect_high))


def read_event_scores(path: str | Path) -> pd.DataFrame:
    """Reads a table of event scores.

    Raises:
      DataError: It cannot be read, a column is missing, a score is not a finite number, or a
        number of clips is not a positive integer.
    """
    fix = "Run crossask-evaluate with --again."
    try:
        table = pd.read_csv(path, dtype={"truth": str, "location": str}, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}).", fix) from error
    for column in UNIT_COLUMNS:
        if column not in table:
            raise DataError(f"{path} has no column {column!r}.", fix)
    scores = table.drop(columns=list(UNIT_COLUMNS))
    try:
        are_finite = np.isfinite(scores.to_numpy(float)).all()
    except ValueError as error:
        raise DataError(f"{path} contains a score that is no number ({error}).", fix) from error
    if not are_finite:
        raise DataError(f"{path} contains a score that is no number.", fix)
    clips = table["clips"]
    if not pd.api.types.is_integer_dtype(clips) or (clips < 1).any():
        raise DataError(
            f"{path} contains a value in the column 'clips' that is not a number of clips.", fix
        )
    return table


def pool_event_scores(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Returns the event scores of several folds as one table.

    A location whose clips are in several folds is one row again, with the mean over its clips, so
    that the bootstrap draws it as a whole.

    Raises:
      DataError: The folds have different events.
    """
    tables = list(tables)
    events = set(tables[0].columns)
    for other in tables[1:]:
        differing = events.symmetric_difference(other.columns)
        if differing:
            raise DataError(
                f"The event scores of two folds have different events: {min(differing)!r} is in "
                "one of them only.",
                "Run crossask-evaluate with --again for all runs of the row.",
            )
    pooled = pd.concat(tables, ignore_index=True)
    units = ["truth", "location"]
    if not has_locations(pooled) or not pooled.duplicated(units).any():
        return pooled
    scores = pooled.drop(columns=list(UNIT_COLUMNS))
    sums = scores.mul(pooled["clips"], axis=0)
    groups = [pooled[name] for name in units]
    clips = pooled["clips"].groupby(groups).sum()
    means = sums.groupby(groups).sum().div(clips, axis=0)
    means.insert(0, "clips", clips)
    return means.reset_index()


def outstanding_events(
    table: pd.DataFrame, events_of_scene: int, bootstrap: Bootstrap
) -> tuple[EventInScene, ...]:
    """Returns the events with the largest effects of each scene, in falling order.

    See `compare_events`.
    """
    return first_events(compare_events(table, events_of_scene, bootstrap), events_of_scene)


def first_events(
    compared: Iterable[EventInScene], events_of_scene: int
) -> tuple[EventInScene, ...]:
    """Returns the first events of each scene, in falling order of their effects.

    Args:
      compared: What `compare_events` returns.
      events_of_scene: Number of events for each scene.
    """
    first = [event for event in compared if event.rank <= events_of_scene]
    return tuple(sorted(first, key=lambda event: (event.scene, event.rank)))


def compare_events(
    table: pd.DataFrame, events_of_scene: int, bootstrap: Bootstrap
) -> tuple[EventInScene, ...]:
    """Returns the events that stand out in any scene, in every scene.

    These are the events with the largest effects of each scene. The intervals are those of the
    bootstrap over locations, see `intervals`. They are not adjusted for the choice of the largest
    effects among many events.

    Args:
      table: A table of event scores.
      events_of_scene: Number of events that each scene contributes.
      bootstrap: Settings of the bootstrap.

    Returns:
      Each scene with each of the events, in the order of the scenes and of the table's events. It
      is empty if there is one scene.
    """
    scenes, truth = np.unique(table["truth"].to_numpy(str), return_inverse=True)
    if len(scenes) < 2:
        return ()
    scores = table.drop(columns=list(UNIT_COLUMNS))
    names = np.array(scores.columns, str)
    values = scores.to_numpy(float)  # [units, events]
    clips = table["clips"].to_numpy(int)

    sums = np.zeros((len(scenes), len(names)))
    np.add.at(sums, truth, values * clips[:, np.newaxis])
    means = sums / np.bincount(truth, weights=clips)[:, np.newaxis]  # [scenes, events]
    elsewhere = means_elsewhere(means)
    effects = cohens_h(means, elsewhere)
    order = np.argsort(-effects, axis=1, kind="stable")
    ranks = np.argsort(order, axis=1) + 1  # [scenes, events]
    # Only the events that are shown are resampled.
    shown = np.unique(order[:, :events_of_scene])
    drawn = _drawn_means(table, values[:, shown], truth, len(scenes), bootstrap)
    drawn_elsewhere = means_elsewhere(drawn)
    drawn_differences = drawn - drawn_elsewhere  # [resamples, scenes, shown]
    drawn_effects = cohens_h(drawn, drawn_elsewhere)

    found = []
    for number, scene in enumerate(scenes):
        for column, event in enumerate(shown):
            low, high = intervals.percentiles(
                drawn_differences[:, number, column], bootstrap.confidence
            )
            effect_low, effect_high = intervals.percentiles(
                drawn_effects[:, number, column], bootstrap.confidence
            )
            found.append(
                EventInScene(
                    scene=str(scene),
                    event=str(names[event]),
                    rank=int(ranks[number, event]),
                    mean=float(means[number, event]),
                    elsewhere=float(elsewhere[number, event]),
                    low=low,
                    high=high,
                    effect=float(effects[number, event]),
                    effect_low=effect_low,
                    effect_high=effect_high,
                )
            )
    return tuple(found)


def cohens_h(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns Cohen's h of proportions, see the top of this file.

    Args:
      first: Proportions, 0..1.
      second: Proportions, 0..1, of the same shape.
    """
    return _angle(first) - _angle(second)


def excludes_zero(low: float | np.ndarray, high: float | np.ndarray) -> bool | np.ndarray:
    """Returns whether intervals exclude zero.

    An interval without a width does not: where every scene has one location, all draws are alike
    and show nothing about other locations.

    Args:
      low: Lower end, or ends.
      high: Upper end, or ends.
    """
    return intervals.has_width(low, high) & ((low > 0) | (high < 0))


def means_elsewhere(means: np.ndarray) -> np.ndarray:
    """Returns for each scene the mean over the other scenes, [..., scenes, events]."""
    scenes = means.shape[-2]
    return (means.sum(axis=-2, keepdims=True) - means) / (scenes - 1)


def single_unit_scenes(table: pd.DataFrame) -> list[str]:
    """Returns the scenes of a table of event scores that have one location, sorted."""
    units = table["truth"].value_counts()
    return sorted(units.index[units == 1])


def has_locations(table: pd.DataFrame) -> bool:
    """Returns whether the locations of a table of event scores are known."""
    return bool((table["location"] != "").all())


def _angle(proportions: np.ndarray) -> np.ndarray:
    # The rounding of a mean can bring it above 1.
    return 2 * np.arcsin(np.sqrt(np.clip(proportions, 0, 1)))


def _drawn_means(
    table: pd.DataFrame, values: np.ndarray, truth: np.ndarray, scenes: int, bootstrap: Bootstrap
) -> np.ndarray:
    """Returns the mean scores of each scene under resampling, [resamples, scenes, events]."""
    clips = table["clips"].to_numpy(int)
    units = np.arange(len(table))
    # A mean over locations is weighted by their numbers of clips: each clip has the mean score of
    # its location.
    return intervals.class_accuracies(
        np.repeat(values, clips, axis=0),
        np.repeat(truth, clips),
        np.repeat(units, clips),
        scenes,
        bootstrap,
    )
