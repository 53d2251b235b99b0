"""What all verbs share: absl flags of their own, a quick --help, errors as two lines, exit codes."""

import contextlib
import dataclasses
import logging
import os
import signal
import sys
import threading

from absl import flags
from absl import logging as absl_logging

from crossask.errors import CrossaskError, Preempted

LOG = logging.getLogger("crossask")
USER_ERROR = 2
SOME_FAILED = 3
PREEMPTED = 75  # sysexits.h: try again later


def run(doc: str, flag_values: flags.FlagValues, action, argv=None) -> int:
    """Parses the flags and calls action(flag_values, positional arguments) -> exit code or None.

    Exit codes: 0 done; 2 the user's mistake, told in two lines; 3 some of several files or runs failed; 75 stopped by SIGTERM,
    to be started again; an error of ours keeps its traceback.
    """
    argv = list(sys.argv if argv is None else argv)
    if any(word in ("-h", "--help", "-help", "--helpfull") for word in argv[1:]):
        print(f"{doc.strip()}\n\nFlags:\n{_flag_help(flag_values)}")
        return 0
    # TensorFlow's start-up chatter is no news to a user; set before it is imported
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    absl_logging.set_verbosity(absl_logging.WARNING)
    if not LOG.handlers:
        LOG.addHandler(_AboveBars())
    LOG.propagate = False
    LOG.setLevel(logging.INFO)
    try:
        flag_values.unparse_flags()  # a second call in one process starts anew
        rest = flag_values(argv)[1:]
        with _termination_raised():
            return action(flag_values, rest) or 0
    except flags.Error as error:
        return complain(str(error), f"See {os.path.basename(argv[0])} --help.")
    except CrossaskError as error:
        return complain(error.problem, error.fix)
    except BrokenPipeError:  # who reads our output has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return complain("Stopped.", "Run the same command again to go on.")
    except Preempted:
        complain(
            "Stopped by SIGTERM.", "Run the same command again: it goes on from what is saved."
        )
        return PREEMPTED


@contextlib.contextmanager
def _termination_raised():
    """SIGTERM ends what is being done with `Preempted`; training answers it for itself, and saves first."""

    def stop(number, frame):
        raise Preempted

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _AboveBars(logging.StreamHandler):
    """Log lines that leave a progress bar whole."""

    def emit(self, record):
        from tqdm import tqdm

        tqdm.write(self.format(record), file=sys.stderr)


def failure(failed: int, total: int) -> int:
    """The exit code where some of several files or runs failed."""
    return USER_ERROR if failed == total else SOME_FAILED if failed else 0


def progress_bar(description: str, unit: str = "clip"):
    """A function(done, total, note) that draws a bar with the time left."""
    bar = None

    def update(done: int, total: int, note: str = ""):
        nonlocal bar
        if bar is None:  # not before there is something to say: an error comes first
            from tqdm import tqdm

            # what an earlier command did is no measure of this one's speed
            bar = tqdm(desc=description, unit=unit, total=total, initial=done, mininterval=1)
        bar.total = total
        bar.set_postfix_str(note, refresh=False)
        bar.update(done - bar.n)
        if done >= total:
            bar.close()

    return update


def numbers(words, name: str) -> list[int]:
    """A list flag as whole numbers from 0 on."""
    try:
        found = [int(word) for word in words]
        if not found or min(found) < 0:
            raise ValueError("none, or one below 0")
        return found
    except ValueError as error:
        raise CrossaskError(
            f"--{name} is {','.join(words)!r}.", f"Give whole numbers, for example --{name}=0,1,2."
        ) from error


def required(flag_values, *names: str):
    for name in names:
        if not flag_values[name].value:
            raise CrossaskError(
                f"--{name} is not given.", f"Add --{name}=...; --help lists all flags."
            )


def define_experiment_flags(flag_values, corpus: bool = True):
    flags.DEFINE_string(
        "experiment",
        "",
        "Rows to work on: FILE.py (all its rows) or FILE.py:row,row.",
        flag_values=flag_values,
    )
    flags.DEFINE_multi_string(
        "config_file",
        [],
        "JSON with fields to replace; several may be given, later ones win.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "params_override",
        "",
        "Fields to replace last: training.epochs=3,training.batch_size=8",
        flag_values=flag_values,
    )
    if not corpus:
        return
    flags.DEFINE_string("data_dir", "", "Folder (or CSV) of the corpus.", flag_values=flag_values)
    flags.DEFINE_string(
        "features_dir",
        "",
        "Folder of the cached features; default: 'features' in the corpus's folder.",
        flag_values=flag_values,
    )


def experiments(flag_values) -> list:
    from crossask import config

    required(flag_values, "experiment")
    rows = [
        config.resolve(row, flag_values.config_file, flag_values.params_override)
        for row in config.read_experiments(flag_values.experiment)
    ]
    if "dataset" in flag_values and flag_values.dataset:
        rows = [  # the paper's score is of the paper's corpus
            row
            if row.dataset == flag_values.dataset
            else dataclasses.replace(row, dataset=flag_values.dataset, paper_score=None)
            for row in rows
        ]
    return rows


def features_dir(data_dir: str, given: str) -> str:
    folder = data_dir if os.path.isdir(data_dir) else os.path.dirname(os.path.abspath(data_dir))
    return given or os.path.join(folder, "features")


def _flag_help(flag_values) -> str:
    lines = []
    for name in sorted(flag_values):
        flag = flag_values[name]
        if flag.name != name or name in ("flagfile", "undefok"):
            continue
        default = f" (default: {flag.default_as_str})" if flag.default not in (None, "", []) else ""
        lines.append(f"  --{name}: {flag.help}{default}")
    return "\n".join(lines)


def complain(problem: str, fix: str) -> int:
    """Tells a user's mistake in two lines; the exit code for it."""
    print(f"Error: {problem}\n{fix}", file=sys.stderr)
    return USER_ERROR
