"""crossask-experiments: lists the experiment files of this package, or the rows of some of them.

crossask-experiments                 the files and what they are for
crossask-experiments dcase2019       the rows of a file; --experiment=dcase2019:fa selects one
"""

import sys
from collections.abc import Sequence

from absl import flags

from crossask.cli import command

FLAGS = flags.FlagValues()


def experiments(_values: flags.FlagValues, names: list[str]) -> None:
    """Prints the files, or the rows of the files with these names."""
    from crossask import config

    if not names:
        files = config.shipped_experiments()
        width = max(len(file.stem) for file in files)
        for file in files:
            print(f"{file.stem.ljust(width)}  {command.first_line_of_docstring(file)}")
        return
    for name in names:
        rows = config.read_experiments(name)
        width = max(len(row.name) for row in rows)
        for row in rows:
            print(f"{name}:{row.name.ljust(width)}  {row.system}, {row.strategy}, {row.dataset}")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command.run(__doc__, FLAGS, experiments, argv)


if __name__ == "__main__":
    sys.exit(main())
