"""Features of a corpus, computed once and stored in TFRecord files.

Each kind of feature ("log_mel", "embedding", "patches") has a folder of its own, named by a hash of
everything that determines its bytes, so that rows share what they have in common. Shard k of every
kind contains the same clips in the same order, which lets the input pipeline zip them. A shard is
moved into place when it is complete: a run that was killed writes the missing shards and ends with
the same bytes.
"""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import tensorflow as tf

from crossask import config, events, files, locks, precision
from crossask.audio import clip_features, fill_window, rates, reading, resampling
from crossask.config import Experiment, catalogue
from crossask.datasets import Clip, Corpus, embeddings, file_hashes, leaks
from crossask.errors import AudioError, DataError
from crossask.events.layer import EventModel
from crossask.events.precomputed import Precomputed
from crossask.events.waveform_model import WaveformModel
from crossask.features import records, samples, verification
from crossask.tracing import as_written

# Version of the features, in their keys:
# 1: recordings were recognised by their size, start and end.
# 2: recordings were recognised by all their bytes.
# 3: the front-end is compiled, and several clips are embedded together, which changes the last bits
#    of features.
FORMAT_VERSION = 3
# Clips whose patches the event model reads in one call. Its weights are read from memory once a
# call, so VGGish takes a quarter less time for each of 8 clips than for a single one.
CLIPS_PER_CALL = 8
# Hashes of the recordings, beside the folders of the features.
HASHES_FILE = "recordings.json"
LOG = logging.getLogger("crossask")

# What was done to a clip to bring it to the row's length.
Change = Literal["", "padded", "cut"]
# Called for each clip of a shard with its change and, if it cannot be used, the problem.
Count = Callable[[Change, str], None]
Features = dict[str, np.ndarray]


class Computed(NamedTuple):
    """What is computed from one clip.

    Attributes:
      values: Its features by kind.
      change: What was done to bring it to the row's length.
      samples: Hash of its samples; "" if no sound file was read, or it is silent.
    """

    values: Features
    change: Change = ""
    samples: str = ""


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


@dataclasses.dataclass(frozen=True)
class Shard:
    """Files to write: shard `number` of each of `kinds`, with the features of `clips`."""

    number: int
    kinds: tuple[str, ...]
    clips: tuple[Clip, ...]


