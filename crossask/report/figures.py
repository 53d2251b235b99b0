"""The report's figures for other programs: a table as CSV, everything as JSON. Fractions, not percent; six decimals."""

import csv
import io
import json

from crossask.report import events
from crossask.report.rows import TableRow
from crossask.report.tables import CorpusTable

DECIMALS = 6


def to_csv(table: CorpusTable) -> str:
    """One corpus's table as CSV; an empty cell where there is no figure."""
    lines = []
    for line in table.rows:
        interval, against, spread = (
            line.summary["interval"],
            line.difference or {},
            line.spread or {},
        )
        seen, unseen = line.summary["seen"] or {}, line.summary["unseen"] or {}
        lines.append(
            {
                "corpus": table.name,
                "corpus_digest": table.digest,
                "folds": " ".join(line.row.folds),
                "row": line.row.name,
                "system": line.row.experiment.get("system"),
                "strategy": line.row.experiment.get("strategy"),
                "seeds": len(line.row.seeds),
                "clips": line.summary["clips"],
                "locations": line.summary["locations"],
                "validation_macro_accuracy": line.validation,
                "macro_accuracy": line.summary["macro_accuracy"],
                "low": interval["low"],
                "high": interval["high"],
                "confidence": interval["confidence"],
                "interval_over": interval["over"],
                "seed_deviation": line.summary["seed_deviation"],
                "mean_of_folds": line.mean_of_folds,
                "fold_deviation": spread.get("fold_deviation"),
                "within_fold_seed_deviation": spread.get("within_fold_seed_deviation"),
                "micro_accuracy": line.summary["micro_accuracy"],
                "log_loss": line.summary["log_loss"],
                "brier": line.summary["brier"],
                "expected_calibration_error": line.summary["calibration"][
                    "expected_calibration_error"
                ],
                "seen_macro_accuracy": seen.get("macro_accuracy"),
                "unseen_macro_accuracy": unseen.get("macro_accuracy"),
                "baseline": table.baseline.row.name if table.baseline else None,
                "difference": against.get("difference"),
                "difference_low": against.get("interval", {}).get("low"),
                "difference_high": against.get("interval", {}).get("high"),
                "verdict": against.get("verdict"),
                "p_value": against.get("p_value"),
                "adjusted_p_value": line.adjusted_p,
                "paper_macro_accuracy": None
                if line.paper_percent is None
                else line.paper_percent / 100,
                "parameters": line.parameters,
                "trainable_parameters": line.trainable_parameters,
            }
        )
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    for line in lines:
        writer.writerow(_rounded(line))
    return text.getvalue()


def to_json(tables, versions: dict) -> str:
    """Every corpus: its rows, their differences and the paper's claims; keys are sorted, so that two files can be compared."""
    corpora = [
        {
            "corpus": table.name,
            "digest": table.digest,
            "scenes": len(table.rows[0].summary["scenes"]),
            "comparisons": table.compared,
            "rows": [_row(table, line) for line in table.rows],
            "paper": [_cell(cell) for cell in table.cells],
            "claims": [_claim(found) for found in table.claims],
            "controls": _controls(table.controls),
            "choices": table.study and [_choice(one) for one in table.study.moved],
        }
        for table in tables
    ]
    return (
        json.dumps(
            _rounded({"corpora": corpora, "versions": versions}),
            indent=2,
            sort_keys=True,
            ensure_ascii=False,
        )
        + "\n"
    )


def _row(table: CorpusTable, line: TableRow) -> dict:
    summary = line.summary
    same = (
        "clips",
        "locations",
        "macro_accuracy",
        "seed_macro_accuracies",
        "seed_deviation",
        "micro_accuracy",
        "log_loss",
        "brier",
    )
    difference = None
    if line.difference:
        difference = {
            "against": table.baseline.row.name,
            **_difference(line.difference, line.adjusted_p),
        }
        difference |= {"verdict": line.difference["verdict"]}
    return {
        "name": line.row.name,
        "title": line.title,
        "system": line.row.experiment.get("system"),
        "strategy": line.row.experiment.get("strategy"),
        "seeds": list(line.row.seeds),
        "folds": list(line.row.folds),
        **{name: summary[name] for name in same},
        "interval": {
            name: summary["interval"][name]
            for name in ("low", "high", "confidence", "over", "resamples")
        },
        "per_class": {
            scene: {name: of[name] for name in ("accuracy", "clips")}
            for scene, of in summary["per_class"].items()
        },
        "expected_calibration_error": summary["calibration"]["expected_calibration_error"],
        "seen": summary["seen"],
        "unseen": summary["unseen"],
        "spread": line.spread
        and {
            **line.spread,
            "seed_means": {str(seed): mean for seed, mean in line.spread["seed_means"].items()},
        },
        "validation_macro_accuracy": line.validation,
        "embedding_drift": line.embedding_drift,
        "difference": difference,
        "parameters": line.parameters,
        "trainable_parameters": line.trainable_parameters,
    }


def _difference(found: dict, adjusted_p: float | None) -> dict:
    interval = {name: found["interval"][name] for name in ("low", "high", "confidence")}
    return {
        "difference": found["difference"],
        "interval": interval,
        "p_value": found["p_value"],
        "adjusted_p_value": adjusted_p,
    }


def _judged(one) -> dict | None:
    return _difference(one.found, one.adjusted_p) | {"verdict": one.verdict} if one.found else None


def _cell(cell) -> dict:
    official = cell.official and {
        "macro_accuracy": cell.official.percent / 100,
        "source": cell.official.source,
    }
    return {
        "title": cell.title,
        "row": cell.line and cell.line.row.name,
        "paper_macro_accuracy": None if cell.paper_percent is None else cell.paper_percent / 100,
        "against": cell.against,
        "official": official,
        "against_official": cell.against_official,
    }


def _claim(found) -> dict:
    return {
        "first": found.first.row.name,
        "second": found.second.row.name,
        "says": found.claim.says,
        "found": _judged(found),
        "paper_difference": found.paper_points,
    }


def _controls(found) -> dict | None:
    if found is None:
        return None
    controls = [
        {
            "row": control.line.row.name,
            "instead": control.does,
            "found": _judged(control),
        }
        for control in found.controls
    ]
    share = events.share_of_possible_gain(found)
    return {
        "of": found.reference.row.name,
        "controls": controls,
        "share_of_possible_gain": share and share[2],
        "swapped": found.swapped,
        "sentence": events.sentence(found),
    }


def _choice(one) -> dict:
    return {"row": one.line.row.name, "field": one.field, "value": one.value, "found": _judged(one)}


def _rounded(value):
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return round(value, DECIMALS) if isinstance(value, float) else value
