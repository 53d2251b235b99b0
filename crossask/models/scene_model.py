"""What every scene model shares: constants of the training fold, a training step with a seed, saving and reloading."""

import numpy as np
import tensorflow as tf
import tf_keras as keras

from crossask.config import ModelConfig, from_dict, to_dict
from crossask.errors import ConfigError, DataError
from crossask.models.layers import AttentionPooling, ConvEncoder, check_choice, pooling_redundancy
from crossask.models.residual import ResidualEncoder, SplitBand, with_deltas
from crossask.models.target import Target

ENCODERS = {"conv": ConvEncoder, "residual": ResidualEncoder}


class SceneModel(keras.Model):
    """From features of clips to logits, one a scene: a dictionary of [B, ...] -> float32 [B, classes].

    A subclass names what it reads in `reads` and defines `scene_logits`. Inputs, by name:
      "log_mel": [B, T, 64, 2], natural logarithm, not standardised.
      "embedding": [B, P, E], or with an event model "patches": [B, P, 96, 64]; the embedding wins if both are there.
    Other keys are ignored.

    Args:
      classes: number of scenes.
      config: a crossask.config.ModelConfig; None is the paper's.
      log_mel_mean, log_mel_deviation: 64 floats each, the training fold's statistics, or None to leave the log-mel as
        it is. They are constants of the model, saved with it, and no weights.
      embedding_mean, embedding_deviation: one float for each of E, used when config.standardise_embedding asks.
      seed: of the dropout in training, together with the optimiser's step; initial weights follow
        keras.utils.set_random_seed instead.
      event_model: a layer patches -> embedding with an attribute `embedding_size`, or None. Its variables belong to
        the model; whether they are trained is the layer's own affair.

    Raises:
      ConfigError: a choice or constants that do not fit.
      DataError: inputs that lack what the model reads (on call).
    """

    reads: tuple[str, ...] = ("log_mel",)

    def __init__(
        self,
        classes: int,
        config: ModelConfig | None = None,
        *,
        log_mel_mean=None,
        log_mel_deviation=None,
        embedding_mean=None,
        embedding_deviation=None,
        seed: int = 0,
        event_model=None,
        **kwargs,
    ):
        # constants must be applied before any cast to half precision: layers cast for themselves
        super().__init__(**{**kwargs, "autocast": False})
        if event_model is not None and "embedding" not in self.reads:
            raise ConfigError(
                f"{type(self).__name__} reads no events, but an event model was given.",
                "Leave event_model out.",
            )
        self.classes = int(classes)
        self.model_config = ModelConfig() if config is None else config
        self.seed = int(seed)
        self._constants = {
            "log_mel": _constants("log_mel", log_mel_mean, log_mel_deviation),
            "embedding": _constants("embedding", embedding_mean, embedding_deviation),
        }
        if (
            self.model_config.standardise_embedding
            and "embedding" in self.reads
            and embedding_mean is None
        ):
            raise ConfigError(
                "model.standardise_embedding is true, but no embedding_mean and embedding_deviation were given.",
                "Give the training fold's statistics, or set model.standardise_embedding=false.",
            )
        self.event_model = event_model
        self.distillation = (
            1.0,
            1.0,
        )  # weight and temperature of a teacher's term; heeded where batches hold "teacher"

    @property
    def trainable(self) -> bool:
        """Whether the scene part is trained; the event model's own flag decides about the event model."""
        return keras.Model.trainable.fget(self)

    @trainable.setter
    def trainable(self, value: bool):
        # Keras would set every layer inside, also on loading a SavedModel: a frozen event model came back trainable
        event_model = getattr(self, "event_model", None)
        own = event_model.trainable if event_model is not None else None
        keras.Model.trainable.fset(self, value)
        if event_model is not None:
            event_model.trainable = own

    def scene_embedding(self, inputs, training, seed):
        """(what the last layer reads [B, D], {name: attention weights float32}); `seed` is int32 [2] or None."""
        raise NotImplementedError

    def scene_logits(self, inputs, training, seed):
        """(logits float32 [B, classes], {name: attention weights float32}); `seed` is int32 [2] or None."""
        x, attention = self.scene_embedding(inputs, training, seed)  # [B, D]
        return self.scene(x), attention  # [B, classes]

    def call(self, inputs, training=False, seed=None):
        """Logits, float32 [B, classes].

        Args:
          inputs: dictionary of float tensors, see the class.
          seed: int32 [2], (experiment seed, step): dropout is a pure function of it. Without one, training draws fresh
            random numbers.
        """
        logits, attention = self.scene_logits(inputs, training, seed)
        if not training and self.model_config.both_channel_orders and "log_mel" in self.reads:
            exchanged, _ = self.scene_logits(
                {**inputs, "log_mel": inputs["log_mel"][..., ::-1]}, training, seed
            )
            both = tf.stack([tf.nn.log_softmax(logits), tf.nn.log_softmax(exchanged)])
            logits = tf.reduce_logsumexp(both, axis=0) - tf.math.log(2.0)  # [B, classes]
        if training and self.model_config.pooling_penalty:
            redundancy = [
                pooling_redundancy(weights)
                for name, weights in attention.items()
                if name.endswith("pooling")
            ]
            self.add_loss(self.model_config.pooling_penalty * tf.add_n(redundancy))
        return logits

    def explain(self, inputs):
        """What the model looked at, in inference: (logits [B, classes], attention weights by name), heard once, as it is.

        "pooling": [B, heads, steps], weights over the time steps that are pooled; models with attention blocks add
        "self": [B, heads, P, P] and "cross": [B, heads, query steps, key steps]. Each row of weights sums to 1.
        """
        return self.scene_logits(inputs, training=False, seed=None)

    def train_step(self, data):
        """One step of `fit`: Keras' own, with the seed (self.seed, step) for dropout; weights of clips are heeded."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        teacher = None
        if isinstance(y, Target):
            y, teacher = y
        if not self.built:
            # the first call fixes what a SavedModel's signature takes: the inputs alone, not the seed
            self(x, training=False)
        seed = tf.stack(
            [tf.constant(self.seed, tf.int32), tf.cast(self.optimizer.iterations, tf.int32)]
        )  # [2]
        with tf.GradientTape() as tape:
            logits = self(x, training=True, seed=seed)  # [B, classes]
            loss = self.compute_loss(x, y, logits, sample_weight)
            if teacher is not None:
                loss += self.distillation_loss(teacher, logits)
        gradients = self.optimizer.compute_gradients(loss, self.trainable_variables, tape=tape)
        self.optimizer.apply_gradients(gradients)
        return self.compute_metrics(x, y, logits, sample_weight) | self._gradient_norms(gradients)

    def distillation_loss(self, teacher, logits):
        """Returns w t^2 times the cross-entropy of the student's softmax(logits / t) with the
        teacher's at temperature t (Hinton, Vinyals and Dean 2015); `teacher` are its probabilities
        [B, classes]."""
        weight, temperature = self.distillation
        teacher_logits = tf.math.log(tf.maximum(teacher, 1e-12))
        softened = tf.nn.softmax(teacher_logits / temperature)  # [B, classes]
        apart = tf.nn.softmax_cross_entropy_with_logits(softened, logits / temperature)
        # The compiled loss is this device's share of the whole batch's loss, and so is this.
        devices = tf.distribute.get_strategy().num_replicas_in_sync
        return weight * temperature**2 * tf.reduce_mean(apart) / devices

    def _gradient_norms(self, gradients) -> dict:
        """Lengths of this device's gradient of the scene part and of a trained event model, at this step."""
        events = (
            {id(v) for v in self.event_model.trainable_variables}
            if self.event_model is not None
            else set()
        )
        sides = {
            "gradient_norm_scene": [
                g for g, v in gradients if id(v) not in events and g is not None
            ]
        }
        if events:
            sides["gradient_norm_event"] = [
                g for g, v in gradients if id(v) in events and g is not None
            ]
        return {name: tf.linalg.global_norm(side) for name, side in sides.items()}

    def _log_mel(self, inputs):
        """The standardised log-mel, [B, T, 64, 2]; with config.deltas [B, T, 64, 6]."""
        self._check(inputs, ("log_mel",))
        log_mel = tf.cast(inputs["log_mel"], tf.float32)  # [B, T, 64, 2]
        log_mel = _standardise("log_mel", log_mel, self._constants["log_mel"], axis=2)
        return with_deltas(log_mel) if self.model_config.deltas else log_mel

    def _embedding(self, inputs, training):
        """The embedding as given, or of the patches by the event model, [B, P, E]."""
        self._check(
            inputs, ("embedding",) if self.event_model is None else ("embedding", "patches")
        )
        if "embedding" in inputs:
            embedding = inputs["embedding"]
        else:
            embedding = self.event_model(inputs["patches"], training=training)  # [B, P, E]
        embedding = tf.cast(embedding, tf.float32)
        if self.model_config.standardise_embedding:
            embedding = _standardise("embedding", embedding, self._constants["embedding"], axis=2)
        return embedding

    def _check(self, inputs, any_of: tuple[str, ...]):
        given = sorted(inputs) if isinstance(inputs, dict) else None
        if given is not None and any(name in inputs for name in any_of):
            return
        got = (
            f"a {type(inputs).__name__}"
            if given is None
            else f"the keys {', '.join(given) or '(none)'}"
        )
        fix = f"Give a dictionary with {' or '.join(repr(name) for name in any_of)}"
        if given and "patches" in given and "patches" not in any_of:
            fix += ", or build the model with an event_model that turns patches into embeddings"
        raise DataError(
            f"{type(self).__name__} needs {' or '.join(any_of)}, but was given {got}.", fix + "."
        )

    def get_config(self):
        config = {
            "name": self.name,
            "classes": self.classes,
            "config": to_dict(self.model_config),
            "seed": self.seed,
        }
        for name, (mean, deviation) in self._constants.items():
            config |= {f"{name}_mean": mean, f"{name}_deviation": deviation}
        config["event_model"] = (
            None
            if self.event_model is None
            else keras.saving.serialize_keras_object(self.event_model)
        )
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """The model that `get_config` describes, with new weights."""
        config = dict(config)
        if isinstance(config.get("config"), dict):
            config["config"] = from_dict(ModelConfig, config["config"])
        if isinstance(config.get("event_model"), dict):
            config["event_model"] = keras.saving.deserialize_keras_object(
                config["event_model"], custom_objects
            )
        return cls(**config)

    def get_build_config(self):
        """Names and shapes of the inputs; what a `.keras` file needs to create the weights before it fills them."""
        if not self.built or self.save_spec() is None:
            return None
        (inputs, *_), _ = self.save_spec()
        return {"inputs": {name: spec.shape.as_list() for name, spec in inputs.items()}}

    def build_from_config(self, config):
        """Creates the weights for the inputs that `get_build_config` describes."""
        self(
            {
                name: tf.zeros([size or 1 for size in shape])
                for name, shape in config["inputs"].items()
            }
        )


