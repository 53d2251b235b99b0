"""How far training moves the embeddings of an event model."""

import math
from collections.abc import Callable, Iterable

import tensorflow as tf

from crossask.events.layer import EventModel
from crossask.tracing import as_written

# Keeps the drift finite if all embeddings were zero at the start.
LEAST_SQUARED_LENGTH = 1e-30


def embedding_drift(start: EventModel, event_model: EventModel, batches: Iterable) -> float:
    """Returns |e - e0| / |e0| over all patches; 0 if the embeddings did not move.

    Args:
      start: Event model that computes e0.
      event_model: Event model that computes e.
      batches: ({"patches": [B, P, 96, 64]}, target, weight [B]); clips of weight 0 do not count.
    """

    @tf.function
    @as_written
    def squared_lengths(patches: tf.Tensor, weight: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        before = tf.cast(start(patches, training=False), tf.float32)  # [B, P, E]
        after = tf.cast(event_model(patches, training=False), tf.float32)
        weight = weight[:, tf.newaxis, tf.newaxis]
        moved = tf.reduce_sum(weight * tf.square(after - before))
        length = tf.reduce_sum(weight * tf.square(before))
        return moved, length

    total_moved = 0.0
    total_length = 0.0
    for inputs, _, weight in batches:
        moved, length = squared_lengths(inputs["patches"], weight)
        total_moved += float(moved)
        total_length += float(length)
    return math.sqrt(total_moved / max(total_length, LEAST_SQUARED_LENGTH))


def drift_from_here(event_model: EventModel, batches: Iterable) -> Callable[[], float]:
    """Returns a function that returns how far the embeddings have moved since this call.

    The measure is that of `embedding_drift`, on the first of `batches`.

    Args:
      event_model: The event model, which is trained between the calls.
      batches: As in `embedding_drift`.
    """
    inputs, _, weight = next(iter(batches))
    patches = inputs["patches"]
    weight = tf.reshape(weight, [-1, 1, 1])

    @tf.function
    @as_written
    def embed() -> tf.Tensor:
        return weight * tf.cast(event_model(patches, training=False), tf.float32)

    start = embed()

    least_length = math.sqrt(LEAST_SQUARED_LENGTH)

    def drift() -> float:
        moved = tf.norm(embed() - start)
        return float(moved / tf.maximum(tf.norm(start), least_length))

    return drift
