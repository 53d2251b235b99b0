"""Runs a SavedModel. TensorFlow is imported when the first one is loaded."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from crossask import files, stored
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
# Signature -> an output that it must have.
OUTPUT_OF = {"serving_default": "probabilities", "embed": "scene_embedding"}
AS_OURS = (
    "Give a model of crossask-export, or one whose signatures have the inputs and outputs that "
    "docs/serving.md lists."
)


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
        self._folder = folder
        try:
            # A signature may read a file of the model later.
            self.loaded = tf.saved_model.load(str(files.kept_without_pattern(folder)))
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

        Raises:
          CrossaskError: The model of another program has no such signature, or one with other
            inputs or outputs.
        """
        if signature not in self.loaded.signatures:
            raise CrossaskError(
                f"The model {self._folder} has no signature {signature!r}.", AS_OURS
            )
        inputs = {
            "waveform": self._tf.constant(waveform, self._tf.float32),
            "sample_rate_hz": self._tf.constant(rate, self._tf.int32),
        }
        if embedding is not None:
            inputs["embedding"] = self._tf.constant(embedding)
        self._check_inputs(signature, inputs)
        tensors = self.loaded.signatures[signature](**inputs)
        needed = OUTPUT_OF.get(signature)
        if needed is not None and needed not in tensors:
            raise CrossaskError(
                f"The signature {signature!r} of the model {self._folder} has no output "
                f"{needed!r}, but {', '.join(tensors)}.",
                AS_OURS,
            )
        return {name: tensor.numpy() for name, tensor in tensors.items()}

    def _check_inputs(self, signature: str, inputs: Mapping[str, Any]) -> None:
        """Raises CrossaskError if a signature takes other inputs than these tensors.

        TensorFlow does not check their shapes, and the graph may compute something with any.
        """
        structure = self.loaded.signatures[signature].structured_input_signature
        if structure is None:
            # A SavedModel of TensorFlow 1.
            return
        _, specs = structure
        fits = specs.keys() == inputs.keys()
        for name, spec in specs.items():
            fits = fits and spec.is_compatible_with(inputs[name])
        if not fits:
            raise CrossaskError(
                f"The signature {signature!r} of the model {self._folder} takes "
                f"{_in_words(specs)} in place of {_in_words(inputs)}.",
                AS_OURS,
            )


def _in_words(tensors: Mapping[str, Any]) -> str:
    """Returns the names, types and shapes of tensors or of their specifications."""
    texts = []
    for name, tensor in tensors.items():
        texts.append(f"{name} {tensor.dtype.name} {tensor.shape}")
    return ", ".join(texts)
