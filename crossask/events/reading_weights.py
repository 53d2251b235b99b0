"""Published weight files to arrays by name. Nothing of a module is run to be read."""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from crossask.errors import WeightsError

RECORD = "__record__"


def from_saved_model(handle_or_folder) -> dict[str, np.ndarray]:
    """Variables of a TF-Hub module (handle, or its folder) by the names that its object graph gives them.

    Raises:
      WeightsError: it cannot be fetched or holds no named variables.
    """
    folder = resolve(str(handle_or_folder))
    try:
        message = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
        checkpoint = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    except (OSError, tf.errors.OpError, ValueError, DecodeError) as error:
        raise WeightsError(
            f"{folder} is not a readable SavedModel ({error}).", "Give a folder with saved_model.pb and variables/."
        ) from error
    nodes = message.meta_graphs[0].object_graph_def.nodes
    paths, stack = {0: ()}, [0]
    while stack:
        number = stack.pop()
        for child in nodes[number].children:
            if child.node_id not in paths:
                paths[child.node_id] = (*paths[number], child.local_name)
                stack.append(child.node_id)
    keys = set(checkpoint.get_variable_to_shape_map())
    weights = {}
    for number, path in paths.items():
        node = nodes[number]
        key = "/".join(path) + "/.ATTRIBUTES/VARIABLE_VALUE"
        if node.WhichOneof("kind") == "variable" and node.variable.name and key in keys:
            weights[node.variable.name.removesuffix(":0")] = checkpoint.get_tensor(key)
    if not weights:
        raise WeightsError(f"{folder} holds no named variables.", "Give the module as published on TF-Hub.")
    return weights


def from_tf1_checkpoint(path) -> dict[str, np.ndarray]:
    """Variables of a TF1 checkpoint, such as Google's one-file vggish_model.ckpt."""
    try:
        reader = tf.compat.v1.train.NewCheckpointReader(str(path))
        return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{path} is not a readable TensorFlow checkpoint ({error}).", "Give Google's vggish_model.ckpt.") from error


def from_npz(path) -> tuple[dict[str, np.ndarray], dict]:
    """Arrays by name, and the record that `EventModel.save_npz` wrote with them ({} where there is none)."""
    try:
        with np.load(path, allow_pickle=False) as file:
            weights = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read as .npz ({error}).", "Pre-train with crossask-pretrain, or check the path.") from error
    record = json.loads(str(weights.pop(RECORD))) if RECORD in weights else {}
    return weights, record


def resolve(handle: str) -> Path:
    """The folder of a TF-Hub module: itself, or fetched into TensorFlow Hub's cache."""
    if Path(handle).is_dir():
        return Path(handle)
    advice = "Download the module by hand and give its folder, or fetch it with crossask-prepare --assets."
    if "://" not in handle:
        raise WeightsError(f"There are no weights at {handle!r}.", advice)
    try:
        import tensorflow_hub
    except ImportError as error:
        raise WeightsError(f"{handle} needs tensorflow_hub, which cannot be imported ({error}).", advice) from error
    try:
        return Path(tensorflow_hub.resolve(handle))
    except Exception as error:  # tensorflow_hub raises whatever its transport does
        raise WeightsError(f"{handle} cannot be fetched ({type(error).__name__}: {error}).", advice) from error
