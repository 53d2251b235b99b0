"""What a grid of runs will need: clips, training steps, disk space, and time from measurements."""

import collections
import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from crossask import config, events, precision, training
from crossask.audio import clip_features
from crossask.config import EventModelConfig, Experiment, FeatureConfig
from crossask.datasets import Corpus
from crossask.errors import DataError
from crossask.features.batches import count_examples_of_shapes
from crossask.grid.runs import Grid, StepTime
from crossask.tracing import as_written
from crossask.training import network, network_size
from crossask.training.parts import Parts, parts_of

# Clips of a step that is timed without a GPU, at most; the time is scaled to the whole batch.
LARGEST_TIMED_BATCH = 4
TIMED_STEPS = 2
# A run stores four arrays of the size of its weights: the best epoch's weights, and in the
# checkpoint the last weights and Adam's two moments. Averages are one more.
COPIES_OF_WEIGHTS = 4
BYTES_OF_FLOAT32 = 4
# The passes of a step: the gradients of the features and of the weights cost one each.
PASSES_OF_A_STEP = 3
# The time until the first step.
SECONDS_TO_START_A_RUN = 5
# For `expected_seconds`: multiply-accumulates a second of a small network in training, on one core,
# and the least time of a step.
ASSUMED_RATE = 5e9
LEAST_SECONDS_OF_A_STEP = 0.01


@dataclasses.dataclass(frozen=True)
class RowPlan:
    """What one row needs.

    Attributes:
      row: The row.
      seeds: Number of seeds.
      parts: Fold -> the parts of the fold.
      steps_an_epoch: Fold -> whole batches of its training clips.
      validation_steps: Fold -> batches of its validation clips, of which the last is filled.
      run_bytes: Disk space of all its runs.
      feature_bytes: Key of a kind of feature -> disk space. Rows that share a feature share its
        key.
    """

    row: Experiment
    seeds: int
    parts: dict[str, Parts]
    steps_an_epoch: dict[str, int]
    validation_steps: dict[str, int]
    run_bytes: int
    feature_bytes: dict[str, int]

    @property
    def runs(self) -> int:
        """Number of its runs."""
        return self.seeds * len(self.parts)

    @property
    def steps(self) -> int:
        """Training steps of all its runs and epochs."""
        return self.seeds * self.row.training.epochs * sum(self.steps_an_epoch.values())

    def seconds(self, seconds_a_step: float) -> float:
        """Returns the time of its runs: their start, all steps, and the validation of each epoch.

        Args:
          seconds_a_step: Time of a training step.
        """
        predictions = self.seeds * self.row.training.epochs * sum(self.validation_steps.values())
        start = self.runs * SECONDS_TO_START_A_RUN
        return start + (self.steps + predictions / PASSES_OF_A_STEP) * seconds_a_step


def plan_row(row: Experiment, corpus: Corpus, folds: Sequence[str], seeds: int) -> RowPlan:
    """Returns the plan of a row. Only metadata of the corpus is read.

    Args:
      row: The row.
      corpus: The corpus.
      folds: Names of the folds.
      seeds: Number of seeds.
    """
    settings = row.training
    size = network_size.row_size(row, len(corpus.scenes))
    parts = {name: parts_of(corpus, name, settings) for name in folds}
    steps_an_epoch = {}
    validation_steps = {}
    for name, part in parts.items():
        frames = settings.context_frames
        examples = count_examples_of_shapes(size.shapes, len(part.training), frames)
        steps_an_epoch[name] = examples // settings.batch_size
        examples = count_examples_of_shapes(size.shapes, len(part.validation), frames)
        validation_steps[name] = math.ceil(examples / settings.batch_size)
    return RowPlan(
        row=row,
        seeds=seeds,
        parts=parts,
        steps_an_epoch=steps_an_epoch,
        validation_steps=validation_steps,
        run_bytes=seeds * len(parts) * _run_bytes(row, size),
        feature_bytes=_feature_bytes(row, size.shapes, len(corpus.clips)),
    )


def check_batches(plan: RowPlan) -> None:
    """Raises DataError if the training clips of a fold do not fill one batch."""
    for fold, steps in plan.steps_an_epoch.items():
        if not steps:
            clips = len(plan.parts[fold].training)
            raise DataError(
                f"Row {plan.row.name}, fold {fold}: {clips} training clips do not fill one batch "
                f"of {plan.row.training.batch_size}.",
                "Lower training.batch_size.",
            )


def seconds_to_train(grid: Grid, step_times: Mapping[str, StepTime], jobs: int = 1) -> float:
    """Returns the time of the runs of a grid that are not finished, without their features.

    Args:
      grid: The grid.
      step_times: Name of a row -> measured time of its steps. Other rows are left out.
      jobs: Runs trained at once.
    """
    unfinished = collections.Counter(row.name for row, run in grid.plan() if not run.finished)
    seconds = 0.0
    for row in grid.rows:
        if row.name not in step_times:
            continue
        step = step_times[row.name]
        plan = plan_row(row, grid.corpora(row), grid.folds_of(row), len(grid.seeds))
        steps_of_a_run = plan.steps / plan.runs
        seconds += unfinished[row.name] * (step.first + steps_of_a_run * step.later)
    return seconds / max(1, min(jobs, unfinished.total()))


