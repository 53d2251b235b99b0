"""Log lines that a command writes once, however many recordings they concern."""

import logging
import threading

LOG = logging.getLogger("crossask")

_LOCK = threading.Lock()
_logged: set[str] = set()


def log_once(kind: str, level: int, message: str, *values: object) -> None:
    """Logs a message, unless one of the same kind was logged before.

    Args:
      kind: Kind of the message.
      level: Level of the message, for example logging.INFO.
      message: The message with placeholders as in `logging`.
      *values: Values of the placeholders.
    """
    with _LOCK:
        if kind in _logged:
            return
        _logged.add(kind)
    LOG.log(level, message, *values)


def forget() -> None:
    """Lets every kind of message be logged again; called at the start of a command."""
    with _LOCK:
        _logged.clear()
