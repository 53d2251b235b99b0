"""Results for other programs: a table of rows as CSV, everything as JSON.

Accuracies are fractions; numbers have six decimals. In CSV, an apostrophe precedes names that a
spreadsheet would read as formulas; see `crossask.text_tables.cell_of`.
"""

import csv
import dataclasses
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from crossask import evaluation
from crossask.report import devices, studies
from crossask.report.corpus import CorpusResults
from crossask.report.findings import Difference, PaperCell, TestedClaim
from crossask.report.misclassified import MisclassifiedClip
from crossask.report.rows import Row
from crossask.report.studies import ChangedChoice
from crossask.text_tables import cell_of

DECIMALS = 6


def to_csv(results: CorpusResults) -> str:
    """Returns the rows of a corpus as CSV; the cell of a missing number is empty."""
    lines = [_csv_line(results, row) for row in results.rows]
    return _csv(list(lines[0]), lines)


def misclassified_csv(results: CorpusResults) -> str:
    """Returns the misclassified clips of every row of a corpus as CSV."""
    names = [field.name for field in dataclasses.fields(MisclassifiedClip)]
    lines = []
    for row, clips in zip(results.rows, results.misclassified, strict=True):
        for clip in clips:
            cells = {name: getattr(clip, name) for name in names}
            lines.append({"row": row.unique_name} | cells)
    return _csv(["row", *names], lines)


def devices_csv(results: CorpusResults) -> str:
    """Returns the scores by device of every row of a corpus as CSV; some clips have devices."""
    lines = devices.csv_lines(results)
    return _csv(list(lines[0]), lines)


def to_json(
    corpora: Sequence[CorpusResults],
    versions: dict[str, list[str]],
    machines: Sequence[dict[str, Any]] = (),
) -> str:
    """Returns all results as JSON with sorted keys, so that two files can be compared.

    Args:
      corpora: The results.
      versions: Package -> its versions in the runs; "commit" is that of the source.
      machines: Cores, memory and CPU of the machines on which the runs were trained.
    """
    content = {
        "corpora": [_corpus(results) for results in corpora],
        "versions": versions,
        "machines": list(machines),
    }
    text = json.dumps(_rounded(content), indent=2, sort_keys=True, ensure_ascii=False)
    return f"{text}\n"


