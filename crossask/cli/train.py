"""crossask-train: trains rows of an experiment file, one run for each row, fold and seed; a killed run goes on.

crossask-train --experiment=experiments/demo.py:cmam_feature_based --data_dir=DATA --model_dir=RUNS --seeds=0,1,2
"""

import sys

from absl import flags

from crossask.cli import command
from crossask.errors import CrossaskError

FLAGS = flags.FlagValues()
command.define_experiment_flags(FLAGS)
flags.DEFINE_string(
    "dataset",
    "",
    "In place of the rows' own corpus: folder | embeddings | soundscapes | tau2019 | tut2017.",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "model_dir", "", "Folder of the runs: <model_dir>/<row>/fold<k>/seed<s>.", flag_values=FLAGS
)
flags.DEFINE_list("seeds", ["0"], "One run for each.", flag_values=FLAGS)
flags.DEFINE_list("folds", [], "Folds to train; default: those of the row.", flag_values=FLAGS)
flags.DEFINE_string(
    "distribution",
    "auto",
    "auto | one_device | mirrored | multi_worker_mirrored | tpu.",
    flag_values=FLAGS,
)
flags.DEFINE_string("tpu", None, "Address of the TPU.", flag_values=FLAGS)
flags.DEFINE_integer("workers", 2, "Feature shards computed at once.", 1, flag_values=FLAGS)
flags.DEFINE_integer(
    "jobs",
    1,
    "The most runs trained at once, each with its share of the cores; one at a time with a GPU.",
    1,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "save_steps",
    0,
    "Also save after so many steps within an epoch; 0: when an epoch ends, and on SIGTERM.",
    0,
    flag_values=FLAGS,
)
flags.DEFINE_enum(
    "preflight",
    "auto",
    ["auto", "always", "never"],
    "One step of every stage of every row before the first run; auto: where more than one run is left, rows that have not begun.",
    flag_values=FLAGS,
)
flags.DEFINE_bool(
    "dry_run",
    False,
    "Print what training would take (needs no recordings), and train nothing.",
    flag_values=FLAGS,
)


def train(values, _rest):
    command.required(values, "data_dir", *(() if values.dry_run else ("model_dir",)))
    rows = command.experiments(values)
    seeds = command.numbers(values.seeds, "seeds")
    from crossask import grid

    folder = command.features_dir(values.data_dir, values.features_dir)
    if values.dry_run:
        return _tell_plan(rows, seeds, values)
    wanted = grid.Grid(
        tuple(rows), tuple(seeds), values.data_dir, folder, values.model_dir, tuple(values.folds)
    )
    if problems := _preflight(wanted, values):
        return _complain_of(problems)
    outcomes = grid.train(
        wanted,
        values.jobs,
        values.workers,
        values.distribution,
        values.tpu,
        command.progress_bar,
        values.save_steps,
    )
    failed = []
    for run, outcome in outcomes:
        if isinstance(outcome, CrossaskError):
            failed.append(outcome)
            continue
        command.LOG.info(
            "%s fold %s seed %d: best epoch %d of %d, %.1f %% on the validation part, %.0f s.",
            run.row,
            run.fold,
            run.seed,
            outcome["best_epoch"],
            outcome["epochs"],
            100 * outcome["validation_macro_accuracy"],
            outcome["seconds"],
        )
    _complain_of(failed)
    return command.failure(len(failed), len(wanted.plan()))


def _preflight(wanted, values) -> list[CrossaskError]:
    """What is wrong with the grid or a row of it; rows that pass are told."""
    from crossask.grid import preflight

    problems = []
    for outcome in preflight.check(
        wanted, preflight.rows_to_check(wanted, values.preflight), values.jobs, values.distribution
    ):
        if isinstance(outcome, CrossaskError):
            problems.append(outcome)
            continue
        command.LOG.info(
            "preflight: %s: %s: %.0f s, %.1f GB",
            outcome.row,
            ", ".join(outcome.stages),
            outcome.seconds,
            outcome.peak_bytes / 1e9,
        )
    return problems


def _complain_of(errors) -> int:
    """Tells each once; the exit code for a user's mistake."""
    for problem, fix in dict.fromkeys((error.problem, error.fix) for error in errors):
        command.complain(problem, fix)
    return command.USER_ERROR


def _tell_plan(rows, seeds, values):
    """Rows, runs, steps, disk and time; the time is measured on a step of noise for each row."""
    from crossask.datasets import read_corpus
    from crossask.grid.plan import plan_row, seconds_a_clip

    corpora = {
        name: read_corpus(name, values.data_dir, need_audio=False)
        for name in dict.fromkeys(row.dataset for row in rows)
    }
    for corpus in corpora.values():
        for fold in corpus.folds:
            print(
                f"{corpus.name}, fold {fold.name}: {len(fold.train):,} clips to train on, {len(fold.evaluation):,} to evaluate, "
                f"{corpus.unused:,} in neither."
            )
    for row in rows:  # a missing fold is told before anything is timed
        for fold in values.folds or row.folds:
            corpora[row.dataset].fold(fold)
    plans, bar = [], command.progress_bar("a step of each row", "row")
    for number, row in enumerate(rows):
        bar(number, len(rows))
        plans.append(plan_row(row, corpora[row.dataset], values.folds or row.folds, len(seeds)))
    bar(len(rows), len(rows))
    for plan in plans:
        parts = ", ".join(f"fold {c.fold}: {c.training:,} + {c.validation:,}" for c in plan.folds)
        print(
            f"{plan.row.name}: {plan.runs} runs (training + validation clips of {parts}), {plan.steps:,} steps, "
            f"{plan.seconds_a_step:.2f} s a step, {_hours(plan.seconds)}."
        )
    clips = sum(len(corpus.clips) for corpus in corpora.values())
    features = {key: size for plan in plans for key, size in plan.features.items()}
    preparing, total = (
        clips * seconds_a_clip(rows) / values.workers,
        sum(plan.seconds for plan in plans),
    )
    print(
        f"Features: {sum(features.values()) / 1e9:.1f} GB, {_hours(preparing)} without the event model's embeddings."
    )
    print(
        f"Runs: {sum(plan.runs for plan in plans)}, {sum(plan.run_bytes for plan in plans) / 1e9:.1f} GB."
    )
    print(
        f"Training, one run at a time on this machine: {_hours(total)}. Measured on a few steps of noise: a rough guide."
    )


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"


def main(argv=None) -> int:
    return command.run(__doc__, FLAGS, train, argv)


if __name__ == "__main__":
    sys.exit(main())
