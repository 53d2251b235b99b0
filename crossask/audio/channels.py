"""Converts recordings of any number of channels to mono or stereo. Imports no TensorFlow."""

import logging
import os
import struct
from collections.abc import Sequence

import numpy as np

from crossask.audio import notices

# Names of the front channels in FFmpeg.
FRONT_LEFT = "FL"
FRONT_RIGHT = "FR"

# A WAV file with this format tag says where its channels belong.
_EXTENSIBLE = 0xFFFE
# Bits of front left and front right in the channel mask of a WAV file. Channels are in the order of
# the bits, so that these two are the first.
_FRONT_BITS = 0b11
# Bytes of the format chunk up to the end of the mask.
_FORMAT_BYTES = 24


def mono_or_stereo(
    waveform: np.ndarray, front_pair: tuple[int, int] | None, name: str | os.PathLike[str]
) -> np.ndarray:
    """Returns a waveform with one or two channels.

    The rule for the channels of a recording:
      * Mono stays mono. A model that reads two channels reads the mono signal in both.
      * Two channels stay as they are: left and right.
      * With more channels, front left and front right are read if the file says which channels
        they are (surround formats such as 5.1: a WAV file with a channel mask, or a format that
        PyAV reads). They are what a stereo recording of the same place would be. Otherwise, as for
        arrays of microphones, any two channels would be arbitrary, and the mean of all channels is
        read as mono.

    Args:
      waveform: Waveform [samples, channels].
      front_pair: Numbers of the channels front left and front right; None if they are unknown.
      name: Name of the recording, for the log.

    Returns:
      Waveform [samples, 1 or 2].
    """
    channels = waveform.shape[1]
    if channels <= 2:
        return waveform
    if front_pair is not None:
        notices.log_once(
            "more than two channels, front",
            logging.INFO,
            "%s has %d channels: front left and front right are read (also of other recordings).",
            name,
            channels,
        )
        return waveform[:, list(front_pair)]
    notices.log_once(
        "more than two channels, mean",
        logging.INFO,
        "%s has %d channels: their mean is read (also of other recordings whose files do not say "
        "which channels are front left and right).",
        name,
        channels,
    )
    return waveform.mean(axis=1, keepdims=True, dtype=np.float32)


def front_pair_of_names(names: Sequence[str]) -> tuple[int, int] | None:
    """Returns the numbers of front left and front right among FFmpeg's names of channels."""
    if FRONT_LEFT in names and FRONT_RIGHT in names:
        return names.index(FRONT_LEFT), names.index(FRONT_RIGHT)
    return None


def front_pair_of_wav(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """Returns the numbers of front left and front right in a WAV file with a channel mask."""
    with open(path, "rb") as file:
        header = file.read(12)
        if header[:4] not in (b"RIFF", b"RF64") or header[8:] != b"WAVE":
            return None
        # A chunk has an identifier, its length, and its content with an even number of bytes.
        while len(start := file.read(8)) == 8:
            identifier, length = struct.unpack("<4sI", start)
            if identifier == b"fmt ":
                return _front_pair_of_format(file.read(_FORMAT_BYTES))
            file.seek(length + length % 2, os.SEEK_CUR)
    return None


def _front_pair_of_format(chunk: bytes) -> tuple[int, int] | None:
    """Returns the front pair according to the format chunk of a WAV file."""
    if len(chunk) < _FORMAT_BYTES:
        return None
    (tag,) = struct.unpack_from("<H", chunk, 0)
    (mask,) = struct.unpack_from("<I", chunk, 20)
    if tag == _EXTENSIBLE and mask & _FRONT_BITS == _FRONT_BITS:
        return 0, 1
    return None
