"""The event models: from log-mel patches or waveforms to embeddings, or embeddings from a file.

TensorFlow is imported on first use.

The catalogue (`crossask.config.catalogue.EVENT_MODELS`) lists them.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from crossask import lazy
from crossask.config import EventModelConfig, Experiment, catalogue, digest
from crossask.errors import ConfigError

if TYPE_CHECKING:
    from crossask.events.layer import EventModel
    from crossask.events.precomputed import Precomputed
    from crossask.events.waveform_model import WaveformModel

_MODULES = {
    entry.layer.partition(":")[2]: entry.layer.partition(":")[0]
    for entry in catalogue.EVENT_MODELS.values()
}
__all__ = [
    "are_from_file",
    "build",
    "digest_of",
    "event_model_class",
    "front_end_of",
    "frozen",
    *_MODULES,
]
__getattr__, __dir__ = lazy.attach(__name__, _MODULES)


def event_model_class(name: str) -> type["EventModel | WaveformModel | Precomputed"]:
    """Returns the class of an event model of the catalogue; raises ConfigError if there is none."""
    return catalogue.load(catalogue.event_model(name).layer)


def front_end_of(experiment: Experiment) -> str:
    """Returns the name of the front-end of the row's event model.

    It is "" if the row reads no events, or embeddings from a file.
    """
    if not experiment.reads_events:
        return ""
    return catalogue.event_model(experiment.event_model.name).front_end


def are_from_file(experiment: Experiment) -> bool:
    """Returns whether the row reads embeddings that another toolkit computed, from a file."""
    return experiment.event_input == "embedding" and not front_end_of(experiment)


def frozen(experiment: Experiment) -> "EventModel | WaveformModel | Precomputed | None":
    """Returns the frozen event model whose embeddings the row reads, as `build` makes it.

    Returns None for a row that reads no events or trains its event model.
    """
    if experiment.event_input != "embedding":
        return None
    return build(experiment.event_model)


def digest_of(
    settings: EventModelConfig, event_model: "EventModel | WaveformModel | Precomputed"
) -> str:
    """Returns digits that change with the embeddings that an event model computes.

    These are its weights, its precision and, of an event model or front-end of the user's own, the
    code.
    """
    entry = catalogue.event_model(settings.name)
    codes = [catalogue.code_of(entry.layer)]
    if entry.front_end:
        codes.append(catalogue.code_of(catalogue.front_end(entry.front_end).patches))
    digits = event_model.weights_digest()
    if any(codes):
        digits = digest(digits, codes)
    # Digits of embeddings in float32 are as they were before this field.
    if settings.precision != "float32":
        digits = digest(digits, settings.precision)
    return digits


def build(
    config: EventModelConfig, trainable: bool = False, seed: int = 0
) -> "EventModel | WaveformModel | Precomputed":
    """Returns an event model with its weights, all variables created.

    Args:
      config: The event model. `config.weights` may be an .npz, a TF1 checkpoint, a Keras file
        (.h5), a folder with a SavedModel or a TF-Hub handle; if it is empty, the weights are
        random. The embedding taps "pca" and "vggish_2019" use `config.pca`, as crossask-pretrain
        writes it, or else the file that `crossask-prepare --assets=vggish_pca` stored in the cache.
      trainable: Whether the model is trained, with the Keras policy that is set; a frozen one runs
        in inference mode, with `config.precision`.
      seed: Seed of random weights.

    Raises:
      ConfigError: An unknown event model, choices that do not fit each other, or a model from
        outside that should be trained.
      WeightsError: The weights are missing, or belong to another model.
    """
    model_class = event_model_class(config.name)
    if not catalogue.event_model(config.name).is_trainable:
        if trainable:
            raise ConfigError(
                f"event_model.name is {config.name!r}, which cannot be trained.",
                f"Use one of: {', '.join(catalogue.trainable_event_models())}.",
            )
        return model_class(config)
    if trainable:
        return _layer(config, trainable, seed)
    # TensorFlow is imported on first use.
    from crossask import precision

    with precision.policy(config.precision):
        return _layer(config, trainable, seed)


def _layer(config: EventModelConfig, trainable: bool, seed: int) -> "EventModel":
    """Returns an event model of this package with its weights; see `build`."""
    from crossask.events import assets, weights

    model_class = event_model_class(config.name)
    options = {
        "trainable": trainable,
        "embedding_tap": config.embedding_tap,
        "activation": config.activation,
        "width": config.width,
        "initialisation": config.initialisation,
    }
    needs_pca = config.embedding_tap in catalogue.PCA_TAPS
    if needs_pca and catalogue.event_model(config.name).has_pca:
        options["pca"] = config.pca or assets.cached("vggish_pca")
    if not config.weights:
        return model_class(seed=seed, **options).built_whole()
    path = Path(config.weights)
    if path.suffix == ".npz":
        return model_class.from_npz(path, **options)
    if weights.is_checkpoint(path):
        return model_class.from_checkpoint(path, **options)
    return model_class.from_hub(config.weights, **options)
