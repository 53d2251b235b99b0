"""Exports a finished run as a SavedModel that classifies waveforms.

Loading the SavedModel needs TensorFlow alone, and none of this package's code.
"""

import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from crossask import config, events, files, stored
from crossask.audio.windows import LEAST_SECONDS
from crossask.errors import CrossaskError
from crossask.events.tagger import read_tagger
from crossask.serving import wav_file
from crossask.serving.graph import (
    OF_WAVEFORMS,
    BaseServedModel,
    ModelParts,
    ServedModel,
    ServedModelOfEmbeddings,
)
from crossask.serving.model_card import exportable_experiment, model_card
from crossask.serving.warm_up import WARM_UP, write_warm_up
from crossask.training import devices
from crossask.training.run_folder import Run

# Largest difference allowed between the model and the written file: of a probability, or as a share
# of the largest value of an embedding or a log-mel.
TOLERANCE = 1e-5


def export_run(run: Run, out_dir: str | Path) -> Path:
    """Writes a run's best epoch as a SavedModel.

    Its signatures are those of `ServedModel`, or of `ServedModelOfEmbeddings` for a row that reads
    embeddings from a file. `assets/model_card.json` contains class names, front-end, training data
    and scores. If the package tensorflow-serving-api is installed, warm-up requests for TensorFlow
    Serving are written, too. The SavedModel is read back and compared with the run before it is
    moved to `out_dir`.

    Args:
      run: The finished run.
      out_dir: Folder of the SavedModel; it must not exist.

    Returns:
      `out_dir` as a path.

    Raises:
      CrossaskError: `out_dir` exists, the run cannot be exported, or the written model does not
        compute what the run's model computes.
    """
    return write_model(functools.partial(served_model, run), run.experiment().features, out_dir)


def write_model(
    make: Callable[[Path], BaseServedModel], features: config.FeatureConfig, out_dir: str | Path
) -> Path:
    """Writes a model as a SavedModel, and returns its folder; see `export_run`.

    Args:
      make: Returns the model; its argument is a folder for the model card.
      features: Sample rate and length of a clip.
      out_dir: Folder of the SavedModel; it must not exist.
    """
    out_dir = Path(out_dir)
    # A link without a target exists, too.
    if os.path.lexists(out_dir):
        raise CrossaskError(
            f"{str(out_dir)!r} exists already.", "Use another --out, or remove it first."
        )
    files.check_room(out_dir.parent, 0)
    with files.folder_beside(out_dir) as scratch:
        written = scratch / "model"
        served = make(scratch)
        # TensorFlow logs where it writes, which is a temporary folder.
        with devices.without_log_of_tensorflow():
            tf.saved_model.save(served, str(written), signatures=served.signatures())
        with files.without_pattern(written) as readable:
            _check_written(served, readable, features)
        write_warm_up(written / WARM_UP, features, served.embedding_shape)
        stored.write_checksums(written)
        files.move_folder(written, out_dir)
    return out_dir


def served_model(run: Run, scratch: Path) -> ServedModel | ServedModelOfEmbeddings:
    """Returns the model to export for a finished run.

    Args:
      run: The run.
      scratch: Folder in which the model card is written; needed until the model is saved.
    """
    # A model that is not from a run is written without the packages that training needs.
    from crossask.training import network

    experiment = exportable_experiment(run)
    scene_model = network.load(run)
    event_model = scene_model.event_model
    tagger = None
    embedding_shape = None
    if events.are_from_file(experiment):
        embedding_shape = tuple(run.read("config.json")["input_shapes"]["embedding"])
    elif experiment.event_input == "embedding":
        event_model = network.frozen_event_model(run)
        # Only a frozen event model has the tagger of its weights: training moves the embeddings.
        tagger = read_tagger(experiment.event_model)
    card = model_card(run)
    card["events"] = list(tagger.names) if tagger else []
    if embedding_shape is not None:
        card["embedding_shape"] = embedding_shape
    parts = ModelParts(
        experiment=experiment,
        scene_model=scene_model,
        event_model=event_model,
        tagger=tagger,
        scenes=card["scenes"],
        card=write_card(card, scratch),
        embedding_shape=embedding_shape,
    )
    if embedding_shape is not None:
        return ServedModelOfEmbeddings(parts)
    return ServedModel(parts)


