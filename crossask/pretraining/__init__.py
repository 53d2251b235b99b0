"""Pre-training of event models as taggers of labelled events."""

from crossask import lazy

_MODULES = {
    "LabelledClip": "crossask.pretraining.labels",
    "PretrainingConfig": "crossask.pretraining.training",
    "ProgressFunctions": "crossask.pretraining.training",
    "pretrain": "crossask.pretraining.training",
    "read_labelled_clips": "crossask.pretraining.labels",
}
__all__ = sorted(_MODULES)
__getattr__, __dir__ = lazy.attach(__name__, _MODULES)
