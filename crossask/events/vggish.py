"""VGGish (Hershey et al. 2017), the event model of the paper, as a native Keras layer."""

import numpy as np
import tensorflow as tf
import tf_keras as keras

from crossask.errors import WeightsError
from crossask.events.layer import EventModel
from crossask.events.reading_weights import BROKEN_NPZ

CONVOLUTIONS = (
    ("conv1", 64, True),
    ("conv2", 128, True),
    ("conv3/conv3_1", 256, False),
    ("conv3/conv3_2", 256, True),
    ("conv4/conv4_1", 512, False),
    ("conv4/conv4_2", 512, True),
)  # published name, channels, whether a 2x2 pooling follows
DENSES = (("fc1/fc1_1", 4096), ("fc1/fc1_2", 4096))


@keras.saving.register_keras_serializable("crossask")
class VGGish(EventModel):
    """patches [..., 96, 64] -> [..., 128]; 72,141,184 parameters at width 1.

    embedding_tap:
      "linear": the last layer as it is, what the TF-Hub module and today's code give;
      "relu": with the ReLU that the code of the paper's days put on it;
      "pca": y = E (x - mean), clipped to [-2, 2]: the published post-processing without its 8 bits; `pca` names its file.

    Random weights are truncated normal 0.01 at full width, as VGGish's own; narrower ones take He's, with which a small
    network without batch norm trains: at 0.01 the signal of a narrow layer fades from layer to layer.

    Raises:
      WeightsError: the tap is "pca" and its file is missing or another.
    """

    model_name = "vggish"
    front_end = "vggish"
    embedding_size = 128

    def __init__(self, pca=None, **options):
        super().__init__(**options)
        self.pca = str(pca) if pca else None
        self._projection = None
        if self.embedding_tap == "pca":
            if not self.pca:
                raise WeightsError(
                    "embedding_tap is 'pca', and no PCA file is given.",
                    "Fetch it with crossask-prepare --assets=vggish_pca.",
                )
            self._projection = read_pca(self.pca)

        def initialiser(number):
            if self.seed is None:
                return "zeros"
            if self.width == 1:
                return keras.initializers.TruncatedNormal(
                    stddev=0.01, seed=self.seed * 100 + number
                )
            return keras.initializers.HeNormal(seed=self.seed * 100 + number)

        self._convolutions = [
            keras.layers.Conv2D(
                self._wide(channels),
                3,
                padding="same",
                kernel_initializer=initialiser(i),
                name=name.replace("/", "_"),
            )
            for i, (name, channels, _) in enumerate(CONVOLUTIONS)
        ]
        self._pool = keras.layers.MaxPooling2D(2, 2, padding="same")
        self._denses = [
            keras.layers.Dense(
                self._wide(units),
                kernel_initializer=initialiser(10 + i),
                name=name.replace("/", "_"),
            )
            for i, (name, units) in enumerate(DENSES)
        ]
        self._last = keras.layers.Dense(
            self.embedding_size, kernel_initializer=initialiser(20), name="fc2"
        )

    def named_variables(self):
        layers = [*self._convolutions, *self._denses, self._last]
        names = [name for name, *_ in (*CONVOLUTIONS, *DENSES)] + ["fc2"]
        pairs = {}
        for name, layer in zip(names, layers, strict=True):
            pairs[f"vggish/{name}/weights"], pairs[f"vggish/{name}/biases"] = (
                layer.kernel,
                layer.bias,
            )
        return pairs

    @property
    def record(self):
        return super().record | ({"pca": pca_source(self.pca)} if self.pca else {})

    def get_config(self):
        return super().get_config() | {"pca": self.pca}

    def _embed(self, x, training):
        for convolution, (_, _, pooled) in zip(self._convolutions, CONVOLUTIONS, strict=True):
            x = self._activate(convolution(x))
            x = (
                self._pool(x) if pooled else x
            )  # [n, 48, 32, 64], [n, 24, 16, 128], [n, 12, 8, 256], [n, 6, 4, 512]
        x = tf.reshape(
            x, [-1, x.shape[1] * x.shape[2] * x.shape[3]]
        )  # [n, 12288]: time, frequency, channel
        for dense in self._denses:
            x = self._activate(dense(x))  # [n, 4096]
        x = self._last(x)  # [n, 128]
        if self.embedding_tap == "relu":
            return tf.nn.relu(x)
        if self.embedding_tap == "pca":
            vectors, mean = self._projection
            x = tf.cast(x, tf.float32) - mean  # in any precision of the layers
            return tf.clip_by_value(tf.matmul(x, vectors, transpose_b=True), -2.0, 2.0)
        return x

    def _constants(self):
        return (
            {}
            if self._projection is None
            else dict(zip(("pca/vectors", "pca/mean"), self._projection, strict=True))
        )

    def _wide(self, units: int) -> int:
        return max(1, round(units * self.width))


def pca_source(path) -> str:
    """Where a PCA comes from: what the file says of itself, else it is Google's."""
    with np.load(path, allow_pickle=False) as file:
        return str(file["source"]) if "source" in file.files else "published"


def read_pca(path) -> tuple[np.ndarray, np.ndarray]:
    """(vectors [128, 128], mean [128]) of Google's vggish_pca_params.npz; a WeightsError where it is something else."""
    try:
        with np.load(path, allow_pickle=False) as file:
            vectors, mean = (
                file["pca_eigen_vectors"].astype(np.float32),
                file["pca_means"].astype(np.float32).reshape(-1),
            )
    except BROKEN_NPZ as error:
        raise WeightsError(
            f"{path} cannot be read as VGGish's PCA ({error}).", "Give vggish_pca_params.npz."
        ) from error
    if vectors.shape != (128, 128) or mean.shape != (128,):
        raise WeightsError(
            f"{path} holds shapes {vectors.shape} and {mean.shape}, not (128, 128) and (128,).",
            "Give vggish_pca_params.npz.",
        )
    return vectors, mean
