"""Runs a verb: parses its flags, prints --help, prints errors as two lines, returns exit codes."""

import ast
import contextlib
import logging
import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from absl import logging as absl_logging

from crossask import locks, system_errors
from crossask.audio import notices
from crossask.cli import streams
from crossask.errors import CrossaskError, Preempted
from crossask.version import __version__

LOG = logging.getLogger("crossask")
USER_ERROR = 2
SOME_FAILED = 3
PREEMPTED = 75  # "try again later" in sysexits.h
# Flags whose empty text means what it says. Scripts give them a variable that may be empty.
MAY_BE_EMPTY = ("params_override",)
# Flags whose text is a list: fields or rows with commas between them.
LISTS_AS_TEXT = ("params_override", "experiment")
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
# Packages of the core that predicting with a LiteRT file does without (requirements-lite.txt).
BEYOND_LITE = ("tensorflow", "tf_keras", "h5py", "pooch", "httpx", "certifi")
# absl appends this to the help of a flag that may be repeated.
REPEATED = ";\n    repeat this option to specify a list of values"

Action = Callable[[flags.FlagValues, list[str]], int | None]


def run(
    doc: str,
    flag_values: flags.FlagValues,
    action: Action,
    argv: Sequence[str] | None = None,
    needs: Sequence[str] = (),
    takes_words: bool = True,
) -> int:
    """Parses the flags and calls the action.

    Args:
      doc: Description of the verb, printed by --help.
      flag_values: Flags of the verb.
      action: Function(flags, positional arguments) -> exit code, or None for 0.
      argv: Program and arguments; None is those of the process.
      needs: Names of the flags without which the verb does nothing.
      takes_words: Whether the verb reads positional arguments; otherwise they are a mistake.

    Returns:
      The exit code: 0 for success; 2 for a mistake of the user, which is printed as two lines; 3 if
      some of several files or runs failed; 75 after SIGTERM or the loss of a machine that trained
      with this one, if the command can go on later. A bug of this package keeps its stack trace.
    """
    argv = list(sys.argv if argv is None else argv)
    help_command = f"See {os.path.basename(argv[0])} --help."
    help_level = _help_level(_own_words(flag_values, argv[1:]))
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
        _check_texts(flag_values)
        _check_lists(flag_values)
        _expand_home(flag_values)
        if positional and not takes_words:
            raise CrossaskError(
                f"The argument {positional[0]!r} follows no flag, and would be ignored.",
                f"Give it as the value of a flag. {help_command}",
            )
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
        return complain(str(error), f"{_field_hint(error.flagname, flag_values)}{help_command}")
    except flags.Error as error:
        return complain(str(error), help_command)


def _check_numbers(flag_values: flags.FlagValues) -> None:
    """Raises CrossaskError for a flag that is not a finite number: NaN is within every range."""
    for name in flag_values:
        value = flag_values[name].value
        if isinstance(value, float) and not math.isfinite(value):
            raise CrossaskError(f"--{name} is {value}.", "Give a finite number.")


def _check_texts(flag_values: flags.FlagValues) -> None:
    """Raises CrossaskError for a flag that is given without a text.

    The default would silently take the place of what the user wanted, such as the starter model.
    """
    for name in flag_values:
        if name in MAY_BE_EMPTY:
            continue
        value = flag_values[name].value
        values = value if isinstance(value, list) else [value]
        if flag_values[name].present and "" in values:
            raise CrossaskError(
                f"--{name} is empty.",
                "Give a value, or leave it out; is a variable of the shell not set?",
            )


def _check_lists(flag_values: flags.FlagValues) -> None:
    """Raises CrossaskError for a list that is given in several flags.

    absl takes the last flag alone, so that fields, seeds or folds would be lost silently. Flags
    that may be repeated keep all of their values.
    """
    for name in flag_values:
        flag = flag_values[name]
        is_list = name in LISTS_AS_TEXT or isinstance(flag.value, list)
        if is_list and flag.present > 1 and not isinstance(flag, flags.MultiFlag):
            raise CrossaskError(
                f"--{name} is given {flag.present} times, and only the last one would count.",
                f"Give it once, with commas: --{name}=...,...",
            )


