"""VEM, the VGGish embedding based model of section 2.2: event embeddings in place of the log-mel."""

import tf_keras as keras

from crossask.config import ModelConfig
from crossask.models.layers import ConvEncoder
from crossask.models.scene_model import SceneModel, event_image, event_narrowing, scene_pooling


@keras.saving.register_keras_serializable("crossask")
class VEM(SceneModel):
    """embedding -> ConvEncoder -> AttentionPooling -> logits; column VEM of Table 2 and Figure 3.

    {"embedding": [B, P, 128]} -> float32 [B, classes]; with an event model {"patches": [B, P, 96, 64]} does as well. The
    embedding is an image of P frames by 128 bins with one channel; 10 patches give 2 steps of 8 x 512 = 4096.

    Differs from the paper: the last two pools leave time alone, because four pools of 2x2 leave no frame of ten. An
    embedding that is not config.event_width wide is brought to that width by a linear layer.

    Arguments and errors: SceneModel.
    """

    reads = ("embedding",)

    def __init__(self, classes: int, config: ModelConfig | None = None, **common):
        super().__init__(classes, config, **common)
        config = self.model_config
        self.narrowing = event_narrowing(config)
        self.encoder = ConvEncoder(
            config.encoder_channels,
            config.vem_pools,
            config.batch_norm_momentum,
            config.batch_norm_epsilon,
            name="encoder",
        )
        self.pooling = scene_pooling(config)
        self.scene = keras.layers.Dense(self.classes, dtype="float32", name="scene")

    def scene_embedding(self, inputs, training, seed):
        x = event_image(
            self._embedding(inputs, training), self.narrowing, self.encoder
        )  # [B, P, 128, 1]
        x = self.encoder(x, training=training)  # [B, P / 4, 8 * 512]
        x, attention = self.pooling(x, return_attention=True)  # [B, 4 * 4096], [B, 4, P / 4]
        return x, {"pooling": attention}
