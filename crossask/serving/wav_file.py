"""Reads WAV files in the graph, from their bytes.

`tf.audio.decode_wav` reads 16-bit PCM only, and decodes the whole file at once. `content_of` writes
a file outside the graph, for requests to an exported model.
"""

import dataclasses
import functools
import io
import wave
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from crossask.audio import resampling, wav_header

# Numbers of encodings. For EXTENSIBLE, the encoding is in a later field.
PCM = 1
IEEE_FLOAT = 3
EXTENSIBLE = 0xFFFE
RIFF_HEADER_BYTES = 12
CHUNK_HEADER_BYTES = 8
# A file has a handful of chunks; the search for the samples ends after this many.
MOST_CHUNKS = 1000
# Pattern of the names of chunks.
CHUNK_NAME = "[ -~]{4}"
# The first three bytes of the tags that other programs append.
STARTS_OF_TAGS = tuple(tag[:3] for tag in wav_header.TAGS)
# What messages say before the number of a file or a waveform.
ENTRY = "Entry of the batch, counted from 0:"


@dataclasses.dataclass(frozen=True)
class WavFile:
    """One WAV file of a batch; its samples are decoded where they are needed.

    Attributes:
      files: The bytes of all files of the batch [batch].
      entry: Number of this file in the batch, scalar.
      encoding: Index in ENCODINGS.
      channels: Number of channels.
      sample_rate_hz: Sample rate.
      data_start: Index of the byte at which the samples start.
      frame_bytes: Bytes of one sample of all channels.
      samples: Number of samples of each channel.
    """

    files: tf.Tensor
    entry: tf.Tensor
    encoding: tf.Tensor
    channels: tf.Tensor
    sample_rate_hz: tf.Tensor
    data_start: tf.Tensor
    frame_bytes: tf.Tensor
    samples: tf.Tensor

    def read(self, start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
        """Returns the samples from `start` to `end`, amplitudes [samples, channels]."""
        first_byte = self.data_start + start * self.frame_bytes
        length = (end - start) * self.frame_bytes
        raw = _bytes_of(self.files, self.entry, first_byte, length)
        decoders = [functools.partial(encoding.decode, raw) for encoding in ENCODINGS]
        return tf.reshape(tf.switch_case(self.encoding, decoders), [-1, self.channels])


@dataclasses.dataclass(frozen=True)
class Encoding:
    """How a WAV file stores a sample.

    Attributes:
      tag: The format's number in the file.
      bits: Bits of a sample.
      decode: Bytes of samples, a string -> amplitudes [samples].
    """

    tag: int
    bits: int
    decode: Callable[[tf.Tensor], tf.Tensor]


def open_wav(files: tf.Tensor, entry: tf.Tensor) -> WavFile:
    """Reads the header of one file of a batch.

    Args:
      files: The bytes of the files [batch].
      entry: Number of the file, from 0.

    Returns:
      The file. The graph fails, with a message and the entry, if it is no WAV file, has another
      encoding than those of ENCODINGS, more than two channels, or a sample rate that is none of
      `resampling.SAMPLE_RATES_HZ`.
    """
    mark = _bytes_of(files, entry, 0, 4)
    kind = _bytes_of(files, entry, 8, 4)
    is_wav = tf.logical_and(tf.equal(mark, b"RIFF"), tf.equal(kind, b"WAVE"))
    wav_check = check_entry(entry, is_wav, "This is not a WAV file: it does not start as one.")
    with tf.control_dependencies([wav_check]):
        chunks = _find_chunks(files, entry)
    is_complete = tf.logical_and(chunks.format_start >= 0, chunks.data_start >= 0)
    complete_check = check_entry(entry, is_complete, "This WAV file has no format or no samples.")
    with tf.control_dependencies([complete_check]):
        header = _read_format(files, entry, chunks.format_start)

    matches = tf.logical_and(
        tf.equal([encoding.tag for encoding in ENCODINGS], header.tag),
        tf.equal([encoding.bits for encoding in ENCODINGS], header.bits),
    )
    encoding_check = check_entry(
        entry,
        tf.reduce_any(matches),
        "This WAV file is neither PCM of 8, 16, 24 or 32 bits nor float of 32 or 64 bits; "
        "convert it to one of them. Number of its format, and bits:",
        header.tag,
        header.bits,
    )
    # libsndfile takes such a file for floats of an old program; the samples of others are integers.
    has_gaps = tf.logical_and(
        tf.equal(header.bits, 24), tf.equal(header.block_bytes, 4 * header.channels)
    )
    gap_check = check_entry(
        entry,
        tf.logical_not(has_gaps),
        "This WAV file has samples of 24 bits in 4 bytes each; convert it to 24 or 32 bits.",
    )
    channel_check = check_entry(
        entry,
        tf.logical_and(header.channels >= 1, header.channels <= 2),
        "The WAV file must have 1 or 2 channels. It has:",
        header.channels,
    )
    rate_check = resampling.rate_check(header.sample_rate_hz, ENTRY, entry)
    with tf.control_dependencies([encoding_check, gap_check, channel_check, rate_check]):
        frame_bytes = header.channels * header.bits // 8
    return WavFile(
        files=files,
        entry=entry,
        encoding=tf.argmax(matches, output_type=tf.int32),
        channels=header.channels,
        sample_rate_hz=header.sample_rate_hz,
        data_start=chunks.data_start,
        frame_bytes=frame_bytes,
        samples=chunks.data_bytes // frame_bytes,
    )


def check_entry(
    entry: tf.Tensor, condition: tf.Tensor, message: str, *values: tf.Tensor
) -> tf.Operation | None:
    """Returns an operation that fails with a message and the entry unless a condition is true."""
    return tf.debugging.Assert(condition, [message, *values, ENTRY, entry])


def content_of(samples: np.ndarray, sample_rate_hz: int) -> bytes:
    """Returns the content of a WAV file with int16 samples [samples, channels]."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(samples.shape[1])
        writer.setsampwidth(samples.itemsize)
        writer.setframerate(sample_rate_hz)
        writer.writeframes(samples.tobytes())
    return file.getvalue()


class _Chunks(NamedTuple):
    """Where the parts of a WAV file are; -1 if they were not found.

    It is a NamedTuple because a loop in a graph cannot have a dataclass.

    Attributes:
      format_start: Index of the first byte of the format.
      data_start: Index of the first byte of the samples.
      data_bytes: Number of bytes of the samples.
      is_over: Whether no chunks follow.
    """

    format_start: tf.Tensor
    data_start: tf.Tensor
    data_bytes: tf.Tensor
    is_over: tf.Tensor


@dataclasses.dataclass(frozen=True)
class _Format:
    """The format chunk of a WAV file.

    Attributes:
      tag: Number of the encoding.
      channels: Number of channels.
      sample_rate_hz: Sample rate.
      block_bytes: Bytes of one sample of all channels, according to the file.
      bits: Bits of a sample.
    """

    tag: tf.Tensor
    channels: tf.Tensor
    sample_rate_hz: tf.Tensor
    block_bytes: tf.Tensor
    bits: tf.Tensor


def _find_chunks(files: tf.Tensor, entry: tf.Tensor) -> _Chunks:
    """Finds the format and the samples of a WAV file, which is a list of chunks.

    Where neither chunks nor tags follow the samples, their size was not written, for example
    because the recorder stopped, and all of the file are samples; see `audio.wav_header`.
    """
    file_bytes = tf.strings.length(files)[entry]

    def is_searching(start: tf.Tensor, chunks: _Chunks) -> tf.Tensor:
        is_left = start + CHUNK_HEADER_BYTES <= file_bytes
        return tf.logical_and(is_left, tf.logical_not(chunks.is_over))

    def read_chunk(start: tf.Tensor, chunks: _Chunks) -> tuple[tf.Tensor, _Chunks]:
        """Returns the start of the next chunk, and what is known after the chunk at `start`."""
        name = _bytes_of(files, entry, start, 4)
        size = _number(files, entry, start + 4, 4)
        content = start + CHUNK_HEADER_BYTES
        # A file that was cut off, or was written to a pipe, has fewer bytes than its header says.
        present = tf.cast(file_bytes - content, tf.int64)
        length = tf.cast(tf.minimum(size, present), tf.int32)
        # This chunk contains the samples.
        if_samples = _Chunks(
            format_start=chunks.format_start,
            data_start=content,
            data_bytes=length,
            # Not all programs let the next chunk start at an even place.
            is_over=tf.equal(length % 2, 1),
        )
        # The samples have not been found yet.
        if_before = chunks._replace(
            format_start=tf.where(tf.equal(name, b"fmt "), content, chunks.format_start)
        )
        # The samples were found before. If neither a tag nor a chunk follows them, the rest of the
        # file are samples, too. A known chunk may have a wrong size, or be cut off.
        is_tag = tf.reduce_any(tf.equal(tf.strings.substr(name, 0, 3), STARTS_OF_TAGS))
        is_known = tf.reduce_any(tf.equal(name, wav_header.KNOWN_CHUNKS))
        is_over = tf.logical_or(is_tag, is_known)
        is_chunk = tf.logical_and(
            tf.strings.regex_full_match(name, CHUNK_NAME), size + size % 2 <= present + 1
        )
        is_sound = tf.logical_not(tf.logical_or(is_over, is_chunk))
        if_behind = chunks._replace(
            data_bytes=tf.where(is_sound, file_bytes - chunks.data_start, chunks.data_bytes),
            is_over=tf.logical_or(is_over, is_sound),
        )
        is_behind = chunks.data_start >= 0
        is_samples = tf.equal(name, b"data")
        found = _either(is_behind, if_behind, _either(is_samples, if_samples, if_before))
        # A chunk of an odd length is followed by one more byte.
        return content + length + length % 2, found

    minus_one = tf.constant(-1)
    not_found = _Chunks(minus_one, minus_one, minus_one, tf.constant(False))
    _, chunks = tf.while_loop(
        is_searching,
        read_chunk,
        (tf.constant(RIFF_HEADER_BYTES), not_found),
        maximum_iterations=MOST_CHUNKS,
    )
    return chunks


def _either(condition: tf.Tensor, if_true: _Chunks, if_false: _Chunks) -> _Chunks:
    """Returns one of two values by a condition that is known when the graph runs."""
    pairs = zip(if_true, if_false, strict=True)
    return _Chunks(*[tf.where(condition, first, second) for first, second in pairs])


def _read_format(files: tf.Tensor, entry: tf.Tensor, start: tf.Tensor) -> _Format:
    """Reads the format chunk whose content starts at a byte."""

    def field(offset: int, length: int) -> tf.Tensor:
        return tf.cast(_number(files, entry, start + offset, length), tf.int32)

    tag = field(0, 2)
    return _Format(
        tag=tf.where(tf.equal(tag, EXTENSIBLE), field(24, 2), tag),
        channels=field(2, 2),
        sample_rate_hz=field(4, 4),
        block_bytes=field(12, 2),
        bits=field(14, 2),
    )


def _number(files: tf.Tensor, entry: tf.Tensor, start: tf.Tensor, length: int) -> tf.Tensor:
    """Returns the number without sign, int64, that is written in `length` bytes."""
    digits = tf.io.decode_raw(_bytes_of(files, entry, start, length), tf.uint8)
    places = 256 ** tf.range(tf.size(digits, tf.int64), dtype=tf.int64)
    return tf.reduce_sum(tf.cast(digits, tf.int64) * places)


def _bytes_of(
    files: tf.Tensor, entry: tf.Tensor, start: tf.Tensor | int, length: tf.Tensor | int
) -> tf.Tensor:
    """Returns `length` bytes of one file, a string; there are fewer at the end of the file."""
    # files[entry] would copy the whole file. Nothing is read of the other files.
    is_entry = tf.equal(tf.range(tf.size(files)), entry)
    starts = tf.minimum(tf.where(is_entry, start, 0), tf.strings.length(files))
    lengths = tf.where(is_entry, length, 0)
    return tf.strings.substr(files, starts, lengths)[entry]


def _integers(dtype: tf.DType, raw: tf.Tensor) -> tf.Tensor:
    """Decodes signed integers."""
    return tf.cast(tf.io.decode_raw(raw, dtype), tf.float32) / -float(dtype.min)


def _bytes_without_sign(raw: tf.Tensor) -> tf.Tensor:
    """Decodes samples of 8 bits, whose zero is 128."""
    return (tf.cast(tf.io.decode_raw(raw, tf.uint8), tf.float32) - 128) / 128


def _integers_of_3_bytes(raw: tf.Tensor) -> tf.Tensor:
    """Decodes samples of 24 bits, as the upper bytes of 32-bit integers."""
    digits = tf.reshape(tf.io.decode_raw(raw, tf.uint8), [-1, 3])
    integers = tf.bitcast(tf.pad(digits, [[0, 0], [1, 0]]), tf.int32)
    return tf.cast(integers, tf.float32) / -float(tf.int32.min)


def _floats(dtype: tf.DType, raw: tf.Tensor) -> tf.Tensor:
    """Decodes floating-point numbers."""
    return tf.cast(tf.io.decode_raw(raw, dtype), tf.float32)


ENCODINGS = (
    Encoding(PCM, 8, _bytes_without_sign),
    Encoding(PCM, 16, functools.partial(_integers, tf.int16)),
    Encoding(PCM, 24, _integers_of_3_bytes),
    Encoding(PCM, 32, functools.partial(_integers, tf.int32)),
    Encoding(IEEE_FLOAT, 32, functools.partial(_floats, tf.float32)),
    Encoding(IEEE_FLOAT, 64, functools.partial(_floats, tf.float64)),
)
