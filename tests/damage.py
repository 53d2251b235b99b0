"""Ways in which a file can be damaged, for tests of what reads it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crossask.errors import CrossaskError

Damage = Callable[[Path], None]
Outcome = tuple[Any, CrossaskError | None]
# A share of the file's length each.
FLIPPED_AT = (0.0, 0.02, 0.2, 0.4, 0.6, 0.8, 0.98)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def without_the_last_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0\0\0\0")


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def text(path: Path) -> None:
    path.write_text("This is no such file.\n" * 20)


def binary(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 4)


def other_json(path: Path) -> None:
    path.write_text('{"experiment": [], "clips": "many", "epochs": {}}\n')


def zip_of_nothing(path: Path) -> None:
    """Leaves a zip file without entries, which is an .npz, too."""
    path.write_bytes(b"PK\5\6" + bytes(18))


def missing(path: Path) -> None:
    path.unlink()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def link_to_nowhere(path: Path) -> None:
    path.unlink()
    os.symlink(path.with_name("nowhere"), path)


def flip(share: float) -> Damage:
    def damage(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[min(int(share * len(content)), len(content) - 1)] ^= 0x04
        path.write_bytes(content)

    damage.__name__ = f"flip_at_{share:g}"
    return damage


def copy_of(source: Path) -> Damage:
    """Returns a damage: another file of the same kind in its place."""

    def damage(path: Path) -> None:
        shutil.copyfile(source, path)

    damage.__name__ = "copy_of_another"
    return damage


FLIPS = [flip(share) for share in FLIPPED_AT]
CONTENT = [
    empty,
    half,
    without_the_last_byte,
    longer,
    zeros,
    text,
    binary,
    other_json,
    zip_of_nothing,
    *FLIPS,
]
ALL = [*CONTENT, missing, folder, link_to_nowhere]


def outcome(use: Callable[..., Any], *arguments: Any) -> Outcome:
    """Returns what a use of files returns, and the error that it raises for a user; one is None."""
    try:
        return use(*arguments), None
    except CrossaskError as error:
        return None, error


def names(error: CrossaskError, *places: Path | str) -> bool:
    """Returns whether an error has two lines, and the first contains one of some places."""
    has_two_lines = len(str(error).splitlines()) == 2 and bool(error.fix)
    return has_two_lines and any(str(place) in error.problem for place in places)
