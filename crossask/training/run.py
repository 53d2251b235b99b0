"""Training of one run: a row on one fold with one seed. A killed run goes on when called again."""

import contextlib
import dataclasses
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from crossask import config, files, locks, precision, stored
from crossask.audio import notices
from crossask.config import Experiment, TrainingConfig
from crossask.config.experiment_files import OF_NO_RUN, PATHS
from crossask.datasets import Corpus, recording_count
from crossask.errors import CrossaskError, DataError
from crossask.features import controls
from crossask.features.batches import (
    EvaluationData,
    TrainingData,
    feature_statistics,
    ordered,
)
from crossask.features.cache import FeatureCache
from crossask.features.verification import damage_named
from crossask.training import devices, loop, network, run_folder, teacher, trunk
from crossask.training.distributed_data import batches_for_fit
from crossask.training.drift import drift_from_here, embedding_drift
from crossask.training.event_use import event_use
from crossask.training.metrics import MacroAccuracy
from crossask.training.optimizer import build_optimizer, learning_rates
from crossask.training.parts import Parts, check_same_data, parts_of
from crossask.training.run_folder import Run

LOG = logging.getLogger("crossask")
# Clips that are predicted at once, at most. The batch of DCASE 2017's baseline counts frames, so it
# would be too large for whole clips.
LARGEST_PREDICTION_BATCH = 32
# Training clips on which a row without a validation part is examined, at most. Their inputs are in
# memory at the same time.
MOST_EXAMINED_CLIPS = 256


@dataclasses.dataclass(frozen=True)
class Options:
    """How a run is computed. None of these changes its result.

    Attributes:
      distribution: A tf.distribute strategy; None is one device.
      paths: {"data_dir", "features_dir"}, recorded for crossask-evaluate.
      progress: Called with (epochs done, epochs in all, loss and accuracy in words).
      save_steps: Saves after so many steps within an epoch, too; 0 saves at the end of epochs only.
    """

    distribution: tf.distribute.Strategy | None = None
    paths: Mapping[str, str] | None = None
    progress: loop.Progress | None = None
    save_steps: int = 0


DEFAULT_OPTIONS = Options()


def train(
    run: Run,
    experiment: Experiment,
    corpus: Corpus,
    cache: FeatureCache,
    options: Options = DEFAULT_OPTIONS,
) -> dict[str, Any]:
    """Trains a run, or goes on with it, and returns its result (section 3.2 of the paper).

    A finished run is not trained again. With several machines, all of them call this function with
    the same arguments, and the first one writes the run's folder.

    Args:
      run: The run; its fold and seed are used.
      experiment: The row, resolved.
      corpus: The corpus.
      cache: Features of the corpus, of the kinds that the row reads.
      options: How the run is computed.

    Returns:
      The content of result.json: see `loop.fit`; "embedding_drift" of a trained event model, and
      "embedding_deviation", "event_effect" and "uses_events" (see `EventUse`) of a row that reads
      events.

    Raises:
      CrossaskError: The folder contains a run of another configuration or cannot be written, a file
        of features is damaged, or the loss is not finite.
      Preempted: See `loop.fit`.
    """
    with damage_named(cache), contextlib.ExitStack() as locked:
        return _train(run, experiment, corpus, cache, options, locked)


