"""Every choice of an experiment as a frozen value, with its source beside it. Imports no TensorFlow.

Marks: [P] the paper says so; [D] follows from the paper's numbers; [C] the paper is silent, the choice is ours.
"""

import ast
import dataclasses
import difflib
import hashlib
import importlib.util
import json
import math
import types
import typing
from pathlib import Path

from crossask.errors import ConfigError

SYSTEMS = ("FA", "VEM", "JRM", "CMAM", "DCASE2017", "DCASE2019")
NO_EVENTS = ("FA", "DCASE2017", "DCASE2019")  # systems that read the log-mel alone
STRATEGIES = ("from_scratch", "feature_based", "fine_tuning")
MONITORS = ("macro_accuracy", "accuracy")
KEPT = ("best", "last")
SCHEDULES = ("constant", "cosine", "warm_restarts")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
STATISTICS = ("training_part", "training_fold")
AVERAGING = ("step", "epoch")
EVENT_CONTROLS = ("", "other_clip", "shuffled_in_time", "true_events")


@dataclasses.dataclass(frozen=True)
class LogMelConfig:
    """One log-mel front-end: short-time spectrum, HTK mel triangles, natural logarithm."""

    window_seconds: float = 0.025  # [P] Table 2
    hop_seconds: float = 0.010  # [P] Table 2; "10 ms overlap" read as the hop [C]
    fft_size: int = 2048  # [C]
    mel_bins: int = 64  # [P] Table 2
    min_hz: float = 0.0  # [C]
    max_hz: float | None = None  # [C] None is half the sample rate
    spectrum: str = "power"  # [C] power | magnitude
    log_offset: float = 1e-6  # [C]
    mel_scale: str = "htk"  # [C] htk (peak 1) | slaney (equal area), as librosa's default
    window: str = "hann"  # [C] hann | hamming, periodic
    centred: bool = False  # [C] frame t is centred at t * hop, the ends mirrored, as librosa's default


@dataclasses.dataclass(frozen=True)
class FeatureConfig:
    """From a recording to what a scene model reads."""

    sample_rate_hz: int = 48000  # [C] the corpus's own: 48 kHz TAU, 44.1 kHz TUT
    clip_seconds: float = 10.0  # [P]
    max_padding_seconds: float = 0.1  # [C] a clip shorter than clip_seconds by more than this is an error
    max_cut_seconds: float = 0.1  # [C] a clip longer by more than this is an error
    mono: bool = False  # [P] two channels; True: their mean, one channel
    log_mel: LogMelConfig = LogMelConfig()


