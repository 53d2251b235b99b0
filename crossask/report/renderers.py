"""HTML, Markdown, LaTeX and a summary of a report; they lay out its content and compute nothing."""

import base64
import dataclasses
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import jinja2
import markupsafe

from crossask.report import content, formatting
from crossask.report.content import Bar, Report, Results, Section, Slugs
from crossask.report.formatting import NONE

TEMPLATES = Path(__file__).parent / "templates"
# Characters that Markdown interprets anywhere, and underscores at the ends of words.
MARKDOWN_CHARACTERS = re.compile(r"[\\`*\[\]|~&]|(?<![^\W_])_|_(?![^\W_])")
# What makes a line a heading, a list or a quotation; of "1. " it is the point.
MARKDOWN_STARTS = re.compile(r"^(\s*(?:\d+(?=[.)]\s))?)([#+\-=>.)])")
# The page folds longer tables.
MOST_LINES = 20
CONTROL_CHARACTERS = [chr(code) for code in (*range(32), 127)]
LATEX_CHARACTERS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "^": r"\textasciicircum{}",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "–": "--",
    "−": r"\ensuremath{-}",
    "±": r"\ensuremath{\pm}",
    "\u202f": r"\,",
    # An empty line would end the paragraph, and LaTeX refuses the other control characters.
    **dict.fromkeys(CONTROL_CHARACTERS, " "),
}


@dataclasses.dataclass(frozen=True)
class Scale:
    """The common scale of the interval bars in one column of the page.

    Attributes:
      low: Left end in percent.
      high: Right end in percent.
      ticks: Ticks in percent.
      width: Width of a bar's drawing.
      margin: Distance from its sides to the ends of the scale.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    width: int = 220
    margin: int = 14

    def x(self, percent: float) -> float:
        """Returns the horizontal position of a value in percent."""
        share = (percent - self.low) / (self.high - self.low)
        return round(self.margin + (self.width - 2 * self.margin) * share, 1)


def scale(bars: Iterable[Bar], with_zero: bool = False) -> Scale:
    """Returns a scale of at most four steps for some bars.

    Args:
      bars: The bars.
      with_zero: Whether the scale includes zero.
    """
    ends = [0.0] if with_zero else []
    for bar in bars:
        ends += [100 * bar.low, 100 * bar.high]
    length = max(max(ends) - min(ends), 0.5)
    step = next(step for step in (0.5, 1, 2, 5, 10, 20, 50, 100) if step * 4 >= length)
    low = step * math.floor(min(ends) / step)
    high = step * math.ceil(max(ends) / step)
    if high <= low:
        high = low + step
    steps = round((high - low) / step)
    return Scale(low, high, tuple(low + step * number for number in range(steps + 1)))


def html(report: Report) -> str:
    """Returns a report as one page that loads nothing from elsewhere."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["data_url"] = _data_url
    environment.filters["breakable"] = _breakable
    environment.globals.update(
        accuracy_scale=_accuracy_scale,
        difference_scale=_difference_scale,
        verdicts=content.VERDICTS,
        word_columns=content.WORD_COLUMNS,
        most_lines=MOST_LINES,
    )
    template = environment.get_template("report.html")
    # The macros at the top of the template leave empty lines.
    return template.render(report=report, anchors=_anchors(report)).lstrip()


def markdown(report: Report) -> str:
    """Returns a report as Markdown; its pictures are files beside it."""
    parts = ["# Results"]
    if report.facts:
        parts.append(_markdown_list(f"{name}: {value}" for name, value in report.facts))
    for corpus in report.corpora:
        parts.append(f"## {_plain_line(corpus.title)}")
        parts.append(f"**{_plain_line(corpus.conclusion)}**")
        parts.append(
            f"Macro accuracy on the evaluation fold ({_plain_line(corpus.results.scope)}). "
            f"Chance is {corpus.results.chance}."
        )
        parts.append(_markdown_results(corpus.results))
        if corpus.notes:
            parts.append(_markdown_list(corpus.notes))
        # The pictures of the rows fill many screens, so they come last.
        for section in corpus.sections:
            if section.style != "gallery":
                parts += _markdown_section(section)
        for section in corpus.sections:
            if section.style == "gallery":
                parts += _markdown_section(section)
    if report.errata:
        parts += ["## Errata of the paper", _markdown_list(report.errata)]
    parts += ["## How to read this"]
    parts.append("\n".join(f"- **{term}.** {text}" for term, text in report.how_to_read))
    versions = [f"{name} {', '.join(found)}" for name, found in report.versions.items()]
    parts += ["## Versions", _markdown_list(versions or ["not recorded"])]
    return "\n\n".join(parts) + "\n"


