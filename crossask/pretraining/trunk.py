"""Pre-training of a trunk: a scene model without sound, as a tagger of embeddings with events.

Arrays of the .npz with embeddings and events:
  event_names   Names of the events, text [events].
  train_x       Embeddings of the training part, float [clips, patches, width].
  train_y       Events of its clips, 0 or 1 [clips, events].
  val_x, val_y  The same for the validation part, which chooses the best epoch.
  test_x, test_y  Optional: clips that are scored once, at the end.
"""

import dataclasses
import hashlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from sklearn.metrics import average_precision_score

from crossask import config, files, models
from crossask.config import Experiment
from crossask.datasets.embeddings import load_npz
from crossask.errors import CrossaskError, DataError
from crossask.events import weights
from crossask.features.augmentation import fold_in
from crossask.features.batches import raised_deviations
from crossask.models.scene_model import SceneModel
from crossask.pretraining.claims import claim_folder
from crossask.pretraining.tagger import MeanAveragePrecision
from crossask.tracing import as_written
from crossask.training import devices, loop, trunk

LOG = logging.getLogger("crossask")
FORMAT_HELP = (
    "Give an .npz with event_names [events] and, for train, val and optionally test, PART_x "
    "[clips, patches, width] and PART_y [clips, events]."
)
PARTS = ("train", "val", "test")
# Keeps the random numbers of the order apart from others of the same seed.
ORDER_KEY = 0x7271
HASH_BYTES = 16
# Keeps the initial probability of an event, its share of the clips, away from 0 and 1.
LEAST_SHARE = 1e-4


@dataclasses.dataclass(frozen=True)
class TrunkPretrainingConfig:
    """How a trunk is trained.

    Attributes:
      experiment: The row; its system and `model` are used, and its event model is recorded.
      epochs: Number of epochs.
      batch_size: Clips in a batch.
      learning_rate: Adam's learning rate.
      seed: Seed of the initial weights and of the order of the clips.
    """

    experiment: Experiment
    epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 1e-3
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class TaggedEmbeddings:
    """The clips of one part.

    Attributes:
      embeddings: float [clips, patches, width].
      labels: 1 for an event of the clip, else 0; uint8 [clips, events].
    """

    embeddings: np.ndarray
    labels: np.ndarray

    @property
    def count(self) -> int:
        """Number of clips."""
        return len(self.labels)


def pretrain_trunk(
    settings: TrunkPretrainingConfig,
    embeddings: str | Path,
    out: str | Path,
    progress: loop.Progress | None = None,
) -> dict[str, Any]:
    """Trains a row's network as a tagger of embeddings and writes its trunk.

    The network is that of the row, with one output for each event in place of one for each scene,
    and a sigmoid cross-entropy for each event. The weights of the epoch with the best mAP (mean
    average precision) on the validation part are written, without those of the last layer.

    Args:
      settings: How the trunk is trained.
      embeddings: The .npz described above.
      out: Path of the trunk (.npz). Beside it are written the report (.json) and
        `<out>.training/`, from which a killed run goes on.
      progress: Called with (epochs done, epochs in all, loss and mAP in words).

    Returns:
      The report: what `loop.fit` returns (with "best_epoch" and "validation_map"), "events" (their
      number), "training_clips", "validation_clips", "test_clips", "settings" and, with a test part,
      "test_map". "validation_map" is computed with rounded logits, see `MeanAveragePrecision`.

    Raises:
      DataError: The .npz cannot be used.
      ConfigError: The system has no trunk.
      CrossaskError: `<out>.training` contains another pre-training, or `out` is another file.
    """
    out = Path(out)
    parts = read_tagged_embeddings(embeddings)
    training = parts["train"]
    steps = training.count // settings.batch_size
    if not steps:
        raise DataError(
            f"{training.count} clips do not fill one batch of {settings.batch_size}.",
            "Lower --batch_size.",
        )
    folder = Path(f"{out}.training")
    report_path = out.with_suffix(".json")
    files.remove_remains_of(report_path)
    claim_folder(folder, _record(settings, parts), (out, report_path))
    devices.set_seeds(settings.seed)
    model = _compiled(settings, training)
    batches = _batches(parts, settings, steps)
    plan = loop.Plan(
        title="pre-training of a trunk",
        epochs=settings.epochs,
        selection=loop.Selection("map"),
        metrics=("map",),
    )
    result = loop.fit(folder, model, batches, plan, progress)
    loop.load_weights(folder / "best.npz", model)
    report = {
        **result,
        "events": training.labels.shape[1],
        "training_clips": training.count,
        "validation_clips": parts["val"].count,
        "test_clips": 0,
        "settings": config.to_dict(settings),
    }
    if "test" in parts:
        report["test_clips"] = parts["test"].count
        report["test_map"] = mean_average_precision(model, parts["test"], settings.batch_size)
    files.write_json(report_path, report)
    # The trunk is written last: if it exists, so does the report.
    trunk.save(out, settings.experiment, model)
    return report


