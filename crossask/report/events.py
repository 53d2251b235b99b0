"""Is it really the events? A row that reads them beside controls that each take something away, or put the truth in their place."""

import dataclasses

import numpy as np

from crossask.report import comparing
from crossask.report.collecting import flatten
from crossask.report.comparing import Comparisons
from crossask.report.rows import TableRow

# (field, value of the control): what it does to the row
CONTROLS = {
    ("event_control", "other_clip"): "embeddings of other clips",
    ("event_control", "shuffled_in_time"): "embeddings out of order",
    ("event_control", "true_events"): "the true events",
    ("event_model.weights", ""): "an event model with random weights",
    ("model.cross_attention", "scene_queries_scene"): "the scene attends itself",
    ("model.cross_attention", "events_alone"): "the events alone, without the scene",
}
ORACLE = CONTROLS["event_control", "true_events"]
AS_LARGE = "no events, as many parameters"
ALIKE = 0.02  # share by which parameters may differ and still be as many


@dataclasses.dataclass(frozen=True)
class Control:
    """One control of `TableRow` reference: the reference minus it, paired."""

    line: TableRow
    does: str
    found: dict | None
    missing: str
    adjusted_p: float | None = None
    verdict: str = ""


@dataclasses.dataclass(frozen=True)
class Controls:
    """Everything known of one row's events; `swapped`: shares of swapped clips named by log-mel, embedding, neither, or None."""

    reference: TableRow
    controls: tuple[Control, ...]
    without: TableRow | None  # the small row without events, from which the gain is counted
    swapped: dict | None


def find(lines, comparisons: Comparisons) -> Controls | None:
    """The row with most controls among `lines` and these; None where no row has any. Verdicts are still to come (`judged`)."""
    best, most = None, []
    for line in lines:
        if line.row.experiment.get("strategy") != "feature_based":
            continue
        of_line = [(other, does) for other in lines if other is not line and (does := _does(line, other))]
        if len(of_line) > len(most):
            best, most = line, of_line
    if best is None:
        return None
    controls = tuple(Control(other, does, *comparisons.between(best.row, other.row)) for other, does in most)
    taken = {id(control.line) for control in controls}
    without = next((line for line in lines if line.row.experiment.get("system") == "FA" and id(line) not in taken), None)
    return Controls(best, controls, without, _swapped(best))


def judged(found: Controls | None, adjusted: dict) -> Controls | None:
    """The same with adjusted p and the verdict that it leaves."""
    if found is None:
        return None
    out = []
    for control in found.controls:
        if control.found:
            p = adjusted[found.reference.row.key, control.line.row.key]
            control = dataclasses.replace(control, adjusted_p=p, verdict=comparing.verdict(control.found, p))
        out.append(control)
    return dataclasses.replace(found, controls=tuple(out))


def sentence(found: Controls) -> str:
    """What the figures allow to say, no more."""
    name = found.reference.title
    taken = [control for control in found.controls if control.does != ORACLE and control.found]
    better = [control.does for control in taken if control.verdict == "better"]
    untold = [control.does for control in taken if control.verdict == "cannot tell"]
    worse = [control.does for control in taken if control.verdict == "worse"]
    parts = []
    if better:
        parts.append(f"{name} is better than with {_listed(better)}")
    if untold:
        parts.append(f"{'it' if better else name} cannot be told from what is left with {_listed(untold)}")
    if worse:
        parts.append(f"it is worse than with {_listed(worse)}")
    text = "; ".join(parts) + "."
    own = {CONTROLS["event_control", "other_clip"], CONTROLS["event_model.weights", ""], AS_LARGE}
    if own <= set(better):
        return f"It is the clip's own events that help: {text}"
    if own & set(untold):
        return f"That it is the clip's own events that help is not shown: {text}"
    return text


def share_of_possible_gain(found: Controls) -> tuple[float, float, float] | None:
    """(gain of the row over the one without events, gain of the true events over it, the first as a share of the second)."""
    oracle = next((control.line for control in found.controls if control.does == ORACLE), None)
    if oracle is None or found.without is None:
        return None
    base = found.without.summary["macro_accuracy"]
    gain, possible = (line.summary["macro_accuracy"] - base for line in (found.reference, oracle))
    return (gain, possible, gain / possible) if possible > 0 else None


def _does(reference: TableRow, other: TableRow) -> str:
    """What the other row does to the reference, or ""."""
    first, second = flatten(reference.row.experiment), flatten(other.row.experiment)
    apart = {field for field in first.keys() | second.keys() if first.get(field) != second.get(field)}
    apart -= {"name", "note", "paper_score"}
    if len(apart) == 1:
        (field,) = apart
        return CONTROLS.get((field, second.get(field)), "")
    if second["system"] == "FA" and reference.parameters and other.parameters:
        return AS_LARGE if abs(other.parameters / reference.parameters - 1) < ALIKE else ""
    return ""


def _swapped(line: TableRow) -> dict | None:
    """Mean over the row's runs of what swapped.json tells; None where a run lacks it."""
    told = [run.swapped for run in line.row.runs]
    if None in told:
        return None
    mean = {whose: float(np.mean([one[whose] for one in told])) for whose in ("log_mel", "embedding", "neither")}
    return mean | {end: float(np.mean([one["difference"][end] for one in told])) for end in ("low", "high")}


def _listed(names) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
