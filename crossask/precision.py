"""The precision of Keras layers, and what the processor computes it with."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf
import tf_keras as keras

from crossask import processors

# Instructions of x86 that multiply bfloat16; each is enough.
BFLOAT16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")


@contextlib.contextmanager
def policy(name: str) -> Iterator[None]:
    """Sets the Keras policy within the block; layers made there keep it.

    Args:
      name: "float32", "mixed_bfloat16" or "mixed_float16"; weights are float32 in all of them.
    """
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(name)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


def lacks_bfloat16() -> bool:
    """Returns whether the processor is known to have no instructions for bfloat16.

    Only Linux lists the instructions of x86 processors; others are not known.
    """
    if not processors.CPU_INFO.is_file():
        return False
    instructions = processors.cpu_info("flags")
    if instructions is None:
        return False
    return not set(instructions.split()) & set(BFLOAT16_INSTRUCTIONS)


def slowness(field: str, name: str) -> str:
    """Returns a sentence for the log if the processor computes slowly in a precision, else "".

    Args:
      field: The field of a row that sets the precision.
      name: Its value, see `policy`.
    """
    if name != "mixed_bfloat16" or tf.config.list_physical_devices("GPU") or not lacks_bfloat16():
        return ""
    instructions = " or ".join(BFLOAT16_INSTRUCTIONS)
    return (
        f"This processor has no instructions for bfloat16 ({instructions}), so {field}={name} is "
        "slower than float32 here."
    )
