"""Features of a corpus, computed once and stored in TFRecord files.

Each kind of feature ("log_mel", "embedding", "patches") has a folder of its own, named by a hash of
everything that determines its bytes (keys.py), so that rows share what they have in common. Shard k
of every kind contains the same clips in the same order, which lets the input pipeline zip them. A
shard (shards.py) is moved into place when it is complete: a run that was killed writes the missing
shards and ends with the same bytes.
"""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from crossask import config, events, files, locks, precision
from crossask.config import Experiment
from crossask.datasets import Clip, Corpus, file_hashes, leaks
from crossask.errors import CrossaskError, DataError
from crossask.events.precomputed import Precomputed
from crossask.features import keys, records, samples, verification
from crossask.features.computation import Change, FrozenModel
from crossask.features.shards import Shard, ShardWriter

# Hashes of the recordings, beside the folders of the features.
HASHES_FILE = "recordings.json"
LOG = logging.getLogger("crossask")


@dataclasses.dataclass(frozen=True)
class FeatureCache:
    """The stored features of a corpus.

    Attributes:
      clip_ids: Ids of the clips in the order of the records.
      folders: Kind of feature -> folder of its shards.
      shapes: Kind of feature -> shape of one clip's feature.
      event_digest: Digest of the frozen event model that computed the embeddings; "" without one.
      replaced: What was wrong with files that `prepare_features` removed and computed again.
    """

    clip_ids: tuple[str, ...]
    folders: dict[str, Path]
    shapes: dict[str, tuple[int, ...]]
    event_digest: str = ""
    replaced: tuple[str, ...] = ()

    def shards(self, kind: str) -> list[str]:
        """Returns the paths of all shards of a kind of feature, in order."""
        count = records.shard_count(self.clip_ids)
        return [str(records.shard_path(self.folders[kind], number)) for number in range(count)]

    def hashes_of_samples(self, kind: str) -> dict[str, str]:
        """Returns the hash of each clip's samples by id; silence and older shards have none."""
        return samples.of_folder(self.folders[kind], records.shard_count(self.clip_ids))


def prepare_features(
    corpus: Corpus,
    experiment: Experiment,
    features_dir: str | Path,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
    elsewhere: Callable[[ShardWriter, list[Shard]], None] | None = None,
) -> FeatureCache:
    """Computes and writes the features that a row reads, as far as they are missing.

    Args:
      corpus: The clips; those of all folds are written.
      experiment: The row.
      features_dir: Folder in which each kind has its folder `<kind>-<hash>`.
      workers: Number of threads that compute shards (TensorFlow and libsndfile run in parallel).
      progress: Called with (clips done, clips in all); not called if all are done already.
      elsewhere: A function that writes shards on other machines, which share the folders. Shards
        that it did not write are computed here.

    Returns:
      The complete cache.

    Raises:
      DataError: Some sound files cannot be used, or changed in the meantime; all others are
        written, and the message lists these. Or two clips with the same samples have two scenes, or
        are on both sides of a fold.
      CrossaskError: A folder cannot be written.
    """
    _check_kinds(corpus, experiment)
    clips = in_order(corpus)
    read_recordings(corpus, Path(features_dir))
    clip_ids = tuple(clip.id for clip in clips)
    event_model = _frozen_event_model(corpus, experiment, clip_ids)
    # The digest is computed once, because it reads all weights.
    event_digest = keys.event_digest(experiment, event_model)
    folders = {}
    replaced: list[str] = []
    for kind in experiment.feature_kinds:
        key = keys.key_of(kind, corpus, experiment, event_digest)
        folder = Path(features_dir) / f"{kind}-{key}"
        keys.log_older_version(folder, kind, corpus, experiment, event_digest)
        replaced += _begin_folder(folder, clip_ids)
        _write_description(folder, kind, corpus, experiment)
        folders[kind] = folder
    write = ShardWriter(experiment, folders, corpus.ready_made, event_model)
    tally = _Tally(len(clips), progress)
    _write_missing(write, corpus, clips, tally, workers, elsewhere)
    log_changes(tally.padded, tally.cut, experiment)
    tally.raise_problems()
    shapes = {}
    for kind, folder in folders.items():
        shapes[kind] = records.first_shape(records.shard_path(folder, 0), folder.name)
    cache = FeatureCache(clip_ids, folders, shapes, event_digest, tuple(replaced))
    for kind in folders:
        leaks.check_samples(corpus, cache.hashes_of_samples(kind))
    return cache


