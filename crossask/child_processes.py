"""Child processes that end with their parent. Imports no TensorFlow."""

import ctypes
import logging
import math
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from crossask import processors
from crossask.errors import Preempted

Item = TypeVar("Item")
Result = TypeVar("Result")

# From <sys/prctl.h>: the signal that a process receives when its parent ends.
PR_SET_PDEATHSIG = 1
# From a signal to the end of a child that does not react to it. A child that can end by itself in
# time (`training.peers.ending_in_time`) does so before.
GRACE_SECONDS = 17
SECONDS_BETWEEN_LOOKS = 0.05
STOPPING = (signal.SIGTERM, signal.SIGINT)


def prepare_child() -> None:
    """Prepares a child process: only its parent ends it, and it does not outlive the parent.

    A child that survives a killed command would write to the files that the next command continues.
    """
    # Ctrl-C reaches every process of the terminal; only the parent handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # TensorFlow's warnings are for its programmers, here as in the commands.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def ending_with_parent() -> Callable[[], None] | None:
    """Returns a function for `preexec_fn` of a process that runs any program.

    After it, Linux kills the process when this one ends. Other systems offer nothing like it, and
    None is returned.
    """
    if sys.platform != "linux":
        return None
    # Nothing is loaded between the fork and the start of the program.
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def prepare() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # The parent may have ended before the call.
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def end_with(parent: int) -> None:
    """Ends this process when its parent ends, or at once if it has ended already.

    Unlike `prepare_child`, it does not need a process that `multiprocessing` has started.

    Args:
      parent: Number of the process that has started this one.
    """
    threading.Thread(target=_end_when_orphaned, args=(parent,), daemon=True).start()


def can_fork() -> bool:
    """Returns whether a copy of this process can do work."""
    # Threads, of which TensorFlow has many, would not exist in the copy.
    if sys.platform != "linux" or "tensorflow" in sys.modules:
        return False
    return threading.active_count() == 1


def mapped(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Returns the function's result for each item; it must be possible to pickle the results.

    Where there are two cores, a copy of this process computes the results of every second item. The
    copy ends with this call, however that ends.
    """
    items = list(items)
    if len(items) < 2 or not can_fork() or processors.cores() < 2:
        return [function(item) for item in items]
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    arguments = (function, items[1::2], sender)
    process = context.Process(target=_send_results, args=arguments, daemon=True)
    process.start()
    # The copy has the only other end now, so the connection closes with it.
    sender.close()
    results: list[Result | None] = [None] * len(items)
    try:
        results[::2] = [function(item) for item in items[::2]]
        try:
            results[1::2] = receiver.recv()
        except (EOFError, OSError):
            # The copy was killed, perhaps while it sent the results, or it had an error, which this
            # process then has, too.
            results[1::2] = [function(item) for item in items[1::2]]
    finally:
        process.kill()
        process.join()
        receiver.close()
    return results


def run_in_child(grace_seconds: float = GRACE_SECONDS) -> int | None:
    """Forks a child that does the work, so that SIGTERM and Ctrl-C always end it.

    While TensorFlow connects machines, no Python of its process runs, in no thread, and TensorFlow
    has a handler of its own for SIGTERM. This process passes the signals on, and kills the child if
    it has not ended some seconds later. The child does not outlive this process. Other systems than
    Linux have no child.

    Args:
      grace_seconds: Time that the child has to end by itself.

    Returns:
      None in the child, and where there is none. In this process the exit code of the child.

    Raises:
      KeyboardInterrupt: The child was killed after Ctrl-C.
      Preempted: The child was killed after SIGTERM.
    """
    if not can_fork():
        return None
    prepare = ending_with_parent()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        prepare()
        return None
    return _wait_for(child, grace_seconds)


def _wait_for(child: int, grace_seconds: float) -> int:
    """Waits for a child and passes signals on to it; returns or raises as `run_in_child` does."""
    received: list[int] = []
    deadline = math.inf

    def pass_on(number: int, _frame: object) -> None:
        nonlocal deadline
        received.append(number)
        deadline = min(deadline, time.monotonic() + grace_seconds)
        os.kill(child, number)

    before = {number: signal.signal(number, pass_on) for number in STOPPING}
    try:
        # With WNOWAIT, an ended child keeps its number, so no signal is sent to another process.
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while os.waitid(os.P_PID, child, options) is None:
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                deadline = math.inf
            time.sleep(SECONDS_BETWEEN_LOOKS)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return code
    if not received:
        # This process ends as its child did, so that others see the signal.
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    if received[0] == signal.SIGINT:
        raise KeyboardInterrupt
    raise Preempted


def _send_results(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    connection: multiprocessing.connection.Connection,
) -> None:
    """Computes results in a copy of this process, and sends them; after an error, nothing."""
    prepare_child()
    # The parent's handler would raise an error here.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        results = [function(item) for item in items]
    except Exception:
        # The parent computes them again and reports the error.
        return
    connection.send(results)


def _end_with_parent() -> None:
    """Ends this process when its parent ends."""
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _end_when_orphaned(parent: int) -> None:
    """Ends this process when it has another parent."""
    # A process whose parent has ended becomes a child of another one.
    while os.getppid() == parent:
        time.sleep(SECONDS_BETWEEN_LOOKS)
    os._exit(1)
