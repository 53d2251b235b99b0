"""Writes and reads files of this package, with one kind of error for damaged ones.

Imports no TensorFlow.

A JSON file contains a checksum of itself, and of files that were written before it and belong to
it. Files of earlier versions have none, and are read without.
"""

import contextlib
import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crossask import files
from crossask.errors import CrossaskError, DataError

# Key of the checksums in a JSON file: name of a file beside it -> checksum. The empty name is that
# of the JSON file itself.
CHECKSUM = "checksum"
ITSELF = ""
# Name of the JSON file with the checksums of the files of a folder.
FOLDER_LIST = "checksums.json"
BLOCK_BYTES = 1 << 20
# What NumPy raises for a file that is no .npz, or a damaged one. RuntimeError is that of an entry
# which seems to be encrypted, or compressed in an unknown way.
BROKEN_ARRAYS = (
    EOFError,
    KeyError,
    RuntimeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


def write_json(path: str | Path, value: Mapping[str, Any], beside: Sequence[str] = ()) -> None:
    """Writes an object as JSON with its checksum.

    Args:
      path: The file.
      value: The object.
      beside: Names of files in the same folder whose checksums are recorded, too.
    """
    folder = Path(path).parent
    checksums = {name: sha256(folder / name) for name in beside if (folder / name).is_file()}
    # Lists and tuples are the same in JSON.
    plain = json.loads(json.dumps(value))
    checksums[ITSELF] = _digest(plain)
    files.write_json(path, {**plain, CHECKSUM: checksums})


def read_json(path: str | Path, fix: str) -> dict[str, Any]:
    """Returns the object that `write_json` wrote, after comparing its checksum.

    Args:
      path: The file.
      fix: What to do if it is damaged, for the message.

    Raises:
      DataError: The file is missing, unreadable, no JSON object, or damaged.
    """
    value, _ = _read(Path(path), fix)
    return value


def read_record(path: str | Path) -> dict[str, Any]:
    """Returns the object that `write_json` wrote; {} if the file is missing or damaged.

    It is for records of work that can be done again.
    """
    try:
        return read_json(path, "")
    except DataError:
        return {}


def write_arrays(path: str | Path, arrays: Mapping[str, Any]) -> None:
    """Writes arrays as an .npz, whole or not at all.

    Args:
      path: The file.
      arrays: Name -> array, or a value that NumPy converts to one.
    """
    # The file is opened here, because NumPy would append ".npz" to its temporary name.
    with files.writing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def check_beside(path: str | Path, fix: str, left_out: Sequence[str] = ()) -> None:
    """Compares the files that belong to a JSON file with the checksums in it.

    Args:
      path: The JSON file.
      fix: What to do if a file is missing or has changed.
      left_out: Names of files that are not compared and may be missing.

    Raises:
      DataError: One of them is missing or has changed.
    """
    path = Path(path)
    _, checksums = _read(path, fix)
    for name, expected in checksums.items():
        if name not in left_out:
            _check(path.parent / name, expected, path, fix)


def check_file(path: str | Path, card: str | Path, fix: str) -> None:
    """Compares a file with the checksum in its card, the JSON file that describes it.

    Both may have been renamed, so the name in the card is ignored.

    Raises:
      DataError: The file has changed, or the JSON file is damaged.
    """
    _, checksums = _read(Path(card), fix)
    for expected in checksums.values():
        _check(Path(path), expected, Path(card), fix)


def write_checksums(folder: Path) -> None:
    """Writes a list of the checksums of all files of a folder."""
    names = []
    for found in sorted(folder.rglob("*")):
        if found.is_file():
            names.append(found.relative_to(folder).as_posix())
    write_json(folder / FOLDER_LIST, {}, names)


def check_folder(folder: Path, fix: str) -> None:
    """Compares the files of a folder with the list that `write_checksums` wrote.

    A folder without a list, of an earlier version, is not checked.

    Raises:
      DataError: A file is missing or has changed.
    """
    path = folder / FOLDER_LIST
    if not path.exists():
        return
    _, checksums = _read(path, fix)
    if not checksums:
        raise DataError(f"{path} is damaged: it lists no files.", fix)
    for name, expected in checksums.items():
        _check(folder / name, expected, path, fix)


def read_arrays(path: str | Path, fix: str) -> dict[str, np.ndarray]:
    """Returns the arrays of an .npz by name, in the order of the file.

    Args:
      path: The file.
      fix: What to do if it is damaged, for the message.

    Raises:
      DataError: The file is missing, unreadable, damaged, or contains numbers that are not finite.
    """
    problem = ""
    arrays = {}
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            # The file is an .npy, whatever its suffix is.
            raise ValueError("it is a single array")
        with loaded as file:
            arrays = arrays_of(file)
    except BROKEN_ARRAYS as error:
        problem = f"is damaged ({error})"
    except OSError as error:
        problem = f"cannot be read ({error.strerror or error})"
    for name, array in arrays.items():
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            problem = f"contains values that are not finite, in array {name!r}"
            break
    if problem:
        raise DataError(f"{path} {problem}.", fix)
    return arrays


def arrays_of(file: np.lib.npyio.NpzFile) -> dict[str, np.ndarray]:
    """Returns the arrays of an open .npz by name, in the order of the file.

    Raises:
      ValueError: One of its files is no array. NumPy returns the bytes of such a file, for example
        of those that macOS adds to archives.
    """
    arrays = {}
    for name in file.files:
        array = file[name]
        if not isinstance(array, np.ndarray):
            raise ValueError(f"it contains {name!r}, which is no array")
        arrays[name] = array
    return arrays


@contextlib.contextmanager
def damage_of(path: str | Path, fix: str) -> Iterator[None]:
    """Raises DataError if the block fails because the content of a file has an unexpected form.

    Raises:
      DataError: The block raised KeyError, IndexError, TypeError, ValueError or AttributeError.
    """
    try:
        yield
    except CrossaskError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        raise DataError(f"{path} does not contain what it should ({text}).", fix) from error


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _read(path: Path, fix: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Returns the object of a JSON file, and the checksums of the files beside it."""
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).", fix) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read: it is no JSON ({error}).", fix) from error
    if not isinstance(value, dict):
        raise DataError(f"{path} contains no JSON object.", fix)
    checksums = value.pop(CHECKSUM, {})
    if not checksums:
        return value, {}
    if not isinstance(checksums, dict) or checksums.pop(ITSELF, "") != _digest(value):
        raise DataError(f"{path} has changed since it was written: its checksum differs.", fix)
    return value, checksums


def _check(path: Path, expected: str, listed_in: Path, fix: str) -> None:
    """Raises DataError unless a file has the checksum that another file contains."""
    try:
        found = sha256(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).", fix) from error
    if found != expected:
        size = os.path.getsize(path)
        raise DataError(
            f"{path} ({size} bytes) has changed since it was written: its checksum is not that "
            f"in {listed_in.name}.",
            fix,
        )


def _digest(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