def summary(report: Report, most_rows: int = 16) -> str:
    """Returns the scores of a report as plain text, one line for each row.

    Args:
      report: The report.
      most_rows: Number of rows that are listed; the others are counted.
    """
    listed = []
    for corpus in report.corpora:
        listed += [(corpus.results, line) for line in corpus.results.lines]
    shown = listed[:most_rows]
    name_width = max(len(line.name) for _, line in shown)
    accuracy_width = max(len(line.accuracy) for _, line in shown)
    texts: list[str] = []
    scope = ""
    for results, line in shown:
        if line.scope != scope:
            scope = line.scope
            texts.append(f"{scope}:")
        accuracy = line.accuracy.rjust(accuracy_width)
        text = f"  {line.name.ljust(name_width)}  {formatting.with_range(accuracy, line.interval)}"
        if line.difference_bar:
            text += f"  {line.difference} points against {results.baseline_name}: {line.verdict}"
        texts.append(text)
    if len(listed) > len(shown):
        more = formatting.several(len(listed) - len(shown), "more row")
        texts.append(f"  and {more} in the report")
    return "\n".join(texts) + "\n"


def latex(results: Results) -> str:
    r"""Returns a table of results as a LaTeX `table`, for a document that loads booktabs."""
    columns = _latex_columns(results)
    lines = [
        f"% macro accuracy in per cent, {latex_text(results.scope)}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex_text(_latex_caption(results))}}}",
        r"\footnotesize",
        r"\setlength{\tabcolsep}{2.5pt}",
        rf"\begin{{tabular}}{{l{'r' * (len(columns) - 1)}}}",
        r"\toprule",
        " & ".join(heading for heading, _ in columns) + r" \\",
        r"\midrule",
    ]
    for cells in zip(*[cells for _, cells in columns], strict=True):
        line = " & ".join(latex_text(cell) for cell in cells)
        # Without the group, "[" and "*" would belong to the command at the end of the line before.
        group = "{}" if line.startswith(("[", "*")) else ""
        lines.append(rf"{group}{line} \\")
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def latex_text(text: str) -> str:
    """Returns `text` with everything escaped that LaTeX would interpret."""
    return "".join(LATEX_CHARACTERS.get(character, character) for character in text)


def _anchors(report: Report) -> list[list[str]]:
    """Returns the ids on the page of each corpus, and after it those of its sections."""
    # These ids are in the template.
    slugs = Slugs("how", "errata", "files")
    anchors = []
    for corpus in report.corpora:
        titles = [corpus.title, *[section.title for section in corpus.sections]]
        anchors.append([slugs.of(title) for title in titles])
    return anchors


def _accuracy_scale(results: Results) -> Scale:
    return scale(line.bar for line in results.lines)


def _difference_scale(results: Results) -> Scale | None:
    bars = [line.difference_bar for line in results.lines if line.difference_bar]
    return scale(bars, with_zero=True) if bars else None


def _data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _breakable(text: str) -> markupsafe.Markup:
    """Returns escaped HTML in which a line may break after each underscore of a name."""
    return markupsafe.escape(text).replace("_", markupsafe.Markup("_<wbr>"))


