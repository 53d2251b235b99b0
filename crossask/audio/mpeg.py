"""Counts the length of MP3 and MP2 files frame by frame, without decoding them."""

import contextlib
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Bit rates in kbit/s by the four bits of a frame's header; 0 is none.
_RATES_OF_MPEG_1 = {
    1: (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448, 0),
    2: (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 0),
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
}
_RATES_OF_MPEG_2 = {
    1: (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256, 0),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
    3: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
}
# Samples of a frame by its layer.
_SAMPLES_OF_MPEG_1 = {1: 384, 2: 1152, 3: 1152}
_SAMPLES_OF_MPEG_2 = {1: 384, 2: 1152, 3: 576}
# Bytes of which the length of a frame is a multiple.
_SLOT_BYTES = {1: 4, 2: 1, 3: 1}
# Sample rates of MPEG 1 in Hz. MPEG 2 has half of them, and MPEG 2.5 a quarter.
_SAMPLE_RATES_HZ = (44100, 48000, 32000)
# Version in the header of a frame -> divisor of these rates.
_RATE_DIVISORS = {3: 1, 2: 2, 0: 4}
_MPEG_1 = 3
_HEADER_BYTES = 4
_ID3_BYTES = 10
# In a frame that contains the length: Xing's of a varying and of a constant bit rate, Fraunhofer's.
_MARKS_OF_INDEX = (b"Xing", b"Info", b"VBRI")
# A file with more places that look like a frame and are none is not searched to its end.
_MOST_SEARCHES = 100_000
# Other data contains the headers of a few frames by chance, but not of so many after each other.
_LEAST_FRAMES = 10
# An encoder adds so much silence at most at the start and the end, which decoders remove again.
MOST_DELAY_SECONDS = 0.3


class Format(NamedTuple):
    """What a decoder needs to know of a frame's sound."""

    sample_rate_hz: int
    is_mono: bool


class _Frame(NamedTuple):
    """A frame of an MP3 file: its length in the file, and the length and format of its sound."""

    length: int
    seconds: float
    format: Format


def seconds_of(path: Path, layer: int) -> dict[Format, float]:
    """Returns the length of the frames of each format in an MP3 file in seconds.

    Bytes between frames that belong to none are skipped. A frame counts if another one follows, or
    the end of the file.

    Args:
      path: The file.
      layer: Layer of the frames that count, 1 to 3. MP3 is layer 3.
    """
    seconds: dict[Format, float] = {}
    with _content(path) as content:
        for _, frame in _frames(content, layer):
            seconds[frame.format] = seconds.get(frame.format, 0.0) + frame.seconds
    return seconds


def is_sound(path: Path, layer: int) -> bool:
    """Returns whether a file is MPEG sound, and does not only contain some headers by chance.

    It has many frames after each other, or frames in most of its bytes if it is short.

    Args:
      path: The file.
      layer: Layer of the frames that count.
    """
    with _content(path) as content:
        in_succession = 0
        frame_bytes = 0
        end = -1
        for place, frame in _frames(content, layer):
            in_succession = in_succession + 1 if place == end else 1
            if in_succession == _LEAST_FRAMES:
                return True
            frame_bytes += frame.length
            end = place + frame.length
        return 2 * frame_bytes > len(content) - _end_of_id3(content)


def has_index(path: Path, layer: int) -> bool:
    """Returns whether the first frame of an MP3 file has its length in place of sound."""
    with _content(path) as content:
        for place, frame in _frames(content, layer):
            start = content[place : place + frame.length]
            return any(mark in start for mark in _MARKS_OF_INDEX)
    return False


@contextlib.contextmanager
def _content(path: Path) -> Iterator[mmap.mmap]:
    """Yields the bytes of a file, which are read where they are needed."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield content


def _frames(content: mmap.mmap, layer: int) -> Iterator[tuple[int, _Frame]]:
    """Yields the first byte of each frame, and the frame; see `seconds_of`."""
    place = _end_of_id3(content)
    searches = 0
    while place >= 0 and searches < _MOST_SEARCHES:
        frame = _frame_at(content, place, layer)
        if frame is not None and _is_followed(content, place + frame.length, layer):
            yield place, frame
            place += frame.length
        else:
            # The search for the next header: eleven bits of a frame's header are 1.
            place = content.find(b"\xff", place + 1)
            searches += 1


def _is_followed(content: mmap.mmap, place: int, layer: int) -> bool:
    """Returns whether a frame starts at a byte, or the file ends before it."""
    return place >= len(content) or _frame_at(content, place, layer) is not None


def _end_of_id3(content: mmap.mmap) -> int:
    """Returns the index behind an ID3 tag at the start; 0 if there is none."""
    header = content[:_ID3_BYTES]
    if header[:3] != b"ID3" or len(header) < _ID3_BYTES:
        return 0
    size = 0
    for digit in header[6:]:
        # Each byte has seven bits of the size.
        size = size * 128 + (digit & 127)
    return _ID3_BYTES + size


def _frame_at(content: mmap.mmap, place: int, layer: int) -> _Frame | None:
    """Returns the frame of a layer that starts at a byte; None if there is none."""
    header = content[place : place + _HEADER_BYTES]
    if len(header) < _HEADER_BYTES or header[0] != 255 or header[1] & 0b11100000 != 0b11100000:
        return None
    version = header[1] >> 3 & 0b11
    rate_number = header[2] >> 2 & 0b11
    # Layer III has the number 1, and layer I the number 3.
    has_layer = header[1] >> 1 & 0b11 == 4 - layer
    if version not in _RATE_DIVISORS or not has_layer or rate_number == 3:
        return None
    if version == _MPEG_1:
        rates = _RATES_OF_MPEG_1[layer]
        samples = _SAMPLES_OF_MPEG_1[layer]
    else:
        rates = _RATES_OF_MPEG_2[layer]
        samples = _SAMPLES_OF_MPEG_2[layer]
    kilobits = rates[header[2] >> 4]
    if kilobits == 0:
        return None
    sample_rate_hz = _SAMPLE_RATES_HZ[rate_number] // _RATE_DIVISORS[version]
    padding = header[2] >> 1 & 1
    slot = _SLOT_BYTES[layer]
    slots = samples // 8 // slot * kilobits * 1000 // sample_rate_hz + padding
    # The mode of two channels may change from frame to frame.
    is_mono = header[3] >> 6 == 0b11
    return _Frame(slots * slot, samples / sample_rate_hz, Format(sample_rate_hz, is_mono))
