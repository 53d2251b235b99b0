"""The official baselines of the two corpora, with their published settings; rows give their features and training rules."""

import tensorflow as tf
import tf_keras as keras

from crossask.config import ModelConfig
from crossask.errors import DataError
from crossask.models.layers import dropout, fold_in
from crossask.models.scene_model import SceneModel

CONTEXT_FRAMES = 5  # of DCASE 2017's baseline
SEQUENCE_FRAMES = 500  # of DCASE 2019's baseline: 10 s at a hop of 20 ms
LEAST_SHARE = 1e-12  # of the votes, so that its logarithm is finite


@keras.saving.register_keras_serializable("crossask")
class DCASE2017(SceneModel):
    """DCASE 2017 task 1: a small network names each frame with its neighbours, a recording is what most frames say.

    {"log_mel": [B, T, 40, 1]} -> float32 [B, classes]: 5 frames of 40 bands -> Dense 50, ReLU, dropout 0.2, twice ->
    Dense. A recording of exactly 5 frames gives the logits of its one context; a longer one the logarithm of each
    scene's share of the frames' votes. In training, where votes have no gradient, it is the mean of the contexts' logits;
    the published rule trains on single contexts (training.context_frames = 5).

    With 15 classes: 13,365 parameters. Arguments and errors: SceneModel.
    """

    reads = ("log_mel",)

    def __init__(self, classes: int, config: ModelConfig | None = None, **common):
        super().__init__(classes, config, **common)
        self.hidden = [
            keras.layers.Dense(50, "relu", kernel_initializer=_uniform(), name=f"hidden{i}")
            for i in (1, 2)
        ]
        self.scene = keras.layers.Dense(
            self.classes, kernel_initializer=_uniform(), dtype="float32", name="scene"
        )

    def scene_embedding(self, inputs, training, seed):
        return tf.reduce_mean(self._contexts(inputs, training, seed), axis=1), {}  # [B, 50]

    def scene_logits(self, inputs, training, seed):
        x = self.scene(self._contexts(inputs, training, seed))  # [B, T - 4, classes]
        if training or x.shape[1] == 1:
            return tf.reduce_mean(x, axis=1), {}
        votes = tf.reduce_mean(tf.one_hot(tf.argmax(x, -1), self.classes), axis=1)  # [B, classes]
        return tf.math.log(tf.maximum(votes, LEAST_SHARE)), {}

    def _contexts(self, inputs, training, seed):
        """The last hidden layer for each context of 5 frames, [B, T - 4, 50]."""
        x = self._log_mel(inputs)  # [B, T, 40, 1]
        x = tf.signal.frame(x, CONTEXT_FRAMES, 1, axis=1)  # [B, T - 4, 5, 40, 1]
        contexts = tf.shape(x)[1] if x.shape[1] is None else x.shape[1]
        if contexts == 0:
            raise DataError(
                f"DCASE2017 needs {CONTEXT_FRAMES} frames of log-mel.", "Give longer clips."
            )
        x = tf.reshape(x, [-1, contexts, x.shape[2] * x.shape[3] * x.shape[4]])  # [B, T - 4, 200]
        for number, layer in enumerate(self.hidden):
            x = layer(x)  # [B, T - 4, 50]
            x = dropout(x, 0.2, fold_in(seed, number)) if training else x
        return x


@keras.saving.register_keras_serializable("crossask")
class DCASE2019(SceneModel):
    """DCASE 2019 task 1A: two convolutions 7x7 (32, 64) with pools (5, 5) and (4, 100), Dense 100, Dense.

    {"log_mel": [B, T, 40, 1]}, T at least 500 (of 501 frames the first 500 are used) -> float32 [B, classes].

    The published summary (116,118 parameters) and the published settings disagree about the axis of the batch norms; here
    they stand over channels, as the settings say: with 10 classes 116,310 parameters, of which 116,118 are trained.

    Arguments and errors: SceneModel; DataError also for fewer than 500 frames.
    """

    reads = ("log_mel",)

    def __init__(self, classes: int, config: ModelConfig | None = None, **common):
        super().__init__(classes, config, **common)
        config = self.model_config
        self.convolutions = [
            keras.layers.Conv2D(count, 7, padding="same", name=f"conv{i}")
            for i, count in ((1, 32), (2, 64))
        ]
        several = tf.distribute.get_strategy().num_replicas_in_sync > 1
        self.batch_norms = [
            keras.layers.BatchNormalization(
                momentum=config.batch_norm_momentum,
                epsilon=config.batch_norm_epsilon,
                synchronized=several,
                name=f"batch_norm{i}",
            )
            for i in (1, 2)
        ]
        self.poolings = [
            keras.layers.MaxPooling2D(pool, name=f"pool{i}")
            for i, pool in ((1, (5, 5)), (2, (4, 100)))
        ]
        self.hidden = keras.layers.Dense(100, "relu", kernel_initializer=_uniform(), name="hidden")
        self.scene = keras.layers.Dense(
            self.classes, kernel_initializer=_uniform(), dtype="float32", name="scene"
        )

    def scene_embedding(self, inputs, training, seed):
        x = self._log_mel(inputs)  # [B, T, 40, 1]
        if x.shape[1] is not None and x.shape[1] < SEQUENCE_FRAMES:
            raise DataError(
                f"DCASE2019 got {x.shape[1]} frames of log-mel and needs {SEQUENCE_FRAMES}.",
                "Give clips of 10 s.",
            )
        x = tf.transpose(x[:, :SEQUENCE_FRAMES], [0, 2, 1, 3])  # [B, 40, 500, 1]
        for number, (convolution, norm, pool) in enumerate(
            zip(self.convolutions, self.batch_norms, self.poolings, strict=True)
        ):
            x = pool(
                tf.nn.relu(norm(convolution(x), training=training))
            )  # [B, 8, 100, 32], [B, 2, 1, 64]
            x = dropout(x, 0.3, fold_in(seed, number)) if training else x
        x = self.hidden(tf.reshape(x, [-1, x.shape[1] * x.shape[2] * x.shape[3]]))  # [B, 100]
        x = dropout(x, 0.3, fold_in(seed, 2)) if training else x
        return x, {}


def _uniform():
    """Keras' initialiser "uniform" of those days."""
    return keras.initializers.RandomUniform(-0.05, 0.05)
