"""Pre-training of event models and of trunks as taggers of labelled events."""

from crossask import lazy

_MODULES = {
    "LabelledClip": "crossask.pretraining.labels",
    "PretrainingConfig": "crossask.pretraining.training",
    "ProgressFunctions": "crossask.pretraining.training",
    "TrunkPretrainingConfig": "crossask.pretraining.trunk",
    "pretrain": "crossask.pretraining.training",
    "pretrain_trunk": "crossask.pretraining.trunk",
    "read_labelled_clips": "crossask.pretraining.labels",
}
__all__ = sorted(_MODULES)
__getattr__, __dir__ = lazy.attach(__name__, _MODULES)
