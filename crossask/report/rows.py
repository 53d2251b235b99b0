"""Rows of a results table: the runs of one row with their scores."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from crossask import evaluation
from crossask.config.catalogue import STRATEGIES, SYSTEMS
from crossask.config.experiment_files import OF_NO_RUN, PATHS, SEED_IN_PATH
from crossask.errors import DataError
from crossask.evaluation.predictions import Predictions, aligned
from crossask.report.paper import Cell
from crossask.report.runs import EvaluatedRun

Corpus = tuple[str, str]
# Entry of config.json with a digest of files that a run began with -> what these files are.
DIGESTS = {
    "event_digest": "weights, embeddings or PCA of its event model",
    "start_digest": "weights of its event model",
    "trunk_digest": "content of model.trunk",
    "teacher_digest": "tables of distillation.teacher",
}


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a results table; accuracies are fractions.

    Attributes:
      title: "CMAM feature-based", with `unique_name` if two rows share it.
      unique_name: Name of the row; its folder (`key`) if another row of the corpus has this name.
      runs: The runs that are scored: each of `seeds` on each of `folds`.
      left_out: Evaluated runs whose seed lacks a fold that other seeds have.
      folds: Names of the folds.
      seeds: The seeds.
      predictions: Predictions of all folds, one table for each seed.
      summary: Scores of `predictions`.
      spread: Spread over folds and seeds; None for one fold.
      devices: Scores by device; None if the clips have no devices.
      notes: Sentences that a reader of the scores needs.
    """

    title: str
    unique_name: str
    runs: tuple[EvaluatedRun, ...]
    left_out: tuple[EvaluatedRun, ...]
    folds: tuple[str, ...]
    seeds: tuple[int, ...]
    predictions: tuple[Predictions, ...]
    summary: evaluation.Summary
    spread: evaluation.Spread | None
    devices: evaluation.DeviceScores | None
    notes: tuple[str, ...]

    @property
    def key(self) -> str:
        """The row's folder, relative to the folder of all runs."""
        return self.runs[0].row

    @property
    def name(self) -> str:
        """Name of the row."""
        return self.runs[0].name

    @property
    def system(self) -> str:
        """Name of the system; it may be unknown to this version."""
        return self.runs[0].system

    @property
    def experiment(self) -> dict[str, Any]:
        """The resolved row; older versions may lack fields."""
        return self.runs[0].experiment

    @property
    def fields(self) -> dict[str, Any]:
        """Path of a field -> its value; see `EvaluatedRun.fields`.

        The folds are those of all runs, because the row may have had fewer when the first began.
        """
        fields = self.runs[0].fields
        wanted = self._wanted_folds
        return fields | {"folds": wanted} if wanted else fields

    @property
    def cell(self) -> Cell:
        """The cell of Table 3 with its system and strategy."""
        return Cell(self.system, self.runs[0].strategy if _reads_events(self.system) else "")

    @property
    def validation(self) -> float | None:
        """Macro accuracy of the kept epoch on the validation part, mean over runs.

        None if a run has no validation part.
        """
        return self._mean_over_runs("validation_macro_accuracy")

    @property
    def is_validated_on_frames(self) -> bool:
        """Whether `validation` is the score of single frames, each with its context."""
        return bool(self.fields["training.context_frames"]) and self.validation is not None

    @property
    def validation_part(self) -> tuple[bool, tuple[tuple[str, str], ...]]:
        """What `validation` is the score of: equal for rows whose scores can be compared."""
        # Runs of older versions have no record of their parts.
        divisions = {run.fold: run.config["corpus"].get("division", "") for run in self.runs}
        return self.is_validated_on_frames, tuple(sorted(divisions.items()))

    @property
    def embedding_drift(self) -> float | None:
        """Drift of the embeddings, mean over runs; None if no event model was trained."""
        return self._mean_over_runs("embedding_drift")

    @property
    def runs_without_events(self) -> int:
        """Number of runs whose predictions do not depend on their embeddings."""
        # Runs of older versions have no record of it.
        return [run.result.get("uses_events", True) for run in self.runs].count(False)

    @property
    def parameters(self) -> int | None:
        """Number of parameters."""
        return self.runs[0].result.get("parameters")

    @property
    def trainable_parameters(self) -> int | None:
        """Number of trained parameters."""
        return self.runs[0].result.get("trainable_parameters")

    @property
    def fold_means(self) -> dict[str, float]:
        """Fold -> macro accuracy, mean over seeds; empty for one fold."""
        return self.spread.fold_means if self.spread else {}

    @property
    def mean_of_folds(self) -> float | None:
        """Mean of `fold_means`; None for one fold."""
        return float(np.mean(list(self.fold_means.values()))) if self.spread else None

    @property
    def folds_text(self) -> str:
        """The folds in words: "fold 1", or "folds 1, 2 of 1, 2, 3 pooled"."""
        has_several = len(self.folds) > 1
        text = f"fold{'s' if has_several else ''} {', '.join(self.folds)}"
        wanted = self._wanted_folds
        # crossask-train --folds may also name others than those of the row.
        if set(self.folds) < set(wanted):
            text += f" of {', '.join(wanted)}"
        return f"{text} pooled" if has_several else text

    @property
    def _wanted_folds(self) -> list[str]:
        """The folds of the row in the experiment file; empty if an older version wrote its runs."""
        lists = [run.experiment.get("folds", ()) for run in self.runs]
        # The order is that of the longest list, which is the latest if folds were added.
        lists.sort(key=len, reverse=True)
        wanted: dict[str, None] = {}  # as an ordered set
        for folds in lists:
            wanted |= dict.fromkeys(map(str, folds))
        return list(wanted)

    def _mean_over_runs(self, name: str) -> float | None:
        """Returns the mean of an entry of result.json; None if a run lacks it."""
        values = [run.result.get(name) for run in self.runs]
        return None if None in values else float(np.mean(values))


