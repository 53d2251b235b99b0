"""Our rows beside the paper's, cell by cell, and the paper's claims as paired differences of our own runs."""

import dataclasses

from crossask import evaluation
from crossask.report import comparing
from crossask.report.collecting import Row, flatten
from crossask.report.comparing import Comparisons
from crossask.report.openings import OPEN, STATED
from crossask.report.published import (
    CLAIMS,
    OFFICIAL,
    PAPER_CLIPS,
    TABLE_3,
    WITH_EVENTS,
    Claim,
    Official,
)
from crossask.report.rows import TableRow, cell_of, title_of
from crossask.report.words import plain


@dataclasses.dataclass(frozen=True)
class PaperCell:
    """One cell of Table 3 with the row of ours that stands for it."""

    title: str
    line: TableRow | None  # None: not run, or without a score of the paper's in its experiment
    paper_percent: float | None
    state: str  # why paper_percent is missing: "blank" in the paper, or "other clips" than the paper's; else ""
    against: dict | None  # evaluation.against with the paper's score
    official: Official | None
    against_official: dict | None


@dataclasses.dataclass(frozen=True)
class ClaimFound:
    """A claim of the paper, asked of our runs."""

    claim: Claim
    first: TableRow
    second: TableRow
    found: dict | None  # evaluation.compare
    missing: str  # why there is none
    adjusted_p: float | None
    verdict: str  # of the adjusted p: "better", "worse", "cannot tell"; "" where nothing was found
    paper_points: float | None  # the paper's difference, a fraction


def paper_percent(corpus: str, row: Row, clips: int) -> tuple[float | None, str]:
    """(the paper's score, why it is left out): it stands only beside scores of the very clips it is of."""
    score = row.experiment.get("paper_score")
    if score is None or corpus not in PAPER_CLIPS:
        return None, ""
    if clips != PAPER_CLIPS[corpus]:
        return (
            None,
            f"The paper's scores are left out: they are of {PAPER_CLIPS[corpus]} clips of {corpus}, these of {clips}.",
        )
    return score, ""


def cells(corpus: str, lines) -> tuple[PaperCell, ...]:
    """Every cell of Table 3 for `corpus`; none at all unless some row of ours is of the paper's clips."""
    if not any(line.paper_percent is not None for line in lines):
        return ()
    found = []
    for (system, strategy), printed in TABLE_3[corpus].items():
        official = OFFICIAL[corpus] if system.startswith("DCASE") else None
        ours = [
            line
            for line in lines
            if cell_of(line.row) == (system, strategy) and _stands_for(line, printed)
        ]
        for line in ours or [None]:
            paper, state = printed, "blank" if printed is None else ""
            if line and line.summary["clips"] != PAPER_CLIPS[corpus]:
                paper, state = None, "other clips"
            elif line and printed is not None:
                paper = line.paper_percent
            beside = line and state != "other clips"
            found.append(
                PaperCell(
                    title=line.title if line else title_of(system, strategy),
                    line=line,
                    paper_percent=paper,
                    state=state,
                    against=evaluation.against(line.summary, paper / 100)
                    if beside and paper is not None
                    else None,
                    official=official if state != "other clips" else None,
                    against_official=evaluation.against(line.summary, official.percent / 100)
                    if beside and official
                    else None,
                )
            )
    return tuple(found)


def _stands_for(line: TableRow, printed: float | None) -> bool:
    """A control or a study of the same system and strategy carries no score of the paper's: it is not the paper's row."""
    return printed is None or line.row.experiment.get("paper_score") is not None


def claims(lines, comparisons: Comparisons) -> list[ClaimFound]:
    """The paper's claims of which both rows are here; adjusted p and verdict are still to come (`judged`)."""
    found = []
    for claim in CLAIMS:
        first, second = _row_for(claim.first, lines), _row_for(claim.second, lines)
        if first is None or second is None:
            continue
        difference, missing = comparisons.between(first.row, second.row)
        printed = None
        if first.paper_percent is not None and second.paper_percent is not None:
            printed = (first.paper_percent - second.paper_percent) / 100
        found.append(ClaimFound(claim, first, second, difference, missing, None, "", printed))
    return found


def _row_for(cell: tuple[str, str], lines) -> TableRow | None:
    """The row with the paper's score; without one, the only row of this system and strategy, or the one with the plain name.

    Studies hold many rows of a cell, and none of them but the plain one is meant by the paper's claim.
    """
    ours = [line for line in lines if cell_of(line.row) == cell]
    plain_name = "_".join(filter(None, cell)).lower()
    chosen = [line for line in ours if line.row.experiment.get("paper_score") is not None]
    chosen = chosen or (
        ours if len(ours) == 1 else [line for line in ours if line.row.name == plain_name]
    )
    return chosen[0] if chosen else None


def judged(found, adjusted: dict) -> tuple[ClaimFound, ...]:
    """The claims with their adjusted p, and the verdict that this leaves."""
    return comparing.judged(
        found, adjusted, lambda claim: (claim.first.row.key, claim.second.row.key)
    )


def contradicted(corpus: str, lines) -> list[str]:
    """Where a row's configuration departs from what the paper states, its score included."""
    notes = []
    for line in lines:
        if line.paper_percent is None:
            continue
        flat, (system, _) = flatten(line.row.experiment), cell_of(line.row)
        printed = TABLE_3[corpus].get(cell_of(line.row))
        apart = [
            f"{field} is {plain(flat[field])}, the paper's {plain(value)}"
            for field, value, systems in STATED
            if system in systems and field in flat and flat[field] != value
        ]
        if (
            flat.get("strategy") != "from_scratch"
            and system in WITH_EVENTS
            and flat.get("event_model.weights") == ""
        ):
            apart.append("event_model.weights is (empty), the paper's VGGish's")
        if printed != line.paper_percent:
            apart.append(
                f"paper_score is {line.paper_percent}, that of Table 3 {'absent' if printed is None else printed}"
            )
        notes += [f"{line.title} is not the paper's row: {'; '.join(apart)}."] if apart else []
    return notes


def open_choices(lines) -> list[tuple[str, str, list[tuple[object, list[str]]]]]:
    """(field, why it is open, [(value, titles of the rows that have it)]) for every open field that a row of ours has."""
    found = []
    for opening in OPEN:
        values = []
        for line in lines:
            flat = flatten(line.row.experiment)
            if cell_of(line.row)[0] not in opening.systems or opening.field not in flat:
                continue
            same = next((titles for value, titles in values if value == flat[opening.field]), None)
            if same is None:
                values.append((flat[opening.field], [line.title]))
            else:
                same.append(line.title)
        if values:
            found.append((opening.field, opening.why, values))
    return found
