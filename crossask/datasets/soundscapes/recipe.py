"""The recipe of a folder of generated recordings: soundscapes.json.

It is written before the first recording, so that a killed run continues with the same recipe, and
recordings of two recipes are never mixed.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from crossask import files, locks
from crossask.config import from_dict
from crossask.datasets.soundscapes.composition import GENERATOR_VERSION
from crossask.datasets.soundscapes.design import IsolatedEventsConfig, SoundscapesConfig
from crossask.errors import DataError

FILE_NAME = "soundscapes.json"

# Values of the recipe's key "content".
SCENE_CONTENT = "scenes"
EVENT_CONTENT = "events"

ADVICE = "Give an empty folder, or remove this one yourself."


def recorded_config(data_dir: str | Path) -> SoundscapesConfig:
    """Returns the configuration of the scenes in a folder, or the default if there are none."""
    try:
        recipe = json.loads((Path(data_dir) / FILE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return SoundscapesConfig()
    if not isinstance(recipe, dict) or recipe.get("content") != SCENE_CONTENT:
        return SoundscapesConfig()
    names = {field.name for field in dataclasses.fields(SoundscapesConfig)}
    values = {name: value for name, value in recipe.items() if name in names}
    return from_dict(SoundscapesConfig, values)


def claim(folder: Path, content: str, config: SoundscapesConfig | IsolatedEventsConfig) -> None:
    """Writes the recipe into an empty folder, or checks that the folder has the same recipe.

    Args:
      folder: The folder; it is created if necessary.
      content: SCENE_CONTENT or EVENT_CONTENT.
      config: The configuration.

    Raises:
      DataError: The folder has another recipe, or files but no recipe.
    """
    recipe = {
        "generator_version": GENERATOR_VERSION,
        "content": content,
        **dataclasses.asdict(config),
    }
    # As it is read again: with lists for tuples.
    recipe = json.loads(json.dumps(recipe))
    path = folder / FILE_NAME
    if path.is_file():
        _check_same(path, recipe)
        return
    foreign = _foreign_files(folder)
    if foreign:
        raise DataError(
            f"{folder} contains {foreign[0]!r} but no {FILE_NAME}: it was not generated.", ADVICE
        )
    with files.writing(path) as temporary:
        temporary.write_text(json.dumps(recipe, indent=2) + "\n", encoding="utf-8", newline="\n")


def _check_same(path: Path, recipe: dict[str, Any]) -> None:
    try:
        present = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error}).", ADVICE) from error
    if not isinstance(present, dict):
        raise DataError(f"{path} is not a recipe of generated recordings.", ADVICE)
    if present == recipe:
        return
    names = sorted({*present, *recipe})
    changed = [name for name in names if present.get(name) != recipe.get(name)]
    raise DataError(
        f"{path.parent} contains soundscapes with {_values(present, changed)}; requested are "
        f"{_values(recipe, changed)}.",
        ADVICE,
    )


def _values(recipe: dict[str, Any], names: list[str]) -> str:
    return ", ".join(f"{name}={recipe.get(name)!r}" for name in names)


def _foreign_files(folder: Path) -> list[str]:
    """Returns the names in a folder, without its lock and a recipe that is half written."""
    if not folder.is_dir():
        return []
    names = []
    for path in folder.iterdir():
        is_temporary = path.name.startswith(f".{FILE_NAME}.") and path.suffix == ".part"
        if not is_temporary and path.name not in locks.FILES_IN_FOLDER:
            names.append(path.name)
    return sorted(names)
