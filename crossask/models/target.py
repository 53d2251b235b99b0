"""What a training batch is compared with when there is a teacher."""

from typing import NamedTuple

import tensorflow as tf


class Target(NamedTuple):
    """The target of a batch with a teacher; without one, the target is the scene alone.

    Attributes:
      scene: Scenes [B], or probabilities [B, classes].
      teacher: The teacher's probabilities [B, classes].
    """

    scene: tf.Tensor
    teacher: tf.Tensor
