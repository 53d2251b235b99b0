"""The official baselines of DCASE 2017 task 1 and DCASE 2019 task 1A, as published.

The experiment files set their features and training.
"""

from typing import Any

import tensorflow as tf
import tf_keras as keras

from crossask.config import ModelConfig
from crossask.errors import DataError
from crossask.models.layers import (
    axis_size,
    batch_normalization,
    contexts_of_frames,
    dropout,
    fold_in,
)
from crossask.models.scene_model import Attention, Inputs, SceneModel

# DCASE 2017
CONTEXT_FRAMES = 5
CONTEXT_DROPOUT = 0.2
LEAST_SHARE = 1e-12  # keeps the logarithm of a share of votes finite
# DCASE 2019
SEQUENCE_FRAMES = 500  # 10 s at a hop of 20 ms
SEQUENCE_DROPOUT = 0.3


@keras.saving.register_keras_serializable("crossask")
class DCASE2017(SceneModel):
    """The baseline of DCASE 2017 task 1: a small network on frames, and a vote over the recording.

      each context of 5 frames x 40 bands: twice (dense 50, ReLU, dropout 0.2), then dense
      recording: share of the contexts that vote for each scene

    It reads {"log_mel": [B, T, 40, 1]}. There is one context for each frame: the frame, the two
    before it and the two after it, where the first and the last frame are repeated beyond the ends.
    The result is the logarithm of the shares; for a recording of exactly 5 frames it is the logits
    of the only context without repetition. Votes have no gradient, so in training
    the result is the mean of the contexts' logits. The published training is on single contexts
    (`training.context_frames` = 5). With 15 classes it has 13,365 parameters.
    """

    reads = ("log_mel",)

    def __init__(self, classes: int, config: ModelConfig | None = None, **common: Any):
        """Creates the layers. Arguments and errors are those of `SceneModel`."""
        super().__init__(classes, config, **common)
        self.hidden = [_dense(50, "hidden1", "relu"), _dense(50, "hidden2", "relu")]
        self.scene = _dense(self.classes, "scene", dtype="float32")

    def scene_embedding(
        self, inputs: Inputs, training: bool, seed: tf.Tensor | None
    ) -> tuple[tf.Tensor, Attention]:
        """Returns the mean over contexts of the last hidden layer, [B, 50], and no attention."""
        contexts = self._contexts(inputs, training, seed)  # [B, T, 50]
        return tf.reduce_mean(contexts, axis=1), {}

    def scene_logits(
        self, inputs: Inputs, training: bool, seed: tf.Tensor | None
    ) -> tuple[tf.Tensor, Attention]:
        """Returns logits as the class describes them, float32 [B, classes], and no attention."""
        logits = self.scene(self._contexts(inputs, training, seed))  # [B, T, classes]
        if training or logits.shape[1] == 1:
            return tf.reduce_mean(logits, axis=1), {}
        votes = tf.one_hot(tf.argmax(logits, -1), self.classes)  # [B, T, classes]
        shares = tf.reduce_mean(votes, axis=1)  # [B, classes]
        return tf.math.log(tf.maximum(shares, LEAST_SHARE)), {}

    def _contexts(self, inputs: Inputs, training: bool, seed: tf.Tensor | None) -> tf.Tensor:
        """Returns the last hidden layer of each context, [B, T, 50]."""
        x = self.read_log_mel(inputs)  # [B, T, 40, 1]
        _check_frames("DCASE2017", x, CONTEXT_FRAMES, "Give longer clips.")
        if x.shape[1] == CONTEXT_FRAMES:
            # The frames are one context.
            x = x[:, tf.newaxis]  # [B, 1, 5, 40, 1]
        else:
            x = contexts_of_frames(x, CONTEXT_FRAMES)  # [B, T, 5, 40, 1]
        contexts = axis_size(x, 1)
        features = x.shape[2] * x.shape[3] * x.shape[4]
        x = tf.reshape(x, [-1, contexts, features])  # [B, T, 200]
        for number, layer in enumerate(self.hidden):
            x = layer(x)  # [B, T, 50]
            if training:
                x = dropout(x, CONTEXT_DROPOUT, fold_in(seed, number))
        return x


