"""The files of evaluated runs."""

import dataclasses
import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from crossask import child_processes, config, evaluation
from crossask.errors import DataError
from crossask.text_tables import natural_key
from crossask.training import run_folder

HISTORY = ("epoch", "loss", "macro_accuracy")
VALIDATION_HISTORY = ("val_loss", "val_macro_accuracy")


@dataclasses.dataclass(frozen=True)
class EvaluatedRun:
    """The files of one run.

    Attributes:
      folder: Its folder.
      row: The row's folder, relative to the folder of all runs.
      fold: Name of the fold.
      seed: Seed of the run.
      config: Content of config.json.
      predictions: Content of predictions.csv; None if the run is unfinished.
      history: Content of history.csv; None if the run is unfinished.
      result: Content of result.json; None if the run is unfinished.
      swapped: Content of swapped.json; None without such a file.
      event_scores: Content of event_scores.csv; None without such a file.
    """

    folder: Path
    row: str
    fold: str
    seed: int
    config: dict[str, Any]
    predictions: pd.DataFrame | None = None
    history: pd.DataFrame | None = None
    result: dict[str, Any] | None = None
    swapped: dict[str, Any] | None = None
    event_scores: pd.DataFrame | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the run has predictions."""
        return self.predictions is not None

    @property
    def experiment(self) -> dict[str, Any]:
        """The resolved row; older versions may lack fields."""
        return self.config["experiment"]

    @property
    def name(self) -> str:
        """Name of the row."""
        return self.experiment["name"]

    @property
    def system(self) -> str:
        """Name of the system; it may be unknown to this version."""
        return str(self.experiment.get("system", self.name))

    @property
    def strategy(self) -> str:
        """Name of the strategy; it may be unknown to this version."""
        return str(self.experiment.get("strategy", ""))

    @property
    def fields(self) -> dict[str, Any]:
        """Path of a field -> its value; fields that an older version lacks have their defaults."""
        return DEFAULTS | flatten(self.experiment)

    @property
    def corpus(self) -> tuple[str, str]:
        """Name and digest of the corpus; rows are compared only if both are equal."""
        corpus = self.config["corpus"]
        digest = corpus.get("fingerprint", corpus.get("digest", ""))
        return str(corpus["name"]), str(digest)

    @property
    def training_cities(self) -> frozenset[str] | None:
        """Cities of its training clips; None if they are unknown, or the corpus has none."""
        cities = self.config["corpus"].get("training_cities")
        return frozenset(map(str, cities)) if cities else None

    @property
    def training_devices(self) -> frozenset[str] | None:
        """Devices of its training clips; None if they are unknown, or the corpus has none."""
        devices = self.config["corpus"].get("training_devices")
        return frozenset(map(str, devices)) if devices else None


def read_runs(root: str | Path) -> list[EvaluatedRun]:
    """Reads every run at or below `root`, sorted by row, fold and seed.

    Raises:
      DataError: There are no runs, none of them has predictions, or a file of a run is missing or
        not readable.
    """
    root = Path(root)
    for run in run_folder.folders_of_runs(root):
        if run.path("predictions.csv").is_file():
            _must_exist(run.path("config.json"))
    folders = list(run_folder.find_runs(root))
    found = child_processes.mapped(functools.partial(_read_run, root), folders)
    if not any(run.is_finished for run in found):
        raise DataError(
            f"None of the {len(found)} runs below {str(root)!r} has predictions.csv, so there is "
            "nothing to report.",
            "Let crossask-train finish (it resumes), then run crossask-evaluate.",
        )
    return sorted(found, key=lambda run: (run.row, natural_key(run.fold), run.fold, run.seed))


def versions(runs: list[EvaluatedRun]) -> dict[str, list[str]]:
    """Returns package -> its versions in these runs; several mean different installations."""
    found: dict[str, set[str]] = {}
    for run in runs:
        for name, version in flatten(run.config.get("versions", {})).items():
            found.setdefault(name, set()).add(str(version))
    return {name: sorted(found[name]) for name in sorted(found)}


def machines(runs: list[EvaluatedRun]) -> list[dict[str, Any]]:
    """Returns the different machines on which these runs were trained, in a fixed order."""
    found = {}
    for run in runs:
        # Runs of older versions have no record of their machine.
        machine = run.config.get("machine")
        if machine:
            found[json.dumps(machine, sort_keys=True)] = machine
    return [found[key] for key in sorted(found)]


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns {"training": {"epochs": 3}} as {"training.epochs": 3}."""
    flat = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


DEFAULTS = flatten(config.to_dict(config.Experiment("defaults")))


def _read_run(root: Path, run: run_folder.Run) -> EvaluatedRun:
    settings = _read_json(run, "config.json")
    for name in ("experiment", "corpus"):
        if not isinstance(settings.get(name), dict) or "name" not in settings[name]:
            raise DataError(
                f"{run.path('config.json')} has no entry {name}.name.",
                "Train the run again with this version.",
            )
    # Two --model_dir below one root may both have a row called fa, so rows are identified by their
    # path and not by their name alone.
    row_folder = run.folder.parent.parent
    is_below_root = root in row_folder.parents
    row = row_folder.relative_to(root).as_posix() if is_below_root else run.row
    evaluated = EvaluatedRun(run.folder, row, run.fold, run.seed, settings)
    if not run.path("predictions.csv").is_file():
        return evaluated
    for name in ("result.json", "scores.json", "swapped.json"):
        if run.path(name).is_file():
            # A report reads no weights, so it can be written where the large files are not.
            run.check_files(name, left_out=("best.npz", "statistics.npz"))
    columns = HISTORY
    # Runs of older versions may lack the size of their validation part; they have one.
    if settings["corpus"].get("validation") != 0:
        columns += VALIDATION_HISTORY
    has_swapped = run.path("swapped.json").is_file()
    event_scores = None
    if run.path("event_scores.csv").is_file():
        event_scores = evaluation.read_event_scores(run.path("event_scores.csv"))
    return dataclasses.replace(
        evaluated,
        predictions=evaluation.read_predictions(run.path("predictions.csv")),
        history=_read_history(run.path("history.csv"), columns),
        result=_read_json(run, "result.json"),
        swapped=_read_json(run, "swapped.json") if has_swapped else None,
        event_scores=event_scores,
    )


def _read_json(run: run_folder.Run, name: str) -> dict[str, Any]:
    _must_exist(run.path(name))
    value = run.read(name)
    if not isinstance(value, dict):
        raise DataError(f"{run.path(name)} contains no JSON object.", "Train the run again.")
    return value


def _read_history(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    _must_exist(path)
    try:
        history = pd.read_csv(path)
    except ValueError as error:
        raise DataError(f"{path} cannot be read ({error}).", "Train the run again.") from error
    missing = [name for name in columns if name not in history]
    if missing:
        raise DataError(
            f"{path} has no column {missing[0]!r}.", f"It needs the columns {', '.join(columns)}."
        )
    if history.empty:
        raise DataError(f"{path} has no epochs.", "Train the run again.")
    return history


def _must_exist(path: Path) -> None:
    if not path.is_file():
        raise DataError(
            f"{path} is missing beside the other files of its run.",
            "Restore it, or delete the folder and run it again.",
        )
