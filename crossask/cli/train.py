"""crossask-train: trains on a folder of recordings, or the rows of an experiment file.

There is one run for each row, fold and seed. If the command is killed, run it again: it continues
where it stopped.

crossask-train RECORDINGS
    Chooses settings for a folder with a sub-folder for each scene, or a CSV; trains, evaluates,
    compares and exports. Everything is written to RECORDINGS_models (or --model_dir).
crossask-train --experiment=experiments/demo.py:fa --data_dir=DATA --model_dir=RUNS --seeds=0,1,2
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from crossask.cli import command, progress, shared_flags
from crossask.errors import CrossaskError

if TYPE_CHECKING:
    from crossask.config import Experiment
    from crossask.datasets import Corpus
    from crossask.grid import Grid
    from crossask.grid.plan import RowPlan
    from crossask.grid.runs import StepTime
    from crossask.training.run_folder import Run

FLAGS = flags.FlagValues()
shared_flags.define_wait_flag(FLAGS)
shared_flags.define_experiment_flags(FLAGS)
flags.DEFINE_string(
    "dataset",
    "",
    f"Data set in place of the rows' own: {shared_flags.dataset_names()}.",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "model_dir",
    "",
    "Folder of the runs: <model_dir>/<row>/fold<k>/seed<s>; required with --experiment, unless "
    "--dry_run is set.",
    flag_values=FLAGS,
)
flags.DEFINE_list(
    "seeds",
    ["0"],
    "Seeds; one run for each. A folder of recordings is trained with 0,1,2 by default.",
    flag_values=FLAGS,
)
flags.DEFINE_list(
    "folds",
    [],
    "Folds on which the rows are trained; default: the field folds of each row.",
    flag_values=FLAGS,
)
shared_flags.define_device_flags(FLAGS)
flags.DEFINE_integer(
    "workers",
    2,
    "Number of feature shards that are computed at the same time.",
    1,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "jobs",
    1,
    "Largest number of runs that train at the same time. They share the cores. With a GPU it is 1.",
    1,
    flag_values=FLAGS,
)
flags.DEFINE_enum(
    "preflight",
    "auto",
    ["auto", "always", "never"],
    "Whether to check each row with a few clips before the first run: features, two training "
    "steps, evaluation, export. auto: rows of which no run has begun, if more than one run is left "
    "and training will probably take more than five minutes.",
    flag_values=FLAGS,
)
flags.DEFINE_bool(
    "dry_run",
    False,
    "Print the clips, steps, disk space and time that training needs, and train nothing. Needs the "
    "data set's metadata, but no recordings.",
    flag_values=FLAGS,
)


def train(values: flags.FlagValues, words: list[str]) -> int:
    """Trains the grid of runs, after a preflight, or prints its plan."""
    if words:
        from crossask.cli import own_recordings

        return own_recordings.train(words, values)
    shared_flags.refuse_unused_device_flags(values)
    if not (values.experiment or values.data_dir):
        raise CrossaskError(
            "Neither recordings nor --experiment are given.",
            "Give a folder with a sub-folder for each scene, crossask train FOLDER, or rows with "
            "--experiment, --data_dir and --model_dir.",
        )
    command.required(values, "experiment", "data_dir")
    if not values.dry_run:
        command.required(values, "model_dir")
        exit_code = shared_flags.exit_code_of_child(values)
        if exit_code is not None:
            return exit_code
    rows = shared_flags.experiments(values)
    seeds = shared_flags.numbers(values.seeds, "seeds")
    if values.dry_run:
        _print_plan(rows, len(seeds), values)
        return 0
    from crossask import grid

    wanted = grid.Grid(
        rows=tuple(rows),
        seeds=tuple(seeds),
        data_dir=values.data_dir,
        features_dir=shared_flags.features_dir(values.data_dir, values.features_dir),
        model_dir=values.model_dir,
        # A fold that is given twice is trained once.
        folds=tuple(dict.fromkeys(values.folds)),
    )
    problems = _preflight(wanted, values)
    if problems:
        return _print_errors(problems)
    execution = grid.Execution(
        jobs=values.jobs,
        workers=values.workers,
        distribution=values.distribution,
        tpu=values.tpu,
        save_steps=values.save_steps,
        peer_timeout=values.peer_timeout,
    )
    failed = []
    for run, outcome in grid.train(wanted, execution, progress.progress_bar):
        if isinstance(outcome, CrossaskError):
            failed.append(outcome)
        else:
            _log_result(run, outcome)
    _print_errors(failed)
    return command.exit_code(len(failed), len(wanted.plan()))


def _preflight(wanted: "Grid", values: flags.FlagValues) -> list[CrossaskError]:
    """Returns the problems that were found; logs the rows that passed."""
    from crossask.grid import preflight

    problems = []
    step_times = {}
    rows = preflight.rows_to_check(wanted, values.preflight, values.jobs)
    if values.preflight != "never":
        # One run, short training, several machines and runs that go on have no preflight, but a
        # scene that is never trained on would make their scores meaningless.
        is_checked = values.distribution not in preflight.NOT_CHECKED
        left_out = [row for row in wanted.rows if row not in rows or not is_checked]
        preflight.check_scenes(wanted, left_out)
    for outcome in preflight.check(wanted, rows, values.jobs, values.distribution):
        if isinstance(outcome, CrossaskError):
            problems.append(outcome)
            continue
        memory = "" if outcome.peak_bytes is None else f", {outcome.peak_bytes / 1e9:.1f} GB"
        command.LOG.info(
            "preflight: %s: %s: %.0f s%s",
            outcome.row,
            ", ".join(outcome.stages),
            outcome.seconds,
            memory,
        )
        step_times[outcome.row] = outcome.step
    if step_times and not problems:
        _log_time(wanted, step_times, values)
    return problems


def _log_time(
    wanted: "Grid", step_times: Mapping[str, "StepTime"], values: flags.FlagValues
) -> None:
    """Logs how long training will take.

    Rows that were not checked, because some of their runs had begun, are listed.
    """
    from crossask.grid import plan
    from crossask.training import devices

    jobs = devices.processes_at_once(values.jobs, values.distribution)
    seconds = plan.seconds_to_train(wanted, step_times, jobs)
    # A measured step is an epoch of one step, with its validation and its checkpoint. Of a small
    # network, they take longer than the step.
    text = f"Training takes at most about {progress.duration(seconds)}, after the features."
    unfinished = dict.fromkeys(row.name for row, run in wanted.plan() if not run.finished)
    not_measured = [name for name in unfinished if name not in step_times]
    if not_measured:
        text += f" Not included, because they had begun before: {', '.join(not_measured)}."
    command.LOG.info("%s", text)


def _log_result(run: "Run", result: dict[str, Any]) -> None:
    """Logs the best epoch of a run, or the last one if there is no validation part."""
    if "validation_macro_accuracy" not in result:
        command.LOG.info(
            "%s: epoch %d of %d, no validation part, %.0f s.",
            run.title,
            result["epochs"],
            result["epochs"],
            result["seconds"],
        )
        return
    command.LOG.info(
        "%s: best epoch %d of %d, %.1f %% on the validation part, %.0f s.",
        run.title,
        result["best_epoch"],
        result["epochs"],
        100 * result["validation_macro_accuracy"],
        result["seconds"],
    )


def _print_errors(errors: Iterable[CrossaskError]) -> int:
    """Prints each error once and returns the exit code of a mistake of the user."""
    # Runs of one row often end with the same error.
    distinct = dict.fromkeys((error.problem, error.fix) for error in errors)
    for problem, fix in distinct:
        command.complain(problem, fix)
    return command.USER_ERROR


def _print_plan(rows: Sequence["Experiment"], seeds: int, values: flags.FlagValues) -> None:
    """Prints rows, runs, steps, disk space and time; a step of each row is measured on noise."""
    from crossask.datasets import Corpora
    from crossask.grid.plan import check_batches, plan_row, seconds_a_step

    corpora = Corpora(values.data_dir, need_audio=False)
    # Rows often share a corpus.
    distinct = {id(corpora(row)): corpora(row) for row in rows}
    _print_folds(distinct.values())
    plans = []
    for row in rows:
        plan = plan_row(row, corpora(row), values.folds or row.folds, seeds)
        # Errors are reported before anything is measured.
        check_batches(plan)
        plans.append(plan)
    step_seconds = []
    bar = progress.progress_bar("a step of each row", "row")
    for number, row in enumerate(rows):
        bar(number, len(rows))
        step_seconds.append(seconds_a_step(row, len(corpora(row).scenes)))
    bar(len(rows), len(rows))
    training_seconds = 0.0
    for plan, seconds in zip(plans, step_seconds, strict=True):
        _print_row(plan, seconds)
        training_seconds += plan.seconds(seconds)
    clips = sum(len(corpus.clips) for corpus in distinct.values())
    _print_totals(plans, clips, training_seconds, values.workers)


def _print_folds(corpora: Iterable["Corpus"]) -> None:
    for corpus in corpora:
        for fold in corpus.folds:
            print(
                f"{corpus.name}, fold {fold.name}: {len(fold.train):,} clips to train on, "
                f"{len(fold.evaluation):,} to evaluate, {corpus.unused:,} in neither."
            )


def _print_row(plan: "RowPlan", seconds_a_step: float) -> None:
    """Prints the runs, clips, steps and time of a row."""
    parts = []
    for fold, part in plan.parts.items():
        parts.append(f"fold {fold}: {len(part.training):,} + {len(part.validation):,}")
    duration = progress.duration(plan.seconds(seconds_a_step))
    print(
        f"{plan.row.name}: {plan.runs} runs (training + validation clips of {', '.join(parts)}), "
        f"{plan.steps:,} steps, {seconds_a_step:.2f} s a step, {duration}."
    )


def _print_totals(
    plans: Sequence["RowPlan"], clips: int, training_seconds: float, workers: int
) -> None:
    """Prints the disk space and the time that all rows need."""
    from crossask.grid.plan import seconds_a_clip

    # Rows that share a feature share its key.
    feature_bytes = {}
    for plan in plans:
        feature_bytes |= plan.feature_bytes
    preparing = clips * seconds_a_clip(plan.row for plan in plans) / workers
    runs = sum(plan.runs for plan in plans)
    run_bytes = sum(plan.run_bytes for plan in plans)
    print(
        f"Features: {sum(feature_bytes.values()) / 1e9:.1f} GB, "
        f"{progress.duration(preparing)} without the event model's embeddings."
    )
    print(f"Runs: {runs}, {run_bytes / 1e9:.1f} GB.")
    print(
        f"Training, one run at a time on this machine: {progress.duration(training_seconds)}. "
        "This is a rough guide, measured on a few steps of noise."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command.run(__doc__, FLAGS, train, argv)


if __name__ == "__main__":
    sys.exit(main())
