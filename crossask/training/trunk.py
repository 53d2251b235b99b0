"""Pre-trained trunks: the weights of all layers of a scene model but the last, in one .npz.

crossask-pretrain --embeddings trains and writes one, and a row reads it by `model.trunk`. The file
contains the fields of the row that it was trained for, and a digest of its weights. With "{seed}"
in its path, each seed of the row begins with a trunk of its own, so that intervals over seeds
include the randomness of pre-training.

The mean and deviation of `model.standardise_embedding` do not belong to a trunk: every corpus is
standardised by its own, because embeddings of two sources may differ in scale. The moving
statistics of batch normalisation do belong to it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from crossask import config, stored
from crossask.config import Experiment, ModelConfig, settings
from crossask.config.experiment_files import SEED_IN_PATH
from crossask.errors import WeightsError
from crossask.events import weights
from crossask.events.weights import Arrays
from crossask.models.scene_model import SceneModel
from crossask.training.run_folder import Run

KIND = "trunk"  # value of "kind" in the record of the file
# Fields of ModelConfig that change how a trunk is trained, and not what its weights compute.
NOT_COMPARED = ("trunk", "trunk_training", "pooling_penalty", "batch_norm_momentum")
# Embeddings of another event model or of another tap are another input.
EVENT_FIELDS = ("name", "embedding_tap")
PRETRAIN = "pre-train one for this row: crossask-pretrain --embeddings=... --experiment=FILE:ROW"


def save(path: str | Path, experiment: Experiment, model: SceneModel) -> None:
    """Writes the trunk of a trained network.

    Args:
      path: The file, .npz.
      experiment: The row whose fields the network has.
      model: The network.
    """
    arrays: Arrays = {name: variable.numpy() for name, variable in _variables(model).items()}
    fields = _fields(experiment)
    record = {"kind": KIND, "fields": fields, "sha256": _digest(fields, arrays)}
    arrays[weights.RECORD] = np.array(json.dumps(record))
    stored.write_arrays(path, arrays)


def of_seed(experiment: Experiment, seed: int) -> Experiment:
    """Returns the row with the trunk that a run with this seed begins with."""
    path = experiment.model.trunk
    if SEED_IN_PATH not in path:
        return experiment
    return config.override(experiment, {"model.trunk": path.replace(SEED_IN_PATH, str(seed))})


def load(experiment: Experiment, model: SceneModel) -> None:
    """Assigns the weights of `model.trunk` to the row's network.

    Args:
      experiment: The row, see `of_seed`.
      model: Its network, with all variables.

    Raises:
      WeightsError: The file is missing or damaged, is no trunk, or was trained for other fields or
        for embeddings of another width.
    """
    path = experiment.model.trunk
    arrays, record = _read(path)
    _check_fields(path, record, experiment)
    variables = _variables(model)
    for name, variable in variables.items():
        if name not in arrays or arrays[name].shape != variable.shape:
            raise WeightsError(
                f"The trunk {path} has no weights {name!r} {tuple(variable.shape)}, which row "
                f"{experiment.name!r} needs for its embeddings.",
                f"Give a trunk for embeddings of this width, or {PRETRAIN}.",
            )
    for name, variable in variables.items():
        variable.assign(arrays[name])


def digest(experiment: Experiment) -> str:
    """Returns the digest of the row's trunk, see `of_seed`; "" if the row has none.

    Raises:
      WeightsError: The file is missing or damaged, or is no trunk.
    """
    if not experiment.model.trunk:
        return ""
    _, record = _read(experiment.model.trunk)
    return record["sha256"]


def check(run: Run, found: str) -> None:
    """Raises WeightsError unless `found`, see `digest`, is that of the trunk the run began with."""
    # Runs of older versions have no record of it, and no trunk.
    if run.read("config.json").get("trunk_digest", "") != found:
        raise WeightsError(
            f"{run.folder} began with another trunk than model.trunk="
            f"{of_seed(run.experiment(), run.seed).model.trunk!r} contains now.",
            "Restore the file that it began with, or train again in another --model_dir.",
        )


def _variables(model: SceneModel) -> dict[str, tf.Variable]:
    """Returns the trunk's variables by their names without that of the model."""
    variables = {}
    for layers in model.trunk_upward():
        for layer in layers:
            for variable in layer.variables:
                name = variable.name.removesuffix(":0").removeprefix(f"{model.name}/")
                variables[name] = variable
    return variables


def _fields(experiment: Experiment) -> dict[str, Any]:
    """Returns the fields of a row on which depends what the weights of its trunk compute."""
    fields = {}
    for name, field in settings.fields(ModelConfig).items():
        concerns_system = experiment.system in settings.facts_of(field).systems
        if concerns_system and name not in NOT_COMPARED:
            fields[f"model.{name}"] = getattr(experiment.model, name)
    for name in EVENT_FIELDS:
        fields[f"event_model.{name}"] = getattr(experiment.event_model, name)
    # JSON has lists in place of tuples.
    return json.loads(json.dumps({"system": experiment.system, **fields}))


def _digest(fields: Mapping[str, Any], arrays: Arrays) -> str:
    """Returns hexadecimal digits that change with any field and any weight of a trunk."""
    return weights.digest([config.digest(fields)], arrays)


def _read(path: str) -> tuple[Arrays, dict[str, Any]]:
    """Returns the arrays of a trunk and its record, after checking its digest."""
    arrays, record = weights.from_npz(path)
    if record.get("kind") != KIND:
        raise WeightsError(f"{path} contains no trunk.", f"Check model.trunk, or {PRETRAIN}.")
    if _digest(record.get("fields", {}), arrays) != record.get("sha256"):
        raise WeightsError(
            f"The weights in {path} are not those of its record.", "Restore the file."
        )
    return arrays, record


def _check_fields(path: str, record: Mapping[str, Any], experiment: Experiment) -> None:
    """Raises WeightsError if the trunk was trained for other fields than those of the row."""
    wanted = _fields(experiment)
    differing = []
    for name, value in wanted.items():
        found = record["fields"].get(name)
        if found != value:
            differing.append(f"{name}={found} (row: {value})")
    if differing:
        raise WeightsError(
            f"The trunk {path} does not fit row {experiment.name!r}. It was trained for "
            f"{', '.join(differing)}.",
            f"Set the trunk's values in the row, or {PRETRAIN}.",
        )
