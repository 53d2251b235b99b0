"""Errors that a user can act on: what is wrong, and what to do about it."""


class CrossaskError(Exception):
    """A mistake in what the user gave (arguments, files, weights), never a bug of ours.

    Args:
      problem: one sentence that names the actual value and where it stands.
      fix: one sentence that says what to do.

    Command lines print the two sentences and exit with status 2.
    """

    # Keras and AutoGraph turn an error raised inside `call` into a RuntimeError of their own, unless it says that it has
    # been dealt with
    _keras_call_info_injected = True
    ag_pass_through = True

    def __init__(self, problem: str, fix: str):
        super().__init__(f"{problem}\n{fix}")
        self.problem = problem
        self.fix = fix

    def __reduce__(self):
        return type(self), (self.problem, self.fix)


class Preempted(BaseException):
    """The machine is taken away (SIGTERM): what can be saved is saved; the same command goes on from there.

    No Exception, like KeyboardInterrupt: nothing but the command line is meant to catch it.
    """


class ConfigError(CrossaskError):
    """An experiment, an override or a flag that does not fit."""


class AudioError(CrossaskError):
    """A sound file that cannot be read or used."""


class DataError(CrossaskError):
    """A corpus, a fold or a table that contradicts itself."""


class WeightsError(CrossaskError):
    """Weights that are missing, misshapen or of another model."""


class DownloadError(CrossaskError):
    """A file that the network does not give, or not as it should be."""
