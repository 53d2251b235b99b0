"""One row x fold x seed to a finished run: trained, resumable, the best epoch by validation kept."""

import numpy as np
import pandas as pd
import tensorflow as tf
import tf_keras as keras

from crossask import config, devices, finetuning, fitting, pipeline, runs, systems
from crossask.datasets import Corpus, training_parts
from crossask.errors import CrossaskError, DataError

MOST_CLIPS = 32  # predicted at once: a batch of the 2017 baseline counts frames


@keras.saving.register_keras_serializable("crossask")
class MacroAccuracy(keras.metrics.Metric):
    """Mean of the class-wise accuracies (section 3.2 of the paper), over the classes seen; clips of weight 0 do not count."""

    def __init__(self, classes: int, name: str = "macro_accuracy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.classes = classes
        self.correct = self.add_weight(name="correct", shape=(classes,), initializer="zeros")
        self.total = self.add_weight(name="total", shape=(classes,), initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true = tf.reshape(tf.cast(y_true, tf.int32), [-1])
        hit = tf.cast(tf.equal(tf.argmax(y_pred, -1, tf.int32), y_true), tf.float32)
        weight = tf.ones_like(hit) if sample_weight is None else tf.reshape(tf.cast(sample_weight, tf.float32), [-1])
        member = tf.one_hot(y_true, self.classes) * weight[:, tf.newaxis]
        self.correct.assign_add(tf.linalg.matvec(member, hit, transpose_a=True))
        self.total.assign_add(tf.reduce_sum(member, 0))

    def result(self):
        seen = tf.cast(self.total > 0, tf.float32)
        return tf.math.divide_no_nan(tf.reduce_sum(tf.math.divide_no_nan(self.correct, self.total)), tf.reduce_sum(seen))

    def reset_state(self):
        for total in (self.correct, self.total):
            total.assign(tf.zeros_like(total))

    def get_config(self):
        return {**super().get_config(), "classes": self.classes}


def train(run: runs.Run, experiment: config.Experiment, corpus: Corpus, cache, distribution=None, paths=None, progress=None) -> dict:
    """Trains one run, or goes on with it, and returns its result; a finished run is returned as it is.

    Args:
      run: where it stands; its fold and seed are used.
      experiment: the row, resolved.
      corpus: the corpus that `cache` was prepared from.
      cache: a FeatureCache with the kinds that the row reads.
      distribution: a tf.distribute strategy; None is one device.
      paths: {"data_dir", "features_dir"} recorded for `crossask-evaluate`.
      progress: called with (epochs done, epochs in all, loss and accuracy in words).

    Raises:
      CrossaskError: the folder holds a run of another configuration, or the loss is no longer a number.
    """
    fold, settings = corpus.fold(run.fold), experiment.training
    training_ids, validation_ids = training_parts(corpus, fold, settings.validation_share, settings.validation_seed)
    context = settings.context_frames
    steps = pipeline.examples(cache, training_ids, context) // settings.batch_size
    if not steps:
        raise DataError(f"{len(training_ids)} training clips do not fill one batch of {settings.batch_size}.", "Lower training.batch_size.")
    _claim(run, experiment, corpus, cache, paths, len(training_ids), len(validation_ids))
    if run.finished:
        return run.read("result.json")

    devices.set_seeds(run.seed)
    distribution = distribution or devices.strategy("one_device")
    statistics_ids = fold.train if settings.statistics_over == "training_fold" else training_ids
    statistics = _statistics(run, experiment, cache, corpus, statistics_ids)
    with distribution.scope(), devices.precision(settings.precision):
        model = systems.build(experiment, corpus.scenes, run.seed, statistics)
        model = compiled(model, experiment, len(corpus.scenes), _specimen(cache), steps)
    result = fitting.fit(
        run.folder,
        f"{run.row} fold {run.fold} seed {run.seed}",
        model,
        lambda epoch: pipeline.training_batches(
            cache, corpus, training_ids, settings.batch_size, run.seed, settings.shuffle_buffer, epoch, context
        ),
        steps,
        settings.epochs,
        pipeline.evaluation_batches(cache, corpus, validation_ids, settings.batch_size, context),
        fitting.Selection(settings.monitor, settings.keep, settings.keep_from, settings.patience, settings.patience_from),
        ("macro_accuracy", "accuracy"),
        progress,
    )
    if experiment.event_input == "patches":
        fitting.load_weights(run.path("best.npz"), model)
        start = systems.build(experiment, corpus.scenes, run.seed, statistics).event_model
        batches = pipeline.evaluation_batches(cache, corpus, validation_ids, min(settings.batch_size, MOST_CLIPS))
        result["embedding_drift"] = finetuning.embedding_drift(start, model.event_model, batches)
    runs.write_json(run.path("result.json"), result)
    return result


def compiled(model, experiment: config.Experiment, classes: int, specimen: dict, steps: int = 1):
    """The row's network ready for `fit`: built on a batch like `specimen`, with its optimiser, cross-entropy and both accuracies.

    `steps`: batches an epoch, which schedules and stages of fine-tuning go by.
    """
    model(specimen)
    model.compile(
        optimizer=finetuning.optimizer(model, experiment.training, experiment.fine_tuning, steps),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[MacroAccuracy(classes), keras.metrics.SparseCategoricalAccuracy("accuracy")],
    )
    model.optimizer.build(model.trainable_variables)
    return model


def predict(run: runs.Run, corpus: Corpus, cache, clip_ids=None) -> pd.DataFrame:
    """Predictions of a finished run on its evaluation fold: clip, location, city, truth, one probability a scene."""
    clip_ids = corpus.fold(run.fold).evaluation if clip_ids is None else clip_ids
    model, size = systems.load(run), min(run.experiment().training.batch_size, MOST_CLIPS)
    step = tf.function(lambda inputs: tf.nn.softmax(tf.cast(model(inputs, training=False), tf.float32)), reduce_retracing=True)
    batches = pipeline.evaluation_batches(cache, corpus, clip_ids, size)
    probabilities = np.concatenate([step(inputs).numpy() for inputs, _, _ in batches])[: len(clip_ids)]
    clips = {clip.id: clip for clip in corpus.clips}
    rows = [clips[clip_id] for clip_id in pipeline.ordered(cache, clip_ids)]
    table = pd.DataFrame([{"clip": c.id, "location": c.location, "city": c.city, "truth": c.scene} for c in rows])
    return pd.concat([table, pd.DataFrame(probabilities, columns=list(corpus.scenes))], axis=1).sort_values("clip", ignore_index=True)


def _claim(run, experiment, corpus, cache, paths, training_clips, validation_clips):
    """Writes config.json, or checks that the folder's run is this one."""
    resolved = config.to_dict(experiment)
    if run.path("config.json").is_file():
        found = run.read("config.json")
        differing = sorted(name for name in resolved if found["experiment"].get(name) != resolved[name])
        if differing or found["corpus"]["fingerprint"] != corpus.fingerprint:
            what = f"other values of {', '.join(differing)}" if differing else "other recordings"
            raise CrossaskError(f"{run.folder} holds a run with {what}.", "Give another --model_dir, or remove that folder.")
        return
    runs.write_json(
        run.path("config.json"),
        {
            "experiment": resolved,
            "fold": run.fold,
            "seed": run.seed,
            "scenes": list(corpus.scenes),
            "input_shapes": cache.shapes,
            "corpus": {
                "name": corpus.name,
                "fingerprint": corpus.fingerprint,
                "clips": len(corpus.clips),
                "training": training_clips,
                "validation": validation_clips,
                "evaluation": len(corpus.fold(run.fold).evaluation),
                "training_cities": corpus.training_cities(run.fold),
            },
            "paths": paths or {},
            "versions": runs.versions(),
        },
    )


def _statistics(run, experiment, cache, corpus, training_ids) -> dict:
    """Means and deviations of the training part, kept with the run: log-mel's, and the embedding's where the row asks."""
    path = run.path("statistics.npz")
    if not path.is_file():
        wanted = ("log_mel", "embedding") if experiment.model.standardise_embedding else ("log_mel",)
        values = {}
        for kind in [kind for kind in wanted if kind in cache.folders]:
            values[f"{kind}_mean"], values[f"{kind}_deviation"] = pipeline.statistics(cache, corpus, training_ids, kind, axis=2)
        with runs.writing(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **values)
    with np.load(path) as file:
        return {name: file[name].tolist() for name in file.files}


def _specimen(cache) -> dict:
    return {kind: tf.zeros([1, *shape]) for kind, shape in cache.shapes.items()}
