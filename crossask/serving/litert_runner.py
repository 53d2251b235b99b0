"""Runs a LiteRT file, which starts in a second. Imports no TensorFlow."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from crossask import stored
from crossask.audio import amplitudes
from crossask.audio.windows import LEAST_SECONDS
from crossask.errors import CrossaskError, DataError, first_line
from crossask.serving.cards import NEEDED, check_facts

EXPORT_AGAIN = "Export the run again with crossask-export --format=litert."
# Number of the stream of errors.
STDERR = 2
# A further fact of the card of a LiteRT file without which nothing can be predicted, with its type.
OF_LITERT = {"channels": int}
_STDERR_LOCK = threading.Lock()


class LiteRTModel:
    """A file that `crossask-export --format=litert` wrote, with its model card.

    Several threads may use it: they predict one after the other.

    Attributes:
      card: The model card, with the entries of a SavedModel's card that `Classifier` reads.
    """

    def __init__(self, path: Path):
        """Loads the file.

        Args:
          path: The .tflite file. Its model card is the .json file beside it.

        Raises:
          CrossaskError: The file or its card is missing or cannot be read.
          ModuleNotFoundError: ai-edge-litert is not installed.
        """
        self.card = _read_card(path)
        # An interpreter has its inputs and outputs in one place. Threads at once would return the
        # outputs of each other.
        self._lock = threading.Lock()
        from ai_edge_litert.interpreter import Interpreter

        try:
            with _without_notices():
                interpreter = Interpreter(str(path))
                interpreter.allocate_tensors()
                self._predict = interpreter.get_signature_runner("serving_default")
        except (ValueError, RuntimeError) as error:
            raise CrossaskError(
                f"{path} is not a LiteRT model that can be run ({first_line(error)}).",
                EXPORT_AGAIN,
            ) from error

    def run(
        self, signature: str, waveform: np.ndarray, rate: int, embedding: None = None
    ) -> dict[str, np.ndarray]:
        """Returns the outputs for clips at the model's own sample rate.

        Args:
          signature: "serving_default"; the file has no other.
          waveform: Waveforms [batch, samples, 2].
          rate: Their sample rate in Hz, which is the model's own.
          embedding: None: rows with precomputed embeddings are not exported as LiteRT files.

        Returns:
          {"probabilities": [batch, scenes]}.

        Raises:
          CrossaskError: The signature is "embed" or "explain".
          AudioError: Samples are not finite or of amplitude 8 or more.
        """
        if signature != "serving_default":
            raise CrossaskError(
                f"A LiteRT model has no signature {signature!r}: it computes probabilities alone.",
                "Export the run with --format=saved_model for embeddings and explanations.",
            )
        # `Classifier` converts every recording to the only rate of "sample_rates_hz".
        assert rate == self.card["sample_rate_hz"]
        rows = []
        # A recording that was passed as an array may have other floats.
        # The file itself has no operator that could check this.
        amplitudes.check(waveform, "The waveform")
        for clip in waveform.astype(np.float32):
            if self.card["channels"] == 1:
                clip = clip.mean(axis=1, keepdims=True)
            with self._lock:
                rows.append(self._predict(waveform=clip[np.newaxis])["probabilities"])
        return {"probabilities": np.concatenate(rows)}


def _read_card(path: Path) -> dict[str, Any]:
    """Returns the model card beside a LiteRT file."""
    card_path = path.with_suffix(".json")
    for needed in (path, card_path):
        if not needed.is_file():
            raise CrossaskError(
                f"There is no file {str(needed)!r}.",
                "crossask-export --format=litert writes MODEL.tflite and MODEL.json; keep both "
                "in one folder.",
            )
    try:
        card = stored.read_json(card_path, EXPORT_AGAIN)
    except DataError as error:
        raise CrossaskError(
            f"{card_path} is not the model card of a LiteRT model ({error.problem})", EXPORT_AGAIN
        ) from error
    check_facts(card, card_path, NEEDED | OF_LITERT, EXPORT_AGAIN)
    stored.check_file(path, card_path, EXPORT_AGAIN)
    card.setdefault("front_end", {})
    # These hold for the file by its nature: it takes clips of one length and one rate.
    card["least_seconds"] = min(LEAST_SECONDS, card["clip_seconds"])
    card["sample_rates_hz"] = [card["sample_rate_hz"]]
    return card


@contextlib.contextmanager
def _without_notices() -> Iterator[None]:
    """Discards what C++ prints to stderr: a notice about the delegate of each file that is loaded.

    Errors are exceptions.
    """
    # Two threads at once would restore the stream of the other one, which leads nowhere.
    with _STDERR_LOCK:
        try:
            stderr = os.dup(STDERR)
        except OSError:
            # The process has no stream of errors, as daemons and programs with windows.
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, STDERR)
            yield
        finally:
            os.dup2(stderr, STDERR)
            os.close(stderr)
            os.close(nowhere)
