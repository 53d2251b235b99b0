"""crossask-train: trains rows of an experiment file, one run for each row, fold and seed; a killed run goes on.

crossask-train --experiment=experiments/demo.py:cmam_feature_based --data_dir=DATA --model_dir=RUNS --seeds=0,1,2
"""

import sys

from absl import flags

from crossask.cli import command
from crossask.errors import CrossaskError

FLAGS = flags.FlagValues()
command.define_experiment_flags(FLAGS)
flags.DEFINE_string("model_dir", "", "Folder of the runs: <model_dir>/<row>/fold<k>/seed<s>.", flag_values=FLAGS)
flags.DEFINE_list("seeds", ["0"], "One run for each.", flag_values=FLAGS)
flags.DEFINE_list("folds", [], "Folds to train; default: those of the row.", flag_values=FLAGS)
flags.DEFINE_string("distribution", "auto", "auto | one_device | mirrored | tpu.", flag_values=FLAGS)
flags.DEFINE_string("tpu", None, "Address of the TPU.", flag_values=FLAGS)
flags.DEFINE_integer("workers", 2, "Feature shards computed at once.", 1, flag_values=FLAGS)
flags.DEFINE_integer(
    "jobs", 1, "The most runs trained at once, each with its share of the cores; one at a time with a GPU.", 1, flag_values=FLAGS
)


def train(values, _rest):
    command.required(values, "data_dir", "model_dir")
    rows = command.experiments(values)
    seeds = command.numbers(values.seeds, "seeds")
    from crossask import grid

    folder = command.features_dir(values.data_dir, values.features_dir)
    wanted = grid.Grid(tuple(rows), tuple(seeds), values.data_dir, folder, values.model_dir, tuple(values.folds))
    outcomes = grid.train(wanted, values.jobs, values.workers, values.distribution, values.tpu, command.progress_bar)
    failed = []
    for run, outcome in outcomes:
        if isinstance(outcome, CrossaskError):
            failed.append(outcome)
            continue
        command.LOG.info(
            "%s fold %s seed %d: best epoch %d of %d, %.1f %% on the validation part, %.0f s.", run.row, run.fold, run.seed,
            outcome["best_epoch"], outcome["epochs"], 100 * outcome["validation_macro_accuracy"], outcome["seconds"],
        )  # fmt: skip
    for problem, fix in dict.fromkeys((error.problem, error.fix) for error in failed):
        command.complain(problem, fix)
    return command.failure(len(failed), len(wanted.plan()))


def main(argv=None) -> int:
    return command.run(__doc__, FLAGS, train, argv)


if __name__ == "__main__":
    sys.exit(main())
