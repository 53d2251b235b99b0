"""Exports a finished run as a SavedModel that classifies waveforms.

Loading the SavedModel needs TensorFlow alone, and none of this package's code.
"""

import dataclasses
import functools
import importlib.util
import io
import os
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from crossask import config, events, files, stored
from crossask.audio import amplitudes, clip_features, resampling
from crossask.audio.windows import LEAST_SECONDS
from crossask.errors import CrossaskError
from crossask.events.layer import EventModel
from crossask.events.tagger import Tagger, read_tagger
from crossask.events.waveform_model import WaveformModel
from crossask.models.scene_model import SceneModel
from crossask.serving import wav_file, window_batches
from crossask.serving.model_card import exportable_experiment, model_card
from crossask.training import devices
from crossask.training.run_folder import Run

if TYPE_CHECKING:
    from tensorflow_serving.apis import predict_pb2

# Largest difference allowed between the model and the written file: of a probability, or as a share
# of the largest value of an embedding or a log-mel.
TOLERANCE = 1e-5
TOP_SCENES = 3
# File inside the SavedModel in which TensorFlow Serving looks for warm-up requests.
WARM_UP = "assets.extra/tf_serving_warmup_requests"

_RATE = tf.TensorSpec([], tf.int32, name="sample_rate_hz")
_INPUTS = (tf.TensorSpec([None, None, None], tf.float32, name="waveform"), _RATE)
_WINDOWS = (tf.TensorSpec([None, None, None], tf.float32, name="windows"), _RATE)
# Signatures that read waveforms. A model that also takes embeddings has no others.
_OF_WAVEFORMS = ("serving_default", "embed", "explain")


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


