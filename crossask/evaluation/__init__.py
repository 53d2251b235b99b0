"""From tables of predictions to scores, intervals and paired differences. NumPy alone; pandas only holds the tables.

A table has one row a clip: clip, location and city (both optional), truth, then one probability column a scene. Nothing
here knows a model, so anybody's predictions can be scored. All accuracies are fractions between 0 and 1.

The score is macro accuracy, the mean of the class-wise accuracies (paper, Section 4.1). Clips of one location resemble
one another, so its interval resamples locations, not clips, and draws them within each scene, so that no scene vanishes.
Of n locations n - 1 are drawn (Rao and Wu 1988): drawing n would make the variance too small by (n - 1) / n, which is a
third where a scene has three locations.
"""

import numpy as np
import pandas as pd

from crossask.errors import DataError
from crossask.evaluation.predictions import check, filled, read_predictions, scenes_of

__all__ = ["compare", "pool", "read_predictions", "score", "summarise"]


def score(table: pd.DataFrame, resamples: int = 2000, seed: int = 0, confidence: float = 0.95) -> dict:
    """The scores of one table, ready for JSON.

    Returns:
      macro_accuracy with its interval, micro_accuracy, log_loss (natural logarithm, mean over clips), per_class (accuracy,
      clips, locations, interval), confusion (rows: truth, columns: prediction, both in the order of `scenes`), cities, the
      number of clips and locations, and notes that a reader of the interval has to know.
    """
    result = summarise([table], resamples, seed, confidence)
    return {key: value for key, value in result.items() if not key.startswith("seed")}


def summarise(tables, resamples: int = 2000, seed: int = 0, confidence: float = 0.95) -> dict:
    """The scores of one row of a results table: tables over training seeds, all of the same clips.

    Every score is a mean over seeds. For the interval a clip counts with its mean correctness over the seeds, so it holds
    the chance of the locations, not of the training; that stands beside it as seed_deviation (n - 1; None for one seed).
    """
    views = _aligned(tables)
    first = views[0]
    correct = np.mean([view.correct for view in views], axis=0)
    cluster, unit = first.clusters()
    accuracies = _resampled(correct[:, None], first.truth, cluster, len(first.scenes), resamples, seed)[..., 0]
    present = np.bincount(first.truth, minlength=len(first.scenes)) > 0
    confusion = np.mean([view.confusion(first.scenes) for view in views], axis=0)
    per_seed = [_macro(view.correct, view.truth) for view in views]
    per_class = {}
    for index, scene in enumerate(first.scenes):
        at = first.truth == index
        per_class[scene] = {
            "accuracy": float(correct[at].mean()) if present[index] else None,
            "clips": int(at.sum()),
            "locations": len(set(first.location[at])) if first.location is not None else None,
            "interval": _percentiles(accuracies[:, index], confidence) if present[index] else None,
        }
    return {
        "clips": len(first.truth),
        "locations": first.location_count(),
        "scenes": list(first.scenes),
        "macro_accuracy": float(np.mean(per_seed)),
        "interval": _interval(accuracies[:, present].mean(axis=1), unit, resamples, seed, confidence),
        "micro_accuracy": float(correct.mean()),
        "log_loss": float(np.mean([view.log_loss for view in views])),
        "per_class": per_class,
        "confusion": confusion.astype(int).tolist() if len(views) == 1 else confusion.tolist(),
        "cities": first.cities(correct),
        "notes": first.notes(),
        "seeds": len(views),
        "seed_macro_accuracies": per_seed,
        "seed_deviation": _deviation(per_seed),
    }


