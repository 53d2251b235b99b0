"""What all verbs share: flags of their own, a quick --help, errors as two lines, exit codes."""

import ast
import contextlib
import dataclasses
import logging
import math
import os
import select
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags
from absl import logging as absl_logging

from crossask import locks, system_errors
from crossask.audio import notices
from crossask.config import catalogue
from crossask.errors import CrossaskError, Preempted
from crossask.version import __version__

if TYPE_CHECKING:
    from crossask.config import Experiment

LOG = logging.getLogger("crossask")
USER_ERROR = 2
SOME_FAILED = 3
LARGEST_NUMBER = 2**31 - 1
PREEMPTED = 75  # "try again later" in sysexits.h
HELP_FLAGS = ("-h", "--help", "-help")
VERSION_FLAG = "--version"
# These also list the fields that --params_override can replace.
FULL_HELP_FLAGS = ("--helpfull", "-helpfull")
# absl defines these by itself.
HIDDEN_FLAGS = ("flagfile", "undefok")
# Package that the core of crossask does without -> the extra that installs it.
EXTRA_OF = {
    "official": "train",
    "tensorflow_hub": "train",
    "librosa": "train",
    "scipy": "train",
    "sklearn": "train",
    "pandas": "train",
    "matplotlib": "train",
    "jinja2": "train",
    "gradio": "app",
    "apache_beam": "beam",
    "av": "media",
    "ai_edge_litert": "lite",
}
# absl appends this to the help of a flag that may be repeated.
REPEATED = ";\n    repeat this option to specify a list of values"

Action = Callable[[flags.FlagValues, list[str]], int | None]


def run(
    doc: str,
    flag_values: flags.FlagValues,
    action: Action,
    argv: Sequence[str] | None = None,
    needs: Sequence[str] = (),
) -> int:
    """Parses the flags and calls the action.

    Args:
      doc: Description of the verb, printed by --help.
      flag_values: Flags of the verb.
      action: Function(flags, positional arguments) -> exit code, or None for 0.
      argv: Program and arguments; None is those of the process.
      needs: Names of the flags without which the verb does nothing.

    Returns:
      The exit code: 0 for success; 2 for a mistake of the user, which is printed as two lines; 3 if
      some of several files or runs failed; 75 after SIGTERM, if the command can go on later. A bug
      of this package keeps its stack trace.
    """
    argv = list(sys.argv if argv is None else argv)
    help_level = _help_level(argv[1:])
    _set_up_logging()
    notices.forget()

    def call() -> int:
        if help_level:
            print(_help(doc, flag_values, help_level, needs))
            return 0
        if VERSION_FLAG in argv[1:2]:
            print(version_line())
            return 0
        # A second call in one process starts with the defaults.
        flag_values.unparse_flags()
        positional = flag_values(argv)[1:]
        _check_numbers(flag_values)
        required(flag_values, *needs)
        if "" in positional:
            # Python takes an empty path for the current folder.
            raise CrossaskError(
                "One of the arguments is empty.", "Give a path; is a variable of the shell not set?"
            )
        # A verb that another verb runs waits as that one does.
        waits = locks.waits() or ("wait" in flag_values and flag_values["wait"].value)
        with _sigterm_raises(), locks.waiting(waits):
            return action(flag_values, positional) or 0

    try:
        return with_errors_in_two_lines(call)
    except flags.UnrecognizedFlagError as error:
        help_command = f"See {os.path.basename(argv[0])} --help."
        return complain(str(error), f"{_field_hint(error.flagname, flag_values)}{help_command}")
    except flags.Error as error:
        return complain(str(error), f"See {os.path.basename(argv[0])} --help.")


def _check_numbers(flag_values: flags.FlagValues) -> None:
    """Raises CrossaskError for a flag that is not a finite number: NaN is within every range."""
    for name in flag_values:
        value = flag_values[name].value
        if isinstance(value, float) and not math.isfinite(value):
            raise CrossaskError(f"--{name} is {value}.", "Give a finite number.")


