"""What an event model was trained to name: the head that its weights came with, and the names of its events."""

import csv
from pathlib import Path

import numpy as np
import tensorflow as tf

from crossask import files
from crossask.config import EventModelConfig, catalogue
from crossask.errors import WeightsError
from crossask.events import reading_weights

HEADS = ("dense", "logits")  # of published YAMNets
CLASS_MAP = "yamnet_class_map.csv"


class Tagger(tf.Module):
    """embedding [..., embedding_size] -> scores [..., names] in 0..1: activation(relu(embedding) kernel + bias).

    The activation is a sigmoid, or, where `exclusive`, a softmax: of events that were taught one a clip.
    """

    def __init__(self, names, kernel, bias, exclusive: bool = False):
        super().__init__()
        self.names, self.exclusive = tuple(names), bool(exclusive)
        self.kernel, self.bias = tf.constant(kernel, tf.float32), tf.constant(bias, tf.float32)
        if self.kernel.shape[1] != len(self.names) or self.bias.shape != [len(self.names)]:
            raise WeightsError(
                f"The tags have {len(self.names)} names for a head of {self.kernel.shape[1]}.",
                "Give the class map of these weights.",
            )

    def __call__(self, embedding):
        logits = tf.matmul(tf.nn.relu(embedding), self.kernel) + self.bias  # [..., names]
        return tf.nn.softmax(logits) if self.exclusive else tf.sigmoid(logits)

    def save_npz(self, path):
        with files.writing(path) as temporary, open(temporary, "wb") as file:
            np.savez(
                file,
                names=np.array(self.names),
                kernel=self.kernel.numpy(),
                bias=self.bias.numpy(),
                exclusive=self.exclusive,
            )


def tags_path(weights) -> Path:
    """Where the head of pre-trained weights lies: beside them."""
    return Path(weights).with_name(f"{Path(weights).stem}_tags.npz")


def tagger(config: EventModelConfig) -> Tagger | None:
    """The head that `config.weights` came with, or None: random weights, VGGish (published without one), no class map.

    An .npz has it beside itself (`<stem>_tags.npz`, of crossask-pretrain), or within itself and the names beside (YAMNet's
    `<stem>_class_map.csv`); a TF-Hub module of YAMNet holds both.

    Raises:
      WeightsError: a head and names that do not belong together, or a file that cannot be read.
    """
    path = Path(config.weights)
    if config.embedding_tap == "pca" or not config.weights:
        return None
    if path.suffix == ".npz" and tags_path(path).is_file():
        try:
            with np.load(tags_path(path)) as file:
                return Tagger(
                    file["names"].tolist(), file["kernel"], file["bias"], file["exclusive"]
                )
        except reading_weights.BROKEN_NPZ as error:
            raise WeightsError(
                f"{tags_path(path)} cannot be read ({error}).", "Pre-train again, or remove it."
            ) from error
    if not catalogue.event_model(config.name).has_tagger or reading_weights.is_tf1_checkpoint(path):
        return None  # no head is known that fits
    if path.suffix == ".npz":
        weights, names = (
            reading_weights.from_npz(path)[0],
            path.with_name(f"{path.stem}_class_map.csv"),
        )
    else:
        folder = reading_weights.resolve(config.weights)
        weights, names = reading_weights.from_saved_model(folder), folder / "assets" / CLASS_MAP
    head = next((head for head in HEADS if f"{head}/kernel" in weights), None)
    if head is None or not names.is_file():
        return None
    return Tagger(read_class_map(names), weights[f"{head}/kernel"], weights[f"{head}/bias"])


def read_class_map(path) -> list[str]:
    """Names in the order of the head's outputs, from a CSV with the columns index and display_name."""
    with open(path, newline="", encoding="utf-8") as file:
        try:
            return [
                line["display_name"]
                for line in sorted(csv.DictReader(file), key=lambda line: int(line["index"]))
            ]
        except (KeyError, ValueError) as error:
            raise WeightsError(
                f"{path} is no class map ({error!r}).",
                "Give it the columns index and display_name.",
            ) from error