def _train(
    run: Run,
    experiment: Experiment,
    corpus: Corpus,
    cache: FeatureCache,
    options: Options,
    locked: contextlib.ExitStack,
) -> dict[str, Any]:
    """Trains a run as `train` does. The lock of its folder is added to `locked`."""
    settings = experiment.training
    scenes = corpus.scenes
    distribution = options.distribution or devices.make_distribution("one_device")
    writes = devices.machines(distribution).is_first

    # Data: the parts of the fold, and batches of the training part
    parts = parts_of(corpus, run.fold, settings)
    cache = controls.controlled(cache, corpus, experiment, run.fold, run.seed)
    data = training_data(experiment, corpus, cache, parts.training, run.seed)
    record = _record(run, experiment, corpus, cache, parts, options)
    devices.check_agreement(distribution, _facts(record))
    if writes and not run.finished:
        locked.enter_context(locks.of_folder(run.folder))
    _claim_folder(run, record, corpus, parts, writes)
    if run.finished:
        return run.read("result.json")

    _warn_of_slow_precision(settings, distribution)

    # Model and optimiser, with initial weights that depend on the seed alone
    devices.set_seeds(run.seed, distribution)
    statistics = _statistics(run, experiment, corpus, cache, parts, writes)
    with distribution.scope(), precision.policy(settings.precision):
        model = network.build(experiment, scenes, run.seed, statistics)
        with_trunk = trunk.of_seed(experiment, run.seed)
        compile_model(model, with_trunk, len(scenes), cache.shapes, data.steps)

    # Fit, and keep the best epoch on the validation part, or the last epoch without one
    validation = EvaluationData(
        cache,
        corpus,
        parts.validation,
        settings.batch_size,
        settings.context_frames,
        experiment.soft_targets,
    )
    examined = dataclasses.replace(
        validation,
        clip_ids=_examined_clips(cache, parts),
        batch_size=prediction_batch_size(experiment),
        context_frames=0,
    )
    result = loop.fit(
        run.folder,
        model,
        batches_for_fit(data, validation, distribution),
        _plan(run, experiment, options),
        options.progress,
        _Scalars(model, scenes, examined, distribution, validates=bool(parts.validation)),
    )
    if writes:
        if experiment.trains_events:
            result["embedding_drift"] = _drift(run, experiment, statistics, examined)
        # In this control the scene features attend to themselves, and the events have no effect.
        ignores_events = experiment.model.cross_attention == "scene_queries_scene"
        if experiment.reads_events and not ignores_events:
            result |= _event_use(run, examined)
        _write_result(run, result)
    return result


def _write_result(run: Run, result: Mapping[str, Any]) -> None:
    """Writes result.json, with which a run is finished, and removes earlier predictions."""
    # Those of an earlier training in this folder would be taken for predictions of this one.
    for name in run_folder.OF_EVALUATION:
        files.remove(run.path(name))
    stored.write_json(
        run.path("result.json"), result, ("best.npz", "statistics.npz", "history.csv")
    )


def _warn_of_slow_precision(settings: TrainingConfig, distribution: tf.distribute.Strategy) -> None:
    """Logs once if training uses a precision that the processor does not have."""
    if isinstance(distribution, tf.distribute.TPUStrategy):
        return
    slowness = precision.slowness("training.precision", settings.precision)
    if slowness:
        notices.log_once("slow training.precision", logging.WARNING, "%s", slowness)


def training_data(
    experiment: Experiment,
    corpus: Corpus,
    cache: FeatureCache,
    training_ids: Sequence[str],
    seed: int,
) -> TrainingData:
    """Returns the data that a run is trained on.

    Only clip ids and shapes of `cache` are used here; its files are read later.

    Raises:
      DataError: The clips do not fill one batch, they are shorter than `context_frames` or not
        longer than `crop_frames`, or the teacher's tables lack some of them.
    """
    settings = experiment.training
    frames = cache.shapes["log_mel"][0] if "log_mel" in cache.shapes else 0
    # Rows without a log-mel have no context_frames (config/rules.py).
    if settings.context_frames > frames:
        raise DataError(
            f"The log-mel of a clip has {frames} frames, but training.context_frames is "
            f"{settings.context_frames}.",
            "Lower training.context_frames, or set it to 0 for whole clips.",
        )
    crop_frames = experiment.augmentation.crop_frames
    if frames and crop_frames >= frames:
        raise DataError(
            f"augmentation.crop_frames={crop_frames} crops nothing: the log-mel of a clip has "
            f"{frames} frames.",
            "Lower it, or set it to 0 for whole clips.",
        )
    data = TrainingData(
        cache,
        corpus,
        tuple(training_ids),
        settings,
        seed,
        augmentation=experiment.augmentation,
        soft=experiment.soft_targets,
        teacher=teacher.probabilities(experiment.distillation, corpus, training_ids),
    )
    if not data.steps:
        streams = ""
        if settings.input_streams > 1:
            streams = f" from {settings.input_streams} streams of whole shards"
        raise DataError(
            f"{len(training_ids)} training clips do not fill one batch of "
            f"{settings.batch_size}{streams}.",
            "Lower training.batch_size.",
        )
    return data


