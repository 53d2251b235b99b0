"""Event pre-training: an event model becomes a tagger of labelled events, and its weights are kept for the scene models."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras

from crossask import config, events, files
from crossask.audio import clip_features, frontends, reading, resampling
from crossask.config import catalogue
from crossask.errors import AudioError, CrossaskError, DataError
from crossask.events import tagging
from crossask.features.batches import shuffled
from crossask.training import devices, loop


@dataclasses.dataclass(frozen=True)
class LabelledClip:
    """A sound file and the events in it."""

    path: str
    labels: tuple[str, ...]
    fold: str = ""


@dataclasses.dataclass(frozen=True)
class PretrainingConfig:
    """How the tagger is trained."""

    event_model: config.EventModelConfig = dataclasses.field(
        default_factory=config.EventModelConfig
    )
    clip_seconds: float = 10.0  # clips are cut or padded with silence to this
    epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 1e-3
    validation_share: float = 0.15  # of the training clips, by file, where the best epoch is chosen
    seed: int = 0


@keras.saving.register_keras_serializable("crossask")
class EventTagger(keras.Model):
    """Event model -> ReLU -> one logit a kind of event and patch -> smooth maximum over the patches of a clip.

    An event may sound in one patch of many, hence log-mean-exp over the patches rather than their mean.
    """

    def __init__(self, event_model, kinds: int, **kwargs):
        super().__init__(**kwargs)
        self.event_model = event_model
        self.head = keras.layers.Dense(kinds, name="tags")

    def call(self, inputs, training=False):
        embedding = self.event_model(
            inputs["patches"], training=training
        )  # [batch, patches, embedding]
        logits = self.head(tf.nn.relu(embedding))  # [batch, patches, kinds]
        patches = tf.cast(tf.shape(logits)[1], logits.dtype)
        return tf.reduce_logsumexp(logits, axis=1) - tf.math.log(patches)  # [batch, kinds]


@keras.saving.register_keras_serializable("crossask")
class TagAccuracy(keras.metrics.Mean):
    """Share of clips whose most probable tag is one of their labels; y_true is multi-hot."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        top = tf.argmax(y_pred, -1)
        return super().update_state(tf.gather(y_true, top, batch_dims=1), sample_weight)