@dataclasses.dataclass(frozen=True)
class EventModelConfig:
    """The network that knows events, and where its knowledge comes from."""

    name: str = "vggish"  # [P] vggish | yamnet
    width: float = 1.0  # share of the published channel counts; below 1 for small runs
    weights: str = ""  # TF-Hub handle or folder, TF1 checkpoint or .npz; empty: random weights
    embedding_tap: str = "linear"  # [C] linear (as TF-Hub) | relu (as the code of 2019) | pca
    activation: str = "relu"  # relu | relu6 (YAMNet's published TFLite file)
    pca: str = ""  # for the tap "pca": an .npz such as crossask-pretrain writes; empty: Google's, from the cache
    pad_end: bool = False  # VGGish: 11 patches for 10 s instead of 10


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The scene network of Table 2."""

    encoder: str = "conv"  # [P] conv (Figure 1) | residual, see crossask/models/residual.py
    split_band: bool = False  # [P] one encoder; True: one for the lower half of the mel bins and one for the upper
    deltas: bool = False  # [P] log-mel alone; True: its first and second slope in time as further channels
    encoder_channels: tuple[int, ...] = (64, 128, 256, 512)  # [P]
    encoder_pools: tuple[tuple[int, int], ...] = ((2, 2), (2, 2), (2, 2), (2, 2))  # [P]
    batch_norm_momentum: float = 0.9  # [C] 0.99 starves small corpora, see docs/decisions.md D4
    batch_norm_epsilon: float = 1e-3  # [C]
    pooling_heads: int = 4  # [P]
    pooling_dim: int = 1024  # [P]
    pooling_activation: str = "relu"  # [C] relu | tanh
    pooling_penalty: float = 0.0  # [C] weight of |A A^T - I|^2 (Lin et al. 2017), in training
    vem_pools: tuple[tuple[int, int], ...] = ((2, 2), (2, 2), (1, 2), (1, 2))  # [C] four 2x2 leave no frame of ten
    event_encoder_channels: tuple[int, ...] = (64, 128, 256, 512, 1024, 1024, 2048)  # [P] JRM
    event_encoder_pools: tuple[tuple[int, int], ...] = ((2, 2), (2, 2), *((1, 2),) * 5)  # [P] JRM
    event_width: int = 128  # [C] VEM, JRM: an embedding of another width is brought to this by a linear layer
    attention_heads: int = 8  # [P] CMAM
    attention_dim: int = 2048  # [P] CMAM "query dim", all heads together
    attention_scale: str = "head_dim"  # [C] head_dim (256) | query_dim (2048)
    attention_dropout: float = 0.1  # [C]
    layer_norm_epsilon: float = 1e-6  # [C]
    cross_attention: str = "event_queries_scene"  # [P] | scene_queries_event [C] | scene_queries_scene, events_alone (controls)
    standardise_embedding: bool = False  # [C] the embedding goes in unscaled
    both_channel_orders: bool = False  # [C] in use, the mean probability of a clip and of the clip with left and right exchanged


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How a row is trained. Everything is chosen on the validation part of the training fold."""

    epochs: int = 60  # [C]
    batch_size: int = 32  # [C]
    learning_rate: float = 3e-4  # [C] one rate for the whole network [P]
    validation_share: float = 0.3  # [C] of the training fold's locations, drawn per class and city
    validation_seed: int = 0  # [C] the cut is the same for every row and seed
    shuffle_buffer: int = 256  # [C] clips
    monitor: str = "macro_accuracy"  # [C] macro_accuracy | accuracy: what the validation part is scored by
    keep: str = "best"  # [C] best | last: the epoch whose weights are kept
    keep_from: int = 1  # [C] the first epoch that may be the best
    patience: int = 0  # [C] epochs without a better one after which training stops; 0: never
    patience_from: int = 1  # [C] the first epoch that counts for it
    statistics_over: str = "training_part"  # [C] training_part | training_fold (with the validation part)
    schedule: str = "constant"  # [C] constant | cosine: the learning rate falls to zero over all epochs | warm_restarts: again and again
    warmup_epochs: int = 0  # [C] epochs in which the cosine schedule first rises from zero
    restart_epochs: int = 2  # [C] the first fall of warm_restarts; each takes twice as long as the one before: restarts after 2, 6, 14, ...
    precision: str = "float32"  # [C] float32 | mixed_bfloat16 | mixed_float16: of products in training; weights stay float32
    input_streams: int = 1  # [C] the shards of features are dealt to so many streams; a batch takes an equal share of each
    average_decay: float = 0.0  # [C] the weights' average is validated and kept; 0: none, 1: the mean, between: exponential
    average_every: str = "step"  # [C] step | epoch: how often the average takes in the weights
    average_from: int = 1  # [C] the first epoch of the average
    context_frames: int = 0  # frames of log-mel that a model learns from at once, DCASE 2017's baseline; 0: whole clips


@dataclasses.dataclass(frozen=True)
class AugmentationConfig:
    """What is done to the clips of a training batch, anew in every step; see crossask/augmentation.py. The default is nothing."""

    mixup_alpha: float = 0.0  # [C] Beta(a, a) of the share of the other clip; 0: no mixing
    time_masks: int = 0  # [C] stretches of log-mel set to its mean
    time_mask_frames: int = 20  # [C] the longest
    frequency_masks: int = 0  # [C] bands of log-mel set to its mean
    frequency_mask_bins: int = 8  # [C] the widest
    time_roll: bool = False  # [C] log-mel turned round in time, its end before its start
    swap_channels: bool = False  # [C] left and right exchanged in half of the clips
    crop_frames: int = 0  # [C] a stretch of so many frames of log-mel; 0: all
    label_smoothing: float = 0.0  # [C] share of a label that is spread over all scenes


