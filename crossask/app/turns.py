"""Decides which requests are computed now and which wait: short sounds do not wait for long ones.

A request is computed in a thread. The number of threads is the number of places. Requests with much
sound may take all places but one, so there is always one that only short sounds use. While there
are short ones, the long ones also leave most of the processors to them.
"""

import asyncio
import contextlib
import functools
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import anyio
import anyio.to_thread

from crossask.errors import AudioError

Result = TypeVar("Result")
# A request with at most this much sound is short.
SHORT_SECONDS = 60.0
# Longest pause of a long request after each batch of windows, while there are short requests. A
# batch takes about a quarter of that, so a long request continues at a fifth of its speed.
PAUSE_SECONDS = 1.0


class StoppedError(Exception):
    """The visitor has left, or the time of the request is over: its result is not needed."""


class NotShortError(Exception):
    """A request that was run as a short one has more than SHORT_SECONDS of sound."""


class Request:
    """A request that is being computed.

    Attributes:
      most_seconds: The most sound that it may have.
    """

    def __init__(self, most_seconds: float, may_go_on: threading.Event):
        """Creates a request.

        Args:
          most_seconds: The most sound that it may have.
          may_go_on: Set while the request needs no pauses.
        """
        self.most_seconds = most_seconds
        self._may_go_on = may_go_on
        self._is_stopped = threading.Event()

    def stop(self) -> None:
        """Makes the next call of `check` raise an error."""
        self._is_stopped.set()

    def check(self, seconds: float) -> None:
        """Pauses while other requests have priority; raises an error if the work should end.

        The work calls it often.

        Args:
          seconds: Sound of the request that has been read.

        Raises:
          StoppedError: The result is not needed any more.
          NotShortError: There is more sound than the headers of the files promise.
        """
        self._may_go_on.wait(PAUSE_SECONDS)
        if self._is_stopped.is_set():
            raise StoppedError
        if seconds > self.most_seconds:
            raise NotShortError


class Turns:
    """Runs requests in threads, in the order of their arrival, short ones beside long ones."""

    def __init__(self, places: int, most_waiting: int, time_limit_seconds: float):
        """Creates the places; all calls of `run` must be in one event loop.

        Args:
          places: Number of requests that are computed at once, at least 2.
          most_waiting: Number of short requests that may wait, and of long ones.
          time_limit_seconds: Longest time that a request is computed; waiting is not counted.
        """
        self.time_limit_seconds = time_limit_seconds
        self._threads = anyio.CapacityLimiter(places)
        self._places = _Places(places, most_waiting)
        self._places_of_long = _Places(places - 1, most_waiting)
        self._short_requests = 0
        # Set while there is no short request.
        self._is_quiet = threading.Event()
        self._is_quiet.set()
        self._always = threading.Event()
        self._always.set()

    async def run(self, seconds: float, work: Callable[[Request], Result]) -> Result:
        """Returns the result of a request when it was its turn.

        Args:
          seconds: Sound of the request, according to the headers of its files.
          work: Computes the request. It calls `Request.check` and lets its errors pass.

        Raises:
          AudioError: Too many requests wait, or this one takes too long.
        """
        if seconds <= SHORT_SECONDS:
            try:
                with self._short_request() as request:
                    return await self._run(request, work, [self._places])
            except NotShortError:
                # It starts again as a long one. Waiting here for the places of long requests would
                # keep its own place and memory.
                pass
        request = Request(math.inf, self._is_quiet)
        return await self._run(request, work, [self._places_of_long, self._places])

    @contextlib.contextmanager
    def _short_request(self) -> Iterator[Request]:
        """Yields a short request; until the block ends, long ones make pauses."""
        self._short_requests += 1
        self._is_quiet.clear()
        try:
            yield Request(SHORT_SECONDS, self._always)
        finally:
            self._short_requests -= 1
            if not self._short_requests:
                self._is_quiet.set()

    async def _run(
        self, request: Request, work: Callable[[Request], Result], needed: Sequence["_Places"]
    ) -> Result:
        """Runs a request in a thread when it has all needed places; errors as in `run`."""
        with contextlib.ExitStack() as taken:
            for places in needed:
                await places.take()
                taken.callback(places.release)
            thread = asyncio.create_task(
                anyio.to_thread.run_sync(work, request, limiter=self._threads)
            )
            # A thread cannot be ended from outside, so its places are taken until it ends.
            thread.add_done_callback(functools.partial(_release_places, taken.pop_all()))
        try:
            await asyncio.wait({thread}, timeout=self.time_limit_seconds)
        finally:
            # It is not done if the time is over, or if gradio cancels the request.
            if not thread.done():
                request.stop()
        if not thread.done():
            raise AudioError(
                f"This takes longer than {self.time_limit_seconds:g} s, the limit of this page.",
                "Use a shorter recording or fewer files, or classify them with crossask-predict.",
            )
        return thread.result()


class _Places:
    """Places for requests, and those that wait for one in the order of their arrival."""

    def __init__(self, count: int, most_waiting: int):
        self._free = asyncio.Semaphore(count)
        self._most_waiting = most_waiting
        self._waiting = 0

    async def take(self) -> None:
        """Waits for a place and takes it; raises AudioError if too many wait already."""
        if self._free.locked() and self._waiting >= self._most_waiting:
            raise AudioError(
                f"The page is busy: {self._waiting} requests are waiting.",
                "Try again in a few minutes.",
            )
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1

    def release(self) -> None:
        """Makes a place free again."""
        self._free.release()


def _release_places(taken: contextlib.ExitStack, thread: asyncio.Task) -> None:
    """Makes the places of a thread free again."""
    taken.close()
    # asyncio would log an error that is never retrieved.
    if not thread.cancelled():
        thread.exception()
