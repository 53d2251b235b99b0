"""The results of one corpus: its rows, their comparisons, and notes that a reader needs."""

import dataclasses
from collections.abc import Mapping, Sequence

from crossask.config.catalogue import SYSTEMS, did_you_mean
from crossask.errors import DataError
from crossask.report import findings, formatting, paper, studies
from crossask.report.findings import Comparisons, Difference, PaperCell, TestedClaim
from crossask.report.misclassified import MisclassifiedClip, find_misclassified
from crossask.report.rows import Corpus, Row, group, make_rows
from crossask.report.runs import EvaluatedRun, flatten
from crossask.report.scene_events import SceneEvents, find_scene_events
from crossask.report.studies import Controls, Study


@dataclasses.dataclass(frozen=True)
class CorpusResults:
    """Everything that a report contains about one corpus.

    Attributes:
      name: Name of the corpus.
      digest: Its digest.
      title: The name, with the digest if two corpora of the report have the same name.
      rows: The rows.
      baseline: The row with which the others are compared; None without one.
      comparisons: The paired differences.
      cells: Cells of the paper's Table 3; empty if its scores are of other clips.
      claims: The claims of the paper that these rows test.
      controls: Controls of the events of a row; None without one.
      study: Rows that change one open choice; None if there are fewer than two.
      scene_events: Events that stand out in the scenes; None without event scores.
      misclassified: For each row, the clips that it misclassifies.
      unfinished: Runs without predictions.
      notes: Sentences that a reader of the results needs.
    """

    name: str
    digest: str
    title: str
    rows: tuple[Row, ...]
    baseline: Row | None
    comparisons: Comparisons
    cells: tuple[PaperCell, ...]
    claims: tuple[TestedClaim, ...]
    controls: Controls | None
    study: Study | None
    scene_events: SceneEvents | None
    misclassified: tuple[tuple[MisclassifiedClip, ...], ...]
    unfinished: tuple[EvaluatedRun, ...]
    notes: tuple[str, ...]

    def against_baseline(self, row: Row) -> Difference:
        """Returns the difference of a row and the baseline."""
        if self.baseline is None:
            return Difference(None, "no baseline row")
        if row is self.baseline:
            return Difference(None, "baseline")
        return self.comparisons.between(row, self.baseline)

    @property
    def refers_to_paper(self) -> bool:
        """Whether the report has sections on the paper; reports on own recordings have none."""
        return self.name in paper.CORPORA

    @property
    def titles(self) -> list[str]:
        """The titles of the rows."""
        return [row.title for row in self.rows]

    @property
    def interval_title(self) -> str:
        """What an interval is called: "95 % interval"."""
        return f"{formatting.confidence(self.rows[0].summary.interval)} interval"

    def paper_percent(self, row: Row) -> float | None:
        """Returns the paper's score of a row; None unless both have the same clips."""
        return findings.paper_percent(self.name, row)

    def scope(self, row: Row | None = None, metric: str = "") -> str:
        """Returns what a table or a picture describes: corpus, folds, metric, clips and locations.

        Args:
          row: The row that it describes; None for the first row.
          metric: Name of the metric, if it is part of the text.
        """
        row = row or self.rows[0]
        parts = [self.title, row.folds_text]
        if metric:
            parts.append(metric)
        parts.append(f"{row.summary.clips} clips")
        recordings = _evaluated_recordings(row)
        if recordings:
            parts.append(f"{recordings} recordings")
        if row.summary.locations:
            parts.append(f"{row.summary.locations} locations")
        return ", ".join(parts)

    def training_scope(self, row: Row) -> str:
        """Returns what a learning curve describes: corpus, folds, and sizes of the parts."""
        parts = [self.title, row.folds_text.removesuffix(" pooled")]
        corpus_of_fold = {run.fold: run.config["corpus"] for run in row.runs}
        # Older versions call the training part "train".
        for part, keys in (("training", ("training", "train")), ("validation", ("validation",))):
            sizes = set()
            for corpus in corpus_of_fold.values():
                sizes |= {corpus[key] for key in keys if isinstance(corpus.get(key), int)}
            if sizes == {0}:
                parts.append(f"no {part} part")
            elif sizes:
                ends = sorted({min(sizes), max(sizes)})
                clips = " to ".join(str(size) for size in ends)
                parts.append(f"{clips} clips in the {part} part")
        return ", ".join(parts)

    @property
    def conclusion(self) -> str:
        """Sentences on the row that has the best score on the validation part.

        A choice by the scores on the evaluation fold would be biased.
        """
        compared = [row for row in self.rows if self.against_baseline(row).comparison]
        if not compared:
            row = self.baseline or self.rows[0]
            return (
                f"{row.title} reaches {formatting.percent(row.summary.macro_accuracy)} "
                f"({self.scope(row, formatting.METRIC)}); there is no row to compare it with."
            )
        # Scores on different clips, or on frames and on clips, cannot be compared.
        parts = [row.validation_part for row in compared]
        of_baseline = self.baseline.validation_part
        most_common = max(parts, key=lambda part: (parts.count(part), part == of_baseline))
        candidates = [row for row in compared if row.validation_part == most_common]
        chosen = candidates[0]
        choice = ""
        if len(candidates) > 1 and all(row.validation is not None for row in candidates):
            chosen = max(candidates, key=lambda row: row.validation)
            limited = " that have the same validation part" if len(set(parts)) > 1 else ""
            choice = (
                f"Of the {len(candidates)} rows beside {self.baseline.title}{limited}, "
                f"{chosen.title} has the best score on the validation part. "
            )
        difference = self.against_baseline(chosen)
        comparison = difference.comparison
        locations = f" of {comparison.locations} locations" if comparison.locations else ""
        found = findings.difference_in_words(chosen, self.baseline, difference)
        return (
            f"{choice}On these {comparison.clips} clips{locations} ({self.title}, "
            f"{chosen.folds_text}), {found}"
        )


