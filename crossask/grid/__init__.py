"""A grid of runs (rows x folds x seeds): planning, checking and training it."""

from crossask import lazy

_MODULES = {
    "Execution": "crossask.grid.trainer",
    "Grid": "crossask.grid.runs",
    "StepTime": "crossask.grid.runs",
    "train": "crossask.grid.trainer",
}
__all__ = sorted(_MODULES)
__getattr__, __dir__ = lazy.attach(__name__, _MODULES)
