"""Finds damaged files of features, and removes them or raises an error with their names."""

import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tensorflow as tf

from crossask import files
from crossask.errors import DataError
from crossask.features import records, samples

if TYPE_CHECKING:
    from crossask.features.cache import FeatureCache

LOG = logging.getLogger("crossask")
VERIFY = (
    "Run crossask-prepare --verify with the same --dataset, --data_dir and --experiment: it "
    "computes damaged features again. Then run this command again."
)
# Folders of embeddings for controls have the name of the clips' own and one of these
# (`controls._written`). Other folders, such as copies that somebody made, are left alone.
CONTROLS = ("other_clip-", "shuffled_in_time-", "swapped-", "true_events-")
# What TensorFlow raises in the middle of training if a shard is damaged, or has been removed.
DAMAGE_ERRORS = (
    tf.errors.DataLossError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
)


def remove_incomplete(folder: Path, clip_ids: Sequence[str]) -> list[str]:
    """Removes shards that lack clips, contain others, or were copied from another folder.

    Only the starts of the records are read, so that this can be done whenever features are used.

    Args:
      folder: Folder of the shards.
      clip_ids: The clips of all shards in the order of the records.

    Returns:
      What was wrong with each of them.
    """
    return _remove(_problems(folder, clip_ids, reads_values=False))


def first_problem(folder: Path, clip_ids: Sequence[str]) -> str:
    """Returns the first file that is missing or damaged, and what is wrong with it; "" if none is.

    Arguments as in `remove_incomplete`; only the starts of the records are read, too.
    """
    for path in _missing(folder, clip_ids):
        return f"{path} is missing"
    for path, problem in _problems(folder, clip_ids, reads_values=False):
        return f"{path} {problem}"
    return ""


def remove_damaged(cache: "FeatureCache") -> list[str]:
    """Reads all features of a cache, and removes the files that are damaged.

    Returns:
      What was wrong with each of them.
    """
    return _remove(_problems_of_cache(cache))


def _remove(problems: Iterable[tuple[Path, str]]) -> list[str]:
    """Removes damaged files, and returns what was wrong with each of them."""
    found = []
    for path, problem in problems:
        LOG.warning("%s %s. It is computed again.", path, problem)
        files.remove(path)
        found.append(f"{path} {problem}")
    return found


@contextlib.contextmanager
def damage_named(cache: "FeatureCache", fix: str = VERIFY) -> Iterator[None]:
    """Raises an error with file and clip if the block reads a damaged file of features.

    Args:
      cache: The features.
      fix: What to do about a damaged file.

    Raises:
      DataError: A file of the cache is damaged.
    """
    try:
        yield
    except DAMAGE_ERRORS as error:
        first = next(_problems_of_cache(cache), None)
        if first is None:
            # The error has another cause than the files of features.
            raise
        path, problem = first
        raise DataError(f"{path} {problem}.", fix) from error


def _problems_of_cache(cache: "FeatureCache") -> Iterator[tuple[Path, str]]:
    """Yields the damaged and the missing files of a cache, and what is wrong with them."""
    for folder in cache.folders.values():
        for path in _missing(folder, cache.clip_ids):
            yield path, "is missing"
        yield from _problems(folder, cache.clip_ids, reads_values=True)
        # Embeddings for controls lie beside the clips' own.
        for other in sorted(folder.parent.glob(f"{folder.name}-*")):
            if not other.name.removeprefix(f"{folder.name}-").startswith(CONTROLS):
                continue
            yield from _problems(other, cache.clip_ids, reads_values=True)


def _missing(folder: Path, clip_ids: Sequence[str]) -> Iterator[Path]:
    """Yields the shards of a folder that are missing."""
    for number in range(records.shard_count(clip_ids)):
        path = records.shard_path(folder, number)
        if not path.exists():
            yield path


def _problems(
    folder: Path, clip_ids: Sequence[str], reads_values: bool
) -> Iterator[tuple[Path, str]]:
    """Yields the damaged files of a folder, and what is wrong with them."""
    shape = None
    for number in range(records.shard_count(clip_ids)):
        path = records.shard_path(folder, number)
        if not path.exists():
            continue
        if path.is_dir():
            raise DataError(
                f"{path} is a folder, but should be a file of features.",
                "Remove it, and run the same command again.",
            )
        # A file without permission to read is not damaged: this raises PermissionError.
        open(path, "rb").close()
        of_shard = records.clips_of_shard(clip_ids, number)
        if shape is None:
            shape = records.first_shape(path, folder.name)
        problem = records.order_problem(path, of_shard, folder.name, shape)
        if not problem:
            problem = samples.problem_of(folder, number, of_shard)
        if not problem and reads_values:
            problem = records.value_problem(path, of_shard)
        if problem:
            yield path, problem
