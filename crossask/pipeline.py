"""Cached features to `tf.data` batches of constant size.

A batch is ({"log_mel": [B, 998, 64, 2], "embedding": [B, 10, 128] or "patches": [B, 10, 96, 64]}, scene [B], weight [B]).
Every order is a pure function of (seed, epoch): a resumed run sees the batches that the undisturbed one would have seen.
"""

import numpy as np
import tensorflow as tf

from crossask.datasets import Corpus
from crossask.feature_cache import CLIPS_PER_SHARD, FeatureCache


def examples(cache: FeatureCache, clip_ids, context_frames: int = 0) -> int:
    """What an epoch over `clip_ids` learns from: clips, or with `context_frames` all stretches of so many frames in them."""
    return examples_of(cache.shapes, len(clip_ids), context_frames)


def examples_of(shapes: dict, clips: int, context_frames: int = 0) -> int:
    """`examples` for so many clips with features of these shapes."""
    return clips * (shapes["log_mel"][0] - context_frames + 1 if context_frames else 1)


def training_batches(
    cache: FeatureCache,
    corpus: Corpus,
    clip_ids,
    batch_size: int,
    seed: int,
    buffer: int = 256,
    first_epoch: int = 0,
    context_frames: int = 0,
):
    """An endless dataset of whole batches, epoch after epoch; `examples(...) // batch_size` batches an epoch.

    The remainder of an epoch (less than a batch) is dropped; what this is differs from epoch to epoch. With
    `context_frames`, each stretch of so many frames of a clip is an example, {"log_mel": [B, context_frames, mels,
    channels]}, and the stretches of `buffer` clips are mixed.
    """
    shards = {kind: cache.shards(kind) for kind in cache.folders}
    wanted = _wanted_shards(cache, clip_ids)
    labels = _label_table(corpus, clip_ids)

    def one_epoch(epoch):
        key = tf.random.experimental.stateless_fold_in(tf.constant([seed, 0x0C11], tf.int64), epoch)
        order = tf.argsort(tf.random.stateless_uniform([len(wanted)], seed=key))
        numbers = tf.data.Dataset.from_tensor_slices(tf.gather(tf.constant(wanted, tf.int64), order))
        clips = numbers.interleave(
            lambda number: _read(shards, number, cache.shapes, labels),
            cycle_length=4,
            num_parallel_calls=2,
            deterministic=True,
        )
        clips = shuffled(clips, buffer, key)
        if not context_frames:
            return clips.batch(batch_size, drop_remainder=True)
        blocks = clips.batch(buffer).map(lambda *block: _contexts(context_frames, *block)).enumerate()
        return blocks.map(lambda number, block: _permuted(number, block, key)).rebatch(batch_size, drop_remainder=True)

    epochs = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
    return _options(epochs.flat_map(one_epoch)).prefetch(2)


def shuffled(dataset, block: int, key):
    """Each `block` elements in an order that is a pure function of `key` (int64 [2]).

    `Dataset.shuffle` would mix the process's global seed in, and a resumed run could not repeat it. Shards hold clips in
    the order of a hash, and come in another order each epoch, so that blocks are mixed well enough.
    """

    return dataset.batch(block).enumerate().map(lambda number, elements: _permuted(number, elements, key)).unbatch()


