"""A finished run as one LiteRT file (`.tflite`) for devices: the waveform of a clip in, a probability a scene out."""

import contextlib
import json
import re
import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert_phase import ConverterError

from crossask import config, events, files
from crossask.audio import clip_features
from crossask.errors import CrossaskError
from crossask.serving import tflite_file
from crossask.serving.calibration import calibration_clips
from crossask.serving.model_card import model_card, servable
from crossask.training import network, run_folder

PRECISIONS = ("float32", "float16", "int8")
TOLERANCES = {
    "float32": 1e-4,
    "float16": 1e-2,
}  # of a probability, between the run's model and the file
LEAST_AGREEMENT, MOST_MEAN_DIFFERENCE = 0.8, 0.1  # of the top scenes and of probabilities at int8
FRONT_END = "front_end"  # name scope of all operators before the network
OUTPUT = "StatefulPartitionedCall"  # what the converter calls it
_SERVED_ONLY = (
    "least_seconds",
    "sample_rates_hz",
)  # of the model card: the file takes one rate and one length


class ClipModel(tf.Module):
    """A network behind its front-end, for exactly one clip: waveform [1, samples, channels] at the row's own rate.

    Args:
      experiment: the row.
      scene_model: what names the scene; it holds the event model where that was trained.
      event_model: patches to embeddings, for a row that reads those of a frozen one; else None.
    """

    def __init__(self, experiment: config.Experiment, scene_model, event_model):
        super().__init__()
        self.scene_model, self.event_model = scene_model, event_model
        self._experiment, self.features = experiment, experiment.features
        channels = 1 if self.features.mono else 2
        self.shape = (1, round(self.features.clip_seconds * self.features.sample_rate_hz), channels)
        self.probabilities = tf.function(
            self._probabilities,
            input_signature=[tf.TensorSpec(self.shape, tf.float32, name="waveform")],
        )

    @classmethod
    def of(cls, run: run_folder.Run):
        """With a finished run's weights."""
        experiment = servable(run)
        return cls(experiment, network.load(run), network.frozen_event_model(run))

    def _probabilities(self, waveform):
        """{"probabilities": [1, scenes]}"""
        patches, pad_end = (
            events.front_end_of(self._experiment),
            self._experiment.event_model.pad_end,
        )
        with tf.name_scope(FRONT_END):
            inputs = clip_features.clip_features(
                waveform, self.features.sample_rate_hz, self.features, patches, pad_end
            )
        if self.event_model is not None:
            inputs["embedding"] = self.event_model(inputs.pop("patches"))
        return {
            "probabilities": tf.nn.softmax(
                tf.cast(self.scene_model(inputs, training=False), tf.float32)
            )
        }

    def answers(self, clips) -> np.ndarray:
        """Probabilities [clips, scenes] of waveforms [samples, channels]."""
        return np.concatenate(
            [self.probabilities(tf.constant(clip[np.newaxis]))["probabilities"] for clip in clips]
        )

    @property
    def parameters(self) -> int:
        """Of the network, moving statistics too; the front-end's tables are none."""
        weights = [
            *self.scene_model.weights,
            *(self.event_model.weights if self.event_model else ()),
        ]
        return sum(int(np.prod(variable.shape)) for variable in weights)


def export_litert(run: run_folder.Run, out, precision: str = "float32", calibration=None) -> dict:
    """Writes `out`, a LiteRT file of the run's best epoch, and its card `<stem>.json` beside it, both proven before they are moved there.

    Signature `serving_default`: `waveform` [1, samples, channels] float32, amplitude -1..1, at the row's own sample rate -> `probabilities`
    [1, scenes]. It holds LiteRT's built-in operators alone.

    Args:
      out: path of the file, ending in .tflite.
      precision: "float32"; "float16": weights of half size; "int8": network in integers, the front-end and the last softmax in float.
      calibration: for int8, a folder or CSV of recordings, see calibration.calibration_clips.

    Returns:
      the card.

    Raises:
      CrossaskError: `out` exists or has another ending, a precision that does not fit `calibration`, a model that LiteRT has no
        operators for, or a file that does not answer like the run's model. Nothing is kept then.
    """
    out = Path(out)
    card_path = out.with_suffix(".json")
    _check(out, card_path, precision, calibration)
    files.check_room(out.parent, 0)
    model = ClipModel.of(run)
    clips = (
        calibration_clips(calibration, model.features)
        if calibration
        else _test_sounds(model.shape[1:])
    )
    content = _converted(model, run.row, precision, clips)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
        written, written_card = Path(scratch) / out.name, Path(scratch) / card_path.name
        written.write_bytes(content)
        agreement = _proven(model, written, precision, clips)
        card = _card(run, model, written, precision) | {"agreement": agreement}
        written_card.write_text(json.dumps(card, indent=2))
        shutil.move(written_card, card_path)
        shutil.move(written, out)
    return card