def write_card(card: Mapping[str, Any], folder: Path) -> str:
    """Writes a model card into a folder, and returns its path."""
    path = folder / "model_card.json"
    stored.write_json(path, card)
    return str(path)


def _check_written(served: BaseServedModel, written: Path, features: config.FeatureConfig) -> None:
    """Raises CrossaskError unless the written model computes what its source computes.

    Both run every signature on noise: one stereo clip at the model's own rate, and a mono recording
    of another length that is resampled.
    """
    loaded = tf.saved_model.load(str(written)).signatures
    rng = np.random.default_rng(0)
    clip_seconds = features.clip_seconds
    other_seconds = 1.6 * clip_seconds
    if served.embedding_shape is not None:
        # An embedding belongs to one clip, so the other recording is shorter, if it may be.
        other_seconds = max(0.8 * clip_seconds, min(LEAST_SECONDS, clip_seconds))
    for sample_rate_hz, channels, seconds in (
        (features.sample_rate_hz, 2, clip_seconds),
        (16000, 1, other_seconds),
    ):
        samples = round(seconds * sample_rate_hz)
        noise = rng.normal(0, 1600, (samples, channels)).astype(np.int16)
        embedding = None
        if served.embedding_shape is not None:
            embedding = rng.normal(size=(1, *served.embedding_shape))
        _check_signatures(served, loaded, noise, sample_rate_hz, embedding)


def _check_signatures(
    served: BaseServedModel,
    loaded: Mapping[str, Callable],
    samples: np.ndarray,
    sample_rate_hz: int,
    embedding: np.ndarray | None,
) -> None:
    """Raises CrossaskError unless all signatures return the same for one recording.

    Args:
      served: The source of the written model.
      loaded: Signatures of the written model.
      samples: int16 samples [samples, channels].
      sample_rate_hz: Their sample rate.
      embedding: Embeddings [1, n, E], for a model that takes them.
    """
    signatures = served.signatures()
    waveform = tf.constant(samples[np.newaxis] / 32768, tf.float32)
    rate = tf.constant(sample_rate_hz, tf.int32)
    inputs = {"waveform": waveform, "sample_rate_hz": rate}
    if embedding is not None:
        inputs["embedding"] = tf.constant(embedding, tf.float32)
    for name in OF_WAVEFORMS:
        _check_equal(signatures[name](**inputs), loaded[name](**inputs))
    if "classify_wav" in signatures:
        # The samples of the file are those of the waveform.
        content = wav_file.content_of(samples, sample_rate_hz)
        expected = served.classify(waveform, rate)
        found = loaded["classify_wav"](wav_bytes=tf.constant([content]))
        _check_equal(expected, found)


def _check_equal(expected: dict[str, tf.Tensor], found: dict[str, tf.Tensor]) -> None:
    """Raises CrossaskError unless all numbers of two results agree within TOLERANCE."""
    for key, value in expected.items():
        if not value.dtype.is_floating:
            continue
        # Probabilities and attention weights are at most 1; embeddings and log-mel may be larger.
        scale = max(1.0, float(tf.reduce_max(tf.abs(value))))
        difference = float(tf.reduce_max(tf.abs(value - found[key])))
        relative_difference = difference / scale
        # The comparison is also false for NaN.
        if not relative_difference <= TOLERANCE:
            raise CrossaskError(
                f"{key!r} of the written SavedModel differs from its source by "
                f"{relative_difference:.1e}.",
                "Nothing was kept. Please report this.",
            )
