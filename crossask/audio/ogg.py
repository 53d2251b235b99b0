"""Detects Ogg files whose end is missing, and those with several recordings one after the other.

Their header contains no length to compare with.
"""

import os
from typing import BinaryIO

# A page starts with these bytes, and consists of a header, the lengths of its segments, and those.
_PAGE = b"OggS"
_HEADER_BYTES = 27
_MOST_SEGMENTS = 255
_LARGEST_PAGE = _HEADER_BYTES + _MOST_SEGMENTS + _MOST_SEGMENTS * 255
# Places in the header of the version, which is 0, of the flags, of the number of samples up to the
# end of the page, which is -1 if no packet ends in it, and of the number of the stream.
_VERSION = 4
_FLAGS = 5
_SAMPLES = slice(6, 14)
_STREAM = slice(14, 18)
_SEGMENTS = 26
_IS_FIRST = 2
_IS_LAST = 4
# A file starts with the first page of each of its streams: one for the sound, few others.
_MOST_STREAMS = 100


def remark_of(path: str | os.PathLike[str]) -> str:
    """Returns the end of a sentence about an Ogg file whose end is missing; "" for other files.

    The last page of a whole file is marked as the last one of its stream.
    """
    with open(path, "rb") as file:
        if file.read(len(_PAGE)) != _PAGE:
            return ""
        page = _last_page(file)
    if _is_whole(page) and page[_FLAGS] & _IS_LAST:
        return ""
    return "ends without the last page of its Ogg stream: the rest is missing"


def is_chain(path: str | os.PathLike[str]) -> bool:
    """Returns whether an Ogg file ends with a stream that does not start with the file.

    So do recordings of radio on the internet, which have a stream for each title.
    """
    streams = []
    with open(path, "rb") as file:
        for _ in range(_MOST_STREAMS):
            page = file.read(_LARGEST_PAGE)
            if not page.startswith(_PAGE) or not _is_whole(page) or not page[_FLAGS] & _IS_FIRST:
                break
            streams.append(page[_STREAM])
            file.seek(_length(page) - len(page), os.SEEK_CUR)
        if not streams:
            return False
        last = _last_page(file)
    return _is_whole(last) and last[_STREAM] not in streams


def start_of_last_page(path: str | os.PathLike[str]) -> int:
    """Returns the number of samples before the last page of an Ogg file; 0 if it is not known.

    The last page usually has fewer samples than its packets, which shifts the samples to which
    libsndfile moves within it.
    """
    with open(path, "rb") as file:
        last = _last_page(file)
        if not _is_whole(last):
            return 0
        file.seek(0, os.SEEK_END)
        end = file.tell() - len(last)
        start = max(0, end - _LARGEST_PAGE)
        file.seek(start)
        before = file.read(end - start)
    place = len(before)
    while (place := before.rfind(_PAGE, 0, place)) >= 0:
        page = before[place:]
        if page[_VERSION : _VERSION + 1] == b"\0" and _is_whole(page):
            samples = int.from_bytes(page[_SAMPLES], "little", signed=True)
            return max(0, samples) if page[_STREAM] == last[_STREAM] else 0
    return 0


def _last_page(file: BinaryIO) -> bytes:
    """Returns what follows the start of a file's last page, with the page itself; b"" for none."""
    size = file.seek(0, os.SEEK_END)
    # What other programs append, such as tags, is short.
    file.seek(max(0, size - 2 * _LARGEST_PAGE))
    tail = file.read()
    start = len(tail)
    while (start := tail.rfind(_PAGE, 0, start)) >= 0:
        page = tail[start:]
        # The four letters may also be within the sound.
        is_page = len(page) <= _VERSION or page[_VERSION] == 0
        if is_page:
            return page
    return b""


def _is_whole(page: bytes) -> bool:
    """Returns whether bytes from the start of a page on contain all of it."""
    if len(page) < _HEADER_BYTES or len(page) < _HEADER_BYTES + page[_SEGMENTS]:
        return False
    return len(page) >= _length(page)


def _length(page: bytes) -> int:
    """Returns the length of a page, of which the header and the lengths are known."""
    segments = page[_SEGMENTS]
    lengths = page[_HEADER_BYTES : _HEADER_BYTES + segments]
    return _HEADER_BYTES + segments + sum(lengths)
