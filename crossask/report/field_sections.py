"""Sections on the fields of the rows: where they differ, and what the paper leaves open."""

from collections.abc import Sequence

from crossask.report import findings, formatting
from crossask.report.content import Section
from crossask.report.corpus import CorpusResults
from crossask.report.rows import Row
from crossask.report.studies import LABELS


def fields(results: CorpusResults) -> list[Section]:
    """Returns the fields in which the rows differ, and those that all rows share."""
    differing, shared = differing_fields(results.rows)
    sections = []
    if differing:
        lines = []
        for path, values in differing.items():
            lines.append((path, *[formatting.plain(value) for value in values]))
        title = "Choices in which the rows differ"
        header = ["Field", *results.titles]
        sections.append(Section(title, header=header, lines=lines, style="fields"))
    title = f"{len(shared)} choices that all rows share"
    if len(results.rows) == 1:
        title = f"The {len(shared)} choices of this row"
    lines = [(path, formatting.plain(value)) for path, value in shared.items()]
    section = Section(
        title,
        header=["Field", "Value"],
        lines=lines,
        style="fields",
        fold="closed",
        is_part=bool(differing),
    )
    sections.append(section)
    return sections


def open_choices(results: CorpusResults) -> Section | None:
    """Returns what the paper leaves open; None if no row is one of the paper's systems.

    A report on own recordings has no such section.
    """
    if not results.refers_to_paper:
        return None
    lines = []
    for choice in findings.open_choices(results.rows):
        values = []
        for value, titles in choice.values:
            text = formatting.plain(value)
            if len(choice.values) > 1:
                text += f" ({', '.join(titles)})"
            values.append(text)
        lines.append((choice.path, "; ".join(values), choice.because))
    if not lines:
        return None
    return Section(
        "What the paper leaves open",
        "Choices that the paper does not settle, with the values that these runs used. Each of "
        "them may be the reason why a score differs from the paper's.",
        ["Field", "Value here", "Why it is open"],
        lines,
        fold="closed",
    )


def differing_fields(rows: Sequence[Row]) -> tuple[dict[str, list], dict[str, object]]:
    """Returns the fields in which rows differ, with a value for each row, and the shared fields."""
    fields_of_rows = [row.fields for row in rows]
    paths = set()
    for values in fields_of_rows:
        paths |= set(values)
    differing = {}
    shared = {}
    for path in sorted(paths - LABELS):
        values = [fields.get(path) for fields in fields_of_rows]
        if any(value != values[0] for value in values):
            differing[path] = values
        else:
            shared[path] = values[0]
    return differing, shared
