"""crossask-launch: starts several processes on this machine that train one model together.

If one of them is killed, all are started again and continue from the last save.

crossask-launch --processes=2 crossask-train --distribution=multi_worker_mirrored --experiment=...
"""

import sys
from collections.abc import Sequence

from absl import flags

from crossask.cli import command
from crossask.errors import CrossaskError

FLAGS = flags.FlagValues()
# Flags after the command's name belong to the command.
FLAGS.set_gnu_getopt(False)
flags.DEFINE_integer("processes", 2, "Number of processes.", 2, flag_values=FLAGS)
flags.DEFINE_integer(
    "restarts",
    3,
    "How many times all processes are started again after one of them has failed.",
    0,
    flag_values=FLAGS,
)


def launch(values: flags.FlagValues, words: list[str]) -> int:
    """Runs the command in several processes and returns its exit code."""
    from crossask.grid.launcher import launch_processes

    if not words:
        raise CrossaskError(
            "No command is given.",
            "Add it after the flags: crossask-train --distribution=multi_worker_mirrored ...",
        )
    return launch_processes(words, values.processes, values.restarts, command.LOG.warning)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command.run(__doc__, FLAGS, launch, argv)


if __name__ == "__main__":
    sys.exit(main())
