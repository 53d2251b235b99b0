"""The lines of a table of accuracies: groups of clips, such as scenes, by the rows of a report."""

from collections.abc import Iterable, Sequence

from crossask.evaluation.scores import CityScore, PartScore, SceneScore
from crossask.report import formatting

Score = SceneScore | CityScore | PartScore | None


def accuracy_matrix(
    groups: Iterable[tuple[str, Sequence[Score]]],
) -> tuple[list[list[str]], list[list[float | None]]]:
    """Returns the lines and the shares of a `Section` whose style is "matrix".

    A line contains the title of a group, its number of clips, and its accuracy in each row. A
    `PartScore` is shown with its interval.

    Args:
      groups: Title of each group, and its score in each row, which is None without such clips.
    """
    lines = []
    shares = []
    for title, scores in groups:
        lines.append([title, clips_text(scores), *[_text(score) for score in scores]])
        shares.append([_accuracy(score) for score in scores])
    return lines, shares


def clips_text(scores: Sequence[Score]) -> str:
    """Returns the number of clips in a group, or several numbers if the rows differ in it."""
    clips = sorted({score.clips for score in scores if score})
    return ", ".join(str(number) for number in clips)


def _text(score: Score) -> str:
    if isinstance(score, PartScore):
        return formatting.part_score(score)
    return formatting.percent(_accuracy(score))


def _accuracy(score: Score) -> float | None:
    if score is None:
        return None
    if isinstance(score, SceneScore):
        return score.accuracy
    return score.macro_accuracy
