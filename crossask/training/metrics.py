"""The paper's metric as a Keras metric."""

import tensorflow as tf
import tf_keras as keras


@keras.saving.register_keras_serializable("crossask")
class MacroAccuracy(keras.metrics.Metric):
    """Mean of the class-wise accuracies (section 3.2 of the paper), over the classes seen; clips of weight 0 do not count."""

    def __init__(self, classes: int, name: str = "macro_accuracy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.classes = classes
        self.correct = self.add_weight(name="correct", shape=(classes,), initializer="zeros")
        self.total = self.add_weight(name="total", shape=(classes,), initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true = tf.convert_to_tensor(y_true)
        if (
            y_true.shape.rank == 2 and y_true.shape[-1] == self.classes > 1
        ):  # probabilities: the likeliest scene
            y_true = tf.argmax(y_true, -1)
        y_true = tf.reshape(tf.cast(y_true, tf.int32), [-1])
        hit = tf.cast(tf.equal(tf.argmax(y_pred, -1, tf.int32), y_true), tf.float32)
        weight = (
            tf.ones_like(hit)
            if sample_weight is None
            else tf.reshape(tf.cast(sample_weight, tf.float32), [-1])
        )
        member = tf.one_hot(y_true, self.classes) * weight[:, tf.newaxis]
        self.correct.assign_add(tf.linalg.matvec(member, hit, transpose_a=True))
        self.total.assign_add(tf.reduce_sum(member, 0))

    def by_class(self) -> list[float]:
        """Accuracy of each class, 0 of a class not seen."""
        return tf.math.divide_no_nan(self.correct, self.total).numpy().tolist()

    def result(self):
        seen = tf.cast(self.total > 0, tf.float32)
        return tf.math.divide_no_nan(
            tf.reduce_sum(tf.math.divide_no_nan(self.correct, self.total)), tf.reduce_sum(seen)
        )

    def reset_state(self):
        for total in (self.correct, self.total):
            total.assign(tf.zeros_like(total))

    def get_config(self):
        return {**super().get_config(), "classes": self.classes}
