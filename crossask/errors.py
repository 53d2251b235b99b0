"""Errors that a user can act on: what is wrong, and what to do about it."""

from collections.abc import Sequence
from typing import Any

# Names that `shortened_list` lists by default.
MOST_LISTED = 5


class CrossaskError(Exception):
    """A mistake in what the user gave (arguments, files, weights), never a bug of this package.

    Command lines print the two sentences and exit with status 2.

    Args:
      problem: One sentence with the actual value and where it was found.
      fix: One sentence that says what to do.
    """

    # Keras and AutoGraph turn an error raised inside `call` into a RuntimeError of their own,
    # unless these two attributes mark it as complete.
    _keras_call_info_injected = True
    ag_pass_through = True

    def __init__(self, problem: str, fix: str):
        super().__init__(f"{problem}\n{fix}")
        self.problem = problem
        self.fix = fix

    def __reduce__(self) -> tuple[Any, ...]:
        # The default would pass the joined message as one argument.
        return type(self), (self.problem, self.fix)


class Preempted(BaseException):
    """The work was stopped from outside, and the same command goes on from the saved state.

    It is no Exception, like KeyboardInterrupt, because only the command line should catch it.

    Args:
      problem: One sentence that says what stopped the work.
      fix: One sentence that says how to go on.
    """

    def __init__(
        self,
        problem: str = "Stopped by SIGTERM.",
        fix: str = "Run the same command again: it goes on from the saved state.",
    ):
        super().__init__(f"{problem}\n{fix}")
        self.problem = problem
        self.fix = fix


class ConfigError(CrossaskError):
    """An experiment, an override or a flag that is not valid."""


class AudioError(CrossaskError):
    """A sound file that cannot be read or used."""


class DataError(CrossaskError):
    """A corpus, a fold or a table that contradicts itself."""


class WeightsError(CrossaskError):
    """Weights that are missing, have a wrong shape or belong to another model."""


class DownloadError(CrossaskError):
    """A file that cannot be downloaded, or is not the published one."""


def shortened_list(names: Sequence[str], most: int = MOST_LISTED) -> str:
    """Returns the first names for a message, and how many more there are: "a, b and 3 more"."""
    text = ", ".join(names[:most])
    if len(names) > most:
        text += f" and {len(names) - most} more"
    return text


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message, or the name of its type if it has none."""
    text = str(error).strip()
    if not text:
        return type(error).__name__
    return text.splitlines()[0].strip()
