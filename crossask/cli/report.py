"""crossask-report: compares all evaluated runs: Markdown, CSV, LaTeX, figures and one HTML page.

crossask-report --model_dir=RUNS --out=REPORT [--baseline=ROW] [--json=FILE] [--data_dir=FOLDER]
"""

import datetime
import gc
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags

from crossask import locks
from crossask.cli import command, shared_flags

if TYPE_CHECKING:
    from crossask.report.content import Provenance

FLAGS = flags.FlagValues()
shared_flags.define_wait_flag(FLAGS)
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
flags.DEFINE_string(
    "data_dir",
    "",
    "Folder (or CSV) of the data set whose sounds the report plays; default: the one that each run "
    "was trained on.",
    flag_values=FLAGS,
)


def report(values: flags.FlagValues, _positional: list[str]) -> None:
    """Writes the report and prints its scores."""
    # Importing the report imports Matplotlib.
    from crossask.report import write_report

    # The objects that the imports created exist to the end. Without this, the garbage collector
    # visits them again and again, which is a seventh of the time of a report on many clips.
    gc.freeze()
    with locks.of_folder(values.out):
        paths = write_report(
            values.model_dir,
            values.out,
            values.baseline,
            json_file=values.json or None,
            provenance=_provenance(values),
        )
    print(paths["summary.txt"].read_text(encoding="utf-8"), end="")
    print(f"Report: {paths['report.html']} (beside it: Markdown, CSV, LaTeX and figures)")


def _provenance(values: flags.FlagValues) -> "Provenance":
    """Returns the time, the command with its flags, and the version and commit of this package."""
    from crossask.report.content import Provenance
    from crossask.training import run_folder

    now = datetime.datetime.now(datetime.timezone.utc)
    words = ["crossask", "report"]
    for name in command.shown_flags(values):
        if values[name].present:
            words.append(f"--{name}={values[name].value}")
    version = command.version_line()
    commit = run_folder.versions().get("commit")
    if commit:
        version += f", commit {commit}"
    written = f"{now:%Y-%m-%d %H:%M} UTC"
    return Provenance(written, shlex.join(words), version, values.data_dir)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command.run(__doc__, FLAGS, report, argv, needs=("model_dir", "out"), takes_words=False)


if __name__ == "__main__":
    sys.exit(main())