def read_tagged_embeddings(path: str | Path) -> dict[str, TaggedEmbeddings]:
    """Returns the parts of an .npz by name; its format is described above.

    Raises:
      DataError: It cannot be read, an array is missing or arrays do not fit each other.
    """
    arrays = load_npz(Path(path), FORMAT_HELP)
    parts = {}
    for name in PARTS:
        if f"{name}_x" in arrays and f"{name}_y" in arrays:
            parts[name] = TaggedEmbeddings(arrays[f"{name}_x"], arrays[f"{name}_y"])
    missing = {"train", "val"} - set(parts)
    if missing or "event_names" not in arrays:
        raise DataError(
            f"{path} has the arrays {', '.join(sorted(arrays)) or '(none)'}.", FORMAT_HELP
        )
    _check_values(path, arrays["event_names"], parts)
    events = len(arrays["event_names"])
    clip_shape = parts["train"].embeddings.shape[1:]
    for name, part in parts.items():
        shape = part.embeddings.shape
        has_labels = part.labels.shape == (shape[0], events)
        if len(shape) != 3 or shape[1:] != clip_shape or not has_labels:
            raise DataError(
                f"{name}_x {list(shape)} and {name}_y {list(part.labels.shape)} of {path} do not "
                f"fit each other, train_x or the {events} event_names.",
                FORMAT_HELP,
            )
        if not part.count:
            raise DataError(f"{name}_x of {path} contains no clips.", FORMAT_HELP)
        if not np.isfinite(part.embeddings).all():
            raise DataError(
                f"{name}_x of {path} contains values that are not finite.",
                "Compute these embeddings again.",
            )
    for name in ("val", "test"):
        if name in parts and not parts[name].labels.any():
            raise DataError(
                f"{name}_y of {path} has no event in any clip.",
                "Add clips with events to this part, on which the trunk is scored.",
            )
    _log_trained_clips(path, parts)
    return parts


def _log_trained_clips(path: str | Path, parts: dict[str, TaggedEmbeddings]) -> None:
    """Logs how many clips of the other parts have the same embeddings as a training clip.

    It is no error, because silent clips have equal embeddings.
    """
    trained = set(_hashes(parts["train"]))
    for name, part in parts.items():
        if name == "train":
            continue
        count = sum(1 for digest in _hashes(part) if digest in trained)
        if count:
            LOG.warning(
                "%d of %d clips of %s_x of %s have the same embeddings as training clips. If they "
                "are not silent, the scores on this part are too high.",
                count,
                part.count,
                name,
                path,
            )


def _hashes(part: TaggedEmbeddings) -> Iterator[bytes]:
    """Yields a hash of the embeddings of each clip."""
    for embedding in part.embeddings:
        # Parts may have different types of numbers.
        content = np.ascontiguousarray(embedding, np.float32)
        yield hashlib.blake2b(content, digest_size=HASH_BYTES).digest()


def _check_values(
    path: str | Path, event_names: np.ndarray, parts: dict[str, TaggedEmbeddings]
) -> None:
    """Raises DataError for embeddings that are no real numbers, and labels other than 0 and 1."""
    if event_names.ndim != 1 or not len(event_names):
        raise DataError(f"event_names of {path} has the shape {event_names.shape}.", FORMAT_HELP)
    for name, part in parts.items():
        if part.embeddings.dtype.kind not in "fiu" or not part.embeddings.ndim:
            raise DataError(f"{name}_x of {path} is {part.embeddings.dtype}.", FORMAT_HELP)
        if not _are_labels(part.labels):
            raise DataError(
                f"{name}_y of {path} has values other than 0 and 1.",
                "Label each clip with 1 for the events in it, and 0 for others.",
            )


def _are_labels(values: np.ndarray) -> bool:
    """Returns whether all values are 0 or 1.

    There may be gigabytes of them, so only arrays of floats are copied, to compare them with whole
    numbers.
    """
    if values.dtype.kind not in "biuf":
        return False
    if not values.size or values.dtype.kind == "b":
        return True
    # The comparison is also false for NaN.
    is_in_range = bool(values.min() >= 0 and values.max() <= 1)
    is_whole = values.dtype.kind != "f" or bool((values == np.round(values)).all())
    return is_in_range and is_whole