def evaluation_batches(cache: FeatureCache, corpus: Corpus, clip_ids, batch_size: int, context_frames: int = 0):
    """Every clip once, in the order of `ordered(cache, clip_ids)`; the last batch is filled with clips of weight 0.

    With `context_frames`, every stretch of so many frames of every clip instead.
    """
    shards = {kind: cache.shards(kind) for kind in cache.folders}
    wanted = _wanted_shards(cache, clip_ids)
    labels = _label_table(corpus, clip_ids)
    clips = tf.data.Dataset.from_tensor_slices(tf.constant(wanted, tf.int64)).flat_map(
        lambda number: _read(shards, number, cache.shapes, labels)
    )
    if context_frames:
        clips = clips.batch(1).map(lambda *block: _contexts(context_frames, *block)).unbatch()
    count = examples(cache, clip_ids, context_frames)
    missing = -count % batch_size
    if missing:
        filler = clips.take(1).repeat(missing).map(lambda inputs, scene, weight: (inputs, scene, 0.0 * weight))
        clips = clips.concatenate(filler)
    batches = clips.batch(batch_size, drop_remainder=True)
    return _options(batches.apply(tf.data.experimental.assert_cardinality(-(-count // batch_size)))).prefetch(2)


def ordered(cache: FeatureCache, clip_ids) -> tuple[str, ...]:
    """`clip_ids` in the order in which `evaluation_batches` gives them."""
    wanted = set(clip_ids)
    return tuple(clip_id for clip_id in cache.clip_ids if clip_id in wanted)


def statistics(cache: FeatureCache, corpus: Corpus, clip_ids, kind: str, axis: int) -> tuple[list[float], list[float]]:
    """Mean and deviation, in float64, of each entry along `axis` of a kind's batch, over all else and all clips.

    For log_mel [batch, frames, mels, channels] axis 2 gives the mel bins; for embedding [batch, patches, width] axis 2 too.
    """
    alone = FeatureCache(cache.clip_ids, {kind: cache.folders[kind]}, cache.shapes)
    count, total, squares = 0, 0.0, 0.0
    for inputs, _, _ in evaluation_batches(alone, corpus, ordered(cache, clip_ids), 1):
        values = inputs[kind].numpy().astype(np.float64)
        entries = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
        count, total, squares = count + entries.shape[1], total + entries.sum(1), squares + np.square(entries).sum(1)
    mean = total / count
    return mean.tolist(), np.sqrt(np.maximum(squares / count - mean**2, 1e-12)).tolist()


def _permuted(number, elements, key):
    """The elements of block `number` in an order that is a pure function of it and of `key`."""
    count = tf.shape(tf.nest.flatten(elements)[0])[0]
    order = tf.argsort(tf.random.stateless_uniform([count], seed=tf.random.experimental.stateless_fold_in(key, number)))
    return tf.nest.map_structure(lambda values: tf.gather(values, order), elements)


def _contexts(frames: int, inputs, scene, weight):
    """All stretches of `frames` frames in a block of clips, clip by clip, each with its clip's scene and weight."""
    log_mel = tf.signal.frame(inputs["log_mel"], frames, 1, axis=1)  # [clips, contexts, frames, mels, channels]
    contexts = tf.shape(log_mel)[1]
    flat = tf.reshape(log_mel, tf.concat([[-1], tf.shape(log_mel)[2:]], 0))
    flat = tf.ensure_shape(flat, [None, *log_mel.shape[2:]])
    return {"log_mel": flat}, tf.repeat(scene, contexts), tf.repeat(weight, contexts)


def _wanted_shards(cache: FeatureCache, clip_ids) -> list[int]:
    wanted = set(clip_ids)
    return sorted({position // CLIPS_PER_SHARD for position, clip_id in enumerate(cache.clip_ids) if clip_id in wanted})


def _read(shards, number, shapes, labels):
    """The wanted clips of one shard, its kinds zipped: (inputs, scene, weight 1)."""
    records = tf.data.Dataset.zip({kind: tf.data.TFRecordDataset(tf.gather(tf.constant(names), number)) for kind, names in shards.items()})

    def parse(serialised):
        inputs, clips = {}, []
        for kind, text in serialised.items():
            example = tf.io.parse_single_example(
                text, {"clip": tf.io.FixedLenFeature([], tf.string), "value": tf.io.FixedLenFeature([], tf.string)}
            )
            inputs[kind] = tf.reshape(tf.io.decode_raw(example["value"], tf.float32), shapes[kind])
            clips.append(example["clip"])
        with tf.control_dependencies([tf.debugging.assert_equal(clip, clips[0], "features of two clips met") for clip in clips]):
            return inputs, labels.lookup(clips[0]), tf.constant(1.0)

    return records.map(parse).filter(lambda inputs, scene, weight: scene >= 0)


def _label_table(corpus: Corpus, clip_ids):
    wanted = set(clip_ids)
    clips = [clip for clip in corpus.clips if clip.id in wanted]
    return tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(
            tf.constant([clip.id for clip in clips]), tf.constant([corpus.scenes.index(clip.scene) for clip in clips], tf.int32)
        ),
        default_value=-1,
    )


def _options(dataset):
    options = tf.data.Options()
    options.deterministic = True
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.with_options(options)
