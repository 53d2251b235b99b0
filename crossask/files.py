"""Writes files whole or not at all, and checks the space for them. Imports no TensorFlow."""

import atexit
import contextlib
import errno
import glob
import json
import os
import platform
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from crossask import system_errors
from crossask.errors import CrossaskError

# It is part of temporary names: on a shared disk, only processes of this machine can be checked.
_HOST = re.sub(r"\W", "_", platform.node())
# Names of the working folders that this process uses, and the lock for creating one.
_IN_USE: set[str] = set()
_CREATING = threading.Lock()
# Links that are needed until this process ends.
_LINKS = contextlib.ExitStack()
atexit.register(_LINKS.close)
# Characters of a path that TensorFlow takes for a pattern.
PATTERN_CHARACTERS = frozenset("[]*?\\")
# Environment variables: the folders for temporary files and for modules of TensorFlow Hub.
TEMPORARY = "TMPDIR"
HUB_CACHE = "TFHUB_CACHE_DIR"


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """Yields a temporary name to write to, and moves it to `path` if the block raises no error.

    After a power loss, `path` is the file before or the file after, never a part of one.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{_HOST}-{os.getpid()}.part")
    try:
        with system_errors.free_space_recorded(path):
            yield temporary
            sync(temporary)
            os.replace(temporary, path)
            sync(path.parent)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


@contextlib.contextmanager
def folder_beside(path: str | Path) -> Iterator[Path]:
    """Yields a new temporary folder on the disk of `path`, which is removed when the block ends."""
    path = Path(path)
    folder = path.with_name(f".{path.name}.{_HOST}-{os.getpid()}.part")
    folder.mkdir(parents=True)
    try:
        with system_errors.free_space_recorded(path):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sync(path: str | Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk.

    Folders cannot be synchronised on every system, and some network disks do not support it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, PermissionError):
        # Windows opens no folders. A file that was not written fails where it is moved.
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


def move_folder(source: Path, target: Path) -> None:
    """Moves a folder with one rename, after all of its files are on the disk."""
    for path in [*source.rglob("*"), source]:
        sync(path)
    os.rename(source, target)
    sync(target.parent)


def remove_remains(folder: str | Path) -> None:
    """Removes temporary files in `folder` that killed processes of this machine have left."""
    _remove_remains(Path(folder).glob(f".*.{_HOST}-*.part"))


def remove_remains_below(folder: str | Path) -> None:
    """Removes temporary files anywhere in `folder`, whose lock this process holds."""
    _remove_remains(list(Path(folder).rglob(f".*.{_HOST}-*.part")), is_locked=True)


def remove_remains_of(path: str | Path) -> None:
    """Removes temporary files of `path`, whose lock this process holds."""
    path = Path(path)
    found = path.parent.glob(f".{glob.escape(path.name)}.{_HOST}-*.part")
    _remove_remains(list(found), is_locked=True)


def _remove_remains(paths: Iterable[Path], is_locked: bool = False) -> None:
    """Removes temporary files of processes that have ended.

    Args:
      paths: The files; their names are those of `writing`.
      is_locked: Whether this process holds the lock of their place.
    """
    for path in paths:
        process = path.name.removesuffix(".part").rpartition("-")[2]
        if not process.isdigit():
            continue
        # In a container, a command often has the same number as the one that was killed.
        is_of_same_number = is_locked and int(process) == os.getpid()
        if is_of_same_number or not _is_running(int(process)):
            # Another process may remove it at the same time.
            with contextlib.suppress(FileNotFoundError):
                remove(path)


@contextlib.contextmanager
def working_folder(name: str) -> Iterator[Path]:
    """Yields a new temporary folder, which is removed when the block ends.

    Folders of the same name that killed processes of this machine have left are removed first.

    Args:
      name: First part of the folder's name.
    """
    start = f"{name}.{_HOST}-"
    with _CREATING:
        _remove_working_folders(start)
        # A child process may still write there at the end; the next start then removes the folder.
        prefix = f"{start}{os.getpid()}-"
        created = tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
        _IN_USE.add(Path(created.name).name)
    with created as folder, system_errors.free_space_recorded(folder):
        yield Path(folder)


@contextlib.contextmanager
def without_pattern(folder: str | Path) -> Iterator[Path]:
    """Yields a path of a folder for TensorFlow, which reads no weights below "model[1]".

    It takes the path for a pattern, as it does with a backslash where that is no separator. Such a
    folder has a link, or else a copy, in a temporary folder within the block.

    Args:
      folder: The folder.
    """
    folder = Path(folder)
    if not PATTERN_CHARACTERS & set(folder.absolute().as_posix()):
        yield folder
        return
    with working_folder("crossask-link") as temporary:
        link = temporary / "folder"
        try:
            link.symlink_to(folder.absolute(), target_is_directory=True)
        except OSError:
            # Windows allows links to few users.
            shutil.copytree(folder, link)
        yield link


def kept_without_pattern(folder: str | Path) -> Path:
    """Returns the path of `without_pattern`, which exists until this process ends."""
    return _LINKS.enter_context(without_pattern(folder))


def _remove_working_folders(start: str) -> None:
    """Removes working folders that killed processes have left; their names begin with `start`."""
    for path in Path(tempfile.gettempdir()).glob(f"{start}*"):
        process = path.name.removeprefix(start).partition("-")[0]
        if not process.isdigit() or path.name in _IN_USE:
            continue
        # In a container, a command often has the same number as the one that was killed.
        is_left_over = int(process) == os.getpid() or not _is_running(int(process))
        # A link leads to a folder that this program did not create.
        if is_left_over and not path.is_symlink():
            # A folder of another user cannot be removed.
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def temporary_files_of(name: str) -> Iterator[None]:
    """Sets the folder for temporary files of libraries, and of processes that they start.

    Within the block, it takes the place of the system's folder. Files that are left when this
    process is killed are removed by the next block of the same name: see `working_folder`.

    Args:
      name: First part of the folder's name.
    """
    # `tempfile` reads the first one in this process, child processes read the others.
    folder_before = tempfile.tempdir
    variables_before = {variable: os.environ.get(variable) for variable in (TEMPORARY, HUB_CACHE)}
    with working_folder(name) as folder:
        write_temporary_files_to(folder)
        try:
            yield
        finally:
            tempfile.tempdir = folder_before
            for variable, value in variables_before.items():
                if value is None:
                    os.environ.pop(variable, None)
                else:
                    os.environ[variable] = value


def write_temporary_files_to(folder: Path) -> None:
    """Makes libraries, and processes that they start, write their temporary files to a folder.

    TensorFlow Hub has its cache beside them by default. It remains where it is.
    """
    # Otherwise modules that it has would be downloaded again.
    os.environ[HUB_CACHE] = str(hub_cache())
    tempfile.tempdir = str(folder)
    os.environ[TEMPORARY] = str(folder)


def hub_cache() -> Path:
    """Returns the folder to which TensorFlow Hub downloads modules."""
    given = os.environ.get(HUB_CACHE)
    return Path(given) if given else Path(tempfile.gettempdir(), "tfhub_modules")


def check_room(folder: str | Path, needed: int) -> None:
    """Creates `folder` and checks that it can be written and its disk has `needed` free bytes.

    Raises:
      CrossaskError: It cannot be written, or has less space.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A file without a name leaves nothing if this process is killed.
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"0")
    except OSError as error:
        raise CrossaskError(
            f"{folder} cannot be written: {error.strerror}.",
            "Give a folder that you may write to.",
        ) from error
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise CrossaskError(
            f"{folder} has {free / 1e6:.0f} MB free, but {needed / 1e6:.0f} MB are needed.",
            "Free some space, or give a folder on another disk.",
        )


def can_only_be_read(folder: str | Path) -> bool:
    """Returns whether a folder exists that this process may not write to."""
    return os.path.isdir(folder) and not os.access(folder, os.W_OK)


def remove(path: str | Path) -> None:
    """Removes a file, or a folder with its content."""
    path = Path(path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: str | Path, value: Any) -> None:
    """Writes a value as JSON with sorted keys."""
    with writing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def state_of(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """Returns the size of a file and its time of change in nanoseconds; None if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def place_of(path: str) -> str:
    """Returns one path for all spellings of a file's path; a link is a file of its own."""
    folder, name = os.path.split(path)
    return os.path.join(os.path.realpath(folder), name)


def _is_running(process: int) -> bool:
    """Returns whether a process with this number exists; on Windows, True for every number."""
    if sys.platform == "win32":
        # There, this call would end the process. What killed commands have left stays.
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        # It exists and belongs to somebody else.
        return True
    return True