def refuse(
    flag_values: flags.FlagValues, names: Iterable[str], given: str, alternative: str = ""
) -> None:
    """Raises CrossaskError if a flag is given that has no effect.

    Args:
      flag_values: The flags.
      names: Names of the flags without an effect.
      given: The flag because of which they have none, "--events".
      alternative: What can be done instead of removing the flag, ", or ...".
    """
    for name in names:
        if flag_values[name].present:
            raise CrossaskError(
                f"--{name} has no effect with {given}.", f"Remove --{name}{alternative}."
            )


def with_errors_in_two_lines(call: Callable[[], int]) -> int:
    """Returns what `call` returns, or the exit code of the error that it raised, which is printed.

    A bug of this package keeps its stack trace.
    """
    _replace_closed_streams()
    try:
        with _outside_of_pipes(), system_errors.translated():
            exit_code = call()
            # Python would flush it at its end, and report a full disk as a bug.
            sys.stdout.flush()
            return exit_code
    except CrossaskError as error:
        if isinstance(error.__cause__, OSError):
            _give_up_output()
        return complain(error.problem, error.fix)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRA_OF:
            raise
        fix = f"Install it with: pip install 'crossask[{EXTRA_OF[package]}]'"
        return complain(f"This needs the package {package!r}, which is not installed.", fix)
    except _OutputClosed:
        # What reads the output has read enough, for example `head`.
        _give_up_output()
        return 0
    except KeyboardInterrupt:
        return complain("Stopped.", "Run the same command again to go on.")
    except Preempted:
        complain(
            "Stopped by SIGTERM.", "Run the same command again: it goes on from the saved state."
        )
        return PREEMPTED


def complain(problem: str, fix: str) -> int:
    """Prints a mistake of the user as two lines and returns its exit code."""
    # The exit code still says it if stderr is closed or its disk is full.
    with contextlib.suppress(OSError):
        print(f"Error: {problem}\n{fix}", file=sys.stderr, flush=True)
    return USER_ERROR


class _OutputClosed(Exception):
    """What reads standard output has closed it."""


@contextlib.contextmanager
def _outside_of_pipes() -> Iterator[None]:
    """Raises _OutputClosed if standard output is a pipe that nobody reads any more."""
    try:
        yield
    except CrossaskError as error:
        # Another pipe, such as the one to a process of ours, is an error.
        if isinstance(error.__cause__, BrokenPipeError) and _is_output_closed():
            raise _OutputClosed from error
        raise


def _is_output_closed() -> bool:
    try:
        sys.stdout.flush()
    except OSError:
        return True
    try:
        poll = select.poll()
    except AttributeError:
        # Windows has no poll. A command writes to no other pipe but that of its processes.
        return True
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):
        return False
    return bool(poll.poll(0))


def _give_up_output() -> None:
    """Drops what standard output cannot write: Python would fail again when it flushes it."""
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _replace_closed_streams() -> None:
    """Puts files in place of standard output and standard error that the shell has closed.

    Python has None there, and the next file that is opened would receive what libraries print.
    """
    if sys.stdout is None:
        # It is opened for reading, so that what is written to it is an error.
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def version_line() -> str:
    """Returns the name and the version of this package."""
    return f"crossask {__version__}"


def first_line(source: Path) -> str:
    """Returns the first line of a module's docstring, without importing the module.

    Args:
      source: The Python file.
    """
    docstring = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]


def failure(failed: int, total: int) -> int:
    """Returns the exit code if `failed` of `total` files or runs failed."""
    if not failed:
        return 0
    if failed == total:
        return USER_ERROR
    return SOME_FAILED


def progress_bar(description: str, unit: str = "clip") -> Callable[..., None]:
    """Returns a function(done, total, note) that shows how far the work is, with the time left.

    It draws a bar in a terminal, and logs a line for every tenth of the work elsewhere.
    """
    if not sys.stderr.isatty():
        return _ProgressLines(description, unit)
    bar = None

    def update(done: int, total: int, note: str = "") -> None:
        nonlocal bar
        if bar is None:
            # The bar is drawn with the first progress, so that an error before it stands alone.
            from tqdm import tqdm

            # What an earlier command did is left out of the speed.
            bar = tqdm(desc=description, unit=unit, total=total, initial=done, mininterval=1)
        bar.total = total
        bar.set_postfix_str(note, refresh=False)
        bar.update(done - bar.n)
        if done >= total:
            bar.close()

    return update


