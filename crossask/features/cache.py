"""Clips to TFRecord shards of features, once; folders are named by a hash of all that shapes their bytes.

Each kind of feature (log_mel, embedding, patches) has a folder of its own, so that rows share what they have in common.
Shard k of every kind holds the same clips in the same order: the pipeline zips them. A shard is moved into place when it
is whole; a killed run goes on with the shards that are missing and ends with the same bytes.
"""

import concurrent.futures
import dataclasses
import hashlib
import logging
import threading
from pathlib import Path

import numpy as np
import tensorflow as tf

from crossask import config, events, files
from crossask.audio import clip_features, reading, resampling
from crossask.config import catalogue
from crossask.datasets import Clip, Corpus, embeddings
from crossask.errors import AudioError, CrossaskError, DataError

CLIPS_PER_SHARD = 32  # 16 MB of log-mel; the size of a worker's memory
FORMAT_VERSION = 1
LOG = logging.getLogger("crossask")


@dataclasses.dataclass(frozen=True)
class FeatureCache:
    """Finished features of a corpus: `clip_ids` in the order of the records, a folder and a shape for each kind.

    `event_digest`: weights_digest of the frozen event model that gave the embeddings; empty where none did.
    """

    clip_ids: tuple[str, ...]
    folders: dict[str, Path]
    shapes: dict[str, tuple[int, ...]]
    event_digest: str = ""

    def shards(self, kind: str) -> list[str]:
        return [
            str(_shard(self.folders[kind], number)) for number in range(_shard_count(self.clip_ids))
        ]


def kinds_of(experiment: config.Experiment) -> tuple[str, ...]:
    """What a row reads: "log_mel" (all but VEM), then "embedding" or "patches" where it reads events."""
    return ("log_mel",) * experiment.reads_log_mel + (experiment.event_input,) * bool(
        experiment.event_input
    )


def prepare_features(
    corpus: Corpus,
    experiment: config.Experiment,
    features_dir,
    workers: int = 2,
    progress=None,
    elsewhere=None,
) -> FeatureCache:
    """Writes what is missing of the features that `experiment` reads, and returns the finished cache.

    Args:
      corpus: clips to read; those of all folds are written.
      features_dir: folder below which each kind has its folder `<kind>-<hash>`.
      workers: shards computed at once, in threads (the work is TensorFlow's and libsndfile's, which run side by side).
      progress: called with (clips done, clips in all); not where all are done already.
      elsewhere: function(ShardWriter, list of its arguments), tried first, for many machines that share the folders; what is
        missing afterwards is computed here, and told as here.

    Raises:
      DataError: some files cannot be used; all others are written, and the message names the broken ones.
    """
    clips = in_order(corpus)
    if corpus.ready_made and kinds_of(experiment) != ("embedding",):
        raise DataError(
            f"Row {experiment.name!r} reads {' and '.join(kinds_of(experiment))}, but corpus {corpus.name!r} holds embeddings alone.",
            "Use rows of the system VEM and the strategy feature_based.",
        )
    event_model = None if corpus.ready_made else events.frozen(experiment)
    folders = {
        kind: Path(features_dir) / f"{kind}-{_key(kind, corpus, experiment, event_model)}"
        for kind in kinds_of(experiment)
    }
    for kind, folder in folders.items():
        files.check_room(folder, 0)
        files.remove_remains(folder)
        _write_description(folder, kind, corpus, experiment)
    write = ShardWriter(experiment, folders, corpus.ready_made, event_model)
    if elsewhere and (missing := write.missing(clips)):
        elsewhere(write, missing)
    missing = write.missing(clips)
    tally, lock = (
        {
            "done": len(clips) - sum(len(shard) for _, _, shard in missing),
            "padded": 0,
            "cut": 0,
            "broken": [],
        },
        threading.Lock(),
    )

    def count(change: str, broken: str):
        with lock:
            tally["done"] += 1
            if change:
                tally[change] += 1
            if broken:
                tally["broken"].append(broken)
            if progress:
                progress(tally["done"], len(clips))

    if progress and missing:
        progress(tally["done"], len(clips))
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        try:
            for _ in pool.map(lambda shard: write(*shard, count), missing):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    tell_changes(tally["padded"], tally["cut"], experiment)
    if tally["broken"]:
        listed = " ".join(sorted(tally["broken"])[:10])
        raise DataError(
            f"{len(tally['broken'])} of {len(clips)} files cannot be used: {listed}",
            "Mend or remove them and run again; what is finished is kept.",
        )
    shapes = {kind: _first_shape(_shard(folder, 0)) for kind, folder in folders.items()}
    return FeatureCache(
        tuple(clip.id for clip in clips),
        folders,
        shapes,
        event_model.weights_digest() if event_model else "",
    )