def compare(tables_a, tables_b, resamples: int = 2000, seed: int = 0, confidence: float = 0.95) -> dict:
    """How far macro accuracy of `a` stands above that of `b` on the same clips; lists of tables over training seeds.

    A clip counts with its mean correctness over the seeds; both sides see the same drawn locations, so what makes a
    location easy for both cancels. The verdict is "better" or "worse" only where the interval excludes zero and every
    scene was heard at two locations or more; otherwise "cannot tell". The two may have different numbers of seeds.

    Raises:
      DataError: the two do not hold the same clips with the same truth; it names the difference.
    """
    views_a, views_b = _aligned(tables_a), _aligned(tables_b)
    a, b = views_a[0], views_b[0]
    _same_clips(a, b, "the first", "the second")
    where = a if a.location is not None else b
    both = np.stack([np.mean([v.correct for v in views], axis=0) for views in (views_a, views_b)], axis=1)  # [clips, 2]
    cluster, unit = where.clusters()
    # truth of `a` for both: the sides may order their scenes differently, or know scenes that the other does not
    drawn = _resampled(both, a.truth, cluster, len(a.scenes), resamples, seed)
    present = np.bincount(a.truth, minlength=len(a.scenes)) > 0
    differences = (drawn[..., 0] - drawn[..., 1])[:, present].mean(axis=1)
    interval = _interval(differences, unit, resamples, seed, confidence)
    sides = {}
    for name, views in (("a", views_a), ("b", views_b)):
        per_seed = [_macro(view.correct, view.truth) for view in views]
        sides[name] = {"macro_accuracy": float(np.mean(per_seed)), "seed_macro_accuracies": per_seed}
        sides[name]["seed_deviation"] = _deviation(per_seed)
    verdict = "better" if interval["low"] > 0 else "worse" if interval["high"] < 0 else "cannot tell"
    return {
        "difference": sides["a"]["macro_accuracy"] - sides["b"]["macro_accuracy"],
        "interval": interval,
        "verdict": "cannot tell" if where.single_cluster_scenes() else verdict,
        "clips": len(a.truth),
        "locations": where.location_count(),
        **sides,
        "notes": where.notes(),
    }


def pool(tables) -> pd.DataFrame:
    """One table from the tables of several folds; a clip that stands in two of them is a DataError."""
    tables = list(tables)
    scenes = [set(scenes_of(table)) for table in tables]
    if any(other != scenes[0] for other in scenes):
        raise DataError("The folds to pool know different scenes.", "Pool folds of one corpus only.")
    # location or city is kept only where every fold has it: half a column would be a location called "nan"
    pooled = pd.concat(tables, ignore_index=True, join="inner")
    twice = pooled["clip"][pooled["clip"].duplicated()]
    if len(twice):
        raise DataError(f"Clip {twice.iloc[0]!r} stands in two folds' predictions.", "Pool each fold once.")
    return pooled


