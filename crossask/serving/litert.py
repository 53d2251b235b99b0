"""Exports a finished run as one LiteRT file (`.tflite`) for devices.

The file takes the waveform of one clip and returns a probability for each scene.
"""

import contextlib
import json
import logging
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert_phase import ConverterError

from crossask import config, events, files, stored
from crossask.audio import amplitudes, clip_features
from crossask.errors import CrossaskError, first_line
from crossask.events.layer import EventModel
from crossask.events.waveform_model import WaveformModel
from crossask.models.scene_model import SceneModel
from crossask.serving import tflite_file
from crossask.serving.calibration import calibration_clips
from crossask.serving.model_card import exportable_experiment, model_card
from crossask.tracing import as_written
from crossask.training import network
from crossask.training.network_size import count_parameters
from crossask.training.run_folder import Run

LOG = logging.getLogger("crossask")
PRECISIONS = ("float32", "float16", "int8")
# Largest difference allowed between a probability of the file and of the run's model.
TOLERANCES = {"float32": 1e-4, "float16": 1e-2}
# At int8: smallest share of clips with the same top scene, and largest mean difference of
# probabilities.
LEAST_AGREEMENT = 0.8
MOST_MEAN_DIFFERENCE = 0.1

# Start of the names of all tensors that are computed before the network.
FRONT_END = "front_end"
# Start of the name that the converter gives to the output.
OUTPUT = "StatefulPartitionedCall"
# Keys of the model card that only hold for a SavedModel: the file takes one rate and one length.
_SAVED_MODEL_KEYS = ("least_seconds", "sample_rates_hz")
_UNCHECKED_INPUT = (
    "LiteRT cannot check the waveform. Before each call, check that all samples are finite and "
    f"below {amplitudes.LIMIT:g} in amplitude; full scale is 1."
)


