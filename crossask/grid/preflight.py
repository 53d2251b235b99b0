"""Runs a little of every stage of every row before a grid starts, to find problems in minutes.

This module chooses the rows and checks folders and folds. `row_check` runs each row in a process
of its own, and `row_stages` is what that process computes. Everything is written to a temporary
folder.
"""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from crossask import files, processors
from crossask.audio import notices
from crossask.config import EventModelConfig, Experiment, catalogue
from crossask.datasets import Corpus
from crossask.errors import CrossaskError, DataError
from crossask.grid import row_check
from crossask.grid.row_check import TRAIN_ANYWAY, Outcome
from crossask.grid.runs import Grid
from crossask.training.parts import Parts, parts_of

# Distributions whose devices a second process cannot use.
NOT_CHECKED = ("multi_worker_mirrored", "tpu")
# Training that probably takes less time is not checked: the check takes about a minute itself.
SHORTEST_CHECKED_SECONDS = 300


def rows_to_check(grid: Grid, mode: str = "auto", jobs: int = 1) -> list[Experiment]:
    """Returns the rows that `check` should check.

    Args:
      grid: The grid.
      mode: "auto" (rows with a run that has not begun, if more than one run is left and training
        will probably take more than SHORTEST_CHECKED_SECONDS), "always" (all rows) or "never".
      jobs: Runs trained at once.
    """
    plan = grid.plan()
    if mode == "never":
        return []
    if mode == "always":
        return list(dict.fromkeys(row for row, _ in plan))
    unfinished = [run for _, run in plan if not run.finished]
    if len(unfinished) < 2 or _is_short(grid, jobs):
        return []
    return list(dict.fromkeys(row for row, run in plan if not run.path("config.json").is_file()))


def _is_short(grid: Grid, jobs: int) -> bool:
    """Returns whether training will probably take less than SHORTEST_CHECKED_SECONDS."""
    from crossask.grid import plan

    try:
        seconds = plan.expected_seconds(grid, jobs)
    except CrossaskError:
        # `check` reports the problems of all rows together.
        return False
    return seconds < SHORTEST_CHECKED_SECONDS


def check_scenes(grid: Grid, rows: Sequence[Experiment]) -> None:
    """Checks the scenes of rows that `check` leaves out.

    Args:
      grid: The grid.
      rows: Rows of the grid; the folds of their unfinished runs are checked.

    Raises:
      DataError: A fold does not train on every scene, or there is only one.
    """
    unfinished = [(row, run.fold) for row, run in grid.plan() if not run.finished]
    for row, fold in dict.fromkeys(unfinished):
        if row in rows:
            _check_trained(row, grid.corpora(row), fold)


