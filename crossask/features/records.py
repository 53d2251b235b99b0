"""The TFRecord files that store features: what a record contains, and the clips of each file.

A record is a serialised `tf.train.Example`. Arrays are stored as the bytes of little-endian float32
numbers, so that one cast reads them back.
"""

import contextlib
import functools
import math
import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from crossask import files
from crossask.errors import CrossaskError, first_line

T = TypeVar("T")
Value = np.ndarray | str | tuple[int, ...]

# 32 clips are 16 MB of log-mel; a worker's memory grows with this number.
CLIPS_PER_SHARD = 32


def shard_count(clips: Sequence) -> int:
    """Returns the number of shards that `clips` take."""
    return math.ceil(len(clips) / CLIPS_PER_SHARD)


def clips_of_shard(clips: Sequence[T], number: int) -> Sequence[T]:
    """Returns those of `clips`, in the order of the records, that shard `number` contains."""
    start = number * CLIPS_PER_SHARD
    return clips[start : start + CLIPS_PER_SHARD]


def shard_path(folder: Path, number: int) -> Path:
    """Returns the path of shard `number` in `folder`."""
    return folder / f"{number:05d}.tfrecord"


def encode(values: Mapping[str, Value]) -> bytes:
    """Returns one record, the same bytes for the same values."""
    features = {name: _feature(value) for name, value in values.items()}
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)


def encode_clip(clip_id: str, value: np.ndarray, features: str) -> bytes:
    """Returns the record of one clip's feature in a shard.

    Args:
      clip_id: Id of the clip.
      value: Its feature.
      features: Name of the folder, which depends on how the feature was computed. With it, a shard
        that was copied from another folder is recognised.
    """
    return encode({"clip": clip_id, "features": features, "shape": value.shape, "value": value})


def decode(
    record: tf.Tensor, shapes: Mapping[str, Sequence[int]], texts: Sequence[str] = ()
) -> dict[str, tf.Tensor]:
    """Returns arrays and texts of a record, in a graph.

    Args:
      record: Scalar string tensor, a record that `encode` returned.
      shapes: Name -> shape of each array to read, as a float32 tensor.
      texts: Names of the texts to read, as scalar string tensors.
    """
    features = {name: tf.io.FixedLenFeature([], tf.string) for name in (*shapes, *texts)}
    parsed = tf.io.parse_single_example(record, features)
    values = {name: parsed[name] for name in texts}
    for name, shape in shapes.items():
        values[name] = tf.reshape(tf.io.decode_raw(parsed[name], tf.float32), shape)
    return values


def write_shard(path: str | Path, records: Iterable[bytes]) -> None:
    """Writes records as one file, whole or not at all.

    Raises:
      CrossaskError: The file cannot be written.
    """
    with (
        write_errors_of(path),
        files.writing(path) as temporary,
        tf.io.TFRecordWriter(str(temporary)) as writer,
    ):
        for record in records:
            writer.write(record)


@contextlib.contextmanager
def write_errors_of(path: str | Path) -> Iterator[None]:
    """Raises CrossaskError if a shard, or a file beside it, cannot be written within the block."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise CrossaskError(
            f"{path} cannot be written ({first_line(error)}).",
            "Free some space and run the same command again: it goes on after the last finished "
            "file.",
        ) from error


def read_clips(paths: Sequence[str | Path]) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the id and the feature of every clip in some shards, in the order of the records."""
    names = [str(path) for path in paths]
    for record in tf.data.TFRecordDataset(names).as_numpy_iterator():
        parts = tf.train.Example.FromString(record).features.feature
        clip_id = parts["clip"].bytes_list.value[0].decode()
        shape = tuple(parts["shape"].int64_list.value)
        yield clip_id, np.frombuffer(parts["value"].bytes_list.value[0], "<f4").reshape(shape)


def first_shape(path: str | Path, features: str) -> tuple[int, ...] | None:
    """Returns the shape of the first feature in a shard.

    It is None if the record is damaged, or is not one of the folder `features`.
    """
    try:
        for record in tf.data.TFRecordDataset(str(path)).take(1).as_numpy_iterator():
            parts = tf.train.Example.FromString(record).features.feature
            if list(parts["features"].bytes_list.value) == [features.encode()]:
                return tuple(parts["shape"].int64_list.value)
    except (tf.errors.DataLossError, DecodeError):
        return None
    return None


def order_problem(
    path: Path, clip_ids: Sequence[str], features: str, shape: tuple[int, ...] | None
) -> str:
    """Returns what is wrong with the clips of a shard; "" if it contains these, in this order.

    Only the start of each record is read, with the id, the shape and the name of the folder.

    Args:
      path: The shard.
      clip_ids: The clips that it should contain.
      features: See `encode_clip`.
      shape: Shape of a clip's feature, from `first_shape`.
    """
    if shape is None:
        return "does not begin with a whole record of this folder"
    value_bytes = 4 * int(np.prod(shape))
    with open(path, "rb") as file:
        for clip_id in clip_ids:
            head = _head(clip_id, features, shape)
            # A record is its length (8 bytes), a checksum (4), the content and a checksum (4).
            start = file.read(12 + len(head))
            length = struct.pack("<Q", len(head) + value_bytes)
            if start[:8] != length or start[12:] != head:
                return f"does not contain clip {clip_id!r} at its place"
            file.seek(value_bytes + 4, os.SEEK_CUR)
        end = file.tell()
        size = os.fstat(file.fileno()).st_size
    if size != end:
        return f"has {size} bytes instead of {end}"
    return ""


def value_problem(path: Path, clip_ids: Sequence[str]) -> str:
    """Returns what is wrong with the values of a shard whose clips are right; "" if nothing is.

    The whole shard is read, with its checksums.
    """
    number = 0
    try:
        for clip_id, value in read_clips([path]):
            if not np.isfinite(value).all():
                return f"has values of clip {clip_id!r} that are not finite"
            number += 1
    except tf.errors.DataLossError:
        return f"has a corrupt record of clip {clip_ids[number]!r}"
    return ""


def _head(clip_id: str, features: str, shape: tuple[int, ...]) -> bytes:
    """Returns the bytes of a clip's record before its values."""
    encoded = clip_id.encode()
    before, after = _around_id(len(encoded), features, shape)
    return before + encoded + after


@functools.lru_cache
def _around_id(length: int, features: str, shape: tuple[int, ...]) -> tuple[bytes, bytes]:
    """Returns the bytes of a record before and after an id of `length` bytes, without the values.

    The values are the last bytes of a record, and no byte before the id is 0.
    """
    value = np.zeros(shape, np.float32)
    record = encode_clip("\0" * length, value, features)
    head = record[: len(record) - value.nbytes]
    start = head.index(b"\0" * length)
    return head[:start], head[start + length :]


def _feature(value: Value) -> tf.train.Feature:
    """Returns a text or an array as bytes, and a shape as integers."""
    if isinstance(value, str):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
    if isinstance(value, tuple):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=value))
    content = value.astype("<f4").tobytes()
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[content]))
