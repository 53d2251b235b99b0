r"""Measures seconds of a training step and peak memory on one and two logical devices.

  python benchmarks/step_time.py experiments/dcase2019.py:cmam_feature_based \
      [--batch=8] [--rounds=7]

Every combination of devices and precision (float32, bfloat16) has its own process. The processes
take turns after each step, so that a busy moment of the machine affects all of them alike.
"""

import argparse
import dataclasses
import itertools
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

DEVICES = (1, 2)
PRECISIONS = ("float32", "mixed_bfloat16")
CLASSES = 10


@dataclasses.dataclass
class Worker:
    """A process that computes steps on request.

    Attributes:
      devices: Number of logical devices.
      precision: Value of training.precision.
      process: The process; it runs this file with --devices and --precision.
      seconds: Duration of each step so far.
    """

    devices: int
    precision: str
    process: subprocess.Popen
    seconds: list[float] = dataclasses.field(default_factory=list)

    def request(self, word: str) -> str:
        """Sends a word to the process and returns the next line of its output."""
        print(word, file=self.process.stdin, flush=True)
        return self.read_line()

    def read_line(self) -> str:
        """Returns the next line of the process's output."""
        line = self.process.stdout.readline()
        if not line:
            sys.exit(
                "A process ended early. Run it alone with --devices and --precision to see why."
            )
        return line

    def end(self) -> None:
        """Closes the input of the process and waits for its end."""
        self.process.stdin.close()
        self.process.wait()


def measure(row: str, batch: int, rounds: int) -> None:
    """Prints a table with the medians over the rounds, and peak memory, of each combination.

    The ratio is the median over the rounds of the ratio to float32 on one device.

    Args:
      row: The row, FILE.py:NAME.
      batch: Batch size of all devices together.
      rounds: Steps of each process.
    """
    workers = []
    for devices, precision in itertools.product(DEVICES, PRECISIONS):
        workers.append(_start(row, batch, devices, precision))
    for worker in workers:
        worker.read_line()  # "ready"
    for _ in range(rounds):
        for worker in workers:
            worker.seconds.append(float(worker.request("step")))
    print("| logical devices | precision | seconds a step | ratio to the first row | peak memory |")
    print("| --- | --- | --- | --- | --- |")
    base = workers[0]
    for worker in workers:
        ratios = []
        for seconds, base_seconds in zip(worker.seconds, base.seconds, strict=True):
            ratios.append(seconds / base_seconds)
        gibibytes = int(worker.request("memory")) / 2**20
        print(
            f"| {worker.devices} | {worker.precision} | {statistics.median(worker.seconds):.2f} "
            f"| {statistics.median(ratios):.2f} | {gibibytes:.2f} GiB |"
        )
        worker.end()


def serve_steps(row: str, batch: int, devices: int, precision: str) -> None:
    """Computes training steps on request, in a process of its own.

    It prints "ready", and then a line for each line of standard input: for "step" the seconds of
    one step, for "memory" the peak memory in KiB.

    Args:
      row: The row, FILE.py:NAME.
      batch: Batch size of all devices together.
      devices: Number of logical devices.
      precision: Value of training.precision.
    """
    step = _training_step(row, batch, devices, precision)
    step()  # The first step traces the graph.
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "step":
            start = time.perf_counter()
            step()
            print(time.perf_counter() - start, flush=True)
        else:
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)


def main() -> None:
    """Parses the command line and measures, or serves steps to a process that measures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("row", help="FILE.py:NAME")
    parser.add_argument("--batch", type=int, default=8, help="batch size of all devices together")
    parser.add_argument("--rounds", type=int, default=7, help="steps of each process")
    parser.add_argument("--devices", type=int, default=0, help="serve steps on so many devices")
    parser.add_argument("--precision", default="float32", help="precision of the served steps")
    arguments = parser.parse_args()
    if arguments.devices:
        serve_steps(arguments.row, arguments.batch, arguments.devices, arguments.precision)
    else:
        measure(arguments.row, arguments.batch, arguments.rounds)


def _start(row: str, batch: int, devices: int, precision: str) -> Worker:
    process = subprocess.Popen(
        [
            sys.executable,
            __file__,
            row,
            f"--batch={batch}",
            f"--devices={devices}",
            f"--precision={precision}",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return Worker(devices, precision, process)


def _training_step(row: str, batch: int, count: int, precision: str) -> Callable[[], None]:
    """Returns a function that computes one training step on random features."""
    # The process that measures does not import TensorFlow.
    import numpy as np
    import tensorflow as tf

    from crossask import config, training
    from crossask.precision import policy
    from crossask.training import devices, network, network_size

    cpu = tf.config.list_physical_devices("CPU")[0]
    logical_devices = [tf.config.LogicalDeviceConfiguration() for _ in range(count)]
    tf.config.set_logical_device_configuration(cpu, logical_devices)
    if count > 1:
        names = [f"CPU:{number}" for number in range(count)]
        distribution = tf.distribute.MirroredStrategy(names)
    else:
        distribution = devices.make_distribution("one_device")
    # As in training, every operation is deterministic.
    devices.set_seeds(0)

    (experiment,) = config.read_experiments(row)
    shapes = network_size.row_size(experiment, CLASSES).shapes
    rng = np.random.default_rng(0)
    inputs = {}
    for kind, shape in shapes.items():
        inputs[kind] = rng.normal(size=(batch, *shape)).astype(np.float32)
    with distribution.scope(), policy(precision):
        model = network.build(experiment, [""] * CLASSES, 0, {})
        training.compile_model(model, experiment, CLASSES, shapes)

    targets = rng.integers(0, CLASSES, batch).astype(np.int32)
    if experiment.soft_targets:
        targets = np.eye(CLASSES, dtype=np.float32)[targets]
    weights = np.ones(batch, np.float32)
    batches = tf.data.Dataset.from_tensors((inputs, targets, weights)).repeat()
    data = iter(devices.distributed(distribution, lambda number, count: batches, batch))
    train = model.make_train_function()

    def step() -> None:
        # Reading the loss waits for the end of the step.
        train(data)["loss"].numpy()

    return step


if __name__ == "__main__":
    main()