class Interpreter:
    """A LiteRT file, ready to answer.

    Args:
      path: of the file.
      threads: of its operators.
    """

    def __init__(self, path, threads: int = 1):
        with _without_notice():
            self._interpreter = tf.lite.Interpreter(str(path), num_threads=threads)
            self._answer = self._interpreter.get_signature_runner("serving_default")

    def answers(self, clips) -> np.ndarray:
        """Probabilities [clips, scenes] of waveforms [samples, channels]."""
        return np.concatenate(
            [self._answer(waveform=clip[np.newaxis])["probabilities"] for clip in clips]
        )


def _check(out: Path, card: Path, precision: str, calibration):
    if out.suffix != ".tflite":
        raise CrossaskError(
            f"{str(out)!r} does not end in .tflite.", "Name the file so: --out=MODEL.tflite."
        )
    for path in (out, card):
        if path.exists():
            raise CrossaskError(
                f"{str(path)!r} exists already.", "Give another --out, or remove it first."
            )
    if precision not in PRECISIONS:
        raise CrossaskError(
            f"There is no precision {precision!r}.", f"Use one of: {', '.join(PRECISIONS)}."
        )
    if precision == "int8" and not calibration:
        raise CrossaskError(
            "int8 needs recordings to calibrate on.",
            "Add --calibration=FOLDER, with clips of every scene.",
        )
    if precision != "int8" and calibration:
        raise CrossaskError(
            f"{precision} is not calibrated.",
            "Leave --calibration out, or ask for --precision=int8.",
        )


def _converted(model: ClipModel, row: str, precision: str, clips) -> bytes:
    """The file's bytes; `clips` calibrate int8."""
    try:
        return {
            "float32": _in_float32,
            "float16": _in_float16,
            "int8": lambda model: _in_int8(model, clips),
        }[precision](model)
    except ConverterError as error:
        lacking = (
            ", ".join(sorted(set(re.findall(r"'tf\.(\w+)' op", str(error)))))
            or str(error).strip().splitlines()[0]
        )
        raise CrossaskError(
            f"Row {row!r} cannot be a LiteRT file: LiteRT has no built-in operator for a part of it ({lacking}).",
            "Export it with --format=saved_model, or train a row of another system; FA converts.",
        ) from error


def _in_float32(model: ClipModel) -> bytes:
    return _converter(model).convert()


def _in_float16(model: ClipModel) -> bytes:
    """Weights of half size. The front-end's tables are not: a window of eleven bits leaks into quiet bins, and the logarithm shows it."""
    converter = _converter(model)
    converter.optimizations, converter.target_spec.supported_types = (
        [tf.lite.Optimize.DEFAULT],
        [tf.float16],
    )
    return tflite_file.with_float_tables(converter.convert(), _in_float32(model), f"{FRONT_END}/")


def _converter(model: ClipModel):
    """A new one: a converter converts once."""
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [model.probabilities.get_concrete_function()], model
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter


