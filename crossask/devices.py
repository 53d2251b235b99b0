"""Where a run computes: the strategy, seeds, determinism. The only importer of Model Garden."""

import contextlib
import functools
import os

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


@contextlib.contextmanager
def precision(name: str):
    """What is built within computes with this Keras policy: "float32", "mixed_bfloat16" or "mixed_float16"; weights are float32."""
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(name)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


def side_by_side(jobs: int, distribution: str) -> int:
    """How many processes can train at once, at most `jobs`: cores can be shared out, a GPU's memory and a strategy's devices not."""
    alone = distribution not in ("auto", "one_device") or tf.config.list_physical_devices("GPU")
    return 1 if alone else jobs


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def limit_threads(count: int):
    """Operations of this process use `count` cores; to be called before TensorFlow computes anything."""
    tf.config.threading.set_intra_op_parallelism_threads(count)
    tf.config.threading.set_inter_op_parallelism_threads(max(2, count))
