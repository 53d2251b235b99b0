"""A checked table of predictions as arrays, sorted by clip; several of them held against one another."""

import numpy as np
import pandas as pd

from crossask.errors import DataError
from crossask.evaluation.predictions import check, filled, scenes_of


class View:
    """One checked table, sorted by clip, as arrays: what came in which order never shows in a score.

    Attributes:
      scenes: names, in the order of the table's columns.
      clips, labels: names [clips]; location and city likewise, or None where the table lacks them.
      truth, predicted: indices into `scenes` [clips]; of equal probabilities the first scene is the prediction.
      correct: 1.0 or 0.0 [clips].
      probabilities: [clips, scenes], 0..1.
    """

    def __init__(self, table: pd.DataFrame):
        check(table, "the table of predictions")
        table = table.sort_values("clip", kind="stable")
        columns = scenes_of(table)
        self.scenes = tuple(columns)
        self.clips = table["clip"].to_numpy(str)
        self.labels = table["truth"].to_numpy(str)
        self.location = (
            table["location"].to_numpy(str)
            if "location" in table and filled(table["location"])
            else None
        )
        self.city = (
            table["city"].to_numpy(str) if "city" in table and filled(table["city"]) else None
        )
        self.probabilities = table[columns].to_numpy(float)
        index = {scene: number for number, scene in enumerate(self.scenes)}
        self.truth = np.array([index[label] for label in self.labels])
        self.predicted = self.probabilities.argmax(axis=1)
        self.correct = (self.predicted == self.truth).astype(float)

    @property
    def macro_accuracy(self) -> float:
        return macro(self.correct, self.truth)

    def clusters(self):
        """(what is drawn together [clips], its name)."""
        return (self.clips, "clip") if self.location is None else (self.location, "location")

    def location_count(self, at=slice(None)) -> int | None:
        return None if self.location is None else len(set(self.location[at]))

    def confusion(self, scenes) -> np.ndarray:
        """Clips by truth and prediction [scenes, scenes], both in the order of `scenes`."""
        place = np.array([scenes.index(scene) for scene in self.scenes])
        matrix = np.zeros((len(scenes), len(scenes)))
        np.add.at(matrix, (place[self.truth], place[self.predicted]), 1)
        return matrix

    def single_cluster_scenes(self, at=slice(None)) -> list[str]:
        """The scenes that were heard at one location only, among the clips `at`."""
        cluster, truth = self.clusters()[0][at], self.truth[at]
        return [
            scene
            for index, scene in enumerate(self.scenes)
            if len(set(cluster[truth == index])) == 1
        ]

    def notes(self) -> list[str]:
        """What a reader of the interval has to know."""
        notes = []
        cluster, unit = self.clusters()
        if self.location is None:
            notes.append(
                "No locations are given: the interval resamples clips, which is too narrow where clips share a location."
            )
        single = self.single_cluster_scenes()
        if single:
            notes.append(
                f"One {unit} only for {', '.join(single)}: the interval is too narrow, and no difference can be called real."
            )
        absent = [
            scene for index, scene in enumerate(self.scenes) if not (self.truth == index).any()
        ]
        if absent:
            notes.append(
                f"No clip of {', '.join(absent)}: macro accuracy is the mean over the other scenes."
            )
        pairs = {(place, truth) for place, truth in zip(cluster, self.truth, strict=True)}
        if len(pairs) > len(set(cluster)):
            notes.append(
                "Some locations hold clips of several scenes; each scene draws its locations by itself."
            )
        return notes


def aligned(tables) -> list[View]:
    """Tables over training seeds as views of the same clips; a DataError where they are not."""
    views = [View(table) for table in tables]
    if not views:
        raise DataError("No table of predictions was given.", "Give at least one table a side.")
    for number, view in enumerate(views[1:], start=2):
        check_same_clips(views[0], view, "seed 1 of the list", f"seed {number}")
        if set(view.scenes) != set(views[0].scenes):
            raise DataError(
                "Two seeds of one row know different scenes.", "Compare seeds of one row only."
            )
    return views


def check_same_clips(a: View, b: View, name_a: str, name_b: str):
    """Raises DataError unless both hold the same clips, with the same truth and, where both know it, the same location."""
    only_a, only_b = sorted(set(a.clips) - set(b.clips)), sorted(set(b.clips) - set(a.clips))
    if only_a or only_b:
        lack, clip = (name_b, only_a[0]) if only_a else (name_a, only_b[0])
        raise DataError(
            f"The clips differ: {len(only_a)} only in {name_a}, {len(only_b)} only in {name_b}; {lack} lacks {str(clip)!r}.",
            "Compare predictions of the same clips.",
        )
    for what, left, right in (("truth", a.labels, b.labels), ("location", a.location, b.location)):
        if left is not None and right is not None and (left != right).any():
            at = int(np.flatnonzero(left != right)[0])
            raise DataError(
                f"Clip {str(a.clips[at])!r} has the {what} {str(left[at])!r} in {name_a} and {str(right[at])!r} in {name_b}.",
                "Compare predictions of one corpus.",
            )


def macro(correct, truth) -> float:
    """Macro accuracy: the mean over the scenes present of the mean of `correct` [clips]; `truth` [clips] are indices."""
    totals = np.bincount(truth)
    return float(np.mean((np.bincount(truth, weights=correct)[totals > 0]) / totals[totals > 0]))


def deviation(values) -> float | None:
    """Standard deviation with n - 1; None for one value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
