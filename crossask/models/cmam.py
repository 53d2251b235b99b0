"""CMAM, the cross-task multi-head attention model of section 2.4: events attend to the scene's features."""

import tensorflow as tf
import tf_keras as keras

from crossask.config import ModelConfig
from crossask.models.layers import MultiHeadAttention, check_choice, fold_in, sinusoidal_positions
from crossask.models.scene_model import SceneModel, scene_encoder, scene_pooling

DIRECTIONS = ("event_queries_scene", "scene_queries_event", "scene_queries_scene", "events_alone")


@keras.saving.register_keras_serializable("crossask")
class CMAM(SceneModel):
    """Column CMAM of Table 2 and Figure 5.

    {"log_mel": [B, T, 64, 2], "embedding": [B, P, E]} -> float32 [B, classes]; with an event model {"log_mel",
    "patches": [B, P, 96, 64]} does as well.

      R = ConvEncoder(log-mel)                       [B, T', 2048]
      H = Dense(embedding) + positions               [B, P, 2048]
      O = MultiHeadAttention(H, H)                   [B, P, 2048], equations 1 to 6
      X = MultiHeadAttention(O, R)                   [B, P, 2048]
      logits = Dense(AttentionPooling(X))            [B, classes]

    Differs from the paper: the embedding (128 wide) is widened to the query dimension by a linear layer, because
    equation 6 adds the two and equation 5's sizes ask for 2048; positions are added after it. The cross-attention has
    the residual, dropout and layer norm of equation 6. config.cross_attention = "scene_queries_event" turns the
    direction of the second block round: X = MultiHeadAttention(R, O), [B, T', 2048]. Two more are controls of experiments/controls.py:
    "scene_queries_scene" puts R in place of the embedding, "events_alone" leaves the scene out, X = O.

    Arguments and errors: SceneModel. With 10 classes and embeddings of 128: 37,563,274 parameters beside the event
    model's.
    """

    reads = ("log_mel", "embedding")

    def __init__(self, classes: int, config: ModelConfig | None = None, **common):
        super().__init__(classes, config, **common)
        config = self.model_config
        check_choice("cross_attention", config.cross_attention, DIRECTIONS)
        self.encoder = scene_encoder(config)
        self.widening = keras.layers.Dense(config.attention_dim, name="widening")
        self.self_attention = attention_block(config, "self_attention")
        self.cross_attention = attention_block(config, "cross_attention")
        self.pooling = scene_pooling(config)
        self.scene = keras.layers.Dense(self.classes, dtype="float32", name="scene")

    def scene_embedding(self, inputs, training, seed):
        direction = self.model_config.cross_attention
        r = (
            None
            if direction == "events_alone"
            else self.encoder(self._log_mel(inputs), training=training)
        )  # [B, T', 2048]
        h = self.widening(
            r if direction == "scene_queries_scene" else self._embedding(inputs, training)
        )  # [B, P, 2048]
        steps = tf.shape(h)[1] if h.shape[1] is None else h.shape[1]
        h += tf.cast(sinusoidal_positions(steps, h.shape[-1]), h.dtype)
        o, own = self.self_attention(
            h, h, training=training, seed=fold_in(seed, 1), return_attention=True
        )  # [B, P, 2048]
        if direction == "events_alone":
            x, attention = self.pooling(o, return_attention=True)
            return x, {"pooling": attention, "self": own}
        query, key_value = (r, o) if direction == "scene_queries_event" else (o, r)
        x, cross = self.cross_attention(
            query, key_value, training=training, seed=fold_in(seed, 2), return_attention=True
        )
        x, attention = self.pooling(x, return_attention=True)  # [B, 4 * 2048], [B, 4, P]
        return x, {"pooling": attention, "self": own, "cross": cross}


def attention_block(config: ModelConfig, name: str) -> MultiHeadAttention:
    """One attention block as `config` describes it."""
    return MultiHeadAttention(
        config.attention_heads,
        config.attention_dim,
        config.attention_scale,
        config.attention_dropout,
        config.layer_norm_epsilon,
        name=name,
    )