@dataclasses.dataclass(frozen=True)
class DistillationConfig:
    """A teacher's answers as a second target (Hinton, Vinyals and Dean 2015)."""

    teacher: str = ""  # tables of its probabilities for the training clips: training_predictions.csv, several joined by ";"
    weight: float = 1.0  # of the teacher's term beside the labels'
    temperature: float = 2.0  # of teacher and student


@dataclasses.dataclass(frozen=True)
class FineTuningConfig:
    """How a trained event model learns beside the scene part. The defaults are the paper's: one learning rate, all at once."""

    event_rate: float = 1.0  # [P] its learning rate, as a factor on training.learning_rate
    layer_decay: float = 1.0  # [P] a further factor for each of its layers below the topmost
    probe_epochs: int = 0  # [P] epochs in which the scene part learns alone
    unfreeze_epochs: int = 0  # [P] epochs from one of its layers to the next one down; 0: all layers at once
    l2_to_start: float = 0.0  # [P] share of the way back to its starting weights that a step of rate 1 takes


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One row of a results table: a system, a strategy, a corpus."""

    name: str
    system: str = "FA"  # FA | VEM | JRM | CMAM | DCASE2017 | DCASE2019
    strategy: str = "from_scratch"  # from_scratch | feature_based | fine_tuning
    dataset: str = "tau2019"
    folds: tuple[str, ...] = ("1",)
    features: FeatureConfig = FeatureConfig()
    event_model: EventModelConfig = EventModelConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    fine_tuning: FineTuningConfig = FineTuningConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    distillation: DistillationConfig = DistillationConfig()
    event_control: str = ""  # frozen embeddings replaced, see crossask/controls.py: other_clip | shuffled_in_time | true_events
    paper_score: float | None = None  # macro accuracy in percent, Table 3
    note: str = ""  # what a reader of its score must know; the report prints it

    def __post_init__(self):
        for field, value, known in (
            ("system", self.system, SYSTEMS),
            ("strategy", self.strategy, STRATEGIES),
            ("training.monitor", self.training.monitor, MONITORS),
            ("training.keep", self.training.keep, KEPT),
            ("training.statistics_over", self.training.statistics_over, STATISTICS),
            ("training.schedule", self.training.schedule, SCHEDULES),
            ("training.precision", self.training.precision, PRECISIONS),
            ("training.average_every", self.training.average_every, AVERAGING),
            ("event_control", self.event_control, EVENT_CONTROLS),
        ):
            if value not in known:
                raise ConfigError(f"{field} of experiment {self.name!r} is {value!r}.", f"Use one of: {', '.join(known)}.")
        training, varied = self.training, self.augmentation
        for field, value, least, most in (
            ("training.epochs", training.epochs, 1, math.inf),
            ("training.batch_size", training.batch_size, 1, math.inf),
            ("training.shuffle_buffer", training.shuffle_buffer, 1, math.inf),
            ("training.input_streams", training.input_streams, 1, math.inf),
            ("training.average_decay", training.average_decay, 0, 1),
            ("training.average_from", training.average_from, 1, training.epochs),
            ("training.restart_epochs", training.restart_epochs, 1, math.inf),
            ("distillation.weight", self.distillation.weight, 0, math.inf),
            ("distillation.temperature", self.distillation.temperature, 1e-3, math.inf),
            ("augmentation.label_smoothing", varied.label_smoothing, 0, 1),
            *(
                (f"augmentation.{name}", getattr(varied, name), 0, math.inf)
                for name in ("mixup_alpha", "time_masks", "time_mask_frames", "frequency_masks", "frequency_mask_bins", "crop_frames")
            ),
        ):
            if not least <= value <= most:
                span = f"at least {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
                raise ConfigError(f"{field} of experiment {self.name!r} is {value:g}.", f"Give a value {span}.")
        if training.context_frames and not self.reads_log_mel:
            raise ConfigError(
                f"Experiment {self.name!r} learns from stretches of frames (training.context_frames) and reads no log-mel.",
                "Set training.context_frames=0.",
            )
        if training.context_frames and (varied != AugmentationConfig() or self.distillation.teacher):
            raise ConfigError(
                f"Experiment {self.name!r} learns from stretches of frames (training.context_frames) and varies clips or has a teacher.",
                "Leave augmentation and distillation.teacher out of it.",
            )
        of_sound = dataclasses.replace(varied, mixup_alpha=0.0, label_smoothing=0.0) != AugmentationConfig()
        if not self.reads_log_mel and (of_sound or self.model.both_channel_orders):
            raise ConfigError(
                f"Experiment {self.name!r} reads no log-mel, and its augmentation or model.both_channel_orders varies it.",
                "Of both, leave augmentation.mixup_alpha and label_smoothing alone.",
            )
        if self.event_control and self.event_input != "embedding":
            raise ConfigError(
                f"Experiment {self.name!r} replaces embeddings (event_control), but reads none that are frozen.",
                "Set strategy=feature_based with VEM, JRM or CMAM.",
            )
        if self.training.warmup_epochs and self.training.schedule != "cosine":
            raise ConfigError(
                f"Experiment {self.name!r} has training.warmup_epochs={self.training.warmup_epochs} and schedule {self.training.schedule}.",
                "Set training.schedule=cosine, or training.warmup_epochs=0.",
            )
        if not self.has_scene_encoder and (self.model.encoder != "conv" or self.model.split_band or self.model.deltas):
            raise ConfigError(
                f"Experiment {self.name!r} sets model.encoder, split_band or deltas, and {self.system} has no encoder of the log-mel.",
                "Leave them out, or use FA, JRM or CMAM.",
            )
        if self.model.pooling_penalty and self.system.startswith("DCASE"):
            raise ConfigError(
                f"Experiment {self.name!r} sets model.pooling_penalty, and {self.system} has no attention pooling.",
                "Leave it out, or name other rows.",
            )
        if self.training.batch_size % self.training.input_streams:
            raise ConfigError(
                f"Experiment {self.name!r} cannot draw batches of {self.training.batch_size} from {self.training.input_streams} streams.",
                "Set training.input_streams to a divisor of training.batch_size.",
            )
        if self.training.keep_from > self.training.epochs:
            raise ConfigError(
                f"Experiment {self.name!r} keeps an epoch from {self.training.keep_from} on and trains {self.training.epochs}.",
                "Lower training.keep_from or raise training.epochs.",
            )

    @property
    def reads_log_mel(self) -> bool:
        return self.system != "VEM"

    @property
    def has_scene_encoder(self) -> bool:
        """Whether the log-mel passes the encoder that `model` describes."""
        return self.system in ("FA", "JRM", "CMAM")

    @property
    def soft_targets(self) -> bool:
        """Whether a clip's target is a probability for every scene instead of one scene."""
        return bool(self.augmentation.mixup_alpha or self.augmentation.label_smoothing)

    @property
    def event_input(self) -> str:
        """What the row reads of the event branch: "" (nothing), "embedding" (frozen) or "patches" (trained)."""
        if self.system in NO_EVENTS:
            return ""
        return "embedding" if self.strategy == "feature_based" else "patches"