class _Served(tf.Module):
    """The base of the exported models: windows of waveforms, features and predictions.

    Attributes:
      embedding_shape: Shape of the input "embedding" without the batch; None if there is no such
        input.
    """

    embedding_shape: tuple[int, int] | None = None

    def __init__(
        self,
        experiment: config.Experiment,
        scene_model: SceneModel,
        event_model: EventModel | WaveformModel | None,
        tagger: Tagger | None,
        scenes: Sequence[str],
        card: str,
    ):
        """Creates the model from its trained parts.

        Args:
          experiment: The row; it determines the front-ends.
          scene_model: Features of clips -> logits.
          event_model: Patches -> embeddings, or None if the row reads no events.
          tagger: Embeddings -> scores of events, or None if it is not available.
          scenes: Names of the scenes in the order of the logits.
          card: Path of the model card, which is stored with the model.
        """
        super().__init__()
        self.scene_model = scene_model
        self.event_model = event_model
        self.tagger = tagger
        self._features = experiment.features
        self._event_config = experiment.event_model_read
        self._event_input = experiment.event_input
        self._scenes = tf.constant(list(scenes))
        self.model_card = tf.saved_model.Asset(card)

    def signatures(self) -> dict[str, Callable]:
        """Returns the SavedModel's signatures by name."""
        return {"serving_default": self.classify, "embed": self.embed, "explain": self.explain}

    def _grid(self, recordings: _Recordings) -> window_batches.WindowGrid:
        """Returns the windows of each recording, which must be long enough."""
        rate = tf.cast(recordings.sample_rate_hz, tf.float32)
        length = _samples_in(self._features.clip_seconds, rate)
        least = tf.minimum(length, tf.cast(LEAST_SECONDS * rate, tf.int32))
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
        logits = self.scene_model(inputs, training=False)
        return {"probabilities": tf.nn.softmax(logits)}

    def _embeddings_of(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns the values of the signature embed for the scene model's inputs of windows."""
        scene, _ = self.scene_model.scene_embedding(inputs, training=False, seed=None)  # [n, D]
        result = {"scene_embedding": tf.cast(scene, tf.float32)}
        if self._event_input:
            result["event_embedding"] = tf.cast(self._event_embedding(inputs), tf.float32)
        return result

    def _explanations_of(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns the values of the signature explain for the scene model's inputs of windows."""
        _, attention = self.scene_model.explain(inputs)
        result = {f"attention_{name}": weights for name, weights in attention.items()}
        if "log_mel" in self.scene_model.reads:
            result["log_mel"] = inputs["log_mel"]
        if self.tagger is not None:
            result["event_scores"] = self.tagger(self._event_embedding(inputs))
        return result

    @tf.function(input_signature=_WINDOWS)
    def _inputs(self, windows: tf.Tensor, sample_rate_hz: tf.Tensor) -> dict[str, tf.Tensor]:
        """Computes the scene model's inputs of windows [n, samples, channels]."""
        # Double mono.
        shape = tf.shape(windows)
        stereo = tf.broadcast_to(windows, [shape[0], shape[1], 2])
        # Compute the log-mel, and the event model's patches or embeddings.
        inputs = clip_features.clip_features(
            stereo, sample_rate_hz, self._features, self._event_config
        )
        if self._event_input == "embedding" and self.event_model is not None:
            inputs["embedding"] = self.event_model(inputs.pop("patches"))
        return inputs

    def _event_embedding(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Returns the embeddings [n, patches, E] of the scene model's inputs."""
        if "embedding" in inputs:
            return inputs["embedding"]
        return self.event_model(inputs["patches"])

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


class ServedModel(_Served):
    """A model from waveform to scene names: resampling, windows, log-mel, event and scene model.

    The signatures take waveform [batch, samples, channels] (-1..1, 1 or 2 channels, at least 1 s)
    and sample_rate_hz (one of `resampling.SAMPLE_RATES_HZ`); classify_wav takes the bytes of WAV
    files. A waveform longer than a training clip is cut into windows of that length, half a clip
    apart; the last one ends with the waveform. A shorter one is filled as
    `crossask.audio.fill_window` does, with silence of at most features.max_padding_seconds. A few
    windows are computed at a time (`window_batches`). Samples that are not finite or of amplitude
    8 or more are an error that lists their entries of the batch.
    """

    def signatures(self) -> dict[str, Callable]:
        """Returns the SavedModel's signatures by name."""
        return {**super().signatures(), "classify_wav": self.classify_wav}

    @tf.function(input_signature=_INPUTS)
    def classify(self, waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> dict[str, tf.Tensor]:
        """Predicts the scene of each recording.

        Returns:
          "probabilities" [batch, scenes], the mean over windows; "scenes" [batch, scenes], their
          names; "top_scene" [batch]; "top_scenes" and "top_probabilities" [batch, 3], the most
          probable scenes in falling order.
        """
        values = self._by_window(_waveforms(waveform, sample_rate_hz), self._probabilities)
        return self._with_names(tf.reduce_mean(values["probabilities"], axis=1))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="wav_bytes")])
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
            return tf.reduce_mean(values["probabilities"][0], axis=0)

        probabilities = tf.map_fn(
            predict,
            entries,
            fn_output_signature=tf.TensorSpec(self._scenes.shape, tf.float32),
            parallel_iterations=1,
        )  # [batch, scenes]
        return self._with_names(probabilities)

    @tf.function(input_signature=_INPUTS)
    def embed(self, waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> dict[str, tf.Tensor]:
        """Computes the embeddings of each window.

        Returns:
          "scene_embedding" [batch, windows, D], the input of the scene model's last layer;
          "window_start_seconds" [windows]; if the model reads events, also "event_embedding"
          [batch, windows, patches, E].
        """
        return self._by_window(_waveforms(waveform, sample_rate_hz), self._embeddings)

    @tf.function(input_signature=_INPUTS)
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
    def _probabilities(self, windows: tf.Tensor, sample_rate_hz: tf.Tensor) -> dict[str, tf.Tensor]:
        """Computes the probabilities [n, scenes] of windows."""
        return self._probabilities_of(self._inputs(windows, sample_rate_hz))

    @tf.function(input_signature=_WINDOWS)
    def _embeddings(self, windows: tf.Tensor, sample_rate_hz: tf.Tensor) -> dict[str, tf.Tensor]:
        """Computes the values of `embed` for windows."""
        return self._embeddings_of(self._inputs(windows, sample_rate_hz))

    @tf.function(input_signature=_WINDOWS)
    def _explanations(self, windows: tf.Tensor, sample_rate_hz: tf.Tensor) -> dict[str, tf.Tensor]:
        """Computes the values of `explain` for windows."""
        return self._explanations_of(self._inputs(windows, sample_rate_hz))


class ServedModelOfEmbeddings(_Served):
    """A model that also takes the embeddings of the recording, which another toolkit computes.

    The signatures serving_default, embed and explain have the inputs of those of `ServedModel`, and
    embedding [batch, n, E]; there is no classify_wav. An embedding belongs to one clip, so a
    waveform may not be longer: at most features.max_cut_seconds are cut off.
    """

    def __init__(self, embedding_shape: Sequence[int], *parts: Any):
        """Creates the model.

        Args:
          embedding_shape: Shape (n, E) of the embeddings of a clip.
          *parts: Arguments of `ServedModel`; the event model is None.
        """
        super().__init__(*parts)
        self.embedding_shape = tuple(embedding_shape)
        self.classify = self._with_embedding(self._classified)
        self.embed = self._with_embedding(self._embedded)
        self.explain = self._with_embedding(self._explained)

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
        def signature(
            waveform: tf.Tensor, sample_rate_hz: tf.Tensor, embedding: tf.Tensor
        ) -> dict[str, tf.Tensor]:
            clips = self._clips(waveform, sample_rate_hz)
            message = "The embedding has values that are not finite."
            inputs = self._inputs(clips, sample_rate_hz)
            inputs["embedding"] = tf.debugging.check_numerics(embedding, message)
            return compute(inputs)

        return signature

    def _clips(self, waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> tf.Tensor:
        """Returns the waveforms as clips [batch, samples, channels] of the trained length."""
        rate = tf.cast(sample_rate_hz, tf.float32)
        length = _samples_in(self._features.clip_seconds, rate)
        most_cut = _samples_in(self._features.max_cut_seconds, rate)
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


def export_run(run: Run, out_dir: str | Path) -> Path:
    """Writes a run's best epoch as a SavedModel.

    Its signatures are those of `ServedModel`, or of `ServedModelOfEmbeddings` for a row that reads
    embeddings from a file. `assets/model_card.json` contains class names, front-end, training data
    and scores. If the package tensorflow-serving-api is installed, warm-up requests for TensorFlow
    Serving are written, too. The SavedModel is read back and compared with the run before it is
    moved to `out_dir`.

    Args:
      run: The finished run.
      out_dir: Folder of the SavedModel; it must not exist.

    Returns:
      `out_dir` as a path.

    Raises:
      CrossaskError: `out_dir` exists, the run cannot be exported, or the written model does not
        compute what the run's model computes.
    """
    return write_model(functools.partial(served_model, run), run.experiment().features, out_dir)


def write_model(
    make: Callable[[Path], _Served], features: config.FeatureConfig, out_dir: str | Path
) -> Path:
    """Writes a model as a SavedModel, and returns its folder; see `export_run`.

    Args:
      make: Returns the model; its argument is a folder for the model card.
      features: Sample rate and length of a clip.
      out_dir: Folder of the SavedModel; it must not exist.
    """
    out_dir = Path(out_dir)
    # A link that leads nowhere is there, too.
    if os.path.lexists(out_dir):
        raise CrossaskError(
            f"{str(out_dir)!r} exists already.", "Use another --out, or remove it first."
        )
    files.check_room(out_dir.parent, 0)
    with files.folder_beside(out_dir) as scratch:
        written = scratch / "model"
        served = make(scratch)
        # It logs where it writes, a temporary folder.
        with devices.without_log_of_tensorflow():
            tf.saved_model.save(served, str(written), signatures=served.signatures())
        _check_written(served, written, features)
        write_warm_up(written / WARM_UP, features, served.embedding_shape)
        stored.write_checksums(written)
        files.move_folder(written, out_dir)
    return out_dir


def served_model(run: Run, scratch: Path) -> ServedModel | ServedModelOfEmbeddings:
    """Returns the model to export for a finished run.

    Args:
      run: The run.
      scratch: Folder in which the model card is written; needed until the model is saved.
    """
    # A model that is not from a run is written without the packages that training needs.
    from crossask.training import network

    experiment = exportable_experiment(run)
    scene_model = network.load(run)
    event_model = scene_model.event_model
    tagger = None
    embedding_shape = None
    if events.are_from_file(experiment):
        embedding_shape = run.read("config.json")["input_shapes"]["embedding"]
    elif experiment.event_input == "embedding":
        event_model = network.frozen_event_model(run)
        # Only a frozen event model has the tagger of its weights: training moves the embeddings.
        tagger = read_tagger(experiment.event_model)
    card = model_card(run)
    card["events"] = list(tagger.names) if tagger else []
    if embedding_shape is not None:
        card["embedding_shape"] = embedding_shape
    card_path = write_card(card, scratch)
    parts = (experiment, scene_model, event_model, tagger, card["scenes"], card_path)
    if embedding_shape is not None:
        return ServedModelOfEmbeddings(embedding_shape, *parts)
    return ServedModel(*parts)


def write_card(card: Mapping[str, Any], folder: Path) -> str:
    """Writes a model card into a folder, and returns its path."""
    path = folder / "model_card.json"
    stored.write_json(path, card)
    return str(path)


def can_write_warm_up() -> bool:
    """Returns whether the package is installed that warm-up requests need."""
    return importlib.util.find_spec("tensorflow_serving") is not None


def write_warm_up(
    path: Path,
    features: config.FeatureConfig,
    embedding_shape: Sequence[int] | None = None,
) -> None:
    """Writes requests that TensorFlow Serving runs when it loads the model.

    The first request of each signature and number of channels is slow. Each of these requests is
    one clip of silence. Without the package tensorflow-serving-api, nothing is written.

    Args:
      path: File to write, in a folder that does not exist yet.
      features: Sample rate and length of the clip.
      embedding_shape: Shape of the input "embedding" without the batch, if there is one.
    """
    if not can_write_warm_up():
        return
    from tensorflow_serving.apis import prediction_log_pb2

    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for request in _requests(features, embedding_shape):
            predict_log = prediction_log_pb2.PredictLog(request=request)
            log = prediction_log_pb2.PredictionLog(predict_log=predict_log)
            writer.write(log.SerializeToString())


def _by_recording(value: tf.Tensor, windows: tf.Tensor) -> tf.Tensor:
    """Reshapes [batch * windows, ...] to [batch, windows, ...]."""
    shape_of_window = tf.shape(value)[1:]
    return tf.reshape(value, tf.concat([[-1, windows], shape_of_window], 0))


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


def _samples_in(seconds: float, rate: tf.Tensor) -> tf.Tensor:
    """Returns the number of samples in some seconds at a rate, both scalar."""
    return tf.cast(tf.round(seconds * rate), tf.int32)


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


def _requests(
    features: config.FeatureConfig, embedding_shape: Sequence[int] | None
) -> Iterator["predict_pb2.PredictRequest"]:
    """Yields a request with one clip of silence for each signature and number of channels."""
    samples = round(features.clip_seconds * features.sample_rate_hz)
    rate = np.int32(features.sample_rate_hz)
    for channels in (1, 2):
        silence = np.zeros((samples, channels), np.int16)
        inputs = {"waveform": silence[np.newaxis].astype(np.float32), "sample_rate_hz": rate}
        if embedding_shape is not None:
            inputs["embedding"] = np.zeros((1, *embedding_shape), np.float32)
        for signature in _OF_WAVEFORMS:
            yield _request(signature, inputs)
        if embedding_shape is None:
            yield _request("classify_wav", {"wav_bytes": [_wav_bytes(silence, int(rate))]})


def _request(signature: str, inputs: Mapping[str, Any]) -> "predict_pb2.PredictRequest":
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def _wav_bytes(samples: np.ndarray, sample_rate_hz: int) -> bytes:
    """Returns the bytes of a WAV file with int16 samples [samples, channels]."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(samples.shape[1])
        writer.setsampwidth(samples.itemsize)
        writer.setframerate(sample_rate_hz)
        writer.writeframes(samples.tobytes())
    return file.getvalue()


def _check_written(served: _Served, written: Path, features: config.FeatureConfig) -> None:
    """Raises CrossaskError unless the written model computes what its source computes.

    Both run every signature on noise: one stereo clip at the model's own rate, and a mono recording
    of another length that is resampled.
    """
    loaded = tf.saved_model.load(str(written)).signatures
    signatures = served.signatures()
    rng = np.random.default_rng(0)
    clip_seconds = features.clip_seconds
    other_seconds = 1.6 * clip_seconds
    if served.embedding_shape is not None:
        # An embedding belongs to one clip, so the other recording is shorter, if it may be.
        other_seconds = max(0.8 * clip_seconds, min(LEAST_SECONDS, clip_seconds))
    for sample_rate_hz, channels, seconds in (
        (features.sample_rate_hz, 2, clip_seconds),
        (16000, 1, other_seconds),
    ):
        samples = round(seconds * sample_rate_hz)
        noise = rng.normal(0, 1600, (samples, channels)).astype(np.int16)
        waveform = tf.constant(noise[np.newaxis] / 32768, tf.float32)
        rate = tf.constant(sample_rate_hz, tf.int32)
        inputs = {"waveform": waveform, "sample_rate_hz": rate}
        if served.embedding_shape is not None:
            embedding = rng.normal(size=(1, *served.embedding_shape))
            inputs["embedding"] = tf.constant(embedding, tf.float32)
        for name in _OF_WAVEFORMS:
            _check_equal(signatures[name](**inputs), loaded[name](**inputs))
        if "classify_wav" not in signatures:
            continue
        # The samples of the file are those of the waveform.
        expected = served.classify(waveform, rate)
        found = loaded["classify_wav"](wav_bytes=tf.constant([_wav_bytes(noise, sample_rate_hz)]))
        _check_equal(expected, found)


def _check_equal(expected: dict[str, tf.Tensor], found: dict[str, tf.Tensor]) -> None:
    """Raises CrossaskError unless all numbers of two results agree within TOLERANCE."""
    for key, value in expected.items():
        if not value.dtype.is_floating:
            continue
        # Probabilities and attention weights are at most 1; embeddings and log-mel may be larger.
        scale = max(1.0, float(tf.reduce_max(tf.abs(value))))
        difference = float(tf.reduce_max(tf.abs(value - found[key])))
        relative_difference = difference / scale
        # The comparison is also false for NaN.
        if not relative_difference <= TOLERANCE:
            raise CrossaskError(
                f"{key!r} of the written SavedModel differs from its source by "
                f"{relative_difference:.1e}.",
                "Nothing was kept. Please report this.",
            )
