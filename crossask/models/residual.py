"""A stronger encoder of the log-mel than the paper's, after the residual network of McDonnell and Gao (2020); each part alone is a choice.

Residual blocks, the lower and the upper half of the band apart, and the log-mel's slopes as further channels.
"""

import itertools

import tensorflow as tf
import tf_keras as keras

from crossask.errors import ConfigError
from crossask.models.layers import Encoder

BLOCKS = 2  # of two convolutions each before every pooling
REACH = 4  # frames to either side that a slope is fitted to


@keras.saving.register_keras_serializable("crossask")
class ResidualEncoder(Encoder):
    """Residual blocks with batch norm and ReLU before each convolution (He et al. 2016, identity mappings).

      x <- conv(batch norm(x))
      for each pool, twice: x <- x + conv(relu(batch norm(conv(relu(batch norm(x)))))), then the mean over the pool
      relu(batch norm(x))

    Where a block has more channels than the one before it, x is filled up with zeros, as in McDonnell and Gao (2020).
    Shapes, arguments and errors: Encoder.

    Raises:
      ConfigError: `channels` that become fewer.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if list(self.channels) != sorted(self.channels):
            raise ConfigError(
                f"A residual encoder got encoder_channels {self.channels}.",
                "Give channels that do not become fewer.",
            )
        self.first_norm, self.first = (
            self.batch_norm("first_norm"),
            self.convolution(self.channels[0], "first"),
        )
        # flat lists: a `.keras` file does not look for layers in lists of lists
        places = [
            (count, f"{i}_{place}")
            for i, count in enumerate(self.channels, 1)
            for place in range(1, 2 * BLOCKS + 1)
        ]
        self.norms = [self.batch_norm(f"norm{place}") for _, place in places]
        self.convolutions = [self.convolution(count, f"conv{place}") for count, place in places]
        self.last_norm = self.batch_norm("last_norm")

    def image(self, x, training):
        x = self.first(self.first_norm(x, training=training))
        layers = zip(self.norms, self.convolutions, strict=True)
        for pool in self.pools:
            for _ in range(BLOCKS):
                new = x
                for norm, convolution in itertools.islice(layers, 2):
                    new = convolution(tf.nn.relu(norm(new, training=training)))
                x = tf.pad(x, [[0, 0], [0, 0], [0, 0], [0, new.shape[3] - x.shape[3]]]) + new
            x = tf.nn.avg_pool2d(
                x, pool, pool, "VALID"
            )  # [B, T / pool, F / pool, channels of the stage]
        return tf.nn.relu(self.last_norm(x, training=training))


@keras.saving.register_keras_serializable("crossask")
class SplitBand(keras.layers.Layer):
    """The lower and the upper half of the band, each through an encoder of its own: [B, T, F, C] -> [B, T', both features]."""

    def __init__(self, lower, upper, **kwargs):
        super().__init__(**kwargs)
        self.lower, self.upper = lower, upper

    def call(self, x, training=False):
        half = x.shape[2] // 2
        sides = ((self.lower, x[:, :, :half]), (self.upper, x[:, :, half:]))
        return tf.concat([encoder(side, training=training) for encoder, side in sides], axis=2)

    def get_config(self):
        sides = {"lower": self.lower, "upper": self.upper}
        return super().get_config() | {
            name: keras.saving.serialize_keras_object(encoder) for name, encoder in sides.items()
        }

    @classmethod
    def from_config(cls, config):
        sides = {
            name: keras.saving.deserialize_keras_object(config[name]) for name in ("lower", "upper")
        }
        return cls(**{**config, **sides})


def with_deltas(x):
    """[B, T, F, C] -> [B, T, F, 3 C]: beside the log-mel its slope in time, a frame, and the slope of that.

    The slope is the least-squares line's over nine frames; before the first frame and after the last those stand still.
    """
    first = _slope(x)
    return tf.concat([x, first, _slope(first)], axis=3)


def _slope(x):
    frames = tf.shape(x)[1] if x.shape[1] is None else x.shape[1]
    x = tf.concat([x[:, :1]] * REACH + [x] + [x[:, -1:]] * REACH, axis=1)
    steps = range(1, REACH + 1)
    rise = tf.add_n(
        [
            n * (x[:, REACH + n : REACH + n + frames] - x[:, REACH - n : REACH - n + frames])
            for n in steps
        ]
    )
    return rise / (2 * sum(n * n for n in steps))
