"""CMAM, the cross-task multi-head attention model of section 2.4: events attend to the scene."""

from typing import Any

import tensorflow as tf
import tf_keras as keras

from crossask.config import ModelConfig
from crossask.models.layers import MultiHeadAttention, axis_size, fold_in, sinusoidal_positions
from crossask.models.scene_model import (
    Attention,
    Inputs,
    SceneModel,
    scene_encoder,
    scene_pooling,
)

# Numbers that give the two attention blocks different seeds.
SELF_ATTENTION_SEED = 1
CROSS_ATTENTION_SEED = 2


@keras.saving.register_keras_serializable("crossask")
class CMAM(SceneModel):
    """The cross-task multi-head attention model: section 2.4, Figure 5, column CMAM of Table 2.

      R = encoder(log-mel)                       [B, T', 2048]
      H = dense(embedding) + positions           [B, P, 2048]
      O = self-attention(H)                      [B, P, 2048], equations 1 to 6
      X = cross-attention(query O, key and value R)  [B, P, 2048], equations 1 to 6
      logits = dense(attention pooling(X))       [B, classes]

    Here T' is the number of time steps after the encoder, P the number of patches and E the width
    of an embedding.

    It reads {"log_mel": [B, T, 64, 2], "embedding": [B, P, E]}; with an event model, "patches":
    [B, P, 96, 64] may replace the embedding. With 10 classes and E = 128 it has 37,563,274
    parameters, not counting those of the event model.

    The paper leaves the direction of the cross-attention open; `config.cross_attention` sets it:

    * "event_queries_scene": as above.
    * "scene_queries_event": X = cross-attention(query R, key and value O), [B, T', 2048].
    * "scene_queries_scene": a control without events: H = dense(R) + positions, and H, O and X are
      [B, T', 2048].
    * "events_alone": a control without the scene features: X = O. The encoder and the
      cross-attention are not called and have no weights.

    Differs from the paper: a linear layer widens the embedding (128) to the query dimension (2048),
    because equation 6 adds H to an attention output that is 2048 wide. The positions are added
    after this layer unless `config.positions` says otherwise, and `config.scale_embedding`
    multiplies by the root of the width before they are added. The cross-attention has the residual,
    dropout and layer normalisation of equation 6, too, unless `config.cross_residual` is false.
    """

    reads = ("log_mel", "embedding")

    def __init__(self, classes: int, config: ModelConfig | None = None, **common: Any):
        """Creates the layers. Arguments and errors are those of `SceneModel`.

        Raises:
          ConfigError: `config.attention_heads` does not divide `config.attention_dim`.
        """
        super().__init__(classes, config, **common)
        config = self.model_config
        self.encoder = scene_encoder(config)
        self.widening = keras.layers.Dense(config.attention_dim, name="widening")
        self.self_attention = _attention_block(
            config, config.layer_norm_epsilon, name="self_attention"
        )
        # Without an epsilon, the block leaves out equation 6.
        cross_epsilon = config.layer_norm_epsilon if config.cross_residual else None
        self.cross_attention = _attention_block(config, cross_epsilon, name="cross_attention")
        self.pooling = scene_pooling(config)
        self.scene = keras.layers.Dense(self.classes, dtype="float32", name="scene")

    def scene_embedding(
        self, inputs: Inputs, training: bool, seed: tf.Tensor | None
    ) -> tuple[tf.Tensor, Attention]:
        """Returns the pooled features [B, 4 * 2048]; see `SceneModel.scene_embedding`."""
        # Shapes in the comments are those of the paper's sizes and of "event_queries_scene". X has
        # as many steps as the queries: P there, T' with the two directions "scene_queries_...".
        direction = self.model_config.cross_attention
        # The names are those of the class's docstring, in small letters.
        r = None
        if direction != "events_alone":
            log_mel = self.read_log_mel(inputs)  # [B, T, 64, 2]
            r = self.encoder(log_mel, training=training)  # [B, T', 2048]

        if direction == "scene_queries_scene":
            embedding = r  # [B, T', 2048]
        else:
            embedding = self.read_embedding(inputs, training)  # [B, P, E]
        if self.model_config.positions == "before_widening":
            h = self.widening(self._with_positions(embedding))  # [B, P, 2048]
        else:
            h = self._with_positions(self.widening(embedding))  # [B, P, 2048]

        o, self_weights = self.self_attention(
            h,
            h,
            training=training,
            seed=fold_in(seed, SELF_ATTENTION_SEED),
            return_attention=True,
        )  # [B, P, 2048], [B, 8, P, P]
        if direction == "events_alone":
            x, pooling_weights = self.pooling(o, return_attention=True)  # [B, 4 * 2048], [B, 4, P]
            return x, {"pooling": pooling_weights, "self": self_weights}

        if direction == "scene_queries_event":
            query = r
            key_value = o
        else:
            query = o
            key_value = r
        x, cross_weights = self.cross_attention(
            query,
            key_value,
            training=training,
            seed=fold_in(seed, CROSS_ATTENTION_SEED),
            return_attention=True,
        )  # [B, P, 2048], [B, 8, P, T']
        x, pooling_weights = self.pooling(x, return_attention=True)  # [B, 4 * 2048], [B, 4, P]
        return x, {"pooling": pooling_weights, "self": self_weights, "cross": cross_weights}

    def _with_positions(self, x: tf.Tensor) -> tf.Tensor:
        """Returns x [B, P, C], scaled if the configuration says so, with positions added."""
        width = x.shape[-1]
        if self.model_config.scale_embedding:
            x *= width**0.5
        positions = sinusoidal_positions(axis_size(x, 1), width)  # [P, C]
        return x + tf.cast(positions, x.dtype)


def _attention_block(
    config: ModelConfig, layer_norm_epsilon: float | None, name: str
) -> MultiHeadAttention:
    """Returns an attention block of the configured size; see `MultiHeadAttention`."""
    return MultiHeadAttention(
        config.attention_heads,
        config.attention_dim,
        config.attention_scale,
        config.attention_dropout,
        layer_norm_epsilon,
        config.attention_projection,
        name=name,
    )
