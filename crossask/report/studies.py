"""Rows that differ from a reference row in one thing: controls of its events, and open choices.

A control takes something away from the events of a row or replaces them by the true ones. A row of
a study has another value of one choice that the paper leaves open.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from crossask.config import reference
from crossask.report import formatting
from crossask.report.findings import Comparisons
from crossask.report.rows import Row

# (field, its value in a control) -> what the control has instead of the row's embeddings.
CONTROLS = {
    ("event_control", "other_clip"): "embeddings of other clips",
    ("event_control", "shuffled_in_time"): "embeddings shuffled in time",
    ("event_control", "true_events"): "the true events",
    ("event_model.weights", ""): "an event model with random weights",
    ("model.cross_attention", "scene_queries_scene"): (
        "the scene features in place of the embeddings"
    ),
    ("model.cross_attention", "events_alone"): "the embeddings without the scene features",
}
TRUE_EVENTS = CONTROLS["event_control", "true_events"]
SAME_SIZE = "no events but as many parameters"
# What a control has instead -> what is shown if the reference row is better.
CONCLUSIONS = {
    "embeddings of other clips": "the clip's own embeddings raise the score",
    "embeddings shuffled in time": "the order of the embeddings in time raises the score",
    "an event model with random weights": "the training of the event model raises the score",
    "the scene features in place of the embeddings": (
        "the score is higher than with attention of the scene features to themselves"
    ),
    "the embeddings without the scene features": "the scene features raise the score",
    SAME_SIZE: "the score is higher than that of a network of the same size without events",
}
# Two rows have the same size if their numbers of parameters differ by less than this share.
SIZE_TOLERANCE = 0.02
# Fields in which every row may differ.
LABELS = {"name", "note", "paper_score"}
OPEN_FIELDS = {entry.path for entry in reference.open_choices()}
# Fields that are one choice together -> the field that stands for it.
ONE_CHOICE = {
    # Two taps need the file of the PCA.
    frozenset(("event_model.embedding_tap", "event_model.pca")): "event_model.embedding_tap",
    # Only random weights have an initialisation.
    frozenset(("event_model.weights", "event_model.initialisation")): "event_model.weights",
}


@dataclasses.dataclass(frozen=True)
class Control:
    """A control, and what it has instead of the reference row's events."""

    row: Row
    instead: str


@dataclasses.dataclass(frozen=True)
class SwappedMeans:
    """Shares of `evaluation.SwappedShares` and the ends of their interval, means over runs."""

    log_mel: float
    embedding: float
    neither: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Controls:
    """The controls of a row.

    Attributes:
      reference: The row.
      controls: Its controls.
      without: The small row without events, against which gains are computed; None without one.
      swapped: What the row predicts with swapped embeddings; None if it was not evaluated so.
    """

    reference: Row
    controls: tuple[Control, ...]
    without: Row | None
    swapped: SwappedMeans | None


@dataclasses.dataclass(frozen=True)
class ChangedChoice:
    """A row with another value of one open choice."""

    row: Row
    field: str
    value: Any


@dataclasses.dataclass(frozen=True)
class Study:
    """Rows that each change one open choice of a reference row."""

    reference: Row
    changes: tuple[ChangedChoice, ...]


def find_controls(rows: Sequence[Row]) -> Controls | None:
    """Returns the row with the most controls, and these; None if no row has any."""
    candidates = []
    for row in rows:
        # Without their row, several controls would be controls of each other.
        is_control = bool(row.fields["event_control"])
        if row.experiment.get("strategy") == "feature_based" and not is_control:
            candidates.append(row)
    reference_row, related = _most_related(candidates, rows, _instead)
    if reference_row is None:
        return None
    controls = tuple(Control(row, instead) for row, instead in related)
    control_keys = {control.row.key for control in controls}
    without = None
    for row in rows:
        if row.key not in control_keys and _is_without_events(reference_row, row):
            without = row
            break
    return Controls(reference_row, controls, without, _swapped(reference_row))


def find_study(rows: Sequence[Row]) -> Study | None:
    """Returns the row from which the most open choices were changed, and the changed rows.

    Returns None if fewer than two were changed.
    """
    reference_row, related = _most_related(rows, rows, _changed_choice)
    if len(related) < 2:
        return None
    changes = tuple(ChangedChoice(row, field, row.fields[field]) for row, field in related)
    return Study(reference_row, changes)


def largest_change(study: Study, comparisons: Comparisons) -> ChangedChoice | None:
    """Returns the change with the largest difference; None if none could be compared."""
    largest = None
    largest_size = -1.0
    for change in study.changes:
        comparison = comparisons.between(change.row, study.reference).comparison
        if comparison is not None and abs(comparison.difference) > largest_size:
            largest = change
            largest_size = abs(comparison.difference)
    return largest


