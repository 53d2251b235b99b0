"""Where a run computes: the strategy, seeds, determinism. The only importer of Model Garden."""

import contextlib
import functools
import json
import os

import tensorflow as tf
import tf_keras as keras

from crossask.errors import ConfigError

TF_CONFIG_ADVICE = (
    'Set {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}, each machine its own index, '
    "or use crossask-launch."
)
DISTRIBUTIONS = ("one_device", "mirrored", "multi_worker_mirrored", "tpu")


@functools.lru_cache
def strategy(name: str = "auto", tpu: str | None = None) -> tf.distribute.Strategy:
    """A strategy through TensorFlow Model Garden's engine; one a process, for two over the same devices mix up their keys.

    Args:
      name: "auto" (all GPUs where there are any, else one device), "one_device", "mirrored", "multi_worker_mirrored" (all
        devices of the machines that the environment's TF_CONFIG names; to be called before anything is computed) or "tpu".
      tpu: the TPU's address, for "tpu" ("local" on a TPU machine).

    Raises:
      ConfigError: an unknown name, "mirrored" without a GPU, or "multi_worker_mirrored" without a TF_CONFIG.
    """
    # Model Garden imports much: only a training process pays for it
    from official.common import distribute_utils

    gpus = len(tf.config.list_physical_devices("GPU"))
    if name == "auto":
        name = "mirrored" if gpus > 1 else "one_device"
    if name == "mirrored" and not gpus:
        raise ConfigError(
            "--distribution=mirrored needs a GPU, and TensorFlow sees none.",
            "Use --distribution=one_device here.",
        )
    check_machines(name)
    count = gpus if name == "mirrored" else min(gpus, 1)
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(
        "ERROR"
    )  # it asks for this strategy by an older name, and TensorFlow says so three times
    try:
        return distribute_utils.get_distribution_strategy(name, num_gpus=count, tpu_address=tpu)
    finally:
        logger.setLevel(level)


def machines(strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """(number of this machine, how many there are): processes that each run this program and train one model together."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 0, 1
    return _place_among_machines()


def dealt(strategy: tf.distribute.Strategy, batches, batch_size: int):
    """A dataset for `fit`: of each batch, every device of every machine gets its rows.

    Args:
      batches: function(number of a machine, how many there are) -> a dataset of that machine's rows of the batches.
      batch_size: of all devices together. The loss is the mean over it: Keras takes each device's mean and divides by their number.

    Raises:
      ConfigError: the devices do not divide the batch.
    """
    count = strategy.num_replicas_in_sync
    if batch_size % count:
        raise ConfigError(
            f"{count} devices cannot share batches of {batch_size}.",
            f"Make training.batch_size a multiple of {count}.",
        )
    if count == 1:
        return batches(0, 1)

    def of_machine(context):
        return batches(context.input_pipeline_id, context.num_input_pipelines).rebatch(
            batch_size // count, drop_remainder=True
        )

    return strategy.distribute_datasets_from_function(of_machine)


def set_seeds(seed: int, strategy: tf.distribute.Strategy | None = None):
    """Seeds Python, NumPy and TensorFlow, and makes every operation give the same bits again.

    Not asked of a TPU, whose programs do so anyway: XLA refuses to compile the gradient of max pooling where it is asked for.
    """
    keras.utils.set_random_seed(seed)
    if not isinstance(strategy, tf.distribute.TPUStrategy):
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


def check_machines(distribution: str):
    """A ConfigError where there is no such distribution, or it and the environment's TF_CONFIG contradict each other."""
    if distribution not in ("auto", *DISTRIBUTIONS):
        raise ConfigError(
            f"There is no distribution {distribution!r}.",
            f"Use one of: auto, {', '.join(DISTRIBUTIONS)}.",
        )
    _, machines = _place_among_machines()
    if distribution == "multi_worker_mirrored" and not machines:
        raise ConfigError(
            "--distribution=multi_worker_mirrored needs the machines' addresses in the environment variable TF_CONFIG.",
            TF_CONFIG_ADVICE,
        )
    if distribution != "multi_worker_mirrored" and machines > 1:
        raise ConfigError(
            f"TF_CONFIG names {machines} machines, and --distribution={distribution} would have each write the same run.",
            "Use --distribution=multi_worker_mirrored, or unset TF_CONFIG.",
        )


def _place_among_machines() -> tuple[int, int]:
    """(number of this machine, how many there are) by TF_CONFIG, a chief before the workers; (0, 0) without one."""
    text = os.environ.get("TF_CONFIG")
    if not text:
        return 0, 0
    try:
        cluster, task = (json.loads(text)[part] for part in ("cluster", "task"))
        hosts = [
            (job, number)
            for job in ("chief", "worker")
            for number in range(len(cluster.get(job, ())))
        ]
        if set(cluster) - {"chief", "worker"}:
            raise ValueError(f"a cluster of {', '.join(cluster)}")
        return hosts.index((task["type"], int(task["index"]))), len(hosts)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"The environment variable TF_CONFIG cannot be used ({error!r}).", TF_CONFIG_ADVICE
        ) from error


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
