"""The scores of one row of a results table.

The score is macro accuracy, the mean of the class-wise accuracies (paper, Section 4.1). Its interval resamples locations:
it speaks of other locations like these, in cities like these, and of nothing else that might have come out otherwise.
"""

import numpy as np
import pandas as pd

from crossask.errors import DataError
from crossask.evaluation import probabilities, resampling
from crossask.evaluation.views import View, aligned, deviation, macro


def score(
    table: pd.DataFrame,
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
    seen_cities=None,
) -> dict:
    """The scores of one table, ready for JSON: those of `summarise`, less what is said of seeds."""
    result = summarise([table], resamples, seed, confidence, seen_cities)
    return {key: value for key, value in result.items() if not key.startswith("seed")}


def summarise(
    tables, resamples: int = 2000, seed: int = 0, confidence: float = 0.95, seen_cities=None
) -> dict:
    """The scores of one row of a results table: tables over training seeds, all of the same clips.

    Every score is a mean over seeds. For the interval a clip counts with its mean correctness over the seeds, so it holds
    the chance of the locations, not of the training; that stands beside it as seed_deviation (n - 1; None for one seed).

    Args:
      seen_cities: the cities of the training clips, or None where they are unknown or the corpus has no cities.

    Returns:
      macro_accuracy with its interval, micro_accuracy, log_loss (natural logarithm, mean over clips), brier (0 to 2),
      calibration, per_class (accuracy, clips, locations, interval), confusion (rows: truth, columns: prediction, both in
      the order of `scenes`), cities, seen and unseen (clips, locations, macro accuracy over the scenes heard there, and its
      interval; None where no clip or no city is known), the number of clips and locations, and notes that a reader of the
      intervals has to know.

    Raises:
      DataError: a faulty table, tables of different clips, or one name given as the seen cities.
    """
    views = aligned(tables)
    first = views[0]
    correct = np.mean([view.correct for view in views], axis=0)
    cluster, unit = first.clusters()
    accuracies = resampling.class_accuracies(
        correct[:, None], first.truth, cluster, len(first.scenes), resamples, seed
    )[..., 0]
    present = np.bincount(first.truth, minlength=len(first.scenes)) > 0
    confusion = np.mean([view.confusion(first.scenes) for view in views], axis=0)
    per_seed = [view.macro_accuracy for view in views]
    halves, half_notes = _halves(first, correct, seen_cities, resamples, seed, confidence)
    return {
        "clips": len(first.truth),
        "locations": first.location_count(),
        "scenes": list(first.scenes),
        "macro_accuracy": float(np.mean(per_seed)),
        "interval": resampling.interval(
            accuracies[:, present].mean(axis=1), unit, resamples, seed, confidence
        ),
        "micro_accuracy": float(correct.mean()),
        "log_loss": float(np.mean([probabilities.log_loss(view) for view in views])),
        "brier": float(np.mean([probabilities.brier(view) for view in views])),
        "calibration": probabilities.calibration(views),
        "per_class": _per_class(first, correct, accuracies, confidence),
        "confusion": confusion.astype(int).tolist() if len(views) == 1 else confusion.tolist(),
        "cities": _cities(first, correct),
        **halves,
        "notes": first.notes() + half_notes,
        "seeds": len(views),
        "seed_macro_accuracies": per_seed,
        "seed_deviation": deviation(per_seed),
    }


def _per_class(view: View, correct, accuracies, confidence: float) -> dict:
    """Per scene: its accuracy, clips, locations, interval; the first and the last are None for a scene without clips."""
    found = {}
    for index, scene in enumerate(view.scenes):
        at = view.truth == index
        found[scene] = {
            "accuracy": float(correct[at].mean()) if at.any() else None,
            "clips": int(at.sum()),
            "locations": view.location_count(at),
            "interval": resampling.percentiles(accuracies[:, index], confidence)
            if at.any()
            else None,
        }
    return found


def _cities(view: View, correct) -> dict:
    """Per city: clips, locations, micro accuracy, and macro accuracy over the scenes heard there."""
    if view.city is None:
        return {}
    found = {}
    for city in sorted(set(view.city)):
        at = view.city == city
        found[city] = {
            "clips": int(at.sum()),
            "locations": view.location_count(at),
            "micro_accuracy": float(correct[at].mean()),
            "macro_accuracy": macro(correct[at], view.truth[at]),
        }
    return found


def _halves(
    view: View, correct, seen_cities, resamples: int, seed: int, confidence: float
) -> tuple[dict, list[str]]:
    """(scores of the clips of seen and of unseen cities, notes on their intervals)."""
    if isinstance(seen_cities, str):
        raise DataError(
            f"The seen cities are one name, {seen_cities!r}.", "Give a collection of names."
        )
    halves, notes = {"seen": None, "unseen": None}, []
    if view.city is None or seen_cities is None:
        return halves, notes
    seen = np.isin(view.city, sorted(seen_cities))
    cluster, unit = view.clusters()
    for name, at in (("seen", seen), ("unseen", ~seen)):
        if not at.any():
            continue
        truth = view.truth[at]
        drawn = resampling.class_accuracies(
            correct[at][:, None], truth, cluster[at], len(view.scenes), resamples, seed
        )[..., 0]
        present = np.bincount(truth, minlength=len(view.scenes)) > 0
        halves[name] = {
            "clips": int(at.sum()),
            "locations": view.location_count(at),
            "macro_accuracy": macro(correct[at], truth),
            "interval": resampling.interval(
                drawn[:, present].mean(axis=1), unit, resamples, seed, confidence
            ),
        }
        single = [
            scene
            for scene in view.single_cluster_scenes(at)
            if scene not in view.single_cluster_scenes()
        ]
        if single:
            notes.append(
                f"One {unit} only for {', '.join(single)} in the {name} cities: their interval is too narrow."
            )
    return halves, notes
