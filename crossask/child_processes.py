"""Child processes that end with their parent. Imports no TensorFlow."""

import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading


def prepare_child() -> None:
    """Prepares a child process: only its parent ends it, and it does not outlive the parent.

    A child that survives a killed command would write where the next command goes on.
    """
    # Ctrl-C reaches every process of the terminal; only the parent handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # TensorFlow's warnings are for its programmers, here as in the commands.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this process when its parent ends."""
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
