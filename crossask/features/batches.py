"""Cached features to `tf.data` batches of constant size.

A batch is ({"log_mel": [B, 998, 64, 2], "embedding": [B, 10, 128] or "patches": [B, 10, 96, 64]}, scene [B], weight [B]).
Every order is a pure function of (seed, epoch): a resumed run sees the batches that the undisturbed one would have seen, and so
does a run on several machines, of which each reads its rows of the same batches.
"""

import collections
import dataclasses

import numpy as np
import tensorflow as tf

from crossask.config import AugmentationConfig, TrainingConfig
from crossask.datasets import Corpus
from crossask.features import augmentation
from crossask.features.cache import CLIPS_PER_SHARD, FeatureCache


def examples(cache: FeatureCache, clip_ids, context_frames: int = 0) -> int:
    """What an epoch over `clip_ids` learns from: clips, or with `context_frames` all stretches of so many frames in them."""
    return examples_of(cache.shapes, len(clip_ids), context_frames)


def examples_of(shapes: dict, clips: int, context_frames: int = 0) -> int:
    """`examples` for so many clips with features of these shapes."""
    return clips * (shapes["log_mel"][0] - context_frames + 1 if context_frames else 1)


@dataclasses.dataclass(frozen=True)
class Share:
    """What one of several machines reads of each batch: its rows, part `number` of `count` equal parts."""

    number: int = 0
    count: int = 1

    def rows(self, batch):
        """These rows of a batch, whose size `count` divides."""

        def of(x):
            rows = x.shape[0] // self.count
            return x[self.number * rows : (self.number + 1) * rows]

        return tf.nest.map_structure(of, batch)


