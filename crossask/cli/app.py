"""crossask-app: serves a page that shows the scene of a recording. Needs gradio: crossask[app].

crossask-app                                serves the page at http://127.0.0.1:7860
crossask-app --model=MODEL                  uses a model of your own in place of the starter model
crossask-app --model=MODEL --model=SECOND   shows the results of two models side by side

The page shows the prediction in words, the attention of the model, and the events in the recording.
"""

import importlib.util
import sys
import threading
from collections.abc import Sequence
from urllib.parse import urlsplit

from absl import flags

from crossask.cli import command, shared_flags
from crossask.errors import CrossaskError, Preempted

FLAGS = flags.FlagValues()
flags.DEFINE_multi_string(
    "model",
    [],
    "Folder of a SavedModel written by crossask-export. Repeat the flag to compare two models. "
    "Default: the starter model.",
    flag_values=FLAGS,
)
shared_flags.define_trust_flag(FLAGS)
flags.DEFINE_integer("port", 7860, "Port of the page.", 1, 65535, flag_values=FLAGS)
flags.DEFINE_string(
    "host",
    "127.0.0.1",
    "Address of the page; use 0.0.0.0 to make it available to other machines.",
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "max_file_mb", 500, "Largest file that the page takes, in MB.", 1, flag_values=FLAGS
)
flags.DEFINE_float(
    "max_minutes",
    30.0,
    "Longest recording that the page takes, in minutes.",
    0.1,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "max_files",
    50,
    "Largest number of files that a visitor classifies together.",
    1,
    flag_values=FLAGS,
)
flags.DEFINE_float(
    "request_timeout",
    600.0,
    "Longest time in seconds that one request is computed; the time in which it waits for others "
    "is not counted.",
    1.0,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "max_waiting",
    200,
    "Largest number of requests that wait: of those with at most a minute of sound, and of longer "
    "ones. Others get the message that the page is busy.",
    0,
    flag_values=FLAGS,
)
flags.DEFINE_multi_string(
    "public_name",
    [],
    "Host name under which visitors reach the page, for example that of a proxy; may be repeated. "
    "Requests for other names are refused, except localhost, the name of this machine, and "
    "addresses in digits.",
    flag_values=FLAGS,
)


def app(values: flags.FlagValues, _positional: list[str]) -> None:
    """Serves the page until the command is stopped."""
    if importlib.util.find_spec("gradio") is None:
        raise CrossaskError(
            "The page needs gradio, which is not installed.",
            "Install it: pip install 'crossask[app]'.",
        )
    for name in values.public_name:
        _check_name(name)
    # The page has no other end than that the command is stopped.
    try:
        from crossask.app.outcomes import Limits
        from crossask.app.page import serve

        limits = Limits(
            file_megabytes=values.max_file_mb,
            minutes=values.max_minutes,
            files=values.max_files,
            request_seconds=values.request_timeout,
            waiting=values.max_waiting,
        )
        # None is the starter model.
        models = values.model or [None]
        page = serve(
            models,
            host=values.host,
            port=values.port,
            limits=limits,
            public_names=values.public_name,
            trust_model=values.trust_model,
        )
        with page as address:
            print(f"Serving the page at {address}. Press Ctrl-C to stop.", flush=True)
            threading.Event().wait()
    except (KeyboardInterrupt, Preempted):
        return


def _check_name(name: str) -> None:
    """Raises CrossaskError if a host name is more than a name: no request would have it."""
    try:
        is_name = urlsplit(f"//{name}").hostname == name.lower()
    except ValueError:
        is_name = False
    if not is_name:
        raise CrossaskError(
            f"--public_name is {name!r}, which is no host name.",
            "Give the name alone, without https:// and without a port: sounds.example.org.",
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command.run(__doc__, FLAGS, app, argv, takes_words=False)


if __name__ == "__main__":
    sys.exit(main())
