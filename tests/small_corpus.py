"""A corpus of short noise clips, small enough to train on in a test: class a is low noise, class b
is high noise.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from crossask import config
from crossask.config import EventModelConfig, Experiment, FeatureConfig, ModelConfig, TrainingConfig
from crossask.training import run_folder

if TYPE_CHECKING:
    from crossask.datasets import Corpus
    from crossask.features.cache import FeatureCache

FEATURES = FeatureConfig(
    sample_rate_hz=16000, clip_seconds=2.0, max_padding_seconds=0.5, max_cut_seconds=0.5
)
NARROW = ModelConfig(
    encoder_channels=(4, 4, 8, 8),
    pooling_heads=2,
    pooling_dim=8,
    attention_heads=2,
    attention_dim=32,
    # two patches in two seconds
    vem_pools=((1, 2),) * 4,
    event_encoder_channels=(4, 4, 8),
    event_encoder_pools=((1, 2),) * 3,
)
FA = Experiment(
    "fa",
    dataset="folder",
    features=FEATURES,
    model=NARROW,
    training=TrainingConfig(epochs=3, batch_size=4, learning_rate=1e-3),
)
CMAM = dataclasses.replace(
    FA, name="cmam", system="CMAM", event_model=EventModelConfig(width=0.03125)
)
FEATURE_BASED = dataclasses.replace(CMAM, name="cmam_feature_based", strategy="feature_based")
VEM = dataclasses.replace(
    FEATURE_BASED, name="vem", system="VEM", dataset="embeddings", folds=("unseen",)
)
# With this, crossask-train --experiment=tests/small_corpus.py trains these rows.
ROWS = (FA, CMAM, FEATURE_BASED)

# Rows that are trained on the whole training fold.
NO_VALIDATION = {"training.validation_share": 0.0, "training.keep": "last"}
FA_ON_ALL = config.override(FA, {"name": "fa_on_all", **NO_VALIDATION})
CMAM_ON_ALL = config.override(CMAM, {"name": "cmam_on_all", **NO_VALIDATION})
HALF = config.override(FA, {"name": "half", "training.precision": "mixed_float16"})
# For comparisons of machines: no dropout, whose random numbers differ from device to device.
STILL = {"model.attention_dropout": 0.0, "training.keep": "last"}
ONE_STREAM = config.override(FA, {"name": "one_stream", **STILL})
TWO_STREAMS = config.override(
    FEATURE_BASED, {"name": "two_streams", "training.input_streams": 2, **STILL}
)
TWO_STREAMS_ON_ALL = config.override(
    TWO_STREAMS, {"name": "two_streams_on_all", "training.epochs": 2, **NO_VALIDATION}
)
# Exported models read another rate than that of the recordings, so that they resample.
FA_24_KHZ = config.override(FA, {"features.sample_rate_hz": 24000, "training.epochs": 1})
FEATURE_BASED_24_KHZ = config.override(
    FEATURE_BASED,
    {"features.sample_rate_hz": 24000, "training.epochs": 1, "event_model.level": -40.0},
)
CMAM_24_KHZ = config.override(CMAM, {"features.sample_rate_hz": 24000, "training.epochs": 1})
EXPORTED = (FA_24_KHZ, FEATURE_BASED_24_KHZ, CMAM_24_KHZ)
FOLDER = Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Exported:
    """A trained run and the model exported from it."""

    run: run_folder.Run
    features: Path
    model: Path

    @classmethod
    def at(cls, folder: Path, row: Experiment) -> "Exported":
        """Returns what `export` has written into `folder` for `row`."""
        run = run_folder.run_at(folder / "runs", row.name, "1", 0)
        return cls(run, folder / "features", folder / "model")


def write(
    folder: Path, places: int = 4, clips: int = 3, rate: int = 16000, seconds: float = 2.0
) -> Path:
    """Writes wavs and `clips.csv`: two scenes, `places` locations each, `clips` clips each.

    Returns the CSV's path.
    """
    rng = np.random.default_rng(7)
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["filename,scene,location"]
    for scene in ("a", "b"):
        for place in range(places):
            for number in range(clips):
                noise = rng.normal(0, 0.1, (round(seconds * rate), 2))
                if scene == "a":
                    waveform = np.cumsum(noise, axis=0) * 0.05
                else:
                    waveform = np.diff(noise, axis=0, prepend=0)
                name = f"{scene}{place}{number}.wav"
                soundfile.write(folder / name, np.clip(waveform, -1, 1), rate, "PCM_24")
                lines.append(f"{name},{scene},{scene}{place}")
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")
    return folder / "clips.csv"


def write_rows(path: Path, *names: str) -> Path:
    """Writes an experiment file whose rows are those of this module with these names.

    Returns its path.
    """
    path.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(FOLDER)!r})\n"
        "import small_corpus\n"
        f"ROWS = ({''.join(f'small_corpus.{name}, ' for name in names)})\n"
    )
    return path


def write_tagged_embeddings(path: Path, training_clips: int) -> None:
    """Writes random embeddings with two events, on which a trunk can be pre-trained."""
    rng = np.random.default_rng(0)
    arrays = {"event_names": np.array(["dog", "rain"])}
    for part, clips in (("train", training_clips), ("val", 8)):
        arrays[f"{part}_x"] = rng.normal(size=(clips, 2, 128)).astype(np.float16)
        arrays[f"{part}_y"] = rng.integers(0, 2, (clips, 2)).astype(np.uint8)
    np.savez(path, **arrays)


@contextlib.contextmanager
def without_graphs() -> Iterator[None]:
    """Runs TensorFlow's functions without graphs within: tracing graphs takes longer than a few
    steps of training.
    """
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


def train(row: Experiment, corpus: "Corpus", folder: Path) -> tuple[run_folder.Run, "FeatureCache"]:
    """Trains `row` in `folder` without graphs; returns the run and its features."""
    from crossask import training
    from crossask.features.cache import prepare_features

    trained = Exported.at(folder, row)
    cache = prepare_features(corpus, row, trained.features)
    with without_graphs():
        training.train(trained.run, row, corpus, cache)
    return trained.run, cache


def export(row: Experiment, corpus: "Corpus", folder: Path) -> Exported:
    """Trains `row` in `folder` and exports the run.

    A frozen event model gets weights, and a head that detects the events dog and rain.
    """
    from crossask import events, serving
    from crossask.events.tagger import Tagger

    if row.event_input == "embedding":
        events.build(row.event_model).save_npz(folder / "events.npz")
        head = np.random.default_rng(0).normal(0, 0.1, (129, 2)).astype(np.float32)
        tagger = Tagger(("dog", "rain"), head[:128], head[128], exclusive=True)
        tagger.save_npz(folder / "events_tags.npz")
        row = config.override(row, {"event_model.weights": str(folder / "events.npz")})
    exported = Exported.at(folder, row)
    train(row, corpus, folder)
    serving.export_run(exported.run, exported.model)
    return exported
