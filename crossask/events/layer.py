"""The base class of event models: a Keras layer from patches to embeddings, with weight files."""

import functools
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from crossask import stored
from crossask.audio import notices
from crossask.config import EventModelConfig, catalogue
from crossask.errors import ConfigError, WeightsError, shortened_list
from crossask.events import weights
from crossask.events.weights import Arrays

PATCH = (96, 64)  # frames, mel bins
# Values of `EventModelConfig.initialisation`.
INITIALISERS = {
    "he": keras.initializers.HeNormal,
    "glorot": keras.initializers.GlorotUniform,
    "truncated_normal": functools.partial(keras.initializers.TruncatedNormal, stddev=0.01),
}


class EventModel(keras.layers.Layer):
    """A layer from patches to embeddings, frozen or trainable.

    patches [..., 96, 64] (log-mel, natural logarithm) -> embedding [..., embedding_size], for any
    leading axes.

    A frozen layer runs in inference mode, whatever `training` says: it has no gradient, and its
    moving statistics do not change.

    A subclass sets the attributes, creates its layers in `__init__`, and defines `_embed` and
    `named_variables`.

    Attributes:
      model_name: Name of the catalogue's entry.
      embedding_size: Width of the embedding.
      optional_variables: Variables that a weight file may contain and the layer need not have.
      source: Where the weights come from: "random", a path or a TF-Hub handle.
    """

    model_name = ""
    embedding_size = 0
    optional_variables: tuple[str, ...] = ()

    def __init__(
        self,
        trainable: bool = False,
        width: float = 1.0,
        embedding_tap: str = "linear",
        activation: str = "relu",
        initialisation: str = "he",
        seed: int | None = 0,
        **kwargs: Any,
    ):
        """Stores the configuration.

        Args:
          trainable: Whether the layer is trained; otherwise it is frozen.
          width: Share of the published channel counts, above 0 and at most 1; each count is
            rounded.
          embedding_tap: Where the embedding is taken: "linear", "relu", "pca" or "vggish_2019" (see
            the subclass).
          activation: "relu" or "relu6"; of published weights, only a SavedModel says which.
          initialisation: Distribution of random initial weights: "he", "glorot" or
            "truncated_normal"; see `EventModelConfig`.
          seed: Seed of random initial weights. None creates zeros, for weights that are read next.
          **kwargs: Arguments of `keras.layers.Layer`.

        Raises:
          ConfigError: A value that does not exist or is out of range.
        """
        # Keras would cast the patches to half precision before a layer in float32 reads them. The
        # layers inside cast their own inputs.
        super().__init__(trainable=trainable, autocast=False, **kwargs)
        # The configuration of a row has the same fields, and checks their values.
        EventModelConfig(
            width=float(width),
            embedding_tap=embedding_tap,
            activation=activation,
            initialisation=initialisation,
        )
        self.width = float(width)  # 1 and 1.0 have the same digest
        self.embedding_tap = embedding_tap
        self.activation = activation
        self.initialisation = initialisation
        self.seed = seed
        self.source = "random"

    def call(self, patches: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns the embeddings [..., embedding_size] of patches [..., 96, 64], in float32.

        Raises:
          ConfigError: The last axes are not (96, 64).
        """
        shape = patches.shape
        # The reshape below would take any axes of the same product.
        if shape.rank is None or not shape[-2:].is_compatible_with(PATCH):
            raise ConfigError(
                f"Patches have the shape {shape}.", "Give [..., 96, 64]: 96 frames of 64 mel bins."
            )
        # An axis whose size is not known yet is checked when the graph runs.
        patches = tf.ensure_shape(patches, [*shape[:-2], *PATCH])
        leading = tf.shape(patches)[:-2]
        images = tf.reshape(patches, [-1, *PATCH, 1])  # [n, 96, 64, 1]
        embedding = self._embed(images, training=training and self.trainable)  # [n, embedding_size]
        # Layers in half precision return half precision, which is not stored.
        embedding = tf.cast(embedding, tf.float32)
        embedding = tf.reshape(embedding, tf.concat([leading, [self.embedding_size]], 0))
        # The dynamic reshape loses the static sizes of the leading axes.
        embedding = tf.ensure_shape(embedding, [*shape[:-2], self.embedding_size])
        if not self.trainable:
            embedding = tf.stop_gradient(embedding)
        return embedding

    def built_whole(self) -> "EventModel":
        """Creates all variables that do not exist yet, and returns the layer."""
        if not self.built:
            self(tf.zeros([1, *PATCH]))
        return self

    def named_variables(self) -> dict[str, tf.Variable]:
        """Returns the variables of the network by their published names."""
        raise NotImplementedError

    def layers_upward(self) -> list[list[tf.Variable]]:
        """Returns the trainable variables of each layer, from the patches to the embedding.

        The list is empty if the model is frozen.
        """
        trainable = {id(variable) for variable in self.trainable_variables}
        layers = {}
        for name, variable in self.named_variables().items():
            if id(variable) in trainable:
                layers.setdefault(self.layer_of(name), []).append(variable)
        return list(layers.values())

    def layer_of(self, name: str) -> str:
        """Returns the name of the layer to which the variable with a published name belongs."""
        return name.rpartition("/")[0]

    # Weight files.

    @classmethod
    def from_hub(cls, handle_or_folder: str | Path, **options: Any) -> "EventModel":
        """Returns a layer with the weights of a TF-Hub module.

        A warning is logged if the module's graphs have another activation than the layer.

        Args:
          handle_or_folder: Handle of the module, which `assets.locate` finds or fetches, or its
            folder.
          **options: Arguments of the constructor.

        Raises:
          WeightsError: It cannot be fetched or read, or a variable is missing, unknown, not finite
            or has another shape.
        """
        # The assets are verified with event models, so they cannot be imported first.
        from crossask.events import assets

        path = assets.locate(str(handle_or_folder))
        if path.is_dir():
            arrays, activation = weights.from_saved_model(path)
        else:
            # A checkpoint or an .npz does not say the activation of the module.
            arrays = weights.read(path)
            activation = ""
        layer = cls(seed=None, **options)._load(arrays, str(handle_or_folder))
        layer._compare_activation(activation)
        return layer

    @classmethod
    def from_checkpoint(cls, path: str | Path, **options: Any) -> "EventModel":
        """Returns a layer with the weights of a checkpoint.

        Args:
          path: A TensorFlow 1 checkpoint (one file, or the prefix of several), or a weight file of
            Keras (.h5).
          **options: Arguments of the constructor.

        Raises:
          WeightsError: It cannot be read, or a variable is missing, unknown, not finite or has
            another shape.
        """
        arrays = weights.from_checkpoint(path)
        return cls(seed=None, **options)._load(arrays, str(path))

    @classmethod
    def from_npz(cls, path: str | Path, **options: Any) -> "EventModel":
        """Returns a layer with the weights of an .npz.

        If `save_npz` wrote the file, its record gives width, activation and embedding tap. Other
        values of width and activation are an error. Another embedding tap is not: the tap says how
        the embedding is read, and not what the weights are.

        Args:
          path: The file.
          **options: Arguments of the constructor; None is the same as no argument.

        Raises:
          WeightsError: It cannot be read, a variable is missing, unknown, not finite or has another
            shape, or the weights belong to another model, width, activation or record.
        """
        arrays, record = weights.variables_of_npz(path)
        cls._check_record(path, arrays, record, options)
        choices = {}
        for field in ("width", "activation", "embedding_tap"):
            if field in record:
                choices[field] = record[field]
        for field, value in options.items():
            if value is not None:
                choices[field] = value
        return cls(seed=None, **choices)._load(arrays, str(path))

    def save_npz(self, path: str | Path) -> None:
        """Writes all variables by their published names, and `record`."""
        arrays = self._arrays()
        arrays[weights.RECORD] = np.array(json.dumps(self.record))
        stored.write_arrays(path, arrays)

    @property
    def record(self) -> dict[str, Any]:
        """What the weights belong to, and their digest."""
        return {
            "name": self.model_name,
            "width": self.width,
            "embedding_tap": self.embedding_tap,
            "activation": self.activation,
            "source": self.source,
            "sha256": self.weights_digest(),
        }

    def weights_digest(self) -> str:
        """Returns hexadecimal digits that change with any weight, tap, activation or width."""
        choices = [self.model_name, self.width, self.embedding_tap, self.activation]
        return weights.digest(choices, self._arrays() | self._constants())

    @classmethod
    def _check_record(
        cls, path: str | Path, arrays: Arrays, record: Mapping[str, Any], options: Mapping[str, Any]
    ) -> None:
        """Raises WeightsError if the record of an .npz contradicts the class, options or arrays."""
        required = {
            "name": cls.model_name,
            "width": options.get("width"),
            "activation": options.get("activation"),
        }
        for field, value in required.items():
            if field in record and value is not None and record[field] != value:
                raise WeightsError(
                    f"{path} contains weights of {field} {record[field]!r}, but {value!r} is "
                    "required.",
                    f"Set event_model.{field} to match.",
                )
        # With a tap that uses the PCA, the digest covers arrays of another file.
        if "sha256" in record and record.get("embedding_tap") not in catalogue.PCA_TAPS:
            fields = ("name", "width", "embedding_tap", "activation")
            choices = [record.get(field) for field in fields]
            if weights.digest(choices, arrays) != record["sha256"]:
                raise WeightsError(
                    f"The weights in {path} are not those of its record.", "Write the file again."
                )

    def _load(self, arrays: Arrays, source: str) -> "EventModel":
        """Assigns `arrays` to the variables and returns the layer.

        Raises:
          WeightsError: A variable is missing, unknown, not finite or has another shape.
        """
        variables = self.built_whole().named_variables()
        self._check_arrays(arrays, variables, source)
        for name, variable in variables.items():
            variable.assign(arrays[name])
        self.source = source
        return self

    def _compare_activation(self, published: str) -> None:
        """Logs a warning if the module of the weights has another activation than the layer.

        It is no error, because rows have been trained with the other one.

        Args:
          published: The module's activation; "" if it is unknown.
        """
        if published and published != self.activation:
            notices.log_once(
                f"activation of {self.source}",
                logging.WARNING,
                "%s computes with %s, but event_model.activation is %s: the embeddings differ from "
                "the module's. Set event_model.activation=%s.",
                self.source,
                published,
                self.activation,
                published,
            )

    def _check_arrays(
        self, arrays: Arrays, variables: Mapping[str, tf.Variable], source: str
    ) -> None:
        """Raises WeightsError unless `arrays` fit the variables."""
        advice = f"Give the published weights of {self.model_name}, or set event_model.width."
        missing = {}
        for name, shape in _shapes(variables).items():
            if name not in arrays:
                missing[name] = shape
        unknown = {}
        for name in sorted(set(arrays) - {*variables, *self.optional_variables}):
            shape = tuple(arrays[name].shape)
            if not weights.is_training_state(name, shape):
                unknown[name] = shape
        if missing or unknown:
            if sorted(missing.values()) == sorted(unknown.values()):
                advice = (
                    "The shapes agree, only the names differ: save the variables by the expected "
                    "names, for example in an .npz."
                )
            raise WeightsError(
                f"In {source}, {len(missing)} of the {len(variables)} variables of "
                f"{self.model_name} are missing, and {len(unknown)} others are unknown.\n"
                f"Expected: {_listed(missing)}.\n"
                f"Found: {_listed(unknown)}.",
                advice,
            )
        for name, expected in _shapes(variables).items():
            found = tuple(arrays[name].shape)
            if found != expected:
                raise WeightsError(
                    f"{name!r} of {source} has shape {found}, not {expected}.", advice
                )
        for name in variables:
            if not np.issubdtype(arrays[name].dtype, np.number):
                raise WeightsError(f"{name!r} of {source} contains no numbers.", advice)
            if not np.isfinite(arrays[name]).all():
                raise WeightsError(
                    f"{name!r} of {source} contains values that are not finite.", advice
                )

    # Configuration.

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return super().get_config() | {
            "trainable": self.trainable,
            "width": self.width,
            "embedding_tap": self.embedding_tap,
            "activation": self.activation,
            "initialisation": self.initialisation,
            "seed": self.seed,
        }

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Creates the variables.

        Keras' own method marks the layer as built, and leaves its inner layers without variables.
        """
        self.built_whole()

    # For subclasses.

    def _embed(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        """Returns the embeddings of patches, [n, 96, 64, 1] -> [n, embedding_size]."""
        raise NotImplementedError

    def _constants(self) -> Arrays:
        """Returns arrays that change the embedding and are no variables."""
        return {}

    def _activate(self, x: tf.Tensor) -> tf.Tensor:
        """Returns the activation of `x`: ReLU or ReLU6."""
        if self.activation == "relu6":
            return tf.nn.relu6(x)
        return tf.nn.relu(x)

    def _initializer(self, number: int) -> str | keras.initializers.Initializer:
        """Returns the initialiser of a kernel; its number makes its seed differ from others."""
        if self.seed is None:
            return "zeros"
        return INITIALISERS[self.initialisation](seed=self.seed * 100 + number)

    def _wide(self, channels: int) -> int:
        """Returns a published channel count times `width`, at least 1."""
        return max(1, round(channels * self.width))

    def _arrays(self) -> Arrays:
        """Returns the values of all variables by their published names."""
        self.built_whole()
        return {name: variable.numpy() for name, variable in self.named_variables().items()}


def _shapes(variables: Mapping[str, tf.Variable]) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of variables by name."""
    return {name: tuple(variable.shape) for name, variable in variables.items()}


def _listed(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Returns the names and shapes of the first variables, and how many more there are."""
    if not shapes:
        return "none"
    return shortened_list([f"{name!r} {shape}" for name, shape in shapes.items()])
