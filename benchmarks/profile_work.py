"""Prints where the time of crossask's work goes: CPU time of each stage on one core.

  OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/profile_work.py

The works are those of `make bench`: a file to its features, a training step of FA, and a waveform
to its answer. A stage is computed alone, so the stages of a work do not add up to it exactly.
"""

import functools
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras
from speed import recordings, rows, tables
from speed.ours import steps

from crossask import config, events, training
from crossask.audio import clip_features, reading
from crossask.datasets import Clip
from crossask.features import computation, samples
from crossask.training import devices, network, network_size

ROUNDS = 9
SCENES = [str(number) for number in range(steps.CLASSES)]
BATCH = 8

Stages = Mapping[str, Callable[[], object]]


def main() -> None:
    """Prints a table for each work."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    devices.set_seeds(0)
    with tempfile.TemporaryDirectory() as folder:
        (path,) = recordings.write(Path(folder), count=1)
        _print("a file to its features", _features(path))
    _print("patches of some clips to embeddings", _embeddings())
    _print(f"a step of FA on {BATCH} clips", _step())
    _print("a waveform to its answer by FA", _answer())


def _print(work: str, stages: Stages) -> None:
    """Measures the stages in turn, and prints the median of each."""
    found = {name: [] for name in stages}
    for compute in stages.values():
        compute()
    for _ in range(ROUNDS):
        for name, compute in stages.items():
            start = time.process_time()
            compute()
            found[name].append(time.process_time() - start)
    lines = [[name, tables.duration(statistics.median(times))] for name, times in found.items()]
    print(tables.table([work, "CPU time"], lines), flush=True)


def _features(path: str) -> Stages:
    row = rows.read(rows.options("cmam_from_scratch", is_narrow=False))
    clip = Clip(path, path, "scene", "")
    kinds = ("log_mel", "patches")
    compute = computation.ClipFeatures(row, None)
    waveform, rate_hz = reading.read_clip(path, row.features)
    front_end = compute._front_end(rate_hz, waveform.shape, kinds)
    log_mel = compute._front_end(rate_hz, waveform.shape, ("log_mel",))
    return {
        "all": lambda: compute(clip, kinds),
        "reading and checks": lambda: reading.read_clip(path, row.features),
        "front-end": lambda: front_end(waveform),
        "of it, the log-mel of both channels": lambda: log_mel(waveform),
        "hash of the samples": lambda: samples.hash_of(waveform, rate_hz),
    }


def _embeddings() -> Stages:
    stages = {}
    for name, patches in (("vggish", 10), ("yamnet", 20)):
        model = events.build(config.EventModelConfig(name=name, embedding_tap="linear"))
        for clips in (1, computation.CLIPS_PER_CALL):
            values = tf.random.normal([clips, patches, 96, 64])
            stages[f"{name}, a call of {clips}"] = functools.partial(tf.function(model), values)
    return stages


def _step() -> Stages:
    model, shapes = _network(f"training.batch_size={BATCH}")
    inputs, targets = steps.random_batch(shapes, BATCH)
    inputs = {kind: tf.constant(value) for kind, value in inputs.items()}
    elements = (inputs, tf.constant(targets), tf.ones(BATCH))
    batches = iter(tf.data.Dataset.from_tensors(elements).repeat())
    train = model.make_train_function(force=True)
    variables = model.trainable_variables
    gradients = [tf.random.normal(variable.shape) for variable in variables]
    forward = tf.function(lambda values: model(values, training=True))
    update = tf.function(
        lambda: model.optimizer.apply_gradients(zip(gradients, variables, strict=True))
    )
    return {
        "all": lambda: train(batches)["loss"].numpy(),
        "forward pass": lambda: forward(inputs).numpy(),
        "update of the weights": update,
    }


def _answer() -> Stages:
    model, shapes = _network()
    row = rows.read(rows.options("fa", is_narrow=False))
    rate_hz = row.features.sample_rate_hz
    length = round(row.features.clip_seconds * rate_hz)
    waveform = tf.constant(np.random.default_rng(0).normal(0, 0.1, (1, length, 2)), tf.float32)
    front_end = tf.function(lambda x: clip_features.clip_features(x, rate_hz, row.features))
    predict = tf.function(model)
    log_mel = {"log_mel": tf.zeros([1, *shapes["log_mel"]])}
    return {
        "front-end": lambda: front_end(waveform)["log_mel"].numpy(),
        "network": lambda: predict(log_mel).numpy(),
    }


def _network(*overrides: str) -> tuple[keras.Model, Mapping[str, tuple[int, ...]]]:
    """Returns FA, compiled for training, and the shapes of its inputs."""
    row = rows.read(rows.options("fa", False, *overrides))
    shapes = network_size.row_size(row, len(SCENES)).shapes
    model = network.build(row, SCENES, 0, {})
    training.compile_model(model, row, len(SCENES), shapes)
    model({kind: tf.zeros([1, *shape]) for kind, shape in shapes.items()})
    return model, shapes


if __name__ == "__main__":
    main()
