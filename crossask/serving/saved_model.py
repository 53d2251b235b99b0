"""A finished run as a SavedModel that names the scene of a waveform; it needs no Python of ours to be loaded."""

import importlib.util
import json
import logging
import shutil
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from crossask import config, events, files
from crossask.audio import clip_features
from crossask.errors import CrossaskError
from crossask.events import tagging
from crossask.serving.model_card import LEAST_SECONDS, model_card, servable
from crossask.training import network, run_folder

TOLERANCE = 1e-5  # of a probability, between the model and what was written
TOP_SCENES = 3
WARM_UP = "assets.extra/tf_serving_warmup_requests"  # where TensorFlow Serving looks for them
LOG = logging.getLogger("crossask")
_INPUTS = [
    tf.TensorSpec([None, None, None], tf.float32, name="waveform"),
    tf.TensorSpec([], tf.int32, name="sample_rate_hz"),
]


class ServedModel(tf.Module):
    """Waveform to answers: resampling, windows, log-mel, event model, scene model and class names in one.

    Each signature takes waveform [batch, samples, channels] (amplitude -1..1, 1 or 2 channels, at least 1 s) and
    sample_rate_hz (one of resampling.SAMPLE_RATES_HZ). What is longer than the clip length of training is heard in windows
    of that length, half of it apart, the last one up to the end; what is shorter is padded with silence.
    """

    def __init__(
        self, experiment: config.Experiment, scene_model, event_model, tagger, scenes, card: str
    ):
        super().__init__()
        self.scene_model, self.event_model, self.tagger = scene_model, event_model, tagger
        self._features, self._pad_end = experiment.features, experiment.event_model.pad_end
        self._front_end = events.front_end_of(experiment)
        self._event_input = experiment.event_input
        self._scenes = tf.constant(list(scenes))
        self.model_card = tf.saved_model.Asset(card)

    @tf.function(input_signature=_INPUTS)
    def classify(self, waveform, sample_rate_hz):
        """probabilities [batch, scenes], the mean over windows; scenes [batch, scenes], their names; top_scene [batch];
        top_scenes and top_probabilities [batch, 3], the most probable ones in order."""
        inputs, windows, _ = self._windows(waveform, sample_rate_hz)
        heard = tf.nn.softmax(
            tf.cast(self.scene_model(inputs, training=False), tf.float32)
        )  # [batch * windows, scenes]
        probabilities = tf.reduce_mean(_by_recording(heard, windows), axis=1)  # [batch, scenes]
        top, order = tf.math.top_k(probabilities, min(TOP_SCENES, len(self._scenes)))
        return {
            "probabilities": probabilities,
            "scenes": tf.tile(self._scenes[tf.newaxis], [tf.shape(waveform)[0], 1]),
            "top_scene": tf.gather(self._scenes, order[:, 0]),
            "top_scenes": tf.gather(self._scenes, order),
            "top_probabilities": top,
        }

    @tf.function(input_signature=_INPUTS)
    def embed(self, waveform, sample_rate_hz):
        """scene_embedding [batch, windows, D], what the last layer reads; window_start_seconds [windows]; where the model
        reads events also event_embedding [batch, windows, patches, E]."""
        inputs, windows, starts = self._windows(waveform, sample_rate_hz)
        scene, _ = self.scene_model.scene_embedding(
            inputs, training=False, seed=None
        )  # [batch * windows, D]
        result = {"scene_embedding": tf.cast(scene, tf.float32)}
        if self._event_input:
            result["event_embedding"] = tf.cast(self._event_embedding(inputs), tf.float32)
        return {name: _by_recording(value, windows) for name, value in result.items()} | {
            "window_start_seconds": starts
        }

    @tf.function(input_signature=_INPUTS)
    def explain(self, waveform, sample_rate_hz):
        """What the model looked at: log_mel [batch, windows, frames, mels, channels] (where it reads it), its attention weights as
        attention_<name> [batch, windows, heads, ...] (SceneModel.explain), window_start_seconds [windows] and, where the event
        model came with a head, event_scores [batch, windows, patches, events]; the model card names these events."""
        inputs, windows, starts = self._windows(waveform, sample_rate_hz)
        _, attention = self.scene_model.explain(inputs)
        result = {f"attention_{name}": weights for name, weights in attention.items()}
        if "log_mel" in self.scene_model.reads:
            result["log_mel"] = inputs["log_mel"]
        if self.tagger is not None:
            result["event_scores"] = self.tagger(self._event_embedding(inputs))
        return {name: _by_recording(value, windows) for name, value in result.items()} | {
            "window_start_seconds": starts
        }

    def signatures(self) -> dict:
        return {"serving_default": self.classify, "embed": self.embed, "explain": self.explain}

    @tf.function(input_signature=_INPUTS)
    def _windows(self, waveform, sample_rate_hz):
        """(inputs of the scene model [batch * windows, ...], number of windows, window_start_seconds [windows])"""
        samples, channels = tf.shape(waveform)[1], tf.shape(waveform)[2]
        rate = tf.cast(sample_rate_hz, tf.float32)
        length = tf.cast(tf.round(self._features.clip_seconds * rate), tf.int32)
        least = tf.minimum(length, tf.cast(LEAST_SECONDS * rate, tf.int32))
        checks = [
            tf.debugging.assert_less_equal(
                channels, 2, "The waveform must be [batch, samples, channels] with 1 or 2 channels."
            ),
            tf.debugging.assert_greater_equal(
                samples, least, "The waveform must last at least 1 s."
            ),
        ]
        with tf.control_dependencies(checks):
            stereo = tf.gather(
                waveform, tf.minimum([0, 1], channels - 1), axis=2
            )  # [batch, samples, 2]
        stereo = tf.pad(stereo, [[0, 0], [0, tf.maximum(0, length - samples)], [0, 0]])
        hop, last = length // 2, tf.shape(stereo)[1] - length
        starts = tf.minimum(tf.range(-(-last // hop) + 1) * hop, last)  # [windows]
        stereo = tf.gather(
            stereo, starts[:, tf.newaxis] + tf.range(length), axis=1
        )  # [batch, windows, length, 2]
        stereo = tf.ensure_shape(tf.reshape(stereo, [-1, length, 2]), [None, None, 2])
        values = clip_features.clip_features(
            stereo, sample_rate_hz, self._features, self._front_end, self._pad_end
        )
        if self._event_input == "embedding":
            values["embedding"] = self.event_model(values.pop("patches"))
        return values, tf.size(starts), tf.cast(starts, tf.float32) / rate

    def _event_embedding(self, inputs):
        if "embedding" in inputs:
            return inputs["embedding"]
        return self.event_model(inputs["patches"])


def _by_recording(value, windows):
    """[batch * windows, ...] -> [batch, windows, ...]"""
    return tf.reshape(value, tf.concat([[-1, windows], tf.shape(value)[1:]], 0))


def export_run(run: run_folder.Run, out_dir) -> Path:
    """Writes `out_dir` as a SavedModel of the run's best epoch, compared with the run before it is moved into place.

    Signatures `serving_default`, `embed` and `explain` as ServedModel's methods classify, embed and explain tell.
    `assets/model_card.json` holds class names, front-end, training data and scores. Where the package tensorflow-serving-api
    is installed, warm-up requests for TensorFlow Serving are written, too.

    Raises:
      CrossaskError: `out_dir` exists, or what was written does not answer like the run's model.
    """
    out_dir = Path(out_dir)
    if out_dir.exists():
        raise CrossaskError(
            f"{str(out_dir)!r} exists already.", "Give another --out, or remove it first."
        )
    files.check_room(out_dir.parent, 0)
    with tempfile.TemporaryDirectory(dir=out_dir.parent, prefix=f".{out_dir.name}.") as scratch:
        written = Path(scratch) / "model"
        served = served_model(run, Path(scratch))
        tf.saved_model.save(served, str(written), signatures=served.signatures())
        _prove(served, written, run.experiment())
        write_warm_up(written / WARM_UP, run.experiment().features)
        shutil.move(str(written), str(out_dir))
    return out_dir


def served_model(run: run_folder.Run, scratch: Path) -> ServedModel:
    """The run's network with all that leads from a waveform to an answer; its model card is written into `scratch`."""
    experiment, record = servable(run), run.read("config.json")
    scene_model = network.load(run)
    event_model, tagger = scene_model.event_model, None
    if experiment.event_input == "embedding":
        event_model = network.frozen_event_model(run)
        # a head knows the embeddings that it was trained on, and training moves them
        tagger = tagging.tagger(experiment.event_model)
    card = model_card(run, record)
    card["events"] = list(tagger.names) if tagger else []
    path = scratch / "model_card.json"
    path.write_text(json.dumps(card, indent=2))
    return ServedModel(experiment, scene_model, event_model, tagger, record["scenes"], str(path))


def write_warm_up(path: Path, features: config.FeatureConfig):
    """Requests that TensorFlow Serving answers itself before it takes any: one clip of silence, mono and stereo, for each signature."""
    if importlib.util.find_spec("tensorflow_serving") is None:
        LOG.info(
            "No warm-up requests for TensorFlow Serving were written: they need the package tensorflow-serving-api."
        )
        return
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature in ("serving_default", "embed", "explain"):
            for channels in (1, 2):
                request = predict_pb2.PredictRequest()
                request.model_spec.signature_name = signature
                silence = np.zeros(
                    (1, round(features.clip_seconds * features.sample_rate_hz), channels),
                    np.float32,
                )
                request.inputs["waveform"].CopyFrom(tf.make_tensor_proto(silence))
                request.inputs["sample_rate_hz"].CopyFrom(
                    tf.make_tensor_proto(features.sample_rate_hz, tf.int32)
                )
                log = prediction_log_pb2.PredictionLog(
                    predict_log=prediction_log_pb2.PredictLog(request=request)
                )
                writer.write(log.SerializeToString())


def _prove(served: ServedModel, written: Path, experiment: config.Experiment):
    """Reads the written model back and compares all it answers on noise at two rates, mono and stereo."""
    loaded = tf.saved_model.load(str(written)).signatures
    rng = np.random.default_rng(0)
    for rate, channels, clips in ((experiment.features.sample_rate_hz, 2, 1.0), (16000, 1, 1.6)):
        samples = round(clips * experiment.features.clip_seconds * rate)
        waveform = tf.constant(rng.normal(0, 0.05, (1, samples, channels)), tf.float32)
        rate = tf.constant(rate, tf.int32)
        for name, function in served.signatures().items():
            expected, found = (
                function(waveform, rate),
                loaded[name](waveform=waveform, sample_rate_hz=rate),
            )
            for key, value in expected.items():
                if value.dtype.is_floating:
                    # probabilities and weights are at most 1; embeddings and log-mel are compared in their own measure
                    scale = max(1.0, float(tf.reduce_max(tf.abs(value))))
                    difference = float(tf.reduce_max(tf.abs(value - found[key]))) / scale
                    if not difference <= TOLERANCE:
                        raise CrossaskError(
                            f"{key!r} of the written SavedModel differs from its source by {difference:.1e}.",
                            "Nothing was kept; please report this.",
                        )
