"""The events that stand out in each scene, by the scores of a row's event model."""

import dataclasses
from collections.abc import Sequence

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
      compared: Every event that stands out in a scene, in every scene.
      over: What the intervals draw: "location" or "clip".
      confidence: Confidence of the intervals, a fraction.
      single: Scenes of one location (of one clip, if the locations are unknown).
    """

    row: Row
    compared: tuple[evaluation.EventInScene, ...]
    over: str
    confidence: float
    single: tuple[str, ...]

    @property
    def found(self) -> tuple[evaluation.EventInScene, ...]:
        """The events that stand out in each scene, those with the largest effects first."""
        return events.first_events(self.compared, EVENTS_OF_SCENE)

    def by_scene(self) -> dict[str, list[evaluation.EventInScene]]:
        """Returns scene -> the events that stand out in it."""
        groups: dict[str, list[evaluation.EventInScene]] = {}
        for event in self.found:
            groups.setdefault(event.scene, []).append(event)
        return groups

    def effects(self) -> dict[str, dict[str, list[float]]]:
        """Returns scene -> event -> lower end of the interval, effect, upper end."""
        groups: dict[str, dict[str, list[float]]] = {}
        for event in self.compared:
            effect = [event.effect_low, event.effect, event.effect_high]
            groups.setdefault(event.scene, {})[event.event] = effect
        return groups


def find_scene_events(rows: Sequence[Row], resamples: int) -> SceneEvents | None:
    """Returns the events of the scenes for the first row with event scores; None without one.

    Args:
      rows: The rows of one corpus.
      resamples: Number of draws of the bootstrap.

    Raises:
      DataError: The event scores of two folds of a row have different events.
    """
    bootstrap = Bootstrap(resamples)
    for row in rows:
        # Event scores do not depend on the seed, but on the clips of the fold.
        tables = [run.event_scores for run in row.runs if run.seed == row.seeds[0]]
        if any(table is None for table in tables):
            continue
        table = evaluation.pool_event_scores(tables)
        compared = evaluation.compare_events(table, EVENTS_OF_SCENE, bootstrap)
        if compared:
            over = "location" if events.has_locations(table) else "clip"
            single = tuple(events.single_unit_scenes(table))
            return SceneEvents(row, compared, over, bootstrap.confidence, single)
    return None