class _ProgressLines:
    """Logs a line when another tenth of the work is done: a bar would fill a file."""

    def __init__(self, description: str, unit: str):
        self.description = description
        # Symbols such as B and s have no plural.
        self.units = f"{unit}s" if len(unit) > 1 else unit
        self.start = 0.0
        self.done_at_start: int | None = None
        self.logged_tenths = 0

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Logs a line if it is time for one.

        Args:
          done: How much is done.
          total: How much there is.
          note: What is being done.
        """
        if self.done_at_start is None:
            # What an earlier command did is left out of the speed.
            self.done_at_start = done
            self.start = time.monotonic()
            self.logged_tenths = _tenths(done, total)
        tenths = _tenths(done, total)
        if tenths <= self.logged_tenths:
            return
        self.logged_tenths = tenths
        parts = [f"{done:,} of {total:,} {self.units}"]
        if done < total and done > self.done_at_start:
            seconds_each = (time.monotonic() - self.start) / (done - self.done_at_start)
            parts.append(f"{duration(seconds_each * (total - done))} left")
        if note:
            parts.append(note)
        LOG.info("%s: %d %% (%s)", self.description, 10 * tenths, "; ".join(parts))


def _tenths(done: int, total: int) -> int:
    return 10 * done // max(total, 1)


def duration(seconds: float) -> str:
    """Returns a time in words, as exact as an estimate is."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    if minutes < 100:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.1f} h"


def numbers(words: Sequence[str], name: str) -> list[int]:
    """Returns the value of a list flag as integers from 0 on.

    Args:
      words: Value of the flag.
      name: Name of the flag, for the message.

    Raises:
      CrossaskError: The list is empty or has other values.
    """
    try:
        found = [int(word) for word in words]
        if not found or min(found) < 0:
            raise ValueError("none, or one below 0")
    except ValueError as error:
        raise CrossaskError(
            f"--{name} is {','.join(words)!r}.", f"Give integers, for example --{name}=0,1,2."
        ) from error
    # Two runs would have one folder.
    if len(set(found)) < len(found):
        raise CrossaskError(
            f"--{name} is {','.join(words)!r}, with a number twice.", "Give each number once."
        )
    if max(found) > LARGEST_NUMBER:
        raise CrossaskError(f"--{name} has {max(found)}.", f"Give numbers up to {LARGEST_NUMBER}.")
    return found


def required(flag_values: flags.FlagValues, *names: str) -> None:
    """Raises CrossaskError unless all flags of these names have values."""
    for name in names:
        if not flag_values[name].value:
            raise CrossaskError(
                f"--{name} is missing.", f"Add --{name}=...; --help lists all flags."
            )


def define_wait_flag(flag_values: flags.FlagValues) -> None:
    """Defines the flag of commands that write what others may write, too."""
    flags.DEFINE_bool(
        "wait",
        False,
        "If another command writes the same run, features, table or export, wait until it has "
        "ended; without this flag, the command ends with the name of the other process.",
        flag_values=flag_values,
    )


def define_trust_flag(flag_values: flags.FlagValues) -> None:
    """Defines the flag of commands that load a model that somebody else may have written."""
    flags.DEFINE_bool(
        "trust_model",
        False,
        "Use a SavedModel that was not written by crossask-export. A SavedModel is a program, "
        "which can read and write your files.",
        flag_values=flag_values,
    )


def define_device_flags(flag_values: flags.FlagValues) -> None:
    """Defines the flags of commands that train: the devices, and how often the state is saved."""
    flags.DEFINE_string(
        "distribution",
        "auto",
        "Devices to train on: auto (all GPUs of the machine, else the CPU) | one_device | "
        "mirrored | multi_worker_mirrored | tpu.",
        flag_values=flag_values,
    )
    flags.DEFINE_string("tpu", None, "Address of the TPU.", flag_values=flag_values)
    flags.DEFINE_float(
        "peer_timeout",
        600.0,
        "With --distribution=multi_worker_mirrored: seconds to wait until the other machines of "
        "TF_CONFIG have started.",
        0.0,
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "save_steps",
        0,
        "Steps between two saves within an epoch; 0: no such saves. In any case, the state is "
        "saved at the end of an epoch and on SIGTERM.",
        0,
        flag_values=flag_values,
    )


