"""Detects Core Audio files whose samples are in larger pieces than programs read."""

import os
import struct

# The name of the format and its version, and the first chunk: its name and size, the sample rate,
# the name of the encoding, flags, bytes and samples of a packet, channels, and bits of a sample.
_START = struct.Struct(">4sHH4sqd4sIIIII")
_UNCOMPRESSED = b"lpcm"


def has_gaps(path: str | os.PathLike[str]) -> bool:
    """Returns whether samples of 17 to 24 bits take 4 bytes each, which FFmpeg reads as 3 bytes."""
    with open(path, "rb") as file:
        start = file.read(_START.size)
    if len(start) < _START.size:
        return False
    name, *_, encoding, _, packet_bytes, samples, channels, bits = _START.unpack(start)
    if name != b"caff" or encoding != _UNCOMPRESSED:
        return False
    return 16 < bits <= 24 and packet_bytes == 4 * channels * samples