def group(runs: Iterable[EvaluatedRun]) -> dict[Corpus, list[list[EvaluatedRun]]]:
    """Returns the evaluated runs of each row, by corpus.

    Rows are in the order of the experiment file if the runs contain it, else in the order of the
    catalogue, which is that of Table 3.

    Raises:
      DataError: Two runs of a row differ in more than fold and seed.
    """
    rows: dict[str, list[EvaluatedRun]] = {}
    for run in runs:
        rows.setdefault(run.row, []).append(run)
    corpora: dict[Corpus, list[list[EvaluatedRun]]] = {}
    for key in sorted(rows):
        first = rows[key][0]
        first_of_seed: dict[int, EvaluatedRun] = {}
        first_of_fold: dict[str, EvaluatedRun] = {}
        for run in rows[key]:
            _check_same(first, run)
            # Some files are the same in all folds of a seed, and differ between seeds.
            _check_same(first_of_seed.setdefault(run.seed, run), run)
            _check_same_parts(first_of_fold.setdefault(run.fold, run), run)
        finished = [run for run in rows[key] if run.is_finished]
        if finished:
            corpora.setdefault(first.corpus, []).append(finished)
    return {corpus: _ordered(corpora[corpus]) for corpus in sorted(corpora)}


def make_rows(groups: Sequence[list[EvaluatedRun]], resamples: int) -> list[Row]:
    """Scores the rows of one corpus.

    Args:
      groups: The evaluated runs of each row.
      resamples: Number of draws of the bootstrap.
    """
    firsts = [runs[0] for runs in groups]
    unique_names = _unique_names(firsts)
    titles = _titles(firsts, unique_names)
    rows = []
    for runs, title, unique_name in zip(groups, titles, unique_names, strict=True):
        rows.append(_row(runs, title, unique_name, resamples))
    return rows


def title_of(system: str, strategy: str) -> str:
    """Returns "CMAM feature-based"; without the strategy for systems that read no events."""
    title = SYSTEMS[system].title if system in SYSTEMS else system
    if not _reads_events(system):
        return title
    return f"{title} {STRATEGIES.get(strategy, strategy)}".strip()


def _reads_events(system: str) -> bool:
    """Returns whether a strategy is meaningful for the system; unknown systems may read events."""
    return system not in SYSTEMS or SYSTEMS[system].reads_events


def _row(finished: list[EvaluatedRun], title: str, unique_name: str, resamples: int) -> Row:
    folds_of_seed: dict[int, list[str]] = {}
    for run in finished:
        folds_of_seed.setdefault(run.seed, []).append(run.fold)
    # Seeds are compared on the same clips, so all of them need the same folds.
    # The runs are sorted by fold.
    folds = max(folds_of_seed.values(), key=len)
    seeds = tuple(seed for seed in sorted(folds_of_seed) if folds_of_seed[seed] == folds)
    runs = tuple(run for run in finished if run.seed in seeds)
    left_out = tuple(run for run in finished if run.seed not in seeds)

    tables = []
    for seed in seeds:
        tables.append(evaluation.pool([run.predictions for run in runs if run.seed == seed]))
    # Checked and sorted once for all scores and comparisons.
    predictions = tuple(aligned(tables))
    cities = {run.training_cities for run in runs}
    devices = {run.training_devices for run in runs}
    summary = evaluation.summarise(predictions, resamples, seen_cities=_only(cities))
    spread = None
    if len(folds) > 1:
        spread = evaluation.spread({(run.fold, run.seed): run.predictions for run in runs})

    notes = list(summary.notes)
    # The note may have been rewritten between the trainings of two seeds.
    for note in dict.fromkeys(run.experiment.get("note") for run in runs):
        if note:
            notes.append(note)
    for kind, sets in (("cities", cities), ("devices", devices)):
        if len(sets) > 1:
            notes.append(
                f"The runs of this row were trained on different {kind}, so there are no scores of "
                f"seen and unseen {kind}."
            )
    if left_out:
        listed = ", ".join(f"seed {run.seed} on fold {run.fold}" for run in left_out)
        notes.append(
            f"The results do not include {listed}, because these seeds have not been run on all "
            f"of the folds {', '.join(folds)}."
        )
    return Row(
        title=title,
        unique_name=unique_name,
        runs=runs,
        left_out=left_out,
        folds=tuple(folds),
        seeds=seeds,
        predictions=predictions,
        summary=summary,
        spread=spread,
        devices=evaluation.score_devices(predictions, _only(devices), resamples),
        notes=tuple(notes),
    )