def compile_model(
    model: keras.Model,
    experiment: Experiment,
    classes: int,
    shapes: Mapping[str, Sequence[int]],
    steps: int = 1,
) -> None:
    """Builds a row's network and compiles it with optimiser, cross-entropy and both accuracies.

    Args:
      model: The network.
      experiment: The row, with the trunk of the run's seed (`trunk.of_seed`).
      classes: Number of scenes.
      shapes: Kind of feature -> shape of one clip's feature.
      steps: Batches in an epoch, for schedules and the stages of fine-tuning.

    Raises:
      WeightsError: See `trunk.load`.
    """
    model({kind: tf.zeros([1, *shape]) for kind, shape in shapes.items()})
    if experiment.model.trunk:
        # The optimiser, which is built below, takes these weights as the start of `l2_to_start`.
        trunk.load(experiment, model)
    if experiment.soft_targets:
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        accuracy = keras.metrics.CategoricalAccuracy("accuracy")
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        accuracy = keras.metrics.SparseCategoricalAccuracy("accuracy")
    model.distillation = (experiment.distillation.weight, experiment.distillation.temperature)
    model.compile(
        optimizer=build_optimizer(model, experiment.training, experiment.fine_tuning, steps),
        loss=loss,
        weighted_metrics=[MacroAccuracy(classes), accuracy],
    )
    # The metrics are already sums over all devices; with several machines Keras would add them up.
    model.distribute_reduction_method = "first"
    model.optimizer.build(model.trainable_variables)


def prediction_batch_size(experiment: Experiment) -> int:
    """Returns the number of clips that are predicted at once."""
    return min(experiment.training.batch_size, LARGEST_PREDICTION_BATCH)


def _examined_clips(cache: FeatureCache, parts: Parts) -> tuple[str, ...]:
    """Returns the clips on which drift and use of the embeddings are measured.

    They are the validation part. Without one, they are training clips at equal distances from the
    first to the last.
    """
    if parts.validation:
        return parts.validation
    count = min(len(parts.training), MOST_EXAMINED_CLIPS)
    positions = np.linspace(0, len(parts.training) - 1, count).round().astype(int)
    chosen = [parts.training[position] for position in positions]
    # The preflight stores training clips several times. `ordered` lists each as often as it is
    # stored, so that the number of batches is right.
    return ordered(cache, chosen)


def _plan(run: Run, experiment: Experiment, options: Options) -> loop.Plan:
    """Returns how long the row is trained, which epoch is kept, and what is recorded."""
    settings = experiment.training
    return loop.Plan(
        title=run.title,
        epochs=settings.epochs,
        selection=loop.Selection(
            settings.monitor,
            settings.keep,
            settings.keep_from,
            settings.patience,
            settings.patience_from,
        ),
        metrics=("macro_accuracy", "accuracy"),
        save_steps=options.save_steps,
    )


class _Scalars:
    """Numbers for TensorBoard at the end of an epoch.

    They are the learning rate of each group of variables, with a validation part the validation
    accuracy of each scene, and, for a trained event model on one machine, how far its embeddings
    have moved since the start.

    Args:
      model: The network, compiled.
      scenes: Names of the scenes.
      examined: Clips whose embeddings are compared with those at the start.
      distribution: The tf.distribute strategy.
      validates: Whether there is a validation part.
    """

    def __init__(
        self,
        model: keras.Model,
        scenes: Sequence[str],
        examined: EvaluationData,
        distribution: tf.distribute.Strategy,
        validates: bool,
    ):
        self.model = model
        self.scenes = scenes
        self.validates = validates
        self.drift = None
        event_model = getattr(model, "event_model", None)
        if event_model is not None and devices.machines(distribution).count == 1:
            self.drift = drift_from_here(event_model, examined.batches())

    def __call__(self) -> dict[str, float]:
        """Returns the numbers by name."""
        values = {}
        for group, rate in learning_rates(self.model).items():
            values[f"learning_rate/{group}"] = rate
        if self.validates:
            for metric in self.model.metrics:
                if isinstance(metric, MacroAccuracy):
                    for scene, value in zip(self.scenes, metric.by_class(), strict=True):
                        values[f"val_accuracy/{scene}"] = value
        if self.drift is not None:
            values["embedding_drift"] = self.drift()
        return values


