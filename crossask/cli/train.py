"""crossask-train: trains rows of an experiment file, one run for each row, fold and seed; a killed run goes on.

crossask-train --experiment=experiments/demo.py:cmam_feature_based --data_dir=DATA --model_dir=RUNS --seeds=0,1,2
"""

import functools
import sys

from absl import flags

from crossask.cli import command

FLAGS = flags.FlagValues()
command.define_experiment_flags(FLAGS)
flags.DEFINE_string("model_dir", "", "Folder of the runs: <model_dir>/<row>/fold<k>/seed<s>.", flag_values=FLAGS)
flags.DEFINE_list("seeds", ["0"], "One run for each.", flag_values=FLAGS)
flags.DEFINE_list("folds", [], "Folds to train; default: those of the row.", flag_values=FLAGS)
flags.DEFINE_string("distribution", "auto", "auto | one_device | mirrored | tpu.", flag_values=FLAGS)
flags.DEFINE_string("tpu", None, "Address of the TPU.", flag_values=FLAGS)
flags.DEFINE_integer("workers", 2, "Feature shards computed at once.", flag_values=FLAGS)


def train(values, _rest):
    command.required(values, "data_dir", "model_dir")
    rows = command.experiments(values)
    seeds = command.numbers(values.seeds, "seeds")
    from crossask import devices, feature_cache, runs, training
    from crossask.datasets import read_corpus

    distribution = devices.strategy(values.distribution, values.tpu)
    folder = command.features_dir(values.data_dir, values.features_dir)
    plan = [(row, fold, seed) for row in rows for fold in (values.folds or row.folds) for seed in seeds]
    corpora = functools.cache(lambda dataset: read_corpus(dataset, values.data_dir))
    features = functools.cache(
        lambda row: feature_cache.prepare(
            corpora(row.dataset), row, folder, values.workers, command.progress_bar(f"features of {row.name}")
        )
    )
    for number, (row, fold, seed) in enumerate(plan, start=1):
        run = runs.run_at(values.model_dir, row.name, fold, seed)
        command.LOG.info("Run %d of %d: %s", number, len(plan), run.folder)
        result = training.train(
            run, row, corpora(row.dataset), features(row), distribution, {"data_dir": values.data_dir, "features_dir": folder}
        )
        command.LOG.info(
            "%s: best epoch %d of %d, %.1f %% on the validation part, %.0f s.",
            row.name, result["best_epoch"], result["epochs"], 100 * result["validation_macro_accuracy"], result["seconds"],
        )  # fmt: skip


def main(argv=None) -> int:
    return command.run(__doc__, FLAGS, train, argv)


if __name__ == "__main__":
    sys.exit(main())
