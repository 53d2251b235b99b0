"""Shows how far the work of a command is: a bar in a terminal, lines in a file."""

import logging
import sys
import time
from collections.abc import Callable

LOG = logging.getLogger("crossask")


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
            # The bar is drawn with the first progress, so that an error before it has no bar above.
            from tqdm import tqdm

            # What an earlier command did is left out of the speed.
            bar = tqdm(desc=description, unit=unit, total=total, initial=done, mininterval=1)
        bar.total = total
        bar.set_postfix_str(note, refresh=False)
        bar.update(done - bar.n)
        if done >= total:
            bar.close()

    return update


def duration(seconds: float) -> str:
    """Returns an estimated time in s, min or h, with two or three digits."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    if minutes < 100:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.1f} h"


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