def _drift(
    run: Run, experiment: Experiment, statistics: network.Statistics, examined: EvaluationData
) -> float:
    """Returns how far training moved the embeddings of the kept epoch's event model."""
    scenes = examined.corpus.scenes
    trained = network.restore(run).event_model
    start = network.build(experiment, scenes, run.seed, statistics).event_model
    return embedding_drift(start, trained, examined.batches())


def _event_use(run: Run, examined: EvaluationData) -> dict[str, float | bool]:
    """Returns how the kept epoch uses its events, and warns if it does not."""
    found = event_use(network.restore(run), examined.batches())
    if not found.is_used:
        LOG.warning(
            "%s: training did not use the events: constant embeddings change the probabilities "
            "by %.4f %% (deviation of the embeddings %.2g). Change %s.",
            run.title,
            100 * found.effect,
            found.deviation,
            _remedy_for_unused_events(run.experiment()),
        )
    return {
        "embedding_deviation": found.deviation,
        "event_effect": found.effect,
        "uses_events": found.is_used,
    }


def _remedy_for_unused_events(experiment: Experiment) -> str:
    """Returns the fields to change where training did not use the events."""
    if experiment.strategy == "from_scratch":
        return "training.learning_rate or event_model.initialisation"
    return "training.learning_rate, or check event_model.weights"


def _record(
    run: Run,
    experiment: Experiment,
    corpus: Corpus,
    cache: FeatureCache,
    parts: Parts,
    options: Options,
) -> dict[str, Any]:
    """Returns the content of config.json, without the versions and the machine."""
    recorded_devices = {}
    training_devices = corpus.training_devices(run.fold)
    if training_devices:
        recorded_devices["training_devices"] = training_devices
    recordings = {}
    if experiment.features.clip_hop_seconds is not None:
        evaluated = set(parts.evaluation)
        evaluation_clips = [clip for clip in corpus.clips if clip.id in evaluated]
        recordings["recordings"] = recording_count(corpus.clips)
        recordings["evaluation_recordings"] = recording_count(evaluation_clips)
    return {
        "experiment": config.to_dict(experiment),
        "fold": run.fold,
        "seed": run.seed,
        "scenes": list(corpus.scenes),
        "input_shapes": cache.shapes,
        "corpus": {
            "name": corpus.name,
            "fingerprint": corpus.fingerprint,
            "clips": len(corpus.clips),
            "training": len(parts.training),
            "validation": len(parts.validation),
            "evaluation": len(parts.evaluation),
            "training_cities": corpus.training_cities(run.fold),
            **recorded_devices,
            "division": parts.digest,
            "ready_made": corpus.ready_made,
            **recordings,
        },
        "event_digest": cache.event_digest,
        "system_code": network.code_of(experiment),
        "start_digest": network.start_digest(experiment, run.seed),
        "trunk_digest": trunk.digest(trunk.of_seed(experiment, run.seed)),
        "teacher_digest": teacher.digest(experiment.distillation),
        "paths": dict(options.paths or {}),
    }


