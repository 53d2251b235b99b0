"""VEM, the VGGish embedding based model of section 2.2: embeddings in place of the log-mel."""

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
    scene_pooling,
)


@keras.saving.register_keras_serializable("crossask")
class VEM(SceneModel):
    """The VGGish embedding based model: section 2.2, Figure 3, column VEM of Table 2.

      E = encoder(embedding)                     [B, P', 4096]
      logits = dense(attention pooling(E))       [B, classes]

    It reads {"embedding": [B, P, 128]} or, with an event model, {"patches": [B, P, 96, 64]}. The
    embedding is an image of P time steps and 128 bins with one channel. Ten patches give P' = 2
    steps of 8 x 512 features.

    Differs from the paper: the last two pools of four are (1, 2), because pools of 2 x 2 would
    leave none of ten steps. With `config.vem_pools` of four (2, 2), as printed, and
    `config.vem_pool_padding` "same", one step of 8 x 512 features is left. Embeddings that are not
    `config.event_width` wide first pass a linear layer to that width. The trunk, all layers below
    the last one, can be pre-trained and frozen (`config.trunk`, `config.trunk_training`).
    """

    reads = ("embedding",)

    def __init__(self, classes: int, config: ModelConfig | None = None, **common: Any):
        """Creates the layers. Arguments and errors are those of `SceneModel`."""
        super().__init__(classes, config, **common)
        config = self.model_config
        self.narrowing = event_narrowing(config)
        self.encoder = ConvEncoder(
            config.encoder_channels,
            config.vem_pools,
            config.batch_norm_momentum,
            config.batch_norm_epsilon,
            pool_padding=config.vem_pool_padding,
            name="encoder",
        )
        self.pooling = scene_pooling(config)
        self.scene = keras.layers.Dense(self.classes, dtype="float32", name="scene")
        self.freeze_trunk()

    def trunk_upward(self) -> list[list[keras.layers.Layer]]:
        """Returns the narrowing, each block of the encoder, and the pooling."""
        encoder = self.encoder
        blocks = zip(encoder.convolutions, encoder.batch_norms, strict=True)
        return [[self.narrowing], *(list(block) for block in blocks), [self.pooling]]

    def scene_embedding(
        self, inputs: Inputs, training: bool, seed: tf.Tensor | None
    ) -> tuple[tf.Tensor, Attention]:
        """Returns the pooled features [B, 4 * 4096]; see `SceneModel.scene_embedding`."""
        embedding = self.read_embedding(inputs, training)  # [B, P, 128]
        image = event_image(embedding, self.narrowing, self.encoder)  # [B, P, 128, 1]
        e = self.encoder(image, training=training)  # [B, P', 4096]
        x, pooling_weights = self.pooling(e, return_attention=True)  # [B, 4 * 4096], [B, 4, P']
        return x, {"pooling": pooling_weights}
