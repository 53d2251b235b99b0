"""crossask-report: compares all evaluated runs: Markdown, CSV, LaTeX, plots and one HTML page.

crossask-report --model_dir=RUNS --out=REPORT [--baseline=ROW] [--json=FILE]
"""

import sys
from collections.abc import Sequence

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


def report(values: flags.FlagValues, _positional: list[str]) -> None:
    """Writes the report and prints its scores."""
    # Importing the report imports Matplotlib.
    from crossask.report import write_report

    json_file = values.json or None
    paths = write_report(values.model_dir, values.out, values.baseline, json_file=json_file)
    print(paths["summary.txt"].read_text(encoding="utf-8"), end="")
    print(f"Report: {paths['report.html']} (also report.md, table.csv and table.tex)")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command.run(__doc__, FLAGS, report, argv, needs=("model_dir", "out"))


if __name__ == "__main__":
    sys.exit(main())