def _expand_home(flag_values: flags.FlagValues) -> None:
    """Replaces ~ at the start of paths: shells do so for words, but not after "--out=".

    Otherwise a folder of this name would be created in the current one.
    """
    for name in flag_values:
        flag = flag_values[name]
        if not flag.present:
            continue
        if isinstance(flag.value, str):
            flag.value = os.path.expanduser(flag.value)
        elif isinstance(flag.value, list):
            flag.value = [
                os.path.expanduser(value) if isinstance(value, str) else value
                for value in flag.value
            ]


def refuse(
    flag_values: flags.FlagValues, names: Iterable[str], given: str, alternative: str = ""
) -> None:
    """Raises CrossaskError if a flag is given that has no effect.

    Args:
      flag_values: The flags.
      names: Names of the flags without an effect.
      given: Why they have none: the other flag or source that is given, such as "--events".
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
    streams.replace_closed()
    streams.refuse_unknown_characters()
    try:
        with streams.closed_pipe_detected(), system_errors.translated():
            code = call()
            # Python would flush it at its end, and report a full disk as a bug.
            sys.stdout.flush()
            return code
    except CrossaskError as error:
        if isinstance(error.__cause__, OSError):
            streams.discard_output()
        return complain(error.problem, error.fix)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in BEYOND_LITE:
            fix = "Install it with: pip install crossask; --model=MODEL.tflite predicts without it."
        elif package in EXTRA_OF:
            fix = f"Install it with: pip install 'crossask[{EXTRA_OF[package]}]'"
        else:
            raise
        return complain(f"This needs the package {package!r}, which is not installed.", fix)
    except streams.OutputClosedError:
        # Standard output was closed, for example by `head`.
        streams.discard_output()
        return 0
    except KeyboardInterrupt:
        return complain("Stopped.", "Run the same command again to go on.")
    except Preempted as stopped:
        complain(stopped.problem, stopped.fix)
        return PREEMPTED


def complain(problem: str, fix: str) -> int:
    """Prints a mistake of the user as two lines and returns its exit code."""
    # If stderr is closed or its disk is full, the exit code is all that is left of the error.
    with contextlib.suppress(OSError):
        print(f"Error: {problem}\n{fix}", file=sys.stderr, flush=True)
    return USER_ERROR


def version_line() -> str:
    """Returns the name and the version of this package."""
    return f"crossask {__version__}"


def first_line_of_docstring(source: Path) -> str:
    """Returns the first line of a module's docstring, without importing the module.

    Args:
      source: The Python file.
    """
    docstring = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]


def exit_code(failed: int, total: int) -> int:
    """Returns the exit code if `failed` of `total` files or runs failed."""
    if not failed:
        return 0
    if failed == total:
        return USER_ERROR
    return SOME_FAILED


def required(flag_values: flags.FlagValues, *names: str) -> None:
    """Raises CrossaskError unless all flags of these names have values."""
    for name in names:
        if not flag_values[name].value:
            raise CrossaskError(
                f"--{name} is missing.", f"Add --{name}=...; --help lists all flags."
            )


def _set_up_logging() -> None:
    """Writes this package's log to stderr, and hides what TensorFlow logs for its programmers."""
    # TensorFlow reads this when it is imported. 2 hides the messages of its start. 3 also hides an
    # error that it logs on a machine without a GPU.
    level = "2" if _has_gpu_driver() else "3"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", level)
    absl_logging.set_verbosity(absl_logging.WARNING)
    # Its warnings, such as those of retracing.
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

        # Training goes on if stderr is closed or its disk is full.
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


def _own_words(flag_values: flags.FlagValues, arguments: Sequence[str]) -> list[str]:
    """Returns the arguments of a verb without those of a command that it runs."""
    if flag_values.is_gnu_getopt():
        return list(arguments)
    own: list[str] = []
    for word in arguments:
        # "--processes 2"
        is_value = bool(own) and own[-1].startswith("-") and "=" not in own[-1]
        if not word.startswith("-") and not is_value:
            break
        own.append(word)
    return own


def _help_level(arguments: Sequence[str]) -> int:
    """Returns 0 if no help is requested, 1 for --help and 2 for --helpfull."""
    if any(word in FULL_HELP_FLAGS for word in arguments):
        return 2
    if any(word in HELP_FLAGS for word in arguments):
        return 1
    return 0


def _help(doc: str, flag_values: flags.FlagValues, level: int, needs: Sequence[str]) -> str:
    """Returns the text of --help (level 1) or --helpfull (level 2)."""
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
    """Returns a title and the help of flags, one a line."""
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
