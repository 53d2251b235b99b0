"""Whether a trained row uses its events: a check for event models that learned nothing.

An event model whose embeddings are the same for every clip adds a constant to the scene features.
The row's score is then that of a network without events.
"""

import dataclasses
from collections.abc import Iterable, Iterator

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
    """Returns how much a scene model's embeddings vary, and their effect on its predictions.

    Args:
      model: A scene model that reads events.
      batches: (inputs, target, weight [B]) of some clips; inputs with "patches" [B, P, 96, 64] or
        "embedding" [B, P, E]. Clips of weight 0 do not count. They are read twice.
    """
    mean, deviation = _mean_and_deviation(model, batches)
    moved = []
    for inputs in _counted(batches):
        embedding = _embedding(model, inputs)
        constant = np.broadcast_to(mean.astype(np.float32), embedding.shape)
        with_events = _probabilities(model, inputs, embedding)
        without = _probabilities(model, inputs, constant)
        moved.append(np.abs(with_events - without).sum(axis=1) / 2)  # [B]
    return EventUse(deviation=float(deviation.mean()), effect=float(np.concatenate(moved).mean()))


def _counted(batches: Iterable) -> Iterator[dict[str, tf.Tensor]]:
    """Yields the inputs of each batch without the clips of weight 0."""
    for inputs, _, weight in batches:
        counted = tf.where(weight > 0)[:, 0]
        yield {name: tf.gather(x, counted) for name, x in inputs.items()}


def _mean_and_deviation(model: keras.Model, batches: Iterable) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and standard deviation [E] of the embeddings of all patches."""
    count = 0
    total = 0.0
    total_of_squares = 0.0
    for inputs in _counted(batches):
        embedding = _embedding(model, inputs).astype(np.float64)
        patches = embedding.reshape(-1, embedding.shape[-1])  # [B * P, E]
        count += len(patches)
        total = total + patches.sum(axis=0)
        total_of_squares = total_of_squares + np.square(patches).sum(axis=0)
    mean = total / count
    variance = np.maximum(total_of_squares / count - np.square(mean), 0.0)
    return mean, np.sqrt(variance)


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
