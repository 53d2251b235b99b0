"""Readers of published weight files: arrays by the names of their variables.

No code of a SavedModel is run.
"""

import hashlib
import json
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2, trackable_object_graph_pb2

from crossask import files, stored
from crossask.errors import WeightsError

# Values of `EventModelConfig.activation`, and TensorFlow's names of the operations.
ACTIVATIONS = {"relu": "Relu", "relu6": "Relu6"}
RECORD = "__record__"  # name in an .npz of the JSON that says what the weights belong to

# Errors that np.load raises for a file that is truncated or damaged, and those of other content.
BROKEN_NPZ = (*stored.BROKEN_ARRAYS, OSError, AttributeError, TypeError)
# Errors of reading a SavedModel that is truncated or damaged.
_BROKEN_MODULE = (OSError, tf.errors.OpError, ValueError, IndexError, DecodeError)

# Names of the variables of Keras metrics that are no scalars.
_METRICS = frozenset(
    (
        "total",
        "count",
        "true_positives",
        "true_negatives",
        "false_positives",
        "false_negatives",
        "total_confusion_matrix",
    )
)
# Names of what optimisers store for each weight.
_SLOTS = frozenset(
    (
        "m",
        "v",
        "u",
        "vhat",
        "velocity",
        "velocity_hat",
        "momentum",
        "rms",
        "mg",
        "average_gradient",
        "accumulator",
        "Adam",
        "Adam_1",
        "Momentum",
        "RMSProp",
        "RMSProp_1",
        "Adagrad",
    )
)

_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"  # name in a checkpoint of its object graph
_ROOT = 0  # number of an object graph's first node

Arrays = dict[str, np.ndarray]


def from_saved_model(handle_or_folder: str | Path) -> tuple[Arrays, str]:
    """Returns the variables of a TF-Hub module by name, and the activation in its graphs.

    The activation is "relu" or "relu6". It is "" if the graphs contain neither of the two
    operations, or both.

    Args:
      handle_or_folder: Handle of the module, or the folder of a SavedModel.

    Raises:
      WeightsError: It cannot be fetched or read, it has no named variables, or a name twice.
    """
    folder = resolve(str(handle_or_folder))
    try:
        content = (folder / "saved_model.pb").read_bytes()
        saved_model = saved_model_pb2.SavedModel.FromString(content)
        with files.without_pattern(folder) as readable:
            checkpoint = tf.train.load_checkpoint(str(readable / "variables" / "variables"))
            known = checkpoint.get_variable_to_shape_map()
            if _OBJECT_GRAPH in known:
                object_graph = checkpoint.get_tensor(_OBJECT_GRAPH)
                keys = _checkpoint_keys(folder, saved_model, object_graph)
            else:
                # In a SavedModel of TensorFlow 1, names are keys.
                keys = {name: name for name in known}
            arrays = {name: checkpoint.get_tensor(key) for name, key in keys.items()}
    except _BROKEN_MODULE as error:
        raise WeightsError(
            f"{folder} is not a readable SavedModel ({error}).",
            "Give a folder with saved_model.pb and variables/, or fetch it again.",
        ) from error
    if not arrays:
        raise WeightsError(
            f"{folder} contains no named variables.", "Give the module as published on TF-Hub."
        )
    return arrays, _activation(saved_model)


def read(path: Path) -> Arrays:
    """Returns the variables of a weight file or of the folder of a SavedModel, by name.

    Raises:
      WeightsError: It cannot be read.
    """
    if path.is_dir():
        arrays, _ = from_saved_model(path)
        return arrays
    if zipfile.is_zipfile(path):
        arrays, _ = variables_of_npz(path)
        return arrays
    return from_checkpoint(path)


def from_checkpoint(path: str | Path) -> Arrays:
    """Returns the variables of a checkpoint by name.

    Args:
      path: A TensorFlow 1 checkpoint (see `from_tf1_checkpoint`), or a weight file of Keras (see
        `from_keras_file`).

    Raises:
      WeightsError: It cannot be read.
    """
    if Path(path).is_file() and h5py.is_hdf5(path):
        return from_keras_file(path)
    return from_tf1_checkpoint(path)