def prepare_features(
    corpus: Corpus,
    experiment: Experiment,
    features_dir: str | Path,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
    elsewhere: Callable[["ShardWriter", list[Shard]], None] | None = None,
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
    event_model = None if corpus.ready_made else events.frozen(experiment)
    if isinstance(event_model, Precomputed):
        event_model.check(clip.id for clip in clips)
        leaks.check_embeddings(corpus, {clip.id: event_model.hash_of(clip.id) for clip in clips})
    # The digest is computed once, because it reads all weights.
    event_digest = _event_digest(experiment, event_model)
    folders = {}
    for kind in experiment.feature_kinds:
        key = _key(kind, corpus, experiment, event_digest)
        folders[kind] = Path(features_dir) / f"{kind}-{key}"
    replaced: list[str] = []
    for kind, folder in folders.items():
        _log_older_version(folder, kind, corpus, experiment, event_digest)
        files.check_room(folder, 0)
        files.remove_remains(folder)
        locks.remove_left_holder(folder)
        replaced += verification.remove_incomplete(folder, [clip.id for clip in clips])
        _write_description(folder, kind, corpus, experiment)

    write = ShardWriter(experiment, folders, corpus.ready_made, event_model)
    tally = _Tally(len(clips), progress)
    with contextlib.ExitStack() as locked:
        if write.missing(clips):
            slowness = precision.slowness("event_model.precision", experiment.event_model.precision)
            if slowness:
                LOG.warning("%s", slowness)
            # All commands lock folders in the same order. Otherwise, two commands could each wait
            # for a folder that the other one has locked.
            for folder in sorted(folders.values()):
                locked.enter_context(locks.of_folder(folder))
        # Another command may have written shards while this one waited for its locks.
        missing = write.missing(clips)
        if elsewhere is not None and missing:
            elsewhere(write, missing)
        _write_in_threads(write, write.missing(clips), tally, workers)
        _check_unchanged(corpus, folders, missing)

    log_changes(tally.padded, tally.cut, experiment)
    tally.raise_problems()
    cache = FeatureCache(
        clip_ids=tuple(clip.id for clip in clips),
        folders=folders,
        shapes={
            kind: records.first_shape(records.shard_path(folder, 0), folder.name)
            for kind, folder in folders.items()
        },
        event_digest=event_digest,
        replaced=tuple(replaced),
    )
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


class ShardWriter:
    """Computes and writes shards. It can be pickled; the copy loads its own event model.

    Args:
      experiment: The row whose features are computed.
      folders: Kind of feature -> folder of its shards.
      ready_made: Whether the corpus contains embeddings instead of sound files.
      event_model: The frozen event model of the row, or None to load it when it is needed.
    """

    def __init__(
        self,
        experiment: Experiment,
        folders: dict[str, Path],
        ready_made: bool,
        event_model: EventModel | WaveformModel | Precomputed | None = None,
    ):
        self.experiment = experiment
        self.folders = folders
        self.ready_made = ready_made
        self.event_model = event_model
        self._features: ClipFeatures | StoredEmbeddings | None = None
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._lock = threading.Lock()

    def __getstate__(self) -> dict:
        return {
            "experiment": self.experiment,
            "folders": self.folders,
            "ready_made": self.ready_made,
        }

    def __setstate__(self, state: dict) -> None:
        self.__init__(**state)

    def missing(self, clips: Sequence[Clip]) -> list[Shard]:
        """Returns the shards that are not written yet.

        Args:
          clips: All clips of the corpus in the order of the records.
        """
        shards = []
        for number in range(records.shard_count(clips)):
            kinds = []
            for kind, folder in self.folders.items():
                if not records.shard_path(folder, number).is_file():
                    kinds.append(kind)
            if kinds:
                of_shard = tuple(records.clips_of_shard(clips, number))
                shards.append(Shard(number, tuple(kinds), of_shard))
        return shards

    def __call__(self, shard: Shard, count: Count | None = None) -> None:
        """Computes and writes one shard; writes nothing if one of its sound files is unusable."""
        with self._lock:
            if self._features is None:
                self._features = self._features_of(shard.clips)
        encoded = {kind: [] for kind in shard.kinds}
        hash_of_clip = {}
        is_complete = True
        for start in range(0, len(shard.clips), CLIPS_PER_CALL):
            for outcome in self._outcomes(shard.clips[start : start + CLIPS_PER_CALL], shard.kinds):
                if outcome.problem:
                    is_complete = False
                else:
                    hash_of_clip[outcome.clip.id] = outcome.computed.samples
                    for kind, value in outcome.computed.values.items():
                        encoded[kind].append(self._encoded(outcome.clip, kind, value))
                if count is not None:
                    count(outcome.computed.change, outcome.problem)
        if not is_complete:
            return
        for kind, lines in encoded.items():
            path = records.shard_path(self.folders[kind], shard.number)
            if any(hash_of_clip.values()):
                # The hashes are written first, so that every shard has them after a kill.
                with records.write_errors_of(path):
                    samples.write(self.folders[kind], shard.number, hash_of_clip)
            records.write_shard(path, lines)

    def _outcomes(self, clips: Sequence[Clip], kinds: Sequence[str]) -> list["_Outcome"]:
        """Computes the features of some clips, which the event model reads together."""
        outcomes = []
        usable = []
        for clip in clips:
            outcome = _Outcome(clip)
            outcomes.append(outcome)
            try:
                outcome.computed = self._features.of_sound(clip, kinds)
                usable.append(outcome)
            except AudioError as error:
                outcome.problem = error.problem
        if usable:
            self._features.embed([outcome.computed for outcome in usable], kinds)
        for outcome in usable:
            try:
                self._check_values(outcome.clip, outcome.computed.values)
            except AudioError as error:
                outcome.problem = error.problem
        return outcomes

    def _encoded(self, clip: Clip, kind: str, value: np.ndarray) -> bytes:
        return records.encode_clip(clip.id, value, self.folders[kind].name)

    def _check_values(self, clip: Clip, values: Features) -> None:
        """Raises AudioError for features that are not finite, or of another shape than others."""
        for kind, value in values.items():
            shape = self._shapes.setdefault(kind, value.shape)
            problem = ""
            if value.shape != shape:
                problem = f"is {list(value.shape)}, but that of other clips {list(shape)}"
            elif not np.isfinite(value).all():
                problem = "contains values that are not finite"
            if problem:
                raise AudioError(
                    f"The {kind} of clip {clip.id!r} ({clip.path}) {problem}.",
                    "Check the recording and the weights of the event model.",
                )

    def _features_of(self, clips: Sequence[Clip]) -> "ClipFeatures | StoredEmbeddings":
        """Returns the source of the features of a corpus, of which `clips` are a part."""
        if self.ready_made:
            return StoredEmbeddings(clips[0].path)
        event_model = self.event_model
        if event_model is None:
            event_model = events.frozen(self.experiment)
        return ClipFeatures(self.experiment, event_model)


@dataclasses.dataclass
class _Outcome:
    """A clip, and what was computed from it.

    Attributes:
      clip: The clip.
      computed: Its features.
      problem: Why it cannot be used; "" if it can.
    """

    clip: Clip
    computed: Computed = dataclasses.field(default_factory=lambda: Computed({}))
    problem: str = ""


class StoredEmbeddings:
    """The embeddings of a corpus that has no sound; methods as those of `ClipFeatures`."""

    def __init__(self, path: str):
        self.arrays = embeddings.read_arrays(path)

    def of_sound(self, clip: Clip, kinds: Sequence[str]) -> Computed:
        """Returns the embedding of a clip."""
        return Computed(dict.fromkeys(kinds, self.arrays[clip.id]))

    def embed(self, clips: Sequence[Computed], kinds: Sequence[str]) -> None:
        """Does nothing: `of_sound` has returned the embeddings."""


class ClipFeatures:
    """Computes the features of clips from their sound files.

    There is one graph of the front-end for each format of file, and one of the event model for each
    number of clips.
    """

    def __init__(
        self, experiment: Experiment, event_model: EventModel | WaveformModel | Precomputed | None
    ):
        self.features = experiment.features
        self.event_config = experiment.event_model_read
        self.event_model = event_model
        self.highest_rate_hz = _highest_rate_hz(experiment)
        self._graphs: dict[tuple, Callable] = {}
        self._lock = threading.Lock()

    def __call__(self, clip: Clip, kinds: Sequence[str]) -> Computed:
        """Returns the features of `kinds`, what was done to the clip's length, and its hash.

        Raises:
          AudioError: The file cannot be used.
        """
        computed = self.of_sound(clip, kinds)
        self.embed([computed], kinds)
        return computed

    def of_sound(self, clip: Clip, kinds: Sequence[str]) -> Computed:
        """Returns the features of `kinds`, with "patches" instead of "embedding" for `embed`.

        Raises:
          AudioError: The file cannot be used.
        """
        inputs = []
        for kind in kinds:
            if kind != "embedding":
                inputs.append(kind)
            elif not isinstance(self.event_model, Precomputed):
                inputs.append("patches")
        computed = self._from_sound(clip, inputs) if inputs else Computed({})
        if "embedding" in kinds and isinstance(self.event_model, Precomputed):
            computed.values["embedding"] = self.event_model.embedding_of(clip.id)
        return computed

    def embed(self, clips: Sequence[Computed], kinds: Sequence[str]) -> None:
        """Computes the embeddings of some clips, if they are wanted.

        Args:
          clips: What `of_sound` returned; "embedding" takes the place of "patches".
          kinds: The kinds of features that are wanted.
        """
        if "embedding" not in kinds or isinstance(self.event_model, Precomputed):
            return
        patches = np.stack([clip.values["patches"] for clip in clips])
        found = self._event_graph(patches.shape)(patches).numpy()
        for clip, embedding in zip(clips, found, strict=True):
            del clip.values["patches"]
            clip.values["embedding"] = embedding

    def _from_sound(self, clip: Clip, kinds: Sequence[str]) -> Computed:
        """Returns what the front-end computes from a sound file."""
        if clip.start_seconds is None:
            waveform, rate = reading.read_clip(clip.path, self.features)
            waveform, rate = rates.to_graph_rate(waveform, rate, self.highest_rate_hz)
            waveform, change = reading.fit_length(waveform, rate, self.features, clip.path)
        else:
            waveform, rate, change = self._part_of_recording(clip)
        graph = self._front_end(rate, waveform.shape, tuple(kinds))
        values = graph(waveform)
        return Computed(
            values={kind: values[kind].numpy()[0] for kind in kinds},
            change=change,
            samples=samples.hash_of(waveform, rate),
        )

    def _part_of_recording(self, clip: Clip) -> tuple[np.ndarray, int, Change]:
        """Returns a part of a recording: waveform [samples, channels], rate in Hz, and the change.

        A clip at the end of a recording may be shorter, and is filled as in prediction.
        """
        features = self.features
        end_seconds = clip.start_seconds + features.clip_seconds
        waveform, rate = reading.read_seconds(clip.path, clip.start_seconds, end_seconds)
        waveform, rate = rates.to_graph_rate(waveform, rate, self.highest_rate_hz)
        length = round(features.clip_seconds * rate)
        most_silence = round(features.max_padding_seconds * rate)
        filled = fill_window(waveform, length, most_silence)[:length]
        change: Change = "padded" if len(waveform) < length else ""
        return filled, rate, change

    def _front_end(self, rate: int, shape: tuple[int, ...], kinds: tuple[str, ...]) -> Callable:
        """Returns the graph from a waveform of one format to features."""
        event_config = self.event_config if "patches" in kinds else None

        def front_end(waveform: tf.Tensor) -> dict[str, tf.Tensor]:
            values = clip_features.clip_features(
                waveform[tf.newaxis], rate, self.features, event_config
            )
            return {kind: values[kind] for kind in kinds}

        # XLA joins the operations around the Fourier transform, which move much memory.
        return self._graph((rate, shape, kinds), front_end, shape, is_compiled=True)

    def _event_graph(self, shape: tuple[int, ...]) -> Callable:
        """Returns the graph from patches of a shape to embeddings."""
        return self._graph(shape, lambda patches: self.event_model(patches), shape)

    def _graph(
        self,
        key: tuple,
        function: Callable,
        shape: tuple[int, ...],
        is_compiled: bool = False,
    ) -> Callable:
        """Returns the graph of a function of one tensor; it is made once for each key."""
        with self._lock:
            if key not in self._graphs:
                traced = tf.function(
                    as_written(function),
                    input_signature=[tf.TensorSpec(shape, tf.float32)],
                    jit_compile=is_compiled,
                )
                self._graphs[key] = traced.get_concrete_function()
            return self._graphs[key]


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


def _log_older_version(
    folder: Path,
    kind: str,
    corpus: Corpus,
    experiment: Experiment,
    event_digest: str,
) -> None:
    """Logs that features of earlier versions are not used, before they are computed again."""
    if folder.exists():
        return
    for version in range(1, FORMAT_VERSION):
        key = _key(kind, corpus, experiment, event_digest, version)
        older = folder.with_name(f"{kind}-{key}")
        if older.exists():
            LOG.warning(
                "%s is of an earlier version of crossask, which computed features differently or "
                "recognised recordings by their ends alone. It is not read; remove it. The "
                "features are computed again.",
                older,
            )


def _highest_rate_hz(experiment: Experiment) -> int:
    """Returns the higher of the sample rates that the scene model and the event model read."""
    rate_hz = experiment.features.sample_rate_hz
    if experiment.event_model_read is not None:
        rate_hz = max(rate_hz, clip_features.event_rate_hz(experiment.event_model_read))
    return rate_hz


def _check_kinds(corpus: Corpus, experiment: Experiment) -> None:
    """Raises DataError for a row that needs the sound of a corpus that has embeddings alone."""
    if corpus.ready_made and experiment.feature_kinds != ("embedding",):
        raise DataError(
            f"Row {experiment.name!r} reads {' and '.join(experiment.feature_kinds)}, but corpus "
            f"{corpus.name!r} contains embeddings alone.",
            "Use rows of the system VEM and the strategy feature_based.",
        )


def _key(
    kind: str,
    corpus: Corpus,
    experiment: Experiment,
    event_digest: str,
    version: int = FORMAT_VERSION,
) -> str:
    """Returns a hash of everything that determines the bytes of a kind of feature.

    Args:
      kind: The kind of feature.
      corpus: The corpus.
      experiment: The row.
      event_digest: `FeatureCache.event_digest`.
      version: FORMAT_VERSION, or a lower one for the key of an earlier version.
    """
    fingerprint = corpus.fingerprint_of_ends if version == 1 else corpus.fingerprint
    stored = [version, records.CLIPS_PER_SHARD, fingerprint]
    if corpus.ready_made:
        return config.digest(*stored)
    features = experiment.features
    event_model = experiment.event_model
    lengths = [features.clip_seconds, features.max_padding_seconds, features.max_cut_seconds]
    plain_features = config.to_dict(features)
    # Keys of whole recordings are as they were before this field.
    if features.clip_hop_seconds is None:
        del plain_features["clip_hop_seconds"]
    else:
        lengths.append(features.clip_hop_seconds)
    shared = [*stored, resampling.RESAMPLER_VERSION, lengths]
    # Recordings of other rates are first converted to a rate that the event model may raise.
    rate_hz = _highest_rate_hz(experiment)
    if rate_hz > max(features.sample_rate_hz, rates.EVENT_RATE_HZ):
        shared.append(rate_hz)
    if kind == "log_mel":
        return config.digest(*shared, plain_features)
    input_choices = [event_model.pad_end]
    if event_model.level is not None:
        input_choices.append(event_model.level)
    if version >= 3:
        # The rate to which a recording is converted whose own rate the graph does not have. It also
        # depends on the rate of the scene model.
        input_choices.append(rates.graph_rate(0, rate_hz))
    if kind == "patches":
        front_end = catalogue.event_model(event_model.name).front_end
        code = catalogue.code_of(catalogue.front_end(front_end).patches)
        if code:
            input_choices.append(code)
        return config.digest(*shared, front_end, *input_choices)
    return config.digest(*shared, event_model.name, *input_choices, event_digest)


def _event_digest(
    experiment: Experiment, event_model: EventModel | WaveformModel | Precomputed | None
) -> str:
    """Returns `FeatureCache.event_digest`."""
    if event_model is None:
        return ""
    return events.digest_of(experiment.event_model, event_model)


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
