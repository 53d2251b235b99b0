"""Detects FLAC files behind which another one begins, which libsndfile does not read."""

import mmap
import os
import re

_MARK = b"fLaC"
# A stream starts with its mark and the header of its first block, whose length is always the same;
# the first bit says whether it is the only block. Eight given bytes do not occur by chance.
_START = re.compile(_MARK + rb"[\x00\x80]\x00\x00\x22")


def remark_of(path: str | os.PathLike[str]) -> str:
    """Returns the end of a sentence about a FLAC file behind which another one begins; or "".

    The whole file is searched, which takes a tenth of the time that decoding takes.
    """
    with open(path, "rb") as file:
        if file.read(len(_MARK)) != _MARK:
            return ""
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            if _START.search(content, len(_MARK)) is None:
                return ""
    return "is followed by another FLAC file in the same file, which is not read"
