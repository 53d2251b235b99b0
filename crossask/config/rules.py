"""What fields of an experiment require of each other. Each rule raises ConfigError."""

import dataclasses
import re
from typing import TYPE_CHECKING

from crossask.config import catalogue
from crossask.config.settings import EVENT_SYSTEMS
from crossask.errors import ConfigError

if TYPE_CHECKING:
    from crossask.config.schema import Experiment

# Names of rows and folds are parts of paths, and --experiment lists rows with commas.
NOT_IN_NAMES = re.compile(r"[/\\,\x00-\x1f\x7f]")
# Most disks allow 255 bytes; temporary names are longer than the name.
LONGEST_NAME = 150
SIZES_OF_LAYERS = (
    "encoder_channels",
    "encoder_pools",
    "vem_pools",
    "event_encoder_channels",
    "event_encoder_pools",
)


def check(row: "Experiment") -> None:
    """Raises ConfigError for the first rule that `row` breaks."""
    for rule in RULES:
        rule(row)


def _names_are_folder_names(row: "Experiment") -> None:
    names = [("name", row.name)]
    names += [(f"folds[{index}]", fold) for index, fold in enumerate(row.folds)]
    for field, name in names:
        is_too_long = len(name.encode()) > LONGEST_NAME
        is_relative = name in (".", "..") or name != name.strip()
        if not name or is_relative or is_too_long or NOT_IN_NAMES.search(name):
            shown = repr(name) if len(name) <= LONGEST_NAME else f"{name[:40]!r}..."
            raise ConfigError(
                f"{field} is {shown}, which cannot be the name of a folder of runs.",
                f"Give 1 to {LONGEST_NAME} characters without slashes, commas, line breaks and "
                "outer spaces.",
            )


def _folds_differ(row: "Experiment") -> None:
    if not row.folds or len(set(row.folds)) < len(row.folds):
        raise ConfigError(f"folds is {row.folds!r}.", "Name at least one fold, and each once.")


def _sample_rate_can_be_reached(row: "Experiment") -> None:
    rate = row.features.sample_rate_hz
    if rate not in catalogue.SAMPLE_RATES_HZ:
        raise ConfigError(
            f"features.sample_rate_hz is {rate}.",
            f"Use one of: {', '.join(map(str, catalogue.SAMPLE_RATES_HZ))}. "
            "Recordings may have any rate.",
        )


def _layers_have_sizes(row: "Experiment") -> None:
    for name in SIZES_OF_LAYERS:
        sizes = getattr(row.model, name)
        flat: list[int] = []
        for entry in sizes:
            # Channels are one number for each layer, pools two.
            if isinstance(entry, tuple):
                flat += entry
            else:
                flat.append(entry)
        if not flat or min(flat) < 1:
            raise ConfigError(
                f"model.{name} is {sizes!r}.", "Give integers of at least 1, one entry a layer."
            )


def _numbers_of_epochs_are_reached(row: "Experiment") -> None:
    training = row.training
    for name in ("keep_from", "average_from", "warmup_epochs"):
        epoch = getattr(training, name)
        if epoch > training.epochs:
            raise ConfigError(
                f"training.{name} is {epoch}, but training.epochs is {training.epochs}.",
                f"Lower training.{name} or raise training.epochs.",
            )


def _patience_reaches_the_first_kept_epoch(row: "Experiment") -> None:
    training = row.training
    if not training.patience or training.keep != "best":
        return
    first_end = training.patience_from + training.patience
    if first_end < training.keep_from:
        raise ConfigError(
            f"training.keep_from is {training.keep_from}, but with training.patience="
            f"{training.patience} training could stop after epoch {first_end}, before the first "
            "epoch that may be kept.",
            "Raise training.patience_from or training.patience, or lower training.keep_from.",
        )


def _choices_need_a_validation_part(row: "Experiment") -> None:
    training = row.training
    if training.validation_share > 0:
        return
    problem = ""
    if training.keep != "last":
        problem = f"training.keep is {training.keep!r}"
    elif training.patience:
        problem = f"training.patience is {training.patience}"
    if problem:
        raise ConfigError(
            f"training.validation_share is 0, so there is no validation part, but {problem}.",
            "Set training.keep=last and training.patience=0, or raise training.validation_share.",
        )


