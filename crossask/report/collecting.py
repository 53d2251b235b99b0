"""Finds the runs below a folder and reads what they left; groups them into rows, and rows into corpora."""

import dataclasses
import json
from pathlib import Path

import pandas as pd

from crossask import config, evaluation
from crossask.errors import DataError
from crossask.report.published import STRATEGIES, TITLES
from crossask.training import run_folder

HISTORY = ("epoch", "loss", "macro_accuracy", "val_loss", "val_macro_accuracy")


@dataclasses.dataclass(frozen=True)
class Run:
    """One run directory. `predictions`, `history` and `result` are None while the run is unfinished."""

    folder: Path
    row: str  # the row's folder, relative to the root
    fold: str
    seed: int
    config: dict
    predictions: pd.DataFrame | None = None
    history: pd.DataFrame | None = None
    result: dict | None = None
    swapped: dict | None = None  # evaluation.whose_scene, where it was asked for

    @property
    def experiment(self) -> dict:
        return self.config["experiment"]

    @property
    def fields(self) -> dict:
        """Its configuration, flat; a field that an older version did not know has its default."""
        return _DEFAULTS | flatten(self.experiment)

    @property
    def corpus(self) -> tuple[str, str]:
        """(name, digest): rows are compared only where both are equal."""
        corpus = self.config["corpus"]
        return str(corpus["name"]), str(corpus.get("fingerprint", corpus.get("digest", "")))

    @property
    def training_cities(self) -> tuple[str, ...] | None:
        """The cities of the clips it was trained on; None where the run does not say, or the corpus has none."""
        cities = self.config["corpus"].get("training_cities")
        return tuple(map(str, cities)) if cities else None


@dataclasses.dataclass(frozen=True)
class Row:
    """The runs of one row that are scored together: every seed has run every fold of `folds`."""

    key: str  # the row's folder
    runs: tuple[Run, ...]
    left_out: tuple[Run, ...]  # finished, but their seed lacks a fold that other seeds have
    folds: tuple[str, ...]
    seeds: tuple[int, ...]

    @property
    def experiment(self) -> dict:
        return self.runs[0].experiment

    @property
    def name(self) -> str:
        return self.experiment["name"]

    @property
    def fields(self) -> dict:
        return self.runs[0].fields

    def pooled(self) -> list[pd.DataFrame]:
        """One table of predictions a seed, its folds pooled."""
        return [
            evaluation.pool([run.predictions for run in self.runs if run.seed == seed])
            for seed in self.seeds
        ]


def read_runs(runs_root) -> list[Run]:
    """Every run below `runs_root`, in the order of its path.

    Raises:
      DataError: no run at all, a file that cannot be read, or predictions without the files that belong to them.
    """
    root = Path(runs_root)
    for stray in sorted(root.glob("**/fold*/seed*/predictions.csv")):
        _must_exist(stray.with_name("config.json"))
    found = sorted(
        (_read_run(root, run) for run in run_folder.find_runs(root)),
        key=lambda run: (run.row, run.fold, run.seed),
    )
    if not any(run.predictions is not None for run in found):
        raise DataError(
            f"None of the {len(found)} runs below {str(root)!r} has predictions.csv: nothing can be reported yet.",
            "Let crossask-train finish (it resumes), then crossask-evaluate.",
        )
    return found


def group(found) -> dict[tuple[str, str], list[Row]]:
    """Rows by corpus (name, digest). A row whose runs differ in more than fold and seed is a DataError."""
    corpora = {}
    for key in sorted({run.row for run in found}):
        of_row = [run for run in found if run.row == key]
        for run in of_row[1:]:
            _check_same(of_row[0], run)
        finished = [run for run in of_row if run.predictions is not None]
        if not finished:
            continue
        done = {}  # seed -> folds
        for run in finished:
            done.setdefault(run.seed, []).append(run.fold)
        folds = max((sorted(folds) for folds in done.values()), key=len)
        seeds = tuple(seed for seed in sorted(done) if sorted(done[seed]) == folds)
        used = tuple(run for run in finished if run.seed in seeds)
        left_out = tuple(run for run in finished if run.seed not in seeds)
        corpora.setdefault(used[0].corpus, []).append(Row(key, used, left_out, tuple(folds), seeds))
    return {corpus: _ordered(corpora[corpus]) for corpus in sorted(corpora)}