def to_dict(value) -> dict:
    """A frozen configuration as plain dictionaries and lists, ready for JSON."""
    return json.loads(json.dumps(dataclasses.asdict(value)))


def digest(*values) -> str:
    """Sixteen hexadecimal digits that change with any field of any value (dataclasses or plain JSON values)."""
    plain = [dataclasses.asdict(v) if dataclasses.is_dataclass(v) else v for v in values]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def from_dict(cls, values: dict, where: str = ""):
    """The dataclass `cls` from plain values; an unknown name or a wrong type is a ConfigError that says where."""
    types_of = typing.get_type_hints(cls)
    for name in values:
        _check_name(name, types_of, where)
    return cls(**{name: _typed(types_of[name], value, f"{where}{name}") for name, value in values.items()})


def override(config, changes: dict):
    """A copy of `config` with fields replaced: {"training.epochs": 3}, nested dictionaries, or both."""
    for path, value in changes.items():
        config = _replace(config, path.split("."), value, "")
    return config


def parse_overrides(text: str) -> dict:
    """`training.epochs=3,model.encoder_channels=(8,16,32,64)` as a dictionary for `override`."""
    changes = {}
    for part in _split_outside_brackets(text):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"{part.strip()!r} in --params_override has no 'name=value'.", "Write --params_override=training.epochs=3.")
        try:
            changes[name.strip()] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError):
            changes[name.strip()] = {"true": True, "false": False, "none": None}.get(value.strip().lower(), value.strip())
    return changes


