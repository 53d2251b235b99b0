"""A finished run as a SavedModel that names the scene of a waveform; it needs no Python of ours to be loaded."""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from crossask import __version__, events, runs, systems
from crossask.audio import clip_features, resampling
from crossask.errors import CrossaskError

TOLERANCE = 1e-5  # of a probability, between the model and what was written


class ServedModel(tf.Module):
    """Waveform to probabilities: resampling, length, log-mel, event model, scene model and class names in one."""

    def __init__(self, experiment, scene_model, event_model, scenes, card: str):
        super().__init__()
        self.scene_model, self.event_model = scene_model, event_model
        self._features, self._pad_end = experiment.features, experiment.event_model.pad_end
        self._front_end = events.front_end(experiment.event_model.name) if experiment.event_input else ""
        self._embeds = experiment.event_input == "embedding"
        self._scenes = tf.constant(list(scenes))
        self.model_card = tf.saved_model.Asset(card)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, None], tf.float32, name="waveform"),
            tf.TensorSpec([], tf.int32, name="sample_rate_hz"),
        ]
    )
    def classify(self, waveform, sample_rate_hz):
        """waveform [batch, samples, channels] (amplitude -1..1, 1 or 2 channels) at sample_rate_hz.

        The clip length of training is taken: a longer waveform is cut, a shorter one padded with silence.
        """
        channels = tf.shape(waveform)[2]
        check = tf.debugging.assert_less_equal(channels, 2, "The waveform must be [batch, samples, channels] with 1 or 2 channels.")
        with tf.control_dependencies([check]):
            stereo = tf.gather(waveform, tf.minimum([0, 1], channels - 1), axis=2)  # [batch, samples, 2]
        length = tf.cast(tf.round(self._features.clip_seconds * tf.cast(sample_rate_hz, tf.float32)), tf.int32)
        missing = tf.maximum(0, length - tf.shape(stereo)[1])
        stereo = tf.pad(stereo, [[0, 0], [0, missing], [0, 0]])[:, :length]
        values = clip_features.clip_features(stereo, sample_rate_hz, self._features, self._front_end, self._pad_end)
        inputs = {"log_mel": values["log_mel"]}
        if self._embeds:
            inputs["embedding"] = self.event_model(values["patches"])
        elif self._front_end:
            inputs["patches"] = values["patches"]
        probabilities = tf.nn.softmax(tf.cast(self.scene_model(inputs, training=False), tf.float32))
        scenes = tf.tile(self._scenes[tf.newaxis], [tf.shape(waveform)[0], 1])
        return {"probabilities": probabilities, "scenes": scenes, "top_scene": tf.gather(self._scenes, tf.argmax(probabilities, -1))}


def export_run(run: runs.Run, out_dir) -> Path:
    """Writes `out_dir` as a SavedModel of the run's best epoch, compared with the run before it is moved into place.

    Signature `serving_default`: waveform [batch, samples, channels], sample_rate_hz (scalar) -> probabilities
    [batch, scenes], scenes [batch, scenes], top_scene [batch]. `assets/model_card.json` holds class names, front-end,
    training data and scores.

    Raises:
      CrossaskError: `out_dir` exists, or what was written does not answer like the run's model.
    """
    out_dir = Path(out_dir)
    if out_dir.exists():
        raise CrossaskError(f"{str(out_dir)!r} exists already.", "Give another --out, or remove it first.")
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    experiment, record = run.experiment(), run.read("config.json")
    scene_model = systems.load(run)
    event_model = events.build(experiment.event_model) if experiment.event_input == "embedding" else None
    with tempfile.TemporaryDirectory(dir=out_dir.parent, prefix=f".{out_dir.name}.") as scratch:
        card = Path(scratch) / "model_card.json"
        card.write_text(json.dumps(_model_card(run, record), indent=2))
        served = ServedModel(experiment, scene_model, event_model, record["scenes"], str(card))
        written = Path(scratch) / "model"
        tf.saved_model.save(served, str(written), signatures={"serving_default": served.classify})
        _prove(served, written, experiment)
        shutil.move(str(written), str(out_dir))
    return out_dir


def _model_card(run: runs.Run, record: dict) -> dict:
    card = {
        "what": "Acoustic scene classifier written by crossask",
        "crossask": __version__,
        "scenes": record["scenes"],
        "experiment": record["experiment"],
        "clip_seconds": record["experiment"]["features"]["clip_seconds"],
        "sample_rates_hz": list(resampling.SAMPLE_RATES_HZ),
        "trained_on": record["corpus"],
        "fold": run.fold,
        "seed": run.seed,
        "training": run.read("result.json"),
    }
    if run.path("scores.json").is_file():
        card["evaluation"] = run.read("scores.json")
    return card


def _prove(served: ServedModel, written: Path, experiment):
    """Reads the written model back and compares its probabilities on noise at two rates, mono and stereo."""
    loaded = tf.saved_model.load(str(written)).signatures["serving_default"]
    rng = np.random.default_rng(0)
    for rate, channels in ((experiment.features.sample_rate_hz, 2), (16000, 1)):
        samples = round(experiment.features.clip_seconds * rate)
        waveform = tf.constant(rng.normal(0, 0.05, (1, samples, channels)), tf.float32)
        rate = tf.constant(rate, tf.int32)
        expected = served.classify(waveform, rate)["probabilities"].numpy()
        found = loaded(waveform=waveform, sample_rate_hz=rate)["probabilities"].numpy()
        difference = float(np.abs(expected - found).max())
        if not difference <= TOLERANCE:
            raise CrossaskError(
                f"The written SavedModel differs from its source by {difference:.1e}.", "Nothing was kept; please report this."
            )
