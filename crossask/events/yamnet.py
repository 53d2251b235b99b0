"""YAMNet, Google's MobileNet-v1 event tagger over 521 classes of AudioSet, as a native Keras layer."""

import tensorflow as tf
import tf_keras as keras

from crossask.errors import ConfigError
from crossask.events.layer import EventModel

# stride and channels of the fourteen layers; all but the first are separable
LAYERS = (
    (2, 32),
    (1, 64),
    (2, 128),
    (1, 128),
    (2, 256),
    (1, 256),
    (2, 512),
    *((1, 512),) * 5,
    (2, 1024),
    (1, 1024),
)
CLASSES = 521
BATCH_NORM_EPSILON = 1e-4
# Differs from Keras' 0.99, whose statistics trail the weights by hundreds of steps: too slow for small corpora
BATCH_NORM_MOMENTUM = 0.9


@keras.saving.register_keras_serializable("crossask")
class YAMNet(EventModel):
    """patches [..., 96, 64] -> [..., 1024], the mean over the last map.

    3,195,456 trainable parameters (3,217,344 with moving statistics); with `classifier` 3,729,481 and `scores`. Batch norms
    have a centre and no scale. The activation is ReLU in the Keras source and ReLU6 in the published TFLite file. The
    embedding is a mean of activations and so never negative: the taps "linear" and "relu" are one.

    `batch_norm_momentum` matters where it is trained. Built under several devices, its batch statistics are those of all.

    Raises:
      ConfigError: the tap "pca", which belongs to VGGish.
    """

    model_name = "yamnet"
    front_end = "yamnet"
    embedding_size = 1024
    optional_variables = ("dense/kernel", "dense/bias")

    def __init__(self, classifier=False, batch_norm_momentum=BATCH_NORM_MOMENTUM, **options):
        super().__init__(**options)
        if self.embedding_tap == "pca":
            raise ConfigError(
                "event_model.embedding_tap is 'pca', and YAMNet has none.", "Use linear."
            )
        self.classifier, self.batch_norm_momentum = classifier, batch_norm_momentum
        several = tf.distribute.get_strategy().num_replicas_in_sync > 1
        self.embedding_size = max(1, round(1024 * self.width))
        self._steps, number = [], None if self.seed is None else self.seed * 100

        def batch_norm(name):
            return keras.layers.BatchNormalization(
                momentum=batch_norm_momentum,
                epsilon=BATCH_NORM_EPSILON,
                scale=False,
                synchronized=several,
                name=name,
            )

        for i, (stride, channels) in enumerate(LAYERS, start=1):
            channels = max(1, round(channels * self.width))
            kernels = {"padding": "same", "use_bias": False}
            if i == 1:
                first = keras.layers.Conv2D(
                    channels,
                    3,
                    stride,
                    kernel_initializer=_glorot(number, 0),
                    name="layer1_conv",
                    **kernels,
                )
                self._steps.append((f"layer{i}/conv", "kernel", first, batch_norm("layer1_norm")))
                continue
            depth = keras.layers.DepthwiseConv2D(
                3,
                stride,
                depthwise_initializer=_glorot(number, 2 * i),
                name=f"layer{i}_depthwise",
                **kernels,
            )
            point = keras.layers.Conv2D(
                channels,
                1,
                1,
                kernel_initializer=_glorot(number, 2 * i + 1),
                name=f"layer{i}_pointwise",
                **kernels,
            )
            self._steps.append(
                (
                    f"layer{i}/depthwise_conv",
                    "depthwise_kernel",
                    depth,
                    batch_norm(f"layer{i}_depthwise_norm"),
                )
            )
            self._steps.append(
                (
                    f"layer{i}/pointwise_conv",
                    "kernel",
                    point,
                    batch_norm(f"layer{i}_pointwise_norm"),
                )
            )
        self._tracked = [layer for _, _, *layers in self._steps for layer in layers]
        self._dense = (
            keras.layers.Dense(CLASSES, kernel_initializer=_glorot(number, 0), name="dense")
            if classifier
            else None
        )

    def scores(self, patches, training=False):
        """Probabilities of the 521 classes, [..., 521]; needs `classifier`."""
        if self._dense is None:
            raise ConfigError("This YAMNet has no classifier.", "Build it with classifier=True.")
        return tf.sigmoid(self._dense(self(patches, training=training)))

    def built_whole(self):
        super().built_whole()
        if self._dense is not None and not self._dense.built:
            self._dense.build([None, self.embedding_size])
        return self

    def named_variables(self):
        pairs = {}
        for name, kernel, layer, norm in self._steps:
            pairs[f"{name}/{kernel}"] = getattr(layer, kernel)
            pairs[f"{name}/bn/beta"] = norm.beta
            pairs[f"{name}/bn/moving_mean"], pairs[f"{name}/bn/moving_variance"] = (
                norm.moving_mean,
                norm.moving_variance,
            )
        if self._dense is not None:
            pairs["dense/kernel"], pairs["dense/bias"] = self._dense.kernel, self._dense.bias
        return pairs

    def layer_of(self, name):
        return name.partition("/")[
            0
        ]  # a depthwise and a pointwise convolution with their norms are one layer

    def get_config(self):
        return super().get_config() | {
            "classifier": self.classifier,
            "batch_norm_momentum": self.batch_norm_momentum,
        }

    def _load(self, weights, source):
        # the classifier has had two names
        return super()._load(
            {name.replace("logits/", "dense/"): value for name, value in weights.items()}, source
        )

    def _embed(self, x, training):
        for _, _, layer, norm in self._steps:
            x = self._activate(
                norm(layer(x), training=training)
            )  # [n, 48, 32, 32] ... [n, 3, 2, 1024]
        return tf.reduce_mean(x, [1, 2])  # [n, 1024]


def _glorot(first, number: int):
    return "zeros" if first is None else keras.initializers.GlorotUniform(seed=first + number)
