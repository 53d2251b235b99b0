"""Pre-training of event models and of trunks as taggers of labelled events."""

from crossask import lazy

_MODULES = {
    "LabelledClip": "crossask.pretraining.labels",
    "Options": "crossask.pretraining.training",
    "PretrainingConfig": "crossask.pretraining.training",
    "TrunkPretrainingConfig": "crossask.pretraining.trunk",
    "is_segments_file": "crossask.pretraining.audioset",
    "pretrain": "crossask.pretraining.training",
    "pretrain_trunk": "crossask.pretraining.trunk",
    "read_labelled_clips": "crossask.pretraining.labels",
    "read_segments": "crossask.pretraining.audioset",
}
__all__ = sorted(_MODULES)
__getattr__, __dir__ = lazy.attach(__name__, _MODULES)
