"""Lets Ctrl-C and SIGTERM wait while a C library calls Python. Imports no TensorFlow."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

NUMBERS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Handles signals that arrive within the block at its end.

    A function that C calls cannot raise an error: it would be printed, the C library would take it
    for the end of the file, and the command would go on.
    """
    if threading.current_thread() is not threading.main_thread():
        # Python handles signals in the main thread.
        yield
        return
    received = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)

    # Others are handled by the system, or ignored.
    handlers = {}
    for number in NUMBERS:
        handler = signal.getsignal(number)
        if callable(handler):
            handlers[number] = handler
    try:
        for number in handlers:
            signal.signal(number, note)
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in received:
            signal.raise_signal(number)
