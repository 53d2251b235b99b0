"""Hashes of the decoded samples of clips: one recording as WAV and as FLAC has one hash.

A hash is computed where a clip's features are, which decodes its file anyway, and is stored beside
the shard of the clip. Shards of earlier versions have none.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from crossask import stored
from crossask.errors import DataError

FORMAT_VERSION = 1
# Of every 256 samples (5 ms at 48 kHz), the first 16 are hashed. All of them would take 4 ms for a
# clip of 10 s in stereo, more than a tenth of the time that its features take.
PERIOD_SAMPLES = 256
HASHED_SAMPLES = 16
HASH_BYTES = 16


def hash_of(waveform: np.ndarray, rate_hz: int) -> str:
    """Returns a hash of a clip's samples, the same for mono and for stereo of two equal channels.

    It is "" for silence and other constant waveforms, which different recordings have in common.

    Args:
      waveform: Waveform [samples, channels], float32.
      rate_hz: Its sample rate in Hz.
    """
    channels = waveform.shape[1]
    whole = len(waveform) // PERIOD_SAMPLES * PERIOD_SAMPLES
    periods = waveform[:whole].reshape(-1, PERIOD_SAMPLES, channels)
    starts = periods[:, :HASHED_SAMPLES].reshape(-1, channels)
    last_start = waveform[whole:][:HASHED_SAMPLES]
    hashed = np.concatenate([starts, last_start], dtype="<f4")  # [hashed samples, channels]
    # This changes -0 to 0, whose bytes differ.
    hashed += np.float32(0)
    # The first comparison is fast, and excludes most waveforms that are not constant.
    if (hashed[0] == hashed[-1]).all() and (hashed == hashed[0]).all():
        return ""
    if np.array_equal(hashed[:, 0], hashed[:, -1]):
        hashed = np.ascontiguousarray(hashed[:, 0])
    digest = hashlib.blake2b(hashed, digest_size=HASH_BYTES)
    digest.update(f"{len(waveform)} samples at {rate_hz} Hz".encode())
    return digest.hexdigest()


def path_of(folder: Path, number: int) -> Path:
    """Returns the path of the hashes of shard `number` in `folder`."""
    return folder / f"{number:05d}.samples.json"


def write(folder: Path, number: int, hash_of_clip: Mapping[str, str]) -> None:
    """Writes the hashes of a shard's clips by id."""
    record = {"version": FORMAT_VERSION, "clips": dict(hash_of_clip)}
    stored.write_json(path_of(folder, number), record)


def read(folder: Path, number: int) -> dict[str, str]:
    """Returns the hashes of a shard's clips by id; {} if there are none, or of another version."""
    if not path_of(folder, number).exists():
        return {}
    record = stored.read_record(path_of(folder, number))
    if record.get("version") != FORMAT_VERSION:
        return {}
    return record["clips"]


def problem_of(folder: Path, number: int, clip_ids: Sequence[str]) -> str:
    """Returns what is wrong with the hashes of a shard; "" if they are right, or missing."""
    path = path_of(folder, number)
    if not path.exists():
        return ""
    try:
        record = stored.read_json(path, "")
    except DataError as error:
        return f"has damaged hashes of samples beside it: {error.problem.rstrip('.')}"
    if record.get("version") != FORMAT_VERSION:
        return ""
    clips = record.get("clips")
    if not isinstance(clips, dict) or sorted(clips) != sorted(clip_ids):
        return f"has hashes of other clips' samples beside it, in {path.name}"
    return ""


def of_folder(folder: Path, shards: int) -> dict[str, str]:
    """Returns the hashes of all clips of a folder by id; clips without a hash are left out."""
    found = {}
    for number in range(shards):
        for clip_id, digest in read(folder, number).items():
            if digest:
                found[clip_id] = digest
    return found
