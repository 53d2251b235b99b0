"""Events that stand out in a scene: differences of mean event scores, with intervals.

A table of event scores has one row for each location of a scene (for each clip, if the locations
are unknown): truth (the scene), location, clips (their number), and the mean score of each event.
"""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from crossask.errors import DataError
from crossask.evaluation import intervals
from crossask.evaluation.intervals import Bootstrap

UNIT_COLUMNS = ("truth", "location", "clips")


@dataclasses.dataclass(frozen=True)
class EventInScene:
    """An event that stands out in a scene.

    Attributes:
      scene: Name of the scene.
      event: Name of the event.
      mean: Mean score over the clips of the scene.
      elsewhere: Mean over the other scenes of their mean scores.
      low: Lower end of the interval of the difference.
      high: Upper end of the interval of the difference.
    """

    scene: str
    event: str
    mean: float
    elsewhere: float
    low: float
    high: float

    @property
    def difference(self) -> float:
        """The mean of the scene minus the mean of the other scenes."""
        return self.mean - self.elsewhere


def read_event_scores(path: str | Path) -> pd.DataFrame:
    """Reads a table of event scores.

    Raises:
      DataError: It cannot be read, or a column is missing.
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
        finite = np.isfinite(scores.to_numpy(float)).all()
    except ValueError as error:
        raise DataError(f"{path} contains a score that is no number ({error}).", fix) from error
    if not finite:
        raise DataError(f"{path} contains a score that is no number.", fix)
    return table


def outstanding_events(
    table: pd.DataFrame, events_of_scene: int, bootstrap: Bootstrap
) -> tuple[EventInScene, ...]:
    """Returns the events with the largest differences of each scene, in falling order.

    The interval of a difference is that of the bootstrap over locations, see `intervals`. It is not
    adjusted for the choice of the largest differences among many events.

    Args:
      table: A table of event scores.
      events_of_scene: Number of events for each scene.
      bootstrap: Settings of the bootstrap.
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
    elsewhere = _means_elsewhere(means)
    # Only the events that are shown are resampled.
    order = np.argsort(elsewhere - means, axis=1, kind="stable")[:, :events_of_scene]
    shown = np.unique(order)
    drawn = _drawn_means(table, values[:, shown], truth, len(scenes), bootstrap)
    drawn_differences = drawn - _means_elsewhere(drawn)  # [resamples, scenes, shown]

    found = []
    for number, scene in enumerate(scenes):
        for event in order[number]:
            draws = drawn_differences[:, number, np.searchsorted(shown, event)]
            low, high = intervals.percentiles(draws, bootstrap.confidence)
            found.append(
                EventInScene(
                    scene=str(scene),
                    event=str(names[event]),
                    mean=float(means[number, event]),
                    elsewhere=float(elsewhere[number, event]),
                    low=low,
                    high=high,
                )
            )
    return tuple(found)


def has_locations(table: pd.DataFrame) -> bool:
    """Returns whether the locations of a table of event scores are known."""
    return bool((table["location"] != "").all())


def _means_elsewhere(means: np.ndarray) -> np.ndarray:
    """Returns for each scene the mean over the other scenes, [..., scenes, events]."""
    scenes = means.shape[-2]
    return (means.sum(axis=-2, keepdims=True) - means) / (scenes - 1)


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
