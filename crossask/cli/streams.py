"""Standard output and standard error: closed by others, or without characters that they need."""

import codecs
import contextlib
import io
import os
import select
import sys
from collections.abc import Iterator

from crossask.errors import CrossaskError

# Names under which Python finds `_refuse_characters` and `_escape_or_refuse`.
_REFUSE = "crossask_refuse_characters"
_ESCAPE_OR_REFUSE = "crossask_escape_or_refuse"
# Python's ways to fail at characters that an encoding lacks -> ours. The second one is that of the
# locale C, and prints bytes of file names that are no text as they are.
_STRICTER = {"strict": _REFUSE, "surrogateescape": _ESCAPE_OR_REFUSE}


class OutputClosedError(Exception):
    """The program that reads standard output has closed it."""


def replace_closed() -> None:
    """Puts files in place of standard streams that the shell has closed.

    Python has None there, and the next file that is opened would receive what libraries print.
    """
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115
    if sys.stdout is None:
        # It is opened for reading, so that what is written to it is an error.
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def refuse_unknown_characters() -> None:
    """Makes it an error with a remedy to print what the encoding of standard output lacks.

    Names are not changed instead, because a program may read them in the output.
    """
    codecs.register_error(_REFUSE, _refuse_characters)
    codecs.register_error(_ESCAPE_OR_REFUSE, _escape_or_refuse)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors in _STRICTER:
        sys.stdout.reconfigure(errors=_STRICTER[sys.stdout.errors])


def _refuse_characters(error: UnicodeError) -> tuple[str | bytes, int]:
    """Raises CrossaskError for characters that cannot be encoded."""
    assert isinstance(error, UnicodeEncodeError)
    characters = ascii(error.object[error.start : error.end])
    raise CrossaskError(
        f"Standard output has the encoding {sys.stdout.encoding}, which lacks {characters} in "
        f"{error.object.strip()!a}.",
        "Set the environment variable PYTHONIOENCODING=utf-8, or use --out if the command has it.",
    ) from error


def _escape_or_refuse(error: UnicodeError) -> tuple[str | bytes, int]:
    """Returns bytes of file names as they are; raises CrossaskError for other characters."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return _refuse_characters(error)


@contextlib.contextmanager
def closed_pipe_detected() -> Iterator[None]:
    """Raises OutputClosedError if the block fails because standard output is a closed pipe."""
    try:
        yield
    except CrossaskError as error:
        # A closed pipe to another process, such as one that this command started, is an error.
        if isinstance(error.__cause__, BrokenPipeError) and _is_output_closed():
            raise OutputClosedError from error
        raise


def discard_output() -> None:
    """Discards what standard output cannot write: Python would fail again when it flushes it."""
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_output_closed() -> bool:
    """Returns whether standard output cannot be written, or is a pipe without a reader."""
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
