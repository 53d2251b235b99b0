"""Published weight files: fetched once into a cache, and verified by their content.

A manifest lists them, see vggish_assets/README.md.
"""

import json
import os
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from crossask import downloading, events, files
from crossask.audio import frontends
from crossask.config import catalogue
from crossask.errors import ConfigError, DownloadError, WeightsError
from crossask.events import weights
from crossask.events.layer import EventModel
from crossask.events.vggish import read_pca
from crossask.events.yamnet import YAMNet

SMOKE_TEST_SECONDS = 3
SMOKE_TEST_HZ = 1000
SMOKE_TEST_TOLERANCE = 0.1  # relative, as in Google's smoke test
TOP_CLASSES = 10  # of YAMNet's 521, as in Google's test

Entry = Mapping[str, Any]


def names() -> tuple[str, ...]:
    """Returns the names of the assets in the manifest."""
    return tuple(_manifest())


def fetch(
    name: str,
    cache_dir: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Returns the path of a verified weight file or module; fetches it if the cache lacks it.

    A file is downloaded to a hidden name, verified and moved into place. A record beside it keeps
    its size and checksum, so that the next call only compares the size. The part that arrived
    before an interruption is kept, and the next call continues from it.

    Args:
      name: Name of the asset.
      cache_dir: Folder of single files; None is CROSSASK_CACHE_DIR or else crossask in the user's
        cache folder. Modules are in tensorflow_hub's cache (TFHUB_CACHE_DIR).
      progress: Function that is called with (bytes done, bytes in all).

    Raises:
      ConfigError: The manifest has no such asset.
      WeightsError: It cannot be fetched, or has other content; no wrong file stays in its place.
    """
    entry = _entry(name)
    if "hub" in entry:
        return _fetch_module(entry)
    path = _place(entry, cache_dir)
    if path.is_file():
        if not _size_is_recorded(path):
            # It was put there by hand, or has changed since.
            _verify_file(path, entry, f"{path} in the cache")
        return path
    part = path.with_name(f".{path.name}.part")
    try:
        downloading.download(entry["url"], part, progress)
    except DownloadError as error:
        raise WeightsError(error.problem, error.fix) from error
    _verify_file(part, entry, f"The file from {entry['url']}")
    os.replace(part, path)
    os.replace(_record_of(part), _record_of(path))
    return path


def cached(name: str, cache_dir: str | Path | None = None) -> Path:
    """Returns the path of a file that `fetch` stored in the cache.

    Raises:
      ConfigError: The manifest has no such asset.
      WeightsError: The cache lacks it.
    """
    path = _place(_entry(name), cache_dir)
    if not path.is_file():
        raise WeightsError(
            f"{path} is not there.", f"Fetch it with crossask-prepare --assets={name}."
        )
    return path


def verify(path: Path, entry: Entry) -> None:
    """Checks that a file or folder is the asset that an entry of the manifest describes.

    Args:
      path: The file or folder.
      entry: The facts to check:

        * "model": "pca", or an event model of the catalogue, at "width" (default 1); every variable
          is checked by name and shape.
        * "bytes", "least_bytes", "sha256": Size, smallest size and checksum of the file.
        * "smoke_test_deviation": Standard deviation of the embeddings of a 1 kHz sine of 3 s,
          within a tenth.
        * "silence_class": Number of an event that must be among the ten most probable ones in 3 s
          of silence.

    Raises:
      WeightsError: It is another file; the message says what differs.
    """
    if path.is_file():
        _verify_bytes(path, entry)
    if entry["model"] == "pca":
        read_pca(path)
        return
    layer = _read(path, entry)
    if "smoke_test_deviation" in entry:
        _verify_sine(layer, entry["smoke_test_deviation"])
    if "silence_class" in entry:
        _verify_silence(layer, entry["silence_class"])


def _fetch_module(entry: Entry) -> Path:
    """Returns the folder of a verified TF-Hub module."""
    folder = weights.resolve(entry["hub"])
    try:
        verify(folder, entry)
    except WeightsError as error:
        raise WeightsError(
            f"{entry['hub']}: {error.problem}", f"Remove {folder} and fetch it again."
        ) from error
    return folder


def _read(path: Path, entry: Entry) -> EventModel:
    """Returns the event model with the weights of the asset."""
    model_class = events.event_model_class(entry["model"])
    options = {"width": entry.get("width", 1.0)}
    if catalogue.event_model(entry["model"]).has_tagger:
        options["classifier"] = True
    if path.is_dir():
        return model_class.from_hub(path, **options)
    # While a file is fetched, its name does not say what it is.
    if zipfile.is_zipfile(path):
        return model_class.from_npz(path, **options)
    return model_class.from_checkpoint(path, **options)


def _verify_bytes(path: Path, entry: Entry) -> None:
    size = path.stat().st_size
    if size != entry.get("bytes", size):
        raise WeightsError(f"It has {size} bytes, not {entry['bytes']}.", "Fetch it again.")
    if size < entry.get("least_bytes", 0):
        raise WeightsError(
            f"It has {size} bytes, at least {entry['least_bytes']} were expected.",
            "Fetch it again.",
        )
    if "sha256" in entry and _sha256(path) != entry["sha256"]:
        raise WeightsError(
            f"Its sha256 is {_sha256(path)}, not {entry['sha256']}.", "Fetch it again."
        )


def _verify_sine(layer: EventModel, expected: float) -> None:
    """Raises WeightsError unless VGGish's embeddings of a sine have the expected deviation."""
    seconds = np.arange(0, SMOKE_TEST_SECONDS, 1 / frontends.EVENT_RATE_HZ)
    sine = np.sin(2 * np.pi * SMOKE_TEST_HZ * seconds).astype(np.float32)
    embeddings = layer(frontends.vggish_patches(sine)).numpy()
    deviation = float(np.std(embeddings))
    # `not` keeps a deviation that is not a number from passing.
    if not abs(deviation - expected) <= SMOKE_TEST_TOLERANCE * expected:
        raise WeightsError(
            f"Its embeddings of a 1 kHz sine deviate by {deviation:.4g}, not {expected}.",
            "Fetch the original, not fine-tuned weights.",
        )


def _verify_silence(layer: YAMNet, silence_class: int) -> None:
    """Raises WeightsError unless YAMNet finds silence among the most probable events of silence."""
    silence = np.zeros(SMOKE_TEST_SECONDS * frontends.EVENT_RATE_HZ, np.float32)
    scores = layer.scores(frontends.yamnet_patches(silence)).numpy()  # [patches, 521]
    most_probable = np.argsort(scores.mean(0))[-TOP_CLASSES:]
    if silence_class not in most_probable:
        raise WeightsError(
            "It does not recognise silence as silence.",
            "Fetch the original, not fine-tuned weights.",
        )


def _verify_file(path: Path, entry: Entry, title: str) -> None:
    """Verifies a file and writes its record; removes a file that is wrong.

    Args:
      path: The file.
      entry: Its entry in the manifest.
      title: What the file is, for the error.
    """
    try:
        verify(path, entry)
    except WeightsError as error:
        path.unlink()
        raise WeightsError(
            f"{title} is not {entry['what']}. {error.problem}", f"It was removed. {error.fix}"
        ) from error
    record = {"url": entry["url"], "bytes": path.stat().st_size, "sha256": _sha256(path)}
    files.write_json(_record_of(path), record)


def _size_is_recorded(path: Path) -> bool:
    """Returns whether the file has the size in its record."""
    try:
        record = json.loads(_record_of(path).read_text())
        return record["bytes"] == path.stat().st_size
    except (OSError, ValueError, KeyError):
        return False


def _record_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _sha256(path: Path) -> str:
    return downloading.checksum(path, "sha256")


def _entry(name: str) -> Entry:
    manifest = _manifest()
    if name not in manifest:
        raise ConfigError(f"There is no asset {name!r}.", f"Use one of: {', '.join(manifest)}.")
    return manifest[name]


def _manifest() -> dict[str, Entry]:
    """Returns the manifest {name: entry}."""
    places = _manifest_places()
    for path in places:
        if path.is_file():
            try:
                return json.loads(path.read_text())
            except ValueError as error:
                raise WeightsError(
                    f"{path} is not readable JSON ({error}).",
                    "Repair it, or install the package again.",
                ) from error
    raise WeightsError(
        f"{places[0]} is not there.", "Install the package again, or set CROSSASK_ASSETS_MANIFEST."
    )


def _manifest_places() -> list[Path]:
    """Returns the paths where the manifest may be, the first one that exists counts."""
    given = os.environ.get("CROSSASK_ASSETS_MANIFEST")
    if given:
        return [Path(given)]
    source_tree = Path(__file__).parents[2]
    folders = [source_tree]
    for base in (sysconfig.get_path("data"), sys.prefix):
        folders.append(Path(base, "share", "crossask"))
    return [folder / "vggish_assets" / "manifest.json" for folder in folders]


def _place(entry: Entry, cache_dir: str | Path | None) -> Path:
    """Returns the path of a file in the cache."""
    if cache_dir is None:
        cache_dir = _default_cache_dir()
    return Path(cache_dir) / entry["file"]


def _default_cache_dir() -> Path:
    given = os.environ.get("CROSSASK_CACHE_DIR")
    if given:
        return Path(given)
    user_cache = os.environ.get("XDG_CACHE_HOME")
    if user_cache:
        return Path(user_cache) / "crossask"
    return Path.home() / ".cache" / "crossask"
