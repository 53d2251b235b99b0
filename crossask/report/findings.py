"""What the rows of a corpus show: paired differences, and how they agree with the paper."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from crossask import evaluation
from crossask.config import reference
from crossask.config.catalogue import SYSTEMS
from crossask.errors import DataError
from crossask.evaluation.intervals import has_width
from crossask.report import formatting, paper
from crossask.report.formatting import NONE
from crossask.report.paper import Claim, OfficialScore
from crossask.report.rows import Row, title_of
from crossask.report.runs import DEFAULTS, flatten

# Adjusted p-values below it count.
LEVEL = 0.05


@dataclasses.dataclass(frozen=True)
class Difference:
    """The paired difference of two rows.

    Attributes:
      comparison: The comparison; None if the two cannot be compared.
      missing: Why there is no comparison.
      adjusted_p: Its p-value, adjusted for the number of comparisons of the corpus; None if a row
        has one seed.
      verdict: "better" or "worse" if both the interval and the adjusted p-value show it, else
        "cannot tell"; "one seed" if a row has one seed; "" without a comparison.
    """

    comparison: evaluation.Comparison | None
    missing: str = ""
    adjusted_p: float | None = None
    verdict: str = ""


@dataclasses.dataclass(frozen=True)
class Comparisons:
    """All comparisons that the report of a corpus shows.

    Attributes:
      differences: (key of the first row, key of the second row) -> difference, in either order.
      count: Number of comparisons for which the p-values are adjusted.
    """

    differences: dict[tuple[str, str], Difference]
    count: int

    def between(self, first: Row, second: Row) -> Difference:
        """Returns the difference of two rows, first minus second."""
        return self.differences[first.key, second.key]


@dataclasses.dataclass(frozen=True)
class PaperCell:
    """A cell of Table 3 beside a row of ours.

    Attributes:
      title: Title of the cell or of our row.
      row: Our row; None if it was not run.
      paper_percent: The paper's score; None if `missing` says why.
      missing: "blank" in the paper, or our row has "other clips" than the paper.
      agreement: Our score against the paper's.
      official: The score that the authors of a baseline publish.
      official_agreement: Our score against it.
    """

    title: str
    row: Row | None
    paper_percent: float | None
    missing: str
    agreement: evaluation.Agreement | None
    official: OfficialScore | None
    official_agreement: evaluation.Agreement | None


@dataclasses.dataclass(frozen=True)
class TestedClaim:
    """A claim of the paper and two rows of ours that test it.

    A claim about the best of all rows is tested once for each other row.

    Attributes:
      claim: The claim.
      first: Our row for its first cell.
      second: Our row for its second cell.
      paper_difference: The paper's difference as a fraction; None if its clips are others.
    """

    claim: Claim
    first: Row
    second: Row
    paper_difference: float | None


@dataclasses.dataclass(frozen=True)
class OpenChoice:
    """A choice that the paper leaves open.

    Attributes:
      path: The field.
      because: Why the paper leaves it open.
      values: Values of our rows, each with the titles of its rows.
    """

    path: str
    because: str
    values: tuple[tuple[Any, tuple[str, ...]], ...]


def compare_rows(pairs: Iterable[tuple[Row, Row]], resamples: int) -> Comparisons:
    """Compares pairs of rows, each pair once, and adjusts the p-values for their number.

    Args:
      pairs: Pairs of rows. The same pair may be repeated in either order.
      resamples: Number of draws of the bootstrap.
    """
    compared = {}
    differences = {}
    for first, second in pairs:
        pair = (first.key, second.key)
        if pair in compared or pair in differences or pair[::-1] in compared:
            continue
        try:
            compared[pair] = evaluation.compare(first.predictions, second.predictions, resamples)
        except DataError as error:
            difference = Difference(None, f"not comparable: {error.problem}")
            differences[pair] = difference
            differences[pair[::-1]] = difference
    p_values = {}
    for pair, comparison in compared.items():
        if comparison.p_value is not None:
            p_values[pair] = comparison.p_value
    adjusted = evaluation.holm(p_values)
    for pair, comparison in compared.items():
        # Computed from the same draws, so that both orders have the same interval and p-value.
        backwards = evaluation.reversed_comparison(comparison)
        differences[pair] = _difference(comparison, adjusted.get(pair))
        differences[pair[::-1]] = _difference(backwards, adjusted.get(pair))
    return Comparisons(differences, len(p_values))


def difference_in_words(first: Row, second: Row, difference: Difference) -> str:
    """Returns sentences on the difference of two rows, and on what it shows.

    Args:
      first: The first row.
      second: The second row.
      difference: Their difference, first minus second; it has a comparison.
    """
    comparison = difference.comparison
    size = formatting.number(abs(comparison.difference))
    if size == "0.0":
        found = f"{first.title} and {second.title} have the same score"
    else:
        direction = "higher" if comparison.difference > 0 else "lower"
        found = f"{first.title} scores {size} points {direction} than {second.title}"
    interval = formatting.points_range(comparison.interval)
    if interval != NONE:
        interval = f"{formatting.confidence(comparison.interval)} interval {interval}"
    sentence = f"{formatting.with_range(found, interval)}."
    reservation = _reservation(difference)
    return f"{sentence} {reservation}" if reservation else sentence


def paper_percent(corpus: str, row: Row) -> float | None:
    """Returns the paper's score of a row; None unless the row has the clips of the paper."""
    if corpus in paper.PAPER_CLIPS and row.summary.clips == paper.PAPER_CLIPS[corpus]:
        return row.experiment.get("paper_score")
    return None


