"""Patches and labels of labelled clips, stored in TFRecord files and read as batches."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from crossask import config, files
from crossask.audio import clip_features, rates, reading
from crossask.config import EventModelConfig, catalogue
from crossask.errors import AudioError, DataError
from crossask.features import records
from crossask.features.augmentation import fold_in
from crossask.features.batches import shuffled
from crossask.pretraining.labels import LabelledClip

# Keeps the random numbers of the order apart from others of the same seed.
ORDER_KEY = 0xE7E7
# Clips that are shuffled together, at most.
SHUFFLE_BLOCK = 4096


class PatchStore:
    """Patches and labels in one TFRecord file for each side, so that memory does not grow with it.

    Args:
      folder: Folder of the files.
      event_model: The event model whose front-end computes the patches.
      clip_seconds: Clips are cut or padded with silence to this length.
      kinds: Names of all kinds of events, in the order of the labels.
      workers: Sound files read at once.
    """

    def __init__(
        self,
        folder: Path,
        event_model: EventModelConfig,
        clip_seconds: float,
        kinds: Sequence[str],
        workers: int,
    ):
        self.folder = folder
        self.kinds = list(kinds)
        self.workers = workers
        self.clip_seconds = clip_seconds
        self.event_model = event_model
        front_end = catalogue.event_model(event_model.name).front_end
        rate = catalogue.front_end(front_end).sample_rate_hz
        self.features = config.FeatureConfig(sample_rate_hz=rate, clip_seconds=clip_seconds)
        self._graphs: dict[tuple, Callable] = {}
        silence = np.zeros((round(clip_seconds * rate), 1), np.float32)
        self.shape = tuple(self._patches(silence, rate).shape)

    def write(
        self, side: str, clips: Sequence[LabelledClip], progress: Callable[[int], None]
    ) -> str:
        """Writes the file of one side, unless it exists, and returns its path.

        Args:
          side: Name of the side, and of its file.
          clips: The clips.
          progress: Called with the number of clips done.

        Raises:
          DataError: Some sound files cannot be used.
        """
        path = self.folder / f"{side}.tfrecord"
        if path.is_file():
            return str(path)
        problems: list[str] = []

        def load(number: np.int64) -> np.ndarray:
            try:
                return self._load(clips[number])
            except AudioError as error:
                # All unusable files are reported together, at the end.
                problems.append(error.problem)
                return np.zeros(self.shape, np.float32)

        def numbered(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return number, tf.numpy_function(load, [number], tf.float32)

        dataset = tf.data.Dataset.range(len(clips))
        dataset = dataset.map(numbered, num_parallel_calls=self.workers).prefetch(self.workers)
        with files.writing(path) as temporary, tf.io.TFRecordWriter(str(temporary)) as writer:
            for number, patches in dataset:
                labels = np.isin(self.kinds, clips[int(number)].labels)
                values = {"patches": patches.numpy(), "labels": labels}
                writer.write(records.encode(values))
                progress(int(number) + 1)
            if problems:
                raise DataError(
                    f"{len(problems)} of {len(clips)} sound files cannot be used: "
                    f"{' '.join(sorted(problems)[:10])}",
                    "Repair or remove them and run again.",
                )
        return str(path)

    def training_batches(
        self, path: str, batch_size: int, seed: int, first_epoch: int, first_step: int
    ) -> tf.data.Dataset:
        """Returns an endless dataset of batches, in an order that is a function of (seed, epoch).

        Args:
          path: File that `write` returned.
          batch_size: Clips in a batch; the remainder of an epoch is dropped.
          seed: Seed of the order.
          first_epoch: Epoch of the first batch.
          first_step: Step of the first batch in that epoch.
        """

        def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
            key = fold_in(tf.constant([seed, ORDER_KEY], tf.int64), epoch)
            mixed = shuffled(tf.data.TFRecordDataset(path), SHUFFLE_BLOCK, key)
            return mixed.map(self._decoded).batch(batch_size, drop_remainder=True)

        epochs = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
        return epochs.flat_map(one_epoch).skip(first_step).prefetch(2)

    def evaluation_batches(self, path: str, batch_size: int) -> tf.data.Dataset:
        """Returns a dataset of every clip of a file once."""
        clips = tf.data.TFRecordDataset(path).map(self._decoded)
        return clips.batch(batch_size).prefetch(2)

    def _decoded(self, record: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        shapes = {"patches": self.shape, "labels": [len(self.kinds)]}
        values = records.decode(record, shapes)
        return {"patches": values["patches"]}, values["labels"]

    def _load(self, clip: LabelledClip) -> np.ndarray:
        """Returns the patches of a clip."""
        waveform, rate = reading.read_audio(clip.path)
        waveform, rate = rates.to_graph_rate(waveform, rate, self.features.sample_rate_hz)
        length = round(self.clip_seconds * rate)
        waveform = waveform[:length]
        missing = length - len(waveform)
        waveform = np.pad(waveform, ((0, missing), (0, 0)))
        return self._patches(waveform, rate).numpy()

    def _patches(self, waveform: np.ndarray, rate: int) -> tf.Tensor:
        """Returns patches [P, 96, 64] of a waveform [samples, channels]."""
        # one graph for each format of file
        key = (rate, waveform.shape)
        if key not in self._graphs:
            self._graphs[key] = self._traced(waveform.shape, rate)
        return self._graphs[key](waveform)

    def _traced(self, shape: tuple[int, ...], rate: int) -> Callable:
        @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32)])
        def patches(waveform: tf.Tensor) -> tf.Tensor:
            batch = clip_features.event_patches(
                waveform[tf.newaxis], rate, self.features, self.event_model
            )
            return batch[0]

        return patches
