"""A worker process of Beam's runner on this machine, which ends with the process that started it.

Beam's own worker tries to reconnect for about two minutes after its parent was killed.
"""

import os
import shlex
import sys
from collections.abc import Sequence

from crossask import child_processes

# The module that Beam runs as a worker.
BEAM_WORKER_MODULE = "apache_beam.runners.worker.sdk_worker_main"


def command_ending_with_this_process(command: str) -> str:
    """Returns the command of a worker that ends with this process.

    Args:
      command: The command by which Beam would start a worker.

    Returns:
      The command itself, unless it is the one that Beam's runner on this machine uses. On Windows,
      where a process does not notice that its parent has ended, it is always the command itself.
    """
    if os.name != "posix" or command != f"{sys.executable} -m {BEAM_WORKER_MODULE}":
        return command
    # Beam runs the command in a shell. With `exec`, the worker is a child of this process and not
    # of the shell, which would survive this process.
    return f"exec {shlex.quote(sys.executable)} -m {__name__} {os.getpid()}"


def main(argv: Sequence[str]) -> None:
    """Runs Beam's worker until it has done its work or its parent has ended.

    Args:
      argv: The program, and the number of the parent.
    """
    child_processes.end_with(int(argv[1]))
    # The import takes seconds, in which the parent may be killed.
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(argv)


if __name__ == "__main__":
    main(sys.argv)