def paper_cells(corpus: str, rows: Sequence[Row]) -> tuple[PaperCell, ...]:
    """Returns every cell of Table 3; none if no row has both a score and the clips of the paper."""
    if all(paper_percent(corpus, row) is None for row in rows):
        return ()
    cells = []
    for cell, printed in paper.TABLE_3[corpus].items():
        official = paper.OFFICIAL[corpus] if SYSTEMS[cell.system].origin == "challenge" else None
        # A control or a study with the same system and strategy has no score of the paper's, so it
        # is not the paper's row.
        ours = [
            row
            for row in rows
            if row.cell == cell
            and (printed is None or row.experiment.get("paper_score") is not None)
        ]
        for row in ours:
            cells.append(_cell_of_row(corpus, row, printed, official))
        if not ours:
            missing = "blank" if printed is None else ""
            title = title_of(cell.system, cell.strategy)
            cells.append(PaperCell(title, None, printed, missing, None, official, None))
    return tuple(cells)


def tested_claims(corpus: str, rows: Sequence[Row]) -> tuple[TestedClaim, ...]:
    """Returns the claims of the paper for which there are rows."""
    tested = []
    for claim in paper.CLAIMS:
        first = _row_of_cell(claim.first, rows)
        if first is None:
            continue
        for cell in claim.others:
            second = _row_of_cell(cell, rows)
            if second is None:
                continue
            difference = None
            first_percent = paper_percent(corpus, first)
            second_percent = paper_percent(corpus, second)
            if first_percent is not None and second_percent is not None:
                difference = (first_percent - second_percent) / 100
            tested.append(TestedClaim(claim, first, second, difference))
    return tuple(tested)


def verdict_on_best(claims: Iterable[TestedClaim], comparisons: Comparisons) -> str:
    """Returns a sentence on the claim that one row is the best of all; "" without such rows.

    The claim is shown if the row is better than each other row, and refuted if another row is
    better than it.
    """
    tested = [claim for claim in claims if claim.claim.is_about_all]
    if not tested:
        return ""
    titles: dict[str, list[str]] = {}
    for claim in tested:
        verdict = comparisons.between(claim.first, claim.second).verdict
        titles.setdefault(verdict, []).append(claim.second.title)
    better = titles.get("better", [])
    worse = titles.get("worse", [])
    claim = tested[0]
    if worse:
        outcome = f"is refuted: {formatting.listed(worse, 'and')} did better"
    elif len(better) == len(tested):
        outcome = "is shown for the rows run here"
    elif "one seed" in titles:
        outcome = "has no verdict, because some of the rows have one seed"
    else:
        outcome = "is not shown"
    sentence = f"“{claim.claim.says}” {outcome}."
    if list(titles) == ["one seed"]:
        return sentence
    return (
        f"{sentence} {claim.first.title} is better than {len(better)} of "
        f"{formatting.several(len(tested), 'other row')} of the paper's table that were run."
    )


def paper_differences() -> dict[str, float]:
    """Returns the differences of the claims in Table 3: rows and corpus -> percentage points."""
    differences = {}
    for corpus, table in paper.TABLE_3.items():
        for claim in paper.CLAIMS:
            first = title_of(*claim.first)
            for cell in claim.others:
                if table.get(cell) is None:
                    continue
                second = title_of(*cell)
                points = table[claim.first] - table[cell]
                differences[f"{first} against {second} on {corpus}"] = points
    return differences


def contradictions(corpus: str, rows: Iterable[Row]) -> list[str]:
    """Returns sentences on rows that have a score of the paper but not its configuration."""
    notes = []
    for row in rows:
        percent = paper_percent(corpus, row)
        if percent is None:
            continue
        departures = _departures(row)
        printed = paper.TABLE_3[corpus].get(row.cell)
        if printed != percent:
            text = "no score" if printed is None else printed
            departures.append(f"paper_score is {percent}, but Table 3 has {text}")
        if departures:
            notes.append(f"{row.title} differs from the paper's row: {'; '.join(departures)}.")
    return notes


