"""FA, the fundamental architecture of section 2.1: encoder, attention pooling, one dense layer."""

from typing import Any

import tensorflow as tf
import tf_keras as keras

from crossask.config import ModelConfig
from crossask.models.scene_model import (
    Attention,
    Inputs,
    SceneModel,
    scene_encoder,
    scene_pooling,
)


@keras.saving.register_keras_serializable("crossask")
class FA(SceneModel):
    """The fundamental architecture: section 2.1, column FA of Table 2.

      R = encoder(log-mel)                       [B, T', 2048], Figure 1
      logits = dense(attention pooling(R))       [B, classes], Figure 2

    It reads {"log_mel": [B, T, 64, 2]}. The 998 frames of 10 s give T' = 62 steps of 4 x 512
    features. With 10 classes it has 3,736,458 parameters.
    """

    reads = ("log_mel",)

    def __init__(self, classes: int, config: ModelConfig | None = None, **common: Any):
        """Creates the layers. Arguments and errors are those of `SceneModel`."""
        super().__init__(classes, config, **common)
        self.encoder = scene_encoder(self.model_config)
        self.pooling = scene_pooling(self.model_config)
        self.scene = keras.layers.Dense(self.classes, dtype="float32", name="scene")

    def scene_embedding(
        self, inputs: Inputs, training: bool, seed: tf.Tensor | None
    ) -> tuple[tf.Tensor, Attention]:
        """Returns the pooled features [B, 4 * 2048]; see `SceneModel.scene_embedding`."""
        log_mel = self.read_log_mel(inputs)  # [B, T, 64, 2]
        r = self.encoder(log_mel, training=training)  # [B, T', 2048]
        x, pooling_weights = self.pooling(r, return_attention=True)  # [B, 4 * 2048], [B, 4, T']
        return x, {"pooling": pooling_weights}