@keras.saving.register_keras_serializable("crossask")
class DCASE2019(SceneModel):
    """The baseline of DCASE 2019 task 1A: two convolutions, two dense layers.

      twice: convolution 7x7, batch normalisation, ReLU, max pooling, dropout 0.3
        (32 channels, pool 5 x 5; 64 channels, pool 4 x 100)
      dense 100, ReLU, dropout 0.3
      dense

    It reads the first 500 frames of {"log_mel": [B, T, 40, 1]}. With 10 classes it has 116,310
    parameters, of which 116,118 are trained.

    The published summary (116,118 parameters) and the published settings disagree on the axis of
    the batch normalisations. Here it is the channels, as in the settings.
    """

    reads = ("log_mel",)

    def __init__(self, classes: int, config: ModelConfig | None = None, **common: Any):
        """Creates the layers. Arguments and errors are those of `SceneModel`."""
        super().__init__(classes, config, **common)
        self.convolutions = [
            keras.layers.Conv2D(32, 7, padding="same", name="conv1"),
            keras.layers.Conv2D(64, 7, padding="same", name="conv2"),
        ]
        momentum = self.model_config.batch_norm_momentum
        epsilon = self.model_config.batch_norm_epsilon
        self.batch_norms = [
            batch_normalization(momentum, epsilon, "batch_norm1"),
            batch_normalization(momentum, epsilon, "batch_norm2"),
        ]
        self.poolings = [
            keras.layers.MaxPooling2D((5, 5), name="pool1"),
            keras.layers.MaxPooling2D((4, 100), name="pool2"),
        ]
        self.hidden = _dense(100, "hidden", "relu")
        self.scene = _dense(self.classes, "scene", dtype="float32")

    def scene_embedding(
        self, inputs: Inputs, training: bool, seed: tf.Tensor | None
    ) -> tuple[tf.Tensor, Attention]:
        """Returns the hidden dense layer [B, 100] and no attention weights.

        Raises:
          DataError: There are fewer than 500 frames.
        """
        x = self.read_log_mel(inputs)  # [B, T, 40, 1]
        _check_frames("DCASE2019", x, SEQUENCE_FRAMES, "Give clips of 10 s.")
        x = x[:, :SEQUENCE_FRAMES]  # [B, 500, 40, 1]
        if x.shape[1] is None:
            # The graph does not know T, and the dense layer needs a static size.
            x = tf.ensure_shape(x, [None, SEQUENCE_FRAMES, None, None])
        x = tf.transpose(x, [0, 2, 1, 3])  # [B, 40, 500, 1]
        blocks = zip(self.convolutions, self.batch_norms, self.poolings, strict=True)
        for number, (convolution, batch_norm, pooling) in enumerate(blocks):
            x = convolution(x)
            x = batch_norm(x, training=training)
            x = pooling(tf.nn.relu(x))  # [B, 8, 100, 32], then [B, 2, 1, 64]
            if training:
                x = dropout(x, SEQUENCE_DROPOUT, fold_in(seed, number))
        features = x.shape[1] * x.shape[2] * x.shape[3]
        x = tf.reshape(x, [-1, features])  # [B, 128]
        x = self.hidden(x)  # [B, 100]
        if training:
            x = dropout(x, SEQUENCE_DROPOUT, fold_in(seed, 2))
        return x, {}


def _check_frames(model_name: str, log_mel: tf.Tensor, needed: int, fix: str) -> None:
    """Raises DataError if the log-mel [B, T, 40, 1] has a known T below `needed` frames."""
    frames = log_mel.shape[1]
    if frames is not None and frames < needed:
        raise DataError(f"{model_name} got {frames} frames of log-mel and needs {needed}.", fix)


def _dense(
    units: int, name: str, activation: str | None = None, dtype: str | None = None
) -> keras.layers.Dense:
    """Returns a dense layer with the default initialiser that Keras had at that time."""
    return keras.layers.Dense(
        units,
        activation,
        kernel_initializer=keras.initializers.RandomUniform(-0.05, 0.05),
        dtype=dtype,
        name=name,
    )