def exit_code_of_child(values: flags.FlagValues) -> int | None:
    """Lets a child do the work of one of several machines; see `child_processes.split`.

    It must be called before TensorFlow is imported.

    Returns:
      The exit code of the child; None in the child, and with any other --distribution.
    """
    if values.distribution != "multi_worker_mirrored":
        return None
    from crossask import child_processes

    return child_processes.split()


def define_runner_flags(flag_values: flags.FlagValues) -> None:
    """Defines the flags of commands that compute features: in threads or with Apache Beam."""
    flags.DEFINE_enum(
        "runner",
        "direct",
        ["direct", "beam"],
        "direct: features are computed in threads of this process; beam: as an Apache Beam "
        "pipeline.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "beam_options",
        "",
        "Options of Apache Beam, for example '--runner=FlinkRunner --flink_master=...'.",
        flag_values=flag_values,
    )


def runner(values: flags.FlagValues) -> Callable | None:
    """Returns the function that computes features elsewhere; None without Apache Beam.

    Raises:
      CrossaskError: The options of Beam are given without it, or cannot be read.
    """
    if values.runner != "beam":
        if values.beam_options:
            raise CrossaskError(
                "--beam_options is given without --runner=beam.",
                "Add it, or leave the options out.",
            )
        return None
    from crossask.features import beam

    try:
        words = shlex.split(values.beam_options)
    except ValueError as error:
        raise CrossaskError(
            f"--beam_options is {values.beam_options!r} ({error}).", "Close the quotation mark."
        ) from error
    return beam.pipeline_writer(words)


def define_experiment_flags(flag_values: flags.FlagValues, corpus: bool = True) -> None:
    """Defines the flags that select rows, and with `corpus` those of the data set's folders."""
    flags.DEFINE_string(
        "experiment",
        "",
        "Rows: FILE.py (all rows of the file) or FILE.py:row,row.",
        flag_values=flag_values,
    )
    flags.DEFINE_multi_string(
        "config_file",
        [],
        "JSON file with fields to replace. May be repeated; a later file replaces the fields of an "
        "earlier one.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "params_override",
        "",
        "Fields to replace after those of --config_file: training.epochs=3,training.batch_size=8",
        flag_values=flag_values,
    )
    if not corpus:
        return
    flags.DEFINE_string("data_dir", "", "Folder (or CSV) of the data set.", flag_values=flag_values)
    flags.DEFINE_string(
        "features_dir",
        "",
        "Folder of the stored features; default: 'features' in the data set's folder.",
        flag_values=flag_values,
    )


def define_weights_flag(flag_values: flags.FlagValues) -> None:
    """Defines the flag for weights that are no longer where a run was trained with them."""
    flags.DEFINE_string(
        "weights",
        "",
        "File or folder of the event model's weights, or of its embeddings, if it was moved since "
        "the training. Default: the one that each run was trained with.",
        flag_values=flag_values,
    )


def dataset_names(*others: str) -> str:
    """Returns the data sets of the catalogue, and other names, for the help of a flag."""
    return " | ".join([*catalogue.DATASETS, *others])


def experiments(flag_values: flags.FlagValues) -> list["Experiment"]:
    """Returns the rows that the flags select, with all replaced fields."""
    from crossask import config

    required(flag_values, "experiment")
    rows = []
    for row in config.read_experiments(flag_values.experiment):
        dataset = flag_values.dataset if "dataset" in flag_values else ""
        if dataset:
            # Before the fields are replaced, because some are for one data set only.
            row = _on_dataset(row, dataset)
        row = config.resolve(row, flag_values.config_file, flag_values.params_override)
        if dataset:
            row = _on_dataset(row, dataset)
        rows.append(config.with_absolute_paths(row))
    return rows


