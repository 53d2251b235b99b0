"""Pre-training of event models as taggers of labelled events."""

from crossask import lazy

_NAMES = ("LabelledClip", "PretrainingConfig", "pretrain", "read_labelled_clips")
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy.attach(__name__, dict.fromkeys(_NAMES, "crossask.pretraining.tagger"))
