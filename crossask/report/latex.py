"""One corpus's results as a LaTeX table, for a document that loads booktabs."""

from crossask.report import words
from crossask.report.tables import CorpusTable

SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "^": r"\textasciicircum{}", "_": r"\_",
    "%": r"\%", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "–": "--", "−": r"\ensuremath{-}", "±": r"\ensuremath{\pm}", "\u202f": r"\,", "\n": " ", "\r": " ", "\t": " ",
}  # fmt: skip


def escape(text: str) -> str:
    """`text` so that LaTeX prints it as it stands."""
    return "".join(SPECIAL.get(character, character) for character in text)


def to_latex(table: CorpusTable) -> str:
    r"""A `table` environment: score, interval, seeds, difference to the baseline and, where it may stand there, the paper's score.

    Compiles in any document with \usepackage{booktabs}.
    """
    paper = any(line.paper_percent is not None for line in table.rows)
    compared = any(line.difference for line in table.rows)
    header = ["Row", "Seeds", "Accuracy", "Interval", "Dev."]
    header += ["Difference", "Interval", "$p$"] * compared + ["Paper"] * paper
    lines = [
        f"% macro accuracy in per cent, {escape(table.scope(metric=''))}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_caption(table, compared)}}}",
        r"\small",
        r"\setlength{\tabcolsep}{4pt}",
        rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
        r"\toprule",
        " & ".join(header) + r" \\",
        r"\midrule",
    ]
    lines += [" & ".join(escape(cell) for cell in _cells(line, compared, paper)) + r" \\" for line in table.rows]
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def _caption(table: CorpusTable, compared: bool) -> str:
    interval = table.rows[0].summary["interval"]
    text = f"Macro accuracy in per cent ({table.scope(metric='')}), with {100 * interval['confidence']:.0f} % intervals over "
    text += f"{interval['over']}s and the standard deviation over seeds."
    if compared:
        text += f" Difference: points against {table.baseline.title}, paired; p by Holm's method over {table.compared} comparisons."
    return escape(text)


def _cells(line, compared: bool, paper: bool) -> list[str]:
    summary = line.summary
    cells = [line.title, str(len(line.row.seeds)), f"{100 * summary['macro_accuracy']:.1f}", _range(words.span(summary["interval"]))]
    cells.append(words.deviation(summary["seed_deviation"]))
    if compared and line.difference:
        interval = line.difference["interval"]
        cells += [words.points(line.difference["difference"])]
        cells += [_range(f"{words.points(interval['low'])} to {words.points(interval['high'])}"), words.p_value(line.adjusted_p)]
    elif compared:
        cells += ["–"] * 3
    if paper:
        cells.append("–" if line.paper_percent is None else f"{line.paper_percent:.1f}")
    return cells


def _range(text: str) -> str:
    return f"[{text.replace(' to ', ', ')}]"
