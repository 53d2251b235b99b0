"""Keeps AutoGraph from rewriting functions before TensorFlow traces them.

The functions of this package use `tf.cond` and `tf.while_loop` where control flow depends on
tensors, so there is nothing that AutoGraph has to translate. Its translation took a fifth of an
export and two seconds of each run, and left temporary files behind when a process was killed.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import tensorflow as tf

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def as_written(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Returns a function that TensorFlow traces as it is written, with everything that it calls.

    It is also a decorator, below `tf.function`. A function of `tf.data` is traced as the function
    is written that calls `map`, `filter` or `flat_map`.

    Args:
      function: The function. `if` and `while` on a tensor in it raise an error.
    """
    return tf.autograph.experimental.do_not_convert(function)
