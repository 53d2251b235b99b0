"""Kills a function just before a file is renamed into its place, once for each rename."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crossask import files, locks

# Larger than any number of a process on Linux, so that it belongs to a process that has ended.
DEAD_PROCESS = 2**22 + 1


class Killed(BaseException):
    """The process ends here."""


def kill_before_each(work: Callable[[Path], Any], root: Path) -> list[Path]:
    """Returns a folder for each rename of `work`, in which it was killed just before this rename.

    What a killed process leaves, the file under its temporary name, is in the folder.

    Args:
      work: Writes into the folder that it is called with.
      root: Folder in which the folders are made.
    """
    folders = []
    while True:
        folder = root / f"killed_before_{len(folders)}"
        if not _is_killed(work, folder, len(folders)):
            shutil.rmtree(folder)
            return folders
        folders.append(folder)


def contents(folder: Path) -> dict[str, bytes]:
    """Returns the bytes of all files in a folder but locks and TensorBoard's files."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not path.name.endswith(locks.NAME) and "logs/" not in name:
            found[name] = path.read_bytes()
    return found


def assert_goes_on(
    work: Callable[[Path], Any],
    root: Path,
    least_renames: int,
    read: Callable[[Path], Any] = contents,
) -> None:
    """Asserts that what is killed before any rename ends, called again, as if it was left alone."""
    alone = root / "alone"
    work(alone)
    expected = read(alone)
    killed = kill_before_each(work, root)
    assert len(killed) >= least_renames
    for folder in killed:
        work(folder)
        assert read(folder) == expected, folder.name
        assert not list(folder.rglob("*.part"))


def _is_killed(work: Callable[[Path], Any], folder: Path, renames: int) -> bool:
    """Calls `work`, and kills it before the next rename after `renames` of them."""
    done = 0

    def or_kill(rename: Callable[[Path, Path], None]) -> Callable[[Path, Path], None]:
        def rename_or_kill(source: Path, target: Path) -> None:
            nonlocal done
            if done == renames:
                _leave(Path(source))
                raise Killed
            done += 1
            rename(source, target)

        return rename_or_kill

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", or_kill(os.replace))
        patch.setattr(os, "rename", or_kill(os.rename))
        try:
            work(folder)
        except Killed:
            return True
    return False


def _leave(source: Path) -> None:
    """Copies a temporary file, or the temporary folder around it, to the name of a dead process.

    Unlike a process that is killed, the exception removes it.
    """
    own = f".{files._HOST}-{os.getpid()}.part"
    for path in (source, *source.parents):
        if path.name.endswith(own):
            name = f"{path.name.removesuffix(own)}.{files._HOST}-{DEAD_PROCESS}.part"
            copy = shutil.copytree if path.is_dir() else shutil.copyfile
            copy(path, path.with_name(name))
            return
