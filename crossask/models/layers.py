"""The layers of Table 2: convolutional encoder, attention pooling, attention block, positions.

Axes of shapes: B batch, T time steps, F frequency bins, C channels or features, N attention heads;
T', F' and C' after an encoder, Tq and Tk time steps of the queries and of the keys.

Random numbers are a pure function of a seed that is passed as an argument. No layer has a random
state, so parameter counts and checkpoints contain weights alone.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from crossask.config import ModelConfig
from crossask.errors import ConfigError, DataError


class Encoder(keras.layers.Layer):
    """Base class of the encoders of a log-mel: blocks of convolutions, each followed by a pooling.

    [B, T, F, C] -> [B, T', F' * C']. The pools divide T and F, rounded down. The features of a time
    step are ordered by frequency, then by channel.

    A subclass creates its layers in `__init__` and defines `image`.
    """

    def __init__(
        self,
        channels: Sequence[int],
        pools: Sequence[tuple[int, int]],
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-3,
        synchronized: bool | None = None,
        **kwargs: Any,
    ):
        """Stores the configuration.

        Args:
          channels: Output channels of each block.
          pools: (time, frequency) size of the pooling after each block.
          batch_norm_momentum: Momentum of the moving statistics of every batch normalisation.
          batch_norm_epsilon: Epsilon of every batch normalisation.
          synchronized: See `batch_normalization`.
          **kwargs: Arguments of `keras.layers.Layer`.

        Raises:
          ConfigError: `channels` and `pools` differ in length, or are empty.
        """
        super().__init__(**kwargs)
        self.channels = tuple(int(count) for count in channels)
        self.pools = tuple((int(time), int(frequency)) for time, frequency in pools)
        self.batch_norm_momentum = batch_norm_momentum
        self.batch_norm_epsilon = batch_norm_epsilon
        self.synchronized = synchronized
        if len(self.channels) != len(self.pools) or not self.channels:
            raise ConfigError(
                f"The encoder {self.name!r} has {len(self.channels)} numbers of channels and "
                f"{len(self.pools)} pools.",
                "Give one (time, frequency) pool for each number of channels: model.encoder_pools "
                "(VEM: vem_pools) for encoder_channels, event_encoder_pools for "
                "event_encoder_channels.",
            )

    def image(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        """Returns the feature map after the last pooling, [B, T, F, C] -> [B, T', F', C']."""
        raise NotImplementedError

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns the features of each time step, [B, T, F, C] -> [B, T', F' * C'].

        Raises:
          DataError: The input is too short or too narrow for the pools.
        """
        self._check_size(x.shape)
        x = self.image(x, training)  # [B, T', F', C']
        steps = axis_size(x, 1)
        features = x.shape[2] * x.shape[3]
        return tf.reshape(x, [-1, steps, features])  # [B, T', F' * C']

    def convolution(self, count: int, name: str) -> keras.layers.Layer:
        """Returns a 3x3 convolution to `count` channels, stride 1, same size, without bias."""
        return keras.layers.Conv2D(count, 3, padding="same", use_bias=False, name=name)

    def batch_norm(self, name: str) -> keras.layers.Layer:
        """Returns a batch normalisation with the encoder's momentum and epsilon."""
        return batch_normalization(
            self.batch_norm_momentum, self.batch_norm_epsilon, name, self.synchronized
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return super().get_config() | {
            "channels": list(self.channels),
            "pools": [list(pool) for pool in self.pools],
            "batch_norm_momentum": self.batch_norm_momentum,
            "batch_norm_epsilon": self.batch_norm_epsilon,
            "synchronized": self.synchronized,
        }

    def _check_size(self, shape: tf.TensorShape) -> None:
        """Raises DataError if a known T or F is smaller than the product of its pools."""
        times = [time for time, _ in self.pools]
        frequencies = [frequency for _, frequency in self.pools]
        axes = (("frames", shape[1], times), ("frequency bins", shape[2], frequencies))
        for name, size, pool_sizes in axes:
            needed = math.prod(pool_sizes)
            if size is not None and size < needed:
                raise DataError(
                    f"The encoder got {size} {name}; its pools {self.pools} need at least "
                    f"{needed}.",
                    "Give longer clips, or set smaller pools (model.encoder_pools, vem_pools, "
                    "event_encoder_pools) or, for VEM, model.vem_pool_padding=same.",
                )


@keras.saving.register_keras_serializable("crossask")
class ConvEncoder(Encoder):
    """The CNN-based encoder of Figure 1 and Table 2.

    Each block is a 3x3 convolution, batch normalisation, ReLU and max pooling. For shapes see
    `Encoder`.

    Differs from the paper: batch normalisation, ReLU, the padding of the convolution ("same"), its
    missing bias and the padding of the pooling ("valid" unless `pool_padding` says otherwise) are
    our choices, because the figure is not legible and the text does not mention them.
    """

    def __init__(self, *args: Any, pool_padding: str = "valid", **kwargs: Any):
        """Creates the layers.

        Args:
          *args: Arguments of `Encoder`.
          pool_padding: "valid" drops steps and bins that fill no whole pool; "same" keeps them, so
            that the pools divide T and F rounded up.
          **kwargs: Arguments of `Encoder`.

        Raises:
          ConfigError: See `Encoder`; also for an unknown `pool_padding`.
        """
        super().__init__(*args, **kwargs)
        # The configuration of a row has the same choices, and checks the value.
        ModelConfig(vem_pool_padding=pool_padding)
        self.pool_padding = pool_padding
        self.convolutions = []
        self.batch_norms = []
        self.poolings = []
        blocks = zip(self.channels, self.pools, strict=True)
        for number, (count, pool) in enumerate(blocks, start=1):
            self.convolutions.append(self.convolution(count, f"conv{number}"))
            self.batch_norms.append(self.batch_norm(f"batch_norm{number}"))
            self.poolings.append(
                keras.layers.MaxPooling2D(pool, padding=pool_padding, name=f"pool{number}")
            )

    def image(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        """Returns the channels after the last pooling, [B, T, F, C] -> [B, T', F', C']."""
        blocks = zip(self.convolutions, self.batch_norms, self.poolings, strict=True)
        for convolution, batch_norm, pooling in blocks:
            x = convolution(x)
            x = batch_norm(x, training=training)
            x = tf.nn.relu(x)
            x = pooling(x)  # [B, T / time pool, F / frequency pool, channels of the block]
        return x

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return super().get_config() | {"pool_padding": self.pool_padding}

    def _check_size(self, shape: tf.TensorShape) -> None:
        # Padded pools leave at least one step and one bin.
        if self.pool_padding == "valid":
            super()._check_size(shape)


@keras.saving.register_keras_serializable("crossask")
class AttentionPooling(keras.layers.Layer):
    """The attention-based pooling with multiple heads of Figure 2 and Table 2 (Zhu et al. 2018).

      A = transpose of softmax(g(X W1) W2), over time    [B, N, T]
      each head: A X, the sum over time                  [B, C]

    [B, T, C] -> [B, N * C]: each head is a weighted mean of all features; the heads are
    concatenated. There are no biases.
    """

    def __init__(self, heads: int, dim: int, activation: str = "relu", **kwargs: Any):
        """Creates the layers.

        Args:
          heads: Number N of weighted means.
          dim: Width of the hidden layer X W1.
          activation: g, a value of `ModelConfig.pooling_activation`.
          **kwargs: Arguments of `keras.layers.Layer`.

        Raises:
          ConfigError: An unknown activation.
        """
        super().__init__(**kwargs)
        # Raises ConfigError if `activation` is none of the field's choices.
        ModelConfig(pooling_activation=activation)
        self.heads = heads
        self.dim = dim
        self.activation = activation
        self.hidden = keras.layers.Dense(dim, activation=activation, use_bias=False, name="hidden")
        self.score = keras.layers.Dense(heads, use_bias=False, name="score")

    def call(
        self, x: tf.Tensor, return_attention: bool = False
    ) -> tf.Tensor | tuple[tf.Tensor, tf.Tensor]:
        """Returns the pooled features.

        Args:
          x: Features [B, T, C].
          return_attention: Whether to return the weights, too.

        Returns:
          Pooled features [B, N * C]; with `return_attention` also the weights A [B, N, T], whose
          sum over T is 1.
        """
        scores = self.score(self.hidden(x))  # [B, T, N]
        scores = tf.transpose(scores, [0, 2, 1])  # [B, N, T]
        attention = _softmax(scores)
        heads = tf.matmul(tf.cast(attention, x.dtype), x)  # [B, N, C]
        pooled = tf.reshape(heads, [-1, self.heads * x.shape[-1]])  # [B, N * C]
        if return_attention:
            return pooled, attention
        return pooled

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return super().get_config() | {
            "heads": self.heads,
            "dim": self.dim,
            "activation": self.activation,
        }


def pooling_redundancy(attention: tf.Tensor) -> tf.Tensor:
    """Returns the penalty |A A^T - I|^2 of Lin et al. (2017), the mean over clips.

    The norm is the Frobenius norm. The penalty is zero if each head attends to one time step of its
    own, and grows with the weights that heads have in common.

    Args:
      attention: Pooling weights A [B, N, T].
    """
    gram = tf.matmul(attention, attention, transpose_b=True)  # [B, N, N]
    difference = gram - tf.eye(attention.shape[1])
    squared_norm = tf.reduce_sum(tf.square(difference), axis=[1, 2])  # [B]
    return tf.reduce_mean(squared_norm)


@keras.saving.register_keras_serializable("crossask")
class MultiHeadAttention(keras.layers.Layer):
    """The attention block of section 2.4, equations 1 to 6.

      Q = H W^Q                                  equation 1
      K = H W^K                                  equation 2
      V = H W^V                                  equation 3
      O_i = softmax(Q_i K_i^T / sqrt(d)) V_i     equation 4
      O_a = Concat(O_i) W^O                      equation 5
      O = LayerNorm(Dropout(O_a) + H)            equation 6

    query [B, Tq, dim], key_value [B, Tk, any width] -> [B, Tq, dim]. Self-attention is the case
    query = key_value = H. In cross-attention, K and V are computed from `key_value`, and H of
    equations 1 and 6 is `query`.

    Differs from the paper: equation 5 is read as one matrix W^O after the heads are concatenated.
    The two blocks of CMAM then have 33,554,432 weights, which Table 2 prints as ~33M. Read
    literally, "Concat(O_i W^O)" is another `projection`. In equation 4, d is the dimension of one
    head unless `scale` is "query_dim".
    """

    def __init__(
        self,
        heads: int,
        dim: int,
        scale: str = "head_dim",
        dropout: float = 0.1,
        layer_norm_epsilon: float | None = 1e-6,
        projection: str = "all_heads",
        **kwargs: Any,
    ):
        """Creates the layers.

        Args:
          heads: Number N of heads; it divides `dim`.
          dim: Query dimension of all heads together. If equation 6 adds `query` to O_a, `query`
            must have this width.
          scale: d of equation 4: "head_dim" is dim / heads, "query_dim" is dim.
          dropout: Rate of the dropout of equation 6.
          layer_norm_epsilon: Epsilon of the layer normalisation of equation 6. None leaves out
            equation 6, its dropout included: the output is O_a.
          projection: W^O of equation 5, a value of `ModelConfig.attention_projection`.
          **kwargs: Arguments of `keras.layers.Layer`.

        Raises:
          ConfigError: `heads` does not divide `dim`, or an unknown `scale` or `projection`.
        """
        super().__init__(**kwargs)
        # Raises ConfigError if a value is none of the fields' choices.
        ModelConfig(attention_scale=scale, attention_projection=projection)
        if dim % heads:
            raise ConfigError(
                f"attention_dim is {dim}, which is no multiple of attention_heads ({heads}).",
                "Set model.attention_dim to a multiple of model.attention_heads.",
            )
        self.heads = heads
        self.dim = dim
        self.scale = scale
        self.dropout = dropout
        self.layer_norm_epsilon = layer_norm_epsilon
        self.projection = projection
        self.query = keras.layers.Dense(dim, use_bias=False, name="query")
        self.key = keras.layers.Dense(dim, use_bias=False, name="key")
        self.value = keras.layers.Dense(dim, use_bias=False, name="value")
        output_dim = dim if projection == "all_heads" else dim // heads
        self.output_projection = keras.layers.Dense(output_dim, use_bias=False, name="output")
        self.layer_norm = None
        if layer_norm_epsilon is not None:
            self.layer_norm = keras.layers.LayerNormalization(
                epsilon=layer_norm_epsilon, name="layer_norm"
            )

    def call(
        self,
        query: tf.Tensor,
        key_value: tf.Tensor,
        training: bool = False,
        seed: tf.Tensor | None = None,
        return_attention: bool = False,
    ) -> tf.Tensor | tuple[tf.Tensor, tf.Tensor]:
        """Returns O of equation 6, or O_a of equation 5 if equation 6 is left out.

        Args:
          query: H of equations 1 and 6, [B, Tq, dim]; of any width without equation 6.
          key_value: H of equations 2 and 3, [B, Tk, any width].
          training: Whether features are dropped.
          seed: Seed of the dropout, int32 [2]; see `dropout`.
          return_attention: Whether to return the attention weights, too.

        Returns:
          O [B, Tq, dim]; with `return_attention` also the softmax of equation 4, [B, N, Tq, Tk],
          whose sum over Tk is 1.

        Raises:
          ConfigError: The width of `query` is not `dim`, which equation 6 requires.
        """
        if self.layer_norm is not None:
            self._check_width(query.shape[-1])
        # The matrices W^Q, W^K, W^V and W^O are dense layers without bias. All heads i are computed
        # at once.
        q = self._split_heads(self.query(query))  # [B, N, Tq, dim / N], equation 1
        k = self._split_heads(self.key(key_value))  # [B, N, Tk, dim / N], equation 2
        v = self._split_heads(self.value(key_value))  # [B, N, Tk, dim / N], equation 3
        if self.scale == "head_dim":
            d = self.dim // self.heads
        else:
            d = self.dim
        scores = tf.matmul(q, k, transpose_b=True) * d**-0.5  # [B, N, Tq, Tk]
        attention = _softmax(scores)
        heads = tf.matmul(tf.cast(attention, v.dtype), v)  # [B, N, Tq, dim / N], equation 4
        if self.projection == "all_heads":
            output = self.output_projection(self._concat_heads(heads))  # [B, Tq, dim], equation 5
        else:
            output = self._concat_heads(self.output_projection(heads))  # [B, Tq, dim], as printed
        if self.layer_norm is not None:
            if training and self.dropout:
                output = dropout(output, self.dropout, seed)
            output = self.layer_norm(output + tf.cast(query, output.dtype))  # equation 6
        if return_attention:
            return output, attention
        return output

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return super().get_config() | {
            "heads": self.heads,
            "dim": self.dim,
            "scale": self.scale,
            "dropout": self.dropout,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "projection": self.projection,
        }

    def _check_width(self, width: int) -> None:
        """Raises ConfigError if queries of this width cannot be added in equation 6."""
        if width != self.dim:
            raise ConfigError(
                f"The attention block {self.name!r} got queries {width} wide, and attention_dim is "
                f"{self.dim}; the residual of equation 6 needs equal widths.",
                f"Set model.attention_dim to {width}, or choose the other direction of "
                "model.cross_attention.",
            )

    def _split_heads(self, x: tf.Tensor) -> tf.Tensor:
        """Splits the channels into heads, [B, T, dim] -> [B, N, T, dim / N]."""
        steps = axis_size(x, 1)
        head_dim = self.dim // self.heads
        x = tf.reshape(x, [-1, steps, self.heads, head_dim])  # [B, T, N, dim / N]
        return tf.transpose(x, [0, 2, 1, 3])

    def _concat_heads(self, x: tf.Tensor) -> tf.Tensor:
        """Concatenates the heads, [B, N, T, dim / N] -> [B, T, dim]."""
        steps = axis_size(x, 2)
        x = tf.transpose(x, [0, 2, 1, 3])  # [B, T, N, dim / N]
        return tf.reshape(x, [-1, steps, self.dim])


def sinusoidal_positions(length: int | tf.Tensor, width: int) -> tf.Tensor:
    """Returns the positional encoding of Vaswani et al. (2017), float32 [length, width].

    Column 2i is sin(position / 10000^(2i / width)), and column 2i + 1 the cosine of the same angle.

    Args:
      length: Number of positions; may be a scalar tensor.
      width: Number of columns.
    """
    exponents = -np.arange(0, width, 2, dtype=np.float64) / width
    rates = (10000.0**exponents).astype(np.float32)  # [ceil(width / 2)]
    positions = tf.range(length, dtype=tf.float32)[:, tf.newaxis]  # [length, 1]
    angles = positions * rates  # [length, ceil(width / 2)]
    pairs = tf.stack([tf.sin(angles), tf.cos(angles)], axis=-1)  # [length, ceil(width / 2), 2]
    columns = tf.reshape(pairs, [length, 2 * len(rates)])
    # An odd width has no last cosine.
    return columns[:, :width]


def dropout(x: tf.Tensor, rate: float, seed: tf.Tensor | None) -> tf.Tensor:
    """Sets a share of `x` to zero and scales the rest, as dropout does in training.

    Args:
      x: Features of any shape.
      rate: Share that is set to zero.
      seed: int32 [2]. The result is a pure function of it, of the device and of the shape of `x`.
        None draws a fresh seed, which cannot be repeated.
    """
    if seed is None:
        seed = tf.random.uniform([2], maxval=tf.int32.max, dtype=tf.int32)
    device = 0
    context = tf.distribute.get_replica_context()
    # It is None where TensorFlow runs code once for all devices (the cross-replica context).
    if context is not None:
        device = context.replica_id_in_sync_group
    # Each device has other clips, and should drop other features of them.
    return tf.nn.experimental.stateless_dropout(x, rate, fold_in(seed, device))


def fold_in(seed: tf.Tensor | None, number: int | tf.Tensor) -> tf.Tensor | None:
    """Returns a seed int32 [2] derived from `seed` and `number`; None if `seed` is None."""
    if seed is None:
        return None
    return tf.random.experimental.stateless_fold_in(seed, number)


def batch_normalization(
    momentum: float, epsilon: float, name: str, synchronized: bool | None = None
) -> keras.layers.BatchNormalization:
    """Returns a batch normalisation with scale and centre.

    Args:
      momentum: Momentum of the moving statistics.
      epsilon: Added to the variance.
      name: Name of the layer.
      synchronized: Whether the statistics of a batch are computed over all devices; None: only if
        the current distribution has more than one device. On one device it would change nothing,
        but exclude the fused kernel, and the layer would take 1.5 times as long.
    """
    if synchronized is None:
        synchronized = tf.distribute.get_strategy().num_replicas_in_sync > 1
    return keras.layers.BatchNormalization(
        momentum=momentum, epsilon=epsilon, synchronized=synchronized, name=name
    )


def contexts_of_frames(x: tf.Tensor, context_frames: int) -> tf.Tensor:
    """Returns the context of each frame; at the ends, the first and the last frame are repeated.

    Args:
      x: Features [B, T, ...].
      context_frames: Frames n of a context. That of frame t begins at frame t - n // 2.

    Returns:
      Contexts [B, T, n, ...].
    """
    frames = axis_size(x, 1)
    before = context_frames // 2
    after = context_frames - 1 - before
    # Before the clip, the first frame is read, and behind it, the last one.
    numbers = tf.clip_by_value(tf.range(-before, frames + after), 0, frames - 1)
    repeated = tf.gather(x, numbers, axis=1)  # [B, T + n - 1, ...]
    return tf.signal.frame(repeated, context_frames, 1, axis=1)


def axis_size(x: tf.Tensor, axis: int) -> int | tf.Tensor:
    """Returns the size of an axis: an int if it is static, else a scalar tensor."""
    size = x.shape[axis]
    if size is None:
        return tf.shape(x)[axis]
    return size


def _softmax(scores: tf.Tensor) -> tf.Tensor:
    """Returns the softmax over the last axis, in float32: half precision loses small weights."""
    return tf.nn.softmax(tf.cast(scores, tf.float32), axis=-1)