def make_results(
    runs: Sequence[EvaluatedRun], baseline: str = "FA", resamples: int = 2000
) -> list[CorpusResults]:
    """Computes the results of every corpus of some runs.

    Args:
      runs: The runs.
      baseline: Name of the row to compare the others with, or a system, whose first row is used.
      resamples: Number of draws of the bootstrap.

    Raises:
      DataError: There is no such row or system, or see `group`.
    """
    grouped = group(runs)
    _check_baseline(grouped, baseline)
    names = [name for name, _ in grouped]
    results = []
    for corpus, groups in grouped.items():
        name, digest = corpus
        title = f"{name} ({digest})" if names.count(name) > 1 else name
        unfinished = [run for run in runs if not run.is_finished and run.corpus == corpus]
        rows = make_rows(groups, resamples)
        baseline_row = _baseline(rows, baseline)
        claims = findings.tested_claims(name, rows)
        controls = studies.find_controls(rows)
        study = studies.find_study(rows)
        # All pairs are needed at once, because p-values are adjusted for their number.
        pairs = _pairs(rows, baseline_row, claims, controls, study)
        comparisons = findings.compare_rows(pairs, resamples)
        notes = _notes_on_rows(name, rows)
        if baseline_row is None:
            notes.append(f"No row has the name or the system {baseline}: no differences are shown.")
        notes += _notes_on_comparisons(rows)
        results.append(
            CorpusResults(
                name=name,
                digest=digest,
                title=title,
                rows=tuple(rows),
                baseline=baseline_row,
                comparisons=comparisons,
                cells=findings.paper_cells(name, rows),
                claims=claims,
                controls=controls,
                study=study,
                scene_events=find_scene_events(rows, resamples),
                misclassified=tuple(find_misclassified(row) for row in rows),
                unfinished=tuple(unfinished),
                notes=tuple(dict.fromkeys(notes)),
            )
        )
    return results


