"""crossask-report: compares all evaluated runs: Markdown, CSV, LaTeX, plots and one HTML page.

crossask-report --model_dir=RUNS --out=REPORT [--baseline=ROW] [--json=FILE]
"""

import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from absl import flags

from crossask.cli import command

FLAGS = flags.FlagValues()
flags.DEFINE_string("model_dir", "", "Folder of the runs.", flag_values=FLAGS)
flags.DEFINE_string("out", "", "Folder to write to.", flag_values=FLAGS)
flags.DEFINE_string(
    "baseline",
    "FA",
    "Row to compare the others with: the name of a row, or a system, whose first row is used.",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "json", "", "JSON file to which all numbers of the report are written.", flag_values=FLAGS
)

# Rows that are printed; the report has all of them.
MOST_ROWS = 16


def report(values: flags.FlagValues, _positional: list[str]) -> None:
    """Writes the report and prints its scores."""
    # Importing the report imports Matplotlib.
    from crossask.report import write_report

    json_file = values.json or None
    paths = write_report(values.model_dir, values.out, values.baseline, json_file=json_file)
    print(summary(paths["table.csv"]))
    print(f"Report: {paths['report.html']} (also report.md, table.csv and table.tex)")


def summary(table: Path) -> str:
    """Returns the scores of a report's table.csv in few lines, one for each row.

    Args:
      table: The table.
    """
    with open(table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    width = max(len(row["row"]) for row in rows)
    lines: list[str] = []
    place = ""
    for row in rows[:MOST_ROWS]:
        folds = row["folds"].replace(" ", ", ")
        found = f"{row['corpus']}, fold {folds}, {row['clips']} clips:"
        if found != place:
            place = found
            lines.append(found)
        lines.append(f"  {row['row'].ljust(width)}  {_score(row)}")
    if len(rows) > MOST_ROWS:
        lines.append(f"  and {len(rows) - MOST_ROWS} more rows in the report")
    return "\n".join(lines)


def _score(row: Mapping[str, str]) -> str:
    """Returns macro accuracy, interval and the verdict of a row of table.csv."""
    percents = [100 * float(row[name]) for name in ("macro_accuracy", "low", "high")]
    text = "{:5.1f} % ({:.1f} to {:.1f})".format(*percents)
    if row["difference"]:
        points = 100 * float(row["difference"])
        text += f"  {points:+.1f} points against {row['baseline']}: {row['verdict']}"
    return text


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command.run(__doc__, FLAGS, report, argv, needs=("model_dir", "out"))


if __name__ == "__main__":
    sys.exit(main())
