"""crossask-evaluate: predicts the evaluation fold of finished runs and scores the predictions.

crossask-evaluate --model_dir=RUNS              predicts and scores every finished run in the folder
crossask-evaluate --predictions=other.csv       scores a table of any program

The table has the columns clip, truth (the true scene), optionally location, city and device, and
one column of probabilities for each scene.
"""

import dataclasses
import functools
import json
import os
import statistics
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from crossask import locks, system_errors
from crossask.cli import command, progress, shared_flags
from crossask.errors import CrossaskError

if TYPE_CHECKING:
    from crossask.config import Experiment
    from crossask.datasets import Corpus
    from crossask.features.cache import FeatureCache
    from crossask.training.run_folder import Run

FLAGS = flags.FlagValues()
shared_flags.define_wait_flag(FLAGS)
flags.DEFINE_string("model_dir", "", "A run, or a folder of runs.", flag_values=FLAGS)
flags.DEFINE_string(
    "predictions",
    "",
    "CSV of predictions to score instead of runs; the scores are printed as JSON.",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "data_dir",
    "",
    "Folder (or CSV) of the data set; default: the one that each run was trained on.",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "features_dir",
    "",
    "Folder of the stored features; default: the one that each run was trained with.",
    flag_values=FLAGS,
)
shared_flags.define_weights_flag(FLAGS)
flags.DEFINE_bool(
    "training_clips",
    False,
    "Also write training_predictions.csv, a table for distillation.teacher of another row.",
    flag_values=FLAGS,
)
flags.DEFINE_bool(
    "swap_events",
    False,
    "Also predict with embeddings of clips of another scene, and record in swapped.json which "
    "input the predictions follow.",
    flag_values=FLAGS,
)
flags.DEFINE_bool(
    "again", False, "Evaluate runs again that already have scores.", flag_values=FLAGS
)

# Flags without an effect on a table of predictions.
OF_RUNS = ("data_dir", "features_dir", "weights", "training_clips", "swap_events", "again")

Prepare = Callable[["Experiment", str, str], tuple["Corpus", "FeatureCache"]]


def evaluate(values: flags.FlagValues, _positional: list[str]) -> int:
    """Evaluates all finished runs, or scores a table; returns the exit code."""
    if values.predictions:
        if values.model_dir:
            raise CrossaskError("Both --predictions and --model_dir are given.", "Give one.")
        command.refuse(values, OF_RUNS, "--predictions")
        _print_scores_of_table(values.predictions)
        return 0
    command.required(values, "model_dir")
    return _evaluate_runs(values)


def _print_scores_of_table(path: str) -> None:
    """Prints the scores of a table of predictions as JSON."""
    from crossask import evaluation

    table = evaluation.read_predictions(path)
    scores = evaluation.to_json(evaluation.score(table))
    devices = evaluation.score_devices([table])
    if devices:
        scores["devices"] = evaluation.to_json(devices)
    print(json.dumps(scores, indent=2))


def _evaluate_runs(values: flags.FlagValues) -> int:
    """Evaluates the finished runs in a folder, logs their scores, and returns the exit code."""
    from crossask.training import run_folder

    found = run_folder.find_runs(values.model_dir)
    if values.weights:
        found = [run_folder.with_weights(run, values.weights) for run in found]
    unfinished = [run for run in found if not run.finished]
    for run in unfinished:
        command.LOG.warning("%s has not finished training and is left out.", run.folder)
    finished = [run for run in found if run.finished]
    evaluated = _evaluate_all(finished, values)
    for name, runs in _by_row(evaluated).items():
        if len(runs) == 1:
            _log_scores(name, runs[0])
        else:
            _log_scores_of_row(name, runs)
    failed = len(finished) - len(evaluated)
    if unfinished and not failed:
        return command.SOME_FAILED
    return command.exit_code(failed, len(found))


def _evaluate_all(runs: Sequence["Run"], values: flags.FlagValues) -> list["Run"]:
    """Evaluates runs and returns those that had no error; the errors of others are printed."""
    # Runs of one row share the corpus and the features.
    prepare = functools.cache(_prepared)
    evaluated = []
    bar = progress.progress_bar("evaluation", "run")
    for number, run in enumerate(runs, start=1):
        try:
            with system_errors.translated():
                _evaluate(run, values, prepare)
            evaluated.append(run)
        except CrossaskError as error:
            # One run with an error does not keep the others from being evaluated.
            command.complain(error.problem, error.fix)
        bar(number, len(runs), run.title)
    return evaluated


