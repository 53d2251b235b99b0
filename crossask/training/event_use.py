"""Whether a trained row uses its events: a control for rows whose event model does not train.

An event model whose embeddings are the same for every clip adds a constant to the scene features.
The row's score is then that of a network without events.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np
import tensorflow as tf
import tf_keras as keras

# Rows whose probabilities change by less, on average, do not use the events.
LEAST_EFFECT = 1e-3


@dataclasses.dataclass(frozen=True)
class EventUse:
    """How much a row's embeddings vary, and what this does to its predictions.

    Attributes:
      deviation: Standard deviation of the embeddings over all patches, mean over their dimensions.
      effect: Mean over clips of the share of probability that moves to other scenes when every
        embedding is replaced by the mean embedding, 0..1.
    """

    deviation: float
    effect: float

    @property
    def is_used(self) -> bool:
        """Whether the predictions depend on the embeddings."""
        return self.effect >= LEAST_EFFECT


def event_use(model: keras.Model, batches: Iterable) -> EventUse:
    """Measures how a scene model uses its events.

    Args:
      model: A scene model that reads events.
      batches: (inputs, target, weight [B]) of some clips; inputs with "patches" [B, P, 96, 64] or
        "embedding" [B, P, E]. Clips of weight 0 do not count.
    """
    inputs_of_batches = []
    for inputs, _, weight in batches:
        counted = tf.where(weight > 0)[:, 0]
        inputs_of_batches.append({name: tf.gather(x, counted) for name, x in inputs.items()})
    embeddings = [_embedding(model, inputs) for inputs in inputs_of_batches]
    patches = np.concatenate([x.reshape(-1, x.shape[-1]) for x in embeddings]).astype(np.float64)
    mean = patches.mean(axis=0).astype(np.float32)  # [E]
    moved = []
    for inputs, embedding in zip(inputs_of_batches, embeddings, strict=True):
        constant = np.broadcast_to(mean, embedding.shape)
        with_events = _probabilities(model, inputs, embedding)
        without = _probabilities(model, inputs, constant)
        moved.append(np.abs(with_events - without).sum(axis=1) / 2)  # [B]
    return EventUse(
        deviation=float(patches.std(axis=0).mean()), effect=float(np.concatenate(moved).mean())
    )


def _embedding(model: keras.Model, inputs: dict[str, tf.Tensor]) -> np.ndarray:
    """Returns the embeddings of a batch, [B, P, E]."""
    if "embedding" in inputs:
        return inputs["embedding"].numpy()
    return tf.cast(model.event_model(inputs["patches"], training=False), tf.float32).numpy()


def _probabilities(
    model: keras.Model, inputs: dict[str, tf.Tensor], embedding: np.ndarray
) -> np.ndarray:
    """Returns the probabilities [B, classes] with the given embeddings."""
    logits = model({**inputs, "embedding": tf.constant(embedding)}, training=False)
    return tf.nn.softmax(tf.cast(logits, tf.float32)).numpy()
