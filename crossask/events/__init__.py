"""Event models by name: layers from patches to embeddings. A new one is one file and one line here."""

import importlib
from pathlib import Path

from crossask.config import EventModelConfig
from crossask.errors import ConfigError

EVENT_MODELS = {
    "vggish": "crossask.events.vggish:VGGish",
    "yamnet": "crossask.events.yamnet:YAMNet",
}
# which patches of crossask.audio.frontends a model reads
_FRONT_ENDS = {"vggish": "vggish", "yamnet": "yamnet"}
_CLASSES = {"VGGish": "vggish", "YAMNet": "yamnet"}


def front_end(name: str) -> str:
    """The front-end that the event model `name` reads, known without TensorFlow."""
    _check(name)
    return _FRONT_ENDS[name]


def build(config: EventModelConfig, trainable: bool = False, seed: int = 0):
    """The event model that `config` describes, built, with its weights (or, where it names none, random ones by `seed`).

    Raises:
      ConfigError: an unknown name, or choices that do not fit each other.
      WeightsError: the weights are not there or not this model's.
    """
    _check(config.name)
    cls = _load(config.name)
    options = {"trainable": trainable, "embedding_tap": config.embedding_tap, "activation": config.activation, "width": config.width}
    if not config.weights:
        return cls(seed=seed, **options).built_whole()
    path = Path(config.weights)
    if path.suffix == ".npz":
        return cls.from_npz(path, **options)
    if path.is_file():
        return cls.from_checkpoint(path, **options)
    return cls.from_hub(config.weights, **options)


def _check(name: str):
    if name not in EVENT_MODELS:
        raise ConfigError(f"There is no event model {name!r}.", f"Use one of: {', '.join(EVENT_MODELS)}.")


def _load(name: str):
    module, _, cls = EVENT_MODELS[name].partition(":")
    return getattr(importlib.import_module(module), cls)


def __getattr__(name: str):
    if name in _CLASSES:
        return _load(_CLASSES[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
