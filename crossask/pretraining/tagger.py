"""The network that is pre-trained, an event model with a layer of event logits, and its metrics."""

from typing import Any

import tensorflow as tf
import tf_keras as keras

from crossask.events.layer import EventModel

# Logits are rounded to steps between these bounds for the mean average precision.
LOWEST_LOGIT = -15.0
HIGHEST_LOGIT = 5.0
LOGIT_STEPS = 800


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


@keras.saving.register_keras_serializable("crossask")
class MeanAveragePrecision(keras.metrics.Metric):
    """The mean over events of the average precision of clips that are sorted by their logits.

    The clips come in batches, so for each event the logits of clips with and without it are counted
    in steps; clips in one step count as equal. Events without clips are left out of the mean.

    Args:
      events: Number of events.
      **kwargs: Arguments of `keras.metrics.Metric`.
    """

    def __init__(self, events: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.events = events
        # Number of clips in each step of the logits.
        self.positives = self._counts("positives")
        self.negatives = self._counts("negatives")

    def update_state(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> None:
        """Counts the clips of a batch.

        Args:
          y_true: Labels, 0 or 1 [B, events].
          y_pred: Logits [B, events].
          sample_weight: Weights [B], or None.
        """
        labels = tf.cast(y_true, tf.float32)
        weights = tf.ones_like(labels)
        if sample_weight is not None:
            weights *= tf.reshape(tf.cast(sample_weight, tf.float32), [-1, 1])
        share = (y_pred - LOWEST_LOGIT) / (HIGHEST_LOGIT - LOWEST_LOGIT)
        step = tf.cast(tf.round(share * (LOGIT_STEPS - 1)), tf.int32)
        step = tf.clip_by_value(step, 0, LOGIT_STEPS - 1)  # [B, events]
        event = tf.broadcast_to(tf.range(self.events), tf.shape(step))
        cells = tf.stack([event, step], axis=-1)  # [B, events, 2]
        # With several devices, each counts its own clips in a variable of its own. Such a variable
        # supports `assign_add` of a whole tensor, but no update of single elements.
        size = [self.events, LOGIT_STEPS]
        self.positives.assign_add(tf.scatter_nd(cells, weights * labels, size))
        self.negatives.assign_add(tf.scatter_nd(cells, weights * (1 - labels), size))

    def result(self) -> tf.Tensor:
        """Returns the mean average precision of all clips so far."""
        # Numbers of clips in each step or above it, [events, steps].
        found = tf.cumsum(self.positives, axis=1, reverse=True)
        wrong = tf.cumsum(self.negatives, axis=1, reverse=True)
        precision = tf.math.divide_no_nan(found, found + wrong)
        clips = tf.reduce_sum(self.positives, axis=1)  # [events]
        sums = tf.reduce_sum(self.positives * precision, axis=1)
        average_precision = tf.math.divide_no_nan(sums, clips)
        events_with_clips = tf.reduce_sum(tf.cast(clips > 0, tf.float32))
        return tf.math.divide_no_nan(tf.reduce_sum(average_precision), events_with_clips)

    def reset_state(self) -> None:
        """Sets all counts to zero."""
        self.positives.assign(tf.zeros_like(self.positives))
        self.negatives.assign(tf.zeros_like(self.negatives))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return super().get_config() | {"events": self.events}

    def _counts(self, name: str) -> tf.Variable:
        """Returns a variable [events, steps] of zeros."""
        return self.add_weight(name=name, shape=(self.events, LOGIT_STEPS), initializer="zeros")
