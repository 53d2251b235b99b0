"""Computes the features of single clips, from their sound or from embeddings that are given."""

import threading
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import tensorflow as tf

from crossask.audio import clip_features, fill_window, rates, reading
from crossask.config import Experiment
from crossask.datasets import Clip, embeddings
from crossask.events.layer import EventModel
from crossask.events.precomputed import Precomputed
from crossask.events.waveform_model import WaveformModel
from crossask.features import samples
from crossask.tracing import as_written

# Clips whose patches the event model reads in one call. Its weights are read from memory once a
# call, so VGGish takes a quarter less time for each of 8 clips than for a single one.
CLIPS_PER_CALL = 8

# What was done to a clip to bring it to the row's length.
Change = Literal["", "padded", "cut"]
Features = dict[str, np.ndarray]
FrozenModel = EventModel | WaveformModel | Precomputed


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

    def __init__(self, experiment: Experiment, event_model: FrozenModel | None):
        self.features = experiment.features
        self.event_config = experiment.event_model_read
        self.event_model = event_model
        self.highest_rate_hz = highest_rate_hz(experiment)
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


def highest_rate_hz(experiment: Experiment) -> int:
    """Returns the higher of the sample rates that the scene model and the event model read."""
    rate_hz = experiment.features.sample_rate_hz
    if experiment.event_model_read is not None:
        rate_hz = max(rate_hz, clip_features.event_rate_hz(experiment.event_model_read))
    return rate_hz
