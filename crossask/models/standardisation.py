"""Standardisation of a scene model's inputs by statistics of the training fold."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from crossask.errors import ConfigError, DataError

INPUTS = ("log_mel", "embedding")
FEATURE_AXIS = 2  # of log_mel [B, T, F, C] and of embedding [B, P, E]


@dataclasses.dataclass(frozen=True)
class Standardisation:
    """The means and deviations by which a scene model standardises its inputs.

    They are constants of the model: its configuration contains them, its weights do not.

    Attributes:
      log_mel_mean: Mean of each mel bin; None leaves the log-mel as it is.
      log_mel_deviation: Standard deviation of each mel bin.
      embedding_mean: Mean of each dimension of the embedding; None leaves the embedding as it is.
      embedding_deviation: Standard deviation of each dimension of the embedding.
    """

    log_mel_mean: Sequence[float] | None = None
    log_mel_deviation: Sequence[float] | None = None
    embedding_mean: Sequence[float] | None = None
    embedding_deviation: Sequence[float] | None = None

    @classmethod
    def of(cls, **statistics: Sequence[float] | np.ndarray | None) -> "Standardisation":
        """Returns the standardisation by the given attributes, as plain lists.

        Raises:
          ConfigError: A mean without a deviation, different numbers of them, or a value that cannot
            be used.
        """
        lists = {}
        for name, values in statistics.items():
            if values is not None:
                values = np.asarray(values, np.float64).ravel().tolist()
            lists[name] = values
        standardisation = cls(**lists)
        for name in INPUTS:
            _check(name, *standardisation._constants(name))
        return standardisation

    def apply(self, name: str, x: tf.Tensor) -> tf.Tensor:
        """Returns (x - mean) / deviation along axis 2, or `x` itself without statistics.

        Args:
          name: "log_mel" or "embedding".
          x: Features, float32.

        Raises:
          DataError: The width of `x` is not the number of means.
        """
        mean, deviation = self._constants(name)
        if mean is None:
            return x
        width = x.shape[FEATURE_AXIS]
        if width != len(mean):
            raise DataError(
                f"{name} is {width} wide, and {name}_mean has {len(mean)} values.",
                "Use the statistics of the same features.",
            )
        shape = [1] * x.shape.rank
        shape[FEATURE_AXIS] = width
        centred = x - tf.reshape(tf.constant(mean, tf.float32), shape)
        return centred / tf.reshape(tf.constant(deviation, tf.float32), shape)

    def get_config(self) -> dict[str, Sequence[float] | None]:
        """Returns the attributes by name."""
        return dataclasses.asdict(self)

    def _constants(self, name: str) -> tuple[Sequence[float] | None, Sequence[float] | None]:
        """Returns the mean and the deviation of an input; None without statistics."""
        return getattr(self, f"{name}_mean"), getattr(self, f"{name}_deviation")


def _check(name: str, mean: Sequence[float] | None, deviation: Sequence[float] | None) -> None:
    """Raises ConfigError unless the mean and deviation of an input can be used."""
    if mean is None and deviation is None:
        return
    if mean is None or deviation is None:
        raise ConfigError(
            f"Only one of {name}_mean and {name}_deviation was given.", "Give both or neither."
        )
    are_finite = np.isfinite(mean).all() and np.isfinite(deviation).all()
    are_positive = np.greater(deviation, 0).all()
    if len(mean) != len(deviation) or not are_finite or not are_positive:
        raise ConfigError(
            f"{name}_mean has {len(mean)} values and {name}_deviation has {len(deviation)}, the "
            f"least {np.min(deviation, initial=np.inf)}.",
            "Give as many of each, all finite and the deviations above 0.",
        )