class ClipModel(tf.Module):
    """A front-end and a network for exactly one clip, at the row's own sample rate.

    Attributes:
      shape: Shape of the waveform, [1, samples, channels].
      features: Sample rate and length of the clip, and its log-mel.
      probabilities: A tf.function, waveform -> {"probabilities": [1, scenes]}.
    """

    def __init__(
        self,
        experiment: config.Experiment,
        scene_model: SceneModel,
        event_model: EventModel | WaveformModel | None,
    ):
        """Creates the model from its trained parts.

        Args:
          experiment: The row.
          scene_model: Features of clips -> logits. It contains the event model if that was trained.
          event_model: Patches -> embeddings, for a row that reads embeddings of a frozen event
            model; else None.
        """
        super().__init__()
        self.scene_model = scene_model
        self.event_model = event_model
        self._experiment = experiment
        self.features = experiment.features
        samples = round(self.features.clip_seconds * self.features.sample_rate_hz)
        channels = 1 if self.features.mono else 2
        self.shape = (1, samples, channels)
        self.probabilities = tf.function(
            as_written(self._probabilities),
            input_signature=[tf.TensorSpec(self.shape, tf.float32, name="waveform")],
        )

    @classmethod
    def from_run(cls, run: Run) -> "ClipModel":
        """Returns the model of a finished run; raises CrossaskError if it cannot be exported.

        A frozen event model computes in float32: LiteRT has no convolutions in bfloat16.
        """
        experiment = exportable_experiment(run)
        return cls(experiment, network.load(run), network.frozen_event_model(run, "float32"))

    @property
    def parameters(self) -> int:
        """Number of parameters of the network, with moving statistics but without the front-end."""
        weights = list(self.scene_model.weights)
        if self.event_model:
            weights += self.event_model.weights
        return count_parameters(weights)

    def predict(self, clips: Sequence[np.ndarray]) -> np.ndarray:
        """Returns probabilities [clips, scenes] of waveforms [samples, channels]."""
        rows = []
        for clip in clips:
            waveform = tf.constant(clip[np.newaxis])
            rows.append(self.probabilities(waveform)["probabilities"])
        return np.concatenate(rows)

    def _probabilities(self, waveform: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the probabilities [1, scenes] of a waveform [1, samples, channels]."""
        with tf.name_scope(FRONT_END):
            inputs = clip_features.clip_features(
                waveform,
                self.features.sample_rate_hz,
                self.features,
                self._experiment.event_model_read,
            )
        if self.event_model is not None:
            inputs["embedding"] = self.event_model(inputs.pop("patches"))
        logits = self.scene_model(inputs, training=False)
        return {"probabilities": tf.nn.softmax(logits)}


class Interpreter:
    """A LiteRT file that is loaded and predicts, for one thread at a time."""

    def __init__(self, path: str | Path, threads: int = 1):
        """Loads a file.

        Args:
          path: The file.
          threads: Number of threads that run its operators.
        """
        with _without_deprecation_warning():
            interpreter = tf.lite.Interpreter(str(path), num_threads=threads)
            self._run = interpreter.get_signature_runner("serving_default")

    def predict(self, clips: Sequence[np.ndarray]) -> np.ndarray:
        """Returns probabilities [clips, scenes] of waveforms [samples, channels].

        Raises:
          AudioError: Samples of a clip are not finite or of amplitude 8 or more. LiteRT has no
            operator that could check this inside the file.
        """
        rows = []
        for number, clip in enumerate(clips):
            amplitudes.check(clip, f"Clip {number} (counted from 0)")
            rows.append(self._run(waveform=clip[np.newaxis])["probabilities"])
        return np.concatenate(rows)


def export_litert(
    run: Run,
    out: str | Path,
    precision: str = "float32",
    calibration: str | Path | None = None,
) -> dict[str, Any]:
    """Writes a run's best epoch as a LiteRT file `out`, and its model card `<stem>.json` beside it.

    The file uses LiteRT's built-in operators only. Its signature `serving_default` takes `waveform`
    [1, samples, channels] float32 (-1..1, at the row's own sample rate) and returns `probabilities`
    [1, scenes]. It is compared with the run before it is moved to its place. A frozen event model
    computes in float32 in both, whatever `event_model.precision` is.

    Args:
      run: The finished run.
      out: Path of the file, which ends in .tflite.
      precision: "float32"; "float16", with weights of half the size; or "int8", with a network in
        integers between a front-end and a softmax in float32.
      calibration: For int8, recordings as `calibration_clips` reads them.

    Returns:
      The model card.

    Raises:
      CrossaskError: `out` exists or has another ending, `precision` and `calibration` do not fit
        each other, the run cannot be exported, LiteRT lacks an operator, or the file does not
        predict what the run's model predicts. Nothing is written then.
    """
    out = Path(out)
    card_path = out.with_suffix(".json")
    _check_out(out, card_path)
    _check_precision(precision, calibration)
    files.check_room(out.parent, 0)
    model = _convertible_model(run, precision)
    if calibration:
        clips = calibration_clips(calibration, model.features)
    else:
        clips = _test_clips(model.shape[1:])
    content = _convert(model, run.row, precision, clips)
    with files.folder_beside(out) as scratch:
        written = scratch / out.name
        written.write_bytes(content)
        agreement = _check_agreement(model, written, precision, clips)
        card = _litert_card(run, model, written, precision)
        card["agreement"] = agreement
        written_card = scratch / card_path.name
        stored.write_json(written_card, card, (written.name,))
        # The file is moved last: a card without a file is then from a killed command.
        files.sync(written)
        os.replace(written_card, card_path)
        os.replace(written, out)
        files.sync(out.parent)
    return card


def _convertible_model(run: Run, precision: str) -> ClipModel:
    """Returns a run's model, and logs how the file will differ from it.

    Raises:
      CrossaskError: The model cannot be exported as a LiteRT file of this precision.
    """
    experiment = run.experiment()
    if events.are_from_file(experiment):
        raise CrossaskError(
            f"Row {run.row!r} reads embeddings from a file, and a LiteRT file takes the waveform "
            "alone.",
            "Export it with --format=saved_model.",
        )
    _warn_of_low_rate(experiment)
    _warn_of_other_precision(experiment)
    model = ClipModel.from_run(run)
    if precision == "int8" and isinstance(model.event_model, WaveformModel):
        raise CrossaskError(
            f"The event model of row {run.row!r} is a SavedModel with its own front-end, which "
            "int8 would make meaningless.",
            "Use --precision=float16 or --precision=float32.",
        )
    return model


def _warn_of_low_rate(experiment: config.Experiment) -> None:
    """Logs if the event model of the file reads less of a recording than it read in training."""
    event_model = experiment.event_model_read
    if event_model is None:
        return
    rate = experiment.features.sample_rate_hz
    event_rate = clip_features.event_rate_hz(event_model)
    if rate < event_rate:
        LOG.warning(
            "The file takes clips at %d Hz, but its event model was trained at %d Hz. The events "
            "lack all frequencies above %d Hz, so predictions may be less accurate.",
            rate,
            event_rate,
            rate // 2,
        )


def _warn_of_other_precision(experiment: config.Experiment) -> None:
    """Logs if the event model of the file computes in another precision than in training."""
    event_model = experiment.event_model_read
    if event_model is not None and event_model.precision != "float32":
        LOG.warning(
            "The event model of the file computes in float32, and in training it computed in %s "
            "(event_model.precision). The file is compared with the run's model in float32; the "
            "run's predictions differ slightly.",
            event_model.precision,
        )


def _check_out(out: Path, card_path: Path) -> None:
    """Raises CrossaskError unless the file and its card can be written to new paths."""
    if out.suffix != ".tflite":
        raise CrossaskError(
            f"The file name {str(out)!r} does not end in .tflite.", "Use --out=MODEL.tflite."
        )
    for path in (out, card_path):
        # A link without a target exists, too.
        if not os.path.lexists(path):
            continue
        if path == card_path and _is_litert_card(card_path):
            # There is no file, so a killed command has left its card.
            continue
        raise CrossaskError(
            f"{str(path)!r} exists already.", "Use another --out, or remove it first."
        )


def _is_litert_card(card_path: Path) -> bool:
    """Returns whether a file is a card that `export_litert` writes."""
    try:
        card = json.loads(card_path.read_text())
    except (OSError, ValueError):
        return False
    return isinstance(card, dict) and {"scenes", "precision", "agreement"} <= set(card)


def _check_precision(precision: str, calibration: str | Path | None) -> None:
    """Raises CrossaskError unless there are recordings for int8, and only for it."""
    if precision not in PRECISIONS:
        raise CrossaskError(
            f"There is no precision {precision!r}.", f"Use one of: {', '.join(PRECISIONS)}."
        )
    if precision == "int8" and not calibration:
        raise CrossaskError(
            "The precision int8 needs recordings for calibration.",
            "Add --calibration=FOLDER with clips of every scene.",
        )
    if precision != "int8" and calibration:
        raise CrossaskError(
            f"The precision {precision} is not calibrated.",
            "Remove --calibration, or use --precision=int8.",
        )


def _convert(model: ClipModel, row: str, precision: str, clips: Sequence[np.ndarray]) -> bytes:
    """Returns the content of the LiteRT file.

    Args:
      model: The model.
      row: Name of its row, for an error.
      precision: One of PRECISIONS.
      clips: Waveforms [samples, channels] that calibrate int8.
    """
    try:
        # The converter writes a copy of the model there.
        with files.temporary_files_of("crossask-export"):
            if precision == "int8":
                return _convert_to_int8(model, clips)
            if precision == "float16":
                return _convert_to_float16(model)
            return _convert_to_float32(model)
    except ConverterError as error:
        missing = ", ".join(sorted(set(re.findall(r"'tf\.(\w+)' op", str(error)))))
        if not missing:
            missing = first_line(error)
        raise CrossaskError(
            f"Row {row!r} cannot be converted to LiteRT, which has no built-in operator for a part "
            f"of it ({missing}).",
            "Export it with --format=saved_model, or train a row of another system, such as FA.",
        ) from error


def _converter(model: ClipModel) -> tf.lite.TFLiteConverter:
    """Returns a new converter, which can be used once."""
    function = model.probabilities.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter


def _convert_to_float32(model: ClipModel) -> bytes:
    return _converter(model).convert()


def _convert_to_float16(model: ClipModel) -> bytes:
    """Returns the file with the network's weights in float16 and the front-end in float32.

    A window function with 11 significant bits would leak energy into quiet bins of the spectrum,
    and the logarithm would make that visible.
    """
    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    content = converter.convert()
    return tflite_file.with_float_constants(content, _convert_to_float32(model), f"{FRONT_END}/")


def _convert_to_int8(model: ClipModel, clips: Sequence[np.ndarray]) -> bytes:
    """Returns the file with the network in int8, calibrated on `clips`.

    Some parts stay in float32:

    * The front-end. In eight bits, the quiet bins of the spectrum, a millionth of the loud ones,
      would all be zero and their logarithm meaningless. Integers begin with the log-mel.
    * The last softmax. Its probabilities would be multiples of 1/256.
    * The one-hot votes of the DCASE 2017 baseline. LiteRT's integer ONE_HOT writes another zero
      point than the next operator reads.
    """

    def representative_dataset() -> Iterator[list[np.ndarray]]:
        """Yields the inputs of the model, one clip at a time."""
        for clip in clips:
            yield [clip[np.newaxis]]

    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative_dataset
    with _without_deprecation_warning():
        # The debugger is TensorFlow's only public way to exclude operators from quantisation.
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter, debug_dataset=representative_dataset
        )
        names = _tensor_names(debugger.calibrated_model)
        # The slices of the waveform are quantised in spite of the list of exclusions, unless their
        # ranges are removed.
        debugger.calibrated_model = tflite_file.without_ranges(
            debugger.calibrated_model, f"{FRONT_END}/"
        )
        excluded = [name for name in names if name.startswith((f"{FRONT_END}/", OUTPUT))]
        excluded += tflite_file.output_names(
            debugger.calibrated_model, tflite_file.schema.BuiltinOperator.ONE_HOT
        )
        debugger.options = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=excluded)
        return debugger.get_nondebug_quantized_model()


def _tensor_names(content: bytes) -> list[str]:
    interpreter = tf.lite.Interpreter(model_content=content)
    return [tensor["name"] for tensor in interpreter.get_tensor_details()]


@contextlib.contextmanager
def _without_deprecation_warning() -> Iterator[None]:
    """Hides TensorFlow's notice that its interpreter will move to another package."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=r"(?s).*tf\.lite\.Interpreter is deprecated", category=UserWarning
        )
        yield


def _check_agreement(
    model: ClipModel, written: Path, precision: str, clips: Sequence[np.ndarray]
) -> dict[str, Any]:
    """Compares the written file with the run's model on `clips`.

    Returns:
      The entry "agreement" of the model card.

    Raises:
      CrossaskError: They differ by more than is allowed at this precision.
    """
    expected = model.predict(clips)  # [clips, scenes]
    try:
        found = Interpreter(written).predict(clips)  # [clips, scenes]
    except RuntimeError as error:
        # The converter accepts some operators with arguments that LiteRT cannot run.
        raise CrossaskError(
            f"LiteRT cannot run the converted file: {error}",
            "Nothing was kept. Export it with --format=saved_model, or train a row with another "
            "event model.",
        ) from error
    differences = np.abs(expected - found)
    mean = float(differences.mean())
    largest = float(differences.max())
    same_top_scene = float(np.mean(expected.argmax(1) == found.argmax(1)))
    # Each comparison is also false for NaN.
    if precision == "int8":
        if not (same_top_scene >= LEAST_AGREEMENT and mean <= MOST_MEAN_DIFFERENCE):
            raise CrossaskError(
                f"The int8 file predicts the run's top scene for {same_top_scene:.0%} of "
                f"{len(clips)} clips, and its probabilities differ by {mean:.2f} on average; at "
                f"least {LEAST_AGREEMENT:.0%} and at most {MOST_MEAN_DIFFERENCE:g} are required.",
                "Nothing was kept. Calibrate on more varied recordings, or use "
                "--precision=float16.",
            )
    elif not largest <= TOLERANCES[precision]:
        remedy = "Please report this." if precision == "float32" else "Use --precision=float32."
        raise CrossaskError(
            f"A probability of the {precision} file differs from the run's model by {largest:.1e}; "
            f"at most {TOLERANCES[precision]:.0e} is allowed.",
            f"Nothing was kept. {remedy}",
        )
    return {
        "on": "calibration clips" if precision == "int8" else "noise, a tone and silence",
        "clips": len(clips),
        "same_top_scene": same_top_scene,
        "mean_difference": mean,
        "largest_difference": largest,
    }


def _test_clips(shape: tuple[int, int]) -> list[np.ndarray]:
    """Returns ten clips for the comparison: noise, a tone and silence.

    The noise is white and brown, from faint to loud. The tone leaves most bins quiet, which shows
    whether the window function leaks.

    Args:
      shape: Shape of a clip, (samples, channels).
    """
    rng = np.random.default_rng(0)
    clips = []
    for level in (0.001, 0.01, 0.1, 0.3):
        white = rng.normal(0, 1, shape)
        brown = np.cumsum(white, axis=0)
        clips.append(level * white / np.abs(white).max())
        clips.append(level * brown / np.abs(brown).max())
    tone = np.sin(0.2 * np.arange(shape[0]))[:, np.newaxis]
    clips.append(np.broadcast_to(tone / 2, shape))
    clips.append(np.zeros(shape))
    return [clip.astype(np.float32) for clip in clips]


def _litert_card(run: Run, model: ClipModel, written: Path, precision: str) -> dict[str, Any]:
    """Returns the model card of the written file, without its agreement with the run."""
    card = model_card(run)
    for key in _SAVED_MODEL_KEYS:
        del card[key]
    _, samples, channels = model.shape
    whole_peak, network_peak = tflite_file.peak_bytes(written.read_bytes(), f"{FRONT_END}/")
    card |= {
        "precision": precision,
        "input_check": _UNCHECKED_INPUT,
        "samples": samples,
        "channels": channels,
        "parameters": model.parameters,
        "file_bytes": written.stat().st_size,
        "peak_activation_bytes": whole_peak,
        "peak_activation_bytes_of_network": network_peak,
    }
    return card