def expected_seconds(grid: Grid, jobs: int = 1) -> float:
    """Returns a rough time of the runs of a grid that are not finished, without their features.

    It is computed from the sizes of the networks, without a measurement, for a CPU.

    Args:
      grid: The grid.
      jobs: Runs trained at once.

    Raises:
      CrossaskError: A corpus or a fold cannot be used.
    """
    unfinished = collections.Counter(row for row, run in grid.plan() if not run.finished)
    seconds = 0.0
    for row, runs in unfinished.items():
        corpus = grid.corpora(row)
        plan = plan_row(row, corpus, grid.folds_of(row), len(grid.seeds))
        cost = network_size.row_size(row, len(corpus.scenes)).training_cost
        operations_of_a_step = row.training.batch_size * cost * PASSES_OF_A_STEP
        seconds_of_a_step = max(LEAST_SECONDS_OF_A_STEP, operations_of_a_step / ASSUMED_RATE)
        steps_of_a_run = plan.steps / plan.runs
        seconds += runs * (SECONDS_TO_START_A_RUN + steps_of_a_run * seconds_of_a_step)
    return seconds / max(1, min(jobs, unfinished.total()))


def seconds_a_step(row: Experiment, classes: int) -> float:
    """Returns the time of a training step of the whole batch, measured on noise.

    Args:
      row: The row.
      classes: Number of scenes.
    """
    shapes = dict(network_size.row_size(row, classes).shapes)
    frames = row.training.context_frames or row.augmentation.crop_frames
    if frames:
        shapes["log_mel"] = (frames, *shapes["log_mel"][1:])
    plain = _without_weights(row)
    with precision.policy(row.training.precision):
        model = network.build(plain, [""] * classes, seed=0, statistics={})
        training.compile_model(model, plain, classes, shapes)

    whole = row.training.batch_size
    count = _timed_clips(row)
    rng = np.random.default_rng(0)
    inputs = {}
    for kind, shape in shapes.items():
        inputs[kind] = tf.constant(rng.normal(size=(count, *shape)), tf.float32)
    target = tf.constant(rng.integers(0, classes, count), tf.int32)
    if row.soft_targets:
        target = tf.one_hot(target, classes)
    batch = (inputs, target, tf.ones([count]))
    batches = iter(tf.data.Dataset.from_tensors(batch).repeat())
    step = model.make_train_function()
    return _seconds_of(lambda: step(batches)) * whole / count


def seconds_a_clip(rows: Iterable[Experiment]) -> float:
    """Returns the time of computing all features of one clip in one thread, measured on noise.

    The event model's embeddings are not included.
    """
    total = 0.0
    # Rows with the same front-ends share their features.
    by_front_ends = {(row.features, events.front_end_of(row)): row for row in rows}
    for row in by_front_ends.values():
        total += _seconds_of_features(row.features, row.event_model_read)
    return total


def _run_bytes(row: Experiment, size: network_size.RowSize) -> int:
    """Returns the disk space of one run."""
    parameters = size.scene.parameters
    if row.trains_events:
        parameters += size.event.parameters
    copies = COPIES_OF_WEIGHTS
    if row.training.average_decay:
        copies += 1
    return copies * BYTES_OF_FLOAT32 * parameters


def _feature_bytes(
    row: Experiment, shapes: Mapping[str, Sequence[int]], clips: int
) -> dict[str, int]:
    """Returns the disk space of the row's features; see `RowPlan.feature_bytes`."""
    sizes = {}
    for kind, shape in shapes.items():
        key = f"{kind} {config.digest(*_determining(kind, row))}"
        sizes[key] = BYTES_OF_FLOAT32 * math.prod(shape) * clips
    return sizes


def _determining(kind: str, row: Experiment) -> list[Any]:
    """Returns the choices of a row that determine a kind of feature."""
    if kind == "log_mel":
        return [row.features]
    event_model = row.event_model
    choices = [
        row.features.clip_seconds,
        event_model.name,
        event_model.pad_end,
        event_model.level,
    ]
    if kind == "embedding":
        choices.append(event_model)
    return choices


def _seconds_of_features(features: FeatureConfig, event_model: EventModelConfig | None) -> float:
    """Returns the time of a front-end for one clip; see `seconds_a_clip`."""
    samples = round(features.clip_seconds * features.sample_rate_hz)
    noise = np.random.default_rng(0).normal(0, 0.1, (1, samples, 2))
    waveform = tf.constant(noise, tf.float32)

    @tf.function
    @as_written
    def compute(waveform: tf.Tensor) -> dict[str, tf.Tensor]:
        return clip_features.clip_features(waveform, features.sample_rate_hz, features, event_model)

    return _seconds_of(lambda: compute(waveform))


def _without_weights(row: Experiment) -> Experiment:
    """Returns the row with random weights and without statistics, which cost the same time."""
    strategy = "from_scratch" if row.strategy == "fine_tuning" else row.strategy
    return config.override(
        row,
        {
            "strategy": strategy,
            "model.standardise_embedding": False,
            "model.trunk": "",
            "event_model.weights": "",
            "event_model.embedding_tap": "linear",
        },
    )


def _timed_clips(row: Experiment) -> int:
    """Returns the number of clips in a step that is timed."""
    whole = row.training.batch_size
    # A GPU computes all clips of a batch at once, so the time of a part cannot be scaled to the
    # whole.
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    if has_gpu or row.training.context_frames:
        return whole
    return min(whole, LARGEST_TIMED_BATCH)


def _seconds_of(work: Callable[[], Any]) -> float:
    """Returns the time of one call, the fastest of a few after the first."""
    work()
    seconds = []
    for _ in range(TIMED_STEPS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
