"""The head that predicts events from the embeddings of an event model, and their names."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from crossask import files, text_tables
from crossask.config import EventModelConfig, catalogue
from crossask.errors import DataError, WeightsError
from crossask.events import assets, weights

HEADS = ("dense", "logits")  # names of the head in published YAMNets
CLASS_MAP = "yamnet_class_map.csv"


class Tagger(tf.Module):
    """A head from embeddings to scores of events.

    embedding [..., embedding_size] -> activation(relu(embedding) kernel + bias) [..., events], in
    0..1. The activation is a softmax if the head was trained with one event a clip, else a sigmoid.

    Attributes:
      names: Names of the events.
      exclusive: Whether the activation is a softmax.
      kernel: float32 [embedding_size, events].
      bias: float32 [events].
    """

    def __init__(
        self,
        names: Sequence[str],
        kernel: np.ndarray | tf.Tensor,
        bias: np.ndarray | tf.Tensor,
        exclusive: bool = False,
    ):
        """Stores the attributes, see the class.

        Raises:
          WeightsError: The number of names is not that of the head's outputs.
        """
        super().__init__()
        self.names = tuple(names)
        self.exclusive = bool(exclusive)
        self.kernel = tf.constant(kernel, tf.float32)
        self.bias = tf.constant(bias, tf.float32)
        events = len(self.names)
        if self.kernel.shape[1] != events or self.bias.shape != [events]:
            raise WeightsError(
                f"The tags have {events} names for a head of {self.kernel.shape[1]}.",
                "Give the class map of these weights.",
            )

    def __call__(self, embedding: tf.Tensor) -> tf.Tensor:
        """Returns scores [..., events] of embeddings [..., embedding_size]."""
        logits = tf.matmul(tf.nn.relu(embedding), self.kernel) + self.bias  # [..., events]
        if self.exclusive:
            return tf.nn.softmax(logits)
        return tf.sigmoid(logits)

    def save_npz(self, path: str | Path) -> None:
        """Writes the attributes to an .npz."""
        with files.writing(path) as temporary, open(temporary, "wb") as file:
            np.savez(
                file,
                names=np.array(self.names),
                kernel=self.kernel.numpy(),
                bias=self.bias.numpy(),
                exclusive=self.exclusive,
            )


def tags_path(weights_path: str | Path) -> Path:
    """Returns the path of the head that crossask-pretrain writes beside its weights."""
    path = Path(weights_path)
    return path.with_name(f"{path.stem}_tags.npz")


def read_tagger(config: EventModelConfig) -> Tagger | None:
    """Returns the head of an event model's weights, or None if there is none.

    An .npz of crossask-pretrain has its head in a file beside it, see `tags_path`. An .npz of
    YAMNet contains its head, and a class map is beside it, `<stem>_class_map.csv`. A TF-Hub module
    of YAMNet contains both. Random weights and the published VGGish have no head.

    Raises:
      WeightsError: A file cannot be read, or head and names do not fit each other.
    """
    if config.embedding_tap in catalogue.PCA_TAPS or not config.weights:
        return None
    path = Path(config.weights)
    if path.suffix == ".npz" and tags_path(path).is_file():
        return _read_tags(tags_path(path))
    if not catalogue.event_model(config.name).has_tagger:
        return None
    if path.suffix != ".npz":
        path = assets.locate(config.weights)
    if path.is_dir():
        class_map = path / "assets" / CLASS_MAP
    else:
        # Files are published without a class map; the user may have put it beside them.
        class_map = path.with_name(f"{path.stem}_class_map.csv")
    if not class_map.is_file():
        return None
    arrays = weights.read(path)
    for head in HEADS:
        if f"{head}/kernel" in arrays:
            names = read_class_map(class_map)
            return Tagger(names, arrays[f"{head}/kernel"], arrays[f"{head}/bias"])
    return None


def read_class_map(path: str | Path) -> list[str]:
    """Returns the names of events in the order of the head's outputs.

    Args:
      path: CSV file with the columns index and display_name.

    Raises:
      WeightsError: A column is missing or has a wrong value.
    """
    fix = "Give it the columns index and display_name."
    try:
        table = text_tables.read_csv(path)
        table.require(("index", "display_name"), fix)
        rows = sorted(table.rows, key=lambda row: int(row["index"]))
    except (DataError, ValueError) as error:
        raise WeightsError(f"{path} is no class map ({error}).", fix) from error
    return [row["display_name"] for row in rows]


def _read_tags(path: Path) -> Tagger:
    """Returns the head that `Tagger.save_npz` wrote."""
    try:
        with np.load(path) as file:
            return Tagger(file["names"].tolist(), file["kernel"], file["bias"], file["exclusive"])
    except weights.BROKEN_NPZ as error:
        raise WeightsError(
            f"{path} cannot be read ({error}).", "Pre-train again, or remove it."
        ) from error
