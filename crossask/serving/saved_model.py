"""Exports a finished run as a SavedModel that classifies waveforms.

Loading the SavedModel needs TensorFlow alone, and none of this package's code.
"""

import functools
import importlib.util
import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tensorflow as tf

from crossask import config, events, files
from crossask.audio import clip_features, reading
from crossask.audio.windows import LEAST_SECONDS
from crossask.errors import CrossaskError
from crossask.events.layer import EventModel
from crossask.events.tagger import Tagger, read_tagger
from crossask.events.waveform_model import WaveformModel
from crossask.models.scene_model import SceneModel
from crossask.serving.model_card import exportable_experiment, model_card
from crossask.training.run_folder import Run

if TYPE_CHECKING:
    from tensorflow_serving.apis import predict_pb2

# Largest difference allowed between the model and the written file: of a probability, or as a share
# of the largest value of an embedding or a log-mel.
TOLERANCE = 1e-5
TOP_SCENES = 3
# File inside the SavedModel in which TensorFlow Serving looks for warm-up requests.
WARM_UP = "assets.extra/tf_serving_warmup_requests"
LOG = logging.getLogger("crossask")

_INPUTS = (
    tf.TensorSpec([None, None, None], tf.float32, name="waveform"),
    tf.TensorSpec([], tf.int32, name="sample_rate_hz"),
)


class _Windows(NamedTuple):
    """The windows of a batch of recordings of equal length.

    It is a NamedTuple because a tf.function cannot return a dataclass.

    Attributes:
      inputs: Input of the scene model by name, each [batch * windows, ...].
      count: Number of windows in a recording, scalar.
      start_seconds: Start of each window [windows].
    """

    inputs: dict[str, tf.Tensor]
    count: tf.Tensor
    start_seconds: tf.Tensor


