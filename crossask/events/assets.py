"""Published weight files: fetched once into a cache, verified by what they hold. See vggish_assets/README.md."""

import json
import os
import sys
import sysconfig
import zipfile
from pathlib import Path

import numpy as np

from crossask import downloading, events, files
from crossask.audio import frontends
from crossask.config import catalogue
from crossask.errors import ConfigError, DownloadError, WeightsError
from crossask.events import reading_weights

SMOKE_TEST_TOLERANCE = 0.1  # relative, Google's own
TOP_CLASSES = 10  # of YAMNet's 521, among which the expected one must be: Google's own


def names() -> tuple[str, ...]:
    """What the manifest lists."""
    return tuple(_manifest())


def fetch(name: str, cache_dir=None, progress=None) -> Path:
    """The path of a verified weight file or module; fetched if it is not in the cache.

    A file is downloaded to a hidden name, verified, then moved into place; beside it a record keeps its size and checksum, so
    that the next call has only to compare the size. What broke off on the way is kept and gone on from.

    Args:
      cache_dir: where single files go; default: CROSSASK_CACHE_DIR, else crossask in the user's cache folder. Modules
        follow TFHUB_CACHE_DIR.
      progress: called with (bytes done, bytes in all).

    Raises:
      ConfigError: the manifest has no such name.
      WeightsError: it cannot be fetched, or is not what it should be; nothing broken is left in its place.
    """
    entry = _entry(name)
    if "hub" in entry:
        folder = reading_weights.resolve(entry["hub"])
        try:
            verify(folder, entry)
        except WeightsError as error:
            raise WeightsError(
                f"{entry['hub']}: {error.problem}", f"Remove {folder} and fetch it again."
            ) from error
        return folder
    path = _place(entry, cache_dir)
    if path.is_file():
        if _size_is_recorded(path):
            return path
        # put there by hand, or changed since
        _verify_file(path, entry, f"{path} in the cache")
        return path
    part = path.with_name(f".{path.name}.part")
    try:
        downloading.download(entry["url"], part, progress)
    except DownloadError as error:
        raise WeightsError(error.problem, error.fix) from error
    _verify_file(part, entry, f"What {entry['url']} gave")
    os.replace(part, path)
    os.replace(_record_of(part), _record_of(path))
    return path


def cached(name: str, cache_dir=None) -> Path:
    """The path of a file that `fetch` put into the cache; a WeightsError that says how to get it where it is not there."""
    path = _place(_entry(name), cache_dir)
    if not path.is_file():
        raise WeightsError(
            f"{path} is not there.", f"Fetch it with crossask-prepare --assets={name}."
        )
    return path


def verify(path: Path, entry: dict):
    """Checks what `entry` of the manifest says of the file or folder `path`; a WeightsError names what is off.

    `bytes`, `least_bytes`, `sha256`: of a file. `model`: "vggish", "yamnet" (all variables by name and shape, at `width`) or
    "pca". `smoke_test_deviation`: of VGGish's embeddings of a 1 kHz sine, 3 s, within a tenth. `silence_class`: one of
    YAMNet's ten most probable classes for 3 s of silence.
    """
    if path.is_file():
        _verify_bytes(path, entry)
    if entry["model"] == "pca":
        from crossask.events import vggish

        vggish.read_pca(path)
        return
    options = {"width": entry.get("width", 1.0)} | (
        {"classifier": True} if catalogue.event_model(entry["model"]).has_tagger else {}
    )
    layer = _read(events.event_model_class(entry["model"]), path, options)
    if "smoke_test_deviation" in entry:
        sine = np.sin(2 * np.pi * 1000 * np.arange(0, 3, 1 / frontends.EVENT_RATE_HZ)).astype(
            np.float32
        )
        found, expected = (
            float(np.std(layer(frontends.vggish_patches(sine)).numpy())),
            entry["smoke_test_deviation"],
        )
        if not abs(found - expected) <= SMOKE_TEST_TOLERANCE * expected:
            raise WeightsError(
                f"Its embeddings of a 1 kHz sine deviate by {found:.4g}, not {expected}.",
                "Fetch the original, not fine-tuned weights.",
            )
    if "silence_class" in entry:
        scores = (
            layer.scores(
                frontends.yamnet_patches(np.zeros(3 * frontends.EVENT_RATE_HZ, np.float32))
            )
            .numpy()
            .mean(0)
        )
        if entry["silence_class"] not in np.argsort(scores)[-TOP_CLASSES:]:
            raise WeightsError(
                "It does not hear silence in silence.",
                "Fetch the original, not fine-tuned weights.",
            )


def _read(cls, path: Path, options: dict):
    if path.is_dir():
        return cls.from_hub(path, **options)
    # by content: while it is fetched, a file's name tells nothing
    return (
        cls.from_npz(path, **options)
        if zipfile.is_zipfile(path)
        else cls.from_checkpoint(path, **options)
    )


def _verify_bytes(path: Path, entry: dict):
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


def _verify_file(path: Path, entry: dict, what: str):
    """Verifies and writes the record; what fails is removed."""
    try:
        verify(path, entry)
    except WeightsError as error:
        path.unlink()
        raise WeightsError(
            f"{what} is not {entry['what']}. {error.problem}", f"It was removed. {error.fix}"
        ) from error
    files.write_json(
        _record_of(path),
        {"url": entry["url"], "bytes": path.stat().st_size, "sha256": _sha256(path)},
    )


def _size_is_recorded(path: Path) -> bool:
    try:
        return json.loads(_record_of(path).read_text())["bytes"] == path.stat().st_size
    except (OSError, ValueError, KeyError):
        return False


def _record_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _sha256(path: Path) -> str:
    return downloading.checksum(path, "sha256")


def _entry(name: str) -> dict:
    manifest = _manifest()
    if name not in manifest:
        raise ConfigError(f"There is no asset {name!r}.", f"Use one of: {', '.join(manifest)}.")
    return manifest[name]


def _manifest() -> dict:
    """From CROSSASK_ASSETS_MANIFEST, else the source tree, else where the package was installed."""
    given = os.environ.get("CROSSASK_ASSETS_MANIFEST")
    installed = [
        Path(base, "share", "crossask") for base in (sysconfig.get_path("data"), sys.prefix)
    ]
    places = (
        [Path(given)]
        if given
        else [
            f / "vggish_assets" / "manifest.json" for f in (Path(__file__).parents[2], *installed)
        ]
    )
    for path in places:
        if path.is_file():
            try:
                return json.loads(path.read_text())
            except ValueError as error:
                raise WeightsError(
                    f"{path} is not readable JSON ({error}).",
                    "Mend it, or install the package again.",
                ) from error
    raise WeightsError(
        f"{places[0]} is not there.", "Install the package again, or set CROSSASK_ASSETS_MANIFEST."
    )


def _place(entry: dict, cache_dir) -> Path:
    if cache_dir is None:
        cache_dir = (
            os.environ.get("CROSSASK_CACHE_DIR")
            or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crossask"
        )
    return Path(cache_dir) / entry["file"]
