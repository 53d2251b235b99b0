"""Training one run: a row on one fold with one seed. TensorFlow is imported with the first name used."""

from crossask import lazy

_MODULES = {
    "MacroAccuracy": "crossask.training.metrics",
    "compiled": "crossask.training.run",
    "predict": "crossask.training.evaluate",
    "train": "crossask.training.run",
    "training_data": "crossask.training.run",
}
__all__ = sorted(_MODULES)
__getattr__, __dir__ = lazy.attach(__name__, _MODULES)