def features_dir(data_dir: str, given: str) -> str:
    """Returns the folder of the stored features: the given one, or that of the data set."""
    if given:
        return given
    folder = data_dir
    if not os.path.isdir(data_dir):
        # `data_dir` is a CSV: the features are stored beside it.
        folder = os.path.dirname(os.path.abspath(data_dir))
    return os.path.join(folder, "features")


def _on_dataset(row: "Experiment", dataset: str) -> "Experiment":
    """Returns the row on another data set, without the paper's score, which is for its own one."""
    if row.dataset == dataset:
        return row
    return dataclasses.replace(row, dataset=dataset, paper_score=None)


def _set_up_logging() -> None:
    # TensorFlow's messages at its start are of no use to a user. It reads this when it is imported.
    # Without a GPU, it also reports as an error that there is none.
    level = "2" if _has_gpu_driver() else "3"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", level)
    absl_logging.set_verbosity(absl_logging.WARNING)
    # TensorFlow's warnings, such as those of retracing, are for its programmers.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    if not LOG.handlers:
        LOG.addHandler(_LinesAboveBars())
    LOG.propagate = False
    LOG.setLevel(logging.INFO)


def _has_gpu_driver() -> bool:
    """Returns whether Linux has a driver of NVIDIA's or AMD's GPUs, or Windows' GPUs in WSL."""
    return any(os.path.exists(path) for path in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg"))


class _LinesAboveBars(logging.StreamHandler):
    """Writes log lines above a progress bar instead of into it."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        # A closed or full stderr ends no training.
        with contextlib.suppress(OSError):
            tqdm.write(self.format(record), file=sys.stderr)


@contextlib.contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Makes SIGTERM raise `Preempted`; training handles it by itself, and saves first."""

    def stop(_number: int, _frame: Any) -> None:
        raise Preempted

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _help_level(arguments: Sequence[str]) -> int:
    """Returns 0 if no help is requested, 1 for --help and 2 for --helpfull."""
    if any(word in FULL_HELP_FLAGS for word in arguments):
        return 2
    if any(word in HELP_FLAGS for word in arguments):
        return 1
    return 0


def _help(doc: str, flag_values: flags.FlagValues, level: int, needs: Sequence[str]) -> str:
    parts = [doc.strip()]
    names = shown_flags(flag_values)
    if needs:
        parts.append(_flag_help("Required flags", flag_values, needs))
    others = [name for name in names if name not in needs]
    if others:
        parts.append(_flag_help("Other flags" if needs else "Flags", flag_values, others))
    if "params_override" in flag_values:
        parts.append(_field_help(is_full=level == 2))
    return "\n\n".join(parts)


def shown_flags(flag_values: flags.FlagValues) -> list[str]:
    """Returns the names of the flags of a verb, without aliases and those of absl."""
    names = []
    for name in sorted(flag_values):
        is_alias = flag_values[name].name != name
        if not is_alias and name not in HIDDEN_FLAGS:
            names.append(name)
    return names


def _flag_help(title: str, flag_values: flags.FlagValues, names: Sequence[str]) -> str:
    lines = [f"{title}:"]
    for name in names:
        flag = flag_values[name]
        default = ""
        if flag.default not in (None, "", []):
            default = f" (default: {flag.default_as_str})"
        lines.append(f"  --{name}: {flag.help.removesuffix(REPEATED)}{default}")
    return "\n".join(lines)


def _field_hint(name: str, flag_values: flags.FlagValues) -> str:
    """Returns how to set the field that a user may mean by an unknown flag; "" for none."""
    if "params_override" not in flag_values:
        return ""
    from crossask.config import reference

    for entry in reference.entries():
        if name in (entry.path, entry.path.rpartition(".")[2]):
            return f"To set the field {entry.path}, use --params_override={entry.path}=... "
    return ""


def _field_help(is_full: bool) -> str:
    """Returns the fields that --params_override can replace, or how to list them."""
    if not is_full:
        return (
            "--helpfull also lists the fields that --params_override can replace; so does "
            "crossask-fields."
        )
    from crossask.config import reference

    return f"Fields of a row, with their defaults:\n{reference.as_text()}"