def read_experiments(reference: str) -> tuple[Experiment, ...]:
    """The rows that `path/to/file.py` (all) or `path/to/file.py:row,row` names; the file's `ROWS` holds them.

    Reading an experiment runs its file, which is meant to be literal data and imports nothing but this module.
    """
    path, _, names = reference.partition(".py:")
    path = Path(path if path.endswith(".py") else f"{path}.py")
    if not path.is_file():
        raise ConfigError(f"There is no experiment file {str(path)!r}.", "Give a path such as experiments/demo.py:cmam_feature_based.")
    spec = importlib.util.spec_from_file_location(f"crossask_experiment_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rows = {row.name: row for row in getattr(module, "ROWS", ())}
    if not rows:
        raise ConfigError(f"{path} defines no rows.", "Define ROWS, a tuple of crossask.config.Experiment.")
    wanted = [name.strip() for name in names.split(",") if name.strip()] or list(rows)
    for name in wanted:
        if name not in rows:
            raise ConfigError(f"{path} has no row {name!r}.", f"{_nearest(name, rows)}Its rows: {', '.join(rows)}.")
    return tuple(rows[name] for name in wanted)


def resolve(experiment: Experiment, config_files=(), params_override: str = "") -> Experiment:
    """Model Garden's order: the row, then each file (JSON) in turn, then the override."""
    for path in config_files:
        try:
            changes = json.loads(Path(path).read_text())
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{path} is not a readable JSON file ({error}).", "Give a JSON object of fields, as in a run's config.json."
            ) from error
        experiment = override(experiment, changes.get("experiment", changes))
    return override(experiment, parse_overrides(params_override)) if params_override else experiment


def _replace(config, path: list[str], value, where: str):
    name, rest = path[0], path[1:]
    types_of = typing.get_type_hints(type(config))
    _check_name(name, types_of, where)
    current = getattr(config, name)
    if rest:
        if not dataclasses.is_dataclass(current):
            raise ConfigError(f"{where}{name} has no fields, but {'.'.join(rest)!r} was asked of it.", f"Set {where}{name} itself.")
        new = _replace(current, rest, value, f"{where}{name}.")
    elif dataclasses.is_dataclass(current) and isinstance(value, dict):
        new = current
        for key, item in value.items():
            new = _replace(new, key.split("."), item, f"{where}{name}.")
    else:
        new = _typed(types_of[name], value, f"{where}{name}")
    return dataclasses.replace(config, **{name: new})


def _check_name(name: str, known, where: str):
    if name not in known:
        raise ConfigError(f"There is no field {where}{name}.", f"{_nearest(name, known)}Its neighbours: {', '.join(known)}.")


def _nearest(name: str, known) -> str:
    close = difflib.get_close_matches(name, list(known), 1)
    return f"Did you mean {close[0]!r}? " if close else ""


def _typed(kind, value, where: str):
    """`value` as the annotated type: integers serve as floats, lists as tuples; anything else is an error."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _typed(next(a for a in arguments if a is not type(None)), value, where)
    if dataclasses.is_dataclass(kind):
        if isinstance(value, kind):
            return value
        if isinstance(value, dict):
            return from_dict(kind, value, f"{where}.")
    elif origin is tuple and isinstance(value, (list, tuple)):
        items = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        if len(items) == len(value):
            return tuple(_typed(item, part, f"{where}[{i}]") for i, (item, part) in enumerate(zip(items, value, strict=True)))
    elif kind is float and isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    elif kind in (int, str, bool) and type(value) is kind:
        return value
    raise ConfigError(f"{where} is {value!r}, a {type(value).__name__}.", f"Give a value of type {getattr(kind, '__name__', kind)}.")


def _split_outside_brackets(text: str) -> list[str]:
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([") - (character in ")]")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part for part in parts if part.strip()]