def scene_encoder(config: ModelConfig) -> keras.layers.Layer:
    """The encoder of the log-mel as `config` describes it, [B, T, F, C] -> [B, T', features]."""
    check_choice("encoder", config.encoder, tuple(ENCODERS))
    shape = (
        config.encoder_channels,
        config.encoder_pools,
        config.batch_norm_momentum,
        config.batch_norm_epsilon,
    )

    def encoder(name):
        return ENCODERS[config.encoder](*shape, name=name)

    return (
        SplitBand(encoder("lower"), encoder("upper"), name="encoder")
        if config.split_band
        else encoder("encoder")
    )


def scene_pooling(config: ModelConfig, name: str = "pooling") -> AttentionPooling:
    """The attention pooling as `config` describes it."""
    return AttentionPooling(
        config.pooling_heads, config.pooling_dim, config.pooling_activation, name=name
    )


def event_narrowing(config: ModelConfig):
    """The linear layer to config.event_width that embeddings of another width pass; without variables where none does."""
    return keras.layers.Dense(config.event_width, name="narrowing")


def event_image(embedding, narrowing, encoder):
    """Embeddings [B, P, E] as an image for `encoder`, [B, P, event_width, 1].

    Raises:
      DataError: the encoder learnt from embeddings that were narrowed, and these need it not, or the other way round.
    """
    width = embedding.shape[-1]
    if encoder.built and narrowing.built != (width != narrowing.units):
        learnt = (
            f"of another width than {narrowing.units}"
            if narrowing.built
            else f"{narrowing.units} wide"
        )
        raise DataError(
            f"The embedding is {width} wide; this model learnt from embeddings {learnt}.",
            "Give those of its own event model.",
        )
    if width != narrowing.units:
        embedding = narrowing(embedding)  # [B, P, event_width]
    return tf.expand_dims(embedding, -1)


