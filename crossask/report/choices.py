"""What a choice that the paper leaves open can move: rows that differ from another in that choice alone."""

import dataclasses

from crossask.report import comparing, published
from crossask.report.comparing import Comparisons
from crossask.report.events import CONTROLS
from crossask.report.openings import OPEN
from crossask.report.rows import TableRow, fields_apart, title_of, with_most

_OPEN = {opening.field for opening in OPEN}
# a tap that needs its matrix is one choice
_ONE_CHOICE = frozenset({"event_model.embedding_tap", "event_model.pca"})


@dataclasses.dataclass(frozen=True)
class Moved:
    """A row with one choice moved: it minus the row it was moved from, paired."""

    line: TableRow
    field: str
    value: object
    found: dict | None
    missing: str
    adjusted_p: float | None = None
    verdict: str = ""


@dataclasses.dataclass(frozen=True)
class Study:
    """The row from which choices were moved, and the rows with each of them."""

    reference: TableRow
    moved: tuple[Moved, ...]

    @property
    def largest(self) -> Moved | None:
        """The largest effect, be it told from nothing or not."""
        return max(
            (one for one in self.moved if one.found),
            key=lambda one: abs(one.found["difference"]),
            default=None,
        )


def find(lines, comparisons: Comparisons) -> Study | None:
    """The row from which most choices were moved (the first of several); None where fewer than two were."""
    best, most = with_most(lines, lines, _moved_choice)
    if len(most) < 2:
        return None
    moved = []
    for other, field in most:
        moved.append(
            Moved(other, field, other.row.fields[field], *comparisons.between(other.row, best.row))
        )
    return Study(best, tuple(moved))


def judged(study: Study | None, adjusted: dict) -> Study | None:
    """The same with adjusted p and the verdict that it leaves."""
    if study is None:
        return None
    key = study.reference.row.key
    return dataclasses.replace(
        study, moved=comparing.judged(study.moved, adjusted, lambda one: (one.line.row.key, key))
    )


def differences_in_the_paper() -> list[tuple[str, float]]:
    """The differences that Section 3.3 speaks of: (what against what on which corpus, points)."""
    return [
        (
            f"{title_of(*claim.first)} against {title_of(*claim.second)} on {corpus}",
            table[claim.first] - table[claim.second],
        )
        for corpus, table in published.TABLE_3.items()
        for claim in published.CLAIMS
    ]


def smaller_in_the_paper(points: float) -> tuple[list[str], int]:
    """(the paper's differences whose size in points is below `points`, how many there are in all)."""
    stated = differences_in_the_paper()
    return [f"{text} ({abs(size):.1f})" for text, size in stated if abs(size) < points], len(stated)


def _moved_choice(reference: TableRow, other: TableRow) -> str:
    """The one open choice in which the other row differs, or ""."""
    apart = fields_apart(reference, other)
    if apart == _ONE_CHOICE:
        return "event_model.embedding_tap"
    if len(apart) != 1 or not apart <= _OPEN:
        return ""
    (field,) = apart
    values = [line.row.fields.get(field) for line in (reference, other)]
    return "" if any((field, value) in CONTROLS for value in values) else field
