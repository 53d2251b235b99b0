"""Event models by name: layers from patches to embeddings. A new one is one file and one line here."""

import importlib
from pathlib import Path

from crossask.config import EventModelConfig, Experiment
from crossask.errors import ConfigError

EVENT_MODELS = {
    "vggish": "crossask.events.vggish:VGGish",
    "yamnet": "crossask.events.yamnet:YAMNet",
}
# which patches of crossask.audio.frontends a model reads
_FRONT_ENDS = {"vggish": "vggish", "yamnet": "yamnet"}
_CLASSES = {target.partition(":")[2]: name for name, target in EVENT_MODELS.items()}


def front_end(name: str) -> str:
    """The front-end that the event model `name` reads, known without TensorFlow."""
    _check(name)
    return _FRONT_ENDS[name]


def front_end_of(experiment: Experiment) -> str:
    """The front-end of the row's event model; "" for a row that reads no events."""
    return front_end(experiment.event_model.name) if experiment.event_input else ""


def frozen(experiment: Experiment):
    """The event model whose embeddings the row reads, built as `build` does; None for a row that reads none or trains its own."""
    return build(experiment.event_model) if experiment.event_input == "embedding" else None


def build(config: EventModelConfig, trainable: bool = False, seed: int = 0):
    """The event model that `config` describes, built, with its weights (or, where it names none, random ones by `seed`).

    `config.weights` may be an .npz, a TF1 checkpoint, a folder with a SavedModel, or a TF-Hub handle. The tap "pca" takes
    `config.pca`, such as crossask-pretrain fits, else the file that `crossask-prepare --assets=vggish_pca` put into the cache.

    Raises:
      ConfigError: an unknown name, or choices that do not fit each other.
      WeightsError: the weights are not there or not this model's.
    """
    cls = event_model_class(config.name)
    from crossask.events import reading_weights

    options = {"trainable": trainable, "embedding_tap": config.embedding_tap, "activation": config.activation, "width": config.width}
    if config.embedding_tap == "pca" and config.name == "vggish":
        from crossask.events import assets

        options["pca"] = config.pca or assets.cached("vggish_pca")
    if not config.weights:
        return cls(seed=seed, **options).built_whole()
    path = Path(config.weights)
    if path.suffix == ".npz":
        return cls.from_npz(path, **options)
    if reading_weights.is_tf1_checkpoint(path):
        return cls.from_checkpoint(path, **options)
    return cls.from_hub(config.weights, **options)


def _check(name: str):
    if name not in EVENT_MODELS:
        raise ConfigError(f"There is no event model {name!r}.", f"Use one of: {', '.join(EVENT_MODELS)}.")


def event_model_class(name: str):
    """The class of the event model `name`; a ConfigError where there is none."""
    _check(name)
    module, _, cls = EVENT_MODELS[name].partition(":")
    return getattr(importlib.import_module(module), cls)


def __getattr__(name: str):
    if name in _CLASSES:
        return event_model_class(_CLASSES[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
