"""What the preflight computes of a row: a little of every stage, from features to an export.

The process that does it limits its memory before it imports TensorFlow, so this module imports
TensorFlow in functions only.
"""

import dataclasses
import itertools
import math
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from crossask.config import Experiment, TrainingConfig
from crossask.datasets import Corpus, Fold
from crossask.grid.runs import StepTime
from crossask.training.parts import parts_of
from crossask.training.run_folder import run_at

if TYPE_CHECKING:
    from crossask.features.cache import FeatureCache

# Clips that are computed of each part of the fold.
CLIPS_OF_A_PART = 2


@dataclasses.dataclass(frozen=True)
class Task:
    """What the process of one row needs.

    Attributes:
      row: The row.
      folds: Names of its folds.
      seed: Seed of the run.
      corpus: The corpus.
      folder: Folder for everything that the process writes.
      distribution: See `devices.make_distribution`.
      threads: Number of threads; 0 for as many as there are cores.
      exports: Whether the model is exported, too.
      most_bytes: Address space that the process may use; None for no limit.
    """

    row: Experiment
    folds: tuple[str, ...]
    seed: int
    corpus: Corpus
    folder: Path
    distribution: str
    threads: int
    exports: bool
    most_bytes: int | None

    @property
    def stderr(self) -> Path:
        """File with the process's error output."""
        return self.folder / "stderr"


class EpochClock:
    """Records when a run begins and when each of its two epochs ends."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self, _epochs: int, _total: int, _note: str) -> None:
        """Records that the run has begun, or that an epoch has ended."""
        self.times.append(time.monotonic())

    def step_time(self) -> StepTime:
        """Returns the times of both epochs, which have one step each."""
        began, first_ended, second_ended = self.times
        return StepTime(first=first_ended - began, later=second_ended - first_ended)


def stages(task: Task, clock: EpochClock) -> Iterator[str]:
    """Yields the name of each stage, and computes the stage when the next name is requested."""
    yield "features"
    from crossask import serving, training
    from crossask.features.cache import in_order, prepare_features
    from crossask.training import devices

    if task.threads:
        devices.limit_threads(task.threads)
    _check_precomputed(task)
    few, fold = _few_clips(task)
    cache = prepare_features(few, task.row, task.folder / "features", workers=1)
    all_clips = tuple(clip.id for clip in in_order(task.corpus))
    whole = dataclasses.replace(cache, clip_ids=all_clips)
    for name in task.folds:
        parts = parts_of(task.corpus, name, task.row.training)
        training.training_data(task.row, task.corpus, whole, parts.training, task.seed)

    yield "training step"
    row = _two_epochs(task.row)
    run = run_at(task.folder / "runs", row.name, fold.name, task.seed)
    validation = set(fold.validation)
    training_ids = [clip_id for clip_id in fold.train if clip_id not in validation]
    one_batch = _filled(cache, training_ids, row.training, task.folder / "filled")
    distribution = devices.make_distribution(task.distribution)
    options = training.Options(distribution=distribution, progress=clock)
    training.train(run, row, few, one_batch, options)

    yield "evaluation"
    training.evaluate_run(run, few, cache)

    # Controls and precomputed embeddings have no model that predicts recordings.
    has_export = not (task.row.event_control or task.corpus.ready_made)
    if task.exports and has_export:
        yield "export"
        serving.export_run(run, task.folder / "model")


def _check_precomputed(task: Task) -> None:
    """Raises DataError unless embeddings that come from a file are those of all clips."""
    from crossask import events

    if events.are_from_file(task.row) and not task.corpus.ready_made:
        events.frozen(task.row).check(clip.id for clip in task.corpus.clips)


def _few_clips(task: Task) -> tuple[Corpus, Fold]:
    """Returns the corpus and its first fold with a few clips of each part."""
    parts = parts_of(task.corpus, task.folds[0], task.row.training)
    training = _spread(parts.training)
    validation = _spread(parts.validation)
    evaluation = _spread(parts.evaluation)
    fold = Fold(task.folds[0], training + validation, evaluation, validation)
    kept = {*fold.train, *fold.evaluation}
    clips = tuple(clip for clip in task.corpus.clips if clip.id in kept)
    return dataclasses.replace(task.corpus, clips=clips, folds=(fold,)), fold


def _spread(clip_ids: Sequence[str]) -> tuple[str, ...]:
    """Returns CLIPS_OF_A_PART clips from the first to the last; () if there are none."""
    if not clip_ids:
        return ()
    chosen = []
    for number in range(CLIPS_OF_A_PART):
        chosen.append(clip_ids[(len(clip_ids) - 1) * number // (CLIPS_OF_A_PART - 1)])
    return tuple(dict.fromkeys(chosen))


def _two_epochs(row: Experiment) -> Experiment:
    """Returns the row with two epochs and a schedule that fits; network and batch size stay.

    The first epoch also builds TensorFlow's graphs, so the second is timed.
    """
    training = dataclasses.replace(
        row.training,
        epochs=2,
        keep_from=1,
        average_from=1,
        patience=0,
        warmup_epochs=0,
        input_streams=1,
    )
    return dataclasses.replace(row, training=training)


def _filled(
    cache: "FeatureCache", training_ids: list[str], settings: TrainingConfig, folder: Path
) -> "FeatureCache":
    """Returns the cache with its training clips repeated until they fill one batch."""
    from crossask.features import records
    from crossask.features.batches import count_examples

    examples_of_clip = count_examples(cache, training_ids[:1], settings.context_frames)
    needed = math.ceil(settings.batch_size / examples_of_clip)
    missing = max(0, needed - len(training_ids))
    repeated = itertools.islice(itertools.cycle(training_ids), missing)
    filled = dataclasses.replace(
        cache,
        clip_ids=(*cache.clip_ids, *repeated),
        folders={kind: folder / kind for kind in cache.folders},
    )
    for kind in cache.folders:
        values = dict(records.read_clips(cache.shards(kind)))
        filled.folders[kind].mkdir(parents=True)
        # The repeated clips fill shards of equal content. The first is written, and the others are
        # links to it.
        written: dict[tuple[str, ...], str] = {}
        for number, path in enumerate(filled.shards(kind)):
            clip_ids = records.clips_of_shard(filled.clip_ids, number)
            if clip_ids in written:
                os.symlink(written[clip_ids], path)
                continue
            encoded = []
            for clip_id in clip_ids:
                encoded.append(records.encode_clip(clip_id, values[clip_id], kind))
            records.write_shard(path, encoded)
            written[clip_ids] = path
    return filled
