"""The target of a training batch with a teacher: scenes, and the teacher's probabilities."""

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