def from_keras_file(path: str | Path) -> Arrays:
    """Returns the variables of a weight file of Keras by name.

    Args:
      path: HDF5 file that `Model.save_weights` or `Model.save` of Keras 2 wrote, such as Google's
        yamnet.h5.

    Raises:
      WeightsError: It cannot be read.
    """
    arrays = {}
    try:
        with h5py.File(path, "r") as file:
            # `Model.save` writes the weights into a group of their own.
            model = file.get("model_weights", file)
            for layer in model.attrs["layer_names"]:
                group = model[layer]
                for name in group.attrs["weight_names"]:
                    arrays[_text(name).removesuffix(":0")] = group[name][()]
    # A group in place of an array raises TypeError.
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise WeightsError(
            f"{path} is not a readable weight file of Keras 2 ({error}).",
            "Give Google's yamnet.h5.",
        ) from error
    return arrays


def from_tf1_checkpoint(path: str | Path) -> Arrays:
    """Returns the variables of a TensorFlow 1 checkpoint by name.

    Args:
      path: One file (version 1), such as Google's vggish_model.ckpt, or the prefix of several
        files (version 2).

    Raises:
      WeightsError: It cannot be read.
    """
    try:
        with files.without_pattern(Path(path).parent) as folder:
            reader = tf.compat.v1.train.NewCheckpointReader(str(folder / Path(path).name))
            return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise WeightsError(
            f"{path} is not a readable TensorFlow checkpoint ({error}).",
            "Give Google's vggish_model.ckpt.",
        ) from error


