"""The clips that a row misclassifies."""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

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
    first = row.predictions[0]
    # Sorted, so that ties are resolved alike in every report. Seeds may have another order.
    scenes = sorted(first.scenes)
    votes = np.zeros((len(first.clips), len(scenes)), int)
    probabilities = np.zeros(votes.shape)
    for seed in row.predictions:
        columns = [seed.scenes.index(scene) for scene in scenes]
        probabilities += seed.probabilities[:, columns] / len(row.predictions)
        position_of = np.argsort(columns)  # index in the order of the seed -> index in `scenes`
        wrong = np.flatnonzero(seed.correct == 0)
        votes[wrong, position_of[seed.predicted[wrong]]] += 1
    # Among the scenes with most votes, the most probable one.
    has_most_votes = votes == votes.max(axis=1, keepdims=True)
    predicted = np.where(has_most_votes, probabilities, -1).argmax(axis=1)
    wrong_seeds = votes.sum(axis=1)
    found = []
    for index in np.flatnonzero(wrong_seeds):
        truth = str(first.labels[index])
        clip = MisclassifiedClip(
            clip=str(first.clips[index]),
            location="" if first.location is None else str(first.location[index]),
            truth=truth,
            predicted=scenes[predicted[index]],
            wrong_seeds=int(wrong_seeds[index]),
            seeds=len(row.predictions),
            probability_of_truth=float(probabilities[index, scenes.index(truth)]),
            probability_of_predicted=float(probabilities[index, predicted[index]]),
        )
        found.append(clip)
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
    clips = row.predictions[0].clips
    if not all(os.path.isabs(clip) for clip in clips):
        return ""
    try:
        folder = os.path.commonpath([os.path.dirname(clip) for clip in clips])
    except ValueError:
        # On Windows, clips may be on several drives.
        return ""
    return os.path.join(folder, "")


def _order(clip: MisclassifiedClip) -> tuple[int, float, str]:
    """Returns the key by which clips are sorted; the name makes the order of ties the same."""
    return -clip.wrong_seeds, -clip.probability_of_predicted, clip.clip
