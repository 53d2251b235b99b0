"""YAMNet, Google's MobileNet-v1 that recognises the 521 events of AudioSet."""

import dataclasses
from typing import Any

import tensorflow as tf
import tf_keras as keras

from crossask.config import catalogue
from crossask.errors import ConfigError
from crossask.events.layer import EventModel
from crossask.events.weights import Arrays

# (stride, channels) of the fourteen layers. All but the first are separable: a depthwise
# convolution, which has the stride, and a pointwise one, which has the channels.
LAYERS = (
    (2, 32),
    (1, 64),
    (2, 128),
    (1, 128),
    (2, 256),
    (1, 256),
    (2, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (2, 1024),
    (1, 1024),
)
CLASSES = 521
EMBEDDING_SIZE = 1024  # channels of the last layer
BATCH_NORM_EPSILON = 1e-4
# Differs from Keras' default 0.99, whose statistics lag hundreds of steps behind the weights. That
# is too slow for small corpora.
BATCH_NORM_MOMENTUM = 0.9


@dataclasses.dataclass(frozen=True)
class _Step:
    """A convolution and its batch normalisation; the activation follows.

    Attributes:
      name: Published name.
      kernel: Published name of the kernel, which is also that of the Keras layer's attribute.
      convolution: The convolution.
      batch_norm: The batch normalisation.
    """

    name: str
    kernel: str
    convolution: keras.layers.Layer
    batch_norm: keras.layers.Layer


class _EachChannel(keras.initializers.Initializer):
    """Initialises a depthwise kernel [height, width, channels, 1] by the inputs of one channel.

    Keras takes the third axis for inputs of each output. It would divide the deviation by the
    square root of the channels, and after 13 such layers random embeddings are constant.
    """

    def __init__(self, initializer: str | keras.initializers.Initializer):
        """Keeps an initialiser or its name in Keras."""
        initializer = keras.initializers.get(initializer)
        if isinstance(initializer, keras.initializers.VarianceScaling):
            # A channel has as many outputs as inputs, so that their mean is their number, too.
            initializer = keras.initializers.VarianceScaling(
                initializer.scale, "fan_in", initializer.distribution, initializer.seed
            )
        self.initializer = initializer

    def __call__(self, shape: Any, dtype: Any = None, **options: Any) -> tf.Tensor:
        """Returns the values, drawn as for a convolution from one channel to all of them."""
        height, width, channels, multiplier = shape
        drawn = self.initializer([height, width, multiplier, channels], dtype, **options)
        return tf.transpose(drawn, [0, 1, 3, 2])

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {"initializer": keras.initializers.serialize(self.initializer)}


@keras.saving.register_keras_serializable("crossask")
class YAMNet(EventModel):
    """YAMNet: patches [..., 96, 64] -> embeddings [..., 1024], the mean over the last map.

    It has 3,195,456 trainable parameters (with moving statistics 3,217,344); with `classifier`
    3,729,481 and the method `scores`. The batch normalisations have a centre and no scale; on
    several devices, their statistics are those of all devices.

    Frozen and in half precision, the first layer computes in float32. The model takes 7 % longer,
    and the largest RMS error of 45 recordings of scenes is 4.5 % instead of 17 %.

    The published forms differ in `activation`: ReLU in the Keras source, ReLU6 in the TFLite file.
    The embedding is a mean of activations and never negative, so the taps "linear" and "relu" are
    the same.
    """

    model_name = "yamnet"
    embedding_size = EMBEDDING_SIZE
    optional_variables = ("dense/kernel", "dense/bias")

    def __init__(
        self,
        classifier: bool = False,
        batch_norm_momentum: float = BATCH_NORM_MOMENTUM,
        **options: Any,
    ):
        """Creates the layers.

        Args:
          classifier: Whether the layer has the head that predicts the 521 events.
          batch_norm_momentum: Momentum of the moving statistics, for training.
          **options: Arguments of `EventModel`.

        Raises:
          ConfigError: See `EventModel`; also for the taps "pca" and "vggish_2019", which are
            VGGish's.
        """
        super().__init__(**options)
        if self.embedding_tap in catalogue.PCA_TAPS:
            raise ConfigError(
                f"event_model.embedding_tap is {self.embedding_tap!r}, and YAMNet has none.",
                "Use linear.",
            )
        self.classifier = classifier
        self.batch_norm_momentum = batch_norm_momentum
        self.embedding_size = self._wide(EMBEDDING_SIZE)
        self._steps = []
        for number, (stride, channels) in enumerate(LAYERS, start=1):
            if number == 1:
                self._steps.append(self._first_step(stride, channels))
            else:
                self._steps.append(self._depthwise_step(number, stride))
                self._steps.append(self._pointwise_step(number, channels))
        # Keras finds layers in a list that is an attribute, but not in dataclasses.
        layers = []
        for step in self._steps:
            layers += [step.convolution, step.batch_norm]
        self._tracked = layers
        self._dense = None
        if classifier:
            self._dense = keras.layers.Dense(
                CLASSES, kernel_initializer=self._initializer(0), name="dense"
            )

    def scores(self, patches: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns probabilities of the 521 events, [..., 96, 64] -> [..., 521].

        Raises:
          ConfigError: The layer was created without `classifier`.
        """
        if self._dense is None:
            raise ConfigError("This YAMNet has no classifier.", "Build it with classifier=True.")
        embedding = self(patches, training=training)  # [..., 1024]
        return tf.sigmoid(self._dense(embedding))

    def built_whole(self) -> "YAMNet":
        """Creates all variables that do not exist yet, and returns the layer."""
        super().built_whole()
        if self._dense is not None and not self._dense.built:
            self._dense.build([None, self.embedding_size])
        return self

    def named_variables(self) -> dict[str, tf.Variable]:
        """Returns the variables of the network by their published names."""
        variables = {}
        for step in self._steps:
            variables[f"{step.name}/{step.kernel}"] = getattr(step.convolution, step.kernel)
            variables[f"{step.name}/bn/beta"] = step.batch_norm.beta
            variables[f"{step.name}/bn/moving_mean"] = step.batch_norm.moving_mean
            variables[f"{step.name}/bn/moving_variance"] = step.batch_norm.moving_variance
        if self._dense is not None:
            variables["dense/kernel"] = self._dense.kernel
            variables["dense/bias"] = self._dense.bias
        return variables

    def layer_of(self, name: str) -> str:
        """Returns the name of the layer to which the variable with a published name belongs.

        A depthwise and a pointwise convolution with their batch normalisations are one layer.
        """
        return name.partition("/")[0]

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return super().get_config() | {
            "classifier": self.classifier,
            "batch_norm_momentum": self.batch_norm_momentum,
        }

    def _load(self, arrays: Arrays, source: str) -> "YAMNet":
        """Assigns `arrays` to the variables and returns the layer; see `EventModel`."""
        # In older files, the head is called "logits".
        renamed = {name.replace("logits/", "dense/"): value for name, value in arrays.items()}
        return super()._load(renamed, source)

    def _embed(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        """Returns the embeddings of patches, [n, 96, 64, 1] -> [n, 1024]."""
        for step in self._steps:
            x = step.convolution(x)
            x = step.batch_norm(x, training=training)
            x = self._activate(x)  # [n, 48, 32, 32] after the first, [n, 3, 2, 1024] after the last
        return tf.reduce_mean(x, [1, 2])  # [n, 1024]

    def _first_step(self, stride: int, channels: int) -> _Step:
        """Returns the first convolution, 3x3, in float32 if the model is frozen; see the class."""
        # None is the dtype of the Keras policy.
        dtype = None if self.trainable else "float32"
        convolution = keras.layers.Conv2D(
            self._wide(channels),
            3,
            stride,
            padding="same",
            use_bias=False,
            kernel_initializer=self._initializer(0),
            dtype=dtype,
            name="layer1_conv",
        )
        batch_norm = self._batch_norm("layer1_norm", dtype)
        return _Step("layer1/conv", "kernel", convolution, batch_norm)

    def _depthwise_step(self, number: int, stride: int) -> _Step:
        """Returns the 3x3 convolution of each channel of layer `number`."""
        convolution = keras.layers.DepthwiseConv2D(
            3,
            stride,
            padding="same",
            use_bias=False,
            depthwise_initializer=_EachChannel(self._initializer(2 * number)),
            name=f"layer{number}_depthwise",
        )
        batch_norm = self._batch_norm(f"layer{number}_depthwise_norm")
        return _Step(f"layer{number}/depthwise_conv", "depthwise_kernel", convolution, batch_norm)

    def _pointwise_step(self, number: int, channels: int) -> _Step:
        """Returns the 1x1 convolution across the channels of layer `number`."""
        convolution = keras.layers.Conv2D(
            self._wide(channels),
            1,
            1,
            padding="same",
            use_bias=False,
            kernel_initializer=self._initializer(2 * number + 1),
            name=f"layer{number}_pointwise",
        )
        batch_norm = self._batch_norm(f"layer{number}_pointwise_norm")
        return _Step(f"layer{number}/pointwise_conv", "kernel", convolution, batch_norm)

    def _batch_norm(self, name: str, dtype: str | None = None) -> keras.layers.Layer:
        """Returns a batch normalisation with a dtype; None for that of the Keras policy."""
        devices = tf.distribute.get_strategy().num_replicas_in_sync
        return keras.layers.BatchNormalization(
            momentum=self.batch_norm_momentum,
            epsilon=BATCH_NORM_EPSILON,
            scale=False,
            synchronized=devices > 1,
            dtype=dtype,
            name=name,
        )
