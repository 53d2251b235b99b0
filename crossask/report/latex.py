"""One corpus's results as a LaTeX table, for a document that loads booktabs."""

from crossask.report import words
from crossask.report.tables import CorpusTable

SPECIAL = {
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
    "\n": " ",
    "\r": " ",
    "\t": " ",
}


def escape(text: str) -> str:
    """`text` so that LaTeX prints it as it stands."""
    return "".join(SPECIAL.get(character, character) for character in text)


def to_latex(table: CorpusTable) -> str:
    r"""A `table` environment: score, interval, seeds, difference to the baseline and, where it may stand there, the paper's score.

    Compiles in any document with \usepackage{booktabs}.
    """
    columns = _columns(table)
    lines = [
        f"% macro accuracy in per cent, {escape(table.scope(metric=''))}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(_caption(table, columns))}}}",
        r"\footnotesize",
        r"\setlength{\tabcolsep}{2.5pt}",
        rf"\begin{{tabular}}{{l{'r' * (len(columns) - 1)}}}",
        r"\toprule",
        " & ".join(name for name, _ in columns) + r" \\",
        r"\midrule",
    ]
    lines += [" & ".join(escape(cell(line)) for _, cell in columns) + r" \\" for line in table.rows]
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def _columns(table: CorpusTable) -> list:
    """(heading, line -> text) a column; one that would say the same of every row, or nothing of any, is left out."""
    columns = [("Row", lambda line: line.title)]
    if len({len(line.row.seeds) for line in table.rows}) > 1:
        columns.append(("Seeds", lambda line: str(len(line.row.seeds))))
    columns += [
        ("Accuracy", lambda line: words.number(line.summary["macro_accuracy"])),
        ("Interval", lambda line: _range(words.span(line.summary["interval"]))),
    ]
    if any(line.summary["seed_deviation"] is not None for line in table.rows):
        columns.append(("Dev.", lambda line: words.deviation(line.summary["seed_deviation"])))
    if any(line.difference for line in table.rows):
        columns += [
            (
                "Diff.",
                lambda line: (
                    words.points(line.difference["difference"]) if line.difference else "–"
                ),
            ),
            (
                "Interval",
                lambda line: (
                    _range(words.points_span(line.difference["interval"]))
                    if line.difference
                    else "–"
                ),
            ),
            ("$p$", lambda line: words.p_value(line.adjusted_p)),
        ]
    if any(line.paper_percent is not None for line in table.rows):
        columns.append(
            (
                "Paper",
                lambda line: "–" if line.paper_percent is None else f"{line.paper_percent:.1f}",
            )
        )
    return columns


def _caption(table: CorpusTable, columns) -> str:
    interval, names = table.rows[0].summary["interval"], [name for name, _ in columns]
    text = f"Macro accuracy in per cent ({table.scope(metric='')}), with {100 * interval['confidence']:.0f} % intervals over "
    text += f"{interval['over']}s"
    text += (
        "" if "Seeds" in names else f"; {words.several(len(table.rows[0].row.seeds), 'seed')} a row"
    )
    text += "; Dev.: standard deviation over seeds." if "Dev." in names else "."
    if "Diff." in names:
        text += f" Diff.: points against {table.baseline.title}, paired; p by Holm's method over {table.compared} comparisons."
    return text


def _range(text: str) -> str:
    return f"[{text.replace(' to ', ', ')}]"
