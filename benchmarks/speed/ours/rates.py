"""What a core can do: products of large matrices by TensorFlow, and copies by NumPy."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from speed.task import Task

COPY_BYTES = 2**28


def create(options: Mapping[str, Any]) -> Task:
    """Returns the task; `options` has "work": "float32", "bfloat16" or "copy", and "size"."""
    if options["work"] == "copy":
        return _copy()
    size = options["size"]
    values = np.random.default_rng(0).normal(size=(size, size))
    a = tf.cast(tf.constant(values), options["work"])
    product = tf.function(lambda: tf.matmul(a, a))

    def repeat() -> int:
        product().numpy()
        return 1

    return Task(repeat, operations=2 * size**3)


def _copy() -> Task:
    """Returns the task whose unit is a byte that is read and written."""
    source = np.ones(COPY_BYTES, np.uint8)
    target = np.zeros_like(source)

    def repeat() -> int:
        np.copyto(target, source)
        return COPY_BYTES

    return Task(repeat)
