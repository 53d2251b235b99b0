"""Published weight files to arrays by name. Nothing of a module is run to be read."""

import json
import zipfile
import zlib
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2, trackable_object_graph_pb2

from crossask.errors import WeightsError

RECORD = "__record__"
# what np.load lets through of a file that is cut off or damaged
BROKEN_NPZ = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    AttributeError,
    TypeError,
    zipfile.BadZipFile,
    zlib.error,
)
OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
BROKEN_MODULE = (OSError, tf.errors.OpError, ValueError, IndexError, DecodeError)


def from_saved_model(handle_or_folder) -> dict[str, np.ndarray]:
    """Variables of a TF-Hub module (handle, or its folder) by the names that its object graph gives them.

    The module's object graph names its variables, the checkpoint's says under which keys their values lie. Both are walked
    from the root along the same edges, so it does not matter by which of several paths a variable was saved.

    Raises:
      WeightsError: it cannot be fetched, cannot be read, holds no named variables, or one name twice.
    """
    folder = resolve(str(handle_or_folder))
    try:
        message = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
        checkpoint = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
        known = checkpoint.get_variable_to_shape_map()
        keys = (
            _keys_by_name(folder, message, checkpoint)
            if OBJECT_GRAPH in known
            else {name: name for name in known}
        )
        weights = {name: checkpoint.get_tensor(key) for name, key in keys.items()}
    except BROKEN_MODULE as error:
        raise WeightsError(
            f"{folder} is not a readable SavedModel ({error}).",
            "Give a folder with saved_model.pb and variables/, or fetch it again.",
        ) from error
    if not weights:
        raise WeightsError(
            f"{folder} holds no named variables.", "Give the module as published on TF-Hub."
        )
    return weights


def from_tf1_checkpoint(path) -> dict[str, np.ndarray]:
    """Variables of a TF1 checkpoint: one file (V1), such as Google's vggish_model.ckpt, or the prefix of several (V2)."""
    try:
        reader = tf.compat.v1.train.NewCheckpointReader(str(path))
        return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise WeightsError(
            f"{path} is not a readable TensorFlow checkpoint ({error}).",
            "Give Google's vggish_model.ckpt.",
        ) from error


def from_npz(path) -> tuple[dict[str, np.ndarray], dict]:
    """Arrays by name, and the record that `EventModel.save_npz` wrote with them ({} where there is none)."""
    try:
        with np.load(path, allow_pickle=False) as file:
            weights = {name: file[name] for name in file.files}
        record = json.loads(str(weights.pop(RECORD))) if RECORD in weights else {}
    except BROKEN_NPZ as error:
        raise WeightsError(
            f"{path} cannot be read as .npz ({error}).",
            "Pre-train with crossask-pretrain, or check the path.",
        ) from error
    return weights, record


def is_tf1_checkpoint(path: Path) -> bool:
    """Whether `path` is a file (V1), or the prefix of a checkpoint in several files (V2)."""
    return path.is_file() or (bool(path.name) and path.with_name(f"{path.name}.index").is_file())


def resolve(handle: str) -> Path:
    """The folder of a TF-Hub module: itself, or fetched into TensorFlow Hub's cache (TFHUB_CACHE_DIR)."""
    if Path(handle).is_dir():
        return Path(handle)
    advice = (
        "Download the module by hand and give its folder, set TFHUB_CACHE_DIR to a cache that has it, "
        "or fetch it where there is a network: crossask-prepare --assets=all."
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
    except Exception as error:  # tensorflow_hub raises whatever its transport does
        raise WeightsError(
            f"{handle} cannot be fetched ({type(error).__name__}: {error}).", advice
        ) from error


def _keys_by_name(folder: Path, message, checkpoint) -> dict[str, str]:
    """{variable's name: its key in the checkpoint}."""
    nodes = message.meta_graphs[0].object_graph_def.nodes
    saved = trackable_object_graph_pb2.TrackableObjectGraph.FromString(
        checkpoint.get_tensor(OBJECT_GRAPH)
    ).nodes
    keys, seen, waiting = {}, {0}, [(0, 0)]
    while waiting:
        number, saved_number = waiting.pop()
        node = nodes[number]
        if node.WhichOneof("kind") == "variable" and node.variable.name:
            name = node.variable.name.removesuffix(":0")
            if name in keys:
                raise WeightsError(
                    f"{folder} holds two variables named {name!r}.",
                    "Give the module as published on TF-Hub.",
                )
            for attribute in saved[saved_number].attributes:
                if attribute.name == "VARIABLE_VALUE":
                    keys[name] = attribute.checkpoint_key
        children = {child.local_name: child.node_id for child in saved[saved_number].children}
        for child in node.children:
            if child.node_id not in seen and child.local_name in children:
                seen.add(child.node_id)
                waiting.append((child.node_id, children[child.local_name]))
    return keys
