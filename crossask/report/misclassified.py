"""The clips that a row misclassifies."""

import collections
import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from crossask.evaluation import predictions
from crossask.evaluation.predictions import Predictions
from crossask.report.rows import Row


@dataclasses.dataclass(frozen=True)
class MisclassifiedClip:
    """A clip that at least one seed of a row misclassifies; probabilities are means over seeds.

    Attributes:
      clip: Name of the clip.
      location: Its location; "" if it is unknown.
      truth: The true scene.
      predicted: The wrong scene that most seeds predict; if there are several, the one with the
        highest probability.
      wrong_seeds: Number of seeds that misclassify it.
      seeds: Number of seeds.
      probability_of_truth: Probability of the true scene.
      probability_of_predicted: Probability of `predicted`.
    """

    clip: str
    location: str
    truth: str
    predicted: str
    wrong_seeds: int
    seeds: int
    probability_of_truth: float
    probability_of_predicted: float


def find_misclassified(row: Row) -> tuple[MisclassifiedClip, ...]:
    """Returns the clips that at least one seed misclassifies.

    Clips that more seeds misclassify are first, and among these the more probable mistakes.
    """
    seeds = predictions.aligned(row.tables)
    correct = np.stack([seed.correct for seed in seeds])  # [seeds, clips]
    found = []
    for index in np.flatnonzero(correct.min(axis=0) == 0):
        found.append(_clip(seeds, int(index)))
    return tuple(sorted(found, key=_order))


def always_misclassified(of_rows: Sequence[Sequence[MisclassifiedClip]]) -> list[str]:
    """Returns the names of the clips that every seed of every row misclassifies, sorted.

    Args:
      of_rows: The clips that each row misclassifies.
    """
    sets = []
    for clips in of_rows:
        sets.append({clip.clip for clip in clips if clip.wrong_seeds == clip.seeds})
    return sorted(set.intersection(*sets))


def folder_of(row: Row) -> str:
    """Returns the folder of all clips of a row if their names are absolute paths, else "".

    It ends in a separator. Tables of own recordings may list absolute paths, which all start with
    the same long text.
    """
    clips = row.tables[0]["clip"].astype(str)
    if not all(os.path.isabs(clip) for clip in clips):
        return ""
    try:
        folder = os.path.commonpath([os.path.dirname(clip) for clip in clips])
    except ValueError:
        # On Windows, clips may be on several drives.
        return ""
    return os.path.join(folder, "")


def _order(clip: MisclassifiedClip) -> tuple[int, float, str]:
    """Returns by what clips are sorted; their names make the order the same in every report."""
    return -clip.wrong_seeds, -clip.probability_of_predicted, clip.clip


def _clip(seeds: Sequence[Predictions], index: int) -> MisclassifiedClip:
    """Returns a clip that some seeds misclassify; `index` is its position in their tables."""
    first = seeds[0]
    truth = str(first.labels[index])
    votes: collections.Counter[str] = collections.Counter()
    probabilities = dict.fromkeys(first.scenes, 0.0)
    for seed in seeds:
        # Seeds may have their scenes in different orders.
        for scene, probability in zip(seed.scenes, seed.probabilities[index], strict=True):
            probabilities[scene] += float(probability) / len(seeds)
        predicted = seed.scenes[seed.predicted[index]]
        if predicted != truth:
            votes[predicted] += 1
    most_votes = max(votes.values())
    candidates = sorted(scene for scene in votes if votes[scene] == most_votes)
    wrong = max(candidates, key=probabilities.get)
    return MisclassifiedClip(
        clip=str(first.clips[index]),
        location="" if first.location is None else str(first.location[index]),
        truth=truth,
        predicted=wrong,
        wrong_seeds=votes.total(),
        seeds=len(seeds),
        probability_of_truth=probabilities[truth],
        probability_of_predicted=probabilities[wrong],
    )