class _View:
    """One checked table, sorted by clip, as arrays: what came in which order never shows in a score."""

    def __init__(self, table: pd.DataFrame):
        check(table, "the table of predictions")
        table = table.sort_values("clip", kind="stable")
        self.columns = scenes_of(table)
        self.scenes = tuple(self.columns)
        self.clips = table["clip"].to_numpy(str)
        self.labels = table["truth"].to_numpy(str)
        known = ("location" in table and filled(table["location"]), "city" in table and filled(table["city"]))
        self.location = table["location"].to_numpy(str) if known[0] else None
        self.city = table["city"].to_numpy(str) if known[1] else None
        probabilities = table[self.columns].to_numpy(float)  # [clips, scenes]
        index = {scene: number for number, scene in enumerate(self.scenes)}
        self.truth = np.array([index[label] for label in self.labels])
        self.predicted = probabilities.argmax(axis=1)  # the first of equals
        self.correct = (self.predicted == self.truth).astype(float)
        chosen = probabilities[np.arange(len(self.truth)), self.truth]
        self.log_loss = float(-np.log(np.clip(chosen, np.finfo(float).eps, 1)).mean())

    def clusters(self):
        """(what is drawn together [clips], its name)."""
        return (self.clips, "clip") if self.location is None else (self.location, "location")

    def location_count(self) -> int | None:
        return None if self.location is None else len(set(self.location))

    def confusion(self, scenes) -> np.ndarray:
        place = np.array([scenes.index(scene) for scene in self.scenes])
        matrix = np.zeros((len(scenes), len(scenes)))
        np.add.at(matrix, (place[self.truth], place[self.predicted]), 1)
        return matrix

    def cities(self, correct) -> dict:
        """Per city: clips, locations, micro accuracy, and macro accuracy over the scenes heard there."""
        if self.city is None:
            return {}
        found = {}
        for city in sorted(set(self.city)):
            at = self.city == city
            found[city] = {
                "clips": int(at.sum()),
                "locations": None if self.location is None else len(set(self.location[at])),
                "micro_accuracy": float(correct[at].mean()),
                "macro_accuracy": _macro(correct[at], self.truth[at]),
            }
        return found

    def single_cluster_scenes(self) -> list[str]:
        cluster, _ = self.clusters()
        return [s for i, s in enumerate(self.scenes) if (self.truth == i).any() and len(set(cluster[self.truth == i])) == 1]

    def notes(self) -> list[str]:
        """What a reader of the interval has to know."""
        notes = []
        cluster, unit = self.clusters()
        if self.location is None:
            notes.append("No locations are given: the interval resamples clips, which is too narrow where clips share a location.")
        single = self.single_cluster_scenes()
        if single:
            notes.append(f"One {unit} only for {', '.join(single)}: the interval is too narrow, and no difference can be called real.")
        absent = [s for i, s in enumerate(self.scenes) if not (self.truth == i).any()]
        if absent:
            notes.append(f"No clip of {', '.join(absent)}: macro accuracy is the mean over the other scenes.")
        pairs = {(place, truth) for place, truth in zip(cluster, self.truth, strict=True)}
        if len(pairs) > len(set(cluster)):
            notes.append("Some locations hold clips of several scenes; each scene draws its locations by itself.")
        return notes


def _aligned(tables) -> list[_View]:
    views = [_View(table) for table in tables]
    if not views:
        raise DataError("No table of predictions was given.", "Give at least one table a side.")
    for number, view in enumerate(views[1:], start=2):
        _same_clips(views[0], view, "seed 1 of the list", f"seed {number}")
        if set(view.scenes) != set(views[0].scenes):
            raise DataError("Two seeds of one row know different scenes.", "Compare seeds of one row only.")
    return views


def _same_clips(a: _View, b: _View, name_a: str, name_b: str):
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


def _macro(correct, truth) -> float:
    """Mean over the scenes present of the mean of `correct` [clips]."""
    totals = np.bincount(truth)
    return float(np.mean((np.bincount(truth, weights=correct)[totals > 0]) / totals[totals > 0]))


def _resampled(values, truth, cluster, scenes: int, resamples: int, seed: int) -> np.ndarray:
    """Class accuracies under resampling, [resamples, scenes, k], from values [clips, k]; NaN for a scene without clips.

    Per scene, sums and counts by cluster come first; one draw is then a row of multinomial weights, all draws one product.
    """
    rng = np.random.default_rng(seed)
    out = np.full((resamples, scenes, values.shape[1]), np.nan)
    for scene in range(scenes):
        at = truth == scene
        if not at.any():
            continue
        names, inverse = np.unique(cluster[at], return_inverse=True)
        counts = np.bincount(inverse).astype(float)
        sums = np.stack([np.bincount(inverse, weights=column) for column in values[at].T], axis=1)
        weights = rng.multinomial(max(len(names) - 1, 1), np.full(len(names), 1 / len(names)), size=resamples).astype(float)
        out[:, scene] = (weights @ sums) / (weights @ counts)[:, None]
    return out


def _percentiles(draws, confidence: float) -> list[float]:
    tail = 50 * (1 - confidence)
    return [float(value) for value in np.percentile(draws, [tail, 100 - tail])]


def _interval(draws, unit: str, resamples: int, seed: int, confidence: float) -> dict:
    low, high = _percentiles(draws, confidence)
    how = f"percentile bootstrap; {unit}s drawn with replacement within each scene, one fewer than there are"
    found = {"low": low, "high": high, "confidence": confidence, "over": unit, "method": how}
    return {**found, "resamples": resamples, "resampling_seed": seed}


def _deviation(values) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
