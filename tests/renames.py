"""Kills a function just before a file is renamed into its place, once for each rename."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crossask import files

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


def _is_killed(work: Callable[[Path], Any], folder: Path, renames: int) -> bool:
    """Calls `work`, and kills it before the next rename after `renames` of them."""
    replace = os.replace
    done = 0

    def replace_or_kill(source: Path, target: Path) -> None:
        nonlocal done
        if done == renames:
            left = f".{Path(target).name}.{files._HOST}-{DEAD_PROCESS}.part"
            shutil.copyfile(source, Path(target).with_name(left))
            raise Killed
        done += 1
        replace(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", replace_or_kill)
        try:
            work(folder)
        except Killed:
            return True
    return False