def from_npz(path: str | Path) -> tuple[Arrays, dict[str, Any]]:
    """Returns the arrays of an .npz by name, and its record.

    The record is `EventModel.record` of the model that wrote the file; {} if there is none.

    Raises:
      WeightsError: It cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            if len(set(file.files)) < len(file.files):
                raise ValueError("two arrays have one name")
            arrays = stored.arrays_of(file)
        record = {}
        if RECORD in arrays:
            record = json.loads(str(arrays.pop(RECORD)))
            if not isinstance(record, dict):
                raise ValueError("its record is no JSON object")
    except BROKEN_NPZ as error:
        raise WeightsError(
            f"{path} cannot be read as .npz ({error}).",
            "Pre-train with crossask-pretrain, or check the path.",
        ) from error
    return arrays, record


def variables_of_npz(path: str | Path) -> tuple[Arrays, dict[str, Any]]:
    """Returns the variables of an .npz by name, without TensorFlow's ":0", and its record.

    The record and the errors are those of `from_npz`.
    """
    arrays, record = from_npz(path)
    return {name.removesuffix(":0"): value for name, value in arrays.items()}, record


def digest(choices: list, arrays: Arrays) -> str:
    """Returns hexadecimal digits that change with any choice, and any name or value of an array."""
    found = hashlib.sha256(json.dumps(choices).encode())
    for name, value in sorted(arrays.items()):
        found.update(f"{name}{tuple(value.shape)}".encode())
        # Weights are no text, but a file may contain some in their place.
        is_number = np.issubdtype(value.dtype, np.number)
        found.update(np.ascontiguousarray(value, "<f4" if is_number else None).tobytes())
    return found.hexdigest()


def is_training_state(name: str, shape: Sequence[int]) -> bool:
    """Returns whether a variable belongs to a metric or an optimiser, by its name and shape.

    Keras saves them with the weights, for example "count", "Adam/iter", "Adam/m/fc2/kernel".
    """
    # Steps, rates and sums are scalars; no weight of an event model is one.
    if not shape:
        return True
    parts = name.split("/")
    # Keras appends a number to a name that it has used.
    if re.sub(r"_[0-9]+$", "", parts[-1]) in _METRICS:
        return True
    # The name of what an optimiser stores for a weight contains that of the weight.
    return len(parts) > 1 and not _SLOTS.isdisjoint((parts[0], parts[1], parts[-1]))


def is_checkpoint(path: Path) -> bool:
    """Returns whether `path` is a file, or the prefix of a checkpoint in several files."""
    if path.is_file():
        return True
    if not path.name:
        return False
    return path.with_name(f"{path.name}.index").is_file()


def resolve(handle: str) -> Path:
    """Returns the folder of a TF-Hub module.

    Args:
      handle: The folder itself, or a handle, whose module is fetched into TensorFlow Hub's cache
        (TFHUB_CACHE_DIR) if it is not there.

    Raises:
      WeightsError: There is no such folder, or the module cannot be fetched.
    """
    if Path(handle).is_dir():
        return Path(handle)
    advice = (
        "Download the module by hand and give its folder, set TFHUB_CACHE_DIR to a cache that has "
        "it, or fetch it where there is a network: crossask-prepare --assets=all."
    )
    if "://" not in handle:
        raise WeightsError(f"There are no weights at {handle!r}.", advice)
    try:
        import tensorflow_hub
    except ImportError as error:
        raise WeightsError(
            f"{handle} needs tensorflow_hub, which cannot be imported ({error}).", advice
        ) from error
    try:
        return Path(tensorflow_hub.resolve(handle))
    except Exception as error:  # tensorflow_hub passes on any error of its transport
        raise WeightsError(
            f"{handle} cannot be fetched ({type(error).__name__}: {error}).", advice
        ) from error


def _text(name: str | bytes) -> str:
    """Returns a name in an HDF5 file, which is bytes in files of older versions."""
    return name.decode() if isinstance(name, bytes) else name


def _activation(saved_model: saved_model_pb2.SavedModel) -> str:
    """Returns the activation in the graphs of a SavedModel, see `from_saved_model`."""
    operations = set()
    for meta_graph in saved_model.meta_graphs:
        graph = meta_graph.graph_def
        operations.update(node.op for node in graph.node)
        for function in graph.library.function:
            operations.update(node.op for node in function.node_def)
    found = [name for name, operation in ACTIVATIONS.items() if operation in operations]
    return found[0] if len(found) == 1 else ""


def _checkpoint_keys(
    folder: Path, saved_model: saved_model_pb2.SavedModel, object_graph: bytes
) -> dict[str, str]:
    """Returns {name of a variable: key of its value in the checkpoint}.

    The object graph of a SavedModel has the names of the variables, that of its checkpoint the keys
    of their values. Both are walked from the root along edges of the same names, so it does not
    matter by which of several paths a variable was saved.

    Args:
      folder: Folder of the SavedModel, for errors.
      saved_model: Content of saved_model.pb.
      object_graph: The checkpoint's object graph, serialised.
    """
    nodes = saved_model.meta_graphs[0].object_graph_def.nodes
    saved_nodes = trackable_object_graph_pb2.TrackableObjectGraph.FromString(object_graph).nodes

    keys = {}
    seen = {_ROOT}
    waiting = [(_ROOT, _ROOT)]
    while waiting:
        number, saved_number = waiting.pop()
        node = nodes[number]
        saved_node = saved_nodes[saved_number]
        name = ""
        if node.WhichOneof("kind") == "variable":
            name = node.variable.name.removesuffix(":0")
        # Variables of metrics are left out first, because two metrics may have equal names.
        shape = [axis.size for axis in node.variable.shape.dim]
        if name and not is_training_state(name, shape):
            if name in keys:
                raise WeightsError(
                    f"{folder} contains two variables named {name!r}.",
                    "Give the module as published on TF-Hub.",
                )
            for attribute in saved_node.attributes:
                if attribute.name == "VARIABLE_VALUE":
                    keys[name] = attribute.checkpoint_key
        saved_children = {child.local_name: child.node_id for child in saved_node.children}
        for child in node.children:
            if child.node_id not in seen and child.local_name in saved_children:
                seen.add(child.node_id)
                waiting.append((child.node_id, saved_children[child.local_name]))
    return keys
