"""The parts that scene models are built from: convolutional encoder, attention pooling, attention block, positions.

Axes: B batch, T time frames, F frequency bins, C channels or features, N heads. Every random choice is a pure function
of a seed passed as an argument; no layer owns a random state, so parameter counts and checkpoints hold weights alone.
"""

import numpy as np
import tensorflow as tf
import tf_keras as keras

from crossask.errors import ConfigError, DataError

SCALES = ("head_dim", "query_dim")
POOLING_ACTIVATIONS = ("relu", "tanh")


class Encoder(keras.layers.Layer):
    """What encoders of a log-mel share: a pool for each block, and features of all frequencies side by side.

    [B, T, F, C] -> [B, T', F' * C'], frequency-major, then channel; T' and F' are divided by the pools, rounded down.
    A subclass makes its layers and defines `image`.

    Args:
      channels: output channels of each block.
      pools: (time, frequency) pool size of each block.
      batch_norm_momentum, batch_norm_epsilon: of every batch norm.
      synchronized: batch statistics over all devices; None: exactly when the current strategy has more than one
        replica (one replica keeps the fused kernel, which is half as slow again without).

    Raises:
      ConfigError: as many pools as channels are needed.
      DataError: the input is too short for the pools.
    """

    def __init__(
        self,
        channels,
        pools,
        batch_norm_momentum=0.9,
        batch_norm_epsilon=1e-3,
        synchronized=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.channels = tuple(int(count) for count in channels)
        self.pools = tuple((int(time), int(frequency)) for time, frequency in pools)
        self.batch_norm_momentum, self.batch_norm_epsilon = batch_norm_momentum, batch_norm_epsilon
        self.synchronized = synchronized
        if len(self.channels) != len(self.pools) or not self.channels:
            raise ConfigError(
                f"encoder_channels has {len(self.channels)} entries and encoder_pools has {len(self.pools)}.",
                "Give one (time, frequency) pool for each block of the encoder.",
            )

    def image(self, x, training):
        """The pooled channels, [B, T, F, C] -> [B, T', F', C']."""
        raise NotImplementedError

    def call(self, x, training=False):
        self._check_length(x.shape)
        x = self.image(x, training)  # [B, T', F', C']
        frames = tf.shape(x)[1] if x.shape[1] is None else x.shape[1]
        return tf.reshape(x, [-1, frames, x.shape[2] * x.shape[3]])  # [B, T', F' * C']

    def convolution(self, count: int, name: str) -> keras.layers.Layer:
        """A convolution 3x3 to `count` channels that keeps the size, without bias."""
        return keras.layers.Conv2D(count, 3, padding="same", use_bias=False, name=name)

    def batch_norm(self, name: str) -> keras.layers.Layer:
        """A batch norm as the encoder's arguments describe it."""
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        return keras.layers.BatchNormalization(
            momentum=self.batch_norm_momentum,
            epsilon=self.batch_norm_epsilon,
            synchronized=replicas > 1 if self.synchronized is None else self.synchronized,
            name=name,
        )

    def _check_length(self, shape):
        for axis, name in ((1, "frames"), (2, "frequency bins")):
            needed = int(np.prod([pool[axis - 1] for pool in self.pools]))
            if shape[axis] is not None and shape[axis] < needed:
                raise DataError(
                    f"The encoder got {shape[axis]} {name}; its pools {self.pools} need at least {needed}.",
                    "Give longer clips, or set smaller pools (model.encoder_pools, vem_pools, event_encoder_pools).",
                )

    def get_config(self):
        return super().get_config() | {
            "channels": list(self.channels),
            "pools": [list(pool) for pool in self.pools],
            "batch_norm_momentum": self.batch_norm_momentum,
            "batch_norm_epsilon": self.batch_norm_epsilon,
            "synchronized": self.synchronized,
        }


@keras.saving.register_keras_serializable("crossask")
class ConvEncoder(Encoder):
    """Blocks of convolution 3x3, batch norm, ReLU, max pooling (Figure 1, Table 2). Shapes, arguments and errors: Encoder.

    Differs from the paper: batch norm, ReLU, SAME convolution without bias and VALID pooling are ours, the figure is
    not legible and the text is silent.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.convolutions = [
            self.convolution(count, f"conv{i}") for i, count in enumerate(self.channels, 1)
        ]
        self.batch_norms = [
            self.batch_norm(f"batch_norm{i}") for i in range(1, len(self.channels) + 1)
        ]
        self.poolings = [
            keras.layers.MaxPooling2D(pool, padding="valid", name=f"pool{i}")
            for i, pool in enumerate(self.pools, 1)
        ]

    def image(self, x, training):
        for convolution, batch_norm, pooling in zip(
            self.convolutions, self.batch_norms, self.poolings, strict=True
        ):
            x = convolution(x)
            x = batch_norm(x, training=training)
            x = pooling(tf.nn.relu(x))  # [B, T / pool, F / pool, channels of the block]
        return x


@keras.saving.register_keras_serializable("crossask")
class AttentionPooling(keras.layers.Layer):
    """Multi-head attention pooling over time (Figure 2; Zhu et al. 2018): A = softmax_time(g(X W1) W2).

    [B, T, C] -> [B, heads * C]: each head is a weighted mean of all of X, heads one after the other.

    Args:
      heads: number of weighted means.
      dim: width of the hidden layer, X W1.
      activation: g, "relu" or "tanh". There are no biases.
    """

    def __init__(self, heads, dim, activation="relu", **kwargs):
        super().__init__(**kwargs)
        check_choice("pooling_activation", activation, POOLING_ACTIVATIONS)
        self.heads, self.dim, self.activation = heads, dim, activation
        self.hidden = keras.layers.Dense(dim, activation=activation, use_bias=False, name="hidden")
        self.score = keras.layers.Dense(heads, use_bias=False, name="score")

    def call(self, x, return_attention=False):
        """The pooled features [B, heads * C]; with `return_attention` also the weights [B, heads, T], which sum to 1."""
        scores = tf.transpose(self.score(self.hidden(x)), [0, 2, 1])  # [B, heads, T]
        attention = _softmax(scores)
        heads = tf.matmul(tf.cast(attention, x.dtype), x)  # [B, heads, C]
        pooled = tf.reshape(heads, [-1, self.heads * x.shape[-1]])  # [B, heads * C]
        return (pooled, attention) if return_attention else pooled

    def get_config(self):
        return super().get_config() | {
            "heads": self.heads,
            "dim": self.dim,
            "activation": self.activation,
        }


def pooling_redundancy(attention):
    """Mean over clips of |A A^T - I|^2 (squared Frobenius norm) for pooling weights A [B, heads, T] (Lin et al. 2017).

    Zero where each head looks at one step of its own; it punishes heads that look at the same steps.
    """
    gram = tf.matmul(attention, attention, transpose_b=True)  # [B, heads, heads]
    return tf.reduce_mean(tf.reduce_sum(tf.square(gram - tf.eye(attention.shape[1])), axis=[1, 2]))


@keras.saving.register_keras_serializable("crossask")
class MultiHeadAttention(keras.layers.Layer):
    """The attention block of equations 1 to 6; self-attention when query and key_value are the same.

    query [B, Tq, dim], key_value [B, Tk, any] -> [B, Tq, dim].

    Differs from the paper: equation 5 is read as Concat(O_i) W^O, one matrix after the heads are joined, which is what
    the ~33M parameters of Table 2 ask for; d in equation 4 is a head's dimension unless `scale` says otherwise.

    Args:
      heads: N; divides `dim`.
      dim: the query dimension, all heads together; also the width of the query, because equation 6 adds the two.
      scale: "head_dim": scores are divided by sqrt(dim / heads); "query_dim": by sqrt(dim).
      dropout: share of the block's output set to zero in training, before the residual.
      layer_norm_epsilon: of the layer norm after the residual.

    Raises:
      ConfigError: `dim` is no multiple of `heads`, an unknown `scale`, or a query of another width than `dim`.
    """

    def __init__(
        self, heads, dim, scale="head_dim", dropout=0.1, layer_norm_epsilon=1e-6, **kwargs
    ):
        super().__init__(**kwargs)
        check_choice("attention_scale", scale, SCALES)
        if dim % heads:
            raise ConfigError(
                f"attention_dim is {dim}, which attention_heads = {heads} does not divide.",
                "Give a multiple of the heads.",
            )
        self.heads, self.dim, self.scale = heads, dim, scale
        self.dropout, self.layer_norm_epsilon = dropout, layer_norm_epsilon
        self.query = keras.layers.Dense(dim, use_bias=False, name="query")
        self.key = keras.layers.Dense(dim, use_bias=False, name="key")
        self.value = keras.layers.Dense(dim, use_bias=False, name="value")
        self.output_projection = keras.layers.Dense(dim, use_bias=False, name="output")
        self.layer_norm = keras.layers.LayerNormalization(
            epsilon=layer_norm_epsilon, name="layer_norm"
        )

    def call(self, query, key_value, training=False, seed=None, return_attention=False):
        """Equation 6; with `return_attention` also the weights [B, N, Tq, Tk], which sum to 1 over Tk.

        Args:
          seed: int32 [2]; the dropout is a pure function of it, of the replica and of the shape. Without a seed,
            training draws a fresh one, which cannot be repeated.
        """
        if query.shape[-1] != self.dim:
            raise ConfigError(
                f"The attention block {self.name!r} got queries {query.shape[-1]} wide, and attention_dim is {self.dim}; "
                "the residual of equation 6 needs equal widths.",
                f"Set model.attention_dim to {query.shape[-1]}, or choose the other direction of model.cross_attention.",
            )
        q = self._split(self.query(query))  # [B, N, Tq, dim / N], equation 1
        k = self._split(self.key(key_value))  # [B, N, Tk, dim / N], equation 2
        v = self._split(self.value(key_value))  # [B, N, Tk, dim / N], equation 3
        d = self.dim // self.heads if self.scale == "head_dim" else self.dim
        attention = _softmax(tf.matmul(q, k, transpose_b=True) * d**-0.5)  # [B, N, Tq, Tk]
        heads = tf.matmul(tf.cast(attention, v.dtype), v)  # [B, N, Tq, dim / N], equation 4
        output = self.output_projection(self._join(heads))  # [B, Tq, dim], equation 5
        if training and self.dropout:
            output = dropout(output, self.dropout, seed)
        output = self.layer_norm(output + tf.cast(query, output.dtype))  # equation 6
        return (output, attention) if return_attention else output

    def _split(self, x):
        steps = tf.shape(x)[1] if x.shape[1] is None else x.shape[1]
        x = tf.reshape(x, [-1, steps, self.heads, self.dim // self.heads])  # [B, T, N, dim / N]
        return tf.transpose(x, [0, 2, 1, 3])  # [B, N, T, dim / N]

    def _join(self, x):
        steps = tf.shape(x)[2] if x.shape[2] is None else x.shape[2]
        return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [-1, steps, self.dim])  # [B, T, dim]

    def get_config(self):
        return super().get_config() | {
            "heads": self.heads,
            "dim": self.dim,
            "scale": self.scale,
            "dropout": self.dropout,
            "layer_norm_epsilon": self.layer_norm_epsilon,
        }


def sinusoidal_positions(length, width: int):
    """Positional encoding of Vaswani et al. 2017, float32 [length, width], sine and cosine interleaved.

    Column 2i is sin(position / 10000^(2i / width)), column 2i + 1 the cosine of the same angle. `length` may be a
    scalar tensor.
    """
    rates = (10000.0 ** (-np.arange(0, width, 2, dtype=np.float64) / width)).astype(np.float32)
    angles = tf.range(length, dtype=tf.float32)[:, tf.newaxis] * rates  # [length, ceil(width / 2)]
    both = tf.stack([tf.sin(angles), tf.cos(angles)], axis=-1)  # [length, ceil(width / 2), 2]
    return tf.reshape(both, [length, 2 * len(rates)])[:, :width]  # [length, width]


def fold_in(seed, number: int):
    """A seed int32 [2] for branch `number`; None stays None."""
    return None if seed is None else tf.random.experimental.stateless_fold_in(seed, number)


def dropout(x, rate: float, seed):
    """A share `rate` of x set to zero, a pure function of `seed` (int32 [2]; None draws a fresh one) and of the replica."""
    if seed is None:
        seed = tf.random.uniform([2], maxval=tf.int32.max, dtype=tf.int32)
    replica = tf.distribute.get_replica_context()
    # each replica sees other clips and must drop other features of them
    seed = fold_in(seed, 0 if replica is None else replica.replica_id_in_sync_group)
    return tf.nn.experimental.stateless_dropout(x, rate, seed)


def _softmax(scores):
    """Over the last axis, in float32 whatever the scores' type: half precision loses small weights."""
    return tf.nn.softmax(tf.cast(scores, tf.float32), axis=-1)


def check_choice(field: str, value: str, known: tuple[str, ...]):
    """A ConfigError unless `value` is one of `known`."""
    if value not in known:
        raise ConfigError(f"{field} is {value!r}.", f"Use one of: {', '.join(known)}.")
