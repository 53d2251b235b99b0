"""A grid of runs: rows x folds x seeds."""

from crossask import lazy

_MODULES = {"Grid": "crossask.grid.trainer", "train": "crossask.grid.trainer"}
__all__ = sorted(_MODULES)
__getattr__, __dir__ = lazy.attach(__name__, _MODULES)
