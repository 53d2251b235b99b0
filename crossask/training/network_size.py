"""The size of a row's networks: parameters and multiply-accumulates of the built networks."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable
from typing import Any

import tensorflow as tf

from crossask import events, models
from crossask.audio import clip_features
from crossask.config import EventModelConfig, Experiment, FeatureConfig, ModelConfig, catalogue
from crossask.errors import CrossaskError
from crossask.tracing import as_written

COUNTED_OPERATIONS = ("Conv2D", "DepthwiseConv2dNative", "MatMul", "BatchMatMulV2")


@dataclasses.dataclass(frozen=True)
class Size:
    """The size of one network.

    Attributes:
      parameters: All parameters, with moving statistics.
      trained: Parameters that are trained.
      multiply_accumulates: Multiply-accumulates for one clip; None for a model from outside, whose
        operations are not counted.
    """

    parameters: int
    trained: int
    multiply_accumulates: int | None


@dataclasses.dataclass(frozen=True)
class RowSize:
    """The size of a row's networks and features.

    Attributes:
      scene: Size of the scene model.
      event: Size of the event model; None for a row that reads no events, or embeddings from a
        file.
      shapes: Kind of feature -> shape of one clip's feature, for the kinds that the row reads.
    """

    scene: Size
    event: Size | None
    shapes: dict[str, tuple[int, ...]]

    @property
    def training_cost(self) -> int:
        """Multiply-accumulates for one clip of the networks that are trained or run in training."""
        if self.event is None or "patches" not in self.shapes:
            return self.scene.multiply_accumulates
        return self.scene.multiply_accumulates + self.event.multiply_accumulates


def count_parameters(variables: Iterable[tf.Variable]) -> int:
    """Returns the number of values in some variables."""
    return sum(math.prod(variable.shape) for variable in variables)


def row_size(experiment: Experiment, classes: int) -> RowSize:
    """Returns the size of a row's networks, built with random weights.

    Args:
      experiment: The row; neither its weights nor recordings are read, except for an event model
        from outside.
      classes: Number of scenes.
    """
    shapes = dict(_feature_shapes(experiment.features, experiment.event_model_read))
    event = None
    if experiment.reads_events:
        event, shapes["embedding"] = _event_size(experiment, shapes.get("patches", ()))
    # Standardisation has no parameters, and would need statistics.
    plain = dataclasses.replace(experiment.model, standardise_embedding=False)
    scene = _scene_size(experiment.system, classes, plain, tuple(shapes.items()))
    read = {kind: shapes[kind] for kind in experiment.feature_kinds}
    return RowSize(scene=scene, event=event, shapes=read)


def multiply_accumulates(function: Callable, spec: Any) -> int:
    """Returns the multiplications in a function's convolutions and matrix products.

    Biases, normalisations, activations and softmaxes are not counted, as is usual.

    Args:
      function: The function.
      spec: tf.TensorSpec of its input, or a structure of them, with known shapes.

    Raises:
      CrossaskError: The shape of a product is unknown.
    """
    graph = tf.function(as_written(function)).get_concrete_function(spec).graph
    return sum(_multiplications(operation) for operation in graph.get_operations())


# Cached like the sizes below, because the front-end is traced for it.
@functools.cache
def _feature_shapes(
    features: FeatureConfig, event_model: EventModelConfig | None
) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Returns the kinds of features of one clip with their shapes.

    They are the log-mel and, with an event model, its patches.
    """
    samples = round(features.clip_seconds * features.sample_rate_hz)

    @tf.function(input_signature=[tf.TensorSpec([1, samples, 2], tf.float32)])
    @as_written
    def compute(waveform: tf.Tensor) -> dict[str, tf.Tensor]:
        return clip_features.clip_features(
            waveform,
            features.sample_rate_hz,
            features,
            event_model,
        )

    outputs = compute.get_concrete_function().structured_outputs
    return tuple((kind, tuple(value.shape[1:])) for kind, value in outputs.items())


def _multiplications(operation: tf.Operation) -> int:
    """Returns the multiplications of one operation; 0 if it is none of COUNTED_OPERATIONS."""
    if operation.type not in COUNTED_OPERATIONS:
        return 0
    output = operation.outputs[0].shape
    first = operation.inputs[0].shape
    second = operation.inputs[1].shape
    if not output.is_fully_defined():
        raise CrossaskError(f"The shape of {operation.name} is unknown.", "Please report this.")
    # Each value of the output is a sum of this many products.
    if operation.type == "Conv2D":
        summed = math.prod(second[:3])
    elif operation.type == "DepthwiseConv2dNative":
        summed = math.prod(second[:2])
    else:
        attribute = "transpose_a" if operation.type == "MatMul" else "adj_x"
        is_transposed = operation.get_attr(attribute)
        summed = first[-2] if is_transposed else first[-1]
    return math.prod(output) * summed


def _event_size(
    experiment: Experiment, patches: tuple[int, ...]
) -> tuple[Size | None, tuple[int, ...]]:
    """Returns the size of the event model, and the shape of one clip's embeddings.

    Args:
      experiment: The row.
      patches: Shape of what the event model reads of one clip; () if it reads a file.
    """
    event_config = experiment.event_model
    if catalogue.event_model(event_config.name).is_trainable:
        # Embedding tap and weights do not change the size.
        plain = dataclasses.replace(event_config, weights="", embedding_tap="linear")
        size, width = _layer_size(plain, experiment.trains_events, patches)
        return size, (patches[0], width)
    if events.are_from_file(experiment):
        return None, events.build(event_config).shape
    return _outside_size(event_config, *patches)


# Cached because a grid needs the size of each row for the plan and for the progress bar.
@functools.cache
def _scene_size(
    system: str, classes: int, plain: ModelConfig, shapes: tuple[tuple[str, tuple[int, ...]], ...]
) -> Size:
    """Returns the size of a scene model for one clip's features."""
    model = models.build(system, classes, plain)
    shape_of = dict(shapes)
    specs = {kind: tf.TensorSpec([1, *shape_of[kind]], tf.float32) for kind in type(model).reads}
    # The first call creates the variables.
    model({kind: tf.zeros(spec.shape) for kind, spec in specs.items()})
    return _size(model, specs)


# Cached because the rows of a table share their event model, which is their largest part.
@functools.cache
def _layer_size(
    event_config: EventModelConfig, trainable: bool, patches: tuple[int, ...]
) -> tuple[Size, int]:
    """Returns the size and the embedding width of an event model for one clip's patches."""
    layer = events.build(event_config, trainable=trainable)
    return _size(layer, tf.TensorSpec([1, *patches], tf.float32)), layer.embedding_size


@functools.cache
def _outside_size(event_config: EventModelConfig, samples: int) -> tuple[Size, tuple[int, int]]:
    """Returns the size of a model from outside, and the shape of the embeddings of a waveform."""
    model = events.build(event_config)
    size = Size(count_parameters(model.weights), trained=0, multiply_accumulates=None)
    return size, model.embedding_shape(samples)


def _size(layer: Any, spec: Any) -> Size:
    """Returns the size of a layer or model for an input of the given shapes."""

    def infer(inputs: Any) -> tf.Tensor:
        return layer(inputs, training=False)

    return Size(
        parameters=count_parameters(layer.weights),
        trained=count_parameters(layer.trainable_weights),
        multiply_accumulates=multiply_accumulates(infer, spec),
    )
