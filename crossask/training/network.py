"""A row's whole network: the scene model and the event model that it trains, built or read back."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import tensorflow as tf
import tf_keras as keras

from crossask import config, events, models, stored
from crossask.audio import notices
from crossask.config import Experiment, catalogue
from crossask.errors import DataError, WeightsError
from crossask.events.layer import EventModel
from crossask.events.precomputed import Precomputed
from crossask.events.waveform_model import WaveformModel
from crossask.training import loop, run_folder
from crossask.training.run_folder import Run

Statistics = Mapping[str, Sequence[float]]


def build(
    experiment: Experiment, scenes: Sequence[str], seed: int, statistics: Statistics
) -> keras.Model:
    """Returns the row's scene model with initial weights.

    A row that trains its event model (strategies from_scratch and fine_tuning) contains it; a
    feature_based row reads stored embeddings and contains none.

    Args:
      experiment: The row.
      scenes: Names of the scenes in the order of the outputs.
      seed: Seed of the initial weights and of dropout.
      statistics: "log_mel_mean" and "log_mel_deviation" of the training part, one number for each
        mel bin, and the same for "embedding" where the row standardises it.

    Raises:
      WeightsError: A fine_tuning row has no weights for its event model.
    """
    event_model = None
    if experiment.trains_events:
        event_model = _trained_event_model(experiment, seed)
    return models.build(
        experiment.system,
        len(scenes),
        experiment.model,
        seed=seed,
        event_model=event_model,
        **statistics,
    )


def load(run: Run) -> keras.Model:
    """Returns the network of a finished run with the weights of its best epoch.

    Raises:
      DataError: The run has not finished training.
    """
    if not run.finished:
        raise DataError(
            f"{run.folder} has not finished training.",
            "Run crossask-train again: it goes on where it stopped.",
        )
    run.check_files("result.json")
    warn_of_other_code(run)
    return restore(run)


def read_statistics(path: Path) -> Statistics:
    """Returns the statistics of a run.

    Raises:
      DataError: The file is damaged.
    """
    arrays = stored.read_arrays(path, run_folder.TRAIN_AGAIN)
    return {name: array.tolist() for name, array in arrays.items()}


def restore(run: Run) -> keras.Model:
    """Returns the network of a run with the weights of the best epoch so far."""
    experiment = run.experiment()
    record = run.read("config.json")
    if experiment.strategy == "fine_tuning":
        # The run's own weights replace the pre-trained ones, which need not be read.
        experiment = dataclasses.replace(experiment, strategy="from_scratch")
    statistics = read_statistics(run.path("statistics.npz"))
    with stored.damage_of(run.folder, run_folder.TRAIN_AGAIN):
        model = build(experiment, record["scenes"], run.seed, statistics)
        # The first call creates the variables.
        model({kind: tf.zeros([1, *shape]) for kind, shape in record["input_shapes"].items()})
    loop.load_weights(run.path("best.npz"), model)
    return model


def frozen_event_model(
    run: Run, precision: str = ""
) -> EventModel | WaveformModel | Precomputed | None:
    """Returns the frozen event model whose embeddings the run was trained on.

    Returns None for a row that reads no events or trains its own event model.

    Args:
      run: The run.
      precision: Precision of its arithmetic; "" for that of the run, `event_model.precision`.

    Raises:
      WeightsError: Its weights are missing, or have changed since the training.
    """
    experiment = run.experiment()
    changes = {"event_model.precision": precision} if precision else {}
    event_model = events.frozen(config.override(experiment, changes))
    if event_model is not None:
        check_event_model(run, events.digest_of(experiment.event_model, event_model))
    return event_model


def check_event_model(run: Run, digest: str) -> None:
    """Raises WeightsError unless `digest` is that of the embeddings the run was trained on.

    Args:
      run: The run.
      digest: `FeatureCache.event_digest`.
    """
    if not run.began_with("event_digest", digest):
        event_model = run.experiment().event_model
        if event_model.embeddings:
            found = (
                f"other embeddings than event_model.embeddings={event_model.embeddings!r} contains"
            )
        else:
            found = (
                "the embeddings of other weights, or of other code, than "
                f"event_model.weights={event_model.weights!r} contains"
            )
        raise WeightsError(
            f"{run.folder} was trained on {found} now.",
            "Restore the file that it was trained with, or train again in another --model_dir.",
        )


def code_of(experiment: Experiment) -> str:
    """Returns a digest of the module of the row's system; "" for a system of this package."""
    return catalogue.code_of(catalogue.system(experiment.system).model)


def warn_of_other_code(run: Run) -> None:
    """Logs a warning if the code of the run's system was edited since the run began.

    It is no error, because perhaps only a comment has changed. But the weights may fit the new code
    and the network may still compute something else.
    """
    experiment = run.experiment()
    if not run.began_with("system_code", code_of(experiment)):
        notices.log_once(
            f"code of {run.folder}",
            logging.WARNING,
            "The code of %s has changed since %s began. If it computes something else now, restore "
            "the code, or train again in another --model_dir.",
            catalogue.system(experiment.system).model.partition(":")[0],
            run.folder,
        )


def start_digest(experiment: Experiment, seed: int) -> str:
    """Returns the digest of the weights from which a row fine-tunes its event model.

    It is "" for other rows. Training may pull the weights back to these (`l2_to_start`), and the
    result contains how far the embeddings moved.
    """
    if not experiment.trains_events or experiment.strategy != "fine_tuning":
        return ""
    return _trained_event_model(experiment, seed).weights_digest()


def check_start(run: Run, digest: str) -> None:
    """Raises WeightsError unless `digest`, see `start_digest`, is that of the run's beginning."""
    if not run.began_with("start_digest", digest):
        raise WeightsError(
            f"{run.folder} began with other weights than "
            f"event_model.weights={run.experiment().event_model.weights!r} contains now.",
            "Restore the file that it began with, or train again in another --model_dir.",
        )


def _trained_event_model(experiment: Experiment, seed: int) -> EventModel:
    """Returns the event model that the row trains, with random or pre-trained weights.

    Raises:
      WeightsError: A fine_tuning row has no weights for its event model.
    """
    event_model = experiment.event_model
    if experiment.strategy == "from_scratch":
        event_model = dataclasses.replace(event_model, weights="")
    elif not event_model.weights:
        raise WeightsError(
            f"Row {experiment.name!r} fine-tunes an event model without weights.",
            "Set event_model.weights.",
        )
    return events.build(event_model, trainable=True, seed=seed)
