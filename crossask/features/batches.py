"""Batches of constant size from stored features, as `tf.data` datasets.

A batch is (inputs, target, weight):

* inputs: The features that the row reads, float32. For clips of 10 s and the paper's front-ends:
  {"log_mel": [B, 998, 64, 2], "embedding": [B, 10, 128] or "patches": [B, 10, 96, 64]}.
* target: Indices of the scenes, int32 [B], or probabilities of the scenes, float32 [B, classes].
  With a teacher, a `Target`: one of these, and the teacher's probabilities [B, classes]. With
  `Labels` in place of scenes, 1 for each label of the clip, else 0, float32 [B, labels].
* weight: float32 [B]: 1, and 0 for the clips that fill the last batch of an evaluation. In training
  with `class_weights` "balanced", the weight of the clip's scene, see `balanced_weights`.

Every order is a pure function of (seed, epoch). A resumed run therefore reads the same batches as
an undisturbed one, and so do several machines, each of which reads its part of the same batches.
"""

import collections
import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from crossask.config import AugmentationConfig, TrainingConfig
from crossask.datasets import Corpus
from crossask.features import records
from crossask.features.augmentation import augment, fold_in
from crossask.features.cache import FeatureCache
from crossask.features.targets import Labels, Targets
from crossask.models.layers import contexts_of_frames
from crossask.models.target import Target
from crossask.tracing import as_written

# Keys that keep the random numbers of different purposes apart.
ORDER_KEY = 0x0C11
AUGMENTATION_KEY = 0xA06
REPETITION_KEY = 0x5A3
# How often an epoch reads one clip, at most. More copies would often be in one batch.
MOST_REPETITIONS = 8
# Cumulative numbers of repetitions are multiples of 1 / REPETITION_STEPS.
REPETITION_STEPS = 2**20
# Smaller deviations are raised to this one, because the network divides by them.
LEAST_DEVIATION = 1e-6
# Smaller deviations are raised to this share of the mean deviation. A number that is constant in
# the training clips may change in others: of YAMNet's 1,024, up to 25 were constant in 39 clips of
# two to four scenes of ESC-10, and some other clips had standardised values above 100,000. Of
# shares from 0.03 to 1, those from 0.1 to 0.3 were best for a linear classifier within the training
# parts of ESC-10.
LEAST_SHARE_OF_DEVIATION = 0.1

Inputs = dict[str, tf.Tensor]
Batch = tuple[Inputs, tf.Tensor | Target, tf.Tensor]
DIFFERENT_CLIPS = (
    "The files of two kinds of features contain different clips. Delete both folders and compute "
    "the features again."
)


@dataclasses.dataclass(frozen=True)
class Share:
    """The part of each batch that one of several machines reads.

    Attributes:
      number: Number of the machine, from 0.
      count: Number of machines; it divides the batch size.
    """

    number: int = 0
    count: int = 1

    def rows(self, batch: Any) -> Any:
        """Returns this machine's part of a batch: rows of its tensors."""

        def of_tensor(x: tf.Tensor) -> tf.Tensor:
            rows = x.shape[0] // self.count
            start = self.number * rows
            return x[start : start + rows]

        return tf.nest.map_structure(of_tensor, batch)

    def streams(self, count: int) -> range:
        """Returns the numbers of the streams that this machine reads.

        Args:
          count: Number of all streams, a multiple of the number of machines.
        """
        start = self.number * count // self.count
        end = (self.number + 1) * count // self.count
        return range(start, end)


WHOLE = Share()
NO_AUGMENTATION = AugmentationConfig()


def count_examples(cache: FeatureCache, clip_ids: Sequence[str], context_frames: int = 0) -> int:
    """Returns the number of training examples in an epoch over `clip_ids`.

    An example is a clip, or with `context_frames` the context of a frame; see `_contexts`.
    """
    return count_examples_of_shapes(cache.shapes, len(clip_ids), context_frames)


def count_examples_of_shapes(
    shapes: Mapping[str, Sequence[int]], clips: int, context_frames: int = 0
) -> int:
    """Returns the number of training examples in an epoch over `clips` clips.

    Args:
      shapes: Kind of feature -> shape of one clip's feature.
      clips: Number of clips.
      context_frames: See `count_examples`.
    """
    if not context_frames:
        return clips
    frames = shapes["log_mel"][0]
    return clips * frames if context_frames <= frames else 0


