"""crossask-evaluate: predicts the evaluation fold of finished runs and scores the predictions.

crossask-evaluate --model_dir=RUNS              every finished run below it
crossask-evaluate --predictions=rival.csv       any table: clip, truth, a probability column a scene [location, city]
"""

import functools
import json
import sys

from absl import flags

from crossask.cli import command
from crossask.errors import CrossaskError

FLAGS = flags.FlagValues()
flags.DEFINE_string("model_dir", "", "A run, or a folder of runs.", flag_values=FLAGS)
flags.DEFINE_string(
    "predictions", "", "Score this CSV instead; prints the scores as JSON.", flag_values=FLAGS
)
flags.DEFINE_string(
    "data_dir", "", "Corpus; default: where the run was trained from.", flag_values=FLAGS
)
flags.DEFINE_string(
    "features_dir",
    "",
    "Cached features; default: those the run was trained from.",
    flag_values=FLAGS,
)
flags.DEFINE_bool(
    "training_clips",
    False,
    "Also write training_predictions.csv, which a student learns from (distillation.teacher).",
    flag_values=FLAGS,
)
flags.DEFINE_bool(
    "swap_events",
    False,
    "Also hear each clip with the embedding of one of another scene: whose is named (swapped.json)?",
    flag_values=FLAGS,
)
flags.DEFINE_bool("again", False, "Also runs that have scores already.", flag_values=FLAGS)


def evaluate(values, _rest):
    from crossask import evaluation

    if values.predictions:
        print(
            json.dumps(evaluation.score(evaluation.read_predictions(values.predictions)), indent=2)
        )
        return 0
    command.required(values, "model_dir")
    from crossask.training import run_folder

    found = run_folder.find_runs(values.model_dir)
    unfinished = [run for run in found if not run.finished]
    for run in unfinished:
        command.LOG.warning("%s has not finished training and is left out.", run.folder)
    prepared = functools.cache(_prepared)  # runs of one row share them
    failed = 0
    for run in found:
        if run in unfinished:
            continue
        try:
            _evaluate(run, values, prepared)
        except CrossaskError as error:  # the others are evaluated all the same
            failed += 1
            command.complain(error.problem, error.fix)
    return command.SOME_FAILED if unfinished and not failed else command.failure(failed, len(found))


def _evaluate(run, values, prepared):
    """What is asked of a finished run and not there yet, and tells its scores."""
    if values.again or not run.path("scores.json").is_file():
        _predict(run, values, prepared)
    if values.training_clips and (
        values.again or not run.path("training_predictions.csv").is_file()
    ):
        _predict_training_clips(run, values, prepared)
    if values.swap_events and _hears_both(run.experiment()):
        if values.again or not run.path("swapped.json").is_file():
            _swap_events(run, values, prepared)
        named = run.read("swapped.json")
        command.LOG.info(
            "%s fold %s seed %d: of swapped clips, %.1f %% are named by their log-mel, %.1f %% by their embedding, %.1f %% by neither.",
            run.row,
            run.fold,
            run.seed,
            *(100 * named[whose] for whose in ("log_mel", "embedding", "neither")),
        )
    scores = run.read("scores.json")
    low, high = scores["interval"]["low"], scores["interval"]["high"]
    command.LOG.info(
        "%s fold %s seed %d: macro accuracy %.1f %% (95 %% interval over locations %.1f to %.1f), %d clips.",
        run.row,
        run.fold,
        run.seed,
        100 * scores["macro_accuracy"],
        100 * low,
        100 * high,
        scores["clips"],
    )


def _hears_both(experiment) -> bool:
    """Whether a row of frozen embeddings hears the log-mel beside them, so that swapping one against the other asks something."""
    hears_one = experiment.system == "CMAM" and experiment.model.cross_attention in (
        "events_alone",
        "scene_queries_scene",
    )
    return experiment.event_input == "embedding" and experiment.reads_log_mel and not hears_one


def _predict(run, values, prepared):
    from crossask import evaluation, files, training

    corpus, cache = _of(run, values, prepared)
    table = training.predict(run, corpus, cache)
    _write(run, "predictions.csv", table)
    scores = evaluation.score(
        evaluation.read_predictions(run.path("predictions.csv")),
        seen_cities=corpus.training_cities(run.fold),
    )
    files.write_json(run.path("scores.json"), scores)


def _predict_training_clips(run, values, prepared):
    from crossask import training

    corpus, cache = _of(run, values, prepared)
    table = training.predict(run, corpus, cache, corpus.fold(run.fold).train)
    _write(run, "training_predictions.csv", table)


def _swap_events(run, values, prepared):
    from crossask import evaluation, files, training

    corpus, cache = _of(run, values, prepared)
    table = training.predict(run, corpus, cache, swap_events=True)
    _write(run, "swapped_predictions.csv", table)
    files.write_json(run.path("swapped.json"), evaluation.whose_scene(table))


def _write(run, name: str, table):
    from crossask import files

    with files.writing(run.path(name)) as temporary:
        table.to_csv(temporary, index=False)


def _of(run, values, prepared):
    """Corpus and features of a run."""
    paths = run.read("config.json")["paths"]
    data_dir = values.data_dir or paths.get("data_dir", "")
    folder = values.features_dir or paths.get("features_dir") or command.features_dir(data_dir, "")
    return prepared(run.experiment(), data_dir, folder)


def _prepared(experiment, data_dir: str, folder: str):
    from crossask.datasets import read_corpus
    from crossask.features.cache import prepare_features

    corpus = read_corpus(experiment.dataset, data_dir)
    return corpus, prepare_features(
        corpus, experiment, folder, progress=command.progress_bar(f"features of {experiment.name}")
    )


def main(argv=None) -> int:
    return command.run(__doc__, FLAGS, evaluate, argv)


if __name__ == "__main__":
    sys.exit(main())
