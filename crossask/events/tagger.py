"""The head that predicts events from the embeddings of an event model, and their names."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from crossask import stored, text_tables
from crossask.config import EventModelConfig, catalogue
from crossask.errors import CrossaskError, DataError, WeightsError
from crossask.events import assets, manifest, weights
from crossask.events.vggish import PCA_CLIP, STEPS_PER_UNIT, read_pca

HEADS = ("dense", "logits")  # names of the head in published weights of YAMNet
CLASS_MAP = "yamnet_class_map.csv"


@dataclasses.dataclass(frozen=True)
class Affine:
    """The map x -> x matrix + offset.

    Attributes:
      matrix: float32 [inputs, outputs].
      offset: float32 [outputs].
    """

    matrix: np.ndarray
    offset: np.ndarray


class Tagger(tf.Module):
    """A head from embeddings to scores of events.

    embedding [..., embedding_size] -> activation(relu(embedding) kernel + bias) [..., events], in
    0..1. The activation is a softmax if the head was trained with one event a clip, else a sigmoid.
    An embedding after a PCA is first brought back to the values before it, see `inverse`.

    Attributes:
      names: Names of the events.
      exclusive: Whether the activation is a softmax.
      inverse: The map from an embedding to the value that the ReLU reads; None if they are equal.
      kernel: float32 [embedding_size, events].
      bias: float32 [events].
    """

    def __init__(
        self,
        names: Sequence[str],
        kernel: np.ndarray | tf.Tensor,
        bias: np.ndarray | tf.Tensor,
        exclusive: bool = False,
        inverse: Affine | None = None,
    ):
        """Stores the attributes, see the class.

        Raises:
          WeightsError: The number of names is not that of the head's outputs.
        """
        super().__init__()
        self.names = tuple(names)
        self.exclusive = bool(exclusive)
        self.inverse = inverse
        self.kernel = tf.constant(kernel, tf.float32)
        self.bias = tf.constant(bias, tf.float32)
        events = len(self.names)
        if self.kernel.shape[1] != events or self.bias.shape != [events]:
            raise WeightsError(
                f"The tags have {events} names for a head of {self.kernel.shape[1]}.",
                "Give the class map of these weights.",
            )

    def __call__(self, embedding: tf.Tensor) -> tf.Tensor:
        """Returns scores [..., events] of embeddings [..., embedding_size].

        Raises:
          WeightsError: The head belongs to embeddings of another size.
        """
        raw = embedding
        if self.inverse is not None:
            raw = tf.matmul(embedding, self.inverse.matrix) + self.inverse.offset
        # A graph may not know the size.
        if raw.shape[-1] not in (None, self.kernel.shape[0]):
            raise WeightsError(
                f"The tags are those of embeddings of {self.kernel.shape[0]} numbers, not of "
                f"{raw.shape[-1]}.",
                "Give the tags of these weights, or remove their file.",
            )
        logits = tf.matmul(tf.nn.relu(raw), self.kernel) + self.bias  # [..., events]
        if self.exclusive:
            return tf.nn.softmax(logits)
        return tf.sigmoid(logits)

    def save_npz(self, path: str | Path, weights_sha256: str = "") -> None:
        """Writes the attributes to an .npz, except for `inverse`, which depends on the tap.

        Args:
          path: The file.
          weights_sha256: Digest of the weights to which the head belongs, see `EventModel.record`.
        """
        arrays = {
            "names": np.array(self.names),
            "kernel": self.kernel.numpy(),
            "bias": self.bias.numpy(),
            "exclusive": self.exclusive,
            "weights_sha256": weights_sha256,
        }
        stored.write_arrays(path, arrays)


def tags_path(weights_path: str | Path) -> Path:
    """Returns the path of the head that crossask-pretrain writes beside its weights."""
    path = Path(weights_path)
    return path.with_name(f"{path.stem}_tags.npz")


def read_tagger(config: EventModelConfig) -> Tagger | None:
    """Returns the head of an event model's weights, or None if there is none.

    An .npz of crossask-pretrain has its head in a file beside it, see `tags_path`. An .npz of
    YAMNet contains its head, and a class map is beside it, `<stem>_class_map.csv`. A TF-Hub module
    of YAMNet contains both. The head of the published VGGish is a file beside the manifest, see
    vggish_assets/README.md. For its taps "pca" and "vggish_2019", the head needs the PCA. Random
    and fine-tuned weights have no head.

    Raises:
      WeightsError: A file cannot be read, or head and names do not fit each other.
    """
    if not config.weights:
        return None
    path = Path(config.weights)
    if path.suffix == ".npz" and tags_path(path).is_file():
        if config.embedding_tap in catalogue.PCA_TAPS:
            return None
        _check_same_weights(path)
        return read_tags(tags_path(path))
    if catalogue.event_model(config.name).has_tagger:
        return _head_inside(config)
    return _head_of_published(config)


def _check_same_weights(path: Path) -> None:
    """Raises WeightsError if the head beside some weights belongs to others."""
    arrays, _ = weights.from_npz(tags_path(path))
    expected = str(arrays.get("weights_sha256", ""))
    if not expected:
        # Files of earlier versions have no digest.
        return
    _, record = weights.from_npz(path)
    if record.get("sha256") != expected:
        raise WeightsError(
            f"{tags_path(path)} belongs to other weights than those in {path}.",
            "Restore the file that was written with the weights, or remove it: the events then "
            "have no names.",
        )


def read_class_map(path: str | Path) -> list[str]:
    """Returns the names of events in the order of the head's outputs.

    Args:
      path: CSV file with the columns index and display_name.

    Raises:
      WeightsError: A column is missing or has a wrong value, or an event is missing.
    """
    fix = "Give it the columns index, from 0 on, and display_name."
    try:
        table = text_tables.read_csv(path)
        table.require(("index", "display_name"), fix)
        rows = sorted(table.rows, key=lambda row: int(row["index"]))
    except (DataError, ValueError) as error:
        raise WeightsError(f"{path} is no class map ({error}).", fix) from error
    names = [row["display_name"] for row in rows]
    numbers = [int(row["index"]) for row in rows]
    # If an event were left out or listed twice, all events after it would have wrong names.
    if numbers != list(range(len(rows))) or not all(names):
        raise WeightsError(
            f"{path} is no class map: one of {len(rows)} events has no name, or two.", fix
        )
    return names


def read_tags(path: str | Path) -> Tagger:
    """Returns the head that `Tagger.save_npz` wrote.

    Raises:
      WeightsError: It cannot be read.
    """
    fix = "Restore the file, or remove it."
    try:
        arrays, _ = weights.from_npz(path)
        with stored.damage_of(path, fix):
            names = arrays["names"].tolist()
            kernel = arrays["kernel"].astype(np.float32)
            bias = arrays["bias"].astype(np.float32)
            is_exclusive = bool(arrays["exclusive"])
            if kernel.ndim != 2 or kernel.shape[1:] != bias.shape or len(names) != len(bias):
                shapes = f"a kernel {kernel.shape}, a bias {bias.shape}"
                raise ValueError(f"{len(names)} names, {shapes}")
            if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
                raise ValueError("values that are not finite")
    except CrossaskError as error:
        raise WeightsError(error.problem, fix) from error
    return Tagger(names, kernel, bias, is_exclusive)


def inverse_of_pca(vectors: np.ndarray, mean: np.ndarray) -> Affine:
    """Returns the map from E (x - mean) to x; the values that the PCA clips stay clipped.

    Args:
      vectors: E, [128, 128].
      mean: The mean, [128].
    """
    # Rows are embeddings, so the matrix is transposed. The lengths of the rows of E differ by a
    # factor of 90, so it is inverted in double precision.
    matrix = np.linalg.inv(vectors.astype(np.float64)).T
    return Affine(matrix.astype(np.float32), mean.astype(np.float32))


def _head_inside(config: EventModelConfig) -> Tagger | None:
    """Returns the head that the weights contain; None without a head or a class map."""
    path = Path(config.weights)
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
        if f"{head}/kernel" in arrays and f"{head}/bias" in arrays:
            names = read_class_map(class_map)
            return Tagger(names, arrays[f"{head}/kernel"], arrays[f"{head}/bias"])
    return None


def _head_of_published(config: EventModelConfig) -> Tagger | None:
    """Returns the head of the manifest's weights; None for other weights or without the PCA."""
    entry = manifest.entries().get(config.name, {})
    if "tags" not in entry or not assets.is_published(config, entry):
        return None
    tags = manifest.path().with_name(entry["tags"])
    if not tags.is_file():
        return None
    head = read_tags(tags)
    if config.embedding_tap not in catalogue.PCA_TAPS:
        return head
    pca = Path(config.pca) if config.pca else assets.place("vggish_pca")
    if not pca.is_file():
        return None
    inverse = inverse_of_pca(*read_pca(pca))
    if config.embedding_tap == "vggish_2019":
        # Bring whole numbers from 0 to 255 back to values from -2 to 2.
        offset = inverse.offset - PCA_CLIP * inverse.matrix.sum(axis=0)
        inverse = Affine(inverse.matrix / STEPS_PER_UNIT, offset)
    return Tagger(head.names, head.kernel, head.bias, head.exclusive, inverse)
