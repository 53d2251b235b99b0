"""What a grid of runs will take, before it starts: clips, steps, disk, and time measured on a step of each row."""

import dataclasses
import math
import time

import numpy as np
import tensorflow as tf

from crossask import config, events, training
from crossask.audio import clip_features
from crossask.datasets import Corpus, training_parts
from crossask.features.batches import examples_of
from crossask.training import devices, network, network_size

MOST_WARM_UP_CLIPS = (
    4  # of a step that is timed without a GPU; the time is scaled to the whole batch
)
TIMED_STEPS = 2
COPIES_KEPT = 4  # of a run's weights: the best epoch's, and the checkpoint's with Adam's two moments; an average is one more


@dataclasses.dataclass(frozen=True)
class FoldCounts:
    """Clips of one fold of one row."""

    fold: str
    training: int
    validation: int
    evaluation: int


@dataclasses.dataclass(frozen=True)
class RowPlan:
    """What one row will take; `seconds_a_step` is None where nothing was timed."""

    row: config.Experiment
    runs: int
    folds: tuple[FoldCounts, ...]
    steps: int  # of all its runs, all epochs
    run_bytes: int  # all its runs
    features: dict[
        str, int
    ]  # key of a kind of feature -> bytes; rows share a key where they share the feature
    seconds_a_step: float | None

    @property
    def seconds(self) -> float | None:
        return None if self.seconds_a_step is None else self.steps * self.seconds_a_step


def plan_row(
    row: config.Experiment, corpus: Corpus, folds, seeds: int, timed: bool = True
) -> RowPlan:
    """The plan of `row` on `folds` with so many seeds; reads metadata alone, and times a step on noise if `timed`."""
    described = network_size.describe(row, len(corpus.scenes))
    counts, steps = [], 0
    for name in folds:
        fold, settings = corpus.fold(name), row.training
        part, validation = training_parts(
            corpus, fold, settings.validation_share, settings.validation_seed
        )
        counts.append(FoldCounts(name, len(part), len(validation), len(fold.evaluation)))
        examples = examples_of(described.shapes, len(part), settings.context_frames)
        steps += seeds * settings.epochs * (examples // settings.batch_size)
    features = {
        f"{kind} {config.digest(*_shaping(kind, row))}": 4 * math.prod(shape) * len(corpus.clips)
        for kind, shape in described.shapes.items()
    }
    trained_events = described.event if row.event_input == "patches" else None
    parameters = described.scene.parameters + (trained_events.parameters if trained_events else 0)
    runs = seeds * len(counts)
    seconds = _seconds_a_step(row, len(corpus.scenes), described.shapes) if timed else None
    copies = COPIES_KEPT + bool(row.training.average_decay)
    return RowPlan(
        row, runs, tuple(counts), steps, runs * copies * 4 * parameters, features, seconds
    )


def seconds_a_clip(rows) -> float:
    """Seconds that all features of one clip take on one core's thread, for the front-ends that `rows` share; measured on noise."""
    total = 0.0
    for features, front_end in {(row.features, events.front_end_of(row)) for row in rows}:
        samples = round(features.clip_seconds * features.sample_rate_hz)
        wave = tf.constant(np.random.default_rng(0).normal(0, 0.1, (1, samples, 2)), tf.float32)
        made = tf.function(
            lambda x, features=features, front_end=front_end: clip_features.clip_features(
                x, features.sample_rate_hz, features, front_end
            )
        )
        total += _timed(lambda made=made, wave=wave: made(wave))
    return total


def _seconds_a_step(row: config.Experiment, classes: int, shapes) -> float:
    whole = row.training.batch_size
    # a GPU takes a batch as one piece: there, part of it would say nothing
    count = (
        whole
        if tf.config.list_physical_devices("GPU") or row.training.context_frames
        else min(whole, MOST_WARM_UP_CLIPS)
    )
    rng = np.random.default_rng(0)
    if frames := row.training.context_frames or row.augmentation.crop_frames:
        shapes = {**shapes, "log_mel": (frames, *shapes["log_mel"][1:])}
    inputs = {
        kind: tf.constant(rng.normal(size=(count, *shape)), tf.float32)
        for kind, shape in shapes.items()
    }
    plain = dataclasses.replace(
        row,
        strategy="from_scratch" if row.strategy == "fine_tuning" else row.strategy,
        model=dataclasses.replace(row.model, standardise_embedding=False),
        event_model=dataclasses.replace(row.event_model, weights="", embedding_tap="linear"),
    )
    with devices.precision(row.training.precision):
        model = training.compiled(
            network.build(plain, range(classes), 0, {}), plain, classes, inputs
        )
    scenes, weights = tf.constant(rng.integers(0, classes, count), tf.int32), tf.ones([count])
    scenes = tf.one_hot(scenes, classes) if row.soft_targets else scenes
    step = model.make_train_function()
    batches = iter(tf.data.Dataset.from_tensors((inputs, scenes, weights)).repeat())
    return _timed(lambda: step(batches)) * whole / count


def _timed(work) -> float:
    """Seconds of one call, the fastest of a few after the first."""
    work()
    seconds = []
    for _ in range(TIMED_STEPS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _shaping(kind: str, row: config.Experiment) -> list:
    event = row.event_model
    if kind == "log_mel":
        return [row.features]
    return [
        row.features.clip_seconds,
        event.name,
        event.pad_end,
        *([event] if kind == "embedding" else []),
    ]