def _ordered(rows) -> list[Row]:
    """The experiment file's order where the configs hold it, otherwise that of the paper's Table 3, then by name."""
    places = [row.runs[0].config.get("order") for row in rows]
    if all(isinstance(place, int) for place in places):
        return [
            row
            for _, _, row in sorted(
                zip(places, [r.key for r in rows], rows, strict=True), key=lambda item: item[:2]
            )
        ]
    return sorted(
        rows,
        key=lambda row: (
            _place(row.experiment.get("system"), TITLES),
            _place(row.experiment.get("strategy"), STRATEGIES),
            row.name,
            row.key,
        ),
    )


def _place(name, known) -> int:
    """Where `name` stands among `known`; behind them all where it is none of them."""
    return list(known).index(name) if name in known else len(known)


def _read_run(root: Path, place: run_folder.Run) -> Run:
    folder, settings = place.folder, _json(place.folder / "config.json")
    for name in ("experiment", "corpus"):
        if not isinstance(settings.get(name), dict) or "name" not in settings[name]:
            raise DataError(
                f"{folder / 'config.json'} has no entry {name}.name.",
                "Train the run again with this version.",
            )
    # the folder's path, not its name alone: two --model_dir below one root may both hold a row called fa
    of_row = folder.parent.parent
    key = of_row.relative_to(root).as_posix() if root in of_row.parents else place.row
    run = Run(folder, key, place.fold, place.seed, settings)
    if not _has(folder, "predictions.csv"):
        return run
    return dataclasses.replace(
        run,
        predictions=evaluation.read_predictions(folder / "predictions.csv"),
        history=_history(folder / "history.csv"),
        result=_json(folder / "result.json"),
        swapped=_json(folder / "swapped.json") if _has(folder, "swapped.json") else None,
    )


def _history(path: Path) -> pd.DataFrame:
    _must_exist(path)
    try:
        history = pd.read_csv(path)
    except (ValueError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{path} cannot be read ({error}).", "Train the run again.") from error
    missing = [name for name in HISTORY if name not in history]
    if missing or history.empty:
        raise DataError(
            f"{path} lacks {missing[0] if missing else 'any epoch'}.",
            f"It needs the columns {', '.join(HISTORY)}.",
        )
    return history


def _json(path: Path) -> dict:
    _must_exist(path)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error}).", "Train the run again.") from error
    if not isinstance(value, dict):
        raise DataError(f"{path} holds no JSON object.", "Train the run again.")
    return value


def _must_exist(path: Path):
    if not path.is_file():
        raise DataError(
            f"{path} is missing beside the files of its run.",
            "Restore it, or delete the folder and run it again.",
        )


def _has(folder: Path, name: str) -> bool:
    return (folder / name).is_file()


def _check_same(first: Run, other: Run):
    """Seeds and folds are averaged only where all else is equal."""
    others = other.fields
    for path, value in sorted(first.fields.items()):
        found = others.get(path)
        if found != value:
            raise DataError(
                f"{first.folder} and {other.folder} are one row, but {path} is {value!r} in the first and {found!r} in the second.",
                "Keep runs of different choices in rows (folders) of different names.",
            )
    if first.corpus != other.corpus:
        raise DataError(
            f"{first.folder} and {other.folder} are one row, but of different data: {first.corpus} and {other.corpus}.",
            "Keep runs of different data in different folders.",
        )


def flatten(values: dict, prefix: str = "") -> dict:
    """{"training": {"epochs": 3}} as {"training.epochs": 3}."""
    flat = {}
    for name, value in values.items():
        flat |= (
            flatten(value, f"{prefix}{name}.")
            if isinstance(value, dict)
            else {f"{prefix}{name}": value}
        )
    return flat


_DEFAULTS = flatten(json.loads(json.dumps(config.to_dict(config.Experiment("")))))
