"""The catalogue: every system, event model, front-end and data set, one entry each.

The rest of the package reads names, titles, classes and capabilities from here. To add a system, an
event model or a data set, write one file and one entry; `tests/test_conformance.py`, and for
systems and event models `tests/models` and `tests/events`, then test it. Code outside the package
adds an entry with `register`.
"""

import dataclasses
import difflib
import hashlib
import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from crossask.errors import ConfigError

# Sample rates in Hz that the front-ends can read, and from and to which the graph resamples.
SAMPLE_RATES_HZ = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000)


@dataclasses.dataclass(frozen=True)
class System:
    """A network that classifies scenes, for example a column of the paper's Table 2.

    Attributes:
      name: Value of `Experiment.system`.
      title: Name in reports.
      model: "module:class" of the `crossask.models.scene_model.SceneModel`.
      reads_log_mel: Whether the network reads the log-mel spectrogram of the clip.
      reads_events: Whether it reads embeddings of an event model.
      has_scene_encoder: Whether the log-mel passes the encoder that `Experiment.model` describes.
      has_attention_pooling: Whether it pools with the attention pooling of Table 2.
      origin: "paper" for the paper's systems, "challenge" for a challenge's official baseline,
        "ours" for others.
    """

    name: str
    title: str
    model: str
    reads_log_mel: bool = True
    reads_events: bool = False
    has_scene_encoder: bool = True
    has_attention_pooling: bool = True
    origin: Literal["paper", "challenge", "ours"] = "paper"


@dataclasses.dataclass(frozen=True)
class FrontEnd:
    """The computation from a waveform to the patches that an event model reads.

    Attributes:
      name: Value of `EventModel.front_end`.
      patches: "module:function", waveform [..., samples] -> patches [..., patches, frames, mels].
      sample_rate_hz: Sample rate of that waveform in Hz; None if the row sets it with
        `EventModelConfig.sample_rate_hz`.
      patch_hop_seconds: Time from the start of one patch to the start of the next; None if the
        event model decides it.
      can_pad_end: Whether the function takes `pad_end` (keep the last, incomplete patch).
    """

    name: str
    patches: str
    sample_rate_hz: int | None
    patch_hop_seconds: float | None
    can_pad_end: bool = False


# Values of `EventModelConfig.embedding_tap` that use the PCA.
PCA_TAPS = ("pca", "vggish_2019")


