"""Pre-training: an event model is trained as a tagger and stored for scene models."""

import dataclasses
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from crossask import config, events, files, stored
from crossask.config import EventModelConfig, catalogue
from crossask.datasets import Corpus
from crossask.errors import DataError, shortened_list
from crossask.events.layer import EventModel
from crossask.events.tagger import Tagger, tags_path
from crossask.features.batches import EvaluationData
from crossask.features.cache import prepare_features, read_recordings
from crossask.features.shards import Shard, ShardWriter
from crossask.features.verification import damage_named
from crossask.pretraining import examples
from crossask.pretraining.claims import claim_folder
from crossask.pretraining.labels import LabelledClip, check_apart, validation_split
from crossask.pretraining.scores import tagging_scores
from crossask.pretraining.tagger import EventTagger, MeanAveragePrecision, TagAccuracy
from crossask.training import devices, loop
from crossask.training.distributed_data import batches_for_fit

# Principal components are scaled to a variance of 1. Those whose variance is below this share of
# the largest variance are scaled as if they had that share, so that they have less than 1.
LEAST_VARIANCE = 1e-6
# Embeddings whose deviations are smaller than this share of their mean are the same but for the
# rounding of float32.
LEAST_DEVIATION = 1e-6
LOG = logging.getLogger("crossask")
COMPUTE_AGAIN = "Remove that file and run the same command again: its patches are computed again."


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
      mixup_alpha: Training clips are mixed in pairs, with shares from Beta(alpha, alpha) (Zhang et
        al. 2018); 0 mixes none.
      is_balanced: Whether clips with rare labels are read more often in an epoch.
      seed: Seed of the initial weights, the order and the validation part.
    """

    event_model: EventModelConfig = dataclasses.field(default_factory=EventModelConfig)
    clip_seconds: float = 10.0
    epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 1e-3
    validation_share: float = 0.15
    mixup_alpha: float = 0.0
    is_balanced: bool = False
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Options:
    """How a pre-training is computed. None of these changes its result.

    Attributes:
      features_dir: Folder of the stored patches; None is `<out>.training/features`.
      workers: Shards of patches that are computed at the same time.
      elsewhere: Computes patches on other machines, see `prepare_features`.
      distribution: A tf.distribute strategy; None is one device.
      save_steps: Saves after so many steps within an epoch, too; 0 saves at the end of epochs only.
      clip_progress: Called with (clips whose patches are written, clips in all).
      epoch_progress: Called with (epochs done, epochs in all, loss and accuracy in words).
    """

    features_dir: str | Path | None = None
    workers: int = 2
    elsewhere: Callable[[ShardWriter, list[Shard]], None] | None = None
    distribution: tf.distribute.Strategy | None = None
    save_steps: int = 0
    clip_progress: Callable[[int, int], None] | None = None
    epoch_progress: loop.Progress | None = None


DEFAULT_OPTIONS = Options()


def pretrain(
    settings: PretrainingConfig,
    training: Sequence[LabelledClip],
    test: Sequence[LabelledClip],
    out: str | Path,
    options: Options = DEFAULT_OPTIONS,
) -> dict[str, Any]:
    """Trains an event model as a tagger and writes its weights.

    Clips that have one label each are trained with a softmax, and the best epoch is the one with
    the highest tag accuracy on the validation part; others with a sigmoid for each label, and the
    best epoch has the highest mean average precision (mAP).

    With several machines, all of them call this function with the same arguments and folders that
    they share, and the first one writes.

    Args:
      settings: How the tagger is trained.
      training: Labelled clips; a part of them, drawn by the seed, chooses the best epoch.
      test: Labelled clips that are scored once at the end; may be empty.
      out: Path of the weights (.npz). Beside it are written the report (.json), the layer that
        names events (`<stem>_tags.npz`), for VGGish the PCA of its embeddings (`<stem>_pca.npz`),
        and `<out>.training/`, from which a killed run goes on.
      options: How it is computed.

    Returns:
      The report: what `loop.fit` returns (with "best_epoch", "validation_tag_accuracy" and, for
      several labels a clip, "validation_map"), "kinds" (names of the events), "training_clips",
      "validation_clips", "test_clips", "settings" and, with test clips, "test_tag_accuracy" and
      "test_map", "test_auc" and "test_d_prime" (see `tagging_scores`).

    Raises:
      DataError: `test` has labels that `training` lacks or the sound of a training clip, there are
        too few clips, or some cannot be used.
      CrossaskError: `<out>.training` contains another pre-training, or `out` is another file.
      WeightsError: The weights to start from cannot be used.
      Preempted: See `loop.fit`.
    """
    out = Path(out)
    folder = Path(f"{out}.training")
    distribution = options.distribution or devices.make_distribution("one_device")
    writes = devices.machines(distribution).is_first

    # Clips: a part to train on, a validation part and the test clips
    kinds = _kinds(training, test)
    is_exclusive = all(len(clip.labels) == 1 for clip in training)
    fitted, validation = _split(training, settings)
    corpus = examples.corpus_of([*training, *test])
    features_dir = Path(options.features_dir or folder / "features")
    read_recordings(corpus, features_dir)
    hash_of = {path: content.sha256 for path, content in corpus.contents.items()}
    check_apart(training, test, hash_of)
    if writes:
        files_beside = (out.with_suffix(".json"), tags_path(out), pca_path(out))
        for path in files_beside:
            files.remove_remains_of(path)
        claim_folder(folder, _record(settings, corpus, training, test), (out, *files_beside))

    # Patches, computed once
    cache = prepare_features(
        corpus,
        examples.row(settings.event_model, settings.clip_seconds),
        features_dir,
        options.workers,
        options.clip_progress,
        options.elsewhere,
    )
    check_apart(training, test, cache.hashes_of_samples("patches"), "samples")
    labels = examples.labels_of([*training, *test], kinds)
    data = examples.Examples(corpus, cache, labels, settings.batch_size)

    # Fit the tagger, then load the weights of its best epoch
    devices.set_seeds(settings.seed, distribution)
    with distribution.scope():
        model = _compiled(settings, data.shape, len(kinds), is_exclusive)
    batches = batches_for_fit(
        data.training(fitted, settings.seed, settings.mixup_alpha, settings.is_balanced),
        data.evaluation(validation),
        distribution,
    )
    plan = _plan(settings, is_exclusive, options.save_steps)
    with damage_named(cache, COMPUTE_AGAIN):
        result = loop.fit(folder, model, batches, plan, options.epoch_progress)
    report = {
        **result,
        "kinds": kinds,
        "training_clips": len(fitted),
        "validation_clips": len(validation),
        "test_clips": len(test),
        "settings": config.to_dict(settings),
    }
    if writes:
        loop.load_weights(folder / "best.npz", model)
        with damage_named(cache, COMPUTE_AGAIN):
            if test:
                report |= _test_scores(model, data.evaluation(test), is_exclusive)
            _write(out, model, data.evaluation(fitted), report, is_exclusive)
    return report


def pca_path(out: str | Path) -> Path:
    """Returns the path of the PCA beside the weights `out`, for event_model.pca."""
    out = Path(out)
    return out.with_name(f"{out.stem}_pca.npz")


def _kinds(training: Sequence[LabelledClip], test: Sequence[LabelledClip]) -> list[str]:
    """Returns the sorted kinds of events of the training clips.

    Raises:
      DataError: A test clip has a label that no training clip has.
    """
    kinds = sorted(_labels(training))
    unknown = sorted(_labels(test) - set(kinds))
    if unknown:
        raise DataError(
            f"The test clips have the labels {unknown}, which no training clip has.",
            "Train on these kinds, too.",
        )
    return kinds


def _labels(clips: Sequence[LabelledClip]) -> set[str]:
    """Returns the labels that the clips have."""
    labels = set()
    for clip in clips:
        labels.update(clip.labels)
    return labels


def _split(
    clips: Sequence[LabelledClip], settings: PretrainingConfig
) -> tuple[list[LabelledClip], list[LabelledClip]]:
    """Returns the clips to train on and those to validate on.

    Logs which events the latter do not have.

    Raises:
      DataError: There are too few clips for a batch, or for a validation part.
    """
    fitted, validation = validation_split(clips, settings.validation_share, settings.seed)
    if len(fitted) < settings.batch_size:
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
    missing = sorted(_labels(clips) - _labels(validation))
    if missing:
        LOG.warning(
            "The validation part has %d of %d clips, and none of %s: the best epoch is chosen "
            "without these events.",
            len(validation),
            len(clips),
            shortened_list(missing),
        )
    return fitted, validation


def _plan(settings: PretrainingConfig, is_exclusive: bool, save_steps: int) -> loop.Plan:
    """Returns what `loop.fit` records and by which metric it chooses the best epoch."""
    # The first metric chooses the best epoch.
    metrics = ("tag_accuracy",) if is_exclusive else ("map", "tag_accuracy")
    return loop.Plan(
        title=f"pre-training {settings.event_model.name}",
        epochs=settings.epochs,
        selection=loop.Selection(metrics[0]),
        metrics=metrics,
        save_steps=save_steps,
    )


def _compiled(
    settings: PretrainingConfig, patch_shape: tuple[int, ...], kind_count: int, is_exclusive: bool
) -> EventTagger:
    """Returns the tagger, built and compiled.

    Args:
      settings: The event model, the seed and the learning rate are used.
      patch_shape: Shape of one clip's patches, [P, 96, 64].
      kind_count: Number of kinds of events.
      is_exclusive: Whether every clip has one label, so that kinds exclude each other (softmax
        instead of a sigmoid for each kind).
    """
    event_model = events.build(_linear(settings.event_model), trainable=True, seed=settings.seed)
    model = EventTagger(event_model, kind_count)
    # The first call creates the weights.
    model({"patches": tf.zeros([1, *patch_shape])})
    metrics = [TagAccuracy(name="tag_accuracy")]
    if is_exclusive:
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    else:
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        metrics.append(MeanAveragePrecision(kind_count, name="map"))
    model.compile(keras.optimizers.Adam(settings.learning_rate), loss, weighted_metrics=metrics)
    # The metrics are already sums over all devices; with several machines Keras would add them up.
    model.distribute_reduction_method = "first"
    # Creates the optimiser's variables, so that a checkpoint can be restored into them.
    model.optimizer.build(model.trainable_variables)
    return model


def _test_scores(
    model: EventTagger, test: EvaluationData, is_exclusive: bool
) -> dict[str, float | None]:
    """Returns the scores of the test clips, with names that begin with "test_".

    Args:
      model: The tagger.
      test: The clips.
      is_exclusive: See `_compiled`.
    """
    accuracy = TagAccuracy()
    labels = []
    scores_of_clips = []
    for inputs, target, weight in test.batches():
        batch_scores = model(inputs, training=False)  # [B, kinds]
        if is_exclusive:
            # The loss leaves open a number that is added to all logits of a clip, so that logits of
            # different clips cannot be compared.
            batch_scores = tf.nn.softmax(batch_scores)
        accuracy.update_state(target, batch_scores, weight)
        # Clips that fill the last batch have the weight 0.
        is_counted = weight.numpy() > 0
        labels.append(target.numpy()[is_counted])
        scores_of_clips.append(batch_scores.numpy()[is_counted])
    scores = tagging_scores(np.concatenate(labels), np.concatenate(scores_of_clips))
    scores["tag_accuracy"] = float(accuracy.result())
    return {f"test_{name}": value for name, value in scores.items()}


def _write(
    out: Path,
    model: EventTagger,
    fitted: EvaluationData,
    report: dict[str, Any],
    is_exclusive: bool,
) -> None:
    """Writes the layer that predicts events, the PCA of VGGish, the report and the weights."""
    out.parent.mkdir(parents=True, exist_ok=True)
    head = model.head
    tagger = Tagger(report["kinds"], head.kernel, head.bias, exclusive=is_exclusive)
    tagger.save_npz(tags_path(out), model.event_model.record["sha256"])
    name = report["settings"]["event_model"]["name"]
    if catalogue.event_model(name).has_pca:
        _fit_pca(model.event_model, fitted, pca_path(out))
    files.write_json(out.with_suffix(".json"), report)
    # The weights are written last: if they exist, so do the report, the tags and the PCA.
    model.event_model.save_npz(out)


def _fit_pca(event_model: EventModel, clips: EvaluationData, path: Path) -> None:
    """Fits a whitening PCA to the embeddings of some clips and writes it.

    The file has the keys of Google's vggish_pca_params.npz, and a key `source` with the text that
    crossask-pretrain fitted it, and on how many clips. If all embeddings are the same, a warning is
    logged and no file is written.

    Args:
      event_model: The trained event model.
      clips: The clips.
      path: Path of the file.
    """
    parts = []
    for inputs, _, weight in clips.batches():
        # Clips that fill the last batch have the weight 0.
        is_counted = weight.numpy() > 0
        parts.append(event_model(inputs["patches"]).numpy()[is_counted])
    embeddings = np.concatenate(parts).reshape(-1, event_model.embedding_size)  # [patches, E]
    mean = embeddings.mean(0, dtype=np.float64)
    covariance = np.cov(embeddings.astype(np.float64), rowvar=False)
    values, vectors = np.linalg.eigh(covariance)
    if values.max() <= np.square(LEAST_DEVIATION * np.abs(mean).max()):
        # Divided by their deviation, embeddings would be infinite.
        files.remove(path)
        LOG.warning(
            "The embeddings of all clips are the same: the event model has learned nothing. Lower "
            "the learning rate and pre-train again. %s is not written.",
            path,
        )
        return
    # `eigh` sorts by rising variance; the file is sorted by falling variance.
    order = np.argsort(values)[::-1]
    # Without the floor, components of almost no variance would be amplified to the level of others.
    floor = LEAST_VARIANCE * values.max()
    scales = 1 / np.sqrt(np.maximum(values[order], floor))
    matrix = vectors[:, order].T * scales[:, np.newaxis]  # [E, E], a component in each row
    source = f"fitted on {len(clips.clip_ids)} clips by crossask-pretrain"
    arrays = {"pca_eigen_vectors": matrix, "pca_means": mean, "source": source}
    stored.write_arrays(path, arrays)


def _record(
    settings: PretrainingConfig,
    corpus: Corpus,
    training: Sequence[LabelledClip],
    test: Sequence[LabelledClip],
) -> dict[str, Any]:
    """Returns the settings and the digests by which this pre-training differs from others."""
    training_values = [dataclasses.astuple(clip) for clip in training]
    test_values = [dataclasses.astuple(clip) for clip in test]
    return {
        "start": _start(settings),
        "settings": config.to_dict(settings),
        "clips": config.digest(training_values, test_values),
        "sounds": corpus.fingerprint,
    }


def _start(settings: PretrainingConfig) -> str:
    """Returns the digest of the weights that are the start; "" if they are random."""
    if not settings.event_model.weights:
        return ""
    return events.build(_linear(settings.event_model), trainable=True).weights_digest()


def _linear(event_model: EventModelConfig) -> EventModelConfig:
    """Returns the event model with its linear output as embedding.

    The taps "relu" and "pca" change how embeddings are read, not the weights, and the PCA is fitted
    after training.
    """
    return dataclasses.replace(event_model, embedding_tap="linear")