def _csv(header: Sequence[str], lines: Iterable[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, header, lineterminator="\n")
    writer.writeheader()
    for line in lines:
        cells = {}
        for name, value in _rounded(line).items():
            cells[name] = cell_of(value) if isinstance(value, str) else value
        writer.writerow(cells)
    return text.getvalue()


def _csv_line(results: CorpusResults, row: Row) -> dict[str, Any]:
    summary = row.summary
    interval = summary.interval
    spread = row.spread
    difference = results.against_baseline(row)
    comparison = difference.comparison
    return {
        "corpus": results.name,
        "corpus_digest": results.digest,
        "folds": " ".join(row.folds),
        "row": row.unique_name,
        "system": row.experiment.get("system"),
        "strategy": row.experiment.get("strategy"),
        "seeds": len(row.seeds),
        "clips": summary.clips,
        "locations": summary.locations,
        "validation_macro_accuracy": row.validation,
        "macro_accuracy": summary.macro_accuracy,
        "low": interval.low,
        "high": interval.high,
        "confidence": interval.confidence,
        "interval_over": interval.over,
        "seed_deviation": summary.seed_deviation,
        "mean_of_folds": row.mean_of_folds,
        "fold_deviation": spread.fold_deviation if spread else None,
        "within_fold_seed_deviation": spread.within_fold_seed_deviation if spread else None,
        "micro_accuracy": summary.micro_accuracy,
        "log_loss": summary.log_loss,
        "brier": summary.brier,
        "expected_calibration_error": summary.calibration.expected_calibration_error,
        "seen_macro_accuracy": summary.seen.macro_accuracy if summary.seen else None,
        "unseen_macro_accuracy": summary.unseen.macro_accuracy if summary.unseen else None,
        "baseline": results.baseline.unique_name if results.baseline else None,
        "difference": comparison.difference if comparison else None,
        "difference_low": comparison.interval.low if comparison else None,
        "difference_high": comparison.interval.high if comparison else None,
        "verdict": difference.verdict,
        "p_value": comparison.p_value if comparison else None,
        "adjusted_p_value": difference.adjusted_p,
        "paper_macro_accuracy": _fraction(results.paper_percent(row)),
        "parameters": row.parameters,
        "trainable_parameters": row.trainable_parameters,
    }


def _corpus(results: CorpusResults) -> dict[str, Any]:
    choices = None
    if results.study:
        choices = [_choice(results, change) for change in results.study.changes]
    return {
        "corpus": results.name,
        "digest": results.digest,
        "scenes": len(results.rows[0].summary.scenes),
        "comparisons": results.comparisons.count,
        "rows": [_row(results, row) for row in results.rows],
        "paper": [_cell(cell) for cell in results.cells],
        "claims": [_claim(results, claim) for claim in results.claims],
        "controls": _controls(results),
        "choices": choices,
        "scene_events": _scene_events(results),
    }


def _row(results: CorpusResults, row: Row) -> dict[str, Any]:
    summary = row.summary
    difference = _difference(results.against_baseline(row))
    if difference is not None:
        difference["against"] = results.baseline.unique_name
    per_class = {}
    for scene, score in summary.per_class.items():
        per_class[scene] = {"accuracy": score.accuracy, "clips": score.clips}
    interval = {}
    for name in ("low", "high", "confidence", "over", "covers_seeds", "resamples"):
        interval[name] = getattr(summary.interval, name)
    device_scores = {}
    if row.devices:
        device_scores["devices"] = evaluation.to_json(row.devices)
    return {
        "name": row.unique_name,
        "title": row.title,
        "system": row.experiment.get("system"),
        "strategy": row.experiment.get("strategy"),
        "seeds": list(row.seeds),
        "folds": list(row.folds),
        "clips": summary.clips,
        "locations": summary.locations,
        "macro_accuracy": summary.macro_accuracy,
        "seed_macro_accuracies": list(summary.seed_macro_accuracies),
        "seed_deviation": summary.seed_deviation,
        "micro_accuracy": summary.micro_accuracy,
        "log_loss": summary.log_loss,
        "brier": summary.brier,
        "interval": interval,
        "per_class": per_class,
        "expected_calibration_error": summary.calibration.expected_calibration_error,
        "seen": _json_or_none(summary.seen),
        "unseen": _json_or_none(summary.unseen),
        **device_scores,
        "spread": _json_or_none(row.spread),
        "validation_macro_accuracy": row.validation,
        "embedding_drift": row.embedding_drift,
        "difference": difference,
        "parameters": row.parameters,
        "trainable_parameters": row.trainable_parameters,
    }


def _difference(difference: Difference) -> dict[str, Any] | None:
    comparison = difference.comparison
    if comparison is None:
        return None
    interval = comparison.interval
    return {
        "difference": comparison.difference,
        "interval": {
            "low": interval.low,
            "high": interval.high,
            "confidence": interval.confidence,
        },
        "p_value": comparison.p_value,
        "adjusted_p_value": difference.adjusted_p,
        "verdict": difference.verdict,
    }


def _cell(cell: PaperCell) -> dict[str, Any]:
    official = None
    if cell.official:
        official = {
            "macro_accuracy": _fraction(cell.official.percent),
            "source": cell.official.source,
        }
    return {
        "title": cell.title,
        "row": cell.row.unique_name if cell.row else None,
        "paper_macro_accuracy": _fraction(cell.paper_percent),
        "against": _json_or_none(cell.agreement),
        "official": official,
        "against_official": _json_or_none(cell.official_agreement),
    }


def _claim(results: CorpusResults, tested: TestedClaim) -> dict[str, Any]:
    difference = results.comparisons.between(tested.first, tested.second)
    return {
        "first": tested.first.unique_name,
        "second": tested.second.unique_name,
        "says": tested.claim.says,
        "found": _difference(difference),
        "paper_difference": tested.paper_difference,
    }


def _controls(results: CorpusResults) -> dict[str, Any] | None:
    found = results.controls
    if found is None:
        return None
    controls = []
    for control in found.controls:
        difference = results.comparisons.between(found.reference, control.row)
        controls.append(
            {
                "row": control.row.unique_name,
                "instead": control.instead,
                "found": _difference(difference),
            }
        )
    gain = studies.gain(found)
    return {
        "of": found.reference.unique_name,
        "controls": controls,
        "share_of_possible_gain": gain.share if gain else None,
        "swapped": _json_or_none(found.swapped),
        "sentence": studies.conclusion(found, results.comparisons),
    }


def _choice(results: CorpusResults, change: ChangedChoice) -> dict[str, Any]:
    difference = results.comparisons.between(change.row, results.study.reference)
    return {
        "row": change.row.unique_name,
        "field": change.field,
        "value": change.value,
        "found": _difference(difference),
    }


def _scene_events(results: CorpusResults) -> dict[str, Any] | None:
    found = results.scene_events
    if found is None:
        return None
    return {
        "row": found.row.unique_name,
        "interval_over": found.over,
        "confidence": found.confidence,
        "events": [evaluation.to_json(event) for event in found.found],
        "effects": found.effects(),
    }


def _fraction(percent: float | None) -> float | None:
    return None if percent is None else percent / 100


def _json_or_none(result: object) -> dict[str, Any] | None:
    return None if result is None else evaluation.to_json(result)


def _rounded(value: object) -> object:
    """Returns a value with all numbers in it rounded."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return round(value, DECIMALS)
    return value
