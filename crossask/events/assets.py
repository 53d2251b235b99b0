"""Published weight files: fetched once into a cache, verified by what they hold. See vggish_assets/README.md."""

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np

from crossask import events
from crossask.audio import frontends
from crossask.config import EventModelConfig
from crossask.errors import ConfigError, WeightsError

SMOKE_TEST_DEVIATION = 0.343  # of VGGish's embeddings of 3 s of a 1 kHz sine, published 2023, tolerance a tenth
BLOCK_BYTES = 1 << 20


def names() -> tuple[str, ...]:
    """What the manifest lists."""
    return tuple(_manifest())


def fetch(name: str, cache_dir=None, progress=None) -> Path:
    """The path of a verified weight file or module; fetched if it is not in the cache.

    Args:
      cache_dir: where single files go; default: CROSSASK_CACHE_DIR, else crossask in the user's cache folder. Modules
        follow TFHUB_CACHE_DIR.
      progress: called with (bytes done, bytes in all).

    Raises:
      ConfigError: the manifest has no such name.
      WeightsError: it cannot be fetched, or is not what it should be; nothing broken is left in the cache.
    """
    manifest = _manifest()
    if name not in manifest:
        raise ConfigError(f"There is no asset {name!r}.", f"Use one of: {', '.join(manifest)}.")
    entry = manifest[name]
    if "hub" in entry:
        from crossask.events import reading_weights

        path = reading_weights.resolve(entry["hub"])
        verify(path, entry)
        return path
    path = Path(cache_dir or _cache_dir()) / entry["file"]
    if not path.is_file():
        part = path.with_name(f".{path.name}.part")
        _download(entry["url"], part, progress)
        try:
            verify(part, entry)
        except WeightsError:
            part.unlink()
            raise
        os.replace(part, path)
    return path


def verify(path: Path, entry: dict):
    """Checks size, variables and smoke test of what an entry of the manifest describes; a WeightsError names what is off."""
    if path.is_file() and path.stat().st_size < entry.get("least_bytes", 0):
        raise WeightsError(f"{path} has {path.stat().st_size} bytes, less than {entry['least_bytes']}.", "Fetch it again.")
    if entry["model"] == "pca":
        from crossask.events import vggish

        vggish.read_pca(path)
    elif entry["model"] == "vggish":
        # a file that was renamed while it is fetched has no telling suffix
        layer = events.VGGish.from_checkpoint(path) if path.is_file() else events.VGGish.from_hub(path)
        sine = np.sin(2 * np.pi * 1000 * np.arange(0, 3, 1 / 16000)).astype(np.float32)
        found = float(np.std(layer(frontends.vggish_patches(sine)).numpy()))
        if abs(found - SMOKE_TEST_DEVIATION) > 0.1 * SMOKE_TEST_DEVIATION:
            raise WeightsError(f"The embeddings of {path} deviate by {found:.3f}, not {SMOKE_TEST_DEVIATION}.", "Fetch the original.")
    else:
        events.build(EventModelConfig(name=entry["model"], weights=str(path)))


def _download(url: str, part: Path, progress):
    """Goes on with a broken download where the server allows it."""
    part.parent.mkdir(parents=True, exist_ok=True)
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            if have and answer.status != 206:
                have = 0
            total = have + int(answer.headers.get("Content-Length") or 0)
            with open(part, "ab" if have else "wb") as file:
                while block := answer.read(BLOCK_BYTES):
                    file.write(block)
                    have += len(block)
                    if progress:
                        progress(have, max(have, total))
    except (OSError, urllib.error.URLError, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError) and error.code == 416:
            part.unlink()
        raise WeightsError(f"{url} cannot be fetched ({error}).", "Run the same command again, or download it by hand.") from error
    if have < total:
        raise WeightsError(f"{url} broke off after {have} of {total} bytes.", "Run the same command again: it goes on from there.")


def _manifest() -> dict:
    for folder in (Path(__file__).parents[2] / "vggish_assets", Path(sys.prefix) / "share" / "crossask" / "vggish_assets"):
        path = Path(os.environ.get("CROSSASK_ASSETS_MANIFEST", folder / "manifest.json"))
        if path.is_file():
            return json.loads(path.read_text())
    raise WeightsError("vggish_assets/manifest.json is not there.", "Install the package again, or set CROSSASK_ASSETS_MANIFEST.")


def _cache_dir() -> Path:
    given = os.environ.get("CROSSASK_CACHE_DIR")
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "crossask"
