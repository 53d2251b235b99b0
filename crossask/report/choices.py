"""What a choice that the paper leaves open can move: rows that differ from another in that choice alone."""

import dataclasses

from crossask.report import comparing, published
from crossask.report.collecting import flatten
from crossask.report.comparing import Comparisons
from crossask.report.events import CONTROLS
from crossask.report.openings import OPEN
from crossask.report.rows import TableRow, title_of

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
        return max((one for one in self.moved if one.found), key=lambda one: abs(one.found["difference"]), default=None)


def find(lines, comparisons: Comparisons) -> Study | None:
    """The row from which most choices were moved (the first of several); None where fewer than two were."""
    best, most = None, []
    for line in lines:
        of_line = [(other, field) for other in lines if other is not line and (field := _moved_choice(line, other))]
        if len(of_line) > len(most):
            best, most = line, of_line
    if len(most) < 2:
        return None
    moved = []
    for other, field in most:
        moved.append(Moved(other, field, flatten(other.row.experiment)[field], *comparisons.between(other.row, best.row)))
    return Study(best, tuple(moved))


def judged(study: Study | None, adjusted: dict) -> Study | None:
    """The same with adjusted p and the verdict that it leaves."""
    if study is None:
        return None
    out = []
    for one in study.moved:
        if one.found:
            p = adjusted[one.line.row.key, study.reference.row.key]
            one = dataclasses.replace(one, adjusted_p=p, verdict=comparing.verdict(one.found, p))
        out.append(one)
    return dataclasses.replace(study, moved=tuple(out))


def smaller_in_the_paper(points: float) -> tuple[list[str], int]:
    """(the paper's differences of Section 3.3 whose size in points is below `points`, how many there are in all)."""
    smaller, count = [], 0
    for corpus, table in published.TABLE_3.items():
        for claim in published.CLAIMS:
            first, second = table[claim.first], table[claim.second]
            count += 1
            if abs(first - second) < points:
                smaller.append(f"{title_of(*claim.first)} against {title_of(*claim.second)} on {corpus} ({abs(first - second):.1f})")
    return smaller, count


def _moved_choice(reference: TableRow, other: TableRow) -> str:
    """The one open choice in which the other row differs, or ""."""
    first, second = flatten(reference.row.experiment), flatten(other.row.experiment)
    apart = {field for field in first.keys() | second.keys() if first.get(field) != second.get(field)} - {"name", "note", "paper_score"}
    if apart == _ONE_CHOICE:
        return "event_model.embedding_tap"
    if len(apart) != 1 or not apart <= _OPEN:
        return ""
    (field,) = apart
    return "" if any((field, values.get(field)) in CONTROLS for values in (first, second)) else field