class _Served(tf.Module):
    """The base of the exported models: windows of waveforms, features and predictions.

    A subclass has the methods classify, embed and explain, which become the signatures.

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

    def _classify(self, windows: _Windows) -> dict[str, tf.Tensor]:
        logits = self.scene_model(windows.inputs, training=False)  # [batch * windows, scenes]
        probabilities = tf.nn.softmax(logits)
        probabilities = _by_recording(probabilities, windows.count)  # [batch, windows, scenes]
        probabilities = tf.reduce_mean(probabilities, axis=1)  # [batch, scenes]
        top_probabilities, order = tf.math.top_k(probabilities, min(TOP_SCENES, len(self._scenes)))
        return {
            "probabilities": probabilities,
            "scenes": tf.tile(self._scenes[tf.newaxis], [tf.shape(probabilities)[0], 1]),
            "top_scene": tf.gather(self._scenes, order[:, 0]),
            "top_scenes": tf.gather(self._scenes, order),
            "top_probabilities": top_probabilities,
        }

    def _embed(self, windows: _Windows) -> dict[str, tf.Tensor]:
        scene, _ = self.scene_model.scene_embedding(
            windows.inputs, training=False, seed=None
        )  # [batch * windows, D]
        result = {"scene_embedding": _by_recording(tf.cast(scene, tf.float32), windows.count)}
        if self._event_input:
            event = tf.cast(self._event_embedding(windows.inputs), tf.float32)
            result["event_embedding"] = _by_recording(event, windows.count)
        result["window_start_seconds"] = windows.start_seconds
        return result

    def _explain(self, windows: _Windows) -> dict[str, tf.Tensor]:
        _, attention = self.scene_model.explain(windows.inputs)
        result = {}
        for name, weights in attention.items():
            result[f"attention_{name}"] = _by_recording(weights, windows.count)
        if "log_mel" in self.scene_model.reads:
            result["log_mel"] = _by_recording(windows.inputs["log_mel"], windows.count)
        if self.tagger is not None:
            scores = self.tagger(self._event_embedding(windows.inputs))
            result["event_scores"] = _by_recording(scores, windows.count)
        result["window_start_seconds"] = windows.start_seconds
        return result

    @tf.function(input_signature=_INPUTS)
    def _windows(self, waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> _Windows:
        """Cuts recordings into windows and computes the scene model's inputs of each window."""
        samples = tf.shape(waveform)[1]
        channels = tf.shape(waveform)[2]
        rate = tf.cast(sample_rate_hz, tf.float32)
        length = tf.cast(tf.round(self._features.clip_seconds * rate), tf.int32)
        least = tf.minimum(length, tf.cast(LEAST_SECONDS * rate, tf.int32))

        # Double mono, and fill a short waveform up to one window.
        checks = [*_shape_checks(samples, channels, least), _sample_check(waveform)]
        with tf.control_dependencies(checks):
            stereo = tf.gather(waveform, tf.minimum([0, 1], channels - 1), axis=2)
        most_silence = tf.cast(tf.round(self._features.max_padding_seconds * rate), tf.int32)
        stereo = _filled(stereo, length, most_silence)  # [batch, samples, 2]

        # Cut windows of `length` samples. crossask.audio.sliding_windows cuts the same ones outside
        # the graph, if its hop is half a window.
        hop = length // 2
        last_start = tf.shape(stereo)[1] - length
        # The number of hops is rounded up: the last window ends with the waveform.
        hops = -(-last_start // hop)
        starts = tf.minimum(tf.range(hops + 1) * hop, last_start)  # [windows]
        window_samples = starts[:, tf.newaxis] + tf.range(length)  # [windows, length]
        windows = tf.gather(stereo, window_samples, axis=1)  # [batch, windows, length, 2]
        windows = tf.reshape(windows, [-1, length, 2])  # [batch * windows, length, 2]
        windows = tf.ensure_shape(windows, [None, None, 2])

        # Compute the log-mel, and the event model's patches or embeddings.
        inputs = clip_features.clip_features(
            windows, sample_rate_hz, self._features, self._event_config
        )
        if self._event_input == "embedding" and self.event_model is not None:
            inputs["embedding"] = self.event_model(inputs.pop("patches"))
        return _Windows(inputs, tf.size(starts), tf.cast(starts, tf.float32) / rate)

    def _event_embedding(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Returns the embeddings [batch * windows, patches, E] of the scene model's inputs."""
        if "embedding" in inputs:
            return inputs["embedding"]
        return self.event_model(inputs["patches"])


class ServedModel(_Served):
    """A model from waveform to scene names: resampling, windows, log-mel, event and scene model.

    Each signature takes waveform [batch, samples, channels] (-1..1, 1 or 2 channels, at least 1 s)
    and sample_rate_hz (one of `resampling.SAMPLE_RATES_HZ`). A waveform longer than a training clip
    is cut into windows of that length, half a clip apart; the last one ends with the waveform. A
    shorter one is filled as `crossask.audio.fill_window` does, with silence of at most
    features.max_padding_seconds. Samples that are not finite or beyond -8..8 are an error
    that lists their entries of the batch.
    """

    @tf.function(input_signature=_INPUTS)
    def classify(self, waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> dict[str, tf.Tensor]:
        """Predicts the scene of each recording.

        Returns:
          "probabilities" [batch, scenes], the mean over windows; "scenes" [batch, scenes], their
          names; "top_scene" [batch]; "top_scenes" and "top_probabilities" [batch, 3], the most
          probable scenes in falling order.
        """
        return self._classify(self._windows(waveform, sample_rate_hz))

    @tf.function(input_signature=_INPUTS)
    def embed(self, waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> dict[str, tf.Tensor]:
        """Computes the embeddings of each window.

        Returns:
          "scene_embedding" [batch, windows, D], the input of the scene model's last layer;
          "window_start_seconds" [windows]; if the model reads events, also "event_embedding"
          [batch, windows, patches, E].
        """
        return self._embed(self._windows(waveform, sample_rate_hz))

    @tf.function(input_signature=_INPUTS)
    def explain(self, waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> dict[str, tf.Tensor]:
        """Computes the attention weights, the log-mel and the event scores of each window.

        Returns:
          "attention_<name>" [batch, windows, heads, ...], the attention weights of
          `SceneModel.explain`; "window_start_seconds" [windows]; if the model reads it, "log_mel"
          [batch, windows, frames, mels, channels]; with a tagger, "event_scores" [batch, windows,
          patches, events], whose events are listed in the model card.
        """
        return self._explain(self._windows(waveform, sample_rate_hz))


class ServedModelOfEmbeddings(_Served):
    """A model that also takes the embeddings of the recording, which another toolkit computes.

    Each signature takes what those of `ServedModel` take, and embedding [batch, n, E]. An embedding
    belongs to one clip, so a waveform may not be longer: at most features.max_cut_seconds are cut
    off.
    """

    def __init__(self, embedding_shape: Sequence[int], *parts: Any):
        """Creates the model.

        Args:
          embedding_shape: Shape (n, E) of the embeddings of a clip.
          *parts: Arguments of `ServedModel`; the event model is None.
        """
        super().__init__(*parts)
        self.embedding_shape = tuple(embedding_shape)
        self.classify = self._with_embedding(self._classify)
        self.embed = self._with_embedding(self._embed)
        self.explain = self._with_embedding(self._explain)

    def _with_embedding(self, compute: Callable[[_Windows], dict[str, tf.Tensor]]) -> Callable:
        """Returns a tf.function of the three inputs that computes `compute` of a clip."""
        embedding_spec = tf.TensorSpec([None, *self.embedding_shape], tf.float32, name="embedding")

        @tf.function(input_signature=[*_INPUTS, embedding_spec])
        def signature(
            waveform: tf.Tensor, sample_rate_hz: tf.Tensor, embedding: tf.Tensor
        ) -> dict[str, tf.Tensor]:
            windows = self._windows(self._one_clip(waveform, sample_rate_hz), sample_rate_hz)
            message = "The embedding has values that are not finite."
            checked = tf.debugging.check_numerics(embedding, message)
            return compute(windows._replace(inputs={**windows.inputs, "embedding": checked}))

        return signature

    def _one_clip(self, waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> tf.Tensor:
        """Returns the waveform without what exceeds a clip."""
        rate = tf.cast(sample_rate_hz, tf.float32)
        length = tf.cast(tf.round(self._features.clip_seconds * rate), tf.int32)
        most_cut = tf.cast(tf.round(self._features.max_cut_seconds * rate), tf.int32)
        message = "The waveform must be one clip, because the embedding is that of one clip."
        is_one_clip = tf.debugging.assert_less_equal(
            tf.shape(waveform)[1], length + most_cut, message
        )
        with tf.control_dependencies([is_one_clip]):
            return waveform[:, :length]


def export_run(run: Run, out_dir: str | Path) -> Path:
    """Writes a run's best epoch as a SavedModel.

    The signatures `serving_default`, `embed` and `explain` are the methods classify, embed and
    explain of `ServedModel`, or of `ServedModelOfEmbeddings` for a row that reads embeddings from a
    file. `assets/model_card.json` contains class names, front-end, training data and scores. If the
    package tensorflow-serving-api is installed, warm-up requests for TensorFlow Serving are
    written, too. The SavedModel is read back and compared with the run before it is moved to
    `out_dir`.

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
    if out_dir.exists():
        raise CrossaskError(
            f"{str(out_dir)!r} exists already.", "Use another --out, or remove it first."
        )
    files.check_room(out_dir.parent, 0)
    with tempfile.TemporaryDirectory(dir=out_dir.parent, prefix=f".{out_dir.name}.") as scratch:
        written = Path(scratch) / "model"
        served = make(Path(scratch))
        tf.saved_model.save(served, str(written), signatures=served.signatures())
        _check_written(served, written, features)
        write_warm_up(written / WARM_UP, features, served.embedding_shape)
        shutil.move(str(written), str(out_dir))
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
    if experiment.event_input == "embedding" and not events.front_end_of(experiment):
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
    path.write_text(json.dumps(card, indent=2))
    return str(path)


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
    if importlib.util.find_spec("tensorflow_serving") is None:
        LOG.info(
            "No warm-up requests for TensorFlow Serving were written: they need the package "
            "tensorflow-serving-api."
        )
        return
    from tensorflow_serving.apis import prediction_log_pb2

    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature in ("serving_default", "embed", "explain"):
            for channels in (1, 2):
                request = _silent_request(signature, features, channels)
                if embedding_shape is not None:
                    embedding = np.zeros((1, *embedding_shape), np.float32)
                    request.inputs["embedding"].CopyFrom(tf.make_tensor_proto(embedding))
                predict_log = prediction_log_pb2.PredictLog(request=request)
                log = prediction_log_pb2.PredictionLog(predict_log=predict_log)
                writer.write(log.SerializeToString())


def _by_recording(value: tf.Tensor, windows: tf.Tensor) -> tf.Tensor:
    """Reshapes [batch * windows, ...] to [batch, windows, ...]."""
    shape_of_window = tf.shape(value)[1:]
    return tf.reshape(value, tf.concat([[-1, windows], shape_of_window], 0))


def _filled(waveform: tf.Tensor, length: tf.Tensor, most_silence: tf.Tensor) -> tf.Tensor:
    """Fills waveforms [batch, samples, channels] as `crossask.audio.fill_window` does."""
    samples = tf.shape(waveform)[1]
    missing = tf.maximum(0, length - samples)

    def padded() -> tf.Tensor:
        return tf.pad(waveform, [[0, 0], [0, missing], [0, 0]])

    def repeated() -> tf.Tensor:
        # The graph may compute this before it reports that a waveform has no samples.
        numbers = tf.range(length) % tf.maximum(1, samples)
        return tf.gather(waveform, numbers, axis=1)

    return tf.cond(missing > most_silence, repeated, padded)


def _shape_checks(samples: tf.Tensor, channels: tf.Tensor, least: tf.Tensor) -> list:
    """Returns operations that fail if a waveform has too many channels or too few samples.

    Args:
      samples: Number of samples.
      channels: Number of channels.
      least: Smallest number of samples.
    """
    return [
        tf.debugging.assert_less_equal(
            channels, 2, "The waveform must be [batch, samples, channels] with 1 or 2 channels."
        ),
        tf.debugging.assert_greater_equal(samples, least, "The waveform must last at least 1 s."),
    ]


def _sample_check(waveform: tf.Tensor) -> tf.Operation | None:
    """Returns an operation that fails if samples are not finite or beyond LARGEST_SAMPLE.

    The outputs would not always show it: pooling by the maximum hides a NaN.

    Args:
      waveform: Waveforms [batch, samples, channels].
    """
    # The comparison is also false for NaN and for infinite samples.
    is_amplitude = tf.abs(waveform) <= reading.LARGEST_SAMPLE
    is_usable = tf.reduce_all(is_amplitude, axis=[1, 2])  # [batch]
    unusable = tf.where(tf.logical_not(is_usable))[:, 0]
    message = (
        f"The waveform has samples that are not finite or beyond -{reading.LARGEST_SAMPLE:g}.."
        f"{reading.LARGEST_SAMPLE:g}; scale the samples to -1..1. Entries of the batch, counted "
        "from 0:"
    )
    return tf.debugging.Assert(tf.reduce_all(is_usable), [message, unusable], summarize=20)


def _silent_request(
    signature: str, features: config.FeatureConfig, channels: int
) -> "predict_pb2.PredictRequest":
    """Returns a request with one clip of silence."""
    from tensorflow_serving.apis import predict_pb2

    samples = round(features.clip_seconds * features.sample_rate_hz)
    silence = np.zeros((1, samples, channels), np.float32)
    rate = tf.make_tensor_proto(features.sample_rate_hz, tf.int32)
    request = predict_pb2.PredictRequest()
    request.model_spec.signature_name = signature
    request.inputs["waveform"].CopyFrom(tf.make_tensor_proto(silence))
    request.inputs["sample_rate_hz"].CopyFrom(rate)
    return request


def _check_written(served: _Served, written: Path, features: config.FeatureConfig) -> None:
    """Raises CrossaskError unless the written model computes what its source computes.

    Both run every signature on noise: one stereo clip at the model's own rate, and a longer mono
    recording that is resampled.
    """
    loaded = tf.saved_model.load(str(written)).signatures
    rng = np.random.default_rng(0)
    # An embedding belongs to one clip.
    longer = 1.6 if served.embedding_shape is None else 0.8
    for sample_rate_hz, channels, clips in ((features.sample_rate_hz, 2, 1.0), (16000, 1, longer)):
        samples = round(clips * features.clip_seconds * sample_rate_hz)
        waveform = tf.constant(rng.normal(0, 0.05, (1, samples, channels)), tf.float32)
        inputs = {
            "waveform": waveform,
            "sample_rate_hz": tf.constant(sample_rate_hz, tf.int32),
        }
        if served.embedding_shape is not None:
            embedding = rng.normal(size=(1, *served.embedding_shape))
            inputs["embedding"] = tf.constant(embedding, tf.float32)
        for name, function in served.signatures().items():
            _check_equal(function(**inputs), loaded[name](**inputs))


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