def _in_int8(model: ClipModel, clips) -> bytes:
    """The file with its network in int8, calibrated on `clips`.

    In eight bits the quiet bins of the spectrum, a millionth of the loud ones, are all zero, and their logarithm is meaningless: the
    front-end stays float, and integers begin with the log-mel. The last softmax stays float, too: its probabilities would be
    multiples of 1/256. So do votes of frames (the 2017 baseline's): LiteRT's integer ONE_HOT writes another zero than is read after it.
    """
    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([clip[np.newaxis]] for clip in clips)
    with _without_notice():
        # TensorFlow's only public way to leave single operators out of quantisation
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter, debug_dataset=converter.representative_dataset
        )
        names = [
            tensor["name"]
            for tensor in tf.lite.Interpreter(
                model_content=debugger.calibrated_model
            ).get_tensor_details()
        ]
        # slices of the waveform become integers all the same, unless nobody knows their range
        debugger.calibrated_model = tflite_file.without_ranges(
            debugger.calibrated_model, f"{FRONT_END}/"
        )
        in_float = [name for name in names if name.startswith((f"{FRONT_END}/", OUTPUT))]
        in_float += tflite_file.outputs_of(
            debugger.calibrated_model, tflite_file.schema.BuiltinOperator.ONE_HOT
        )
        debugger.options = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=in_float)
        return debugger.get_nondebug_quantized_model()


@contextlib.contextmanager
def _without_notice():
    """TensorFlow tells at every use that its interpreter will move to a package of its own."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=r"(?s).*tf\.lite\.Interpreter is deprecated", category=UserWarning
        )
        yield


def _proven(model: ClipModel, written: Path, precision: str, clips) -> dict:
    """How far the written file agrees with the run's model, or a CrossaskError."""
    expected, found = model.answers(clips), Interpreter(written).answers(clips)
    difference = np.abs(expected - found)
    same = float(np.mean(expected.argmax(1) == found.argmax(1)))
    if precision == "int8" and not (
        same >= LEAST_AGREEMENT and difference.mean() <= MOST_MEAN_DIFFERENCE
    ):
        raise CrossaskError(
            f"At int8 the file names the run's top scene for {same:.0%} of {len(clips)} clips, and probabilities differ by "
            f"{difference.mean():.2f} on average; at least {LEAST_AGREEMENT:.0%} and at most {MOST_MEAN_DIFFERENCE:g} are needed.",
            "Nothing was kept. Calibrate on more varied recordings, or use --precision=float16.",
        )
    if precision != "int8" and not difference.max() <= TOLERANCES[precision]:
        raise CrossaskError(
            f"At {precision} a probability of the file differs from the run's model by {difference.max():.1e}; "
            f"{TOLERANCES[precision]:.0e} is allowed.",
            "Nothing was kept; "
            + ("please report this." if precision == "float32" else "use --precision=float32."),
        )
    return {
        "on": "calibration clips" if precision == "int8" else "noise, a tone and silence",
        "clips": len(clips),
        "same_top_scene": same,
        "mean_difference": float(difference.mean()),
        "largest_difference": float(difference.max()),
    }


def _test_sounds(shape) -> list[np.ndarray]:
    """Ten clips [samples, channels]: white and brown noise from faint to loud, a pure tone (its quiet bins show what leaks), silence."""
    rng, clips = np.random.default_rng(0), []
    for level in (0.001, 0.01, 0.1, 0.3):
        white = rng.normal(0, 1, shape)
        brown = np.cumsum(white, axis=0)
        clips += [level * noise / np.abs(noise).max() for noise in (white, brown)]
    tone = np.sin(0.2 * np.arange(shape[0]))[:, np.newaxis]
    return [
        clip.astype(np.float32)
        for clip in (*clips, np.broadcast_to(tone / 2, shape), np.zeros(shape))
    ]


def _card(run: run_folder.Run, model: ClipModel, written: Path, precision: str) -> dict:
    _, samples, channels = model.shape
    card = model_card(run, run.read("config.json"))
    whole, network = tflite_file.peaks(written.read_bytes(), f"{FRONT_END}/")
    return {name: value for name, value in card.items() if name not in _SERVED_ONLY} | {
        "precision": precision,
        "samples": samples,
        "channels": channels,
        "parameters": model.parameters,
        "file_bytes": written.stat().st_size,
        "peak_activation_bytes": whole,
        "peak_activation_bytes_of_network": network,
    }