def _facts(record: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what all machines must have alike, by name: each field, and the data.

    Args:
      record: Content of config.json, without the versions and the machine.
    """
    facts = {}
    for name, value in record["experiment"].items():
        section = value if isinstance(value, dict) else {"": value}
        for field, content in section.items():
            path = f"{name}.{field}".rstrip(".")
            # Machines may have the same files at other paths; digests compare their content.
            if path not in (*PATHS, *OF_NO_RUN):
                facts[path] = content
    facts["the recordings in --data_dir"] = [record["corpus"], record["scenes"]]
    facts["event_model.weights"] = [record["event_digest"], record["start_digest"]]
    facts["model.trunk"] = record["trunk_digest"]
    facts["distillation.teacher"] = record["teacher_digest"]
    return facts


def _claim_folder(
    run: Run, record: Mapping[str, Any], corpus: Corpus, parts: Parts, writes: bool
) -> None:
    """Writes config.json, or checks that the folder already contains this run.

    Args:
      run: The run.
      record: Content of config.json, without the versions and the machine.
      corpus: The corpus.
      parts: The parts of the fold.
      writes: Whether this machine writes the folder.

    Raises:
      CrossaskError: The folder contains a run of another configuration, other recordings or parts,
        or another event model, trunk or teacher, or one without its config.json; or it cannot be
        written.
    """
    if writes and not run.finished:
        files.check_room(run.folder, 0)
    if run.path("config.json").exists():
        _check_same_run(run, record, corpus, parts)
    elif writes:
        for name in ("result.json", "checkpoints/checkpoint"):
            # It may be that of another configuration.
            if run.path(name).exists():
                raise CrossaskError(
                    f"{run.path(name)} is there without the config.json of its run.",
                    "Restore config.json from a copy, or remove the folder of the run.",
                )
        # They are read if they are there, and may be those of another configuration, too.
        files.remove(run.path("statistics.npz"))
        origin = {"versions": run_folder.versions(), "machine": run_folder.machine()}
        stored.write_json(run.path("config.json"), {**record, **origin})


def _check_same_run(run: Run, record: Mapping[str, Any], corpus: Corpus, parts: Parts) -> None:
    """Raises an error if config.json is not that of this run; see `_claim_folder`."""
    # Fields that did not exist when the run began have their defaults.
    found = run.experiment()
    wanted = config.from_dict(Experiment, record["experiment"])
    # Runs of older versions recorded paths as the user wrote them.
    found_fields = config.to_dict(config.with_absolute_paths(found))
    wanted_fields = config.to_dict(config.with_absolute_paths(wanted))
    names = _differing_fields(found_fields, wanted_fields)
    differing = [name for name in names if name not in OF_NO_RUN]
    if differing:
        raise CrossaskError(
            f"{run.folder} contains a run with other values of {', '.join(differing)}.",
            "Give another --model_dir, or remove that folder.",
        )
    check_same_data(run, corpus, parts)
    network.check_event_model(run, record["event_digest"])
    network.warn_of_other_code(run)
    network.check_start(run, record["start_digest"])
    trunk.check(run, record["trunk_digest"])
    teacher.check(run, record["teacher_digest"])


def _differing_fields(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Returns the names of fields with different values, such as "training.epochs"."""
    names = []
    for name, value in sorted(second.items()):
        if isinstance(value, dict):
            names += [f"{name}.{part}" for part in _differing_fields(first[name], value)]
        elif first[name] != value:
            names.append(name)
    return names


def _statistics(
    run: Run,
    experiment: Experiment,
    corpus: Corpus,
    cache: FeatureCache,
    parts: Parts,
    writes: bool,
) -> dict[str, list[float]]:
    """Returns mean and deviation of the features that the network standardises, by name.

    They are computed once and stored with the run; every machine computes the same numbers. For the
    names see `network.build`.
    """
    path = run.path("statistics.npz")
    if not path.is_file():
        values = _computed_statistics(run, experiment, corpus, cache, parts)
        if not writes:
            return values
        stored.write_arrays(path, values)
    return network.read_statistics(path)


def _computed_statistics(
    run: Run, experiment: Experiment, corpus: Corpus, cache: FeatureCache, parts: Parts
) -> dict[str, list[float]]:
    """Returns what `_statistics` does, computed from the features."""
    clip_ids = parts.training
    if experiment.training.statistics_over == "training_fold":
        clip_ids = corpus.fold(run.fold).train
    kinds = ["log_mel"]
    if experiment.model.standardise_embedding:
        kinds.append("embedding")
    values = {}
    for kind in kinds:
        if kind in cache.folders:
            mean, deviation = feature_statistics(cache, corpus, clip_ids, kind)
            values[f"{kind}_mean"] = mean
            values[f"{kind}_deviation"] = deviation
    return values
