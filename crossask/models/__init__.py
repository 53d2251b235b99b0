"""The scene models. TensorFlow is imported with the first model that is used.

The catalogue (`crossask.config.catalogue.SYSTEMS`) lists them.
"""

from typing import TYPE_CHECKING, Any

from crossask import lazy
from crossask.config import ModelConfig, catalogue

if TYPE_CHECKING:
    from crossask.models.scene_model import SceneModel

_MODULES = {name: system.model.partition(":")[0] for name, system in catalogue.SYSTEMS.items()}
__all__ = ["build", *_MODULES]
__getattr__, __dir__ = lazy.attach(__name__, _MODULES)


def build(
    system: str, classes: int, config: ModelConfig | None = None, **common: Any
) -> "SceneModel":
    """Returns a new scene model.

    Args:
      system: Name of a system of the catalogue.
      classes: Number of scenes.
      config: Choices of the network; None is the paper's Table 2.
      **common: Statistics, seed and event model, see `crossask.models.scene_model.SceneModel`.

    Raises:
      ConfigError: An unknown system, or choices that do not fit each other.
    """
    model_class = catalogue.load(catalogue.system(system).model)
    return model_class(classes, config, **common)