def _evaluate(run: "Run", values: flags.FlagValues, prepare: Prepare) -> None:
    """Writes the files of a run that are requested, and missing unless --again is set."""
    from crossask import training

    wanted = [("scores.json", training.evaluate_run)]
    if values.training_clips:
        wanted.append(("training_predictions.csv", training.predict_training_clips))
    swaps_events = values.swap_events and training.reads_two_inputs(run.experiment())
    if swaps_events:
        wanted.append(("swapped.json", training.evaluate_swapped))
    # Reading the scores of a run needs no lock.
    if any(_is_needed(run, name, values) for name, _ in wanted):
        with locks.of_folder(run.folder):
            for name, write in wanted:
                # The holder of the lock may have written the file while this process waited.
                if _is_needed(run, name, values):
                    corpus, cache = _data_of(run, values, prepare)
                    write(run, corpus, cache)
    if swaps_events:
        _log_swapped(run)


def _is_needed(run: "Run", name: str, values: flags.FlagValues) -> bool:
    """Returns whether a file of a run is to be written."""
    return values.again or not run.path(name).is_file()


def _by_row(runs: Sequence["Run"]) -> dict[str, list["Run"]]:
    """Returns the runs of each row by its name, in the order of their first runs.

    Two folders may have rows of one name. Their names are then the paths of their folders.
    """
    by_folder: dict[Path, list[Run]] = {}
    for run in runs:
        by_folder.setdefault(run.folder.parent.parent, []).append(run)
    names = [found[0].row for found in by_folder.values()]
    rows = {}
    for (folder, found), name in zip(by_folder.items(), names, strict=True):
        rows[str(folder) if names.count(name) > 1 else name] = found
    return rows


def _log_scores(row: str, run: "Run") -> None:
    """Logs the macro accuracy of the only run of a row with its interval."""
    from crossask.report import formatting

    scores = run.read("scores.json")
    interval = types.SimpleNamespace(**scores["interval"])
    percents = formatting.percent_range(interval)
    if percents != formatting.NONE:
        percents = f"{formatting.confidence(interval)} interval over {interval.over}s {percents}"
    accuracy = formatting.with_range(formatting.percent(scores["macro_accuracy"]), percents)
    title = dataclasses.replace(run, row=row).title
    command.LOG.info("%s: macro accuracy %s, %d clips.", title, accuracy, scores["clips"])


def _log_scores_of_row(row: str, runs: Sequence["Run"]) -> None:
    """Logs the mean and the range of the scores of a row's runs: one line instead of many."""
    from crossask.report import formatting

    accuracies = [run.read("scores.json")["macro_accuracy"] for run in runs]
    command.LOG.info(
        "%s: macro accuracy %s, the mean of %d runs (%s to %s).",
        row,
        formatting.percent(statistics.fmean(accuracies)),
        len(runs),
        formatting.percent(min(accuracies)),
        formatting.percent(max(accuracies)),
    )


def _log_swapped(run: "Run") -> None:
    """Logs which input the predictions of a run with swapped embeddings follow."""
    shares = run.read("swapped.json")
    command.LOG.info(
        "%s: with swapped embeddings, %.1f %% of the predictions are the scene of the log-mel, "
        "%.1f %% that of the embedding, %.1f %% neither.",
        run.title,
        100 * shares["log_mel"],
        100 * shares["embedding"],
        100 * shares["neither"],
    )


def _data_of(
    run: "Run", values: flags.FlagValues, prepare: Prepare
) -> tuple["Corpus", "FeatureCache"]:
    """Returns the corpus and the features of a run."""
    paths = run.read("config.json").get("paths", {})
    if not (values.data_dir or "data_dir" in paths):
        raise CrossaskError(
            f"{run.path('config.json')} does not say on which data set the run was trained.",
            "Set --data_dir to the data set.",
        )
    data_dir = values.data_dir or paths.get("data_dir", "")
    folder = values.features_dir or paths.get("features_dir", "")
    # Features in the folder of a data set are moved with it.
    if values.data_dir and not values.features_dir and not os.path.isdir(folder):
        folder = ""
    return prepare(run.experiment(), data_dir, shared_flags.features_dir(data_dir, folder))


def _prepared(
    experiment: "Experiment", data_dir: str, folder: str
) -> tuple["Corpus", "FeatureCache"]:
    """Returns the corpus of a row, and its features, which are computed if they are missing."""
    from crossask.datasets import Corpora
    from crossask.features.cache import prepare_features

    corpus = Corpora(data_dir)(experiment)
    bar = progress.progress_bar(f"features of {experiment.name}")
    return corpus, prepare_features(corpus, experiment, folder, progress=bar)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command.run(__doc__, FLAGS, evaluate, argv, takes_words=False)


if __name__ == "__main__":
    sys.exit(main())
