"""Runs a SavedModel. TensorFlow is imported when the first one is loaded."""

from pathlib import Path

import numpy as np

from crossask import stored
from crossask.errors import CrossaskError, first_line
from crossask.serving.cards import read_card

# What TensorFlow raises for a damaged SavedModel, beside errors of its own.
BROKEN_MODEL = (
    OSError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    AssertionError,
)
EXPORT_AGAIN = "Export the run again with crossask-export."


class SavedModel:
    """A SavedModel in a folder.

    Attributes:
      card: The model card.
      loaded: The SavedModel as TensorFlow loads it.
    """

    def __init__(self, folder: Path, trust_model: bool = False):
        """Loads the model.

        Args:
          folder: Folder of the SavedModel.
          trust_model: See `read_card`.

        Raises:
          CrossaskError: The folder contains no exported model, or one of its files is damaged.
        """
        # The card is read first: a graph that is loaded may run.
        self.card = read_card(folder, trust_model)
        stored.check_folder(folder, EXPORT_AGAIN)
        import tensorflow as tf
        from google.protobuf.message import DecodeError

        self._tf = tf
        try:
            self.loaded = tf.saved_model.load(str(folder))
        except (*BROKEN_MODEL, DecodeError, tf.errors.OpError) as error:
            raise CrossaskError(
                f"{str(folder)!r} is damaged ({first_line(error)}).", EXPORT_AGAIN
            ) from error

    def run(
        self, signature: str, waveform: np.ndarray, rate: int, embedding: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """Runs a signature.

        Args:
          signature: Its name.
          waveform: Waveforms [batch, samples, channels].
          rate: Their sample rate in Hz.
          embedding: Embeddings [batch, n, width], for a model of precomputed embeddings.
        """
        inputs = {
            "waveform": self._tf.constant(waveform, self._tf.float32),
            "sample_rate_hz": self._tf.constant(rate, self._tf.int32),
        }
        if embedding is not None:
            inputs["embedding"] = self._tf.constant(embedding)
        tensors = self.loaded.signatures[signature](**inputs)
        return {name: tensor.numpy() for name, tensor in tensors.items()}