def _streams_divide_the_batch(row: "Experiment") -> None:
    training = row.training
    if training.batch_size % training.input_streams:
        raise ConfigError(
            f"Batches of {training.batch_size} clips (training.batch_size) cannot be taken in "
            f"equal parts from {training.input_streams} streams (training.input_streams).",
            "Set training.input_streams to a divisor of training.batch_size.",
        )


def _warm_up_belongs_to_cosine(row: "Experiment") -> None:
    training = row.training
    if training.warmup_epochs and training.schedule != "cosine":
        raise ConfigError(
            f"training.warmup_epochs is {training.warmup_epochs}, but training.schedule is "
            f"{training.schedule!r}.",
            "Set training.schedule=cosine, or training.warmup_epochs=0.",
        )


def _context_frames_need_plain_log_mel(row: "Experiment") -> None:
    if not row.training.context_frames:
        return
    if not row.reads_log_mel:
        raise ConfigError(
            f"training.context_frames is {row.training.context_frames}, but {row.system} reads no "
            "log-mel.",
            "Set training.context_frames=0.",
        )
    if row.reads_events:
        raise ConfigError(
            f"training.context_frames is {row.training.context_frames}, but {row.system} also "
            "reads events, which belong to whole clips.",
            "Set training.context_frames=0, or select rows without events.",
        )
    default = type(row.augmentation)()
    if row.augmentation != default or row.distillation.teacher:
        raise ConfigError(
            f"training.context_frames is {row.training.context_frames}, but the row has "
            "augmentation or a teacher.",
            "Leave augmentation and distillation.teacher at their defaults.",
        )


def _augmented_log_mel_is_read(row: "Experiment") -> None:
    if row.reads_log_mel:
        return
    # Mixup and label smoothing do not change the log-mel.
    of_log_mel = dataclasses.replace(row.augmentation, mixup_alpha=0.0, label_smoothing=0.0)
    default = type(row.augmentation)()
    if of_log_mel != default or row.model.both_channel_orders:
        raise ConfigError(
            f"{row.system} reads no log-mel, but augmentation or model.both_channel_orders changes "
            "it.",
            "Set augmentation.mixup_alpha and augmentation.label_smoothing alone.",
        )


def _event_control_needs_frozen_embeddings(row: "Experiment") -> None:
    if row.event_control and row.event_input != "embedding":
        raise ConfigError(
            f"event_control is {row.event_control!r}, but the row reads no frozen embeddings.",
            f"Set strategy=feature_based with one of: {', '.join(EVENT_SYSTEMS)}.",
        )


def _models_from_outside_are_frozen(row: "Experiment") -> None:
    name = row.event_model.name
    if row.trains_events and not catalogue.event_model(name).is_trainable:
        raise ConfigError(
            f"event_model.name is {name!r}, which cannot be trained, but strategy is "
            f"{row.strategy!r}.",
            "Set strategy=feature_based.",
        )


# Fields that only one event model has.
_EVENT_MODEL_OF_FIELD = {
    "sample_rate_hz": "saved_model",
    "output": "saved_model",
    "window_seconds": "saved_model",
    "embeddings": "precomputed",
}


def _fields_of_one_event_model_need_it(row: "Experiment") -> None:
    event = row.event_model
    default = type(event)()
    for name, needed in _EVENT_MODEL_OF_FIELD.items():
        value = getattr(event, name)
        if value != getattr(default, name) and event.name != needed:
            raise ConfigError(
                f"event_model.{name} is {value!r}, but event_model.name is {event.name!r}, which "
                "has no such choice.",
                f"Leave event_model.{name} at its default, or set event_model.name={needed}.",
            )