def _check_baseline(grouped: Mapping[Corpus, list[list[EvaluatedRun]]], baseline: str) -> None:
    """Raises DataError for a baseline that is no row of any corpus, and no system."""
    rows: list[str] = []
    known = [*SYSTEMS]
    for groups in grouped.values():
        for first, *_ in groups:
            known += [first.system, first.row]
            if first.name not in rows:
                rows.append(first.name)
    # Names of rows come last: of a row and a system of one spelling, the message names the row.
    known += rows
    if baseline not in known:
        raise DataError(
            f"No row has the name or the system {baseline!r}.",
            f"{did_you_mean(baseline, known)}The rows are {', '.join(rows)}.",
        )


def _baseline(rows: Sequence[Row], name: str) -> Row | None:
    for row in rows:
        if name in (row.name, row.unique_name):
            return row
    for row in rows:
        if row.experiment.get("system") == name:
            return row
    return None


def _pairs(
    rows: Sequence[Row],
    baseline: Row | None,
    claims: Sequence[TestedClaim],
    controls: Controls | None,
    study: Study | None,
) -> list[tuple[Row, Row]]:
    """Returns the pairs of rows whose differences the report shows."""
    pairs = []
    if baseline is not None:
        pairs += [(row, baseline) for row in rows if row is not baseline]
    pairs += [(claim.first, claim.second) for claim in claims]
    if controls is not None:
        pairs += [(controls.reference, control.row) for control in controls.controls]
    if study is not None:
        pairs += [(change.row, study.reference) for change in study.changes]
    return pairs


def _evaluated_recordings(row: Row) -> int:
    """Returns the number of recordings from which the scored clips were cut; 0 if none were cut."""
    of_fold = {}
    for run in row.runs:
        of_fold[run.fold] = run.config["corpus"].get("evaluation_recordings", 0)
    return sum(of_fold.values())


def _notes_on_rows(corpus: str, rows: Sequence[Row]) -> list[str]:
    notes = []
    for row in rows:
        has_score = corpus in paper.PAPER_CLIPS and row.experiment.get("paper_score") is not None
        if has_score and findings.paper_percent(corpus, row) is None:
            notes.append(
                "The paper's scores are left out: they are for "
                f"{paper.PAPER_CLIPS[corpus]} clips of {corpus}, and the scores here are for "
                f"{row.summary.clips}."
            )
        notes += [f"{row.title}: {note}" for note in row.notes]
        if row.runs_without_events:
            notes.append(
                f"{row.title}: training this row did not use the events in "
                f"{row.runs_without_events} of {formatting.several(len(row.runs), 'run')}. With "
                "constant embeddings its probabilities stay the same, so its score is that of a "
                "network without events."
            )
    return notes


def _notes_on_comparisons(rows: Sequence[Row]) -> list[str]:
    """Returns sentences on how far the rows can be compared."""
    notes = []
    if len({(row.folds, row.summary.clips) for row in rows}) > 1:
        notes.append(
            "The rows were evaluated on different folds or clips; only rows with the same clips "
            "are compared."
        )
    if any(len(row.seeds) < 2 for row in rows):
        notes.append(
            "One seed shows nothing of the randomness of training, which may change a score by "
            "points. A row with one seed therefore has no verdict, and its interval covers the "
            "locations alone."
        )
    for row in rows:
        if row.is_validated_on_frames:
            notes.append(
                f"{row.title}: its validation score is that of single frames with their context, "
                "and cannot be compared with the scores of whole clips."
            )
    titles_by_epochs: dict[int | None, list[str]] = {}
    for row in rows:
        # The official baselines have training rules of their own.
        if row.system in SYSTEMS and SYSTEMS[row.system].origin == "challenge":
            continue
        epochs = flatten(row.experiment).get("training.epochs")
        titles_by_epochs.setdefault(epochs, []).append(row.title)
    if len(titles_by_epochs) > 1:
        listed = "; ".join(
            f"{epochs} for {', '.join(titles)}" for epochs, titles in titles_by_epochs.items()
        )
        notes.append(
            f"The rows were trained for different numbers of epochs ({listed}), which may explain "
            "a difference between them."
        )
    return notes
