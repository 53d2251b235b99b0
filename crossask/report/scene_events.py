"""The events that stand out in each scene, by the scores of a row's event model."""

import dataclasses
from collections.abc import Sequence

import pandas as pd

from crossask import evaluation
from crossask.evaluation import events
from crossask.evaluation.intervals import Bootstrap
from crossask.report.rows import Row

EVENTS_OF_SCENE = 4


@dataclasses.dataclass(frozen=True)
class SceneEvents:
    """The events that stand out in each scene.

    Attributes:
      row: The row whose event model computed the scores.
      found: The events of each scene, those with the largest differences first.
      over: What the intervals draw: "location" or "clip".
      confidence: Confidence of the intervals, a fraction.
    """

    row: Row
    found: tuple[evaluation.EventInScene, ...]
    over: str
    confidence: float

    def by_scene(self) -> dict[str, list[evaluation.EventInScene]]:
        """Returns scene -> its events."""
        groups: dict[str, list[evaluation.EventInScene]] = {}
        for event in self.found:
            groups.setdefault(event.scene, []).append(event)
        return groups


def find_scene_events(rows: Sequence[Row], resamples: int) -> SceneEvents | None:
    """Returns the events of the scenes for the first row with event scores; None without one.

    Args:
      rows: The rows of one corpus.
      resamples: Number of draws of the bootstrap.
    """
    bootstrap = Bootstrap(resamples)
    for row in rows:
        # Event scores do not depend on the seed, but on the clips of the fold.
        tables = [run.event_scores for run in row.runs if run.seed == row.seeds[0]]
        if any(table is None for table in tables):
            continue
        table = pd.concat(tables, ignore_index=True)
        found = evaluation.outstanding_events(table, EVENTS_OF_SCENE, bootstrap)
        if found:
            over = "location" if events.has_locations(table) else "clip"
            return SceneEvents(row, found, over, bootstrap.confidence)
    return None
