"""Pre-training: an event model is trained as a tagger and stored for scene models."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from crossask import config, events, files
from crossask.config import EventModelConfig, catalogue
from crossask.errors import CrossaskError, DataError
from crossask.events.layer import EventModel
from crossask.events.tagger import Tagger, tags_path
from crossask.pretraining.labels import LabelledClip, validation_split
from crossask.pretraining.patches import PatchStore
from crossask.pretraining.tagger import EventTagger, TagAccuracy
from crossask.training import devices, loop

# Directions of smaller variance than this share of the largest are not whitened.
LEAST_VARIANCE = 1e-6


@dataclasses.dataclass(frozen=True)
class PretrainingConfig:
    """How the tagger is trained.

    Attributes:
      event_model: The event model.
      clip_seconds: Clips are cut or padded with silence to this length.
      epochs: Number of epochs.
      batch_size: Clips in a batch.
      learning_rate: Adam's learning rate.
      validation_share: Share of the training clips that choose the best epoch.
      seed: Seed of the initial weights, the order and the validation part.
    """

    event_model: EventModelConfig = dataclasses.field(default_factory=EventModelConfig)
    clip_seconds: float = 10.0
    epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 1e-3
    validation_share: float = 0.15
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where progress is shown.

    Attributes:
      clips: Called with (clips whose patches are written, clips in all).
      epochs: Called with (epochs done, epochs in all, loss and accuracy in words).
    """

    clips: Callable[[int, int], None] | None = None
    epochs: loop.Progress | None = None


NO_PROGRESS = Progress()


def pretrain(
    settings: PretrainingConfig,
    training: Sequence[LabelledClip],
    test: Sequence[LabelledClip],
    out: str | Path,
    workers: int = 2,
    progress: Progress = NO_PROGRESS,
) -> dict[str, Any]:
    """Trains an event model as a tagger and writes its weights.

    Args:
      settings: How the tagger is trained.
      training: Labelled clips; a part of them, drawn by the seed, chooses the best epoch.
      test: Labelled clips that are scored once at the end; may be empty.
      out: Path of the weights (.npz). Beside it are written the report (.json), the layer that
        names events (`<stem>_tags.npz`), for VGGish the PCA of its embeddings (`<stem>_pca.npz`),
        and `<out>.training/`, from which a killed run goes on.
      workers: Sound files read at once.
      progress: Where progress is shown.

    Returns:
      The report: kinds of events, numbers of clips, best epoch, tag accuracy on the validation part
      and on `test`.

    Raises:
      DataError: `test` has labels that `training` lacks, or there are too few clips.
      CrossaskError: `<out>.training` contains another pre-training.
    """
    out = Path(out)
    kinds = _kinds(training, test)
    devices.set_seeds(settings.seed)
    fitted, validation = validation_split(training, settings.validation_share, settings.seed)
    steps = len(fitted) // settings.batch_size
    if not steps or not validation:
        raise DataError(
            f"{len(training)} clips are too few for batches of {settings.batch_size}.",
            "Lower --batch_size or add clips.",
        )
    # The tap determines how embeddings are read, not how they are learnt.
    linear = dataclasses.replace(settings.event_model, embedding_tap="linear")
    event_model = events.build(linear, trainable=True, seed=settings.seed)
    folder = Path(f"{out}.training")
    _claim_folder(folder, settings, training, test)

    store = PatchStore(
        folder / "patches", settings.event_model, settings.clip_seconds, kinds, workers
    )
    sides = {"fitted": fitted, "validation": validation, "test": test}
    paths = _write_patches(store, sides, progress)
    is_exclusive = all(len(clip.labels) == 1 for clip in training)
    model = _compiled(event_model, len(kinds), store.shape, settings.learning_rate, is_exclusive)
    result = loop.fit(
        folder,
        model,
        _batches(store, paths, settings, steps),
        loop.Plan(
            title=f"pre-training {settings.event_model.name}",
            epochs=settings.epochs,
            selection=loop.Selection("tag_accuracy"),
            metrics=("tag_accuracy",),
        ),
        progress.epochs,
    )
    loop.load_weights(folder / "best.npz", model)

    report = {
        **result,
        "kinds": kinds,
        "training_clips": len(fitted),
        "validation_clips": len(validation),
        "test_clips": len(test),
        "settings": config.to_dict(settings),
    }
    if test:
        test_batches = store.evaluation_batches(paths["test"], settings.batch_size)
        scores = model.evaluate(test_batches, verbose=0, return_dict=True)
        report["test_tag_accuracy"] = float(scores["tag_accuracy"])
    out.parent.mkdir(parents=True, exist_ok=True)
    head = model.head
    tagger = Tagger(kinds, head.kernel, head.bias, exclusive=is_exclusive)
    tagger.save_npz(tags_path(out))
    if catalogue.event_model(settings.event_model.name).has_pca:
        batches = store.evaluation_batches(paths["fitted"], settings.batch_size)
        _fit_pca(event_model, batches, pca_path(out), len(fitted))
    # The weights come last: if they exist, everything that belongs to them does, too.
    event_model.save_npz(out)
    files.write_json(out.with_suffix(".json"), report)
    return report


