"""JRM, the joint representation based model of section 2.3: two branches, pooled and concatenated."""

import tensorflow as tf
import tf_keras as keras

from crossask.config import ModelConfig
from crossask.models.layers import ConvEncoder
from crossask.models.scene_model import (
    SceneModel,
    event_image,
    event_narrowing,
    scene_encoder,
    scene_pooling,
)


@keras.saving.register_keras_serializable("crossask")
class JRM(SceneModel):
    """Column JRM of Table 2 and Figure 4.

    {"log_mel": [B, T, 64, 2], "embedding": [B, P, 128]} -> float32 [B, classes]; with an event model {"log_mel",
    "patches": [B, P, 96, 64]} does as well.

      R = AttentionPooling(ConvEncoder(log-mel))               [B, 4 * 2048]
      E = AttentionPooling(ConvEncoder of 7 layers(embedding)) [B, 4 * 2048]
      logits = Dense(R, E)                                     [B, classes]

    Differs from the paper: each branch has a pooling of its own; the text has them concatenated as "high level features"
    and does not say at which length in time. An embedding that is not config.event_width wide is brought to that width by
    a linear layer.

    Arguments and errors: SceneModel. With 10 classes and embeddings of 128: 40,518,858 parameters beside the event
    model's.
    """

    reads = ("log_mel", "embedding")

    def __init__(self, classes: int, config: ModelConfig | None = None, **common):
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

    def scene_embedding(self, inputs, training, seed):
        r = self.encoder(self._log_mel(inputs), training=training)  # [B, T', 2048]
        r, attention = self.pooling(r, return_attention=True)  # [B, 4 * 2048], [B, 4, T']
        e = event_image(
            self._embedding(inputs, training), self.narrowing, self.event_encoder
        )  # [B, P, 128, 1]
        e = self.event_encoder(e, training=training)  # [B, P / 4, 2048]
        e, event_attention = self.event_pooling(
            e, return_attention=True
        )  # [B, 4 * 2048], [B, 4, P / 4]
        x = tf.concat([r, e], axis=-1)  # [B, 4 * 2048 + 4 * 2048]
        return x, {"pooling": attention, "event_pooling": event_attention}
