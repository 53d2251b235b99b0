"""The paper's metric as a Keras metric."""

from typing import Any

import tensorflow as tf
import tf_keras as keras


@keras.saving.register_keras_serializable("crossask")
class MacroAccuracy(keras.metrics.Metric):
    """Mean of the class-wise accuracies (section 3.2 of the paper), over the classes that occur.

    Clips of weight 0 do not count.

    Args:
      classes: Number of classes.
      name: Name of the metric.
      **kwargs: Arguments of `keras.metrics.Metric`.
    """

    def __init__(self, classes: int, name: str = "macro_accuracy", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.classes = classes
        self.correct = self.add_weight(name="correct", shape=(classes,), initializer="zeros")
        self.total = self.add_weight(name="total", shape=(classes,), initializer="zeros")

    def update_state(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> None:
        """Counts the clips of a batch.

        Args:
          y_true: Classes [B], or probabilities [B, classes], of which the largest is the class.
          y_pred: Logits or probabilities [B, classes].
          sample_weight: Weights [B]; None is 1 for every clip.
        """
        y_true = tf.convert_to_tensor(y_true)
        are_probabilities = y_true.shape.rank == 2 and y_true.shape[-1] == self.classes
        if are_probabilities and self.classes > 1:
            y_true = tf.argmax(y_true, -1)
        y_true = tf.reshape(tf.cast(y_true, tf.int32), [-1])
        predicted = tf.argmax(y_pred, -1, tf.int32)
        is_correct = tf.cast(tf.equal(predicted, y_true), tf.float32)
        if sample_weight is None:
            weight = tf.ones_like(is_correct)
        else:
            weight = tf.reshape(tf.cast(sample_weight, tf.float32), [-1])
        member = tf.one_hot(y_true, self.classes) * weight[:, tf.newaxis]  # [B, classes]
        self.correct.assign_add(tf.linalg.matvec(member, is_correct, transpose_a=True))
        self.total.assign_add(tf.reduce_sum(member, 0))

    def by_class(self) -> list[float]:
        """Returns the accuracy of each class, 0 for a class that did not occur."""
        return tf.math.divide_no_nan(self.correct, self.total).numpy().tolist()

    def result(self) -> tf.Tensor:
        """Returns the macro accuracy, between 0 and 1."""
        occurs = tf.cast(self.total > 0, tf.float32)
        accuracies = tf.math.divide_no_nan(self.correct, self.total)
        return tf.math.divide_no_nan(tf.reduce_sum(accuracies), tf.reduce_sum(occurs))

    def reset_state(self) -> None:
        """Sets all counts to zero."""
        self.correct.assign(tf.zeros_like(self.correct))
        self.total.assign(tf.zeros_like(self.total))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the metric."""
        return {**super().get_config(), "classes": self.classes}