def _markdown_results(results: Results) -> str:
    columns = {
        "Row": "title",
        "Runs": "runs",
        "Validation": "validation",
        "Evaluation": "accuracy",
        f"{results.confidence} interval": "interval",
        "Mean of folds": "mean_of_folds",
        "Seed deviation": "seed_deviation",
        f"Against {results.baseline or 'baseline'} (points)": "difference_and_interval",
        "Verdict": "verdict",
        "p adjusted": "adjusted_p",
        "Paper": "paper",
        "Parameters": "parameters",
    }
    for heading in ("Mean of folds", "Paper"):
        if not results.has(columns[heading]):
            del columns[heading]
    lines = []
    for line in results.lines:
        lines.append([getattr(line, name) for name in columns.values()])
    return _markdown_table(list(columns), lines)


def _markdown_section(section: Section) -> list[str]:
    """Returns the paragraphs of a section."""
    if section.style == "fields" and section.fold == "closed":
        listed = "; ".join(f"{_code(path)} {_plain_line(value)}" for path, value in section.lines)
        return [f"{section.title}: {listed}."]
    if section.style == "clips":
        return [_markdown_list([section.title])]
    parts = [f"### {_plain_line(section.title)}"]
    if section.intro:
        parts.append(_paragraph(section.intro))
    if section.lines:
        parts.append(_markdown_table(section.header, section.lines))
    if section.notes:
        parts.append(_markdown_list(section.notes))
    for picture in section.pictures:
        parts.append(f"![{_plain_line(picture.description)}]({picture.name}.png)")
    return parts


def _markdown_table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = []
    for cells in (header, ["---"] * len(header), *lines):
        rows.append("| " + " | ".join(_plain_line(cell) for cell in cells) + " |")
    return "\n".join(rows)


def _markdown_list(items: Iterable[str]) -> str:
    return "\n".join(f"- {_paragraph(item)}" for item in items)


def _plain_line(text: str) -> str:
    """Returns text as one line of Markdown in which names from outside are no markup."""
    line = " ".join(text.splitlines())
    line = MARKDOWN_CHARACTERS.sub(r"\\\g<0>", line)
    return line.replace("<", "&lt;")


def _paragraph(text: str) -> str:
    """Returns text as a paragraph or an item, which no name makes a heading or a list."""
    return MARKDOWN_STARTS.sub(r"\g<1>\\\g<2>", _plain_line(text))


def _code(text: str) -> str:
    """Returns text as code of Markdown."""
    return f"`{text.replace('`', '')}`"


def _latex_columns(results: Results) -> list[tuple[str, list[str]]]:
    """Returns headings and cells; columns with nothing or the same in every row are left out."""
    lines = results.lines
    columns = [("Row", [line.title for line in lines])]
    if len({line.seeds for line in lines}) > 1:
        columns.append(("Seeds", [str(line.seeds) for line in lines]))
    columns.append(("Accuracy", [_without_unit(line.accuracy) for line in lines]))
    columns.append(("Interval", [_in_brackets(line.interval) for line in lines]))
    if results.has("seed_deviation"):
        columns.append(("Dev.", [line.seed_deviation for line in lines]))
    if results.has("difference"):
        columns.append(("Diff.", [line.difference for line in lines]))
        columns.append(("Interval", [_in_brackets(line.difference_interval) for line in lines]))
        columns.append(("$p$", [line.adjusted_p for line in lines]))
    if results.has("paper"):
        columns.append(("Paper", [_without_unit(line.paper) for line in lines]))
    return columns


def _latex_caption(results: Results) -> str:
    text = (
        f"Macro accuracy in per cent ({results.scope}), with {results.confidence} intervals over "
        f"{results.drawn}s and, with several seeds, over seeds"
    )
    seeds = {line.seeds for line in results.lines}
    if len(seeds) == 1:
        text += f"; {formatting.several(seeds.pop(), 'seed')} a row"
    if results.has("seed_deviation"):
        text += "; Dev.: standard deviation over seeds"
    text += "."
    if results.has("difference"):
        text += (
            f" Diff.: points against {results.baseline}, paired; p by Holm's method over "
            f"{results.comparisons} comparisons."
        )
    return text


def _without_unit(text: str) -> str:
    return text.removesuffix(" %")


def _in_brackets(interval: str) -> str:
    """Returns "[a, b]" for "a to b"."""
    return interval if interval == NONE else f"[{interval.replace(' to ', ', ')}]"
