"""Detects Ogg files whose end is missing: their header contains no length to compare with."""

import os

# A page starts with these bytes, and consists of a header, the lengths of its segments, and those.
_PAGE = b"OggS"
_HEADER_BYTES = 27
_MOST_SEGMENTS = 255
_LARGEST_PAGE = _HEADER_BYTES + _MOST_SEGMENTS + _MOST_SEGMENTS * 255
# Places in the header of the version, which is 0, and of the flags; bit 4 is that of a last page.
_VERSION = 4
_FLAGS = 5
_SEGMENTS = 26
_IS_LAST = 4


def remark_of(path: str | os.PathLike[str]) -> str:
    """Returns the end of a sentence about an Ogg file whose end is missing; "" for other files.

    The last page of a whole file is marked as the last one of its stream.
    """
    with open(path, "rb") as file:
        if file.read(len(_PAGE)) != _PAGE:
            return ""
        size = file.seek(0, os.SEEK_END)
        # What other programs append, such as tags, is short.
        file.seek(max(0, size - 2 * _LARGEST_PAGE))
        tail = file.read()
    if _ends_with_last_page(tail):
        return ""
    return "ends without the last page of its Ogg stream: the rest is missing"


def _ends_with_last_page(tail: bytes) -> bool:
    """Returns whether the last page that starts in the tail of a file is whole and marked."""
    start = len(tail)
    while (start := tail.rfind(_PAGE, 0, start)) >= 0:
        page = tail[start:]
        # The four letters may also be within the sound.
        is_page = len(page) <= _VERSION or page[_VERSION] == 0
        if is_page:
            return _is_whole(page) and bool(page[_FLAGS] & _IS_LAST)
    return False


def _is_whole(page: bytes) -> bool:
    """Returns whether bytes from the start of a page on contain all of it."""
    if len(page) < _HEADER_BYTES:
        return False
    segments = page[_SEGMENTS]
    lengths = page[_HEADER_BYTES : _HEADER_BYTES + segments]
    return len(page) >= _HEADER_BYTES + segments + sum(lengths)
