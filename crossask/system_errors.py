"""Errors of the operating system as CrossaskError. Imports no TensorFlow."""

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from crossask.errors import CrossaskError

# Error number -> what the system refused, and what to do about it.
ADVICE = {
    errno.ENOSPC: ("The disk is full", "Free some space, or give a folder on another disk."),
    errno.EDQUOT: (
        "Your quota of disk space is used up",
        "Free some space, or give a folder on another disk.",
    ),
    errno.EFBIG: (
        "The file would be larger than the disk or a limit of the shell allows",
        "Raise the limit (ulimit -f), or give a folder on another disk.",
    ),
    errno.EROFS: ("The disk is read-only", "Give a folder that you may write to."),
    errno.EACCES: (
        "Permission is denied",
        "Change the permissions, or give a file or folder that you may use.",
    ),
    errno.EPERM: (
        "The operation is not permitted",
        "Change the permissions, or give a file or folder that you may use.",
    ),
    errno.ENOENT: ("There is no such file or folder", "Check the path."),
    errno.EEXIST: ("A file of this name exists", "Remove it, or give another path."),
    errno.ENOTEMPTY: ("The folder is not empty", "Remove its content, or give another path."),
    errno.ENOTDIR: ("Part of the path is a file, not a folder", "Check the path."),
    errno.EISDIR: ("A folder was given in place of a file", "Give the path of a file."),
    errno.ELOOP: ("The links of the path lead in a circle", "Give a path without these links."),
    errno.ENAMETOOLONG: ("The name is too long for the disk", "Give a shorter path."),
    errno.EILSEQ: ("The disk does not allow this name", "Give a path of plain letters."),
    errno.EXDEV: ("The two paths are on different disks", "Give paths on one disk."),
    errno.EBUSY: ("The file or folder is in use", "End the program that uses it, and try again."),
    errno.ETXTBSY: ("The file is in use", "End the program that uses it, and try again."),
    errno.EIO: (
        "The disk cannot be read or written",
        "It may be failing: copy what you need, and use another disk.",
    ),
    errno.ESTALE: (
        "The network disk has lost the file",
        "Mount the disk again, and run the same command again.",
    ),
    errno.ENODEV: ("There is no such device", "Check the path."),
    errno.ENXIO: ("There is no such device", "Check the path."),
    errno.EBADF: ("A closed file was read or written", "Is the command's output closed (>&-)?"),
    errno.EMFILE: (
        "Too many files are open in this process",
        "Raise the limit (ulimit -n 4096), or lower --jobs and --workers.",
    ),
    errno.ENFILE: (
        "Too many files are open on this machine",
        "End other programs, and run the same command again.",
    ),
    errno.EAGAIN: (
        "The system allows no more processes or threads",
        "Raise the limit (ulimit -u), or lower --jobs and --workers.",
    ),
    errno.ENOMEM: (
        "There is not enough memory",
        "End other programs, or lower training.batch_size, --jobs or --workers.",
    ),
    errno.EPIPE: ("The program that read the output has ended", "Start both of them again."),
    errno.EADDRINUSE: ("The port is in use", "Give another --port."),
    errno.ECONNREFUSED: ("Nothing answers at the address", "Check the address and the network."),
    errno.ECONNRESET: ("The connection was closed", "Run the same command again."),
    errno.ETIMEDOUT: ("Nothing answers in time", "Check the network, and try again."),
    errno.EHOSTUNREACH: ("The machine cannot be reached", "Check the address and the network."),
    errno.ENETUNREACH: ("The network cannot be reached", "Check the network, and try again."),
}
SPACE = (errno.ENOSPC, errno.EDQUOT)
# Attribute of the error of a full disk.
FREE_SPACE = "free_space"
# A temporary name of `files.writing`.
TEMPORARY = re.compile(r"^\.(.+)\.\w+-\d+\.part$")
# TensorFlow's words for memory that is used up, in one of the lines of a message. Before them is
# the operation, after them the device.
OUT_OF_MEMORY = re.compile(
    r"(OOM when allocating|out of memory|failed to allocate memory|Dst tensor is not initialized)"
    r".*?(?= on /job| \[Op:|$)",
    re.IGNORECASE | re.MULTILINE,
)
# A path in the message of a library: h5py's, TensorFlow's or libsndfile's.
NAMED_PATHS = (
    re.compile(r"name = '([^']+)'"),
    re.compile(r"(?:opening|file) '([^']+)'"),
    re.compile(r"(?:^|\s)(/[^;]+);"),
)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Raises errors of the system within the block as CrossaskError."""
    try:
        yield
    except Exception as error:
        found = translate(error)
        if found is None or found is error:
            raise
        raise found from error


def translate(error: BaseException) -> CrossaskError | None:
    """Returns an error of the system as CrossaskError, and None for another error.

    Args:
      error: Any error. Those of h5py, TensorFlow and libsndfile contain the system's as text.
    """
    if isinstance(error, CrossaskError):
        return error
    if isinstance(error, MemoryError):
        return _no_memory(str(error))
    text = str(error)
    if isinstance(error, OSError):
        number = error.errno or _number_in(text)
        path = _path_of(error) or _path_in(text)
        # Python's own texts, for example of a missing folder for temporary files, explain more.
        has_own_text = error.strerror and error.strerror != os.strerror(error.errno or 0)
        if number in ADVICE and (path or not has_own_text):
            return _described(number, path, getattr(error, FREE_SPACE, ""))
        return _unknown(error.strerror or text or type(error).__name__, path)
    if _is_of_tensorflow(error) or _is_of_libsndfile(error):
        out_of_memory = OUT_OF_MEMORY.search(text)
        if out_of_memory:
            return _no_memory(out_of_memory.group())
        number = _number_in(text)
        if number is not None:
            return _described(number, _path_in(text))
        if "System error" in text:
            return _unknown(text, "")
    if isinstance(error, RuntimeError) and "can't start new thread" in text:
        return _described(errno.EAGAIN, "")
    return None


@contextlib.contextmanager
def free_space_recorded(path: str | Path) -> Iterator[None]:
    """Records the free space of a disk with the error of a full one that leaves the block.

    The space is that of the moment of the error: the caller removes what was written so far, and
    `translate` would then find that space.

    Args:
      path: The file or folder that is written.
    """
    try:
        yield
    except OSError as error:
        number = error.errno or _number_in(str(error))
        if number in SPACE and not hasattr(error, FREE_SPACE):
            # The block may also write elsewhere.
            setattr(error, FREE_SPACE, _free_space(_path_of(error) or str(path)))
        raise


def _described(number: int, path: str, free_space: str = "") -> CrossaskError:
    """Returns the error of a number, with the path and what was found there.

    Args:
      number: The error's number.
      path: The path; "" if it is not known.
      free_space: What `free_space_recorded` recorded; "" for the free space of now.
    """
    problem, fix = ADVICE[number]
    if number == errno.ENOENT and not path and not _current_folder():
        return CrossaskError(
            "The current folder does not exist any more.", "Change to another folder (cd)."
        )
    if number == errno.ENOENT and path and not Path(path).parent.exists():
        fix = f"Check the path: the folder {Path(path).parent} does not exist, either."
    place = f": {path}" if path else ""
    return CrossaskError(f"{problem}{place}{free_space or _found(number, path)}.", fix)


def _unknown(text: str, path: str) -> CrossaskError:
    """Returns an error for which there is no advice, with the text of its library."""
    problem = " ".join(text.split())
    if path and path not in problem:
        problem = f"{path}: {problem}"
    return CrossaskError(
        f"{problem.rstrip('.')}.", "Check the path, the disk, the memory and the permissions."
    )


def _found(number: int, path: str) -> str:
    """Returns the free space or the limit that the error is about, in brackets; "" for none."""
    if number in SPACE and path:
        return _free_space(path)
    if number == errno.EMFILE:
        with contextlib.suppress(ImportError):
            import resource

            return f" (limit: {resource.getrlimit(resource.RLIMIT_NOFILE)[0]})"
    if number == errno.ENOMEM:
        return _free_memory()
    return ""


def _free_space(path: str) -> str:
    """Returns the free space of a path's disk, in brackets; "" if the disk does not report it."""
    with contextlib.suppress(OSError):
        folder = _existing_folder(Path(path))
        return f" ({shutil.disk_usage(folder).free / 1e6:,.0f} MB free in {folder})"
    return ""