def in_order(corpus: Corpus) -> list[Clip]:
    """Returns the clips in the order of the records.

    The order is that of a hash, so it mixes the scenes and does not depend on the metadata's order.
    """
    return sorted(corpus.clips, key=lambda clip: hashlib.sha256(clip.id.encode()).digest())


def log_changes(padded: int, cut: int, experiment: Experiment) -> None:
    """Logs how many clips were padded and cut to the row's length, if any were."""
    if padded or cut:
        seconds = experiment.features.clip_seconds
        LOG.info("%d clips were padded and %d cut to %g s.", padded, cut, seconds)


class _Tally:
    """Counts the clips that are done, for several threads."""

    def __init__(self, clips: int, progress: Callable[[int, int], None] | None):
        self.clips = clips
        self.progress = progress
        self.done = 0
        self.padded = 0
        self.cut = 0
        self.problems: list[str] = []
        self._lock = threading.Lock()

    def start(self, done: int) -> None:
        """Counts the clips that an earlier call finished, and shows them if some are missing."""
        self.done = done
        if self.progress is not None and done < self.clips:
            self.progress(done, self.clips)

    def count(self, change: Change, problem: str) -> None:
        """Counts one clip."""
        with self._lock:
            self.done += 1
            if change == "padded":
                self.padded += 1
            if change == "cut":
                self.cut += 1
            if problem:
                self.problems.append(problem)
            if self.progress is not None:
                self.progress(self.done, self.clips)

    def raise_problems(self) -> None:
        """Raises DataError if some clips cannot be used."""
        if self.problems:
            listed = " ".join(sorted(self.problems)[:10])
            raise DataError(
                f"{len(self.problems)} of {self.clips} files cannot be used: {listed}",
                "Repair or remove them and run again; finished features are kept.",
            )


def _frozen_event_model(
    corpus: Corpus, experiment: Experiment, clip_ids: Sequence[str]
) -> FrozenModel | None:
    """Returns the row's frozen event model; None if it has none or the corpus has embeddings.

    Raises:
      DataError: It is a file of embeddings that lacks a clip, or with equal embeddings for clips of
        two scenes or of both sides of a fold.
    """
    if corpus.ready_made:
        return None
    event_model = events.frozen(experiment)
    if isinstance(event_model, Precomputed):
        event_model.check(clip_ids)
        leaks.check_embeddings(corpus, {name: event_model.hash_of(name) for name in clip_ids})
    return event_model


def _begin_folder(folder: Path, clip_ids: Sequence[str]) -> list[str]:
    """Creates or cleans the folder of one kind of feature.

    A folder to which this process may not write is used if it is complete: others share theirs.

    Args:
      folder: The folder.
      clip_ids: Ids of the clips in the order of the records.

    Returns:
      What was wrong with files that were removed, and will be computed again.

    Raises:
      CrossaskError: It cannot be written, and is not complete.
    """
    if files.can_only_be_read(folder):
        problem = verification.first_problem(folder, clip_ids)
        if problem:
            raise CrossaskError(
                f"{folder} cannot be written, and {problem}.",
                "Give a --features_dir that you may write to, or ask its owner to complete it.",
            )
        return []
    files.check_room(folder, 0)
    files.remove_remains(folder)
    locks.remove_left_holder(folder)
    return verification.remove_incomplete(folder, clip_ids)


