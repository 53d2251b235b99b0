"""Where a run computes: the strategy, seeds, determinism. The only importer of Model Garden."""

import functools

import tensorflow as tf
import tf_keras as keras

from crossask.errors import ConfigError


@functools.lru_cache
def strategy(name: str = "auto", tpu: str | None = None) -> tf.distribute.Strategy:
    """A strategy through TensorFlow Model Garden's engine; one a process, for two over the same devices mix up their keys.

    Args:
      name: "auto" (all GPUs where there are any, else one device), "one_device", "mirrored" or "tpu".
      tpu: the TPU's address, for "tpu" ("local" on a TPU machine).

    Raises:
      ConfigError: an unknown name, or "mirrored" without a GPU.
    """
    # Model Garden imports much: only a training process pays for it
    from official.common import distribute_utils

    gpus = len(tf.config.list_physical_devices("GPU"))
    if name == "auto":
        name = "mirrored" if gpus > 1 else "one_device"
    if name == "mirrored" and not gpus:
        raise ConfigError("--distribution=mirrored needs a GPU, and TensorFlow sees none.", "Use --distribution=one_device here.")
    if name not in ("one_device", "mirrored", "tpu"):
        raise ConfigError(f"There is no distribution {name!r}.", "Use auto, one_device, mirrored or tpu.")
    count = gpus if name == "mirrored" else min(gpus, 1)
    return distribute_utils.get_distribution_strategy(name, num_gpus=count, tpu_address=tpu)


def set_seeds(seed: int, deterministic: bool = True):
    """Seeds Python, NumPy and TensorFlow; `deterministic` makes every operation give the same bits again."""
    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
