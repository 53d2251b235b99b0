"""Small sound files of every kind, and random damage to them."""

import struct
from collections.abc import Iterator
from pathlib import Path

import media_files
import numpy as np
import soundfile

RATE = 16000
# Numbers that a damaged or forged header may have: the largest and smallest of 4 bytes, and others.
NUMBERS = (0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 256, 2**24, 65536)
# Kind of file -> suffix, and the format and the encoding of libsndfile.
LIBSNDFILE = {
    "wav": (".wav", "WAV", "PCM_16"),
    "wav24": (".wav", "WAV", "PCM_24"),
    "wav_float": (".wav", "WAV", "FLOAT"),
    "wav_adpcm": (".wav", "WAV", "IMA_ADPCM"),
    "wav_gsm": (".wav", "WAV", "GSM610"),
    "w64": (".w64", "W64", "PCM_16"),
    "rf64": (".rf64", "RF64", "PCM_16"),
    "aiff": (".aiff", "AIFF", "PCM_16"),
    "au": (".au", "AU", "PCM_16"),
    "caf": (".caf", "CAF", "PCM_16"),
    "flac": (".flac", "FLAC", "PCM_16"),
    "vorbis": (".ogg", "OGG", "VORBIS"),
    "opus": (".opus", "OGG", "OPUS"),
    "mp3": (".mp3", "MP3", "MPEG_LAYER_III"),
    "voc": (".voc", "VOC", "PCM_16"),
    "nist": (".sph", "NIST", "PCM_16"),
}
# Kind of file -> suffix, and the codec of PyAV.
PYAV = {
    "m4a": (".m4a", "aac"),
    "webm": (".webm", "libopus"),
    "aac": (".aac", "aac"),
    "mka": (".mka", "flac"),
    "alac": (".m4a", "alac"),
}
KINDS = (*LIBSNDFILE, *PYAV)


def write(folder: Path, kind: str) -> Path:
    """Writes half a second of sound, and returns the path."""
    time = np.arange(RATE // 2) / RATE
    waveform = 0.3 * np.sin(2 * np.pi * 440 * time)[:, np.newaxis]
    if kind != "wav_gsm":
        waveform = np.repeat(waveform, 2, axis=1)
    if kind in PYAV:
        suffix, codec = PYAV[kind]
        rate = 48000 if codec == "libopus" else RATE
        return media_files.write(folder / f"{kind}{suffix}", waveform, rate, codec)
    suffix, name, encoding = LIBSNDFILE[kind]
    path = folder / f"{kind}{suffix}"
    soundfile.write(path, waveform, RATE, encoding, format=name)
    return path


def mutations(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Yields damaged copies of a file; each has one to four kinds of damage."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        damaged = bytearray(content)
        for _ in range(rng.integers(1, 5)):
            damaged = _damaged(damaged, rng)
        yield bytes(damaged)


def _damaged(content: bytearray, rng: np.random.Generator) -> bytearray:
    """Returns a file with one more damage."""
    if len(content) < 8:
        return content
    # Half of all damage is where the header is.
    reach = min(len(content) - 4, 128) if rng.random() < 0.5 else len(content) - 4
    place = int(rng.integers(0, reach))
    other = int(rng.integers(0, len(content)))
    first, last = sorted((place, other))
    kind = rng.integers(0, 7)
    if kind == 0:
        content[place] ^= 1 << int(rng.integers(0, 8))
    elif kind == 1:
        content[place : place + 4] = rng.bytes(4)
    elif kind == 2:
        order = rng.choice(["<I", ">I"])
        content[place : place + 4] = struct.pack(order, int(rng.choice(NUMBERS)))
    elif kind == 3:
        content = content[:other]
    elif kind == 4:
        del content[first : min(last, first + 1000)]
    elif kind == 5:
        content[place:place] = content[first : min(last, first + 1000)]
    else:
        content[place:place] = rng.bytes(int(rng.integers(1, 100)))
    return content