def open_choices(rows: Iterable[Row]) -> list[OpenChoice]:
    """Returns the choices that the paper leaves open, with the values of the rows they concern."""
    choices = []
    for entry in reference.open_choices():
        # Values may be lists, which are no keys of a dictionary.
        values: list[tuple[Any, list[str]]] = []
        for row in rows:
            fields = flatten(row.experiment)
            if row.system not in entry.facts.systems or entry.path not in fields:
                continue
            value = fields[entry.path]
            titles = next((titles for other, titles in values if other == value), None)
            if titles is None:
                values.append((value, [row.title]))
            else:
                titles.append(row.title)
        if values:
            frozen = tuple((value, tuple(titles)) for value, titles in values)
            choices.append(OpenChoice(entry.path, entry.facts.open_because, frozen))
    return choices


def _difference(comparison: evaluation.Comparison, adjusted_p: float | None) -> Difference:
    verdict = comparison.verdict
    if adjusted_p is not None and adjusted_p >= LEVEL:
        verdict = "cannot tell"
    return Difference(comparison, adjusted_p=adjusted_p, verdict=verdict)


def _reservation(difference: Difference) -> str:
    """Returns why a difference does not show which row is better; "" if it does."""
    if difference.verdict not in ("cannot tell", "one seed"):
        return ""
    return f"This does not show which of them is better: {_reason_to_doubt(difference)}."


def _reason_to_doubt(difference: Difference) -> str:
    interval = difference.comparison.interval
    drawn = f"{interval.over}s"
    if difference.verdict == "one seed":
        return (
            "at least one of them has a single seed, and how much another training would change "
            "the difference is unknown"
        )
    if not has_width(interval.low, interval.high):
        return f"all draws of {drawn} have this difference, so they show nothing about others"
    if interval.low <= 0 <= interval.high:
        return (
            f"the interval contains zero, so with other {drawn} or another training either of "
            "them may score higher"
        )
    if difference.comparison.p_value >= LEVEL:
        # The p-value agrees with the interval, except where `compare` sets it to 1 for this reason.
        return (
            "all clips of a scene come from one location, which shows nothing about other locations"
        )
    return (
        "in so many comparisons, equal rows often have such a difference (adjusted p "
        f"{formatting.p_value(difference.adjusted_p)})"
    )


def _cell_of_row(
    corpus: str, row: Row, printed: float | None, official: OfficialScore | None
) -> PaperCell:
    """Returns a cell of Table 3 beside our row; `printed` is the score in the table."""
    if row.summary.clips != paper.PAPER_CLIPS[corpus]:
        return PaperCell(row.title, row, None, "other clips", None, None, None)
    percent = None
    agreement = None
    if printed is not None:
        percent = paper_percent(corpus, row)
        agreement = evaluation.against(row.summary, percent / 100)
    official_agreement = None
    if official is not None:
        official_agreement = evaluation.against(row.summary, official.percent / 100)
    missing = "blank" if printed is None else ""
    return PaperCell(row.title, row, percent, missing, agreement, official, official_agreement)


def _row_of_cell(cell: paper.Cell, rows: Iterable[Row]) -> Row | None:
    """Returns the row that a claim about a cell of Table 3 is tested with.

    This is the row with the paper's score; without one, the only row of the cell or the one with
    the plain name, because studies have many rows of a cell.
    """
    candidates = [row for row in rows if row.cell == cell]
    for row in candidates:
        if row.experiment.get("paper_score") is not None:
            return row
    if len(candidates) == 1:
        return candidates[0]
    plain_name = "_".join(part for part in cell if part).lower()
    return next((row for row in candidates if row.name == plain_name), None)


def _departures(row: Row) -> list[str]:
    """Returns the fields in which a row departs from what the paper states."""
    fields = flatten(row.experiment)
    departures = []
    for entry in reference.stated_choices():
        if row.system not in entry.facts.systems or entry.path not in fields:
            continue
        ours = fields[entry.path]
        stated = DEFAULTS[entry.path]
        if ours != stated:
            departures.append(
                f"{entry.path} is {formatting.plain(ours)} instead of {formatting.plain(stated)}"
            )
    system = SYSTEMS.get(row.system)
    uses_trained_events = (
        system is not None and system.reads_events and fields.get("strategy") != "from_scratch"
    )
    # Embeddings from a file need no weights.
    is_from_file = bool(fields.get("event_model.embeddings"))
    if uses_trained_events and not is_from_file and fields.get("event_model.weights") == "":
        departures.append("event_model.weights is empty, but the paper uses the weights of VGGish")
    return departures
