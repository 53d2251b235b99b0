"""The base class of the scene models, and the parts of Table 2 that several of them have.

`SceneModel` standardises inputs, trains with a reproducible dropout, and is saved and loaded. The
functions below it build encoders and poolings from a `ModelConfig`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from crossask.config import ModelConfig, from_dict, to_dict
from crossask.errors import ConfigError, DataError
from crossask.models.layers import AttentionPooling, ConvEncoder, Encoder, pooling_redundancy
from crossask.models.residual import (
    ResidualEncoder,
    SplitBand,
    with_deltas,
    with_first_deltas,
)
from crossask.models.standardisation import Standardisation
from crossask.models.target import Target
from crossask.tracing import as_written

# Classes of the values of `ModelConfig.encoder`.
ENCODERS = {"conv": ConvEncoder, "residual": ResidualEncoder}
# Keeps the logarithm of a teacher's probability finite.
LEAST_PROBABILITY = 1e-12

Inputs = dict[str, tf.Tensor]
Attention = dict[str, tf.Tensor]


class SceneModel(keras.Model):
    """A network from features of clips to logits of scenes.

    Its input is a dictionary. Keys that the network does not read are ignored:

    * "log_mel" [B, T, 64, 2]: Log-mel (natural logarithm) that is not standardised.
    * "embedding" [B, P, E]: Embeddings of P patches.
    * "patches" [B, P, 96, 64]: Patches, which the event model turns into embeddings. They are
      ignored if "embedding" is there, too.

    Its output is float32 [B, classes].

    A subclass sets `reads`, creates its layers in `__init__` and defines `scene_embedding`. Its
    last layer, from the scene embedding to the logits, is `self.scene`.

    Attributes:
      reads: Inputs of the network, "log_mel", "embedding" or both.
      classes: Number of scenes.
      model_config: Configuration of the network.
      event_model: The layer from patches to embeddings, or None.
      distillation: (weight, temperature) of `distillation_loss`.
    """

    reads: tuple[str, ...] = ("log_mel",)

    def __init__(
        self,
        classes: int,
        config: ModelConfig | None = None,
        *,
        seed: int = 0,
        event_model: keras.layers.Layer | None = None,
        name: str | None = None,
        **statistics: Sequence[float] | np.ndarray | None,
    ):
        """Stores the configuration; a subclass creates the layers.

        Args:
          classes: Number of scenes.
          config: Configuration of the network; None is the paper's.
          seed: Seed of the dropout in training. Initial weights follow
            `keras.utils.set_random_seed` instead.
          event_model: A layer from patches to embeddings with an attribute `embedding_size`, or
            None. Its variables belong to the model; its own `trainable` says whether they are
            trained.
          name: Name of the model.
          **statistics: Statistics of the training fold, see `Standardisation`: `log_mel_mean`,
            `log_mel_deviation`, `embedding_mean`, `embedding_deviation`. Those of the embedding are
            used if `config.standardise_embedding` is true.

        Raises:
          ConfigError: The configuration, the statistics or the event model do not fit each other.
        """
        # Keras would cast the inputs to half precision before they are standardised. The layers
        # cast their inputs themselves.
        super().__init__(name=name, autocast=False)
        if event_model is not None and "embedding" not in self.reads:
            raise ConfigError(
                f"{type(self).__name__} reads no events, but an event model was given.",
                "Leave event_model out.",
            )
        self.classes = int(classes)
        self.model_config = ModelConfig() if config is None else config
        self.seed = int(seed)
        self.standardisation = Standardisation.of(**statistics)
        standardises = self.model_config.standardise_embedding and "embedding" in self.reads
        if standardises and self.standardisation.embedding_mean is None:
            raise ConfigError(
                "model.standardise_embedding is true, but no embedding_mean and "
                "embedding_deviation were given.",
                "Give the training fold's statistics, or set model.standardise_embedding=false.",
            )
        self.event_model = event_model
        self.distillation = (1.0, 1.0)

    # The network.

    def scene_embedding(
        self, inputs: Inputs, training: bool, seed: tf.Tensor | None
    ) -> tuple[tf.Tensor, Attention]:
        """Returns the input of the last layer, and the attention weights.

        Args:
          inputs: See the class.
          training: Whether the network is trained.
          seed: See `call`.

        Returns:
          Scene embedding [B, D], and attention weights by name as `explain` returns them.
        """
        raise NotImplementedError

    @as_written
    def scene_logits(
        self, inputs: Inputs, training: bool, seed: tf.Tensor | None
    ) -> tuple[tf.Tensor, Attention]:
        """Returns logits, float32 [B, classes], and attention weights; see `scene_embedding`."""
        x, attention = self.scene_embedding(inputs, training, seed)  # [B, D]
        return self.scene(x), attention

    def call(
        self, inputs: Inputs, training: bool = False, seed: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Returns logits, float32 [B, classes].

        Args:
          inputs: See the class.
          training: Whether the network is trained.
          seed: int32 [2], (seed of the run, step). Dropout is a pure function of it. Without a
            seed, training draws fresh random numbers.

        Raises:
          DataError: An input that the network reads is missing or has a wrong shape.
        """
        config = self.model_config
        logits, attention = self.scene_logits(inputs, training, seed)
        if not training and config.both_channel_orders and "log_mel" in self.reads:
            logits = self._averaged_with_exchanged_channels(logits, inputs, seed)
        if training and config.pooling_penalty:
            self.add_loss(config.pooling_penalty * _redundancy(attention))
        return logits

    def explain(self, inputs: Inputs) -> tuple[tf.Tensor, Attention]:
        """Returns logits and attention weights in inference.

        Channels are not exchanged, whatever `ModelConfig.both_channel_orders` says.

        Args:
          inputs: See the class.

        Returns:
          Logits, float32 [B, classes], and attention weights by name. "pooling" is [B, heads,
          steps] over the time steps that are pooled; JRM adds "event_pooling". Networks with
          attention blocks add "self" [B, heads, P, P] and "cross" [B, heads, query steps, key
          steps]. The sum over the last axis is 1.
        """
        return self.scene_logits(inputs, training=False, seed=None)

    def _averaged_with_exchanged_channels(
        self, logits: tf.Tensor, inputs: Inputs, seed: tf.Tensor | None
    ) -> tf.Tensor:
        """Returns the logarithm of the mean probability with left and right in both orders."""
        exchanged_inputs = {**inputs, "log_mel": inputs["log_mel"][..., ::-1]}
        exchanged, _ = self.scene_logits(exchanged_inputs, training=False, seed=seed)
        both = tf.stack([tf.nn.log_softmax(logits), tf.nn.log_softmax(exchanged)])
        return tf.reduce_logsumexp(both, axis=0) - tf.math.log(2.0)  # [B, classes]

    # Inputs of the network, for subclasses.

    def read_log_mel(self, inputs: Inputs) -> tf.Tensor:
        """Returns the standardised log-mel [B, T, 64, 2]; [B, T, 64, 6] with `config.deltas`.

        With `config.first_deltas` and the log-mel of a mono signal, [B, T, 64, 1], it is [B, T, 64,
        2].

        Raises:
          DataError: There is no log-mel, or the statistics have another width.
        """
        self._check_inputs(inputs, ("log_mel",))
        log_mel = tf.cast(inputs["log_mel"], tf.float32)  # [B, T, 64, 2]
        log_mel = self.standardisation.apply("log_mel", log_mel)
        if self.model_config.deltas:
            log_mel = with_deltas(log_mel)  # [B, T, 64, 6]
        elif self.model_config.first_deltas:
            log_mel = with_first_deltas(log_mel)  # [B, T, 64, 2]
        return log_mel

    def read_embedding(self, inputs: Inputs, training: bool) -> tf.Tensor:
        """Returns the embedding [B, P, E], as given or computed from patches.

        It is standardised if the configuration says so.

        Raises:
          DataError: There is neither an embedding nor, with an event model, patches; or the
            statistics have another width.
        """
        alternatives = ["embedding"]
        if self.event_model is not None:
            alternatives.append("patches")
        self._check_inputs(inputs, alternatives)
        if "embedding" in inputs:
            embedding = inputs["embedding"]
        else:
            embedding = self.event_model(inputs["patches"], training=training)
        embedding = tf.cast(embedding, tf.float32)  # [B, P, E]
        if self.model_config.standardise_embedding:
            embedding = self.standardisation.apply("embedding", embedding)
        return embedding

    def _check_inputs(self, inputs: Inputs, names: Sequence[str]) -> None:
        """Raises DataError unless `inputs` is a dictionary with one of `names`."""
        keys = []
        found = f"a {type(inputs).__name__}"
        if isinstance(inputs, dict):
            keys = sorted(inputs)
            found = f"the keys {', '.join(keys) or '(none)'}"
        if any(name in keys for name in names):
            return
        fix = f"Give a dictionary with {' or '.join(repr(name) for name in names)}"
        if "patches" in keys and "patches" not in names:
            fix += ", or build the model with an event_model that turns patches into embeddings"
        raise DataError(
            f"{type(self).__name__} needs {' or '.join(names)}, but was given {found}.", f"{fix}."
        )

    # Training.

    @property
    def trainable(self) -> bool:
        """Whether the layers are trained; event model and frozen trunk have flags of their own."""
        return keras.Model.trainable.fget(self)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        # Keras sets the flag of every layer inside, also when it loads a SavedModel. A frozen event
        # model would become trainable.
        event_model = getattr(self, "event_model", None)
        if event_model is None:
            keras.Model.trainable.fset(self, value)
        else:
            is_trained = event_model.trainable
            keras.Model.trainable.fset(self, value)
            event_model.trainable = is_trained
        self.freeze_trunk()

    def trunk_upward(self) -> list[list[keras.layers.Layer]]:
        """Returns the layers from the embedding to the scene embedding, the lowest first.

        Layers of one list learn at one rate. Networks whose trunk cannot be pre-trained return no
        list.
        """
        return []

    def freeze_trunk(self) -> None:
        """Excludes the trunk from training if the configuration says so.

        Its batch normalisation then uses its moving statistics, in training, too.
        """
        if self.model_config.trunk_training == "frozen":
            for layers in self.trunk_upward():
                for layer in layers:
                    layer.trainable = False

    def train_step(self, data: tuple) -> dict[str, tf.Tensor]:
        """Trains on one batch; `fit` calls this method.

        It differs from Keras' own method in three points: dropout is a pure function of
        (self.seed, step), so that a resumed run drops the same features; a `Target` adds the term
        of its teacher to the loss; the lengths of the gradients are among the results.

        Args:
          data: (inputs, target) or (inputs, target, weight [B]).
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if not self.built:
            # The first call decides what a SavedModel's signature takes: the inputs, but no seed.
            self(x, training=False)
        run_seed = tf.constant(self.seed, tf.int32)
        step = tf.cast(self.optimizer.iterations, tf.int32)
        seed = tf.stack([run_seed, step])  # [2]
        with tf.GradientTape() as tape:
            logits = self(x, training=True, seed=seed)  # [B, classes]
            loss = self.compute_loss(x, y, logits, sample_weight)
        gradients = self.optimizer.compute_gradients(loss, self.trainable_variables, tape=tape)
        # Otherwise, `apply_gradients` would add up the gradients of all devices, and the lengths
        # below would be those of one device. A LossScaleOptimizer cannot do it, the one inside can.
        optimizer = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        gradients = optimizer.aggregate_gradients(gradients)
        self.optimizer.apply_gradients(gradients, skip_gradients_aggregation=True)
        scene, _ = _split_target(y)
        metrics = self.compute_metrics(x, scene, logits, sample_weight)
        return metrics | self._gradient_norms(gradients)

    def compute_loss(
        self,
        x: Inputs | None = None,
        y: tf.Tensor | Target | None = None,
        y_pred: tf.Tensor | None = None,
        sample_weight: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Returns this device's share of the loss, and adds the loss to its mean over the epoch.

        Args:
          x: See `train_step`.
          y: The target; a `Target` adds the term of its teacher.
          y_pred: Logits [B, classes].
          sample_weight: Weights [B].
        """
        scene, teacher = _split_target(y)
        if teacher is None:
            return super().compute_loss(x, scene, y_pred, sample_weight)
        # Keras treats the teacher's term as a penalty of the network: it is a part of the loss that
        # is shown, and is divided by the number of devices, whose losses are added up.
        terms = [*self.losses, self.distillation_loss(teacher, y_pred)]
        return self.compiled_loss(scene, y_pred, sample_weight, regularization_losses=terms)

    def distillation_loss(self, teacher: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Returns the teacher's term of the loss (Hinton, Vinyals and Dean 2015).

        It is w t^2 times the cross-entropy of the student's softmax(logits / t) with the teacher's
        at temperature t, where (w, t) is `self.distillation`.

        Args:
          teacher: Probabilities of the teacher [B, classes].
          logits: Logits of the student [B, classes].
        """
        weight, temperature = self.distillation
        teacher_logits = tf.math.log(tf.maximum(teacher, LEAST_PROBABILITY))
        softened = tf.nn.softmax(teacher_logits / temperature)  # [B, classes]
        cross_entropy = tf.nn.softmax_cross_entropy_with_logits(softened, logits / temperature)
        return weight * temperature**2 * tf.reduce_mean(cross_entropy)

    def _gradient_norms(
        self, gradients: Sequence[tuple[tf.Tensor | None, tf.Variable]]
    ) -> dict[str, tf.Tensor]:
        """Returns the lengths of the gradients: of the scene part and of the events.

        Args:
          gradients: Gradients and their variables, summed over all devices.
        """
        event_variables = set()
        if self.event_model is not None:
            event_variables = {id(variable) for variable in self.event_model.trainable_variables}
        scene_gradients = []
        event_gradients = []
        for gradient, variable in gradients:
            if gradient is not None:
                if id(variable) in event_variables:
                    event_gradients.append(gradient)
                else:
                    scene_gradients.append(gradient)
        norms = {"gradient_norm_scene": tf.linalg.global_norm(scene_gradients)}
        if event_variables:
            norms["gradient_norm_event"] = tf.linalg.global_norm(event_gradients)
        return norms

    # Saving and loading.

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor as plain values."""
        event_model = None
        if self.event_model is not None:
            event_model = keras.saving.serialize_keras_object(self.event_model)
        return {
            "name": self.name,
            "classes": self.classes,
            "config": to_dict(self.model_config),
            "seed": self.seed,
            **self.standardisation.get_config(),
            "event_model": event_model,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "SceneModel":
        """Returns the model that `get_config` describes, with new weights."""
        config = dict(config)
        if isinstance(config.get("config"), dict):
            config["config"] = from_dict(ModelConfig, config["config"])
        if isinstance(config.get("event_model"), dict):
            config["event_model"] = keras.saving.deserialize_keras_object(
                config["event_model"], custom_objects
            )
        return cls(**config)

    def get_build_config(self) -> dict[str, Any] | None:
        """Returns names and shapes of the inputs.

        A ".keras" file needs them to create the weights before it fills them.
        """
        if not self.built or self.save_spec() is None:
            return None
        arguments, _ = self.save_spec()
        inputs = arguments[0]
        return {"inputs": {name: spec.shape.as_list() for name, spec in inputs.items()}}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Creates the weights for the inputs that `get_build_config` describes."""
        inputs = {}
        for name, shape in config["inputs"].items():
            # Axes of any size, such as the batch, are None.
            inputs[name] = tf.zeros([1 if size is None else size for size in shape])
        self(inputs)


def scene_encoder(config: ModelConfig) -> keras.layers.Layer:
    """Returns the encoder of the log-mel, [B, T, F, C] -> [B, T', features]."""
    if config.split_band:
        lower = _encoder(config, "lower")
        upper = _encoder(config, "upper")
        return SplitBand(lower, upper, name="encoder")
    return _encoder(config, "encoder")


def scene_pooling(config: ModelConfig, name: str = "pooling") -> AttentionPooling:
    """Returns the attention-based pooling of Table 2."""
    return AttentionPooling(
        config.pooling_heads, config.pooling_dim, config.pooling_activation, name=name
    )


def event_narrowing(config: ModelConfig) -> keras.layers.Dense:
    """Returns the linear layer from embeddings of another width to `config.event_width`.

    It has no variables if no such embedding passes through it; see `event_image`.
    """
    return keras.layers.Dense(config.event_width, name="narrowing")


def event_image(embedding: tf.Tensor, narrowing: keras.layers.Dense, encoder: Encoder) -> tf.Tensor:
    """Returns embeddings [B, P, E] as an image for an encoder, [B, P, event_width, 1].

    Args:
      embedding: Embeddings of P patches.
      narrowing: The layer of `event_narrowing`; it is used if E is not `event_width`.
      encoder: The encoder that reads the image.

    Raises:
      DataError: `encoder` was built with embeddings that were narrowed and these need no narrowing,
        or the other way round.
    """
    width = embedding.shape[-1]
    needs_narrowing = width != narrowing.units
    if encoder.built and narrowing.built != needs_narrowing:
        built_with = f"{narrowing.units} wide"
        if narrowing.built:
            built_with = f"of another width than {narrowing.units}"
        raise DataError(
            f"The embedding is {width} wide; this model was built with embeddings {built_with}.",
            "Give the embeddings of its own event model.",
        )
    if needs_narrowing:
        embedding = narrowing(embedding)  # [B, P, event_width]
    return tf.expand_dims(embedding, -1)


def _encoder(config: ModelConfig, name: str) -> Encoder:
    """Returns the encoder that `config.encoder` names."""
    encoder_class = ENCODERS[config.encoder]
    return encoder_class(
        config.encoder_channels,
        config.encoder_pools,
        config.batch_norm_momentum,
        config.batch_norm_epsilon,
        name=name,
    )


def _redundancy(attention: Attention) -> tf.Tensor:
    """Returns the summed redundancy of all attention poolings, a scalar."""
    redundancies = []
    for name, weights in attention.items():
        if name.endswith("pooling"):
            redundancies.append(pooling_redundancy(weights))
    return tf.add_n(redundancies)


def _split_target(target: tf.Tensor | Target) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Returns the scenes and the teacher's probabilities; None without a teacher."""
    if isinstance(target, Target):
        return target.scene, target.teacher
    return target, None