@dataclasses.dataclass(frozen=True)
class EventModel:
    """A network that recognises acoustic events and computes an embedding of each patch.

    Attributes:
      name: Value of `EventModelConfig.name`.
      title: Name in reports.
      layer: "module:class" of the `crossask.events.layer.EventModel`, or of another class if
        `is_trainable` is false.
      front_end: Name of the `FrontEnd` whose patches it reads; "" if its embeddings come from a
        file.
      is_trainable: Whether it is a layer of this package, which rows and crossask-pretrain can
        train. Otherwise it comes from outside and is always frozen.
      has_pca: Whether a PCA of its embeddings is published, for the `PCA_TAPS`.
      has_tagger: Whether the published weights also contain the layer that predicts events.
    """

    name: str
    title: str
    layer: str
    front_end: str
    is_trainable: bool = True
    has_pca: bool = False
    has_tagger: bool = False


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A corpus of scene recordings.

    Attributes:
      name: Value of `Experiment.dataset` and of the flag --dataset.
      title: Name in reports.
      reader: "module:function", (data_dir, need_audio, name) -> `crossask.datasets.Corpus`.
      archives: "module:constant", a tuple of (url, bytes, md5) where the corpus can be downloaded.
      download_gigabytes: Size of these archives.
      by_hand: What to do if the published files can only be downloaded by hand.
      is_rendered: Whether `crossask-prepare` generates the recordings.
      classes: Number of scenes; None where it depends on the recordings.
    """

    name: str
    title: str
    reader: str
    archives: str = ""
    download_gigabytes: float = 0.0
    by_hand: str = ""
    is_rendered: bool = False
    classes: int | None = None


# Values of `Experiment.strategy`, and their names in reports.
STRATEGIES = {
    "from_scratch": "from scratch",
    "feature_based": "feature-based",
    "fine_tuning": "fine-tuning",
}

Entry = System | FrontEnd | EventModel | Dataset


def _by_name(*entries: Any) -> dict[str, Any]:
    return {entry.name: entry for entry in entries}


# The order is that of the paper's Table 3, and of the rows in a report.
SYSTEMS: dict[str, System] = _by_name(
    System(
        "DCASE2017",
        title="DCASE 2017 baseline",
        model="crossask.models.baselines:DCASE2017",
        has_scene_encoder=False,
        has_attention_pooling=False,
        origin="challenge",
    ),
    System(
        "DCASE2019",
        title="DCASE 2019 baseline",
        model="crossask.models.baselines:DCASE2019",
        has_scene_encoder=False,
        has_attention_pooling=False,
        origin="challenge",
    ),
    System("FA", title="FA", model="crossask.models.fa:FA"),
    System(
        "VEM",
        title="VEM",
        model="crossask.models.vem:VEM",
        reads_log_mel=False,
        reads_events=True,
        has_scene_encoder=False,
    ),
    System("JRM", title="JRM", model="crossask.models.jrm:JRM", reads_events=True),
    System("CMAM", title="CMAM", model="crossask.models.cmam:CMAM", reads_events=True),
    System(
        "LINEAR",
        title="LINEAR",
        model="crossask.models.linear:LINEAR",
        reads_log_mel=False,
        reads_events=True,
        has_scene_encoder=False,
        has_attention_pooling=False,
        origin="ours",
    ),
)

FRONT_ENDS: dict[str, FrontEnd] = _by_name(
    FrontEnd(
        "vggish",
        patches="crossask.audio.frontends:vggish_patches",
        sample_rate_hz=16000,
        patch_hop_seconds=0.96,
        can_pad_end=True,
    ),
    FrontEnd(
        "yamnet",
        patches="crossask.audio.frontends:yamnet_patches",
        sample_rate_hz=16000,
        patch_hop_seconds=0.48,
    ),
    # For event models that contain their own front-end.
    FrontEnd(
        "waveform",
        patches="crossask.audio.frontends:waveform_itself",
        sample_rate_hz=None,
        patch_hop_seconds=None,
    ),
)

EVENT_MODELS: dict[str, EventModel] = _by_name(
    EventModel(
        "vggish",
        title="VGGish",
        layer="crossask.events.vggish:VGGish",
        front_end="vggish",
        has_pca=True,
    ),
    EventModel(
        "yamnet",
        title="YAMNet",
        layer="crossask.events.yamnet:YAMNet",
        front_end="yamnet",
        has_tagger=True,
    ),
    EventModel(
        "saved_model",
        title="SavedModel",
        layer="crossask.events.waveform_model:WaveformModel",
        front_end="waveform",
        is_trainable=False,
    ),
    EventModel(
        "precomputed",
        title="precomputed embeddings",
        layer="crossask.events.precomputed:Precomputed",
        front_end="",
        is_trainable=False,
    ),
)

DATASETS: dict[str, Dataset] = _by_name(
    Dataset(
        "tau2019",
        title="TAU Urban Acoustic Scenes 2019",
        reader="crossask.datasets.tau2019:read",
        archives="crossask.datasets.tau2019:ARCHIVES",
        download_gigabytes=35.6,
        classes=10,
    ),
    Dataset(
        "tut2017",
        title="TUT Acoustic Scenes 2017",
        reader="crossask.datasets.tut2017:read",
        archives="crossask.datasets.tut2017:ARCHIVES",
        download_gigabytes=10.7,
        classes=15,
    ),
    Dataset(
        "tau2020_mobile",
        title="TAU Urban Acoustic Scenes 2020 Mobile",
        reader="crossask.datasets.tau_mobile:read",
        archives="crossask.datasets.tau_mobile:ARCHIVES_2020",
        download_gigabytes=27.4,
        classes=10,
    ),
    Dataset(
        "tau2022_mobile",
        title="TAU Urban Acoustic Scenes 2022 Mobile",
        reader="crossask.datasets.tau_mobile:read",
        archives="crossask.datasets.tau_mobile:ARCHIVES_2022",
        download_gigabytes=27.5,
        classes=10,
    ),
    Dataset(
        "cochlscene",
        title="CochlScene",
        reader="crossask.datasets.cochlscene:read",
        # One archive in six parts, which zipfile cannot read and whose checksums we do not have.
        by_hand="Download CochlScene.z01 to CochlScene.z05 and CochlScene.zip from "
        "https://zenodo.org/records/7080122 (about 54 GB), and unpack them together into the "
        "folder, for example with 7z x CochlScene.zip.",
        classes=13,
    ),
    Dataset("folder", title="own recordings", reader="crossask.datasets.folder:read"),
    Dataset(
        "embeddings",
        title="precomputed embeddings",
        reader="crossask.datasets.embeddings:read",
    ),
    Dataset(
        "soundscapes",
        title="generated soundscapes",
        # The generator writes the official layout of TAU 2019.
        reader="crossask.datasets.tau2019:read",
        is_rendered=True,
        classes=10,
    ),
)

_TABLES: dict[type, dict[str, Any]] = {
    System: SYSTEMS,
    FrontEnd: FRONT_ENDS,
    EventModel: EVENT_MODELS,
    Dataset: DATASETS,
}
_KINDS = {
    System: "system",
    FrontEnd: "front-end",
    EventModel: "event model",
    Dataset: "data set",
}


# Entries from outside of the package, which child processes have to register again.
_ADDED: list[Entry] = []


def register(entry: Entry) -> None:
    """Adds `entry` to its table; an entry of the same name is replaced."""
    _TABLES[type(entry)][entry.name] = entry
    _ADDED.append(entry)


def added() -> tuple[Entry, ...]:
    """Returns the entries that `register` has added."""
    return tuple(_ADDED)


def system(name: str) -> System:
    """Returns the system called `name`; raises ConfigError if there is none."""
    return _find(System, name)


def front_end(name: str) -> FrontEnd:
    """Returns the front-end called `name`; raises ConfigError if there is none."""
    return _find(FrontEnd, name)


def event_model(name: str) -> EventModel:
    """Returns the event model called `name`; raises ConfigError if there is none."""
    return _find(EventModel, name)


def trainable_event_models() -> tuple[str, ...]:
    """Returns the names of the event models that rows and crossask-pretrain can train."""
    return tuple(name for name, entry in EVENT_MODELS.items() if entry.is_trainable)


def dataset(name: str) -> Dataset:
    """Returns the data set called `name`; raises ConfigError if there is none."""
    return _find(Dataset, name)


def load(target: str) -> Any:
    """Imports and returns the object that "module:name" of an entry names."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def code_of(target: str) -> str:
    """Returns hexadecimal digits that change with the file of the module of "module:name".

    They are "" for modules of this package, whose versions are numbered, and for modules without a
    file. A module of the user's own may be edited between two commands, and what it computed before
    is then out of date.
    """
    name = target.partition(":")[0]
    package = __name__.partition(".")[0]
    if name.partition(".")[0] == package:
        return ""
    path = getattr(importlib.import_module(name), "__file__", None)
    if path is None:
        return ""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns "Did you mean 'x'? " with the nearest of `known`, or "" if none is near."""
    # Names that differ in case alone are near, too.
    spelled = {word.lower(): word for word in known}
    close = difflib.get_close_matches(name.lower(), list(spelled), n=1)
    if not close:
        return ""
    return f"Did you mean {spelled[close[0]]!r}? "


def _find(kind: type, name: str) -> Any:
    table = _TABLES[kind]
    if name not in table:
        raise ConfigError(
            f"There is no {_KINDS[kind]} {name!r}.",
            f"{did_you_mean(name, table)}Use one of: {', '.join(table)}.",
        )
    return table[name]
