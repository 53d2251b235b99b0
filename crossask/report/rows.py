"""One line of a results table: a row's scores, what it is called, and what it was made with."""

import dataclasses

import numpy as np

from crossask import evaluation
from crossask.report.collecting import Row
from crossask.report.published import STRATEGIES, TITLES, WITHOUT_EVENTS


@dataclasses.dataclass(frozen=True)
class TableRow:
    """One line of a results table; accuracies are fractions."""

    row: Row
    title: str  # "CMAM feature-based", with the row's name where two rows share it
    summary: dict  # evaluation.summarise
    validation: (
        float | None
    )  # mean over runs of the best epoch's macro accuracy on the validation part
    embedding_drift: float | None  # mean over runs; None where no event model was trained
    spread: dict | None  # evaluation.spread; None for one fold
    difference: (
        dict | None
    )  # evaluation.compare with the baseline; None for the baseline itself and where impossible
    difference_missing: str  # why there is none
    adjusted_p: float | None  # of that difference, by Holm over all comparisons shown of the corpus
    paper_percent: float | None
    parameters: int | None
    trainable_parameters: int | None
    notes: tuple[str, ...] = ()

    @property
    def fold_means(self) -> dict:
        """Fold -> macro accuracy, mean over seeds; empty for one fold."""
        return self.spread["fold_means"] if self.spread else {}

    @property
    def mean_of_folds(self) -> float | None:
        return float(np.mean(list(self.fold_means.values()))) if self.spread else None


def table_row(row: Row, title: str, pooled: list, resamples: int) -> TableRow:
    """The scores of `row`, whose predictions are `pooled`, one table a seed; not yet compared with anything."""
    spread = (
        evaluation.spread({(run.fold, run.seed): run.predictions for run in row.runs})
        if len(row.folds) > 1
        else None
    )
    cities, notes = _training_cities(row)
    notes = [note for note in (row.experiment.get("note"), *notes) if note]
    summary = evaluation.summarise(pooled, resamples, seen_cities=cities)
    if row.left_out:
        out = ", ".join(f"seed {run.seed} fold {run.fold}" for run in row.left_out)
        notes.append(f"{out} left out, because this seed has not run all of {folds_text(row)}.")
    return TableRow(
        row=row,
        title=title,
        summary=summary,
        validation=_mean_over_runs(row, "validation_macro_accuracy"),
        embedding_drift=_mean_over_runs(row, "embedding_drift"),
        spread=spread,
        difference=None,
        difference_missing="",
        adjusted_p=None,
        paper_percent=None,
        parameters=row.runs[0].result.get("parameters"),
        trainable_parameters=row.runs[0].result.get("trainable_parameters"),
        notes=(*summary["notes"], *notes),
    )


def _mean_over_runs(row: Row, name: str) -> float | None:
    """The mean of an entry of result.json, None where a run lacks it."""
    values = [run.result.get(name) for run in row.runs]
    return None if None in values else float(np.mean(values))


def _training_cities(row: Row):
    """(cities that every run of the row has heard, notes): with folds that heard different cities, none is seen or unseen."""
    heard = {
        None if run.training_cities is None else frozenset(run.training_cities) for run in row.runs
    }
    if len(heard) > 1:
        return None, [
            "Its runs were trained on different cities: seen and unseen ones are not told apart."
        ]
    return next(iter(heard)), []


def title_of(system: str, strategy: str) -> str:
    """ "CMAM feature-based"; where no events are read, the strategy says nothing."""
    name = TITLES.get(system, system)
    return (
        name if system in WITHOUT_EVENTS else f"{name} {STRATEGIES.get(strategy, strategy)}".strip()
    )


def titles(rows) -> list[str]:
    """A title a row, no two alike: rows of one system and strategy by their names, those of one name by their folders."""
    short = [
        title_of(
            str(row.experiment.get("system", row.name)), str(row.experiment.get("strategy", ""))
        )
        for row in rows
    ]
    names = [row.name for row in rows]
    details = [row.key if names.count(row.name) > 1 else row.name for row in rows]
    return [
        f"{title} ({detail})" if short.count(title) > 1 else title
        for title, detail in zip(short, details, strict=True)
    ]


def cell_of(row: Row) -> tuple[str, str]:
    """The cell of the paper's Table 3 that the row stands for: (system, strategy), the strategy empty where it says nothing."""
    system = str(row.experiment.get("system", row.name))
    return system, "" if system in WITHOUT_EVENTS else str(row.experiment.get("strategy", ""))


def folds_text(row: Row) -> str:
    wanted = [str(fold) for fold in row.experiment.get("folds", row.folds)]
    text = f"fold{'s' if len(row.folds) > 1 else ''} {', '.join(row.folds)}"
    if set(wanted) - set(row.folds):
        text += f" of {', '.join(wanted)}"
    return text + (" pooled" if len(row.folds) > 1 else "")


def fields_apart(first: TableRow, second: TableRow) -> set[str]:
    """The fields of their configurations in which two rows differ; what a row is called and claims is no choice."""
    one, other = first.row.fields, second.row.fields
    return {field for field in one.keys() | other.keys() if one.get(field) != other.get(field)} - {
        "name",
        "note",
        "paper_score",
    }


def with_most(lines, candidates, relation) -> tuple[TableRow | None, list[tuple[TableRow, str]]]:
    """The first of `candidates` to which most of `lines` stand in a relation, and these with it.

    `relation`: (candidate, another line) -> what the other is to it, or "".
    """
    best, most = None, []
    for candidate in candidates:
        related = [
            (other, what)
            for other in lines
            if other is not candidate and (what := relation(candidate, other))
        ]
        if len(related) > len(most):
            best, most = candidate, related
    return best, most


def differing_choices(rows) -> tuple[dict, dict]:
    """(fields in which rows differ: field -> value a row, fields equal in all rows: field -> value)."""
    flat = [row.row.fields for row in rows]
    fields = sorted({field for values in flat for field in values} - {"name", "note"})
    values = {field: [one.get(field) for one in flat] for field in fields}
    differing = {
        field: found for field, found in values.items() if any(value != found[0] for value in found)
    }
    return differing, {field: found[0] for field, found in values.items() if field not in differing}