WHOLE = Share()
UNVARIED = AugmentationConfig()


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """The clips that a run learns from, and how batches are made of them.

    Args:
      clip_ids: of the training part.
      settings: batch_size, shuffle_buffer, input_streams, context_frames.
      seed: of every order and variation.
      augmentation: what is done to each batch.
      soft: targets are probabilities [B, classes] instead of scenes [B].
      teacher: clip -> probabilities [classes], put beside the features as "teacher" [B, classes].
    """

    cache: FeatureCache
    corpus: Corpus
    clip_ids: tuple[str, ...]
    settings: TrainingConfig
    seed: int
    augmentation: AugmentationConfig = UNVARIED
    soft: bool = False
    teacher: dict | None = None

    @property
    def steps(self) -> int:
        """Batches an epoch, as many as the smallest stream gives."""
        settings = self.settings
        rows = settings.batch_size // settings.input_streams
        each = examples(self.cache, self.clip_ids[:1], settings.context_frames)
        return min(sum(stream.values()) * each // rows for stream in self._streams)

    def batches(self, first_epoch: int = 0, first_step: int = 0, share: Share = WHOLE):
        """An endless dataset of whole batches, `steps` an epoch, from a step of an epoch on.

        The remainder of an epoch (less than a batch of each stream) is dropped; what this is differs from epoch to epoch.
        With settings.context_frames, each stretch of so many frames of a clip is an example, {"log_mel": [B,
        context_frames, mels, channels]}, and the stretches of settings.shuffle_buffer clips are mixed.

        A machine whose share is made of whole streams reads no other files; else it reads all and keeps its rows.
        """
        read = _Reader(self.cache, self.corpus, self.clip_ids, self.soft, self.teacher)
        count, steps = len(self._streams), self.steps
        of_streams = count % share.count == 0
        mine = (
            range(share.number * count // share.count, (share.number + 1) * count // share.count)
            if of_streams
            else range(count)
        )

        def one_epoch(epoch):
            key = _fold(tf.constant([self.seed, 0x0C11], tf.int64), epoch)
            # a single stream's key is the epoch's
            keys = [_fold(key, number) if count > 1 else key for number in mine]
            streams = [
                self._stream(read, list(self._streams[number]), key)
                for number, key in zip(mine, keys, strict=True)
            ]
            batches = streams[0]
            if len(streams) > 1:
                batches = tf.data.Dataset.zip(tuple(streams)).map(
                    lambda *parts: tf.nest.map_structure(
                        lambda *values: tf.concat(values, 0), *parts
                    )
                )
            return batches.take(steps)

        epochs = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
        batches = epochs.flat_map(one_epoch).skip(first_step)
        if not of_streams:
            batches = batches.map(lambda *batch: share.rows(batch))
        return _options(batches).prefetch(2)

    @property
    def _streams(self) -> list[dict[int, int]]:
        """For each stream its shards with their number of wanted clips; dealt so that streams are of nearly one length."""
        streams = [{} for _ in range(self.settings.input_streams)]
        for number, clips in sorted(
            _wanted_shards(self.cache, self.clip_ids).items(), key=lambda item: (-item[1], item[0])
        ):
            min(streams, key=lambda stream: sum(stream.values()))[number] = clips
        return [dict(sorted(stream.items())) for stream in streams]

    def _stream(self, read, numbers: list[int], key):
        """One epoch of one stream: its part of each batch, varied."""
        settings = self.settings
        rows = settings.batch_size // settings.input_streams
        order = tf.argsort(tf.random.stateless_uniform([len(numbers)], seed=key))
        shards = tf.data.Dataset.from_tensor_slices(
            tf.gather(tf.constant(numbers, tf.int64), order)
        )
        clips = shards.interleave(read, cycle_length=4, num_parallel_calls=2, deterministic=True)
        clips = shuffled(clips, settings.shuffle_buffer, key)
        if settings.context_frames:
            blocks = (
                clips.batch(settings.shuffle_buffer)
                .map(lambda *block: _contexts(settings.context_frames, *block))
                .enumerate()
            )
            batches = blocks.map(lambda number, block: _permuted(number, block, key)).rebatch(
                rows, drop_remainder=True
            )
        else:
            batches = clips.batch(rows, drop_remainder=True)
        if self.augmentation == UNVARIED:
            return batches

        def varied(number, batch):
            inputs, target, weight = batch
            return (
                *augmentation.augment(
                    inputs, target, self.augmentation, _fold(_fold(key, 0xA06), number)
                ),
                weight,
            )

        return batches.enumerate().map(varied, num_parallel_calls=2, deterministic=True)


def shuffled(dataset, block: int, key):
    """Each `block` elements in an order that is a pure function of `key` (int64 [2]).

    `Dataset.shuffle` would mix the process's global seed in, and a resumed run could not repeat it. Shards hold clips in
    the order of a hash, and come in another order each epoch, so that blocks are mixed well enough.
    """

    return (
        dataset.batch(block)
        .enumerate()
        .map(lambda number, elements: _permuted(number, elements, key))
        .unbatch()
    )


def evaluation_batches(
    cache: FeatureCache,
    corpus: Corpus,
    clip_ids,
    batch_size: int,
    context_frames: int = 0,
    soft: bool = False,
    share: Share = WHOLE,
):
    """Every clip once, in the order of `ordered(cache, clip_ids)`; the last batch is filled with clips of weight 0.

    With `context_frames`, every stretch of so many frames of every clip instead; `soft` targets are 1 for the scene, [B, classes].
    """
    read = _Reader(cache, corpus, clip_ids, soft)
    wanted = list(_wanted_shards(cache, clip_ids))
    clips = tf.data.Dataset.from_tensor_slices(tf.constant(wanted, tf.int64)).flat_map(read)
    if context_frames:
        clips = clips.batch(1).map(lambda *block: _contexts(context_frames, *block)).unbatch()
    count = examples(cache, clip_ids, context_frames)
    missing = -count % batch_size
    if missing:
        filler = (
            clips.take(1)
            .repeat(missing)
            .map(lambda inputs, scene, weight: (inputs, scene, 0.0 * weight))
        )
        clips = clips.concatenate(filler)
    batches = clips.batch(batch_size, drop_remainder=True).map(lambda *batch: share.rows(batch))
    return _options(
        batches.apply(tf.data.experimental.assert_cardinality(-(-count // batch_size)))
    ).prefetch(2)


def ordered(cache: FeatureCache, clip_ids) -> tuple[str, ...]:
    """`clip_ids` in the order in which `evaluation_batches` gives them."""
    wanted = set(clip_ids)
    return tuple(clip_id for clip_id in cache.clip_ids if clip_id in wanted)


def feature_statistics(
    cache: FeatureCache, corpus: Corpus, clip_ids, kind: str, axis: int
) -> tuple[list[float], list[float]]:
    """Mean and deviation, in float64, of each entry along `axis` of a kind's batch, over all else and all clips.

    For log_mel [batch, frames, mels, channels] axis 2 gives the mel bins; for embedding [batch, patches, width] axis 2 too.
    """
    alone = FeatureCache(cache.clip_ids, {kind: cache.folders[kind]}, cache.shapes)
    count, total, squares = 0, 0.0, 0.0
    for inputs, _, _ in evaluation_batches(alone, corpus, ordered(cache, clip_ids), 1):
        values = inputs[kind].numpy().astype(np.float64)
        entries = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
        count, total, squares = (
            count + entries.shape[1],
            total + entries.sum(1),
            squares + np.square(entries).sum(1),
        )
    mean = total / count
    return mean.tolist(), np.sqrt(np.maximum(squares / count - mean**2, 1e-12)).tolist()


def _permuted(number, elements, key):
    """The elements of block `number` in an order that is a pure function of it and of `key`."""
    count = tf.shape(tf.nest.flatten(elements)[0])[0]
    order = tf.argsort(tf.random.stateless_uniform([count], seed=_fold(key, number)))
    return tf.nest.map_structure(lambda values: tf.gather(values, order), elements)


def _contexts(frames: int, inputs, scene, weight):
    """All stretches of `frames` frames in a block of clips, clip by clip, each with its clip's scene and weight."""
    log_mel = tf.signal.frame(
        inputs["log_mel"], frames, 1, axis=1
    )  # [clips, contexts, frames, mels, channels]
    contexts = tf.shape(log_mel)[1]
    flat = tf.reshape(log_mel, tf.concat([[-1], tf.shape(log_mel)[2:]], 0))
    flat = tf.ensure_shape(flat, [None, *log_mel.shape[2:]])
    return {"log_mel": flat}, tf.repeat(scene, contexts), tf.repeat(weight, contexts)


def _wanted_shards(cache: FeatureCache, clip_ids) -> dict[int, int]:
    """Number of a shard -> how many of `clip_ids` it holds, where there are any."""
    wanted = set(clip_ids)
    found = collections.Counter(
        place // CLIPS_PER_SHARD
        for place, clip_id in enumerate(cache.clip_ids)
        if clip_id in wanted
    )
    return dict(sorted(found.items()))


class _Reader:
    """number of a shard -> a dataset of its wanted clips, kinds zipped: (inputs, target, weight 1)."""

    def __init__(
        self,
        cache: FeatureCache,
        corpus: Corpus,
        clip_ids,
        soft: bool = False,
        teacher: dict | None = None,
    ):
        self.shards, self.shapes = (
            {kind: cache.shards(kind) for kind in cache.folders},
            cache.shapes,
        )
        self.classes, self.soft = len(corpus.scenes), soft
        scenes = {clip.id: corpus.scenes.index(clip.scene) for clip in corpus.clips}
        ids = [clip_id for clip_id in dict.fromkeys(clip_ids) if clip_id in scenes]
        self.place = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(tf.constant(ids), tf.range(len(ids))),
            default_value=-1,
        )
        self.scenes = tf.constant([scenes[clip_id] for clip_id in ids], tf.int32)
        self.teacher = (
            None
            if teacher is None
            else tf.constant([teacher[clip_id] for clip_id in ids], tf.float32)
        )

    def __call__(self, number):
        names = {
            kind: tf.gather(tf.constant(shards), number) for kind, shards in self.shards.items()
        }
        records = tf.data.Dataset.zip(
            {kind: tf.data.TFRecordDataset(name) for kind, name in names.items()}
        )
        clips = records.map(self._parsed).filter(lambda inputs, place: place >= 0)
        return clips.map(self._with_target)

    def _parsed(self, serialised):
        inputs, clips = {}, []
        for kind, text in serialised.items():
            example = tf.io.parse_single_example(
                text,
                {
                    "clip": tf.io.FixedLenFeature([], tf.string),
                    "value": tf.io.FixedLenFeature([], tf.string),
                },
            )
            inputs[kind] = tf.reshape(
                tf.io.decode_raw(example["value"], tf.float32), self.shapes[kind]
            )
            clips.append(example["clip"])
        with tf.control_dependencies(
            [
                tf.debugging.assert_equal(clip, clips[0], "features of two clips met")
                for clip in clips
            ]
        ):
            return inputs, self.place.lookup(clips[0])

    def _with_target(self, inputs, place):
        scene = tf.gather(self.scenes, place)
        if self.teacher is not None:
            inputs = {**inputs, "teacher": tf.gather(self.teacher, place)}
        return inputs, tf.one_hot(scene, self.classes) if self.soft else scene, tf.constant(1.0)


def _fold(key, number):
    return tf.random.experimental.stateless_fold_in(key, number)


def _options(dataset):
    options = tf.data.Options()
    options.deterministic = True
    # what each machine reads is said here, by its share
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.with_options(options)
