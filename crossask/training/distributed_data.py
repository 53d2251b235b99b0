"""Training and validation data, divided among the devices and machines that train a model."""

from typing import Any

import tensorflow as tf

from crossask.features.batches import EvaluationData, Share, TrainingData
from crossask.training import devices, loop


def batches_for_fit(
    data: TrainingData, validation: EvaluationData, distribution: tf.distribute.Strategy
) -> loop.Batches:
    """Returns the data for `loop.fit`, distributed over devices and machines.

    Args:
      data: The training data.
      validation: The validation data, with the batch size of all devices together; there is none
        if it has no clips.
      distribution: The tf.distribute strategy.

    Raises:
      ConfigError: See `devices.distributed`.
    """
    batch_size = validation.batch_size

    def training_batches(epoch: int, step: int) -> Any:
        def of_machine(number: int, count: int) -> tf.data.Dataset:
            return data.batches(epoch, step, Share(number, count))

        return devices.distributed(distribution, of_machine, batch_size)

    def validation_batches(number: int, count: int) -> tf.data.Dataset:
        return validation.batches(Share(number, count))

    if not validation.clip_ids:
        return loop.Batches(training_batches, data.steps, validation=None)
    return loop.Batches(
        training=training_batches,
        steps=data.steps,
        validation=devices.distributed(distribution, validation_batches, batch_size),
        validation_steps=validation.steps,
        validation_mean_weight=validation.mean_weight,
    )
