"""Fine-tuning with more than one learning rate: how fast each layer of the event model learns, and from which step on.

Weights can be averaged over steps or epochs beside it, in any row (Polyak and Juditsky 1992; Izmailov et al. 2018).

The paper fine-tunes with one rate for the whole network, finds no gain over training from scratch, and names that one rate as
the cause (section 3.4). What is here takes it away: a factor for the event model and for each of its layers (Howard and Ruder
2018), a probe first (Kumar et al. 2022), layers that start one after another, a way back to the starting weights (Li et al. 2018).
"""

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

    With `average_decay` d > 0 each variable has an average beside it: the variable itself until step `average_from`; then,
    every `average_every` steps, average <- k average + (1 - k) variable with k = min(d, (n - 1) / n) the n-th time. So d = 1
    is the mean of all (stochastic weight averaging), less than 1 an exponential average that starts as a mean.
    `swap_averages` puts the averages in the variables' place and back. A step that loss scaling skips counts as one.

    Args:
      learning_rate: a number or a schedule, of rate 1.
      rates, first_steps, pulls: one entry for each variable that `build` is given, in its order.
      average_decay, average_every, average_from: of the averages; 0: there are none.
      **kwargs: Adam's.

    Raises:
      ConfigError: another number of variables (in `build`).
    """

    def __init__(
        self,
        learning_rate=0.001,
        rates=(),
        first_steps=(),
        pulls=(),
        average_decay=0.0,
        average_every=1,
        average_from=0,
        name="LayerwiseAdam",
        **kwargs,
    ):
        super().__init__(learning_rate, name=name, **kwargs)
        self.average_decay, self.average_every, self.average_from = (
            float(average_decay),
            int(average_every),
            int(average_from),
        )
        self.rates, self.first_steps, self.pulls = (
            [float(r) for r in rates],
            [int(s) for s in first_steps],
            [float(p) for p in pulls],
        )

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
            self._starts = [
                self.add_variable_from_reference(variable, "start", initial_value=variable)
                for variable in pulled
            ]
            averaged = var_list if self.average_decay else ()
            self._averages = [
                self.add_variable_from_reference(variable, "average", initial_value=variable)
                for variable in averaged
            ]

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
        if self.average_decay:
            steps = self.iterations + 1 - self.average_from
            count = tf.cast(tf.maximum(steps // self.average_every, 1), variable.dtype)
            taken = 1 - tf.minimum(tf.cast(self.average_decay, variable.dtype), (count - 1) / count)
            due = tf.cast(steps % self.average_every == 0, variable.dtype)
            average = self._averages[index]
            average.assign_add(
                tf.where(steps <= 0, tf.ones_like(taken), due * taken) * (variable - average)
            )

    def swap_averages(self, variables):
        """Exchanges `variables`, as given to `build`, with their averages; without averages it does nothing."""
        for variable, average in zip(variables, self._averages, strict=False):
            value = tf.identity(variable)
            variable.assign(average)
            average.assign(value)

    def get_config(self):
        own = ("rates", "first_steps", "pulls", "average_decay", "average_every", "average_from")
        return super().get_config() | {name: getattr(self, name) for name in own}


def build_optimizer(
    model, training: TrainingConfig, tuning: FineTuningConfig, steps: int
) -> keras.optimizers.Optimizer:
    """Adam as the row asks for it: one rate for all, or a `LayerwiseAdam` where `tuning` tells layers apart.

    Args:
      model: a built scene model, with the event model that it trains, if it trains one.
      steps: batches an epoch.
    """
    averages = {}
    if training.average_decay:
        every = steps if training.average_every == "epoch" else 1
        averages = {"average_decay": training.average_decay, "average_every": every}
        averages["average_from"] = steps * (training.average_from - 1)
    made = _adam(model, _learning_rate(training, steps), tuning, steps, averages)
    # half floats underflow: the loss is scaled up, and gradients down again, by what they bear
    return (
        keras.mixed_precision.LossScaleOptimizer(made)
        if training.precision == "mixed_float16"
        else made
    )


def _adam(model, rate, tuning: FineTuningConfig, steps: int, averages: dict):
    event_model = getattr(model, "event_model", None)
    if (tuning == FineTuningConfig() or event_model is None) and not averages:
        return keras.optimizers.Adam(rate)
    plan = {}
    for height, layer in enumerate(
        reversed(event_model.layers_upward() if event_model else [])
    ):  # 0 is the topmost
        of_layer = (
            tuning.event_rate * tuning.layer_decay**height,
            steps * (tuning.probe_epochs + tuning.unfreeze_epochs * height),
            tuning.l2_to_start,
        )
        plan |= {id(variable): of_layer for variable in layer}
    chosen = [plan.get(id(variable), (1.0, 0, 0.0)) for variable in model.trainable_variables]
    return LayerwiseAdam(rate, *zip(*chosen, strict=True), **averages)


def learning_rates(model) -> dict[str, float]:
    """The rates of the optimiser's last step: "scene", and "event_1" (the lowest layer) to "event_<n>" where an event model is trained."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    rate, step = (
        float(keras.backend.get_value(optimizer.learning_rate)),
        int(optimizer.iterations.numpy()) - 1,
    )
    factors = {}
    if isinstance(optimizer, LayerwiseAdam):
        plan = zip(model.trainable_variables, optimizer.rates, optimizer.first_steps, strict=True)
        factors = {id(variable): factor * (step >= first) for variable, factor, first in plan}
    event_model = getattr(model, "event_model", None)
    layers = event_model.layers_upward() if event_model else []
    of_layers = {
        f"event_{number}": rate * factors.get(id(layer[0]), 1.0)
        for number, layer in enumerate(layers, start=1)
    }
    return {"scene": rate, **of_layers}


def _learning_rate(training: TrainingConfig, steps: int):
    """A number, or a cosine schedule of Loshchilov and Hutter (2017): with restarts, or without after a linear rise."""
    if training.schedule == "constant":
        return training.learning_rate
    if training.schedule == "warm_restarts":
        return keras.optimizers.schedules.CosineDecayRestarts(
            training.learning_rate, training.restart_epochs * steps, t_mul=2.0
        )
    rising = training.warmup_epochs * steps
    falling = max(1, training.epochs * steps - rising)
    if not rising:
        return keras.optimizers.schedules.CosineDecay(training.learning_rate, falling)
    return keras.optimizers.schedules.CosineDecay(
        0.0, falling, warmup_target=training.learning_rate, warmup_steps=rising
    )
