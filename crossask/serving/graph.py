"""The graphs of exported models: waveforms to probabilities, embeddings and explanations."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from crossask import config
from crossask.audio import amplitudes, clip_features, resampling
from crossask.audio.windows import LEAST_SECONDS
from crossask.events.layer import EventModel
from crossask.events.tagger import Tagger
from crossask.events.waveform_model import WaveformModel
from crossask.models.scene_model import SceneModel
from crossask.serving import wav_file, window_batches
from crossask.tracing import as_written

TOP_SCENES = 3
# A limit of samples that no waveform exceeds; twice as many do not fit into 32 bits.
MOST_SAMPLES = 2.0**30

# Signatures that read waveforms. A model that also takes embeddings has no others.
OF_WAVEFORMS = ("serving_default", "embed", "explain")

_RATE = tf.TensorSpec([], tf.int32, name="sample_rate_hz")
_INPUTS = (tf.TensorSpec([None, None, None], tf.float32, name="waveform"), _RATE)
_WINDOWS = (tf.TensorSpec([None, None, None], tf.float32, name="windows"), _RATE)


@dataclasses.dataclass(frozen=True)
class _Recordings:
    """Recordings of equal length and sample rate, whose samples are read window by window.

    Attributes:
      count: Number of recordings.
      first_entry: Number of the first one in the batch of the request.
      samples: Samples of each.
      sample_rate_hz: Their sample rate.
      read: Number of a recording, and start and end in samples -> samples [samples, channels].
    """

    count: tf.Tensor
    first_entry: tf.Tensor
    samples: tf.Tensor
    sample_rate_hz: tf.Tensor
    read: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class ModelParts:
    """The trained parts of a model that is exported.

    Attributes:
      experiment: The row; it determines the front-ends.
      scene_model: Features of clips -> logits.
      event_model: Patches -> embeddings, or None if the row reads no events.
      tagger: Embeddings -> scores of events, or None if it is not available.
      scenes: Names of the scenes in the order of the logits.
      card: Path of the model card, which is stored with the model.
      embedding_shape: Shape (n, E) of the embeddings of a clip, for a row that reads embeddings
        from a file; else None.
    """

    experiment: config.Experiment
    scene_model: SceneModel
    event_model: EventModel | WaveformModel | None
    tagger: Tagger | None
    scenes: Sequence[str]
    card: str
    embedding_shape: tuple[int, int] | None = None

    @property
    def variables(self) -> list[tf.Variable]:
        """The variables of both networks; the event model may be a part of the scene model."""
        variables = list(self.scene_model.variables)
        if self.event_model is not None:
            variables += self.event_model.variables
        # Variables are distinguished by identity, because == compares their values.
        return list({id(variable): variable for variable in variables}.values())


class BaseServedModel(tf.Module):
    """The base of the exported models: windows of waveforms, features and predictions.

    Attributes:
      embedding_shape: Shape of the input "embedding" without the batch; None if there is no such
        input.
    """

    embedding_shape: tuple[int, int] | None = None

    def __init__(self, parts: ModelParts):
        """Creates the model from its trained parts."""
        super().__init__()
        # For each Keras layer in an attribute, `tf.saved_model.save` also writes functions that
        # create the layer again. Nothing reads them, and they take a tenth of the time. It does not
        # look into `parts`, so what it has to save is an attribute, too.
        self._parts = parts
        if isinstance(parts.event_model, WaveformModel):
            self.waveform_model = parts.event_model
        self.tagger = parts.tagger
        self._features = parts.experiment.features
        self._event_config = parts.experiment.event_model_read
        self._event_input = parts.experiment.event_input
        self._scenes = tf.constant(list(parts.scenes))
        self.model_card = tf.saved_model.Asset(parts.card)

    def _track_variables(self) -> None:
        """Makes the variables of the networks an attribute, so that they are saved."""
        # A network that was never called creates its variables when it is traced.
        self.classify.get_concrete_function()
        self.network_variables = self._parts.variables

    def signatures(self) -> dict[str, Callable]:
        """Returns the SavedModel's signatures by name."""
        return {"serving_default": self.classify, "embed": self.embed, "explain": self.explain}

    def _grid(self, recordings: _Recordings) -> window_batches.WindowGrid:
        """Returns the windows of each recording, which must be long enough."""
        rate = recordings.sample_rate_hz
        length = _samples_in(self._features.clip_seconds, rate)
        least = tf.minimum(length, _samples_in(LEAST_SECONDS, rate))
        is_long_enough = wav_file.check_entry(
            recordings.first_entry,
            recordings.samples >= least,
            "The waveform must last at least 1 s. Its samples:",
            recordings.samples,
        )
        with tf.control_dependencies([is_long_enough]):
            samples = tf.identity(recordings.samples)
        most_silence = _samples_in(self._features.max_padding_seconds, rate)
        return window_batches.grid_of(samples, length, most_silence)

    def _probabilities_of(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns the probabilities [n, scenes] of the scene model's inputs of windows."""
        logits = self._parts.scene_model(inputs, training=False)
        return {"probabilities": tf.nn.softmax(logits)}

    def _embeddings_of(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns the values of the signature embed for the scene model's inputs of windows."""
        scene_model = self._parts.scene_model
        scene, _ = scene_model.scene_embedding(inputs, training=False, seed=None)  # [n, D]
        result = {"scene_embedding": tf.cast(scene, tf.float32)}
        if self._event_input:
            result["event_embedding"] = tf.cast(self._event_embedding(inputs), tf.float32)
        return result

    def _explanations_of(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns the values of the signature explain for the scene model's inputs of windows."""
        _, attention = self._parts.scene_model.explain(inputs)
        result = {f"attention_{name}": weights for name, weights in attention.items()}
        if "log_mel" in self._parts.scene_model.reads:
            result["log_mel"] = inputs["log_mel"]
        if self.tagger is not None:
            result["event_scores"] = self.tagger(self._event_embedding(inputs))
        return result

    @tf.function(input_signature=_WINDOWS)
    @as_written
    def _inputs(self, windows: tf.Tensor, sample_rate_hz: tf.Tensor) -> dict[str, tf.Tensor]:
        """Computes the scene model's inputs of windows [n, samples, channels]."""
        # Double mono.
        shape = tf.shape(windows)
        stereo = tf.broadcast_to(windows, [shape[0], shape[1], 2])
        # Compute the log-mel, and the event model's patches or embeddings.
        inputs = clip_features.clip_features(
            stereo, sample_rate_hz, self._features, self._event_config
        )
        if self._event_input == "embedding" and self._parts.event_model is not None:
            inputs["embedding"] = self._parts.event_model(inputs.pop("patches"))
        return inputs

    def _event_embedding(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Returns the embeddings [n, patches, E] of the scene model's inputs."""
        if "embedding" in inputs:
            return inputs["embedding"]
        return self._parts.event_model(inputs["patches"])

    def _with_names(self, probabilities: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the values of `classify` for probabilities [batch, scenes]."""
        top_probabilities, order = tf.math.top_k(probabilities, min(TOP_SCENES, len(self._scenes)))
        return {
            "probabilities": probabilities,
            "scenes": tf.tile(self._scenes[tf.newaxis], [tf.shape(probabilities)[0], 1]),
            "top_scene": tf.gather(self._scenes, order[:, 0]),
            "top_scenes": tf.gather(self._scenes, order),
            "top_probabilities": top_probabilities,
        }


class ServedModel(BaseServedModel):
    """A model from waveform to scene names: resampling, windows, log-mel, event and scene model.

    The signatures take waveform [batch, samples, channels] (-1..1, 1 or 2 channels, at least 1 s)
    and sample_rate_hz (one of `resampling.SAMPLE_RATES_HZ`); classify_wav takes the bytes of WAV
    files. A waveform longer than a training clip is cut into windows of that length, half a clip
    apart; the last one ends with the waveform. A shorter one is filled as
    `crossask.audio.fill_window` does, with silence of at most features.max_padding_seconds. A few
    windows are computed at a time (`window_batches`). Samples that are not finite or of amplitude
    8 or more are an error that lists their entries of the batch.
    """

    def __init__(self, parts: ModelParts):
        """Creates the model from its trained parts."""
        super().__init__(parts)
        self._track_variables()

    def signatures(self) -> dict[str, Callable]:
        """Returns the SavedModel's signatures by name."""
        return {**super().signatures(), "classify_wav": self.classify_wav}

    @tf.function(input_signature=_INPUTS)
    @as_written
    def classify(self, waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> dict[str, tf.Tensor]:
        """Predicts the scene of each recording.

        Returns:
          "probabilities" [batch, scenes], the mean over the windows that are not silent, or over
          all windows if all are; "scenes" [batch, scenes], their names; "top_scene" [batch];
          "top_scenes" and "top_probabilities" [batch, 3], the most probable scenes in falling
          order.
        """
        values = self._by_window(_waveforms(waveform, sample_rate_hz), self._probabilities)
        return self._with_names(_mean_of_audible(values))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="wav_bytes")])
    @as_written
    def classify_wav(self, wav_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Predicts the scene of each WAV file from its bytes.

        The files may differ in length, sample rate, channels and encoding.

        Args:
          wav_bytes: The files [batch]; see `wav_file.open_wav` for what they may contain.

        Returns:
          The values of `classify`.
        """
        count = tf.size(wav_bytes)
        with tf.control_dependencies([_batch_check(count)]):
            entries = tf.range(count)

        def predict(entry: tf.Tensor) -> tf.Tensor:
            """Returns the probabilities [scenes] of one file."""
            recording = _recording_of(wav_file.open_wav(wav_bytes, entry))
            values = self._by_window(recording, self._probabilities)
            return _mean_of_audible(values)[0]

        probabilities = tf.map_fn(
            predict,
            entries,
            fn_output_signature=tf.TensorSpec(self._scenes.shape, tf.float32),
            parallel_iterations=1,
        )  # [batch, scenes]
        return self._with_names(probabilities)

    @tf.function(input_signature=_INPUTS)
    @as_written
    def embed(self, waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> dict[str, tf.Tensor]:
        """Computes the embeddings of each window.

        Returns:
          "scene_embedding" [batch, windows, D], the input of the scene model's last layer;
          "window_start_seconds" [windows]; if the model reads events, also "event_embedding"
          [batch, windows, patches, E].
        """
        return self._by_window(_waveforms(waveform, sample_rate_hz), self._embeddings)

    @tf.function(input_signature=_INPUTS)
    @as_written
    def explain(self, waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> dict[str, tf.Tensor]:
        """Computes the attention weights, the log-mel and the event scores of each window.

        Returns:
          "attention_<name>" [batch, windows, heads, ...], the attention weights of
          `SceneModel.explain`; "window_start_seconds" [windows]; if the model reads it, "log_mel"
          [batch, windows, frames, mels, channels]; with a tagger, "event_scores" [batch, windows,
          patches, events], whose events are listed in the model card.
        """
        return self._by_window(_waveforms(waveform, sample_rate_hz), self._explanations)

    def _by_window(self, recordings: _Recordings, compute: Callable) -> dict[str, tf.Tensor]:
        """Computes values of the windows of recordings.

        Args:
          recordings: The recordings.
          compute: Windows [n, samples, channels] and their sample rate -> values by name, each
            [n, ...].

        Returns:
          The values by name, each [recordings, windows, ...], and "window_start_seconds" [windows].
        """
        grid = self._grid(recordings)
        values, is_usable = window_batches.compute_windows(
            recordings.count * grid.count,
            functools.partial(_window, recordings, grid),
            compute,
            recordings.sample_rate_hz,
        )
        rate = tf.cast(recordings.sample_rate_hz, tf.float32)
        check = _sample_check(_by_recording(is_usable, grid.count), recordings.first_entry)
        with tf.control_dependencies([check]):
            result = {name: _by_recording(value, grid.count) for name, value in values.items()}
            result["window_start_seconds"] = tf.cast(grid.starts, tf.float32) / rate
        return result

    @tf.function(input_signature=_WINDOWS)
    @as_written
    def _probabilities(self, windows: tf.Tensor, sample_rate_hz: tf.Tensor) -> dict[str, tf.Tensor]:
        """Computes the probabilities [n, scenes] of windows, and "is_audible" [n]."""
        probabilities = self._probabilities_of(self._inputs(windows, sample_rate_hz))
        return {**probabilities, "is_audible": window_batches.are_audible(windows)}

    @tf.function(input_signature=_WINDOWS)
    @as_written
    def _embeddings(self, windows: tf.Tensor, sample_rate_hz: tf.Tensor) -> dict[str, tf.Tensor]:
        """Computes the values of `embed` for windows."""
        return self._embeddings_of(self._inputs(windows, sample_rate_hz))

    @tf.function(input_signature=_WINDOWS)
    @as_written
    def _explanations(self, windows: tf.Tensor, sample_rate_hz: tf.Tensor) -> dict[str, tf.Tensor]:
        """Computes the values of `explain` for windows."""
        return self._explanations_of(self._inputs(windows, sample_rate_hz))


class ServedModelOfEmbeddings(BaseServedModel):
    """A model that also takes the embeddings of the recording, which another toolkit computes.

    The signatures serving_default, embed and explain have the inputs of those of `ServedModel`, and
    embedding [batch, n, E]; there is no classify_wav. An embedding belongs to one clip, so a
    waveform may not be longer: at most features.max_cut_seconds are cut off.
    """

    def __init__(self, parts: ModelParts):
        """Creates the model from its trained parts, with an `embedding_shape`."""
        super().__init__(parts)
        self.embedding_shape = parts.embedding_shape
        self.classify = self._with_embedding(self._classified)
        self.embed = self._with_embedding(self._embedded)
        self.explain = self._with_embedding(self._explained)
        self._track_variables()

    def _classified(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return self._with_names(self._probabilities_of(inputs)["probabilities"])

    def _embedded(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return _of_one_window(self._embeddings_of(inputs))

    def _explained(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return _of_one_window(self._explanations_of(inputs))

    def _with_embedding(self, compute: Callable) -> Callable:
        """Returns a tf.function of the three inputs.

        Args:
          compute: The scene model's inputs of clips -> outputs of the signature.
        """
        embedding_spec = tf.TensorSpec([None, *self.embedding_shape], tf.float32, name="embedding")

        @tf.function(input_signature=[*_INPUTS, embedding_spec])
        @as_written
        def signature(
            waveform: tf.Tensor, sample_rate_hz: tf.Tensor, embedding: tf.Tensor
        ) -> dict[str, tf.Tensor]:
            clips = self._clips(waveform, sample_rate_hz)
            # Some models would predict a batch of one for all others, or more than there are.
            has_each = tf.debugging.assert_equal(
                tf.shape(embedding)[0],
                tf.shape(waveform)[0],
                "Each waveform of the batch needs its embedding; the two numbers differ.",
            )
            message = "The embedding has values that are not finite."
            inputs = self._inputs(clips, sample_rate_hz)
            with tf.control_dependencies([has_each]):
                inputs["embedding"] = tf.debugging.check_numerics(embedding, message)
            return compute(inputs)

        return signature

    def _clips(self, waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> tf.Tensor:
        """Returns the waveforms as clips [batch, samples, channels] of the trained length."""
        length = _samples_in(self._features.clip_seconds, sample_rate_hz)
        most_cut = _samples_in(self._features.max_cut_seconds, sample_rate_hz)
        message = "The waveform must be one clip, because the embedding is that of one clip."
        is_one_clip = tf.debugging.assert_less_equal(
            tf.shape(waveform)[1], length + most_cut, message
        )
        with tf.control_dependencies([is_one_clip]):
            recordings = _waveforms(waveform[:, :length], sample_rate_hz)
        # Each recording is one window.
        grid = self._grid(recordings)
        clips = tf.map_fn(
            functools.partial(_window, recordings, grid),
            tf.range(recordings.count),
            fn_output_signature=tf.TensorSpec([None, None], tf.float32),
        )
        # The samples that were cut off are checked, too.
        is_usable = window_batches.are_usable(waveform)[:, tf.newaxis]
        with tf.control_dependencies([_sample_check(is_usable, recordings.first_entry)]):
            return tf.identity(clips)


def _by_recording(value: tf.Tensor, windows: tf.Tensor) -> tf.Tensor:
    """Reshapes [batch * windows, ...] to [batch, windows, ...]."""
    shape_of_window = tf.shape(value)[1:]
    return tf.reshape(value, tf.concat([[-1, windows], shape_of_window], 0))


def _mean_of_audible(values: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """Returns the mean probabilities [recordings, scenes] over the windows that are not silent.

    If all windows of a recording are silent, the mean is over all of them.

    Args:
      values: The values of `ServedModel._probabilities`, each [recordings, windows, ...].
    """
    is_audible = values["is_audible"]
    is_silence = tf.logical_not(tf.reduce_any(is_audible, axis=1, keepdims=True))
    weights = tf.cast(tf.logical_or(is_audible, is_silence), tf.float32)
    weighted = weights[:, :, tf.newaxis] * values["probabilities"]
    return tf.reduce_sum(weighted, axis=1) / tf.reduce_sum(weights, axis=1, keepdims=True)


def _of_one_window(values: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Returns values [batch, ...] of recordings that are one window as [batch, windows, ...]."""
    result = {name: value[:, tf.newaxis] for name, value in values.items()}
    result["window_start_seconds"] = tf.zeros([1])
    return result


def _window(
    recordings: _Recordings, grid: window_batches.WindowGrid, number: tf.Tensor
) -> tf.Tensor:
    """Returns one window [samples, channels] of the windows of all recordings."""
    start = grid.starts[number % grid.count]
    end = tf.minimum(start + grid.length, recordings.samples)
    waveform = recordings.read(number // grid.count, start, end)
    return window_batches.fill_window(waveform, grid)


def _waveforms(waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> _Recordings:
    """Returns the recordings in waveform [batch, samples, channels]."""
    shape = tf.shape(waveform)
    checks = [
        _batch_check(shape[0]),
        tf.debugging.assert_less_equal(
            shape[2], 2, "The waveform must be [batch, samples, channels] with 1 or 2 channels."
        ),
        resampling.rate_check(sample_rate_hz),
    ]
    with tf.control_dependencies(checks):
        waveform = tf.identity(waveform)
        sample_rate_hz = tf.identity(sample_rate_hz)

    def read(recording: tf.Tensor, start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
        return waveform[recording][start:end]

    return _Recordings(shape[0], tf.constant(0), shape[1], sample_rate_hz, read)


def _recording_of(file: wav_file.WavFile) -> _Recordings:
    """Returns the one recording in a WAV file."""

    def read(_recording: tf.Tensor, start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
        return file.read(start, end)

    return _Recordings(tf.constant(1), file.entry, file.samples, file.sample_rate_hz, read)


def _samples_in(seconds: float, sample_rate_hz: tf.Tensor) -> tf.Tensor:
    """Returns the number of samples in some seconds at a rate, both scalar.

    It is Python's round(seconds * sample_rate_hz), with which windows are cut outside the graph.
    Floats of 32 bits would round some halves to the other side, such as 4.7 s at 11,025 Hz. Limits
    that no waveform exceeds become MOST_SAMPLES, because larger ones are negative as integers.
    """
    product = tf.constant(seconds, tf.float64) * tf.cast(sample_rate_hz, tf.float64)
    return tf.cast(tf.round(tf.minimum(product, MOST_SAMPLES)), tf.int32)


def _batch_check(size: tf.Tensor) -> tf.Operation | None:
    """Returns an operation that fails if a batch is empty."""
    return tf.debugging.assert_positive(
        size, "The batch is empty; it must contain at least one recording."
    )


def _sample_check(is_usable: tf.Tensor, first_entry: tf.Tensor) -> tf.Operation | None:
    """Returns an operation that fails if samples are not finite or not below `amplitudes.LIMIT`.

    The outputs would not always show it: pooling by the maximum hides a NaN.

    Args:
      is_usable: Whether the samples of each window are amplitudes [recordings, windows].
      first_entry: Number of the first recording in the batch of the request.
    """
    is_usable = tf.reduce_all(is_usable, axis=1)  # [recordings]
    numbers = tf.where(tf.logical_not(is_usable))[:, 0]
    unusable = tf.cast(first_entry, tf.int64) + numbers
    message = (
        "The waveform has samples that are not finite or of amplitude "
        f"{amplitudes.LIMIT:g} or more; scale the samples to -1..1. Entries of the batch, counted "
        "from 0:"
    )
    return tf.debugging.Assert(tf.reduce_all(is_usable), [message, unusable], summarize=20)
