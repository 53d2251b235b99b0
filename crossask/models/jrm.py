"""JRM, the joint representation based model of section 2.3: two branches, concatenated."""

from typing import Any

import tensorflow as tf
import tf_keras as keras

from crossask.config import ModelConfig
from crossask.models.layers import ConvEncoder
from crossask.models.scene_model import (
    Attention,
    Inputs,
    SceneModel,
    event_image,
    event_narrowing,
    scene_encoder,
    scene_pooling,
)


@keras.saving.register_keras_serializable("crossask")
class JRM(SceneModel):
    """The joint representation based model: section 2.3, Figure 4, column JRM of Table 2.

      R = attention pooling(encoder(log-mel))                [B, 4 * 2048]
      E = attention pooling(encoder of 7 layers(embedding))  [B, 4 * 2048]
      logits = dense(concat(R, E))                           [B, classes]

    It reads {"log_mel": [B, T, 64, 2], "embedding": [B, P, 128]}; with an event model, "patches":
    [B, P, 96, 64] may replace the embedding. With 10 classes and embeddings of 128 it has
    40,518,858 parameters, those of the event model not counted.

    Differs from the paper: each branch has its own attention pooling. The text concatenates "high
    level features" of both branches and does not say how their lengths in time are made equal.
    Embeddings that are not `config.event_width` wide first pass a linear layer to that width.
    """

    reads = ("log_mel", "embedding")

    def __init__(self, classes: int, config: ModelConfig | None = None, **common: Any):
        """Creates the layers. Arguments and errors are those of `SceneModel`."""
        super().__init__(classes, config, **common)
        config = self.model_config
        self.encoder = scene_encoder(config)
        self.pooling = scene_pooling(config)
        self.narrowing = event_narrowing(config)
        self.event_encoder = ConvEncoder(
            config.event_encoder_channels,
            config.event_encoder_pools,
            config.batch_norm_momentum,
            config.batch_norm_epsilon,
            name="event_encoder",
        )
        self.event_pooling = scene_pooling(config, "event_pooling")
        self.scene = keras.layers.Dense(self.classes, dtype="float32", name="scene")

    def scene_embedding(
        self, inputs: Inputs, training: bool, seed: tf.Tensor | None
    ) -> tuple[tf.Tensor, Attention]:
        """Returns R and E side by side, [B, 8 * 2048]; see `SceneModel.scene_embedding`."""
        log_mel = self.read_log_mel(inputs)  # [B, T, 64, 2]
        r = self.encoder(log_mel, training=training)  # [B, T', 2048]
        r, pooling_weights = self.pooling(r, return_attention=True)  # [B, 4 * 2048], [B, 4, T']

        embedding = self.read_embedding(inputs, training)  # [B, P, 128]
        image = event_image(embedding, self.narrowing, self.event_encoder)  # [B, P, 128, 1]
        e = self.event_encoder(image, training=training)  # [B, P / 4, 2048]
        # [B, 4 * 2048], [B, 4, P / 4]
        e, event_pooling_weights = self.event_pooling(e, return_attention=True)

        x = tf.concat([r, e], axis=-1)  # [B, 8 * 2048]
        return x, {"pooling": pooling_weights, "event_pooling": event_pooling_weights}
