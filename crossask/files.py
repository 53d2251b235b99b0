"""Writing files whole or not at all, and the room for them. Imports no TensorFlow."""

import contextlib
import json
import os
import platform
import re
import shutil
from pathlib import Path

from crossask.errors import CrossaskError

# on a shared disk, another machine's processes cannot be asked for
_HOST = re.sub(r"\W", "_", platform.node())


@contextlib.contextmanager
def writing(path):
    """A temporary name to write to; moved to `path` when the block ends without an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{_HOST}-{os.getpid()}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def remove_remains(folder):
    """Removes what `writing` of killed processes of this machine left in `folder`."""
    for path in Path(folder).glob(f".*.{_HOST}-*.part"):
        process = path.stem.rpartition("-")[2]
        if process.isdigit() and not _is_running(int(process)):
            path.unlink(missing_ok=True)


def check_room(folder, needed: int):
    """Makes `folder`, if it can be written and its disk has room for so many bytes; else a CrossaskError says which."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with writing(folder / "probe") as temporary:
            temporary.write_bytes(b"0")
        remove(folder / "probe")
    except OSError as error:
        raise CrossaskError(
            f"{folder} cannot be written: {error.strerror}.", "Give a folder that you may write to."
        ) from error
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise CrossaskError(
            f"{folder} has room for {free / 1e6:.0f} MB, and {needed / 1e6:.0f} MB are needed.",
            "Make room, or give a folder on another disk.",
        )


def remove(path):
    """Removes a file or a folder with all that is in it."""
    path = Path(path)
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def write_json(path, value):
    with writing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
