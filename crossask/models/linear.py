"""LINEAR, the simplest use of event embeddings: their mean and deviation, and one dense layer."""

from typing import Any

import tensorflow as tf
import tf_keras as keras

from crossask.config import ModelConfig
from crossask.models.scene_model import Attention, Inputs, SceneModel

# Keeps the gradient of the deviation finite where an embedding does not change.
LEAST_VARIANCE = 1e-12


@keras.saving.register_keras_serializable("crossask")
class LINEAR(SceneModel):
    """A linear classifier of the clip's event embeddings; it is not in the paper.

      x = [mean over patches, standard deviation over patches]   [B, 2 E]
      logits = dense(x)                                          [B, classes]

    It reads {"embedding": [B, P, E]} or, with an event model, {"patches": [B, P, 96, 64]}. It has
    few parameters, so a corpus of some dozens of recordings can train it. If it scores above CMAM,
    the corpus is too small for CMAM. `config.linear_penalty` times the sum of the squared weights
    of the layer is added to the training loss.
    """

    reads = ("embedding",)

    def __init__(self, classes: int, config: ModelConfig | None = None, **common: Any):
        """Creates the layer. Arguments and errors are those of `SceneModel`."""
        super().__init__(classes, config, **common)
        self.scene = keras.layers.Dense(self.classes, dtype="float32", name="scene")

    def call(
        self, inputs: Inputs, training: bool = False, seed: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Returns logits, float32 [B, classes]; see `SceneModel.call`."""
        logits = super().call(inputs, training, seed)
        if training and self.model_config.linear_penalty:
            squares = tf.reduce_sum(tf.square(self.scene.kernel))
            self.add_loss(self.model_config.linear_penalty * squares)
        return logits

    def scene_embedding(
        self, inputs: Inputs, training: bool, seed: tf.Tensor | None
    ) -> tuple[tf.Tensor, Attention]:
        """Returns mean and deviation of the embeddings, [B, 2 E], and no attention."""
        embedding = self.read_embedding(inputs, training)  # [B, P, E]
        mean = tf.reduce_mean(embedding, axis=1)  # [B, E]
        variance = tf.math.reduce_variance(embedding, axis=1)  # [B, E]
        deviation = tf.sqrt(variance + LEAST_VARIANCE)
        return tf.concat([mean, deviation], axis=-1), {}
