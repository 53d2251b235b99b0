"""Parts of the page: tables that become cards on a phone, shaded matrices, lists of choices, pictures within the page."""

import base64
from html import escape

from crossask.report import words
from crossask.report.rows import differing_choices
from crossask.report.sections import Grid
from crossask.report.tables import CorpusTable

VERDICTS = ("agrees", "differs", "better", "worse", "cannot tell")


def cards(section: Grid | None) -> str:
    """A section of text cells; on a phone each line is a card that names its cells."""
    if section is None:
        return ""
    parts = [f"<h3>{escape(section.title)}</h3>", f"<p>{escape(section.intro)}</p>"]
    if section.body:
        kinds = ["name"] + [
            "words" if column in section.text_columns else "number"
            for column in range(1, len(section.header))
        ]
        header = "".join(
            f'<th scope="col" class="{kind}">{escape(text)}</th>'
            for kind, text in zip(kinds, section.header, strict=True)
        )
        body = "\n".join(_card(section.header, kinds, line) for line in section.body)
        parts.append(
            f'<div class="scroll"><table class="cards"><thead><tr>{header}</tr></thead>\n<tbody>{body}</tbody></table></div>'
        )
    if section.notes:
        parts.append(
            f'<ul class="notes">{"".join(f"<li>{escape(note)}</li>" for note in section.notes)}</ul>'
        )
    return "\n".join(parts)


def _card(header, kinds, line) -> str:
    cells = f'<th scope="row" class="name">{escape(line[0])}</th>'
    for label, kind, text in list(zip(header, kinds, line, strict=True))[1:]:
        shown = escape(text)
        if text in VERDICTS:
            shown = f'<span class="verdict {text.replace(" ", "-")}">{shown}</span>'
        cells += f'<td class="{kind}{"" if text else " none"}"><span class="label">{escape(label)} </span>{shown}</td>'
    return f"<tr>{cells}</tr>"


def shares(table: CorpusTable, head: str, entries, metric: str) -> str:
    """Scenes or cities by rows; the shade is the accuracy, the number says it."""
    header = "".join(
        f'<th scope="col" class="number">{escape(line.title)}</th>' for line in table.rows
    )
    body = []
    for name, part, key in entries:
        found = [line.summary[part].get(key, {}) for line in table.rows]
        clips = ", ".join(
            str(number) for number in sorted({entry["clips"] for entry in found if entry})
        )
        cells = "".join(_shade(entry.get(metric)) for entry in found)
        body.append(
            f'<tr><th scope="row">{escape(name.replace("_", " "))}</th><td class="number">{clips}</td>{cells}</tr>'
        )
    what = (
        "share of the scene's clips taken for it"
        if metric == "accuracy"
        else "macro accuracy over the scenes heard there"
    )
    scope = escape(table.scope(metric=""))
    return (
        f'<div class="scroll"><table class="matrix"><caption>{scope}: {what}, mean over seeds.</caption>'
        f'<thead><tr><th scope="col">{head}</th><th scope="col" class="number">Clips</th>{header}</tr></thead>\n'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _shade(value: float | None) -> str:
    return f'<td class="shade" style="--share:{value or 0:.3f}">{words.percent(value)}</td>'


def choices(table: CorpusTable) -> str:
    """Fields in which the rows differ in the open, those they share folded away."""
    differing, common = differing_choices(table.rows)
    header = "".join(f'<th scope="col">{escape(line.title)}</th>' for line in table.rows)
    rows = "".join(
        f'<tr><th scope="row">{escape(field)}</th>{"".join(f"<td>{escape(words.plain(value))}</td>" for value in values)}</tr>'
        for field, values in differing.items()
    )
    shared = "".join(
        f'<tr><th scope="row">{escape(field)}</th><td>{escape(words.plain(value))}</td></tr>'
        for field, value in common.items()
    )
    first = (
        '<div class="scroll"><table class="choices"><caption>Fields in which the rows differ.</caption>'
        f'<thead><tr><th scope="col">Field</th>{header}</tr></thead><tbody>{rows}</tbody></table></div>'
    )
    return (
        f"{first if differing and len(table.rows) > 1 else ''}\n<details><summary>{len(common)} choices that all rows share</summary>"
        f'<div class="scroll"><table class="choices"><tbody>{shared}</tbody></table></div></details>'
    )


def inline(picture: bytes) -> str:
    """A PNG as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"
