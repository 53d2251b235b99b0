"""How far a trained event model moves its embeddings."""

import math

import tensorflow as tf


def embedding_drift(start, event_model, batches) -> float:
    """How far `event_model` moves embeddings from those of `start`, |e - e0| / |e0| over all patches; 0: not at all.

    Args:
      batches: ({"patches": [B, P, 96, 64]}, scene, weight); clips of weight 0 do not count.
    """

    @tf.function
    def lengths(patches, weight):
        before, after = (
            tf.cast(layer(patches, training=False), tf.float32) for layer in (start, event_model)
        )
        weight = weight[:, tf.newaxis, tf.newaxis]
        return tf.reduce_sum(weight * tf.square(after - before)), tf.reduce_sum(
            weight * tf.square(before)
        )

    apart, length = 0.0, 0.0
    for inputs, _, weight in batches:
        of_batch = lengths(inputs["patches"], weight)
        apart, length = apart + float(of_batch[0]), length + float(of_batch[1])
    return math.sqrt(apart / max(length, 1e-30))


def drift_from_here(event_model, batches):
    """A function() -> how far `event_model` has moved embeddings since this call, as `embedding_drift`, on the first of `batches`."""
    patches, weight = next((inputs["patches"], weight) for inputs, _, weight in batches)
    weight = tf.reshape(weight, [-1, 1, 1])
    embed = tf.function(lambda: weight * tf.cast(event_model(patches, training=False), tf.float32))
    start = embed()
    return lambda: float(tf.norm(embed() - start) / tf.norm(start))
