"""The figures of a report: one `CorpusTable` a corpus, never two corpora in one table."""

import csv
import dataclasses
import io

import numpy as np

from crossask import evaluation
from crossask.errors import DataError
from crossask.report.collecting import Row, Run, flatten, group
from crossask.report.words import METRIC, percent, points

# clips that the paper's own scores are of: its fold of TAU 2019, and all four folds of TUT 2017 pooled
PAPER_CLIPS = {"tau2019": 4185, "tut2017": 4680}


@dataclasses.dataclass(frozen=True)
class TableRow:
    """One line of a results table; accuracies are fractions."""

    row: Row
    title: str  # "CMAM feature-based", with the row's name where two rows share it
    summary: dict  # evaluation.summarise
    validation: float | None  # mean over runs of the best epoch's macro accuracy on the validation part
    fold_means: dict  # fold -> macro accuracy, mean over seeds; empty for one fold
    difference: dict | None  # evaluation.compare with the baseline; None for the baseline itself and where impossible
    difference_missing: str  # why there is none
    paper_percent: float | None
    parameters: int | None
    trainable_parameters: int | None

    @property
    def mean_of_folds(self) -> float | None:
        return float(np.mean(list(self.fold_means.values()))) if self.fold_means else None


@dataclasses.dataclass(frozen=True)
class CorpusTable:
    """Everything the report says of one corpus."""

    name: str
    title: str  # the name, with the digest where two corpora of one report share the name
    digest: str
    rows: tuple[TableRow, ...]
    baseline: TableRow | None
    unfinished: tuple[Run, ...]
    notes: tuple[str, ...]
    conclusion: str

    def scope(self, line: TableRow | None = None, metric: str = METRIC) -> str:
        """What a number of one line (the first unless given) is of: corpus, folds, metric, clips, locations."""
        line = line or self.rows[0]
        places = line.summary["locations"]
        parts = [self.title, folds_text(line.row), metric, f"{line.summary['clips']} clips", f"{places} locations" if places else ""]
        return ", ".join(part for part in parts if part)

    def training_scope(self, line: TableRow) -> str:
        """What a learning curve is of: it never saw the evaluation fold."""
        parts = [self.title, folds_text(line.row).removesuffix(" pooled")]
        sizes = {run.fold: run.config["corpus"] for run in line.row.runs}
        for name, names in (("training", ("training", "train")), ("validation", ("validation",))):
            found = sorted({size[key] for size in sizes.values() for key in names if isinstance(size.get(key), int)})
            parts += [f"{' to '.join(str(n) for n in sorted({found[0], found[-1]}))} clips in the {name} part"] if found else []
        return ", ".join(parts)


def make_tables(runs, baseline: str = "FA", resamples: int = 2000) -> list[CorpusTable]:
    """The figures of every corpus among `runs`; the baseline is the row of that name, else the first of that system."""
    grouped = group(runs)
    names = [name for name, _ in grouped]
    tables = []
    for (name, digest), rows in grouped.items():
        title = f"{name} ({digest})" if names.count(name) > 1 else name
        tables.append(_corpus_table(name, title, digest, rows, runs, baseline, resamples))
    return tables


def differing_choices(rows) -> tuple[dict, dict]:
    """(fields in which rows differ: field -> value a row, fields equal in all rows: field -> value)."""
    flat = [flatten(row.row.experiment) for row in rows]
    fields = sorted({field for values in flat for field in values} - {"name"})
    values = {field: [one.get(field) for one in flat] for field in fields}
    differing = {field: found for field, found in values.items() if any(value != found[0] for value in found)}
    return differing, {field: found[0] for field, found in values.items() if field not in differing}


def versions(runs) -> dict[str, list[str]]:
    """Name -> every version found among the runs; more than one means that the runs are not of one installation."""
    found = {}
    for run in runs:
        for name, version in flatten(run.config.get("versions", {})).items():
            found.setdefault(name, set()).add(str(version))
    return {name: sorted(found[name]) for name in sorted(found)}


def folds_text(row: Row) -> str:
    wanted = [str(fold) for fold in row.experiment.get("folds", row.folds)]
    text = f"fold{'s' if len(row.folds) > 1 else ''} {', '.join(row.folds)}"
    if set(wanted) - set(row.folds):
        text += f" of {', '.join(wanted)}"
    return text + (" pooled" if len(row.folds) > 1 else "")


def to_csv(table: CorpusTable) -> str:
    """One corpus's table as CSV: fractions, not percent; an empty cell where there is no figure."""
    lines = []
    for line in table.rows:
        interval, against = line.summary["interval"], line.difference or {}
        lines.append({
            "corpus": table.name, "corpus_digest": table.digest, "folds": " ".join(line.row.folds),
            "row": line.row.name, "system": line.row.experiment.get("system"), "strategy": line.row.experiment.get("strategy"),
            "seeds": len(line.row.seeds), "clips": line.summary["clips"], "locations": line.summary["locations"],
            "validation_macro_accuracy": line.validation, "macro_accuracy": line.summary["macro_accuracy"],
            "low": interval["low"], "high": interval["high"], "confidence": interval["confidence"], "interval_over": interval["over"],
            "seed_deviation": line.summary["seed_deviation"], "mean_of_folds": line.mean_of_folds,
            "micro_accuracy": line.summary["micro_accuracy"], "log_loss": line.summary["log_loss"],
            "baseline": table.baseline.row.name if table.baseline else None, "difference": against.get("difference"),
            "difference_low": against.get("interval", {}).get("low"), "difference_high": against.get("interval", {}).get("high"),
            "verdict": against.get("verdict"),
            "paper_macro_accuracy": None if line.paper_percent is None else line.paper_percent / 100,
            "parameters": line.parameters, "trainable_parameters": line.trainable_parameters,
        })  # fmt: skip
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    for line in lines:
        writer.writerow({name: round(value, 6) if isinstance(value, float) else value for name, value in line.items()})
    return text.getvalue()


