"""Where a run is computed: distribution, seeds, determinism, threads.

This is the only module that imports Model Garden.
"""

import contextlib
import functools
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras as keras

from crossask.errors import ConfigError, CrossaskError, Preempted, first_line
from crossask.tracing import as_written
from crossask.training import peers

LOG = logging.getLogger("crossask")
DISTRIBUTIONS = ("one_device", "mirrored", "multi_worker_mirrored", "tpu")
# What TensorFlow raises on a machine when another one ends in the middle of training.
LOST_MACHINE = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)


class Machines(NamedTuple):
    """The machines (processes of this program) that train one model together.

    Attributes:
      number: Number of this machine, from 0.
      count: Number of machines.
    """

    number: int
    count: int

    @property
    def is_first(self) -> bool:
        """Whether this machine writes the files of a run."""
        return self.number == 0


@functools.lru_cache
def make_distribution(name: str = "auto", tpu: str | None = None) -> tf.distribute.Strategy:
    """Returns a distribution: a tf.distribute.Strategy that TensorFlow Model Garden creates.

    Equal arguments return the same object. TensorFlow numbers the collective operations of every
    distribution from the same start, so two distributions over the same devices would use the same
    numbers.

    Args:
      name: "auto" (all GPUs if there are several, else one device), "one_device", "mirrored",
        "multi_worker_mirrored" (all devices of the machines in the environment variable TF_CONFIG;
        call this function before anything is computed) or "tpu".
      tpu: Address of the TPU, for "tpu" ("local" on a TPU machine).

    Raises:
      ConfigError: An unknown name, "mirrored" without a GPU, or "multi_worker_mirrored" without
        TF_CONFIG.
    """
    gpus = len(tf.config.list_physical_devices("GPU"))
    if name == "auto":
        name = "mirrored" if gpus > 1 else "one_device"
    if name == "mirrored" and not gpus:
        raise ConfigError(
            "--distribution=mirrored needs a GPU, and TensorFlow finds none.",
            "Use --distribution=one_device here.",
        )
    check_machines(name)
    if name == "one_device":
        # Model Garden would create the same, but it does not exist for every platform.
        return tf.distribute.OneDeviceStrategy("device:GPU:0" if gpus else "device:CPU:0")
    # Importing Model Garden is slow.
    from official.common import distribute_utils

    # Model Garden calls the deprecated tf.distribute.experimental.MultiWorkerMirroredStrategy, and
    # TensorFlow logs warnings about it.
    with without_log_of_tensorflow():
        return distribute_utils.get_distribution_strategy(name, num_gpus=gpus, tpu_address=tpu)


@contextlib.contextmanager
def connected(name: str, tpu: str | None, peer_timeout: float) -> Iterator[tf.distribute.Strategy]:
    """Yields a distribution, with several machines after they have found each other.

    It must be entered before anything is computed.

    Args:
      name: See `make_distribution`.
      tpu: See `make_distribution`.
      peer_timeout: Seconds to wait for the other machines of TF_CONFIG.

    Raises:
      ConfigError: See `make_distribution`.
      CrossaskError: A machine does not start in time.
      Preempted: A machine ended, or could not be reached any more, within the block.
    """
    check_machines(name)
    if name != "multi_worker_mirrored":
        yield make_distribution(name, tpu)
        return
    with contextlib.ExitStack() as watching:
        cluster = peers.read(os.environ)
        if cluster is not None:
            peers.meet(cluster, peer_timeout)
            watching.enter_context(peers.ending_in_time())
        strategy = make_distribution(name, tpu)
        peers.reinstall_signal_handlers()
        try:
            yield strategy
        except LOST_MACHINE as error:
            LOG.info("TensorFlow reports: %s", first_line(error))
            raise Preempted(
                "Another machine ended, or cannot be reached any more.",
                "Run the same command again on all machines: it goes on from the saved state.",
            ) from error


@contextlib.contextmanager
def without_log_of_tensorflow() -> Iterator[None]:
    """Hides what TensorFlow logs within the block, except errors."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)


def machines(strategy: tf.distribute.Strategy) -> Machines:
    """Returns this machine's number and the number of machines; (0, 1) for one machine."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return Machines(0, 1)
    return _machines_of_environment()


def values_of_machines(strategy: tf.distribute.Strategy, value: float) -> list[float]:
    """Returns the values that all machines passed, in the order of the machines.

    All machines have to call this function at the same point of their work, because each waits for
    the others.

    Args:
      strategy: The distribution.
      value: The value of this machine; integers up to 2^24 are exact.
    """
    number, count = machines(strategy)
    if count == 1:
        return [value]
    devices_of_machine = strategy.num_replicas_in_sync // count
    # All devices of a machine pass an equal share of its value, in the machine's element of the
    # array, so the sum over all devices contains the value of each machine in its element.
    shares = np.zeros(count, np.float32)
    shares[number] = value / devices_of_machine
    return _sum_over_devices(strategy)(tf.constant(shares)).numpy().tolist()


