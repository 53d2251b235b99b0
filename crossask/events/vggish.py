"""VGGish (Hershey et al. 2017), the event model of the paper."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras as keras

from crossask.config import catalogue
from crossask.errors import ConfigError, WeightsError
from crossask.events.layer import EventModel
from crossask.events.weights import BROKEN_NPZ, Arrays


class Convolution(NamedTuple):
    """A 3x3 convolution of VGGish.

    Attributes:
      name: Published name.
      channels: Published number of channels.
      is_pooled: Whether a 2x2 max pooling follows.
    """

    name: str
    channels: int
    is_pooled: bool


CONVOLUTIONS = (
    Convolution("conv1", 64, True),
    Convolution("conv2", 128, True),
    Convolution("conv3/conv3_1", 256, False),
    Convolution("conv3/conv3_2", 256, True),
    Convolution("conv4/conv4_1", 512, False),
    Convolution("conv4/conv4_2", 512, True),
)
# Published names and units of the dense layers before the last one.
DENSES = (("fc1/fc1_1", 4096), ("fc1/fc1_2", 4096))
LAST = "fc2"

# Numbers that give the layers different seeds.
FIRST_DENSE_SEED = 10
LAST_SEED = 20

PCA_CLIP = 2.0  # values after the PCA are clipped to -2..2
STEPS_PER_UNIT = 255.0 / (2 * PCA_CLIP)  # 8-bit steps in a difference of 1


@keras.saving.register_keras_serializable("crossask")
class VGGish(EventModel):
    """VGGish: patches [..., 96, 64] -> embeddings [..., 128]; 72,141,184 parameters at width 1.

    The embedding is one of:

    * "linear": The output of the last layer, as in the TF-Hub module and in today's code.
    * "relu": Its ReLU, as in the code of 2019, when the paper was written.
    * "pca": E (x - mean), clipped to [-2, 2]: the published post-processing without its
      quantisation to 8 bits.
    * "vggish_2019": Post-processing of the ReLU, with its quantisation: whole numbers from 0 to
      255, as the code of 2019 computed them. It has no gradient. The published embeddings of
      AudioSet are those of "pca" in 8 bits, see docs/decisions.md, D34.

    Random weights follow `initialisation`. The published code draws them with a deviation of 0.01
    ("truncated_normal"), with which the signal fades from layer to layer, as there is no batch
    normalisation.
    """

    model_name = "vggish"
    embedding_size = 128

    def __init__(self, pca: str | Path | None = None, **options: Any):
        """Creates the layers.

        Args:
          pca: File of the PCA, for `embedding_tap` "pca" or "vggish_2019".
          **options: Arguments of `EventModel`.

        Raises:
          ConfigError: See `EventModel`; also for a trainable layer with the tap "vggish_2019".
          WeightsError: The tap uses the PCA, and its file is missing or has other content.
        """
        super().__init__(**options)
        self.pca = str(pca) if pca else None
        self._projection = None
        if self.embedding_tap == "vggish_2019" and self.trainable:
            raise ConfigError(
                "embedding_tap is 'vggish_2019', whose 8 bits cannot be trained through.",
                "Use strategy=feature_based, or event_model.embedding_tap=relu.",
            )
        if self.embedding_tap in catalogue.PCA_TAPS:
            if not self.pca:
                raise WeightsError(
                    f"embedding_tap is {self.embedding_tap!r}, and no PCA file is given.",
                    "Fetch it with crossask-prepare --assets=vggish_pca.",
                )
            self._projection = read_pca(self.pca)
        self._convolutions = []
        for number, convolution in enumerate(CONVOLUTIONS):
            self._convolutions.append(
                keras.layers.Conv2D(
                    self._wide(convolution.channels),
                    3,
                    padding="same",
                    kernel_initializer=self._initializer(number),
                    name=convolution.name.replace("/", "_"),
                )
            )
        self._pool = keras.layers.MaxPooling2D(2, 2, padding="same")
        self._denses = []
        for number, (name, units) in enumerate(DENSES, start=FIRST_DENSE_SEED):
            self._denses.append(
                keras.layers.Dense(
                    self._wide(units),
                    kernel_initializer=self._initializer(number),
                    name=name.replace("/", "_"),
                )
            )
        self._last = keras.layers.Dense(
            self.embedding_size, kernel_initializer=self._initializer(LAST_SEED), name=LAST
        )

    def named_variables(self) -> dict[str, tf.Variable]:
        """Returns the variables of the network by their published names."""
        layers = {}
        for convolution, layer in zip(CONVOLUTIONS, self._convolutions, strict=True):
            layers[convolution.name] = layer
        for (name, _), layer in zip(DENSES, self._denses, strict=True):
            layers[name] = layer
        layers[LAST] = self._last
        variables = {}
        for name, layer in layers.items():
            variables[f"vggish/{name}/weights"] = layer.kernel
            variables[f"vggish/{name}/biases"] = layer.bias
        return variables

    @property
    def record(self) -> dict[str, Any]:
        """What the weights belong to, their digest, and the source of the PCA."""
        record = super().record
        if self.pca:
            record["pca"] = pca_source(self.pca)
        return record

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return super().get_config() | {"pca": self.pca}

    def _embed(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        """Returns the embeddings of patches, [n, 96, 64, 1] -> [n, 128]."""
        for layer, convolution in zip(self._convolutions, CONVOLUTIONS, strict=True):
            x = self._activate(layer(x))
            if convolution.is_pooled:
                # [n, 48, 32, 64], [n, 24, 16, 128], [n, 12, 8, 256], [n, 6, 4, 512]
                x = self._pool(x)
        features = x.shape[1] * x.shape[2] * x.shape[3]
        x = tf.reshape(x, [-1, features])  # [n, 12288], ordered by time, frequency, channel
        for dense in self._denses:
            x = self._activate(dense(x))  # [n, 4096]
        x = self._last(x)  # [n, 128]
        if self.embedding_tap == "relu":
            return tf.nn.relu(x)
        if self.embedding_tap == "pca":
            return self._project(x)
        if self.embedding_tap == "vggish_2019":
            return _in_8_bits(self._project(tf.nn.relu(x)))
        return x

    def _project(self, x: tf.Tensor) -> tf.Tensor:
        """Returns E (x - mean), clipped, in float32 whatever the precision of the layers."""
        vectors, mean = self._projection
        centred = tf.cast(x, tf.float32) - mean
        projected = tf.matmul(centred, vectors, transpose_b=True)  # [n, 128]
        return tf.clip_by_value(projected, -PCA_CLIP, PCA_CLIP)

    def _constants(self) -> Arrays:
        """Returns the PCA, if the embedding tap uses it."""
        if self._projection is None:
            return {}
        vectors, mean = self._projection
        return {"pca/vectors": vectors, "pca/mean": mean}


def _in_8_bits(x: tf.Tensor) -> tf.Tensor:
    """Returns values from -2 to 2 as whole numbers from 0 to 255, rounded down."""
    return tf.floor((x + PCA_CLIP) * STEPS_PER_UNIT)


def pca_source(path: str | Path) -> str:
    """Returns the source that the file of a PCA contains; "published" if it contains none."""
    with np.load(path, allow_pickle=False) as file:
        if "source" in file.files:
            return str(file["source"])
    return "published"


def read_pca(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Returns E [128, 128] and mean [128] of a file such as Google's vggish_pca_params.npz.

    Raises:
      WeightsError: It cannot be read or has other content.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            vectors = file["pca_eigen_vectors"].astype(np.float32)
            mean = file["pca_means"].astype(np.float32).reshape(-1)
    except BROKEN_NPZ as error:
        raise WeightsError(
            f"{path} cannot be read as VGGish's PCA ({error}).", "Give vggish_pca_params.npz."
        ) from error
    if vectors.shape != (128, 128) or mean.shape != (128,):
        raise WeightsError(
            f"{path} contains shapes {vectors.shape} and {mean.shape}, not (128, 128) and (128,).",
            "Give vggish_pca_params.npz.",
        )
    if not (np.isfinite(vectors).all() and np.isfinite(mean).all()):
        raise WeightsError(
            f"{path} contains values that are not finite.", "Give vggish_pca_params.npz."
        )
    return vectors, mean