def in_order(corpus: Corpus) -> list[Clip]:
    """The corpus's clips in the order of the records: mixed, and the same whatever the metadata's order."""
    return sorted(corpus.clips, key=lambda clip: hashlib.sha256(clip.id.encode()).digest())


def write_shard(path, records):
    """Writes serialised records as one file, or raises a CrossaskError and leaves none."""
    try:
        with files.writing(path) as temporary, tf.io.TFRecordWriter(str(temporary)) as writer:
            for line in records:
                writer.write(line)
    except (OSError, tf.errors.OpError) as error:
        raise CrossaskError(
            f"{path} cannot be written ({str(error).strip().splitlines()[0]}).",
            "Make room and run the same command again: it goes on from the last file that was finished.",
        ) from error


def tell_changes(padded: int, cut: int, experiment: config.Experiment):
    """Logs how many clips were brought to the row's length, if any."""
    if padded or cut:
        LOG.info(
            "%d clips were padded and %d cut to %g s.",
            padded,
            cut,
            experiment.features.clip_seconds,
        )


class ShardWriter:
    """Computes and writes one shard after another; can be pickled, and makes what it needs anew where it arrives."""

    def __init__(
        self,
        experiment: config.Experiment,
        folders: dict[str, Path],
        ready_made: bool,
        event_model=None,
    ):
        self.experiment, self.folders, self.ready_made, self.event_model = (
            experiment,
            folders,
            ready_made,
            event_model,
        )
        self.compute, self.lock = None, threading.Lock()

    def __getstate__(self):
        return {
            "experiment": self.experiment,
            "folders": self.folders,
            "ready_made": self.ready_made,
        }

    def __setstate__(self, state):
        self.__init__(**state)

    def missing(self, clips) -> list[tuple[int, list[str], list[Clip]]]:
        """What is left to write of `clips`, in the order of the records: (number, kinds, clips) of each shard."""
        shards = []
        for number in range(_shard_count(clips)):
            kinds = [
                kind
                for kind, folder in self.folders.items()
                if not _shard(folder, number).is_file()
            ]
            if kinds:
                shards.append(
                    (
                        number,
                        kinds,
                        clips[number * CLIPS_PER_SHARD : (number + 1) * CLIPS_PER_SHARD],
                    )
                )
        return shards

    def __call__(
        self, number: int, kinds: list[str], clips: list[Clip], count=lambda change, broken: None
    ):
        """Writes the shard, unless one of its files is broken; `count` hears "", "padded" or "cut" and what is broken, a clip a call."""
        with self.lock:
            self.compute = self.compute or self._clip_function(clips)
        records, whole = {kind: [] for kind in kinds}, True
        for clip in clips:
            try:
                values, change = self.compute(clip, kinds)
            except AudioError as error:
                whole = False
                count("", str(error.problem))
                continue
            for kind, value in values.items():
                records[kind].append(record(clip.id, value))
            count(change, "")
        for kind, lines in records.items() if whole else ():
            write_shard(_shard(self.folders[kind], number), lines)

    def _clip_function(self, clips):
        if self.ready_made:
            arrays = embeddings.read_arrays(clips[0].path)
            return lambda clip, kinds: ({"embedding": arrays[clip.id]}, "")
        return _ClipFunction(self.experiment, self.event_model or events.frozen(self.experiment))