def conclusion(controls: Controls, comparisons: Comparisons) -> str:
    """Returns sentences on what the controls show; "" if none of them could be compared."""
    shown = []
    not_shown = []
    refuted = []
    for instead, statement in CONCLUSIONS.items():
        verdicts = {
            comparisons.between(controls.reference, control.row).verdict
            for control in controls.controls
            if control.instead == instead
        }
        # Rows that could not be compared, or have one seed, have no verdict.
        verdicts -= {"", "one seed"}
        if not verdicts:
            continue
        # Several controls of one kind must agree.
        if verdicts == {"better"}:
            shown.append(f"that {statement}")
        elif verdicts == {"worse"}:
            refuted.append(instead)
        else:
            not_shown.append(f"that {statement}")
    parts = []
    if shown:
        parts.append(f"show {formatting.listed(shown, 'and')}")
    if not_shown:
        they = "they " if shown else ""
        parts.append(f"{they}do not show {formatting.listed(not_shown, 'or')}")
    title = controls.reference.title
    sentences = []
    if parts:
        sentences.append(f"For {title}, these runs {'; '.join(parts)}.")
    if refuted:
        sentences.append(f"{title} scores lower than with {formatting.listed(refuted, 'or')}.")
    return " ".join(sentences)


@dataclasses.dataclass(frozen=True)
class Gain:
    """Gains over the row without events, as fractions.

    Attributes:
      of_row: Gain of the reference row.
      of_true_events: Gain of the control with the true events.
    """

    of_row: float
    of_true_events: float

    @property
    def share(self) -> float:
        """Share of the possible gain that the row reaches."""
        return self.of_row / self.of_true_events


def gain(controls: Controls) -> Gain | None:
    """Returns the gain of a row and of the true events over the row without events.

    Returns None if one of the three rows is missing, if they have different clips, or if the true
    events gain nothing.
    """
    with_true_events = None
    for control in controls.controls:
        if control.instead == TRUE_EVENTS:
            with_true_events = control.row
            break
    if with_true_events is None or controls.without is None:
        return None
    rows = (controls.reference, controls.without, with_true_events)
    if len({(row.folds, row.summary.clips) for row in rows}) > 1:
        return None
    base = controls.without.summary.macro_accuracy
    found = Gain(
        of_row=controls.reference.summary.macro_accuracy - base,
        of_true_events=with_true_events.summary.macro_accuracy - base,
    )
    return found if found.of_true_events > 0 else None


def _most_related(
    candidates: Iterable[Row], rows: Sequence[Row], relation: Callable[[Row, Row], str]
) -> tuple[Row | None, list[tuple[Row, str]]]:
    """Returns the first candidate to which the most rows are related, and these.

    Args:
      candidates: Rows that may be the reference.
      rows: All rows.
      relation: Returns the relation of a row (second) to a candidate (first), or "".
    """
    best = None
    most: list[tuple[Row, str]] = []
    for candidate in candidates:
        related = []
        for row in rows:
            if row.key == candidate.key:
                continue
            what = relation(candidate, row)
            if what:
                related.append((row, what))
        if len(related) > len(most):
            best = candidate
            most = related
    return best, most


def _differing_fields(first: Row, second: Row) -> set[str]:
    """Returns the fields in which two rows differ, without their labels."""
    a = first.fields
    b = second.fields
    return {field for field in {*a, *b} - LABELS if a.get(field) != b.get(field)}


def _one_change(first: Row, second: Row) -> str:
    """Returns the one field, or the field of the one choice, in which two rows differ, or ""."""
    differing = _differing_fields(first, second)
    if len(differing) == 1:
        (field,) = differing
        return field
    return ONE_CHOICE.get(frozenset(differing), "")


def _instead(reference_row: Row, row: Row) -> str:
    """Returns what a control has instead of the reference row's events; "" if it is none."""
    field = _one_change(reference_row, row)
    if field:
        return _control(field, row.fields.get(field))
    if not (_is_without_events(reference_row, row) and reference_row.parameters and row.parameters):
        return ""
    has_same_size = abs(row.parameters / reference_row.parameters - 1) < SIZE_TOLERANCE
    return SAME_SIZE if has_same_size else ""


def _is_without_events(reference_row: Row, row: Row) -> bool:
    """Returns whether a row is FA with the features and training of the reference row.

    The sizes of its network may differ.
    """
    if row.system != "FA":
        return False
    for field in _differing_fields(reference_row, row):
        is_of_network = field.startswith(("model.", "event_model."))
        if not (is_of_network or field in ("system", "strategy")):
            return False
    return True


def _swapped(row: Row) -> SwappedMeans | None:
    """Returns the mean over runs of swapped.json; None if a run lacks the file."""
    contents = [run.swapped for run in row.runs]
    if None in contents:
        return None
    means = {}
    for share in ("log_mel", "embedding", "neither"):
        means[share] = float(np.mean([content[share] for content in contents]))
    for end in ("low", "high"):
        means[end] = float(np.mean([content["difference"][end] for content in contents]))
    return SwappedMeans(**means)


def _changed_choice(reference_row: Row, row: Row) -> str:
    """Returns the one open choice in which a row differs from the reference row, or ""."""
    field = _one_change(reference_row, row)
    # Some values of open choices are controls.
    is_control = any(_control(field, either.fields.get(field)) for either in (reference_row, row))
    return field if field in OPEN_FIELDS and not is_control else ""


def _control(field: str, value: object) -> str:
    """Returns what a row with this value of a field has instead of events; "" if it is no control.

    The value may be a list, which is no key of a dictionary.
    """
    return CONTROLS.get((field, value), "") if isinstance(value, str) else ""
