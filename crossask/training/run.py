"""One row x fold x seed to a finished run: trained, resumable, the best epoch by validation kept."""

import numpy as np
import tensorflow as tf
import tf_keras as keras

from crossask import config, evaluation, files
from crossask.datasets import Corpus, training_parts
from crossask.errors import CrossaskError, DataError
from crossask.features import controls
from crossask.features.batches import (
    Share,
    TrainingData,
    evaluation_batches,
    examples,
    feature_statistics,
)
from crossask.training import devices, loop, network, run_folder
from crossask.training.drift import drift_from_here, embedding_drift
from crossask.training.metrics import MacroAccuracy
from crossask.training.optimizer import build_optimizer, learning_rates

MOST_CLIPS = 32  # predicted at once: a batch of the 2017 baseline counts frames


def train(
    run: run_folder.Run,
    experiment: config.Experiment,
    corpus: Corpus,
    cache,
    distribution=None,
    paths=None,
    progress=None,
    save_steps: int = 0,
) -> dict:
    """Trains one run, or goes on with it, and returns its result; a finished run is returned as it is.

    On several machines all of them call it with the same arguments, and the first one writes the run's folder.

    Args:
      run: where it stands; its fold and seed are used.
      experiment: the row, resolved.
      corpus: the corpus that `cache` was prepared from.
      cache: a FeatureCache with the kinds that the row reads.
      distribution: a tf.distribute strategy; None is one device.
      paths: {"data_dir", "features_dir"} recorded for `crossask-evaluate`.
      progress: called with (epochs done, epochs in all, loss and accuracy in words).
      save_steps: steps after which an epoch in progress is saved; 0: never.

    Raises:
      CrossaskError: the folder holds a run of another configuration or cannot be written; the loss is no longer a number.
      Preempted: see loop.fit.
    """
    fold, settings = corpus.fold(run.fold), experiment.training
    cache = controls.controlled(cache, corpus, experiment, run.fold, run.seed)
    training_ids, validation_ids = training_parts(
        corpus, fold, settings.validation_share, settings.validation_seed
    )
    data = training_data(experiment, corpus, cache, training_ids, run.seed)
    distribution = distribution or devices.strategy("one_device")
    machine, machines = devices.machines(distribution)
    if machine == 0 and not run.finished:
        files.check_room(run.folder, 0)
    _claim(
        run,
        experiment,
        corpus,
        cache,
        paths,
        (training_ids, validation_ids, fold.evaluation),
        write=machine == 0,
    )
    if run.finished:
        return run.read("result.json")
    devices.set_seeds(run.seed, distribution)
    statistics_ids = fold.train if settings.statistics_over == "training_fold" else training_ids
    statistics = _statistics(run, experiment, cache, corpus, statistics_ids, write=machine == 0)
    with distribution.scope(), devices.precision(settings.precision):
        model = network.build(experiment, corpus.scenes, run.seed, statistics)
        model = compiled(model, experiment, len(corpus.scenes), _specimen(cache), data.steps)

    def validation(
        number: int,
        count: int,
        size: int = settings.batch_size,
        context: int = settings.context_frames,
    ):
        share = Share(number, count)
        return evaluation_batches(
            cache, corpus, validation_ids, size, context, experiment.soft_targets, share
        )

    trains_events = experiment.event_input == "patches"
    drift = None
    if trains_events and machines == 1:
        drift = drift_from_here(
            model.event_model, validation(0, 1, min(settings.batch_size, MOST_CLIPS), 0)
        )
    result = loop.fit(
        run.folder,
        f"{run.row} fold {run.fold} seed {run.seed}",
        model,
        loop.Batches(
            lambda epoch, step: devices.dealt(
                distribution,
                lambda number, count: data.batches(epoch, step, Share(number, count)),
                settings.batch_size,
            ),
            data.steps,
            devices.dealt(distribution, validation, settings.batch_size),
            -(-examples(cache, validation_ids, settings.context_frames) // settings.batch_size),
        ),
        settings.epochs,
        loop.Selection(
            settings.monitor,
            settings.keep,
            settings.keep_from,
            settings.patience,
            settings.patience_from,
        ),
        ("macro_accuracy", "accuracy"),
        progress,
        lambda: _scalars(model, corpus.scenes, drift),
        save_steps,
    )
    if machine == 0:
        if trains_events:
            trained = network.restored(run).event_model
            start = network.build(experiment, corpus.scenes, run.seed, statistics).event_model
            clips = validation(0, 1, min(settings.batch_size, MOST_CLIPS), 0)
            result["embedding_drift"] = embedding_drift(start, trained, clips)
        files.write_json(run.path("result.json"), result)
    return result


def training_data(
    experiment: config.Experiment, corpus: Corpus, cache, training_ids, seed: int
) -> TrainingData:
    """What a run learns from; of `cache` its clip ids and shapes are read, its files not yet.

    Raises:
      DataError: the clips do not fill one batch, or the teacher does not know them all.
    """
    settings = experiment.training
    data = TrainingData(
        cache,
        corpus,
        training_ids,
        settings,
        seed,
        experiment.augmentation,
        experiment.soft_targets,
        _teacher(experiment.distillation, corpus, training_ids),
    )
    if not data.steps:
        streams = (
            f" from {settings.input_streams} streams of whole shards"
            if settings.input_streams > 1
            else ""
        )
        raise DataError(
            f"{len(training_ids)} training clips do not fill one batch of {settings.batch_size}{streams}.",
            "Lower training.batch_size.",
        )
    return data


def compiled(model, experiment: config.Experiment, classes: int, specimen: dict, steps: int = 1):
    """The row's network ready for `fit`: built on a batch like `specimen`, with its optimiser, cross-entropy and both accuracies.

    `steps`: batches an epoch, which schedules and stages of fine-tuning go by.
    """
    model(specimen)
    losses, metrics, soft = keras.losses, keras.metrics, experiment.soft_targets
    model.distillation = (experiment.distillation.weight, experiment.distillation.temperature)
    model.compile(
        optimizer=build_optimizer(model, experiment.training, experiment.fine_tuning, steps),
        loss=losses.CategoricalCrossentropy(from_logits=True)
        if soft
        else losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[
            MacroAccuracy(classes),
            metrics.CategoricalAccuracy("accuracy")
            if soft
            else metrics.SparseCategoricalAccuracy("accuracy"),
        ],
    )
    # metrics are of all devices already; with several machines Keras would add them up
    model.distribute_reduction_method = "first"
    model.optimizer.build(model.trainable_variables)
    return model


def _teacher(distillation: config.DistillationConfig, corpus: Corpus, clip_ids) -> dict | None:
    """Clip -> mean probabilities of the teacher's tables, in the order of the corpus's scenes; None without a teacher."""
    if not distillation.teacher:
        return None
    total = 0.0
    tables = [path.strip() for path in distillation.teacher.split(";") if path.strip()]
    for path in tables:
        table = evaluation.read_predictions(path).set_index("clip")
        missing = [clip_id for clip_id in clip_ids if clip_id not in table.index]
        if missing or set(corpus.scenes) - set(table.columns):
            lacks = (
                f"{len(missing)} of {len(clip_ids)} training clips"
                if missing
                else "some of the corpus's scenes"
            )
            raise DataError(
                f"The teacher's table {path} lacks {lacks}.",
                "Write it with crossask-evaluate --training_clips, same fold.",
            )
        total = total + table.loc[list(clip_ids), list(corpus.scenes)].to_numpy(np.float64)
    return dict(zip(clip_ids, total / len(tables), strict=True))


def _scalars(model, scenes, drift) -> dict[str, float]:
    """For TensorBoard, at an epoch's end: rates of each group, accuracy of each scene in validation, the embedding's drift."""
    (accuracy,) = [metric for metric in model.metrics if isinstance(metric, MacroAccuracy)]
    values = {f"learning_rate/{group}": rate for group, rate in learning_rates(model).items()}
    values |= {
        f"val_accuracy/{scene}": value
        for scene, value in zip(scenes, accuracy.by_class(), strict=True)
    }
    return values | ({"embedding_drift": drift()} if drift else {})


def check_division(run: run_folder.Run, parts):
    """A DataError unless `parts`, the ids of training, validation and evaluation clips, are those with which the run began."""
    found, corpus = config.digest(*parts), run.read("config.json")["corpus"]
    if corpus.get("division", found) != found:  # runs of older versions do not tell
        raise DataError(
            f"{run.folder} was trained when fold {run.fold} of {corpus['name']} had other training, validation or evaluation clips.",
            "Restore the corpus's folds and cities, or train again in another --model_dir.",
        )


def _claim(run, experiment, corpus, cache, paths, parts, write: bool):
    """Writes config.json, or checks that the folder's run is this one; `parts` as in check_division."""
    resolved = config.to_dict(experiment)
    if run.path("config.json").is_file():
        found = run.read("config.json")
        differing = sorted(
            name for name in resolved if found["experiment"].get(name) != resolved[name]
        )
        if differing or found["corpus"]["fingerprint"] != corpus.fingerprint:
            what = f"other values of {', '.join(differing)}" if differing else "other recordings"
            raise CrossaskError(
                f"{run.folder} holds a run with {what}.",
                "Give another --model_dir, or remove that folder.",
            )
        check_division(run, parts)
        network.check_event_model(run, cache.event_digest)
        return
    if not write:
        return
    files.write_json(
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
                **{
                    part: len(ids)
                    for part, ids in zip(
                        ("training", "validation", "evaluation"), parts, strict=True
                    )
                },
                "training_cities": corpus.training_cities(run.fold),
                "division": config.digest(*parts),
                "ready_made": corpus.ready_made,
            },
            "event_digest": cache.event_digest,
            "paths": paths or {},
            "versions": run_folder.versions(),
        },
    )


def _statistics(run, experiment, cache, corpus, training_ids, write: bool) -> dict:
    """Means and deviations of the training part, kept with the run: log-mel's, and the embedding's where the row asks."""
    path = run.path("statistics.npz")
    values = {}
    if not path.is_file():
        wanted = (
            ("log_mel", "embedding") if experiment.model.standardise_embedding else ("log_mel",)
        )
        for kind in [kind for kind in wanted if kind in cache.folders]:
            values[f"{kind}_mean"], values[f"{kind}_deviation"] = feature_statistics(
                cache, corpus, training_ids, kind, axis=2
            )
        if not write:  # the machine that writes computes the same numbers
            return values
        with files.writing(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **values)
    with np.load(path) as file:
        return {name: file[name].tolist() for name in file.files}


def _specimen(cache) -> dict:
    return {kind: tf.zeros([1, *shape]) for kind, shape in cache.shapes.items()}
