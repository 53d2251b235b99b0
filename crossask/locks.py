"""Locks: one command at a time writes a run, features, a table or an export. No TensorFlow.

A process that acquires a lock first removes the temporary files that killed commands have left.

A lock belongs to a process. Its file stays where it is, also when no process holds the lock: the
system frees the lock when the process ends, however it ends. `<lock>.holder` beside it contains the
process that holds it.
"""

import contextlib
import contextvars
import datetime
import errno
import json
import logging
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import filelock

from crossask import files, system_errors
from crossask.errors import CrossaskError

LOG = logging.getLogger("crossask")
NAME = ".lock"
HOLDER_SUFFIX = ".holder"
# Files in a folder that is or was locked.
FILES_IN_FOLDER = (NAME, f"{NAME}{HOLDER_SUFFIX}")
# Errors of disks that do not support locks.
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
SECONDS_BETWEEN_ATTEMPTS = 0.5

_WAITS = contextvars.ContextVar("waits", default=False)


class LockedError(CrossaskError):
    """Another command writes the same file or folder."""


@contextlib.contextmanager
def waiting(waits: bool = True) -> Iterator[None]:
    """Makes locks within the block wait for another process that holds them, if `waits`."""
    token = _WAITS.set(waits)
    try:
        yield
    finally:
        _WAITS.reset(token)


def waits() -> bool:
    """Returns whether locks wait for other processes that hold them."""
    return _WAITS.get()


@contextlib.contextmanager
def of_folder(folder: str | Path) -> Iterator[None]:
    """Holds the lock of a folder, which is created; the lock's file is in the folder.

    Raises:
      LockedError: Another process holds it, and it is not waited for.
    """
    folder = Path(folder)
    with system_errors.translated():
        folder.mkdir(parents=True, exist_ok=True)
    with _holding(folder / NAME, folder):
        files.remove_remains_below(folder)
        yield
        # Processes that a killed command had started may have ended only meanwhile.
        files.remove_remains_below(folder)


def remove_left_holder(folder: str | Path) -> None:
    """Removes the file with the holder of a folder's lock, if that process was killed."""
    if not (Path(folder) / f"{NAME}{HOLDER_SUFFIX}").exists():
        return
    # Another process may hold the lock, or the folder cannot be written.
    with contextlib.suppress(CrossaskError), waiting(False), of_folder(folder):
        # The file is removed when the lock is released.
        pass


@contextlib.contextmanager
def of_path(path: str | Path) -> Iterator[None]:
    """Holds the lock of a file or a folder that may not exist yet; the lock's file is beside it.

    Raises:
      LockedError: Another process holds it, and it is not waited for.
    """
    path = Path(path)
    if path.exists() and not (path.is_file() or path.is_dir()):
        # A device or a pipe, such as /dev/stdout, keeps nothing that could be lost.
        yield
        return
    # Two names of one file have one lock.
    # Links in a circle are an error where the file is opened.
    path = Path(os.path.realpath(path))
    if not path.name:
        raise CrossaskError(
            f"{path} is the top folder of a disk.", "Give the path of a place in it."
        )
    with system_errors.translated():
        path.parent.mkdir(parents=True, exist_ok=True)
    with _holding(path.with_name(f".{path.name}{NAME}"), path):
        files.remove_remains_of(path)
        yield
        files.remove_remains_of(path)


@contextlib.contextmanager
def _holding(lock_file: Path, target: Path) -> Iterator[None]:
    """Holds a lock within the block.

    Args:
      lock_file: File of the lock.
      target: The file or folder that is locked, for messages.
    """
    lock = filelock.FileLock(lock_file)
    holder_file = lock_file.with_name(f"{lock_file.name}{HOLDER_SUFFIX}")
    try:
        _acquire(lock, target, holder_file)
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise system_errors.translate(error) from error
        LOG.warning(
            "The disk of %s has no locks. Make sure that no other command writes there.", target
        )
        yield
        return
    try:
        # The name of the holder is for a message only. A full disk is no reason to stop.
        with contextlib.suppress(OSError):
            holder_file.write_text(json.dumps(_this_process()), encoding="utf-8")
        yield
    finally:
        with contextlib.suppress(OSError):
            holder_file.unlink(missing_ok=True)
        lock.release()


def _acquire(lock: filelock.BaseFileLock, target: Path, holder_file: Path) -> None:
    """Acquires a lock; waits for it or raises LockedError if another process holds it."""
    try:
        lock.acquire(timeout=0)
        return
    except filelock.Timeout as error:
        holder = _in_words(holder_file)
        if not waits():
            raise LockedError(
                f"{target} is being written by {holder}.",
                "Wait until that command has ended, add --wait, or give another place.",
            ) from error
    LOG.info("%s is being written by %s. Waiting for it to end.", target, holder)
    lock.acquire(timeout=-1, poll_interval=SECONDS_BETWEEN_ATTEMPTS)


def _this_process() -> dict[str, str | int]:
    now = datetime.datetime.now().astimezone()
    return {
        "host": platform.node(),
        "pid": os.getpid(),
        "since": f"{now:%Y-%m-%d %H:%M:%S %z}",
        "command": " ".join([os.path.basename(sys.argv[0]), *sys.argv[1:2]]),
    }


def _in_words(holder_file: Path) -> str:
    """Returns the process that holds a lock, as part of a sentence."""
    try:
        holder = json.loads(holder_file.read_text(encoding="utf-8"))
        return (
            f"process {holder['pid']} on {holder['host']} since {holder['since']} "
            f"({holder['command']})"
        )
    except (OSError, ValueError, KeyError, TypeError):
        # The lock was acquired or released a moment ago.
        return "another process"