class _ClipFunction:
    """clip -> ({kind: array}, "", "padded" or "cut"): one traced graph for each format of file."""

    def __init__(self, experiment: config.Experiment, event_model):
        self.features, self.event, self.event_model = (
            experiment.features,
            experiment.event_model,
            event_model,
        )
        self.front_end = events.front_end_of(experiment)
        self.traced, self.lock = {}, threading.Lock()

    def __call__(self, clip: Clip, kinds) -> tuple[dict, str]:
        path = clip.path
        waveform, rate = reading.read_audio(path)
        waveform, change = reading.fit_length(waveform, rate, self.features, path)
        resampling.check_rate(rate, path)
        key = (rate, waveform.shape, tuple(kinds))
        with self.lock:
            if key not in self.traced:
                self.traced[key] = self._trace(*key)
        values = self.traced[key](waveform)
        return {kind: values[kind].numpy()[0] for kind in kinds}, change

    def _trace(self, rate, shape, kinds):
        front_end = self.front_end if set(kinds) - {"log_mel"} else ""

        @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32)])
        def features(waveform):
            values = clip_features.clip_features(
                waveform[tf.newaxis], rate, self.features, front_end, self.event.pad_end
            )
            if "embedding" in kinds:
                values["embedding"] = self.event_model(values["patches"])
            return {kind: values[kind] for kind in kinds}

        return features.get_concrete_function()


def _key(kind: str, corpus: Corpus, experiment: config.Experiment, event_model) -> str:
    """Hash of all that shapes the bytes of one kind of feature."""
    if corpus.ready_made:
        return config.digest(FORMAT_VERSION, CLIPS_PER_SHARD, corpus.fingerprint)
    features, event = experiment.features, experiment.event_model
    shared = [FORMAT_VERSION, CLIPS_PER_SHARD, corpus.fingerprint, resampling.RESAMPLER_VERSION]
    lengths = [features.clip_seconds, features.max_padding_seconds, features.max_cut_seconds]
    if kind == "log_mel":
        return config.digest(*shared, lengths, features)
    if kind == "patches":
        return config.digest(
            *shared, lengths, catalogue.event_model(event.name).front_end, event.pad_end
        )
    return config.digest(*shared, lengths, event.name, event.pad_end, event_model.weights_digest())


def _write_description(folder: Path, kind: str, corpus: Corpus, experiment: config.Experiment):
    """For people: what the folder holds."""
    path = folder / "description.json"
    if not path.is_file():
        values = {
            "kind": kind,
            "corpus": corpus.name,
            "clips": len(corpus.clips),
            "corpus_fingerprint": corpus.fingerprint,
        }
        values["features"] = config.to_dict(experiment.features)
        if kind != "log_mel":
            values["event_model"] = config.to_dict(experiment.event_model)
        files.write_json(path, values)


def _shard_count(clips) -> int:
    return -(-len(clips) // CLIPS_PER_SHARD)


def _shard(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.tfrecord"


def record(clip_id: str, value: np.ndarray) -> bytes:
    """One clip's feature as a shard holds it."""
    feature = {
        "clip": tf.train.Feature(bytes_list=tf.train.BytesList(value=[clip_id.encode()])),
        "shape": tf.train.Feature(int64_list=tf.train.Int64List(value=value.shape)),
        "value": tf.train.Feature(
            bytes_list=tf.train.BytesList(value=[value.astype("<f4").tobytes()])
        ),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString(
        deterministic=True
    )


def _first_shape(shard: Path) -> tuple[int, ...]:
    example = tf.train.Example.FromString(next(iter(tf.data.TFRecordDataset(str(shard)))).numpy())
    return tuple(example.features.feature["shape"].int64_list.value)
