"""crossask-app: a page on which exported models listen to a sound and show what they looked at. Needs gradio: crossask[app].

crossask-app --model=MODEL                  serves the page at http://127.0.0.1:7860
crossask-app --model=MODEL --model=SECOND   two models side by side
"""

import importlib.util
import sys
import threading

from absl import flags

from crossask.cli import command
from crossask.errors import CrossaskError, Preempted

FLAGS = flags.FlagValues()
flags.DEFINE_multi_string(
    "model", [], "Folder of a SavedModel written by crossask-export; one or two.", flag_values=FLAGS
)
flags.DEFINE_integer("port", 7860, "Where the page is served.", 1, 65535, flag_values=FLAGS)
flags.DEFINE_string(
    "host", "127.0.0.1", "Address to listen at; 0.0.0.0 lets other machines in.", flag_values=FLAGS
)


def app(values, _rest):
    command.required(values, "model")
    if importlib.util.find_spec("gradio") is None:
        raise CrossaskError(
            "The page needs gradio, which is not installed.",
            "Install it: pip install 'crossask[app]'.",
        )
    try:
        from crossask.app.page import served

        with served(values.model, values.host, values.port) as address:
            print(f"The page: {address} (Ctrl-C ends it)", flush=True)
            threading.Event().wait()
    except (KeyboardInterrupt, Preempted):
        return  # the way in which a page ends


def main(argv=None) -> int:
    return command.run(__doc__, FLAGS, app, argv)


if __name__ == "__main__":
    sys.exit(main())
