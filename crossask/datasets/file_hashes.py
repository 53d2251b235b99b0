"""The content of files as hashes: a file is read again only when its size or its times change."""

import concurrent.futures
import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from crossask import files, stored
from crossask.errors import DataError

LOG = logging.getLogger("crossask")
FORMAT_VERSION = 1
# A file that changed so shortly before it was read could change again with the same time: the
# clocks of file systems are coarse, by up to two seconds. Its hash is not kept.
SETTLED_SECONDS = 2.0
THREADS = 4
# From here on, reading takes long enough for a line in the log.
LOGGED_BYTES = 1e9


class Stamp(NamedTuple):
    """The size and the times of a file, which show without reading it that it is still the same.

    Attributes:
      size: Number of bytes.
      mtime_ns: Time of the last change of the content.
      ctime_ns: Time of the last change of content, name or rights; unlike the other time, programs
        that copy files do not set it back.
    """

    size: int
    mtime_ns: int
    ctime_ns: int


class Content(NamedTuple):
    """The content of a file, and its stamp when it was read; see `Stamp`.

    Attributes:
      size: Number of bytes.
      mtime_ns: Time of the last change of the content.
      ctime_ns: Time of the last change of content, name or rights.
      sha256: SHA-256 of all bytes, in hexadecimal digits.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    sha256: str

    @property
    def stamp(self) -> Stamp:
        """Size and times of the file when it was read."""
        return Stamp(self.size, self.mtime_ns, self.ctime_ns)


# Absolute path -> content of a file that this process has read, or has found in a file of hashes.
_known: dict[str, Content] = {}
_lock = threading.Lock()


def contents(paths: Iterable[str]) -> dict[str, Content]:
    """Returns the content of every file. Files that are already known are not read.

    Raises:
      DataError: A file cannot be read.
    """
    found = {}
    unknown = []
    unknown_bytes = 0
    for path in dict.fromkeys(paths):
        stamp = _stamp(path)
        known = _known.get(os.path.abspath(path))
        if known is not None and known.stamp == stamp:
            found[path] = known
        else:
            unknown.append(path)
            unknown_bytes += stamp.size
    if unknown_bytes > LOGGED_BYTES:
        LOG.info(
            "Reading %d files (%.1f GB) to recognise later changes.",
            len(unknown),
            unknown_bytes / 1e9,
        )
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        try:
            found.update(zip(unknown, pool.map(_read, unknown), strict=True))
        except BaseException:
            # Without this, leaving the block would read all waiting files first.
            pool.shutdown(cancel_futures=True)
            raise
    return found


def changed(known: dict[str, Content]) -> list[str]:
    """Returns the paths of the files that are missing or have changed since `contents`."""
    paths = []
    for path, content in known.items():
        try:
            has_changed = _stamp(path) != content.stamp
        except DataError:
            has_changed = True
        if has_changed:
            paths.append(path)
    return paths


@contextlib.contextmanager
def kept_in(path: Path, names: Iterable[str]) -> Iterator[None]:
    """Reads a file of hashes, and adds those of the files `names` to it when the block ends.

    A warning is logged for each file whose content differs from the recorded one. A file of hashes
    that is missing or damaged only costs time: it is written anew.

    Args:
      path: The file of hashes.
      names: Paths of files of the corpus.
    """
    before = _load(path)
    with _lock:
        _known.update(before)
    try:
        yield
    finally:
        found = {}
        with _lock:
            for name in names:
                absolute = os.path.abspath(name)
                if absolute in _known:
                    found[absolute] = _known[absolute]
        is_new = any(before.get(name) != content for name, content in found.items())
        # Features that others share may lie where this process may not write.
        if is_new and not files.can_only_be_read(path.parent):
            # Another process may have added others.
            _write(path, {**_load(path), **found})


def _read(path: str) -> Content:
    """Returns the content of a file, and keeps it in memory."""
    started_ns = time.time_ns()
    stamp = _stamp(path)
    try:
        digest = stored.sha256(Path(path))
    except OSError as error:
        raise unreadable(path, error) from error
    content = Content(*stamp, digest)
    settled_ns = started_ns - round(SETTLED_SECONDS * 1e9)
    is_settled = max(stamp.mtime_ns, stamp.ctime_ns) < settled_ns
    with _lock:
        before = _known.pop(os.path.abspath(path), None)
        # The file may have changed while it was read.
        if is_settled and _stamp(path) == stamp:
            _known[os.path.abspath(path)] = content
    if before is not None and before.sha256 != content.sha256:
        LOG.warning("%s has changed since its features were computed.", path)
    return content


def _stamp(path: str) -> Stamp:
    """Returns the present stamp of a file; raises DataError if there is no such file."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise unreadable(path, error) from error
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def unreadable(path: str, error: OSError) -> DataError:
    """Returns the error for a file of a corpus that cannot be read."""
    return DataError(
        f"{path} cannot be read ({error}).",
        "Complete the corpus: the content of its files identifies stored features and runs.",
    )


def _load(path: Path) -> dict[str, Content]:
    """Returns what a file of hashes contains.

    It is empty if the file is missing, damaged or of another version.
    """
    content = stored.read_record(path)
    if content.get("version") != FORMAT_VERSION:
        return {}
    try:
        return {name: Content(*entry) for name, entry in content["files"].items()}
    except (KeyError, TypeError, AttributeError):
        return {}


def _write(path: Path, contents: dict[str, Content]) -> None:
    entries = {name: list(content) for name, content in sorted(contents.items())}
    stored.write_json(path, {"version": FORMAT_VERSION, "files": entries})
