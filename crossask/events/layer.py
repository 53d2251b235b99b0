"""The contract of event models: a Keras layer from patches to embeddings, frozen or trainable, that knows its weights."""

import hashlib
import json

import numpy as np
import tensorflow as tf
import tf_keras as keras

from crossask import files
from crossask.errors import ConfigError, WeightsError
from crossask.events import reading_weights

TAPS = ("linear", "relu", "pca")
ACTIVATIONS = ("relu", "relu6")
PATCH = (96, 64)  # frames, mel bins


class EventModel(keras.layers.Layer):
    """patches [..., 96, 64] (natural log-mel) -> embedding [..., embedding_size], over any leading axes.

    A subclass gives `_embed` and `named_variables`, and lists in `optional_variables` what a weight file may hold besides.

    Args:
      trainable: False is frozen: inference mode whatever `training` says, no gradient, no moving statistics.
      width: share of the published channel counts, above 0 and at most 1; each count is rounded.
      embedding_tap: "linear", "relu" or "pca" (see the subclass).
      activation: "relu" or "relu6"; a weight file does not record it.
      seed: of random initial weights; None leaves them zero, for weights that are about to be read.

    Raises:
      ConfigError: a choice that does not exist, or patches whose last axes are not (96, 64).
    """

    model_name = ""
    front_end = ""  # the patches of crossask.audio.frontends that it reads
    embedding_size = 0
    optional_variables: tuple[str, ...] = ()

    def __init__(
        self,
        trainable=False,
        width=1.0,
        embedding_tap="linear",
        activation="relu",
        seed=0,
        **kwargs,
    ):
        super().__init__(trainable=trainable, **kwargs)
        for field, value, known in (
            ("embedding_tap", embedding_tap, TAPS),
            ("activation", activation, ACTIVATIONS),
        ):
            if value not in known:
                raise ConfigError(
                    f"event_model.{field} is {value!r}.", f"Use one of: {', '.join(known)}."
                )
        if not 0 < width <= 1:
            raise ConfigError(
                f"event_model.width is {width}.",
                "Give a share of the published width, above 0 and at most 1.",
            )
        self.width = float(width)  # 1 and 1.0 are one width in the digest
        self.embedding_tap, self.activation, self.seed = embedding_tap, activation, seed
        self.source = "random"

    def call(self, patches, training=False):
        if patches.shape.rank is None or not patches.shape[-2:].is_compatible_with(PATCH):
            # the reshape below would take any axes whose product fits
            raise ConfigError(
                f"Patches have the shape {patches.shape}.",
                "Give [..., 96, 64]: 96 frames of 64 mel bins.",
            )
        patches = tf.ensure_shape(patches, [*patches.shape[:-2], *PATCH])
        leading = tf.shape(patches)[:-2]
        x = tf.reshape(patches, [-1, 96, 64, 1])
        x = self._embed(x, training=training and self.trainable)  # [n, embedding_size]
        x = tf.reshape(x, tf.concat([leading, [self.embedding_size]], 0))
        x = tf.ensure_shape(x, [*patches.shape[:-2], self.embedding_size])
        return x if self.trainable else tf.stop_gradient(x)

    def built_whole(self):
        """The layer with all variables created."""
        if not self.built:
            self(tf.zeros([1, 96, 64]))
        return self

    def build_from_config(self, config):
        # Keras' own marks the layer as built and leaves its inner layers without variables
        self.built_whole()

    @classmethod
    def from_hub(cls, handle_or_folder, **options):
        """With the weights of a TF-Hub module: a handle (fetched through tensorflow_hub's cache) or a folder.

        Raises:
          WeightsError: it cannot be fetched or read; a missing, extra, misshapen or not finite variable, by name.
        """
        return cls(seed=None, **options)._load(
            reading_weights.from_saved_model(handle_or_folder), str(handle_or_folder)
        )

    @classmethod
    def from_checkpoint(cls, path, **options):
        """With the weights of a TF1 checkpoint, one file or a prefix.

        Raises:
          WeightsError: it cannot be read; a missing, extra, misshapen or not finite variable, by name.
        """
        return cls(seed=None, **options)._load(reading_weights.from_tf1_checkpoint(path), str(path))

    @classmethod
    def from_npz(cls, path, **options):
        """With the weights of an .npz; width and activation of its record hold, and may not be contradicted.

        The recorded tap is used where none is asked for: it says how the embedding was read, not what the weights are.

        Raises:
          WeightsError: a missing, extra, misshapen or not finite variable, weights of another model, width or activation, or
            weights that are not those the record was written with.
        """
        weights, record = reading_weights.from_npz(path)
        for field in ("name", "width", "activation"):
            asked = cls.model_name if field == "name" else options.get(field)
            if field in record and asked is not None and record[field] != asked:
                raise WeightsError(
                    f"{path} holds {field} {record[field]!r}, and {asked!r} was asked for.",
                    f"Set event_model.{field} to match.",
                )
        if (
            "sha256" in record and record["embedding_tap"] != "pca"
        ):  # whose own arrays lie in another file
            choices = [record[field] for field in ("name", "width", "embedding_tap", "activation")]
            if _digest(choices, weights) != record["sha256"]:
                raise WeightsError(
                    f"The weights in {path} are not those its record names.",
                    "Write the file again.",
                )
        known = {
            field: record[field]
            for field in ("width", "activation", "embedding_tap")
            if field in record
        }
        options = known | {field: value for field, value in options.items() if value is not None}
        return cls(seed=None, **options)._load(weights, str(path))

    def save_npz(self, path):
        """Writes all variables by their published names, with a record of what they belong to; whole or not at all."""
        self.built_whole()
        weights = {name: variable.numpy() for name, variable in self.named_variables().items()}
        with files.writing(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **weights, **{reading_weights.RECORD: np.array(json.dumps(self.record))})

    def named_variables(self) -> dict[str, tf.Variable]:
        """The network's variables by their published names."""
        raise NotImplementedError

    def layers_upward(self) -> list[list[tf.Variable]]:
        """Its trainable variables layer by layer, from the patches up; empty where it is frozen."""
        trained, layers = {id(variable) for variable in self.trainable_variables}, {}
        for name, variable in self.named_variables().items():
            if id(variable) in trained:
                layers.setdefault(self.layer_of(name), []).append(variable)
        return list(layers.values())

    def layer_of(self, name: str) -> str:
        """The layer to which the variable of this published name belongs."""
        return name.rpartition("/")[0]

    @property
    def record(self) -> dict:
        """What the weights belong to, and a checksum over them."""
        return {
            "name": self.model_name,
            "width": self.width,
            "embedding_tap": self.embedding_tap,
            "activation": self.activation,
            "source": self.source,
            "sha256": self.weights_digest(),
        }

    def weights_digest(self) -> str:
        """Hexadecimal digits that change with any weight, the tap, the activation or the width."""
        self.built_whole()
        weights = {name: variable.numpy() for name, variable in self.named_variables().items()}
        return _digest(
            [self.model_name, self.width, self.embedding_tap, self.activation],
            weights | self._constants(),
        )

    def get_config(self):
        fields = ("width", "embedding_tap", "activation", "seed")
        return super().get_config() | {
            "trainable": self.trainable,
            **{field: getattr(self, field) for field in fields},
        }

    def _embed(self, x, training):
        """[n, 96, 64, 1] -> [n, embedding_size]"""
        raise NotImplementedError

    def _constants(self) -> dict[str, np.ndarray]:
        """Arrays that shape the embedding and are no variables."""
        return {}

    def _activate(self, x):
        return tf.nn.relu6(x) if self.activation == "relu6" else tf.nn.relu(x)

    def _load(self, weights: dict, source: str):
        variables = self.built_whole().named_variables()
        weights = {name.removesuffix(":0"): value for name, value in weights.items()}
        advice = f"Give the published weights of {self.model_name}, or set event_model.width."
        for name, variable in variables.items():
            if name not in weights:
                raise WeightsError(f"{source} lacks the variable {name!r}.", advice)
            if tuple(weights[name].shape) != tuple(variable.shape):
                raise WeightsError(
                    f"{name!r} of {source} has shape {weights[name].shape}, not {tuple(variable.shape)}.",
                    advice,
                )
        for name in weights:
            if name not in variables and name not in self.optional_variables:
                raise WeightsError(f"{source} has the unknown variable {name!r}.", advice)
        for name in variables:
            if not np.isfinite(weights[name]).all():
                raise WeightsError(
                    f"{name!r} of {source} holds values that are not finite.", advice
                )
        for name, variable in variables.items():
            variable.assign(weights[name])
        self.source = source
        return self


def _digest(choices: list, weights: dict[str, np.ndarray]) -> str:
    total = hashlib.sha256(json.dumps(choices).encode())
    for name, value in sorted(weights.items()):
        total.update(f"{name}{tuple(value.shape)}".encode())
        total.update(np.ascontiguousarray(value, "<f4").tobytes())
    return total.hexdigest()