def _write_missing(
    write: ShardWriter,
    corpus: Corpus,
    clips: Sequence[Clip],
    tally: _Tally,
    workers: int,
    elsewhere: Callable[[ShardWriter, list[Shard]], None] | None,
) -> None:
    """Writes the shards that are missing; for the arguments see `prepare_features`."""
    with contextlib.ExitStack() as locked:
        if write.missing(clips):
            setting = write.experiment.event_model.precision
            slowness = precision.slowness("event_model.precision", setting)
            if slowness:
                LOG.warning("%s", slowness)
            # All commands lock folders in the same order. Otherwise, two commands could each wait
            # for a folder that the other one has locked.
            for folder in sorted(write.folders.values()):
                locked.enter_context(locks.of_folder(folder))
        # Another command may have written shards while this one waited for its locks.
        missing = write.missing(clips)
        if elsewhere is not None and missing:
            elsewhere(write, missing)
        _write_in_threads(write, write.missing(clips), tally, workers)
        _check_unchanged(corpus, write.folders, missing)


def _write_in_threads(
    write: ShardWriter, missing: list[Shard], tally: _Tally, workers: int
) -> None:
    """Writes the missing shards, `workers` at a time."""
    left = sum(len(shard.clips) for shard in missing)
    tally.start(tally.clips - left)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        try:
            for _ in pool.map(lambda shard: write(shard, tally.count), missing):
                pass
        except BaseException:
            # Without this, leaving the block would compute all waiting shards first.
            pool.shutdown(cancel_futures=True)
            raise


def read_recordings(corpus: Corpus, features_dir: Path) -> None:
    """Reads the recordings that are new or changed, and stores their hashes in `features_dir`."""
    if not files.can_only_be_read(features_dir):
        files.check_room(features_dir, 0)
        files.remove_remains(features_dir)
    paths = [clip.path for clip in corpus.clips]
    with file_hashes.kept_in(features_dir / HASHES_FILE, paths):
        # The first access reads the recordings; the corpus keeps the result.
        _ = corpus.contents


def _check_unchanged(corpus: Corpus, folders: dict[str, Path], written: Sequence[Shard]) -> None:
    """Removes shards of recordings that changed after their hash was computed.

    Raises:
      DataError: There are such recordings.
    """
    content_of = {}
    for shard in written:
        for clip in shard.clips:
            content_of[clip.path] = corpus.contents[clip.path]
    changed = sorted(file_hashes.changed(content_of))
    if not changed:
        return
    for shard in written:
        if any(clip.path in changed for clip in shard.clips):
            for kind in shard.kinds:
                files.remove(records.shard_path(folders[kind], shard.number))
    raise DataError(
        f"{changed[0]} changed while features were computed ({len(changed)} such files).",
        "Run the same command again when the recordings are complete.",
    )


def _check_kinds(corpus: Corpus, experiment: Experiment) -> None:
    """Raises DataError for a row that needs the sound of a corpus that has embeddings alone."""
    if corpus.ready_made and experiment.feature_kinds != ("embedding",):
        raise DataError(
            f"Row {experiment.name!r} reads {' and '.join(experiment.feature_kinds)}, but corpus "
            f"{corpus.name!r} contains embeddings alone.",
            "Use rows of the system VEM and the strategy feature_based.",
        )


def _write_description(folder: Path, kind: str, corpus: Corpus, experiment: Experiment) -> None:
    """Writes description.json, which describes the folder for people; no code reads it."""
    path = folder / "description.json"
    if path.is_file():
        return
    values = {
        "kind": kind,
        "corpus": corpus.name,
        "clips": len(corpus.clips),
        "corpus_fingerprint": corpus.fingerprint,
        "features": config.to_dict(experiment.features),
    }
    if kind != "log_mel":
        values["event_model"] = config.to_dict(experiment.event_model)
    files.write_json(path, values)
