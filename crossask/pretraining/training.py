"""Pre-training: an event model is trained as a tagger and stored for scene models."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from crossask import config, events, files
from crossask.config import EventModelConfig, catalogue
from crossask.errors import DataError
from crossask.events.layer import EventModel
from crossask.events.tagger import Tagger, tags_path
from crossask.pretraining.claims import claim_folder
from crossask.pretraining.labels import LabelledClip, validation_split
from crossask.pretraining.patches import PatchStore
from crossask.pretraining.tagger import EventTagger, TagAccuracy
from crossask.training import devices, loop

# Principal components whose variance is below this share of the largest variance are scaled as if
# they had it. They then have a variance below 1.
LEAST_VARIANCE = 1e-6


@dataclasses.dataclass(frozen=True)
class PretrainingConfig:
    """How the tagger is trained.

    Attributes:
      event_model: The event model, with the weights to start from; `embedding_tap` is not used.
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
class ProgressFunctions:
    """Functions that show progress; None shows nothing.

    Attributes:
      clips: Called with (clips whose patches are written, clips in all).
      epochs: Called with (epochs done, epochs in all, loss and accuracy in words).
    """

    clips: Callable[[int, int], None] | None = None
    epochs: loop.Progress | None = None


NO_PROGRESS = ProgressFunctions()


def pretrain(
    settings: PretrainingConfig,
    training: Sequence[LabelledClip],
    test: Sequence[LabelledClip],
    out: str | Path,
    workers: int = 2,
    progress: ProgressFunctions = NO_PROGRESS,
) -> dict[str, Any]:
    """Trains an event model as a tagger and writes its weights.

    Args:
      settings: How the tagger is trained.
      training: Labelled clips; a part of them, drawn by the seed, chooses the best epoch.
      test: Labelled clips that are scored once at the end; may be empty.
      out: Path of the weights (.npz). Beside it are written the report (.json), the layer that
        names events (`<stem>_tags.npz`), for VGGish the PCA of its embeddings (`<stem>_pca.npz`),
        and `<out>.training/`, from which a killed run goes on.
      workers: Number of sound files that are read at the same time.
      progress: Where progress is shown.

    Returns:
      The report: what `loop.fit` returns (with "best_epoch" and "validation_tag_accuracy"),
      "kinds" (names of the events), "training_clips", "validation_clips", "test_clips", "settings"
      and, with test clips, "test_tag_accuracy".

    Raises:
      DataError: `test` has labels that `training` lacks, or there are too few clips.
      CrossaskError: `<out>.training` contains another pre-training.
    """
    # Clips: a part to train on, a validation part and the test clips
    out = Path(out)
    kinds = _kinds(training, test)
    devices.set_seeds(settings.seed)
    fitted, validation = validation_split(training, settings.validation_share, settings.seed)
    steps = len(fitted) // settings.batch_size
    if not steps:
        raise DataError(
            f"{len(fitted)} clips are too few for a batch of {settings.batch_size}.",
            "Lower --batch_size or add clips.",
        )
    if not validation:
        raise DataError(
            "Every label has too few clips for a validation part: "
            f"{settings.validation_share:g} of them, rounded down, are none.",
            "Add clips.",
        )

    # The tagger is trained on the linear output of the event model, whatever `embedding_tap` is:
    # the taps "relu" and "pca" only change how embeddings are read, and the PCA is fitted below.
    linear = dataclasses.replace(settings.event_model, embedding_tap="linear")
    event_model = events.build(linear, trainable=True, seed=settings.seed)
    folder = Path(f"{out}.training")
    for written in (out.with_suffix(".json"), tags_path(out), pca_path(out)):
        files.remove_remains_of(written)
    claim_folder(folder, _record(settings, training, test))

    # Patches and labels, written once
    store = PatchStore(
        folder / "patches", settings.event_model, settings.clip_seconds, kinds, workers
    )
    sides = {"fitted": fitted, "validation": validation, "test": test}
    paths = _write_patches(store, sides, progress)
    # Fit the tagger, then load the weights of its best epoch
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

    # Score the test clips, and write everything
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
    files.write_json(out.with_suffix(".json"), report)
    # The weights are written last: if they exist, so do the report, the tags and the PCA.
    event_model.save_npz(out)
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
    store: PatchStore, sides: dict[str, Sequence[LabelledClip]], progress: ProgressFunctions
) -> dict[str, str]:
    """Writes the patches of all sides; returns the path of each side's file."""
    count = sum(len(clips) for clips in sides.values())
    paths = {}
    done = 0
    for side, clips in sides.items():
        # The default binds the present value of `done`, which changes in the loop.
        def show(number: int, before: int = done) -> None:
            if progress.clips is not None:
                progress.clips(before + number, count)

        paths[side] = store.write(side, clips, show)
        done += len(clips)
    return paths


def _compiled(
    event_model: EventModel,
    kind_count: int,
    patch_shape: tuple[int, ...],
    learning_rate: float,
    is_exclusive: bool,
) -> EventTagger:
    """Returns the tagger, built and compiled.

    Args:
      event_model: The event model.
      kind_count: Number of kinds of events.
      patch_shape: Shape of one clip's patches, [P, 96, 64].
      learning_rate: Adam's learning rate.
      is_exclusive: Whether every clip has one label, so that kinds exclude each other (softmax
        instead of a sigmoid for each kind).
    """
    model = EventTagger(event_model, kind_count)
    # The first call creates the weights.
    model({"patches": tf.zeros([1, *patch_shape])})
    if is_exclusive:
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    else:
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(
        keras.optimizers.Adam(learning_rate),
        loss,
        weighted_metrics=[TagAccuracy(name="tag_accuracy")],
    )
    # Creates the optimiser's variables, so that a checkpoint can be restored into them.
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
    """Fits a whitening PCA to the embeddings of some clips and writes it.

    The file has the keys of Google's vggish_pca_params.npz and a key `source`, which says that
    crossask-pretrain fitted it.

    Args:
      event_model: The trained event model.
      batches: The clips: ({"patches": [B, P, 96, 64]}, labels).
      path: Path of the file.
      clips: Number of the clips, for `source`.
    """
    parts = [event_model(inputs["patches"]).numpy() for inputs, _ in batches]
    embeddings = np.concatenate(parts).reshape(-1, event_model.embedding_size)  # [patches, E]
    mean = embeddings.mean(0, dtype=np.float64)
    covariance = np.cov(embeddings.astype(np.float64), rowvar=False)
    values, vectors = np.linalg.eigh(covariance)
    # `eigh` sorts by rising variance; the file is sorted by falling variance.
    order = np.argsort(values)[::-1]
    # Without the floor, components of almost no variance would be amplified to the level of others.
    floor = LEAST_VARIANCE * values.max()
    scales = 1 / np.sqrt(np.maximum(values[order], floor))
    matrix = vectors[:, order].T * scales[:, np.newaxis]  # [E, E], a component in each row
    source = f"fitted on {clips} clips by crossask-pretrain"
    with files.writing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, pca_eigen_vectors=matrix, pca_means=mean, source=source)


def _record(
    settings: PretrainingConfig, training: Sequence[LabelledClip], test: Sequence[LabelledClip]
) -> dict[str, Any]:
    """Returns the settings and the digests by which this pre-training differs from others."""
    training_values = [dataclasses.astuple(clip) for clip in training]
    test_values = [dataclasses.astuple(clip) for clip in test]
    return {
        "settings": config.to_dict(settings),
        "clips": config.digest(training_values, test_values),
    }
