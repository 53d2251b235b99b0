"""FA, the fundamental architecture of section 2.1: encoder, attention pooling, one fully connected layer."""

import tf_keras as keras

from crossask.config import ModelConfig
from crossask.models.scene_model import SceneModel, scene_encoder, scene_pooling


@keras.saving.register_keras_serializable("crossask")
class FA(SceneModel):
    """log-mel -> ConvEncoder -> AttentionPooling -> logits; column FA of Table 2.

    {"log_mel": [B, T, 64, 2]} -> float32 [B, classes]; 998 frames give 62 steps of 4 x 512 = 2048.
    Arguments and errors: SceneModel. With 10 classes: 3,736,458 parameters.
    """

    reads = ("log_mel",)

    def __init__(self, classes: int, config: ModelConfig | None = None, **common):
        super().__init__(classes, config, **common)
        self.encoder = scene_encoder(self.model_config)
        self.pooling = scene_pooling(self.model_config)
        self.scene = keras.layers.Dense(self.classes, dtype="float32", name="scene")

    def scene_embedding(self, inputs, training, seed):
        x = self._log_mel(inputs)  # [B, T, 64, 2]
        x = self.encoder(x, training=training)  # [B, T', 2048]
        x, attention = self.pooling(x, return_attention=True)  # [B, 4 * 2048], [B, 4, T']
        return x, {"pooling": attention}