def _only(sets: set[frozenset[str] | None]) -> frozenset[str] | None:
    """Returns the cities or devices on which all runs were trained; None if the runs differ.

    Without the same ones, it is not defined which cities or devices are seen.
    """
    if len(sets) != 1:
        return None
    (found,) = sets
    return found


def _unique_names(rows: list[EvaluatedRun]) -> list[str]:
    """Returns the name of each row; of rows with the same name, as in two studies, the folders."""
    names = [run.name for run in rows]
    return [run.row if names.count(run.name) > 1 else run.name for run in rows]


def _titles(rows: list[EvaluatedRun], unique_names: list[str]) -> list[str]:
    """Returns a title for each row, no two alike.

    Rows with the same system and strategy are distinguished by their unique names.
    """
    short = [title_of(run.system, run.strategy) for run in rows]
    titles = []
    for title, unique_name in zip(short, unique_names, strict=True):
        titles.append(f"{title} ({unique_name})" if short.count(title) > 1 else title)
    return titles


def _ordered(groups: list[list[EvaluatedRun]]) -> list[list[EvaluatedRun]]:
    orders = [runs[0].config.get("order") for runs in groups]
    if all(isinstance(order, int) for order in orders):
        return sorted(groups, key=lambda runs: (runs[0].config["order"], runs[0].row))
    return sorted(groups, key=_place_in_table_3)


def _place_in_table_3(runs: list[EvaluatedRun]) -> tuple[int, int, str, str]:
    run = runs[0]
    system = _position(run.experiment.get("system"), SYSTEMS)
    strategy = _position(run.experiment.get("strategy"), STRATEGIES)
    return system, strategy, run.name, run.row


def _position(name: str | None, known: Iterable[str]) -> int:
    """Returns the position of a name among known ones; unknown names come last."""
    known = list(known)
    return known.index(name) if name in known else len(known)


def _check_same(first: EvaluatedRun, other: EvaluatedRun) -> None:
    """Checks that two runs of a row differ in nothing but fold and seed."""
    other_fields = other.fields
    for path, value in sorted(first.fields.items()):
        other_value = other_fields.get(path)
        if other_value != value and _is_compared(path, first, other):
            raise DataError(
                f"{first.folder} and {other.folder} are one row, but {path} is {value!r} in the "
                f"first and {other_value!r} in the second.",
                "Keep runs of different choices in rows (folders) of different names.",
            )
    if first.corpus != other.corpus:
        raise DataError(
            f"{first.folder} and {other.folder} are one row, but their data differ: "
            f"{first.corpus} and {other.corpus}.",
            "Keep runs of different data in different folders.",
        )
    for entry, what in DIGESTS.items():
        if entry == "trunk_digest" and first.seed != other.seed and _has_trunk_of_seed(first):
            continue
        if _differ(first.config, other.config, entry):
            raise DataError(
                f"{first.folder} and {other.folder} are one row, but began with different {what}.",
                "Train the row with the same files, or keep such runs in rows (folders) of "
                "different names.",
            )


def _has_trunk_of_seed(run: EvaluatedRun) -> bool:
    """Returns whether each seed of the run's row begins with a trunk of its own."""
    return SEED_IN_PATH in run.fields["model.trunk"]


def _check_same_parts(first: EvaluatedRun, other: EvaluatedRun) -> None:
    """Checks that two runs of a row and a fold had the same training and evaluation clips."""
    if _differ(first.config["corpus"], other.config["corpus"], "division"):
        raise DataError(
            f"{first.folder} and {other.folder} are one row and fold, but were trained or "
            "evaluated on different clips of the corpus.",
            "Train both with the same folds, or keep such runs in rows (folders) of different "
            "names.",
        )


def _differ(first: Mapping[str, Any], other: Mapping[str, Any], entry: str) -> bool:
    """Returns whether two records have different values of an entry.

    Runs of older versions have no record of some files, which is no difference.
    """
    found = first.get(entry)
    other_found = other.get(entry)
    return found is not None and other_found is not None and found != other_found


def _is_compared(path: str, first: EvaluatedRun, other: EvaluatedRun) -> bool:
    """Returns whether two runs of a row need the same value of a field."""
    if path in OF_NO_RUN:
        return False
    # Machines may have the same files at other paths. The digests compare their content.
    have_digests = DIGESTS.keys() <= first.config.keys() & other.config.keys()
    return not (have_digests and path in PATHS)