def read_labelled_clips(path) -> tuple[LabelledClip, ...]:
    """Labelled events from a CSV with a header.

    Columns: `filename` (relative to the CSV, to its folder `audio`, or absolute) and either `category` (ESC-50) or `labels`
    (AudioSet: several, separated by commas or semicolons); optionally `fold`.

    Several lines of one file are one clip with the labels of all.

    Raises:
      DataError: no CSV, a column or a file is missing, a line has no label, a file is in two folds.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(
            f"There is no CSV {str(path)!r}.",
            "Give a CSV with the columns filename and labels (or category).",
        )
    columns, rows = reading.read_table(path)
    label_column = next((name for name in ("labels", "label", "category") if name in columns), None)
    if "filename" not in columns or label_column is None:
        raise DataError(
            f"{path} has the columns {columns}.",
            "Give it a header with filename and labels (or category).",
        )
    clips = {}
    for number, row in enumerate(rows, start=2):
        name, fold = row["filename"] or "", row.get("fold") or ""
        audio = next(
            (str(c) for c in (path.parent / name, path.parent / "audio" / name) if c.is_file()),
            None,
        )
        if audio is None:
            raise DataError(
                f"Line {number} of {path} names {name!r}, which does not exist.",
                "Mend the path or remove the line.",
            )
        labels = tuple(
            label.strip()
            for label in (row[label_column] or "").replace(";", ",").split(",")
            if label.strip()
        )
        if not labels:
            raise DataError(
                f"Line {number} of {path} has no label.",
                "Name at least one event, or remove the line.",
            )
        before = clips.get(audio, LabelledClip(audio, (), fold))
        if before.fold != fold:
            raise DataError(
                f"{name!r} stands in fold {before.fold!r} and, in line {number} of {path}, in {fold!r}.",
                "Give it one fold.",
            )
        clips[audio] = LabelledClip(audio, tuple(dict.fromkeys((*before.labels, *labels))), fold)
    return tuple(clips.values())


def pretrain(
    settings: PretrainingConfig,
    training,
    test,
    out,
    workers: int = 2,
    progress=None,
    epoch_progress=None,
) -> dict:
    """Trains the event model as a tagger and writes its weights to `out` (.npz) with a report beside it (.json).

    Args:
      training: labelled clips; a seeded part of them chooses the best epoch.
      test: labelled clips that are scored once at the end; may be empty.
      out: path of the weights; beside it stand the head with the names of the kinds (`<stem>_tags.npz`) and, for VGGish, the PCA
        (`<stem>_pca.npz`); `<out>.training/` holds what a killed run goes on from.
      workers: files read at once.
      progress: called with (clips whose patches are written, clips in all).
      epoch_progress: called with (epochs done, epochs in all, loss and accuracy in words).

    Returns:
      The report: kinds, clips, best epoch, tag accuracy on the validation part and on `test`.

    Raises:
      DataError: labels of `test` that training lacks, too few clips.
      CrossaskError: `<out>.training` holds another pre-training.
    """
    out = Path(out)
    kinds = sorted({label for clip in training for label in clip.labels})
    unknown = {label for clip in test for label in clip.labels} - set(kinds)
    if unknown:
        raise DataError(
            f"The test clips hold {sorted(unknown)}, which no training clip has.",
            "Train on these kinds too.",
        )
    single = all(len(clip.labels) == 1 for clip in training)
    devices.set_seeds(settings.seed)
    fitted, validation = _split(training, settings)
    steps = len(fitted) // settings.batch_size
    if not steps or not validation:
        raise DataError(
            f"{len(training)} clips are too few for batches of {settings.batch_size}.",
            "Lower --batch_size or add clips.",
        )
    event_model = events.build(
        dataclasses.replace(settings.event_model, embedding_tap="linear"),
        trainable=True,
        seed=settings.seed,
    )
    folder = Path(f"{out}.training")
    _claim(folder, settings, training, test)
    patches = _PatchStore(folder / "patches", settings, workers)
    count = len(fitted) + len(validation) + len(test)
    data, done = {}, 0
    for side, clips in (("fitted", fitted), ("validation", validation), ("test", test)):
        data[side] = patches.write(
            side, clips, kinds, lambda n, done=done: progress and progress(done + n, count)
        )
        done += len(clips)
    model = EventTagger(event_model, len(kinds))
    model({"patches": tf.zeros([1, *patches.shape])})
    # one label a clip: kinds exclude each other (softmax); several: each kind is a question of its own (sigmoid)
    loss = (
        keras.losses.CategoricalCrossentropy(from_logits=True)
        if single
        else keras.losses.BinaryCrossentropy(from_logits=True)
    )
    model.compile(
        keras.optimizers.Adam(settings.learning_rate),
        loss,
        weighted_metrics=[TagAccuracy(name="tag_accuracy")],
    )
    model.optimizer.build(model.trainable_variables)
    result = loop.fit(
        folder,
        f"pre-training {settings.event_model.name}",
        model,
        loop.Batches(
            lambda epoch, step: patches.training_batches(
                data["fitted"], len(fitted), len(kinds), epoch, step
            ),
            steps,
            patches.evaluation_batches(data["validation"], len(kinds)),
        ),
        settings.epochs,
        loop.Selection("tag_accuracy"),
        ("tag_accuracy",),
        epoch_progress,
    )
    loop.load_weights(folder / "best.npz", model)
    report = {
        **result,
        "kinds": kinds,
        "training_clips": len(fitted),
        "validation_clips": len(validation),
        "test_clips": len(test),
    }
    report["settings"] = config.to_dict(settings)
    if test:
        scores = model.evaluate(
            patches.evaluation_batches(data["test"], len(kinds)), verbose=0, return_dict=True
        )
        report["test_tag_accuracy"] = float(scores["tag_accuracy"])
    out.parent.mkdir(parents=True, exist_ok=True)
    # the weights last: where they are, all that belongs to them is
    tagging.Tagger(kinds, model.head.kernel, model.head.bias, exclusive=single).save_npz(
        tagging.tags_path(out)
    )
    if catalogue.event_model(settings.event_model.name).has_pca:
        _fit_pca(
            event_model,
            patches.evaluation_batches(data["fitted"], len(kinds)),
            pca_path(out),
            count=len(fitted),
        )
    event_model.save_npz(out)
    files.write_json(out.with_suffix(".json"), report)
    return report


def pca_path(out) -> Path:
    """Where `pretrain` writes the PCA of VGGish's embeddings: beside the weights, for event_model.pca."""
    return Path(out).with_name(f"{Path(out).stem}_pca.npz")


def _fit_pca(event_model, batches, path: Path, count: int):
    """Whitening PCA over the embeddings of the clips trained on, in the layout of Google's file and marked as fitted here."""
    embeddings = np.concatenate(
        [event_model(inputs["patches"]).numpy() for inputs, _ in batches]
    ).reshape(-1, event_model.embedding_size)
    mean = embeddings.mean(0, dtype=np.float64)
    values, vectors = np.linalg.eigh(np.cov(embeddings.astype(np.float64), rowvar=False))
    order = np.argsort(values)[::-1]
    # directions without variance stay small instead of becoming noise
    scales = 1 / np.sqrt(np.maximum(values[order], 1e-6 * values.max()))
    with files.writing(path) as temporary, open(temporary, "wb") as file:
        source = f"fitted on {count} clips by crossask-pretrain"
        np.savez(
            file,
            pca_eigen_vectors=vectors[:, order].T * scales[:, np.newaxis],
            pca_means=mean,
            source=source,
        )


