"""The optimiser of a row: Adam, and for fine-tuning a learning rate for each layer.

The paper fine-tunes with one learning rate for the whole network, finds no gain over training from
scratch, and names that one rate as the cause (section 3.3). The remedies here: a factor for the
pre-trained part and for each of its layers (Howard and Ruder 2018), training the new layers alone
first (Kumar et al. 2022), layers that start one after another, and a pull to the starting weights
(Li et al. 2018).

In any row, weights can also be averaged over steps or epochs (Polyak and Juditsky 1992; Izmailov et
al. 2018).
"""

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from crossask.audio import notices
from crossask.config import FineTuningConfig, TrainingConfig
from crossask.errors import ConfigError
from crossask.models.scene_model import SceneModel

Schedule = keras.optimizers.schedules.LearningRateSchedule


@keras.saving.register_keras_serializable("crossask")
class FusedAdam(keras.optimizers.Adam):
    """Keras' Adam, whose update of a variable is one operation.

    Keras' own update is a dozen operations, each of which reads and writes whole variables.
    """

    def update_step(self, gradient: tf.Tensor | tf.IndexedSlices, variable: tf.Variable) -> None:
        """Updates one variable and its moments."""
        if isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable)
            return
        index = self._index_dict[self._var_key(variable)]
        step = tf.cast(self.iterations + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].handle,
            v=self._velocities[index].handle,
            beta1_power=tf.pow(tf.cast(self.beta_1, variable.dtype), step),
            beta2_power=tf.pow(tf.cast(self.beta_2, variable.dtype), step),
            lr=tf.cast(self.learning_rate, variable.dtype),
            beta1=tf.cast(self.beta_1, variable.dtype),
            beta2=tf.cast(self.beta_2, variable.dtype),
            epsilon=tf.cast(self.epsilon, variable.dtype),
            grad=gradient,
        )


