"""How large a row is: parameters and multiply-accumulates, counted on the networks as they are built."""

import dataclasses
import functools
import math

import tensorflow as tf

from crossask import config, events, models
from crossask.audio import clip_features
from crossask.errors import CrossaskError
from crossask.features.cache import kinds_of


@dataclasses.dataclass(frozen=True)
class Size:
    """Of one network: all parameters (moving statistics too), those trained, multiply-accumulates for one clip."""

    parameters: int
    trained: int
    multiply_accumulates: int


@dataclasses.dataclass(frozen=True)
class Description:
    """One row: its scene model, its event model (None where it reads no events), and the shapes of what is cached."""

    scene: Size
    event: Size | None
    shapes: dict[str, tuple[int, ...]]


def describe(experiment: config.Experiment, classes: int) -> Description:
    """Builds the row's networks with random weights for one clip; reads no weights and no recordings."""
    event_config, features = experiment.event_model, experiment.features
    front_end = events.front_end_of(experiment)
    waveform = tf.TensorSpec(
        [1, round(features.clip_seconds * features.sample_rate_hz), 2], tf.float32
    )
    made = tf.function(
        lambda wave: clip_features.clip_features(
            wave, features.sample_rate_hz, features, front_end, event_config.pad_end
        )
    ).get_concrete_function(waveform)
    shapes = {kind: tuple(value.shape[1:]) for kind, value in made.structured_outputs.items()}
    event = None
    if experiment.event_input:
        # the tap and the weights change no size
        plain = dataclasses.replace(event_config, weights="", embedding_tap="linear")
        event, width = _event_size(plain, experiment.event_input == "patches", shapes["patches"])
        shapes["embedding"] = (shapes["patches"][0], width)
    model = models.build(
        experiment.system,
        classes,
        dataclasses.replace(experiment.model, standardise_embedding=False),
    )
    read = {kind: shapes[kind] for kind in type(model).reads}
    model({kind: tf.zeros([1, *shape]) for kind, shape in read.items()})
    scene = _size(
        model, {kind: tf.TensorSpec([1, *shape], tf.float32) for kind, shape in read.items()}
    )
    return Description(scene, event, {kind: shapes[kind] for kind in kinds_of(experiment)})


def multiply_accumulates(function, spec) -> int:
    """Multiplications of `function`'s convolutions and matrix products for inputs of `spec`, whose sizes are all known.

    Biases, norms, activations and softmaxes are left out, as is usual.

    Raises:
      CrossaskError: a product of unknown size.
    """
    return sum(
        _products(op)
        for op in tf.function(function).get_concrete_function(spec).graph.get_operations()
    )


def _products(op) -> int:
    if op.type not in ("Conv2D", "DepthwiseConv2dNative", "MatMul", "BatchMatMulV2"):
        return 0
    output, first, second = op.outputs[0].shape, op.inputs[0].shape, op.inputs[1].shape
    if not output.is_fully_defined():
        raise CrossaskError(f"The size of {op.name} is not known.", "Please report this.")
    if op.type == "Conv2D":
        inner = math.prod(second[:3])
    elif op.type == "DepthwiseConv2dNative":
        inner = math.prod(second[:2])
    else:
        turned = op.get_attr("transpose_a" if op.type == "MatMul" else "adj_x")
        inner = first[-2 if turned else -1]
    return math.prod(output) * inner


@functools.cache  # the rows of a table share their event model, which is the largest part of them
def _event_size(
    event_config: config.EventModelConfig, trainable: bool, patches: tuple[int, ...]
) -> tuple[Size, int]:
    """(size, embedding width) of an event model for one clip's patches."""
    layer = events.build(event_config, trainable=trainable)
    return _size(layer, tf.TensorSpec([1, *patches], tf.float32)), layer.embedding_size


def _size(layer, spec) -> Size:
    def count(variables):
        return sum(math.prod(variable.shape) for variable in variables)

    macs = multiply_accumulates(lambda inputs: layer(inputs, training=False), spec)
    return Size(count(layer.weights), count(layer.trainable_weights), macs)