def check(
    grid: Grid,
    rows: Sequence[Experiment],
    jobs: int = 1,
    distribution: str = "auto",
    most_bytes: int | None = None,
) -> Iterator[Outcome]:
    """Computes features, two training steps at the row's batch size, an evaluation and an export.

    Folders and folds are checked first, which takes seconds. If a folder cannot be written, no row
    is checked. Rows of one system, strategy and front-end are exported once, because an export
    takes half of the time of a small row. Event models from outside are exported one by one.

    Args:
      grid: The grid.
      rows: Rows of the grid to check.
      jobs: Rows checked at once: as many as are trained at once, because these share the memory.
      distribution: See `devices.make_distribution`. Several machines and TPUs are not checked.
      most_bytes: Address space that the process of a row may use; None for no limit.

    Yields:
      `row_check.Passed` for a row, or a CrossaskError for a problem.
    """
    if not rows or distribution in NOT_CHECKED:
        return
    from crossask.training import devices

    devices.check_machines(distribution)
    problems = _unwritable_folders(grid)
    yield from problems
    if problems:
        return
    rows_with_folds, problems = _rows_with_folds(grid, rows)
    yield from problems
    if not rows_with_folds:
        return
    jobs = min(devices.processes_at_once(jobs, distribution), len(rows_with_folds))
    threads = max(1, processors.cores() // jobs) if jobs > 1 else 0
    with files.working_folder("crossask-preflight") as scratch:
        tasks = []
        exported = set()
        for number, row in enumerate(rows_with_folds):
            export_key = (row.system, row.strategy, _exported_event_model(row), row.features)
            tasks.append(
                row_check.Task(
                    row=row,
                    folds=grid.folds_of(row),
                    seed=grid.seeds[0],
                    corpus=grid.corpora(row),
                    folder=scratch / str(number),
                    distribution=distribution,
                    threads=threads,
                    exports=export_key not in exported,
                    most_bytes=most_bytes,
                )
            )
            exported.add(export_key)
        yield from row_check.in_processes(tasks, jobs)


def _rows_with_folds(
    grid: Grid, rows: Sequence[Experiment]
) -> tuple[list[Experiment], list[CrossaskError]]:
    """Returns the rows whose corpus and folds can be used, and the problems of the others."""
    usable = []
    problems: dict[str, CrossaskError] = {}
    for row in rows:
        try:
            _check_folds(row, grid.corpora(row), grid.folds_of(row))
            usable.append(row)
        except CrossaskError as error:
            # Rows share a corpus and its folds, so they share the problem.
            problems.setdefault(str(error), error)
    return usable, list(problems.values())


def _exported_event_model(row: Experiment) -> str | EventModelConfig:
    """Returns a value that is equal for two rows whose event models are exported in one way."""
    if catalogue.event_model(row.event_model.name).is_trainable:
        return row.event_model.name
    return row.event_model


def _unwritable_folders(grid: Grid) -> list[CrossaskError]:
    """Returns a problem for each of --model_dir and --features_dir that cannot be written."""
    unfinished = [run.folder for _, run in grid.plan() if not run.finished]
    folders_of_flag = {
        "--model_dir": [Path(grid.model_dir), *unfinished],
        "--features_dir": [Path(grid.features_dir)],
    }
    problems = []
    for flag, folders in folders_of_flag.items():
        for folder in folders:
            problem = _unwritable(folder)
            if problem:
                problems.append(CrossaskError(problem, f"Give a {flag} that you may write to."))
                break
    return problems


def _unwritable(folder: Path) -> str:
    """Returns why a folder cannot be written, "" if it can; creates no folders."""
    created = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        files.check_room(folder, 0)
    except CrossaskError as error:
        return error.problem
    finally:
        for path in created:
            with contextlib.suppress(OSError):
                path.rmdir()
    return ""


def _check_folds(row: Experiment, corpus: Corpus, folds: Sequence[str]) -> None:
    """Raises DataError unless each fold trains on every scene, and one of them evaluates it.

    A scene with fewer locations than folds is missing in the evaluation part of some folds; their
    predictions are scored together.
    """
    scene_of = {clip.id: clip.scene for clip in corpus.clips}
    evaluated: set[str] = set()
    for name in folds:
        parts = _check_trained(row, corpus, name)
        evaluated |= {scene_of[clip_id] for clip_id in parts.evaluation}
    names = ", ".join(repr(name) for name in folds)
    _check_scenes(evaluated, corpus, f"Fold {names}", "evaluate")


def _check_trained(row: Experiment, corpus: Corpus, fold: str) -> Parts:
    """Returns the parts of a fold.

    Raises:
      DataError: The fold does not train on every scene, or there is only one.
    """
    if len(corpus.scenes) < 2:
        raise DataError(
            f"Corpus {corpus.name!r} has one scene only, {corpus.scenes[0]!r}.",
            "Add recordings of at least one other scene.",
        )
    parts = parts_of(corpus, fold, row.training)
    _check_scenes(_scenes_of(corpus, parts.training), corpus, f"Fold {fold!r}", "train")
    if parts.validation:
        _log_not_validated(_scenes_of(corpus, parts.validation), corpus, fold)
    return parts


def _scenes_of(corpus: Corpus, clip_ids: Sequence[str]) -> set[str]:
    wanted = set(clip_ids)
    return {clip.scene for clip in corpus.clips if clip.id in wanted}


def _log_not_validated(validated: set[str], corpus: Corpus, fold: str) -> None:
    """Logs once if the validation part lacks a scene."""
    missing = sorted(set(corpus.scenes) - validated)
    if missing:
        notices.log_once(
            f"not validated in fold {fold} of {corpus.name}",
            logging.WARNING,
            "The validation part of fold %r of corpus %r has no clips of %s: the epoch is chosen "
            "without these scenes.",
            fold,
            corpus.name,
            ", ".join(missing),
        )


def _check_scenes(present: set[str], corpus: Corpus, fold: str, verb: str) -> None:
    """Raises DataError if a scene of the corpus is not in `present`."""
    missing = sorted(set(corpus.scenes) - present)
    if missing:
        raise DataError(
            f"{fold} of corpus {corpus.name!r} has no clips of {', '.join(missing)} to {verb} on.",
            f"Add recordings of it to that part, or leave the scene out; {TRAIN_ANYWAY}.",
        )
