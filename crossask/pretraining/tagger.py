"""The network that is pre-trained: an event model with a layer that names events."""

from typing import Any

import tensorflow as tf
import tf_keras as keras

from crossask.events.layer import EventModel


@keras.saving.register_keras_serializable("crossask")
class EventTagger(keras.Model):
    """A tagger of clips: event model, ReLU, one logit a kind of event and patch, smooth maximum.

    The maximum over the patches of a clip is log-mean-exp, because an event may sound in one patch
    of many, where a mean would hide it.

    Args:
      event_model: The event model.
      kinds: Number of kinds of events.
      **kwargs: Arguments of `keras.Model`.
    """

    def __init__(self, event_model: EventModel, kinds: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.event_model = event_model
        self.head = keras.layers.Dense(kinds, name="tags")

    def call(self, inputs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Returns logits [B, kinds] of {"patches": [B, P, 96, 64]}."""
        embedding = self.event_model(inputs["patches"], training=training)  # [B, P, E]
        logits = self.head(tf.nn.relu(embedding))  # [B, P, kinds]
        patches = tf.cast(tf.shape(logits)[1], logits.dtype)
        return tf.reduce_logsumexp(logits, axis=1) - tf.math.log(patches)  # [B, kinds]


@keras.saving.register_keras_serializable("crossask")
class TagAccuracy(keras.metrics.Mean):
    """Share of clips whose most probable tag is one of their labels."""

    def update_state(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> Any:
        """Counts the clips of a batch.

        Args:
          y_true: Multi-hot labels [B, kinds].
          y_pred: Logits or probabilities [B, kinds].
          sample_weight: Weights [B].
        """
        most_probable = tf.argmax(y_pred, -1)
        is_correct = tf.gather(y_true, most_probable, batch_dims=1)
        return super().update_state(is_correct, sample_weight)