@keras.saving.register_keras_serializable("crossask")
class LayerwiseAdam(keras.optimizers.Adam):
    """Adam (Kingma and Ba 2015) with a rate, a first step and a pull for every variable.

    A variable i of rate r moves by r times what Adam would move it by. (Scaling its gradient would
    have no effect, because Adam divides by the gradient's own size.) Before step `first_steps[i]`
    it stays as it is and collects no moments; it then starts as a new Adam would. With `pulls[i]` =
    p, a step of learning rate l moves it by the share l r p of the way back to its value when the
    optimiser was built, beside the gradient's step and outside of its moments, as in Loshchilov and
    Hutter (2019).

    With `average_decay` d > 0 each variable has an average. It is the variable itself until step
    `average_from`; then, every `average_every` steps, average <- k average + (1 - k) variable, with
    k = min(d, (n - 1) / n) the n-th time. So d = 1 is the mean of all (stochastic weight
    averaging), and a smaller d is an exponential average that starts as a mean. `swap_averages`
    exchanges variables and averages. A step that loss scaling skips counts as one.

    Args:
      learning_rate: A number or a schedule, for rate 1.
      rates: One rate for each variable that `build` is given, in its order.
      first_steps: One first step for each variable.
      pulls: One pull for each variable.
      average_decay: See above; 0 computes no averages.
      average_every: See above.
      average_from: See above.
      name: Name of the optimiser.
      **kwargs: Arguments of `keras.optimizers.Adam`.

    Raises:
      ConfigError: `build` is given another number of variables.
    """

    def __init__(  # noqa: PLR0913 (Keras restores an optimiser from these arguments)
        self,
        learning_rate: float | Schedule = 0.001,
        rates: Sequence[float] = (),
        first_steps: Sequence[int] = (),
        pulls: Sequence[float] = (),
        average_decay: float = 0.0,
        average_every: int = 1,
        average_from: int = 0,
        name: str = "LayerwiseAdam",
        **kwargs: Any,
    ):
        super().__init__(learning_rate, name=name, **kwargs)
        self.rates = [float(rate) for rate in rates]
        self.first_steps = [int(step) for step in first_steps]
        self.pulls = [float(pull) for pull in pulls]
        self.average_decay = float(average_decay)
        self.average_every = int(average_every)
        self.average_from = int(average_from)

    def build(self, var_list: Sequence[tf.Variable]) -> None:
        """Creates moments, starting values and averages of the variables."""
        self._check_lengths(len(var_list))
        was_built = getattr(self, "_built", False)
        super().build(var_list)
        if was_built:
            return
        # Starting values of the variables that have a pull.
        self._starts = []
        for variable, pull in zip(var_list, self.pulls, strict=True):
            if pull:
                self._starts.append(self._copy_of(variable, "start"))
        self._averages = []
        if self.average_decay:
            self._averages = [self._copy_of(variable, "average") for variable in var_list]

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Updates one variable, and its average."""
        index = self._index_dict[self._var_key(variable)]
        self._update_variable(index, gradient, variable)
        if self.average_decay:
            self._update_average(index, variable)

    def swap_averages(self, variables: Sequence[tf.Variable]) -> None:
        """Exchanges variables and their averages; does nothing without averages.

        Args:
          variables: The variables that `build` was given.
        """
        if not self.average_decay:
            return
        for variable, average in zip(variables, self._averages, strict=True):
            value = tf.identity(variable)
            variable.assign(average)
            average.assign(value)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the optimiser."""
        return super().get_config() | {
            "rates": self.rates,
            "first_steps": self.first_steps,
            "pulls": self.pulls,
            "average_decay": self.average_decay,
            "average_every": self.average_every,
            "average_from": self.average_from,
        }

    def _check_lengths(self, variables: int) -> None:
        lengths = {len(self.rates), len(self.first_steps), len(self.pulls)}
        if lengths != {variables}:
            raise ConfigError(
                f"LayerwiseAdam has {len(self.rates)} rates, {len(self.first_steps)} first steps "
                f"and {len(self.pulls)} pulls for {variables} variables.",
                "Give one of each for every variable.",
            )

    def _copy_of(self, variable: tf.Variable, name: str) -> tf.Variable:
        return self.add_variable_from_reference(variable, name, initial_value=variable)

    def _start_of(self, index: int) -> tf.Variable:
        """Returns the starting value of variable `index`, which has a pull."""
        pulled_before = sum(1 for pull in self.pulls[:index] if pull)
        return self._starts[pulled_before]

    def _update_variable(self, index: int, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Moves variable `index` and its moments; does nothing before its first step."""
        first_step = self.first_steps[index]
        # 0 before the variable's first step, and 1 from it on. A product costs less than a branch.
        active = tf.cast(self.iterations >= first_step, variable.dtype)
        step = tf.cast(tf.maximum(self.iterations - first_step, 0) + 1, variable.dtype)
        rate = active * self.rates[index] * tf.cast(self.learning_rate, variable.dtype)

        m = self._momentums[index]
        v = self._velocities[index]
        m.assign_add(active * (1 - self.beta_1) * (gradient - m))
        v.assign_add(active * (1 - self.beta_2) * (tf.square(gradient) - v))
        # Adam's correction of the moments for their start at zero.
        unbiased = tf.sqrt(1 - tf.pow(self.beta_2, step)) / (1 - tf.pow(self.beta_1, step))
        change = rate * unbiased * m / (tf.sqrt(v) + self.epsilon)
        if self.pulls[index]:
            change += rate * self.pulls[index] * (variable - self._start_of(index))
        variable.assign_sub(change)

    def _update_average(self, index: int, variable: tf.Variable) -> None:
        """Moves the average of variable `index` if an update is due; see the class."""
        steps = self.iterations + 1 - self.average_from
        # Number n of this update, from 1, if an update is due.
        number = tf.cast(tf.maximum(steps // self.average_every, 1), variable.dtype)
        decay = tf.cast(self.average_decay, variable.dtype)
        share = 1 - tf.minimum(decay, (number - 1) / number)
        is_due = tf.cast(steps % self.average_every == 0, variable.dtype)
        # Until `average_from`, the average is the variable itself.
        share = tf.where(steps <= 0, tf.ones_like(share), is_due * share)
        average = self._averages[index]
        average.assign_add(share * (variable - average))


def build_optimizer(
    model: keras.Model, training: TrainingConfig, tuning: FineTuningConfig, steps: int
) -> keras.optimizers.Optimizer:
    """Returns the row's optimiser.

    It is Adam with one learning rate, or a `LayerwiseAdam` where pre-trained layers differ or
    weights are averaged.

    Args:
      model: The built scene model, with the event model that it trains, if it trains one.
      training: Learning rate, schedule, precision and averages of the row.
      tuning: Learning rates of pre-trained layers.
      steps: Batches in an epoch.
    """
    rate = _learning_rate(training, steps)
    is_tuned = tuning != FineTuningConfig()
    has_tuned_layers = bool(_tuned_layers(model))
    if is_tuned and not has_tuned_layers:
        notices.log_once(
            "fine_tuning without layers",
            logging.WARNING,
            "The fields of fine_tuning have no effect on a row that trains neither an event model "
            "(strategy) nor a pre-trained trunk (model.trunk).",
        )
    is_plain = not (is_tuned and has_tuned_layers)
    if is_plain and not training.average_decay:
        optimizer = FusedAdam(rate)
    else:
        optimizer = _layerwise_adam(model, rate, training, tuning, steps)
    if training.precision == "mixed_float16":
        # Half-precision gradients underflow, so the loss is scaled up and the gradients down again.
        optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
    return optimizer


def learning_rates(model: keras.Model) -> dict[str, float]:
    """Returns the learning rates of the optimiser's last step by group of variables.

    The groups are "scene", for a trained event model "event_1" (its lowest layer) to "event_<n>",
    and for a pre-trained trunk that is trained "trunk_1" to "trunk_<n>".
    """
    optimizer = without_loss_scaling(model.optimizer)
    rate = float(keras.backend.get_value(optimizer.learning_rate))
    rates = {"scene": rate}
    for name, variables in _tuned_layers(model).items():
        rates[name] = rate * _factor(model, optimizer, variables[0])
    return rates


def without_loss_scaling(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Returns the optimiser inside of a `LossScaleOptimizer`, or the optimiser itself."""
    return getattr(optimizer, "inner_optimizer", optimizer)


@dataclasses.dataclass(frozen=True)
class _VariablePlan:
    """Arguments of `LayerwiseAdam` for one variable."""

    rate: float = 1.0
    first_step: int = 0
    pull: float = 0.0


def _layerwise_adam(
    model: keras.Model,
    rate: float | Schedule,
    training: TrainingConfig,
    tuning: FineTuningConfig,
    steps: int,
) -> LayerwiseAdam:
    """Returns the optimiser with the rates, first steps and pulls of `tuning`.

    Args:
      model: See `build_optimizer`.
      rate: Learning rate of layers that are not pre-trained.
      training: The averages are used.
      tuning: Learning rates of pre-trained layers.
      steps: Batches in an epoch.
    """
    # id of a variable -> its arguments. TensorFlow's variables cannot be keys themselves.
    plan = {}
    layers = list(_tuned_layers(model).values())
    waiting = 0
    # Height 0 is the topmost layer.
    for height, layer in enumerate(reversed(layers)):
        of_layer = _VariablePlan(
            rate=tuning.event_rate * tuning.layer_decay**height,
            first_step=steps * (tuning.probe_epochs + tuning.unfreeze_epochs * height),
            pull=tuning.l2_to_start,
        )
        for variable in layer:
            plan[id(variable)] = of_layer
        if of_layer.first_step >= steps * training.epochs:
            waiting += 1
    if waiting:
        notices.log_once(
            f"{waiting} layers start after {training.epochs} epochs",
            logging.WARNING,
            "%d of %d pre-trained layers would start to train after the last epoch, %d, and keep "
            "their weights. Lower fine_tuning.probe_epochs or fine_tuning.unfreeze_epochs, or "
            "raise training.epochs.",
            waiting,
            len(layers),
            training.epochs,
        )
    plans = [plan.get(id(variable), _VariablePlan()) for variable in model.trainable_variables]
    averages = {}
    if training.average_decay:
        averages = {
            "average_decay": training.average_decay,
            "average_every": steps if training.average_every == "epoch" else 1,
            "average_from": steps * (training.average_from - 1),
        }
    return LayerwiseAdam(
        rate,
        rates=[of_variable.rate for of_variable in plans],
        first_steps=[of_variable.first_step for of_variable in plans],
        pulls=[of_variable.pull for of_variable in plans],
        **averages,
    )


def _tuned_layers(model: keras.Model) -> dict[str, list[tf.Variable]]:
    """Returns the trained variables of the layers that `FineTuningConfig` concerns.

    They are those of the event model ("event_1", ...) and of a pre-trained trunk ("trunk_1", ...),
    from the lowest layer up.
    """
    layers = {}
    event_model = getattr(model, "event_model", None)
    if event_model is not None:
        for number, variables in enumerate(event_model.layers_upward(), start=1):
            layers[f"event_{number}"] = variables
    for number, variables in enumerate(_trunk_layers(model), start=1):
        layers[f"trunk_{number}"] = variables
    return layers


def _trunk_layers(model: keras.Model) -> list[list[tf.Variable]]:
    """Returns the trained variables of each layer of a pre-trained trunk, from the lowest up."""
    found = []
    if isinstance(model, SceneModel) and model.model_config.trunk:
        for layers in model.trunk_upward():
            variables = []
            for layer in layers:
                variables += layer.trainable_variables
            # The layer that narrows embeddings has no variables if it is not used.
            if variables:
                found.append(variables)
    return found


def _factor(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, variable: tf.Variable
) -> float:
    """Returns the factor on the learning rate of a variable in the optimiser's last step."""
    if not isinstance(optimizer, LayerwiseAdam):
        return 1.0
    last_step = int(optimizer.iterations.numpy()) - 1
    for index, other in enumerate(model.trainable_variables):
        if other is variable:
            has_started = last_step >= optimizer.first_steps[index]
            return optimizer.rates[index] if has_started else 0.0
    return 1.0


def _learning_rate(training: TrainingConfig, steps: int) -> float | Schedule:
    """Returns a number, or a cosine schedule (Loshchilov and Hutter 2017)."""
    schedules = keras.optimizers.schedules
    if training.schedule == "constant":
        return training.learning_rate
    if training.schedule == "warm_restarts":
        return schedules.CosineDecayRestarts(
            training.learning_rate, training.restart_epochs * steps, t_mul=2.0
        )
    warmup_steps = training.warmup_epochs * steps
    decay_steps = max(1, training.epochs * steps - warmup_steps)
    if not warmup_steps:
        return schedules.CosineDecay(training.learning_rate, decay_steps)
    return schedules.CosineDecay(
        0.0, decay_steps, warmup_target=training.learning_rate, warmup_steps=warmup_steps
    )