def _no_memory(text: str) -> CrossaskError:
    """Returns the error of memory that is used up, with what was needed and what is free."""
    first_line = text.strip().partition("\n")[0].rstrip(".")
    needed = f" ({first_line})" if first_line else ""
    problem, fix = ADVICE[errno.ENOMEM]
    return CrossaskError(f"{problem}{needed}{_free_memory()}.", fix)


def _free_memory() -> str:
    """Returns the free memory as the end of a problem; "" if the system does not report it."""
    with contextlib.suppress(AttributeError, ValueError, OSError):
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return f", {free / 2**30:.1f} GiB free"
    return ""


def _current_folder() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""


def _existing_folder(path: Path) -> Path:
    """Returns the nearest folder at or above a path that exists."""
    folder = path.absolute()
    while not folder.is_dir():
        folder = folder.parent
    return folder


def _path_of(error: OSError) -> str:
    """Returns the path of an error; for a temporary file the path to which it would be moved."""
    name = error.filename
    # A number is the descriptor of an open file.
    if name is None or isinstance(name, int):
        return ""
    path = Path(os.fsdecode(name))
    temporary = TEMPORARY.match(path.name)
    if temporary:
        path = path.with_name(temporary.group(1))
    # Standard output has a name without a folder.
    return "" if str(path) == "<stdout>" else str(path)


def _path_in(text: str) -> str:
    """Returns the path that a library's message contains; "" if there is none."""
    for pattern in NAMED_PATHS:
        found = pattern.search(text)
        if found:
            return _path_of(OSError(0, "", found.group(1)))
    return ""


def _number_in(text: str) -> int | None:
    """Returns the number of the system's error that a library's message contains."""
    found = re.search(r"errno = (\d+)", text)
    if found:
        return int(found.group(1))
    for number in ADVICE:
        if os.strerror(number) in text:
            return number
    return None


def _is_of_tensorflow(error: BaseException) -> bool:
    return type(error).__module__.startswith("tensorflow.")


def _is_of_libsndfile(error: BaseException) -> bool:
    return type(error).__module__ == "soundfile"
