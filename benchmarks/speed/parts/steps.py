"""Training steps of four rows of the paper in float32 and in mixed bfloat16.

A step is forward pass, loss, gradients and Adam on a batch of eight clips of random features.
"""

from collections.abc import Iterator
from typing import Any

from crossask import config
from speed import rows, tables
from speed.setup import Setup

UNIT = "step"
ROWS = ("fa", "jrm_feature_based", "cmam_feature_based", "cmam_fine_tuning")
# Precision -> the largest differences of the first three losses and gradient norms.
TOLERANCES = {
    "float32": {"losses": 1e-3, "gradient norms": 1e-2},
    "mixed_bfloat16": {"losses": 3e-2, "gradient norms": 0.1},
}


def measure(setup: Setup) -> Iterator[tuple[str, Any]]:
    """Yields each work with its figures on one core and on all cores."""
    for row in ROWS:
        for precision, tolerances in TOLERANCES.items():
            options = _options(row, setup.short) | {
                "precision": precision,
                "batch": 1 if setup.short else 8,
                "folder": str(setup.folder(f"{row}_{precision}")),
            }
            sides = [
                setup.ours("steps", options),
                setup.peer("PyTorch", "torch_steps", options),
            ]
            yield f"{row}, {precision}", setup.compare(sides, tolerances)


def section(figures: tables.Figures) -> str:
    """Returns the table of the figures."""
    return tables.comparisons(figures, UNIT)


def _options(name: str, is_narrow: bool) -> dict[str, Any]:
    """Returns what both sides need to know about a row."""
    # With random weights, a step takes the same time, and training from scratch is the same step.
    name = name.replace("fine_tuning", "from_scratch")
    options = rows.options(name, is_narrow, "event_model.weights=")
    experiment = rows.read(options)
    return options | {
        "system": experiment.system,
        "model": config.to_dict(experiment)["model"],
        "learning_rate": experiment.training.learning_rate,
        "trains_events": experiment.trains_events,
    }
