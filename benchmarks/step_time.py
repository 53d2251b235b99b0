"""Seconds of a training step and peak memory, with one and two logical devices, in float32 and bfloat16.

python benchmarks/step_time.py experiments/dcase2019.py:cmam_feature_based [--batch=8] [--rounds=7]

Every combination is a process of its own; they take turns, a step each, so that a busy moment of the machine falls on all alike.
"""

import argparse
import itertools
import resource
import statistics
import subprocess
import sys
import time

DEVICES, PRECISIONS = (1, 2), ("float32", "mixed_bfloat16")


def measure(row: str, batch: int, rounds: int):
    combinations = list(itertools.product(DEVICES, PRECISIONS))
    workers = [
        subprocess.Popen(
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
        for devices, precision in combinations
    ]
    seconds = [[] for _ in workers]
    for worker in workers:
        ask(worker)  # ready
    for _ in range(rounds):
        for worker, times in zip(workers, seconds, strict=True):
            times.append(float(ask(worker, "step")))
    print(
        "| logical devices | precision | seconds a step (median) | of float32 on one | peak memory |\n| --- | --- | --- | --- | --- |"
    )
    for (devices, precision), worker, times in zip(combinations, workers, seconds, strict=True):
        ratio = statistics.median(one / base for one, base in zip(times, seconds[0], strict=True))
        memory = int(ask(worker, "memory"))
        print(
            f"| {devices} | {precision} | {statistics.median(times):.2f} | {ratio:.2f} | {memory / 2**20:.2f} GiB |"
        )
        worker.stdin.close()
        worker.wait()


def ask(worker, word: str = "") -> str:
    if word:
        print(word, file=worker.stdin, flush=True)
    answer = worker.stdout.readline()
    if not answer:
        sys.exit("A process ended; run it alone with --devices and --precision to see why.")
    return answer


def work(row: str, batch: int, count: int, precision: str):
    """Answers "step" with its seconds and "memory" with its peak in KiB."""
    import numpy as np
    import tensorflow as tf

    from crossask import config, training
    from crossask.training import devices, network, network_size

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * count
    )
    strategy = (
        tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(count)])
        if count > 1
        else devices.strategy("one_device")
    )
    devices.set_seeds(0)  # deterministic operations, as in training
    (experiment,) = config.read_experiments(row)
    classes, rng = 10, np.random.default_rng(0)
    shapes = network_size.row_size(experiment, classes).shapes
    inputs = {
        kind: rng.normal(size=(batch, *shape)).astype(np.float32) for kind, shape in shapes.items()
    }
    with strategy.scope(), devices.precision(precision):
        model = network.build(experiment, [""] * classes, 0, {})
        training.compile_model(model, experiment, classes, shapes)
    scenes = rng.integers(0, classes, batch).astype(np.int32)
    targets = np.eye(classes, dtype=np.float32)[scenes] if experiment.soft_targets else scenes
    values = (inputs, targets, np.ones(batch, np.float32))
    batches = tf.data.Dataset.from_tensors(values).repeat()
    data = iter(devices.distributed(strategy, lambda number, of: batches, batch))
    step = model.make_train_function()
    step(data)
    print("ready", flush=True)
    for word in sys.stdin:
        start = time.perf_counter()
        if word.strip() == "step":
            step(data)["loss"].numpy()
        print(
            time.perf_counter() - start
            if word.strip() == "step"
            else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("row")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--devices", type=int, default=0)
    parser.add_argument("--precision", default="float32")
    given = parser.parse_args()
    if given.devices:
        work(given.row, given.batch, given.devices, given.precision)
    else:
        measure(given.row, given.batch, given.rounds)