def check_agreement(strategy: tf.distribute.Strategy, facts: Mapping[str, Any]) -> None:
    """Raises CrossaskError on every machine unless all of them have the same facts.

    All machines have to call this function at the same point of their work.

    Args:
      strategy: The distribution.
      facts: What has to be the same, as JSON, by the name that the error lists.
    """
    if machines(strategy).count == 1:
        return
    if _have_same(strategy, facts):
        return
    # Machines with other names, such as those of another version, would wait for each other.
    names = sorted(facts)
    differing = ["versions of crossask"]
    if _have_same(strategy, names):
        differing = [name for name in names if not _have_same(strategy, facts[name])]
    raise CrossaskError(
        f"The machines were started with different values of {', '.join(differing)}.",
        "Start the same command, with the same files, on every machine.",
    )


def _have_same(strategy: tf.distribute.Strategy, value: Any) -> bool:
    """Returns whether a value, as JSON, is the same on all machines."""
    digest = hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).digest()
    # Three bytes are a number that `values_of_machines` gives exactly.
    for start in (0, 3):
        part = int.from_bytes(digest[start : start + 3], "big")
        if len(set(values_of_machines(strategy, part))) > 1:
            return False
    return True


@functools.lru_cache
def _sum_over_devices(strategy: tf.distribute.Strategy) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function that adds up the tensors of all devices of all machines."""

    @tf.function
    @as_written
    def sum_over_devices(value: tf.Tensor) -> tf.Tensor:
        values = strategy.run(tf.identity, args=(value,))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None)

    return sum_over_devices


def distributed(
    strategy: tf.distribute.Strategy,
    batches: Callable[[int, int], tf.data.Dataset],
    batch_size: int,
) -> Any:
    """Returns a dataset for `fit`, which divides each batch among all devices of all machines.

    Args:
      strategy: The distribution.
      batches: Function(number of a machine, number of machines) -> a dataset of that machine's
        part of each batch.
      batch_size: Batch size of all devices together. The loss is the mean over the whole batch:
        Keras takes the mean of each device and divides by the number of devices.

    Raises:
      ConfigError: The number of devices does not divide the batch size.
    """
    count = strategy.num_replicas_in_sync
    if batch_size % count:
        raise ConfigError(
            f"{count} devices cannot share batches of {batch_size}.",
            f"Make training.batch_size a multiple of {count}.",
        )
    if count == 1:
        return batches(0, 1)

    def of_machine(context: tf.distribute.InputContext) -> tf.data.Dataset:
        rows = batches(context.input_pipeline_id, context.num_input_pipelines)
        # In each step, each device of the machine takes one element. It is a part of the batch.
        return rows.rebatch(batch_size // count, drop_remainder=True)

    return strategy.distribute_datasets_from_function(of_machine)


def set_seeds(seed: int, strategy: tf.distribute.Strategy | None = None) -> None:
    """Seeds Python, NumPy and TensorFlow, and makes every operation deterministic.

    Determinism is not requested on a TPU: its programs are deterministic anyway, and XLA refuses to
    compile the gradient of max pooling if it is requested.
    """
    keras.utils.set_random_seed(seed)
    if not isinstance(strategy, tf.distribute.TPUStrategy):
        tf.config.experimental.enable_op_determinism()


def check_machines(distribution: str) -> None:
    """Raises ConfigError for an unknown distribution, or one that contradicts TF_CONFIG."""
    if distribution not in ("auto", *DISTRIBUTIONS):
        raise ConfigError(
            f"There is no distribution {distribution!r}.",
            f"Use one of: auto, {', '.join(DISTRIBUTIONS)}.",
        )
    count = _machines_of_environment().count
    if distribution == "multi_worker_mirrored" and not count:
        raise ConfigError(
            "--distribution=multi_worker_mirrored needs the machines' addresses in the environment "
            "variable TF_CONFIG.",
            peers.ADVICE,
        )
    if distribution != "multi_worker_mirrored" and count > 1:
        raise ConfigError(
            f"TF_CONFIG lists {count} machines, and with --distribution={distribution} each "
            "of them would write the same run.",
            "Use --distribution=multi_worker_mirrored, or unset TF_CONFIG.",
        )


def processes_at_once(jobs: int, distribution: str) -> int:
    """Returns the number of processes that can train at the same time: `jobs` or 1.

    Processes can share cores, but not the memory of a GPU or the devices of a distribution.
    """
    is_shareable = distribution in ("auto", "one_device")
    if not is_shareable or tf.config.list_physical_devices("GPU"):
        return 1
    return jobs


def limit_threads(count: int) -> None:
    """Limits TensorFlow to `count` threads for one operation and `count` operations at a time.

    Two operations can always run at a time. It must be called before TensorFlow computes anything.
    """
    tf.config.threading.set_intra_op_parallelism_threads(count)
    tf.config.threading.set_inter_op_parallelism_threads(max(2, count))


def _machines_of_environment() -> Machines:
    """Returns this machine's number and the number of machines in TF_CONFIG.

    The chief, if there is one, is number 0, and the workers follow. Without TF_CONFIG, the result
    is (0, 0).
    """
    cluster = peers.read(os.environ)
    if cluster is None:
        return Machines(0, 0)
    return Machines(cluster.number, len(cluster.addresses))