def pca_path(out: str | Path) -> Path:
    """Returns the path of the PCA beside the weights `out`, for event_model.pca."""
    out = Path(out)
    return out.with_name(f"{out.stem}_pca.npz")


def _kinds(training: Sequence[LabelledClip], test: Sequence[LabelledClip]) -> list[str]:
    """Returns the sorted kinds of events of the training clips."""
    kinds = sorted(_labels(training))
    unknown = sorted(_labels(test) - set(kinds))
    if unknown:
        raise DataError(
            f"The test clips have the labels {unknown}, which no training clip has.",
            "Train on these kinds, too.",
        )
    return kinds


def _labels(clips: Sequence[LabelledClip]) -> set[str]:
    labels = set()
    for clip in clips:
        labels.update(clip.labels)
    return labels


def _write_patches(
    store: PatchStore, sides: dict[str, Sequence[LabelledClip]], progress: Progress
) -> dict[str, str]:
    """Writes the patches of all sides; returns the path of each side's file."""
    count = sum(len(clips) for clips in sides.values())
    paths = {}
    done = 0
    for side, clips in sides.items():

        def show(number: int, before: int = done) -> None:
            if progress.clips is not None:
                progress.clips(before + number, count)

        paths[side] = store.write(side, clips, show)
        done += len(clips)
    return paths


def _compiled(
    event_model: EventModel,
    kinds: int,
    patches: tuple[int, ...],
    learning_rate: float,
    is_exclusive: bool,
) -> EventTagger:
    """Returns the tagger, built and compiled.

    Args:
      event_model: The event model.
      kinds: Number of kinds of events.
      patches: Shape of one clip's patches.
      learning_rate: Adam's learning rate.
      is_exclusive: Whether every clip has one label, so that kinds exclude each other (softmax
        instead of a sigmoid for each kind).
    """
    model = EventTagger(event_model, kinds)
    model({"patches": tf.zeros([1, *patches])})
    if is_exclusive:
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    else:
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(
        keras.optimizers.Adam(learning_rate),
        loss,
        weighted_metrics=[TagAccuracy(name="tag_accuracy")],
    )
    model.optimizer.build(model.trainable_variables)
    return model


def _batches(
    store: PatchStore, paths: dict[str, str], settings: PretrainingConfig, steps: int
) -> loop.Batches:
    def training_batches(epoch: int, step: int) -> tf.data.Dataset:
        return store.training_batches(
            paths["fitted"], settings.batch_size, settings.seed, epoch, step
        )

    return loop.Batches(
        training=training_batches,
        steps=steps,
        validation=store.evaluation_batches(paths["validation"], settings.batch_size),
    )


def _fit_pca(event_model: EventModel, batches: tf.data.Dataset, path: Path, clips: int) -> None:
    """Writes a whitening PCA of the embeddings in the layout of Google's file, marked as ours."""
    parts = [event_model(inputs["patches"]).numpy() for inputs, _ in batches]
    embeddings = np.concatenate(parts).reshape(-1, event_model.embedding_size)
    mean = embeddings.mean(0, dtype=np.float64)
    covariance = np.cov(embeddings.astype(np.float64), rowvar=False)
    values, vectors = np.linalg.eigh(covariance)
    order = np.argsort(values)[::-1]
    # Directions without variance stay small instead of becoming noise.
    floor = LEAST_VARIANCE * values.max()
    scales = 1 / np.sqrt(np.maximum(values[order], floor))
    matrix = vectors[:, order].T * scales[:, np.newaxis]
    source = f"fitted on {clips} clips by crossask-pretrain"
    with files.writing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, pca_eigen_vectors=matrix, pca_means=mean, source=source)


def _claim_folder(
    folder: Path,
    settings: PretrainingConfig,
    training: Sequence[LabelledClip],
    test: Sequence[LabelledClip],
) -> None:
    """Writes config.json, or checks that the folder already contains this pre-training."""
    sides = []
    for clips in (training, test):
        sides.append([dataclasses.astuple(clip) for clip in clips])
    record = {"settings": config.to_dict(settings), "clips": config.digest(*sides)}
    path = folder / "config.json"
    if not path.is_file():
        files.write_json(path, record)
    elif json.loads(path.read_text()) != json.loads(json.dumps(record)):
        raise CrossaskError(
            f"{folder} contains another pre-training.", "Give another --out, or remove that folder."
        )