def balanced_weights(scenes: Sequence[str], all_scenes: Sequence[str]) -> list[float]:
    """Returns the weight of a clip of each scene: n / (number of scenes * n of the scene).

    Args:
      scenes: Scene of each of the n training clips.
      all_scenes: Names of all scenes, in the order of the weights.
    """
    count = collections.Counter(scenes)
    return [len(scenes) / (len(all_scenes) * max(count[scene], 1)) for scene in all_scenes]


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """The clips that a run is trained on, and how batches are made of them.

    Attributes:
      cache: Features of the corpus.
      corpus: The corpus.
      clip_ids: Clips of the training part.
      settings: batch_size, shuffle_buffer, input_streams, context_frames and class_weights are
        used.
      seed: Seed of every order and augmentation.
      augmentation: Random changes of each batch.
      soft: Whether targets are probabilities [B, classes] instead of scenes [B].
      teacher: Clip id -> the teacher's probabilities [classes], or None without a teacher.
      labels: Labels in place of scenes, or None.
      frequencies: Clip id -> how often an epoch reads the clip, up to a common factor; None reads
        each clip once. The number of examples in an epoch is the same either way.
    """

    cache: FeatureCache
    corpus: Corpus
    clip_ids: tuple[str, ...]
    settings: TrainingConfig
    seed: int
    augmentation: AugmentationConfig = NO_AUGMENTATION
    soft: bool = False
    teacher: Mapping[str, np.ndarray] | None = None
    labels: Labels | None = None
    frequencies: Mapping[str, float] | None = None

    @property
    def steps(self) -> int:
        """Batches in an epoch, as many as the smallest stream can fill."""
        clips = min(sum(stream.values()) for stream in self._streams)
        frames = self.settings.context_frames
        examples_of_clip = count_examples(self.cache, self.clip_ids[:1], frames)
        return clips * examples_of_clip // self._examples_of_a_stream

    @as_written
    def batches(
        self, first_epoch: int = 0, first_step: int = 0, share: Share = WHOLE
    ) -> tf.data.Dataset:
        """Returns an endless dataset of batches, `steps` in an epoch.

        An epoch ends when the smallest stream cannot fill its part of another batch. The examples
        that are left are dropped; each epoch drops other examples. With `settings.context_frames`,
        each frame of a clip is an example with its context, {"log_mel": [B, context_frames,
        mels, channels]}, and the contexts of `settings.shuffle_buffer` clips are shuffled together.

        Args:
          first_epoch: Epoch of the first batch, from 0.
          first_step: Step of the first batch in that epoch, from 0.
          share: The machine's part of each batch. If it consists of whole streams, the machine
            reads no other files; otherwise it reads all files and keeps its part.
        """
        targets = Targets(self.corpus, self.clip_ids, self.soft, self.teacher, self.labels)
        read = _ShardReader(self.cache, targets)
        streams = self._streams
        count = len(streams)
        # If the streams can be divided among the machines, each reads the files of its streams
        # only. Otherwise each machine reads all files, and `share.rows` below drops what other
        # machines train on.
        reads_whole_streams = count % share.count == 0
        numbers = share.streams(count) if reads_whole_streams else range(count)

        def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
            epoch_key = fold_in(tf.constant([self.seed, ORDER_KEY], tf.int64), epoch)
            parts = []
            for number in numbers:
                # With one stream, the order is the one that epochs had before there were streams.
                key = fold_in(epoch_key, number) if count > 1 else epoch_key
                parts.append(self._stream(read, list(streams[number]), key))
            return _joined(parts).take(self.steps)

        epochs = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
        batches = epochs.flat_map(one_epoch).skip(first_step)
        if not reads_whole_streams:
            batches = batches.map(lambda *batch: share.rows(batch))
        return _with_options(batches).prefetch(2)

    @property
    def _examples_of_a_stream(self) -> int:
        """Examples of each batch that one stream contributes."""
        return self.settings.batch_size // self.settings.input_streams

    @property
    def _streams(self) -> list[dict[int, int]]:
        """{number of a shard: number of its wanted clips} of each stream.

        Shards are assigned so that all streams have nearly the same number of clips: each, the
        largest first, is added to the stream that is the smallest so far.
        """
        streams: list[dict[int, int]] = [{} for _ in range(self.settings.input_streams)]
        shards = _wanted_shards(self.cache, self.clip_ids)
        largest_first = sorted(shards.items(), key=lambda item: (-item[1], item[0]))
        for number, clips in largest_first:
            smallest = min(streams, key=lambda stream: sum(stream.values()))
            smallest[number] = clips
        return [dict(sorted(stream.items())) for stream in streams]

    def _stream(self, read: "_ShardReader", numbers: list[int], key: tf.Tensor) -> tf.data.Dataset:
        """Returns one epoch of one stream: its part of each batch, with augmentation."""
        # A random order of the shards that is a pure function of `key`; see `shuffled`.
        order = tf.argsort(tf.random.stateless_uniform([len(numbers)], seed=key))
        shards = tf.data.Dataset.from_tensor_slices(
            tf.gather(tf.constant(numbers, tf.int64), order)
        )
        if self.frequencies is not None:
            read = self._repeated(read, numbers, key)
        # Four shards are read in turn, so that the clips of several shards are shuffled together.
        clips = shards.interleave(read, cycle_length=4, num_parallel_calls=2, deterministic=True)
        clips = shuffled(clips, self.settings.shuffle_buffer, key)
        if self.settings.context_frames:
            batches = self._context_batches(clips, key)
        else:
            batches = clips.batch(self._examples_of_a_stream, drop_remainder=True)
        if self.augmentation != NO_AUGMENTATION:
            batches = self._augmented(batches, key)
        if self.settings.class_weights == "balanced":
            batches = self._balanced(batches)
        return batches

    def _repeated(
        self, read: "_ShardReader", numbers: Sequence[int], key: tf.Tensor
    ) -> Callable[[tf.Tensor], tf.data.Dataset]:
        """Returns a function that reads each clip of a stream as often as one epoch wants.

        A clip of frequency f is read floor(f) or floor(f) + 1 times, f times on average, and all
        clips of the stream together as often as there are clips (systematic sampling).
        """
        in_stream = set()
        for number in numbers:
            in_stream.update(records.clips_of_shard(self.cache.clip_ids, number))
        frequencies = []
        for clip_id in read.targets.clip_ids:
            frequencies.append(self.frequencies[clip_id] if clip_id in in_stream else 0.0)
        ends = tf.constant(ends_of_repetitions(frequencies), tf.float64)
        start = tf.random.stateless_uniform([], fold_in(key, REPETITION_KEY), dtype=tf.float64)
        ends = tf.floor(tf.concat([[0.0], ends], 0) + start)
        repetitions = tf.cast(ends[1:] - ends[:-1], tf.int64)
        return lambda number: read(number, repetitions)

    def _augmented(self, batches: tf.data.Dataset, key: tf.Tensor) -> tf.data.Dataset:
        """Returns the batches with random changes, a pure function of `key` and their number."""

        def augmented(number: tf.Tensor, batch: Batch) -> Batch:
            inputs, target, weight = batch
            batch_key = fold_in(fold_in(key, AUGMENTATION_KEY), number)
            inputs, target = augment(inputs, target, self.augmentation, batch_key)
            return inputs, target, weight

        return batches.enumerate().map(augmented, num_parallel_calls=2, deterministic=True)

    def _balanced(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Returns the batches with weights by scene; a mixture of scenes has their mean weight."""
        scene_of = {clip.id: clip.scene for clip in self.corpus.clips}
        scenes = [scene_of[clip_id] for clip_id in self.clip_ids]
        by_scene = tf.constant(balanced_weights(scenes, self.corpus.scenes), tf.float32)

        def balanced(inputs: Inputs, target: tf.Tensor | Target, weight: tf.Tensor) -> Batch:
            scene = target.scene if isinstance(target, Target) else target
            if scene.dtype.is_floating:
                of_clip = tf.linalg.matvec(scene, by_scene)  # [B]
            else:
                of_clip = tf.gather(by_scene, scene)  # [B]
            return inputs, target, weight * of_clip

        return batches.map(balanced)

    def _context_batches(self, clips: tf.data.Dataset, key: tf.Tensor) -> tf.data.Dataset:
        """Returns batches of contexts of `settings.context_frames` frames, shuffled in blocks."""
        frames = self.settings.context_frames
        blocks = clips.batch(self.settings.shuffle_buffer)
        contexts = blocks.map(lambda *block: _contexts(frames, *block)).enumerate()
        mixed = contexts.map(lambda number, block: _permuted(number, block, key))
        return mixed.rebatch(self._examples_of_a_stream, drop_remainder=True)


@dataclasses.dataclass(frozen=True)
class EvaluationData:
    """Clips that are predicted or validated on, each once, and how batches are made of them.

    Attributes:
      cache: Features of the corpus.
      corpus: The corpus.
      clip_ids: The clips.
      batch_size: Examples in a batch.
      context_frames: If not 0, each frame of every clip is an example, with a context of so many
        frames.
      soft: Whether targets are [B, classes], 1 for the scene, instead of scenes [B].
      labels: Labels in place of scenes, or None.
    """

    cache: FeatureCache
    corpus: Corpus
    clip_ids: Sequence[str]
    batch_size: int
    context_frames: int = 0
    soft: bool = False
    labels: Labels | None = None

    @property
    def steps(self) -> int:
        """Number of batches."""
        count = count_examples(self.cache, self.clip_ids, self.context_frames)
        # The last batch is filled, so it counts as one.
        return math.ceil(count / self.batch_size)

    @property
    def mean_weight(self) -> float:
        """Mean weight of the examples in all batches; 1 if no clips fill the last batch."""
        count = count_examples(self.cache, self.clip_ids, self.context_frames)
        return count / (self.steps * self.batch_size)

    @property
    def ordered_clip_ids(self) -> tuple[str, ...]:
        """The clips in the order of the batches."""
        return ordered(self.cache, self.clip_ids)

    @as_written
    def batches(self, share: Share = WHOLE) -> tf.data.Dataset:
        """Returns a dataset of every example once; the last batch is filled with weight 0.

        Args:
          share: The machine's part of each batch.
        """
        targets = Targets(self.corpus, self.clip_ids, self.soft, labels=self.labels)
        read = _ShardReader(self.cache, targets)
        numbers = list(_wanted_shards(self.cache, self.clip_ids))
        clips = tf.data.Dataset.from_tensor_slices(tf.constant(numbers, tf.int64)).flat_map(read)
        if self.context_frames:
            frames = self.context_frames
            # `_contexts` expects a batch of clips.
            clips = clips.batch(1).map(lambda *block: _contexts(frames, *block)).unbatch()
        count = count_examples(self.cache, self.clip_ids, self.context_frames)
        # All batches have one size, so that each machine can take an equal part of each.
        missing = self.steps * self.batch_size - count
        if missing:
            filler = clips.take(1).repeat(missing)
            clips = clips.concatenate(filler.map(_without_weight))
        batches = clips.batch(self.batch_size, drop_remainder=True)
        batches = batches.map(lambda *batch: share.rows(batch))
        # Keras shows progress and ends an evaluation by this number.
        batches = batches.apply(tf.data.experimental.assert_cardinality(self.steps))
        return _with_options(batches).prefetch(2)


def ends_of_repetitions(frequencies: Sequence[float]) -> np.ndarray:
    """Returns the cumulative sum of the mean numbers of repetitions of some clips, float64.

    The numbers are in the proportions of `frequencies`, but at most MOST_REPETITIONS. Their sum is
    the number of clips whose frequency is above 0, exactly.
    """
    means = np.asarray(frequencies, np.float64)
    count = np.count_nonzero(means)
    is_free = means > 0
    left = float(count)
    # Repetitions above the limit of a clip are divided among the clips below their limit, some of
    # which may then exceed it, too.
    while True:
        means[is_free] *= left / means[is_free].sum()
        is_above = is_free & (means > MOST_REPETITIONS)
        if not is_above.any():
            break
        means[is_above] = MOST_REPETITIONS
        is_free &= ~is_above
        left -= MOST_REPETITIONS * np.count_nonzero(is_above)
    # Multiples of a power of two have no rounding errors when a random start is added to them.
    return np.round(np.cumsum(means) * REPETITION_STEPS) / REPETITION_STEPS


def shuffled(dataset: tf.data.Dataset, block: int, key: tf.Tensor) -> tf.data.Dataset:
    """Returns the dataset with each `block` elements in a random order, a pure function of `key`.

    `Dataset.shuffle` also depends on the process's global seed, so that a resumed run could not
    repeat its order. Shards contain clips in the order of a hash and come in another order in each
    epoch, so shuffling within blocks mixes well enough.

    Args:
      dataset: The dataset.
      block: Number of elements that are shuffled together.
      key: int64 [2].
    """
    blocks = dataset.batch(block).enumerate()
    return blocks.map(lambda number, elements: _permuted(number, elements, key)).unbatch()


def ordered(cache: FeatureCache, clip_ids: Iterable[str]) -> tuple[str, ...]:
    """Returns `clip_ids` in the order of the records."""
    wanted = set(clip_ids)
    return tuple(clip_id for clip_id in cache.clip_ids if clip_id in wanted)


def feature_statistics(
    cache: FeatureCache, corpus: Corpus, clip_ids: Sequence[str], kind: str
) -> tuple[list[float], list[float]]:
    """Returns mean and standard deviation of a feature over clips, time and channels, in float64.

    Small deviations are raised: see `raised_deviations`.

    Args:
      cache: Features of the corpus.
      corpus: The corpus.
      clip_ids: The clips.
      kind: "log_mel" [frames, mels, channels] gives a value for each mel bin, "embedding" [patches,
        width] for each dimension.
    """
    # Batches are [1, frames, mels, channels] or [1, patches, width].
    axis = 2
    cache_of_kind = FeatureCache(cache.clip_ids, {kind: cache.folders[kind]}, cache.shapes)
    # The preflight stores some clips several times. `ordered` lists each as often as it is stored,
    # so that the number of batches is right.
    stored = ordered(cache, clip_ids)
    count = 0
    total = 0.0
    squares = 0.0
    for inputs, _, _ in EvaluationData(cache_of_kind, corpus, stored, batch_size=1).batches():
        values = inputs[kind].numpy().astype(np.float64)
        entries = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
        count += entries.shape[1]
        total += entries.sum(1)
        squares += np.square(entries).sum(1)
    mean = total / count
    # The variance of a constant feature is 0, or negative by rounding.
    variance = np.maximum(squares / count - mean**2, 0.0)
    return mean.tolist(), raised_deviations(np.sqrt(variance)).tolist()


def raised_deviations(deviation: np.ndarray) -> np.ndarray:
    """Returns standard deviations, with small ones raised so that features can be divided by them.

    Args:
      deviation: The deviation of each mel bin or embedding dimension.
    """
    deviation = np.maximum(deviation, LEAST_DEVIATION)
    return np.maximum(deviation, LEAST_SHARE_OF_DEVIATION * deviation.mean())


def _joined(streams: list[tf.data.Dataset]) -> tf.data.Dataset:
    """Returns a dataset whose batch k is the concatenation of batch k of every stream."""
    if len(streams) == 1:
        return streams[0]

    def concatenated(*values: tf.Tensor) -> tf.Tensor:
        return tf.concat(values, 0)

    return tf.data.Dataset.zip(tuple(streams)).map(
        lambda *parts: tf.nest.map_structure(concatenated, *parts)
    )


def _permuted(number: tf.Tensor, elements: Any, key: tf.Tensor) -> Any:
    """Returns `elements` in a random order, a pure function of `number` and `key`.

    Args:
      number: Number of the block.
      elements: Tensors [elements of the block, ...], all in the same order.
      key: int64 [2].
    """
    count = tf.shape(tf.nest.flatten(elements)[0])[0]
    order = tf.argsort(tf.random.stateless_uniform([count], seed=fold_in(key, number)))
    return tf.nest.map_structure(lambda values: tf.gather(values, order), elements)


def _contexts(frames: int, inputs: Inputs, target: tf.Tensor, weight: tf.Tensor) -> Batch:
    """Returns the context of each frame of some clips as an example.

    At the ends of a clip, the first and the last frame are repeated, as in the baseline of DCASE
    2017.

    Targets are scenes [clips], never probabilities: rows with context_frames have neither
    augmentation nor a teacher (config/rules.py).

    Args:
      frames: Length of a context.
      inputs: {"log_mel": [clips, T, mels, channels]}; other inputs are dropped.
      target: Scene of each clip [clips].
      weight: Weight of each clip [clips].
    """
    # [clips, contexts, frames, mels, channels]
    log_mel = contexts_of_frames(inputs["log_mel"], frames)
    contexts = tf.shape(log_mel)[1]
    flat = tf.reshape(log_mel, tf.concat([[-1], tf.shape(log_mel)[2:]], 0))
    flat = tf.ensure_shape(flat, [None, *log_mel.shape[2:]])  # [clips * contexts, frames, ...]
    return {"log_mel": flat}, tf.repeat(target, contexts), tf.repeat(weight, contexts)


def _without_weight(inputs: Inputs, target: tf.Tensor, weight: tf.Tensor) -> Batch:
    """Returns an example of weight 0, which fills the last batch of an evaluation."""
    return inputs, target, tf.zeros_like(weight)


def _wanted_shards(cache: FeatureCache, clip_ids: Iterable[str]) -> dict[int, int]:
    """Returns {number of a shard: how many of `clip_ids` it contains}, without empty ones."""
    wanted = set(clip_ids)
    counts: collections.Counter[int] = collections.Counter()
    for position, clip_id in enumerate(cache.clip_ids):
        if clip_id in wanted:
            counts[position // records.CLIPS_PER_SHARD] += 1
    return dict(sorted(counts.items()))


class _ShardReader:
    """A function from the number of a shard to a dataset of its wanted clips.

    The elements are (inputs, target, weight) of one clip; the weight is 1.

    Args:
      cache: Features of the corpus.
      targets: The targets of the wanted clips.
    """

    def __init__(self, cache: FeatureCache, targets: Targets):
        self.shards = {kind: cache.shards(kind) for kind in cache.folders}
        self.shapes = cache.shapes
        self.targets = targets

    def __call__(self, number: tf.Tensor, repetitions: tf.Tensor | None = None) -> tf.data.Dataset:
        """Returns the clips of a shard.

        Args:
          number: Number of the shard.
          repetitions: How often each clip of `targets` is read, int64; None is once.
        """
        kinds = {}
        for kind, paths in self.shards.items():
            path = tf.gather(tf.constant(paths), number)
            kinds[kind] = tf.data.TFRecordDataset(path)
        clips = tf.data.Dataset.zip(kinds).map(self._decoded)
        wanted = clips.filter(lambda inputs, position: position >= 0)
        if repetitions is not None:

            def repeated(inputs: Inputs, position: tf.Tensor) -> tf.data.Dataset:
                once = tf.data.Dataset.from_tensors((inputs, position))
                return once.repeat(repetitions[position])

            wanted = wanted.flat_map(repeated)
        return wanted.map(self._with_target)

    def _decoded(self, encoded: dict[str, tf.Tensor]) -> tuple[Inputs, tf.Tensor]:
        """Returns the features of one clip and its position."""
        inputs = {}
        ids = []
        for kind, record in encoded.items():
            values = records.decode(record, {"value": self.shapes[kind]}, ["clip"])
            inputs[kind] = values["value"]
            ids.append(values["clip"])
        # Records of all kinds are read in step. If one record were missing in a file, the features
        # of different clips would be combined from there on.
        checks = []
        for clip_id in ids:
            checks.append(tf.debugging.assert_equal(clip_id, ids[0], DIFFERENT_CLIPS))
        with tf.control_dependencies(checks):
            return inputs, self.targets.position.lookup(ids[0])

    def _with_target(self, inputs: Inputs, position: tf.Tensor) -> Batch:
        """Returns the features of one clip with its target and the weight 1."""
        return inputs, self.targets.at(position), tf.constant(1.0)


def _with_options(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns the dataset with a fixed order, which TensorFlow does not divide among machines."""
    options = tf.data.Options()
    options.deterministic = True
    # `Share` determines what each machine reads, so TensorFlow must not divide the data again.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.with_options(options)
