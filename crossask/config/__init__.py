"""The configuration of an experiment: every choice as a frozen, checked value with its source.

The names below are imported when they are first used, so that `crossask.config.catalogue` alone
needs no pydantic.
"""

from crossask import lazy

_SCHEMA = (
    "AugmentationConfig",
    "DistillationConfig",
    "EventModelConfig",
    "Experiment",
    "FeatureConfig",
    "FineTuningConfig",
    "LogMelConfig",
    "ModelConfig",
    "TrainingConfig",
)
_VALUES = ("digest", "from_dict", "override", "parse_overrides", "to_dict")
_FILES = ("shipped_experiments", "read_experiments", "resolve", "with_absolute_paths")

__all__ = [*_SCHEMA, *_VALUES, *_FILES]
__getattr__, __dir__ = lazy.attach(
    __name__,
    {
        **dict.fromkeys(_SCHEMA, "crossask.config.schema"),
        **dict.fromkeys(_VALUES, "crossask.config.values"),
        **dict.fromkeys(_FILES, "crossask.config.experiment_files"),
    },
)
