"""Fine-tuning with more than one learning rate: how fast each layer of the event model learns, and from which step on.

The paper fine-tunes with one rate for the whole network, finds no gain over training from scratch, and names that one rate as
the cause (section 3.4). What is here takes it away: a factor for the event model and for each of its layers (Howard and Ruder
2018), a probe first (Kumar et al. 2022), layers that start one after another, a way back to the starting weights (Li et al. 2018).
"""

import math

import tensorflow as tf
import tf_keras as keras

from crossask.config import FineTuningConfig, TrainingConfig
from crossask.errors import ConfigError


@keras.saving.register_keras_serializable("crossask")
class LayerwiseAdam(keras.optimizers.Adam):
    """Adam (Kingma and Ba 2015) with a rate, a first step and a pull to the start for every variable.

    A variable i of rate r moves by r times what Adam would move it by. Before step `first_steps[i]` it stays as it is and
    gathers no moments: it then starts as a new Adam would. With `pulls[i]` = p a step of learning rate l takes the share l r p
    of the way back to the value it had when the optimiser was built, beside the gradient's step and outside of its moments, as
    in Loshchilov and Hutter (2019).

    Scaling gradients would do nothing: Adam divides by their own size.

    Args:
      learning_rate: a number or a schedule, of rate 1.
      rates, first_steps, pulls: one entry for each variable that `build` is given, in its order.
      **kwargs: Adam's.

    Raises:
      ConfigError: another number of variables (in `build`).
    """

    def __init__(self, learning_rate=0.001, rates=(), first_steps=(), pulls=(), name="LayerwiseAdam", **kwargs):
        super().__init__(learning_rate, name=name, **kwargs)
        self.rates, self.first_steps, self.pulls = [float(r) for r in rates], [int(s) for s in first_steps], [float(p) for p in pulls]

    def build(self, var_list):
        if not len(var_list) == len(self.rates) == len(self.first_steps) == len(self.pulls):
            raise ConfigError(
                f"LayerwiseAdam has {len(self.rates)} rates, {len(self.first_steps)} first steps and {len(self.pulls)} pulls for "
                f"{len(var_list)} variables.",
                "Give one of each for every variable.",
            )
        built = getattr(self, "_built", False)
        super().build(var_list)
        if not built:
            pulled = [variable for variable, pull in zip(var_list, self.pulls, strict=True) if pull]
            self._starts = [self.add_variable_from_reference(variable, "start", initial_value=variable) for variable in pulled]

    def update_step(self, gradient, variable):
        index = self._index_dict[self._var_key(variable)]
        m, v, first = self._momentums[index], self._velocities[index], self.first_steps[index]
        active = tf.cast(self.iterations >= first, variable.dtype)
        step = tf.cast(tf.maximum(self.iterations - first, 0) + 1, variable.dtype)
        rate = active * self.rates[index] * tf.cast(self.learning_rate, variable.dtype)
        m.assign_add(active * (1 - self.beta_1) * (gradient - m))
        v.assign_add(active * (1 - self.beta_2) * (tf.square(gradient) - v))
        unbiased = tf.sqrt(1 - tf.pow(self.beta_2, step)) / (1 - tf.pow(self.beta_1, step))
        change = rate * unbiased * m / (tf.sqrt(v) + self.epsilon)
        if self.pulls[index]:
            start = self._starts[sum(1 for pull in self.pulls[:index] if pull)]
            change += rate * self.pulls[index] * (variable - start)
        variable.assign_sub(change)

    def get_config(self):
        return super().get_config() | {"rates": self.rates, "first_steps": self.first_steps, "pulls": self.pulls}


def optimizer(model, training: TrainingConfig, tuning: FineTuningConfig, steps: int) -> keras.optimizers.Optimizer:
    """Adam as the row asks for it: one rate for all, or a `LayerwiseAdam` where `tuning` tells layers apart.

    Args:
      model: a built scene model, with the event model that it trains, if it trains one.
      steps: batches an epoch.
    """
    made = _adam(model, _learning_rate(training, steps), tuning, steps)
    # half floats underflow: the loss is scaled up, and gradients down again, by what they bear
    return keras.mixed_precision.LossScaleOptimizer(made) if training.precision == "mixed_float16" else made


def _adam(model, rate, tuning: FineTuningConfig, steps: int):
    event_model = getattr(model, "event_model", None)
    if tuning == FineTuningConfig() or event_model is None:
        return keras.optimizers.Adam(rate)
    plan = {}
    for height, layer in enumerate(reversed(event_model.layers_upward())):  # 0 is the topmost
        of_layer = (
            tuning.event_rate * tuning.layer_decay**height,
            steps * (tuning.probe_epochs + tuning.unfreeze_epochs * height),
            tuning.l2_to_start,
        )
        plan |= {id(variable): of_layer for variable in layer}
    chosen = [plan.get(id(variable), (1.0, 0, 0.0)) for variable in model.trainable_variables]
    return LayerwiseAdam(rate, *zip(*chosen, strict=True))


def embedding_drift(start, event_model, batches) -> float:
    """How far `event_model` moves embeddings from those of `start`, |e - e0| / |e0| over all patches; 0: not at all.

    Args:
      batches: ({"patches": [B, P, 96, 64]}, scene, weight); clips of weight 0 do not count.
    """

    @tf.function
    def lengths(patches, weight):
        before, after = (tf.cast(layer(patches, training=False), tf.float32) for layer in (start, event_model))
        weight = weight[:, tf.newaxis, tf.newaxis]
        return tf.reduce_sum(weight * tf.square(after - before)), tf.reduce_sum(weight * tf.square(before))

    apart, length = 0.0, 0.0
    for inputs, _, weight in batches:
        of_batch = lengths(inputs["patches"], weight)
        apart, length = apart + float(of_batch[0]), length + float(of_batch[1])
    return math.sqrt(apart / max(length, 1e-30))


def _learning_rate(training: TrainingConfig, steps: int):
    """A number, or the cosine schedule of Loshchilov and Hutter (2017) without restarts, after a linear rise."""
    if training.schedule == "constant":
        return training.learning_rate
    rising = training.warmup_epochs * steps
    falling = max(1, training.epochs * steps - rising)
    if not rising:
        return keras.optimizers.schedules.CosineDecay(training.learning_rate, falling)
    return keras.optimizers.schedules.CosineDecay(0.0, falling, warmup_target=training.learning_rate, warmup_steps=rising)
