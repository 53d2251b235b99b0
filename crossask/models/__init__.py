"""The scene models, by the name that the paper's Table 3 gives them. TensorFlow is imported with the first model."""

import importlib

from crossask.config import ModelConfig
from crossask.errors import ConfigError

MODELS = {
    "FA": "crossask.models.fa:FA",
    "VEM": "crossask.models.vem:VEM",
    "JRM": "crossask.models.jrm:JRM",
    "CMAM": "crossask.models.cmam:CMAM",
    "DCASE2017": "crossask.models.baselines:DCASE2017",
    "DCASE2019": "crossask.models.baselines:DCASE2019",
}


def build(system: str, classes: int, config: ModelConfig | None = None, **common):
    """The scene model `system` for `classes` scenes.

    Args:
      system: a name of MODELS.
      config: None is the paper's Table 2.
      **common: statistics, seed and event model, see crossask.models.scene_model.SceneModel.

    Raises:
      ConfigError: an unknown system, or choices that do not fit each other.
    """
    if system not in MODELS:
        raise ConfigError(f"There is no scene model {system!r}.", f"Use one of: {', '.join(MODELS)}.")
    return _load(system)(classes, config, **common)


def _load(system: str):
    module, _, name = MODELS[system].partition(":")
    return getattr(importlib.import_module(module), name)


def __getattr__(name: str):
    if name in MODELS:
        return _load(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *MODELS])
