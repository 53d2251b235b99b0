"""The manifest of published weights, and where their files are in the cache.

vggish_assets/README.md describes the manifest. Imports no TensorFlow.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crossask import shipped
from crossask.errors import ConfigError, WeightsError

Entry = Mapping[str, Any]


def entries() -> dict[str, Entry]:
    """Returns the manifest, name of an asset -> its entry.

    Raises:
      WeightsError: The manifest is missing or cannot be read.
    """
    manifest = path()
    try:
        return json.loads(manifest.read_text())
    except ValueError as error:
        raise WeightsError(
            f"{manifest} is not readable JSON ({error}).",
            "Repair it, or install the package again.",
        ) from error


def path() -> Path:
    """Returns the path of the manifest; raises WeightsError if it is missing."""
    places = _places()
    for place in places:
        if place.is_file():
            return place
    raise WeightsError(
        f"{places[0]} is not there.", "Install the package again, or set CROSSASK_ASSETS_MANIFEST."
    )


def entry(name: str) -> Entry:
    """Returns the entry of an asset; raises ConfigError if there is none."""
    known = entries()
    if name not in known:
        raise ConfigError(f"There is no asset {name!r}.", f"Use one of: {', '.join(known)}.")
    return known[name]


def cache_folder(given: str | Path | None = None) -> Path:
    """Returns the folder of downloaded files.

    It is the given one, or else CROSSASK_CACHE_DIR, or else crossask in the user's cache folder.

    Raises:
      WeightsError: None of them is known.
    """
    if given is not None:
        return Path(given)
    own = os.environ.get("CROSSASK_CACHE_DIR")
    if own:
        return Path(own)
    user_cache = os.environ.get("XDG_CACHE_HOME")
    if user_cache:
        return Path(user_cache) / "crossask"
    try:
        return Path.home() / ".cache" / "crossask"
    except RuntimeError as error:
        # The system does not know this number of a user, as in some containers.
        raise WeightsError(
            "This user has no home folder, in which downloaded files are kept.",
            "Set the environment variable CROSSASK_CACHE_DIR to a folder.",
        ) from error


def _places() -> list[Path]:
    """Returns the paths where the manifest may be; the first one that exists is used."""
    given = os.environ.get("CROSSASK_ASSETS_MANIFEST")
    if given:
        return [Path(given)]
    return shipped.places("vggish_assets/manifest.json")
