"""WAV files with more sound than their header states: after a crash, or of more than 4 GiB."""

import os
import struct
from typing import BinaryIO

# Bytes before the first chunk: "RIFF", the size of the file, "WAVE".
_RIFF_BYTES = 12
_CHUNK = struct.Struct("<4sI")
# Names of the two kinds of files, and their type.
_FILES = (b"RIFF", b"RF64")
_WAVE = b"WAVE"
# Largest size that fits into a chunk's header.
_LARGEST = 0xFFFFFFFF
# What other programs append behind the chunks: ID3 and APE tags.
TAGS = (b"ID3", b"TAG", b"APETAGEX")
# Chunks that programs write behind the samples. Four bytes of sound are one of these names by a
# chance below one in a hundred million. They may have a wrong size, or be cut off.
KNOWN_CHUNKS = (
    b"LIST",
    b"id3 ",
    b"bext",
    b"iXML",
    b"cue ",
    b"smpl",
    b"inst",
    b"plst",
    b"cart",
    b"axml",
    b"_PMX",
    b"afsp",
    b"acid",
    b"DISP",
    b"PEAK",
    b"JUNK",
    b"junk",
    b"PAD ",
    b"FLLR",
)
# A file has a handful of chunks; the search ends after this many.
_MOST_CHUNKS = 1000


class RepairedFile:
    """A WAV file with another header, as a file object that soundfile reads.

    Attributes:
      written_bytes: Size of the samples according to the header in the file.
      error: Error of the disk in one of the reads, which libsndfile takes for the end of the file.
    """

    def __init__(self, path: str | os.PathLike[str], header: bytes, start: int, written_bytes: int):
        """Opens a file.

        Args:
          path: Path of the file.
          header: Header with the true sizes, up to the first sample.
          start: Index of the byte of the first sample in the file.
          written_bytes: See the class.
        """
        self.written_bytes = written_bytes
        self.error: OSError | None = None
        self._file = open(path, "rb")  # noqa: SIM115, closed when the reader is garbage
        self._header = header
        self._start = start
        self._place = 0
        self._end = len(header) + os.fstat(self._file.fileno()).st_size - start

    def read(self, count: int) -> bytes:
        """Returns the next bytes; fewer at the end, and none after an error."""
        try:
            return self._read(count)
        except OSError as error:
            # libsndfile calls this function, so that an error would not reach its caller.
            self.error = error
            return b""

    def _read(self, count: int) -> bytes:
        content = b""
        if self._place < len(self._header):
            content = self._header[self._place : self._place + count]
        behind = self._place + len(content) - len(self._header)
        if len(content) < count:
            self._file.seek(self._start + behind)
            content += self._file.read(count - len(content))
        self._place += len(content)
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves to a byte, and returns its index."""
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._end}
        self._place = max(0, bases[whence] + offset)
        return self._place

    def tell(self) -> int:
        """Returns the index of the next byte."""
        return self._place

    def write(self, _content: bytes) -> int:
        """Fails; soundfile requires the method."""
        raise OSError("The file is only read.")


def remark_of(path: str | os.PathLike[str]) -> str:
    """Returns the end of a sentence about a WAV file behind which another one begins; or ""."""
    with open(path, "rb") as file:
        riff = file.read(_RIFF_BYTES)
        if riff[:4] not in _FILES or riff[8:] != _WAVE:
            return ""
        samples = _find_samples(file)
        if samples is None:
            return ""
        place = sum(samples)
        for _ in range(_MOST_CHUNKS):
            file.seek(place + place % 2)
            chunk = file.read(_RIFF_BYTES)
            if len(chunk) < _RIFF_BYTES:
                return ""
            if chunk[:4] in _FILES and chunk[8:] == _WAVE:
                return "is followed by another WAV file in the same file, which is not read"
            _, size = _CHUNK.unpack_from(chunk)
            place += place % 2 + _CHUNK.size + size
    return ""


def repaired(path: str | os.PathLike[str]) -> RepairedFile | None:
    """Returns a WAV file with a header that covers all of its samples; None if its own one does.

    A size of the samples is wrong if it ends where no chunk and no tag begins. It is 0 if a
    recorder stopped before it wrote the size, and the rest of a division by 4 GiB if the file is
    larger than that.
    """
    with open(path, "rb") as file:
        total = os.fstat(file.fileno()).st_size
        riff = file.read(_RIFF_BYTES)
        if riff[:4] != b"RIFF" or riff[8:] != b"WAVE":
            return None
        samples = _find_samples(file)
        if samples is None:
            return None
        start, size = samples
        if start + size >= total or _is_end(file, start + size, total):
            return None
        file.seek(_RIFF_BYTES)
        # The chunks before the samples, without the size of the samples.
        chunks = file.read(start - _RIFF_BYTES - 4)
    return RepairedFile(path, _header(chunks, total - start), start, size)


def _find_samples(file: BinaryIO) -> tuple[int, int] | None:
    """Returns the start and the written size of the samples in bytes; None if there are none.

    Args:
      file: A WAV file, whose first chunk is read next.
    """
    for _ in range(_MOST_CHUNKS):
        chunk = file.read(_CHUNK.size)
        if len(chunk) < _CHUNK.size:
            return None
        name, size = _CHUNK.unpack(chunk)
        start = file.tell()
        if name == b"data":
            return start, size
        file.seek(start + size + size % 2)
    return None


def _is_end(file: BinaryIO, end: int, total: int) -> bool:
    """Returns whether only chunks or tags follow the samples, up to the end of the file."""
    # Chunks start at even places, but not all programs obey that.
    return _are_chunks(file, end + end % 2, total) or _are_chunks(file, end, total)


def _are_chunks(file: BinaryIO, place: int, total: int) -> bool:
    """Returns whether chunks are from a place on up to the end of the file, or up to a known one.

    Behind a tag, or a known chunk, there is no sound.
    """
    for _ in range(_MOST_CHUNKS):
        if total - place < _CHUNK.size:
            return True
        file.seek(place)
        chunk = file.read(_CHUNK.size)
        if chunk.startswith((*TAGS, *KNOWN_CHUNKS)):
            return True
        name, size = _CHUNK.unpack(chunk)
        if not (name.isascii() and name.decode("ascii").isprintable()):
            return False
        place += _CHUNK.size + size + size % 2
        if place > total + 1:
            return False
    return True


def _header(chunks: bytes, data_bytes: int) -> bytes:
    """Returns the header of a WAV file, or of an RF64 file if the samples are too many for it.

    Args:
      chunks: All chunks before the samples, and the name of the chunk with the samples.
      data_bytes: Size of the samples.
    """
    size = 4 + len(chunks) + 4 + data_bytes
    if size <= _LARGEST:
        return (
            struct.pack("<4sI4s", b"RIFF", size, b"WAVE") + chunks + struct.pack("<I", data_bytes)
        )
    # RF64 has 64-bit sizes in a chunk of its own: of the file, of the samples, their number, and
    # the number of further sizes.
    sizes = struct.pack("<QQQI", size + 36, data_bytes, 0, 0)
    start = struct.pack("<4sI4s4sI", b"RF64", _LARGEST, b"WAVE", b"ds64", len(sizes))
    return start + sizes + chunks + struct.pack("<I", _LARGEST)