def mean_average_precision(model: SceneModel, part: TaggedEmbeddings, batch_size: int) -> float:
    """Returns the mean average precision over the events that the part's clips have."""
    logits = model.predict(_in_order(part, batch_size), verbose=0)
    has_clips = part.labels.any(axis=0)
    return float(average_precision_score(part.labels[:, has_clips], logits[:, has_clips]))


def _compiled(settings: TrunkPretrainingConfig, training: TaggedEmbeddings) -> SceneModel:
    """Returns the tagger, built and compiled."""
    experiment = config.override(
        settings.experiment, {"model.trunk": "", "model.trunk_training": "trained"}
    )
    statistics = {}
    if experiment.model.standardise_embedding:
        values = training.embeddings.reshape(-1, training.embeddings.shape[2])
        statistics["embedding_mean"] = values.mean(axis=0, dtype=np.float64)
        deviation = values.std(axis=0, dtype=np.float64)
        statistics["embedding_deviation"] = raised_deviations(deviation)
    events = training.labels.shape[1]
    model = models.build(
        experiment.system, events, experiment.model, seed=settings.seed, **statistics
    )
    if not model.trunk_upward():
        raise CrossaskError(
            f"Row {experiment.name!r} is {experiment.system}, whose trunk cannot be pre-trained.",
            "Give a row of VEM.",
        )
    # The first call creates the weights.
    model({"embedding": tf.zeros([1, *training.embeddings.shape[1:]])})
    # Before training, each event has the probability of its share of the clips.
    share = np.clip(training.labels.mean(axis=0), LEAST_SHARE, 1 - LEAST_SHARE)
    model.scene.bias.assign(np.log(share / (1 - share)))
    model.compile(
        keras.optimizers.Adam(settings.learning_rate),
        keras.losses.BinaryCrossentropy(from_logits=True),
        weighted_metrics=[MeanAveragePrecision(events, name="map")],
    )
    # Creates the optimiser's variables, so that a checkpoint can be restored into them.
    model.optimizer.build(model.trainable_variables)
    return model


def _batches(
    parts: dict[str, TaggedEmbeddings], settings: TrunkPretrainingConfig, steps: int
) -> loop.Batches:
    """Returns the data for `loop.fit`; each epoch has its own order of the training clips."""
    training = parts["train"]

    @as_written
    def training_batches(first_epoch: int, first_step: int) -> tf.data.Dataset:
        """Returns an endless dataset; the order is a pure function of the seed and the epoch."""

        def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
            key = fold_in(tf.constant([settings.seed, ORDER_KEY], tf.int64), epoch)
            order = tf.argsort(tf.random.stateless_uniform([training.count], seed=key))
            numbers = tf.data.Dataset.from_tensor_slices(order)
            return numbers.batch(settings.batch_size, drop_remainder=True)

        epochs = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
        batches = epochs.flat_map(one_epoch).skip(first_step)
        return batches.map(_reader(training)).prefetch(2)

    return loop.Batches(
        training=training_batches,
        steps=steps,
        validation=_in_order(parts["val"], settings.batch_size),
    )


@as_written
def _in_order(part: TaggedEmbeddings, batch_size: int) -> tf.data.Dataset:
    """Returns a dataset of every clip once."""
    batches = tf.data.Dataset.range(part.count).batch(batch_size)
    return batches.map(_reader(part)).prefetch(2)


def _reader(part: TaggedEmbeddings) -> Callable:
    """Returns a function: numbers of clips -> ({"embedding": [B, P, E]}, labels [B, events])."""
    embeddings = tf.constant(part.embeddings)
    labels = tf.constant(part.labels)

    def read(numbers: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        embedding = tf.cast(tf.gather(embeddings, numbers), tf.float32)
        return {"embedding": embedding}, tf.cast(tf.gather(labels, numbers), tf.float32)

    return read


def _record(settings: TrunkPretrainingConfig, parts: dict[str, TaggedEmbeddings]) -> dict[str, Any]:
    """Returns the settings and the digests by which this pre-training differs from others."""
    digests = {}
    for name, part in parts.items():
        digests[name] = weights.digest([], {"x": part.embeddings, "y": part.labels})
    return {"settings": config.to_dict(settings), "parts": digests}
