"""Scores by recording device: a section of the report, and the lines of a CSV."""

from collections.abc import Iterator
from typing import Any

from crossask.evaluation.scores import PartScore
from crossask.report.accuracy_matrix import accuracy_matrix
from crossask.report.content import Section
from crossask.report.corpus import CorpusResults
from crossask.report.rows import Row


def are_known(results: CorpusResults) -> bool:
    """Returns whether the clips of any row have devices."""
    return any(row.devices for row in results.rows)


def section(results: CorpusResults) -> Section | None:
    """Returns the scores of each device in each row; None if the devices are unknown.

    The last lines are the scores of all devices with and of all without training clips.
    """
    if not are_known(results):
        return None
    names = set()
    for row in results.rows:
        if row.devices:
            names |= set(row.devices.devices)
    groups = []
    for name in sorted(names):
        scores = [_score_of(row, name) for row in results.rows]
        groups.append((name + _in_training(results, name), scores))
    for title, part in (("all seen devices", "seen"), ("all unseen devices", "unseen")):
        scores = [getattr(row.devices, part, None) for row in results.rows]
        if any(scores):
            groups.append((title, scores))
    lines, shares = accuracy_matrix(groups)
    notes = []
    for row in results.rows:
        if row.devices:
            notes += [f"{row.title}: {note}" for note in row.devices.notes]
    return Section(
        "Accuracy by device",
        "Macro accuracy on the clips of each recording device, mean over seeds, with "
        f"{results.interval_title}s ({results.scope()}). A device is unseen if the training fold "
        "has no clip of it. Clips of two devices may come from different locations.",
        ["Device", "Clips", *results.titles],
        lines,
        shares,
        notes=notes,
        style="matrix",
    )


def csv_lines(results: CorpusResults) -> list[dict[str, Any]]:
    """Returns the scores of each device in each row as lines of a CSV; accuracies are fractions.

    The column `part` is "device", or "seen" or "unseen" for the devices with and without training
    clips together, whose cell in the column `device` is empty.
    """
    lines = []
    for row in results.rows:
        if row.devices:
            lines += _lines_of_row(row)
    return lines


def _score_of(row: Row, device: str) -> PartScore | None:
    """Returns the score of a device in a row; None if the row has no clips of it."""
    if row.devices is None:
        return None
    return row.devices.devices.get(device)


def _in_training(results: CorpusResults, device: str) -> str:
    """Returns " (seen)" or " (unseen)"; "" if it is unknown, or not the same for all rows."""
    found = set()
    for row in results.rows:
        if row.devices:
            found.add(_is_seen(row, device))
    if len(found) > 1 or None in found:
        return ""
    return " (seen)" if True in found else " (unseen)"


def _is_seen(row: Row, device: str) -> bool | None:
    """Returns whether the training clips of a row contain a device; None if it is unknown."""
    if row.devices.training_devices is None:
        return None
    return device in row.devices.training_devices


def _lines_of_row(row: Row) -> Iterator[dict[str, Any]]:
    for device, score in row.devices.devices.items():
        is_seen = _is_seen(row, device)
        in_training = "" if is_seen is None else str(is_seen).lower()
        yield _csv_line(row, "device", device, in_training, score)
    for part, in_training in (("seen", "true"), ("unseen", "false")):
        score = getattr(row.devices, part)
        if score:
            yield _csv_line(row, part, "", in_training, score)


def _csv_line(
    row: Row, part: str, device: str, in_training: str, score: PartScore
) -> dict[str, Any]:
    return {
        "row": row.unique_name,
        "seeds": len(row.seeds),
        "part": part,
        "device": device,
        "in_training": in_training,
        "clips": score.clips,
        "locations": score.locations,
        "macro_accuracy": score.macro_accuracy,
        "low": score.interval.low,
        "high": score.interval.high,
        "confidence": score.interval.confidence,
        "interval_over": score.interval.over,
    }