class _PatchStore:
    """Patches and labels of labelled clips in one TFRecord a side: memory does not grow with the number of clips."""

    def __init__(self, folder: Path, settings: PretrainingConfig, workers: int):
        self.folder, self.settings, self.workers = folder, settings, workers
        self.front_end, self.traced = catalogue.event_model(settings.event_model.name).front_end, {}
        self.features = config.FeatureConfig(
            sample_rate_hz=frontends.EVENT_RATE_HZ, clip_seconds=settings.clip_seconds
        )
        silence = np.zeros((round(settings.clip_seconds * frontends.EVENT_RATE_HZ), 1), np.float32)
        self.shape = tuple(self._patches(silence, frontends.EVENT_RATE_HZ).shape)

    def write(self, side: str, clips, kinds: list[str], progress) -> str:
        """The file of a side's patches; a DataError that names the sound files which cannot be used."""
        path = self.folder / f"{side}.tfrecord"
        if not path.is_file():
            broken = []

            def load(number):
                try:
                    return self._load(clips[number])
                except AudioError as error:
                    broken.append(error.problem)
                    return np.zeros(self.shape, np.float32)

            with files.writing(path) as temporary, tf.io.TFRecordWriter(str(temporary)) as writer:
                numbers = tf.data.Dataset.range(len(clips)).map(
                    lambda n: (n, tf.numpy_function(load, [n], tf.float32)),
                    num_parallel_calls=self.workers,
                )
                for number, value in numbers.prefetch(self.workers):
                    labels = np.isin(kinds, clips[int(number)].labels).astype("<f4")
                    feature = {"patches": _bytes(value.numpy()), "labels": _bytes(labels)}
                    writer.write(
                        tf.train.Example(
                            features=tf.train.Features(feature=feature)
                        ).SerializeToString(deterministic=True)
                    )
                    progress(int(number) + 1)
                if broken:
                    raise DataError(
                        f"{len(broken)} of {len(clips)} sound files cannot be used: {' '.join(sorted(broken)[:10])}",
                        "Mend or remove them and run again.",
                    )
        return str(path)

    def training_batches(
        self, path: str, clips: int, kinds: int, first_epoch: int, first_step: int
    ):
        def one_epoch(epoch):
            key = tf.random.experimental.stateless_fold_in(
                tf.constant([self.settings.seed, 0xE7E7], tf.int64), epoch
            )
            records = shuffled(tf.data.TFRecordDataset(path), min(clips, 4096), key)
            return records.map(lambda text: self._parse(text, kinds)).batch(
                self.settings.batch_size, drop_remainder=True
            )

        epochs = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
        return epochs.flat_map(one_epoch).skip(first_step).prefetch(2)

    def evaluation_batches(self, path: str, kinds: int):
        return (
            tf.data.TFRecordDataset(path)
            .map(lambda text: self._parse(text, kinds))
            .batch(self.settings.batch_size)
            .prefetch(2)
        )

    def _parse(self, text, kinds: int):
        text_feature = tf.io.FixedLenFeature([], tf.string)
        example = tf.io.parse_single_example(
            text, {"patches": text_feature, "labels": text_feature}
        )
        patches = tf.reshape(tf.io.decode_raw(example["patches"], tf.float32), self.shape)
        return {"patches": patches}, tf.reshape(
            tf.io.decode_raw(example["labels"], tf.float32), [kinds]
        )

    def _load(self, clip: LabelledClip) -> np.ndarray:
        waveform, rate = reading.read_audio(clip.path)
        resampling.check_rate(rate, clip.path)
        length = round(self.settings.clip_seconds * rate)
        waveform = np.pad(waveform[:length], ((0, max(0, length - len(waveform))), (0, 0)))
        return self._patches(waveform, rate).numpy()

    def _patches(self, waveform: np.ndarray, rate: int):
        key = (rate, waveform.shape)
        if key not in self.traced:  # one graph for each format of file
            pad_end = self.settings.event_model.pad_end
            self.traced[key] = tf.function(
                lambda x: clip_features.event_patches(
                    x[tf.newaxis], rate, self.features, self.front_end, pad_end
                )[0],
                input_signature=[tf.TensorSpec(waveform.shape, tf.float32)],
            )
        return self.traced[key](waveform)


def _split(clips, settings: PretrainingConfig):
    """A seeded validation part, the same share of each first label."""
    rng, by_label = np.random.default_rng(settings.seed), {}
    for clip in clips:
        by_label.setdefault(clip.labels[0], []).append(clip)
    validation = set()
    for label in sorted(by_label):
        members = by_label[label]
        validation |= {
            members[i]
            for i in rng.permutation(len(members))[: int(settings.validation_share * len(members))]
        }
    return [clip for clip in clips if clip not in validation], [
        clip for clip in clips if clip in validation
    ]


def _claim(folder: Path, settings, training, test):
    """Writes what this pre-training is, or checks that the folder's is the same."""
    sides = ([dataclasses.astuple(clip) for clip in side] for side in (training, test))
    record = {"settings": config.to_dict(settings), "clips": config.digest(*sides)}
    path = folder / "config.json"
    if not path.is_file():
        files.write_json(path, record)
    elif json.loads(path.read_text()) != json.loads(json.dumps(record)):
        raise CrossaskError(
            f"{folder} holds another pre-training.", "Give another --out, or remove that folder."
        )


def _bytes(value: np.ndarray):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.astype("<f4").tobytes()]))
