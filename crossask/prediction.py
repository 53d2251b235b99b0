"""An exported model and sound files to answers. Imports no training or model code: TensorFlow and the reader alone."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from crossask.audio.reading import read_audio
from crossask.errors import AudioError, CrossaskError


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the model says of one file: a probability a scene, windows of the clip length averaged."""

    path: str
    probabilities: dict[str, float]
    seconds: float

    @property
    def scene(self) -> str:
        return max(self.probabilities, key=self.probabilities.get)

    def top(self, count: int) -> list[tuple[str, float]]:
        return sorted(self.probabilities.items(), key=lambda item: -item[1])[:count]


class Classifier:
    """A SavedModel written by `crossask-export`.

    Args:
      model_dir: its folder.

    Raises:
      CrossaskError: the folder is no SavedModel of ours.
    """

    def __init__(self, model_dir):
        import tensorflow as tf

        folder = Path(model_dir)
        card = folder / "assets" / "model_card.json"
        if not (folder / "saved_model.pb").is_file() or not card.is_file():
            raise CrossaskError(f"{str(folder)!r} is not a model written by crossask-export.", "Give the folder that holds saved_model.pb.")
        self.card = json.loads(card.read_text())
        self.scenes = tuple(self.card["scenes"])
        self._tf, self._model = tf, tf.saved_model.load(str(folder))

    def predict_waveform(self, waveform: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """Probabilities [scenes] of a waveform [samples, channels].

        A waveform longer than the clip length of training is heard in consecutive windows, of which the last may overlap
        the one before; their probabilities are averaged.
        """
        if sample_rate_hz not in self.card["sample_rates_hz"]:
            raise AudioError(
                f"The sample rate is {sample_rate_hz} Hz.", f"Resample it to one of {', '.join(map(str, self.card['sample_rates_hz']))} Hz."
            )
        length = round(self.card["clip_seconds"] * sample_rate_hz)
        starts = list(range(0, max(1, len(waveform) - length + 1), length))
        if len(waveform) > starts[-1] + length:
            starts.append(len(waveform) - length)
        total = 0.0
        for start in starts:
            window = self._tf.constant(waveform[np.newaxis, start : start + length], self._tf.float32)
            answer = self._model.signatures["serving_default"](
                waveform=window, sample_rate_hz=self._tf.constant(sample_rate_hz, self._tf.int32)
            )
            total = total + answer["probabilities"].numpy()[0].astype(np.float64)
        return total / len(starts)

    def predict_file(self, path) -> Answer:
        """The answer for a sound file; an AudioError names a file that cannot be used."""
        waveform, rate = read_audio(path)
        try:
            probabilities = self.predict_waveform(waveform, rate)
        except AudioError as error:
            raise AudioError(f"{path}: {error.problem}", error.fix) from error
        return Answer(str(path), dict(zip(self.scenes, map(float, probabilities), strict=True)), len(waveform) / rate)
