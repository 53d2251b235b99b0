"""The figures of a report: one `CorpusTable` a corpus, never two corpora in one table."""

import dataclasses

from crossask.report import beside, choices, comparing, events
from crossask.report.beside import ClaimFound, PaperCell
from crossask.report.collecting import Run, flatten, group
from crossask.report.comparing import Comparisons
from crossask.report.events import Controls
from crossask.report.rows import TableRow, folds_text, table_row, titles
from crossask.report.words import METRIC, number, percent, points


@dataclasses.dataclass(frozen=True)
class CorpusTable:
    """Everything the report says of one corpus."""

    name: str
    title: str  # the name, with the digest where two corpora of one report share the name
    digest: str
    rows: tuple[TableRow, ...]
    baseline: TableRow | None
    cells: tuple[
        PaperCell, ...
    ]  # of the paper's Table 3; empty where its scores are of other clips
    claims: tuple[ClaimFound, ...]
    controls: (
        Controls | None
    )  # of what the events are worth; None where no row is a control of another
    study: choices.Study | None  # of what open choices move; None where fewer than two were moved
    compared: int  # comparisons over which p-values are adjusted
    unfinished: tuple[Run, ...]
    notes: tuple[str, ...]
    conclusion: str

    def scope(self, line: TableRow | None = None, metric: str = METRIC) -> str:
        """What a number of one line (the first unless given) is of: corpus, folds, metric, clips, locations."""
        line = line or self.rows[0]
        places = line.summary["locations"]
        parts = [
            self.title,
            folds_text(line.row),
            metric,
            f"{line.summary['clips']} clips",
            f"{places} locations" if places else "",
        ]
        return ", ".join(part for part in parts if part)

    def training_scope(self, line: TableRow) -> str:
        """What a learning curve is of: it never saw the evaluation fold."""
        parts = [self.title, folds_text(line.row).removesuffix(" pooled")]
        sizes = {run.fold: run.config["corpus"] for run in line.row.runs}
        for name, names in (("training", ("training", "train")), ("validation", ("validation",))):
            found = sorted(
                {
                    size[key]
                    for size in sizes.values()
                    for key in names
                    if isinstance(size.get(key), int)
                }
            )
            parts += (
                [
                    f"{' to '.join(str(n) for n in sorted({found[0], found[-1]}))} clips in the {name} part"
                ]
                if found
                else []
            )
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


def versions(runs) -> dict[str, list[str]]:
    """Name -> every version found among the runs; more than one means that the runs are not of one installation."""
    found = {}
    for run in runs:
        for name, version in flatten(run.config.get("versions", {})).items():
            found.setdefault(name, set()).add(str(version))
    return {name: sorted(found[name]) for name in sorted(found)}


def _corpus_table(name, title, digest, rows, runs, baseline, resamples) -> CorpusTable:
    base = next((row for row in rows if row.name == baseline), None)
    base = base or next((row for row in rows if row.experiment.get("system") == baseline), None)
    comparisons, lines, notes = Comparisons(resamples), [], []
    for row, short in zip(rows, titles(rows), strict=True):
        line = table_row(row, short, comparisons.pooled(row), resamples)
        paper, why = beside.paper_percent(name, row, line.summary["clips"])
        difference, missing = (None, "no baseline row") if base is None else (None, "")
        if base is not None and row is not base:
            difference, missing = comparisons.between(row, base)
        lines.append(
            dataclasses.replace(
                line, paper_percent=paper, difference=difference, difference_missing=missing
            )
        )
        notes += [why] if why else []
        notes += [f"{line.title}: {note}" for note in line.notes]
    claims = beside.claims(lines, comparisons)
    controls, study = events.find(lines, comparisons), choices.find(lines, comparisons)
    adjusted = comparisons.adjusted()
    lines = [
        _judged(line, adjusted[line.row.key, base.key]) if line.difference else line
        for line in lines
    ]
    notes += _shared_notes(lines, base, baseline, comparisons)
    table = CorpusTable(
        name=name,
        title=title,
        digest=digest,
        rows=tuple(lines),
        baseline=next((line for line in lines if line.row is base), None),
        cells=beside.cells(name, lines),
        claims=beside.judged(claims, adjusted),
        controls=events.judged(controls, adjusted),
        study=choices.judged(study, adjusted),
        compared=len(comparisons),
        unfinished=tuple(
            run for run in runs if run.predictions is None and run.corpus == (name, digest)
        ),
        notes=tuple(dict.fromkeys(notes)),
        conclusion="",
    )
    return dataclasses.replace(table, conclusion=_conclusion(table))


def _judged(line: TableRow, adjusted_p: float) -> TableRow:
    """The line with its adjusted p, and the verdict that this leaves."""
    found = {**line.difference, "verdict": comparing.verdict(line.difference, adjusted_p)}
    return dataclasses.replace(line, adjusted_p=adjusted_p, difference=found)


def _shared_notes(lines, base, baseline: str, comparisons: Comparisons) -> list[str]:
    notes = []
    if base is None:
        notes.append(
            f"No row is named {baseline} or of the system {baseline}: no differences are shown."
        )
    if len({(line.row.folds, line.summary["clips"]) for line in lines}) > 1:
        notes.append(
            "Not all rows have run the same folds: only rows of the same clips are compared."
        )
    if any(len(line.row.seeds) < 2 for line in lines):
        notes.append(
            "A row of one seed says nothing of the chance of training: another seed may move it by points."
        )
    budgets = {}
    for line in lines:
        # an official baseline has a training rule of its own
        if not str(line.row.experiment.get("system")).startswith("DCASE"):
            budgets.setdefault(flatten(line.row.experiment).get("training.epochs"), []).append(
                line.title
            )
    if len(budgets) > 1:
        told = "; ".join(
            f"{epochs} for {', '.join(of_these)}" for epochs, of_these in budgets.items()
        )
        notes.append(
            f"Rows were given different numbers of epochs ({told}): a difference between such rows may be one of training."
        )
    if comparisons.out_of_reach:
        notes.append(
            f"{len(comparisons)} comparisons are too many for {comparisons.resamples} draws: no adjusted p can be below 0.05. "
            "Report fewer rows at once, or draw more."
        )
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
        f"{number(abs(found['difference']))} points {above} {base.title} "
        f"({100 * interval['confidence']:.0f} % interval {points(interval['low'])} to {points(interval['high'])})"
        f"{', which is too little to tell the two apart' if found['verdict'] == 'cannot tell' else ''}."
    )
