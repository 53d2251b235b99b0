"""crossask-report: one comparison of all evaluated runs: Markdown, CSV, plots and one HTML page.

crossask-report --model_dir=RUNS --out=REPORT [--baseline=ROW] [--json=FILE]
"""

import sys

from absl import flags

from crossask.cli import command

FLAGS = flags.FlagValues()
flags.DEFINE_string("model_dir", "", "Folder of the runs.", flag_values=FLAGS)
flags.DEFINE_string("out", "", "Folder to write to.", flag_values=FLAGS)
flags.DEFINE_string(
    "baseline",
    "FA",
    "Row (by its name, else the first of this system) to compare the others with.",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "json", "", "File to write every figure of the tables to, as JSON.", flag_values=FLAGS
)


def report(values, _rest):
    command.required(values, "model_dir", "out")
    from crossask import report as reports

    paths = reports.write_report(
        values.model_dir, values.out, values.baseline, json_file=values.json or None
    )
    print(paths["report.md"].read_text())
    print(f"The page: {paths['report.html']}")


def main(argv=None) -> int:
    return command.run(__doc__, FLAGS, report, argv)


if __name__ == "__main__":
    sys.exit(main())
