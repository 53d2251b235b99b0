"""Is it really the events? A row that reads them beside controls that each take something away, or put the truth in their place."""

import dataclasses

import numpy as np

from crossask.report import comparing
from crossask.report.comparing import Comparisons
from crossask.report.rows import TableRow, fields_apart, with_most

# (field, value of the control): what the row has instead
CONTROLS = {
    ("event_control", "other_clip"): "embeddings of other clips",
    ("event_control", "shuffled_in_time"): "embeddings out of order",
    ("event_control", "true_events"): "the true events",
    ("event_model.weights", ""): "an event model with random weights",
    ("model.cross_attention", "scene_queries_scene"): "the scene in place of the embedding",
    ("model.cross_attention", "events_alone"): "the embedding without the scene",
}
ORACLE = CONTROLS["event_control", "true_events"]
AS_LARGE = "no events, as many parameters"
# what it shows that the row is better than the control
SHOWN = {
    "embeddings of other clips": "it matters whose events are heard",
    "embeddings out of order": "the order of the embeddings in time matters",
    "an event model with random weights": "the event model's training matters",
    "the scene in place of the embedding": "attention to the scene itself does not do as well",
    "the embedding without the scene": "the scene's features are used",
    AS_LARGE: "as many parameters without events do not do as well",
}
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
    candidates = [line for line in lines if line.row.experiment.get("strategy") == "feature_based"]
    best, most = with_most(lines, candidates, _does)
    if best is None:
        return None
    controls = tuple(
        Control(other, does, *comparisons.between(best.row, other.row)) for other, does in most
    )
    taken = {id(control.line) for control in controls}
    without = next(
        (line for line in lines if _is_without_events(best, line) and id(line) not in taken), None
    )
    return Controls(best, controls, without, _swapped(best))


def judged(found: Controls | None, adjusted: dict) -> Controls | None:
    """The same with adjusted p and the verdict that it leaves."""
    if found is None:
        return None
    key = found.reference.row.key
    return dataclasses.replace(
        found,
        controls=comparing.judged(
            found.controls, adjusted, lambda control: (key, control.line.row.key)
        ),
    )


def sentence(found: Controls) -> str:
    """What the figures allow to say, no more."""
    verdicts = {
        does: {
            control.verdict for control in found.controls if control.does == does and control.found
        }
        for does in SHOWN
    }
    # of several controls of a kind, all must say it
    shown = [SHOWN[does] for does, told in verdicts.items() if told == {"better"}]
    refuted = [does for does, told in verdicts.items() if told == {"worse"}]
    open_ = [
        SHOWN[does] for does, told in verdicts.items() if told not in (set(), {"better"}, {"worse"})
    ]
    parts = [f"show {_listed(shown, 'and', 'that ')}"] * bool(shown)
    parts += [f"{'they ' if shown else ''}do not show {_listed(open_, 'or', 'that ')}"] * bool(
        open_
    )
    parts += [f"the row does worse than with {_listed(refuted, 'or')}"] * bool(refuted)
    return f"For {found.reference.title}, these runs {'; '.join(parts)}." if parts else ""


def share_of_possible_gain(found: Controls) -> tuple[float, float, float] | None:
    """(gain of the row over the one without events, gain of the true events over it, the first as a share of the second)."""
    oracle = next((control.line for control in found.controls if control.does == ORACLE), None)
    if oracle is None or found.without is None:
        return None
    if (
        len(
            {
                (line.row.folds, line.summary["clips"])
                for line in (found.reference, found.without, oracle)
            }
        )
        > 1
    ):
        return None  # of other clips
    base = found.without.summary["macro_accuracy"]
    gain, possible = (line.summary["macro_accuracy"] - base for line in (found.reference, oracle))
    return (gain, possible, gain / possible) if possible > 0 else None


def _does(reference: TableRow, other: TableRow) -> str:
    """What the other row does to the reference, or ""."""
    apart = fields_apart(reference, other)
    if len(apart) == 1:
        (field,) = apart
        return CONTROLS.get((field, other.row.fields.get(field)), "")
    if _is_without_events(reference, other) and reference.parameters and other.parameters:
        return AS_LARGE if abs(other.parameters / reference.parameters - 1) < ALIKE else ""
    return ""


def _is_without_events(reference: TableRow, other: TableRow) -> bool:
    """Whether it is FA with the reference's features and training; the network's sizes are its own."""
    apart = fields_apart(reference, other)
    return other.row.experiment["system"] == "FA" and all(
        field in ("system", "strategy") or field.startswith(("model.", "event_model."))
        for field in apart
    )


def _swapped(line: TableRow) -> dict | None:
    """Mean over the row's runs of what swapped.json tells; None where a run lacks it."""
    told = [run.swapped for run in line.row.runs]
    if None in told:
        return None
    mean = {
        whose: float(np.mean([one[whose] for one in told]))
        for whose in ("log_mel", "embedding", "neither")
    }
    return mean | {
        end: float(np.mean([one["difference"][end] for one in told])) for end in ("low", "high")
    }


def _listed(words: list[str], last: str, before: str = "") -> str:
    words = [before + word for word in words]
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