def _corpus_table(name, title, digest, rows, runs, baseline, resamples) -> CorpusTable:
    base = next((row for row in rows if row.name == baseline), None)
    base = base or next((row for row in rows if row.experiment.get("system") == baseline), None)
    base_tables = base.pooled() if base else []
    titles = [_title(row) for row in rows]
    names = [row.name for row in rows]
    lines, notes = [], []
    for row, short in zip(rows, titles, strict=True):
        # the name tells rows of one system and strategy apart, the folder tells rows of one name apart
        detail = row.key if names.count(row.name) > 1 else row.name
        tables = base_tables if row is base else row.pooled()
        line = _table_row(row, f"{short} ({detail})" if titles.count(short) > 1 else short, tables, base, base_tables, resamples)
        paper, why = _paper_percent(name, row, line.summary["clips"])
        lines.append(dataclasses.replace(line, paper_percent=paper))
        notes += [why] if why else []
        notes += [f"{line.title}: {note}" for note in line.summary["notes"]]
        if row.left_out:
            out = ", ".join(f"seed {run.seed} fold {run.fold}" for run in row.left_out)
            notes.append(f"{line.title}: {out} left out, because this seed has not run all of {folds_text(row)}.")
    notes += _shared_notes(lines, base, baseline)
    unfinished = tuple(run for run in runs if run.predictions is None and run.corpus == (name, digest))
    first_base = next((line for line in lines if line.row is base), None)
    table = CorpusTable(name, title, digest, tuple(lines), first_base, unfinished, tuple(dict.fromkeys(notes)), "")
    return dataclasses.replace(table, conclusion=_conclusion(table))


def _table_row(row, title, tables, base, base_tables, resamples) -> TableRow:
    difference, missing = None, ""
    if base is None:
        missing = "no baseline row"
    elif row is not base:
        try:
            difference = evaluation.compare(tables, base_tables, resamples)
        except DataError as error:
            missing = f"not comparable: {error.problem}"
    folds = {}
    if len(row.folds) > 1:
        for fold in row.folds:
            of_fold = [run.predictions for run in row.runs if run.fold == fold]
            folds[fold] = evaluation.summarise(of_fold, resamples=1)["macro_accuracy"]
    validation = [run.result.get("validation_macro_accuracy") for run in row.runs]
    result = row.runs[0].result
    return TableRow(
        row=row,
        title=title,
        summary=evaluation.summarise(tables, resamples),
        validation=None if None in validation else float(np.mean(validation)),
        fold_means=folds,
        difference=difference,
        difference_missing=missing,
        paper_percent=None,
        parameters=result.get("parameters"),
        trainable_parameters=result.get("trainable_parameters"),
    )


def _title(row: Row) -> str:
    """ "CMAM feature-based"; FA reads no events, so its strategy says nothing."""
    system = str(row.experiment.get("system", row.name))
    strategy = {"from_scratch": "from scratch", "feature_based": "feature-based", "fine_tuning": "fine-tuning"}
    return (
        system if system == "FA" else f"{system} {strategy.get(row.experiment.get('strategy'), row.experiment.get('strategy', ''))}".strip()
    )


def _paper_percent(corpus: str, row: Row, clips: int):
    """(the paper's score, why it is left out): it stands only beside scores of the very clips it is of."""
    score = row.experiment.get("paper_score")
    if score is None or corpus not in PAPER_CLIPS:
        return None, ""
    if clips != PAPER_CLIPS[corpus]:
        return None, f"The paper's scores are left out: they are of {PAPER_CLIPS[corpus]} clips of {corpus}, these of {clips}."
    return score, ""


def _shared_notes(lines, base, baseline: str) -> list[str]:
    notes = []
    if base is None:
        notes.append(f"No row is named {baseline} or of the system {baseline}: no differences are shown.")
    if len({(line.row.folds, line.summary["clips"]) for line in lines}) > 1:
        notes.append("Not all rows have run the same folds: only rows of the same clips are compared.")
    if any(len(line.row.seeds) < 2 for line in lines):
        notes.append("A row of one seed says nothing of the chance of training: another seed may move it by points.")
    return notes


def _conclusion(table: CorpusTable) -> str:
    """On the row that the validation part prefers: choosing it by these very figures would flatter it."""
    base = table.baseline or table.rows[0]
    compared = [line for line in table.rows if line.difference]
    if not compared:
        return f"{base.title} reaches {percent(base.summary['macro_accuracy'])} ({table.scope(base)}); there is no row to compare it with."
    chosen, prefix = compared[0], ""
    if len(compared) > 1 and all(line.validation is not None for line in compared):
        chosen = max(compared, key=lambda line: line.validation)
        prefix = f"Of the {len(compared)} rows beside {base.title}, the validation part prefers {chosen.title}. "
    found, interval = chosen.difference, chosen.difference["interval"]
    places = f" of {found['locations']} locations" if found["locations"] else ""
    above = "above" if found["difference"] >= 0 else "below"
    return (
        f"{prefix}On these {found['clips']} clips{places} ({table.title}, {folds_text(chosen.row)}), {chosen.title} is "
        f"{abs(100 * found['difference']):.1f} points {above} {base.title} "
        f"({100 * interval['confidence']:.0f} % interval {points(interval['low'])} to {points(interval['high'])})"
        f"{', which is too little to tell the two apart' if found['verdict'] == 'cannot tell' else ''}."
    )