def _constants(name: str, mean, deviation) -> tuple[list[float] | None, list[float] | None]:
    """Mean and deviation as plain lists, checked."""
    if mean is None and deviation is None:
        return None, None
    if mean is None or deviation is None:
        raise ConfigError(
            f"Only one of {name}_mean and {name}_deviation was given.", "Give both or neither."
        )
    mean, deviation = (
        np.asarray(mean, np.float64).ravel(),
        np.asarray(deviation, np.float64).ravel(),
    )
    if len(mean) != len(deviation) or not (
        np.isfinite(mean).all() and np.isfinite(deviation).all() and (deviation > 0).all()
    ):
        raise ConfigError(
            f"{name}_mean has {len(mean)} values and {name}_deviation has {len(deviation)}, the least {deviation.min(initial=np.inf)}.",
            "Give as many of each, all finite and the deviations above 0.",
        )
    return mean.tolist(), deviation.tolist()


def _standardise(name: str, x, constants, axis: int):
    """(x - mean) / deviation along `axis`; x itself without constants."""
    mean, deviation = constants
    if mean is None:
        return x
    if x.shape[axis] != len(mean):
        raise DataError(
            f"{name} is {x.shape[axis]} wide, and {name}_mean has {len(mean)} values.",
            "Use the statistics of the same features.",
        )
    shape = [1] * x.shape.rank
    shape[axis] = len(mean)
    return (x - tf.reshape(tf.constant(mean, tf.float32), shape)) / tf.reshape(
        tf.constant(deviation, tf.float32), shape
    )
