"""Runs commands as processes that are forks of one that has imported TensorFlow already, so that a
command that is killed many times does not import it each time.

Nothing of TensorFlow has run before the fork: only that would start threads whose locks a fork
inherits without them.
"""

import contextlib
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

MODULES = (
    "crossask.cli.evaluate",
    "crossask.cli.export",
    "crossask.cli.own_recordings",
    "crossask.cli.predict",
    "crossask.cli.prepare",
    "crossask.cli.pretrain",
    "crossask.cli.report",
    "crossask.cli.train",
    "crossask.datasets.archives",
    "crossask.datasets.soundscapes",
    "crossask.evaluation",
    "crossask.features.beam",
    "crossask.features.verification",
    "crossask.grid.preflight",
    "crossask.pretraining",
    "crossask.report",
    "crossask.serving",
    "crossask.serving.litert",
    "crossask.training.evaluate",
)


# Instead of a verb: downloads archives, (url, bytes, md5) of each as JSON, into a folder. The verb
# knows the archives of published corpora alone.
DOWNLOAD = "download"


class Ended:
    """A command that has ended.

    Attributes:
      code: Its exit code; that of a signal is negative.
      seconds: How long it ran.
      session: Number of its session, of which all processes are that it has started.
    """

    def __init__(self, code: int, seconds: float, session: int):
        self.code = code
        self.seconds = seconds
        self.session = session


class Commands:
    """The warm process, which runs one command at a time.

    Attributes:
      log: File with the output of the last command.
      temporary: Folder of the commands' temporary files.
    """

    def __init__(self, process: subprocess.Popen, log: Path, temporary: Path):
        self.process = process
        self.log = log
        self.temporary = temporary

    def run(self, words: Sequence[str], kill_after_seconds: float | None = None) -> Ended:
        """Runs `crossask WORDS`, and kills its process after some seconds if it still runs then."""
        self.log.write_text("")
        self.process.stdin.write(json.dumps([str(word) for word in words]).encode() + b"\n")
        session = int(self._line())
        start = time.monotonic()
        if kill_after_seconds is not None:
            ended, _, _ = select.select([self.process.stdout], [], [], kill_after_seconds)
            if not ended:
                # It may end at this moment.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(session, signal.SIGKILL)
        code = int(self._line())
        return Ended(code, time.monotonic() - start, session)

    def _line(self) -> bytes:
        line = self.process.stdout.readline()
        assert line, "the warm process has ended"
        return line


@contextlib.contextmanager
def started(folder: Path) -> Iterator[Commands]:
    """Starts the warm process; its log and its temporary files are in `folder`."""
    import crossask

    temporary = folder / "temporary"
    temporary.mkdir()
    log = folder / "log.txt"
    root = Path(crossask.__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, __file__, str(log)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        env={**os.environ, "PYTHONPATH": str(root), "TMPDIR": str(temporary)},
    )
    try:
        yield Commands(process, log, temporary)
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def running(sessions: Sequence[int]) -> list[str]:
    """Returns the command lines of the processes that belong to some sessions."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        # It may end meanwhile.
        with contextlib.suppress(OSError):
            state, _parent, _group, session = stat.read_text().rpartition(")")[2].split()[:4]
            if int(session) in sessions and state != "Z":
                found.append(stat.with_name("cmdline").read_text().replace("\0", " "))
    return found


def _serve(log: str) -> None:
    """Starts a command for each line of standard input; prints its number, then its exit code."""
    for module in MODULES:
        importlib.import_module(module)
    while line := sys.stdin.readline():
        words = json.loads(line)
        child = os.fork()
        if child == 0:
            _begin(log, words)
            sys.exit(_call(words))
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _begin(log: str, words: Sequence[str]) -> None:
    """Makes a fork look like a command that a shell has started."""
    os.setsid()
    sys.argv = ["crossask", *words]
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)


def _call(words: Sequence[str]) -> int:
    if words[0] == DOWNLOAD:
        from crossask.datasets import archives

        folder, listed = words[1:]
        archives.fetch_corpus(json.loads(listed), folder)
        return 0
    from crossask.cli import main

    return main.main(sys.argv)


if __name__ == "__main__":
    _serve(sys.argv[1])
