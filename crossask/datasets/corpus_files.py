"""The files of a published corpus: which are missing, and how to get them."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from crossask.config import catalogue
from crossask.errors import DataError


def how_to_get(name: str, data_dir: str | Path) -> str:
    """Returns one sentence that says how to get missing files of the data set `name`."""
    by_hand = catalogue.dataset(name).by_hand
    if by_hand:
        return by_hand
    command = f"crossask-prepare --dataset={name} --data_dir={shlex.quote(str(data_dir))}"
    if catalogue.dataset(name).is_rendered:
        return f"Render them: {command}"
    return f"Fetch them: {command} --download"


def how_to_get_metadata(name: str, data_dir: str | Path) -> str:
    """Returns one sentence that says how to get missing metadata of the data set `name`."""
    advice = how_to_get(name, data_dir)
    if not catalogue.dataset(name).archives:
        return advice
    return f"{advice} (with --metadata_only, only what a plan needs)"


def require(folder: Path, names: Sequence[str], kind: str, fix: str) -> None:
    """Raises one DataError for all of `names` that are not files below `folder`.

    Args:
      folder: Folder of the corpus.
      names: Paths below the folder.
      kind: What these files are, in the plural, for the message.
      fix: What to do, for the message.
    """
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise _missing_files(folder, names, missing, kind, fix)


def audio_paths(folder: Path, names: Sequence[str], fix: str | None) -> list[str]:
    """Returns the paths of sound files, also if the corpus was converted to FLAC.

    Args:
      folder: Folder of the corpus.
      names: Paths below the folder, as the metadata lists them.
      fix: What to do about missing files, for the message; None allows them to be missing.

    Raises:
      DataError: Files are missing.
    """
    paths = []
    missing = []
    for name in names:
        path = folder / name
        flac = path.with_suffix(".flac")
        if os.path.isfile(path):
            paths.append(str(path))
        elif os.path.isfile(flac):
            paths.append(str(flac))
        else:
            paths.append(str(path))
            missing.append(name)
    if missing and fix is not None:
        kind = "sound files of the metadata (with this suffix or as .flac)"
        raise _missing_files(folder, names, missing, kind, fix)
    return paths


def _missing_files(
    folder: Path, names: Sequence[str], missing: Sequence[str], kind: str, fix: str
) -> DataError:
    verb = "is" if len(missing) == 1 else "are"
    return DataError(
        f"{len(missing)} of {len(names)} {kind} {verb} missing below {folder}, the first is "
        f"{missing[0]!r}.",
        fix,
    )
