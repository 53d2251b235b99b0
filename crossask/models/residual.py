"""A stronger encoder of the log-mel than the paper's, after McDonnell and Gao (2020).

It has three parts, each a choice of its own in `ModelConfig`: residual blocks (`encoder`), an
encoder for each half of the mel bins (`split_band`), and the slopes of the log-mel as further
channels (`deltas`).
"""

from typing import Any

import tensorflow as tf
import tf_keras as keras

from crossask.errors import ConfigError
from crossask.models.layers import Encoder, axis_size

BLOCKS = 2  # residual blocks before each pooling
CONVOLUTIONS = 2  # in each block
REACH = 4  # frames before and after the frame whose slope is computed


@keras.saving.register_keras_serializable("crossask")
class ResidualEncoder(Encoder):
    """Residual blocks with batch normalisation and ReLU before each convolution (He et al. 2016).

      x <- conv(norm(x))
      for each pool:
        twice: x <- x + conv(relu(norm(conv(relu(norm(x))))))
        x <- mean over the pool
      x <- relu(norm(x))

    If a block has more channels than its input, the channels of its input are padded with zeros
    (McDonnell and Gao 2020). For shapes see `Encoder`.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        """Creates the layers. Arguments and errors are those of `Encoder`.

        Raises:
          ConfigError: A block has fewer channels than the one before.
        """
        super().__init__(*args, **kwargs)
        if list(self.channels) != sorted(self.channels):
            raise ConfigError(
                f"A residual encoder got encoder_channels {self.channels}.",
                "Give channels that do not decrease.",
            )
        self.first_norm = self.batch_norm("first_norm")
        self.first = self.convolution(self.channels[0], "first")
        # The lists are flat because Keras does not find layers in lists of lists when it writes a
        # ".keras" file.
        self.norms = []
        self.convolutions = []
        for stage, count in enumerate(self.channels, start=1):
            for place in range(1, BLOCKS * CONVOLUTIONS + 1):
                self.norms.append(self.batch_norm(f"norm{stage}_{place}"))
                self.convolutions.append(self.convolution(count, f"conv{stage}_{place}"))
        self.last_norm = self.batch_norm("last_norm")

    def image(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        """Returns the channels after the last pooling, [B, T, F, C] -> [B, T', F', C']."""
        x = self.first(self.first_norm(x, training=training))
        layers = iter(zip(self.norms, self.convolutions, strict=True))
        for pool in self.pools:
            for _ in range(BLOCKS):
                branch = x
                for _ in range(CONVOLUTIONS):
                    norm, convolution = next(layers)
                    branch = tf.nn.relu(norm(branch, training=training))
                    branch = convolution(branch)
                x = _padded_channels(x, branch.shape[3]) + branch
            # [B, T / time pool, F / frequency pool, channels of the stage]
            x = tf.nn.avg_pool2d(x, pool, pool, "VALID")
        return tf.nn.relu(self.last_norm(x, training=training))


@keras.saving.register_keras_serializable("crossask")
class SplitBand(keras.layers.Layer):
    """An encoder for the lower and one for the upper half of the frequency bins.

    [B, T, F, C] -> [B, T', features of the lower half + features of the upper half].
    """

    def __init__(self, lower: Encoder, upper: Encoder, **kwargs: Any):
        """Stores the encoders.

        Args:
          lower: Encoder of the lower half, rounded down.
          upper: Encoder of the upper half.
          **kwargs: Arguments of `keras.layers.Layer`.
        """
        super().__init__(**kwargs)
        self.lower = lower
        self.upper = upper

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns the features of both halves side by side."""
        half = x.shape[2] // 2
        lower_half = x[:, :, :half]
        upper_half = x[:, :, half:]
        lower = self.lower(lower_half, training=training)
        upper = self.upper(upper_half, training=training)
        return tf.concat([lower, upper], axis=2)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor as plain values."""
        return super().get_config() | {
            "lower": keras.saving.serialize_keras_object(self.lower),
            "upper": keras.saving.serialize_keras_object(self.upper),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "SplitBand":
        """Returns the layer that `get_config` describes."""
        config = dict(config)
        for name in ("lower", "upper"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)


def with_first_deltas(x: tf.Tensor) -> tf.Tensor:
    """Adds the first slopes in time as channels, [B, T, F, C] -> [B, T, F, 2 C].

    They are those of `with_deltas`.
    """
    return tf.concat([x, _slope(x)], axis=3)


def with_deltas(x: tf.Tensor) -> tf.Tensor:
    """Adds the first and second slopes in time as channels, [B, T, F, C] -> [B, T, F, 3 C].

    A slope is that of the least-squares line through nine frames, per frame. Before the first and
    after the last frame, their values are repeated.
    """
    first = _slope(x)
    second = _slope(first)
    return tf.concat([x, first, second], axis=3)


def _padded_channels(x: tf.Tensor, channels: int) -> tf.Tensor:
    """Adds channels of zeros, [B, T, F, C] -> [B, T, F, channels]."""
    missing = channels - x.shape[3]
    return tf.pad(x, [[0, 0], [0, 0], [0, 0], [0, missing]])


def _slope(x: tf.Tensor) -> tf.Tensor:
    """Returns the sum of n (x[t + n] - x[t - n]) over the sum of 2 n^2, for n from 1 to REACH."""
    frames = axis_size(x, 1)
    before = [x[:, :1]] * REACH
    after = [x[:, -1:]] * REACH
    x = tf.concat([*before, x, *after], axis=1)  # [B, T + 2 * REACH, F, C]
    rises = []
    squares = 0
    for n in range(1, REACH + 1):
        later = x[:, REACH + n : REACH + n + frames]
        earlier = x[:, REACH - n : REACH - n + frames]
        rises.append(n * (later - earlier))
        squares += n * n
    return tf.add_n(rises) / (2 * squares)
