"""A row's whole network: the scene model and the event model its strategy asks for; built, kept and read back."""

import dataclasses

import numpy as np
import tensorflow as tf
import tf_keras as keras

from crossask import config, events, models
from crossask.errors import DataError, WeightsError
from crossask.training import loop, run_folder


def build(experiment: config.Experiment, scenes, seed: int, statistics: dict) -> keras.Model:
    """The row's scene model, deterministic in `seed`.

    Args:
      experiment: `from_scratch` and `fine_tuning` rows hold their event model (random, or with its weights), trainable;
        `feature_based` rows read cached embeddings and hold none.
      scenes: class names, in the order of the outputs.
      seed: of the initial weights and of dropout.
      statistics: {"log_mel_mean": 64 numbers, "log_mel_deviation": 64 numbers} of the training part.

    Raises:
      WeightsError: a fine-tuning row names no weights.
    """
    event_model, event = None, experiment.event_model
    if experiment.event_input == "patches":
        if experiment.strategy == "from_scratch":
            event = dataclasses.replace(event, weights="")
        elif not event.weights:
            raise WeightsError(
                f"Row {experiment.name!r} fine-tunes an event model without weights.",
                "Set event_model.weights.",
            )
        event_model = events.build(event, trainable=True, seed=seed)
    return models.build(
        experiment.system,
        len(scenes),
        experiment.model,
        seed=seed,
        event_model=event_model,
        **statistics,
    )


def load(run: run_folder.Run) -> keras.Model:
    """The network of a finished run with the weights of its best epoch, ready to predict."""
    if not run.finished:
        raise DataError(
            f"{run.folder} has not finished training.",
            "Run crossask-train again: it goes on where it stopped.",
        )
    return restored(run)


def frozen_event_model(run: run_folder.Run):
    """The frozen event model whose embeddings the run learnt from; None for a row that reads none or trains its own.

    Raises:
      WeightsError: its weights are not there any more, or are others than those of the training.
    """
    event_model = events.frozen(run.experiment())
    if event_model is not None:
        check_event_model(run, event_model.weights_digest())
    return event_model


def check_event_model(run: run_folder.Run, digest: str):
    """A WeightsError unless `digest` (FeatureCache.event_digest) is that of the embeddings that the run learnt from."""
    learnt = run.read("config.json").get(
        "event_digest", digest
    )  # runs of older versions do not tell
    if learnt != digest:
        weights = run.experiment().event_model.weights
        raise WeightsError(
            f"{run.folder} learnt from the embeddings of other weights than event_model.weights={weights!r} holds now.",
            "Put the file back that it was trained with, or train again in another --model_dir.",
        )


def restored(run: run_folder.Run) -> keras.Model:
    """As `load`, also while training has not finished: the best epoch so far."""
    experiment, record = run.experiment(), run.read("config.json")
    if experiment.strategy == "fine_tuning":
        # the run's own weights replace the starting ones
        experiment = dataclasses.replace(experiment, strategy="from_scratch")
    with np.load(run.path("statistics.npz")) as file:
        statistics = {name: file[name].tolist() for name in file.files}
    model = build(experiment, record["scenes"], run.seed, statistics)
    model({kind: tf.zeros([1, *shape]) for kind, shape in record["input_shapes"].items()})
    loop.load_weights(run.path("best.npz"), model)
    return model