def _embeddings_of_8_bits_are_not_trained(row: "Experiment") -> None:
    if row.trains_events and row.event_model.embedding_tap == "vggish_2019":
        raise ConfigError(
            "event_model.embedding_tap is 'vggish_2019', which has no gradient, but the row trains "
            "its event model.",
            "Set strategy=feature_based, or event_model.embedding_tap=relu.",
        )


def _precision_needs_frozen_layers(row: "Experiment") -> None:
    event = row.event_model
    if event.precision == type(event)().precision:
        return
    if row.event_input != "embedding":
        raise ConfigError(
            f"event_model.precision is {event.precision!r}, but the row computes no frozen "
            "embeddings.",
            "Set strategy=feature_based with a system that reads events. A trained event model has "
            "the precision training.precision.",
        )
    if not catalogue.event_model(event.name).is_trainable:
        raise ConfigError(
            f"event_model.precision is {event.precision!r}, but event_model.name is "
            f"{event.name!r}, which comes from outside and has its own precision.",
            f"Leave event_model.precision at its default, or set event_model.name to one of: "
            f"{', '.join(catalogue.trainable_event_models())}.",
        )


def _encoder_fields_need_an_encoder(row: "Experiment") -> None:
    model = row.model
    has_deltas = model.deltas or model.first_deltas
    sets_encoder = model.encoder != "conv" or model.split_band or has_deltas
    if sets_encoder and not catalogue.system(row.system).has_scene_encoder:
        raise ConfigError(
            "model.encoder, model.split_band, model.deltas or model.first_deltas is set, but "
            f"{row.system} has no encoder of the log-mel.",
            "Leave them at their defaults, or use FA, JRM or CMAM.",
        )


def _first_deltas_are_the_second_of_two_channels(row: "Experiment") -> None:
    if not row.model.first_deltas:
        return
    if row.model.deltas:
        raise ConfigError(
            "model.deltas and model.first_deltas are both true.",
            "Set one of them: model.deltas contains the first deltas.",
        )
    if not row.features.mono:
        raise ConfigError(
            "model.first_deltas is true, but features.mono is false.",
            "Set features.mono=true first, so that log-mel and deltas are two channels.",
        )


def _penalty_needs_attention_pooling(row: "Experiment") -> None:
    if row.model.pooling_penalty and not catalogue.system(row.system).has_attention_pooling:
        raise ConfigError(
            f"model.pooling_penalty is {row.model.pooling_penalty:g}, but {row.system} has no "
            "attention pooling.",
            "Set model.pooling_penalty=0, or select other rows.",
        )


def _trunk_needs_vem(row: "Experiment") -> None:
    model = row.model
    if row.system != "VEM" and (model.trunk or model.trunk_training != "trained"):
        raise ConfigError(
            f"model.trunk or model.trunk_training is set, but the trunk of {row.system} cannot be "
            "pre-trained.",
            "Leave both at their defaults, or use VEM.",
        )


def _only_own_recordings_are_cut(row: "Experiment") -> None:
    if row.features.clip_hop_seconds is not None and row.dataset != "folder":
        raise ConfigError(
            f"features.clip_hop_seconds is {row.features.clip_hop_seconds:g}, but the recordings "
            f"of the data set {row.dataset!r} are clips already.",
            "Set features.clip_hop_seconds=None, or dataset=folder.",
        )


RULES = (
    _names_are_folder_names,
    _folds_differ,
    _sample_rate_can_be_reached,
    _layers_have_sizes,
    _numbers_of_epochs_are_reached,
    _patience_reaches_the_first_kept_epoch,
    _choices_need_a_validation_part,
    _streams_divide_the_batch,
    _warm_up_belongs_to_cosine,
    _context_frames_need_plain_log_mel,
    _augmented_log_mel_is_read,
    _event_control_needs_frozen_embeddings,
    _models_from_outside_are_frozen,
    _fields_of_one_event_model_need_it,
    _embeddings_of_8_bits_are_not_trained,
    _precision_needs_frozen_layers,
    _encoder_fields_need_an_encoder,
    _first_deltas_are_the_second_of_two_channels,
    _penalty_needs_attention_pooling,
    _trunk_needs_vem,
    _only_own_recordings_are_cut,
)
