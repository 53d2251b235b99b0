"""crossask-launch: several processes of this machine train one model together; if one is killed, all go on from the last save.

crossask-launch --processes=2 crossask-train --distribution=multi_worker_mirrored --experiment=... --data_dir=... --model_dir=...
"""

import sys

from absl import flags

from crossask.cli import command
from crossask.errors import CrossaskError

FLAGS = flags.FlagValues()
FLAGS.set_gnu_getopt(False)  # flags after the command's name are the command's
flags.DEFINE_integer("processes", 2, "How many.", 2, flag_values=FLAGS)
flags.DEFINE_integer(
    "restarts", 3, "How often all are started again after one has failed.", 0, flag_values=FLAGS
)


def launch(values, rest):
    from crossask.grid.launcher import launch_processes

    if not rest:
        raise CrossaskError(
            "No command is given.",
            "Add it after the flags: crossask-train --distribution=multi_worker_mirrored ...",
        )
    return launch_processes(rest, values.processes, values.restarts, command.LOG.warning)


def main(argv=None) -> int:
    return command.run(__doc__, FLAGS, launch, argv)


if __name__ == "__main__":
    sys.exit(main())
