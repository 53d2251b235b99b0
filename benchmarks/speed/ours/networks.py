"""Weights of the package's networks by the names that peers/networks.py gives them."""

import numpy as np
import tf_keras as keras

from crossask.events.layer import EventModel
from crossask.models.layers import Encoder
from crossask.models.scene_model import SceneModel
from speed.task import Arrays

# Axes of kernels from TensorFlow's order to PyTorch's.
CONVOLUTION_AXES = (3, 2, 0, 1)
DEPTHWISE_AXES = (2, 3, 0, 1)
# Name of a layer -> its parts that are dense layers.
DENSES = {
    "pooling": ("hidden", "score"),
    "event_pooling": ("hidden", "score"),
    "self_attention": ("query", "key", "value", "output_projection"),
    "cross_attention": ("query", "key", "value", "output_projection"),
}


def scene_weights(model: SceneModel) -> Arrays:
    """Returns the weights of FA, JRM or CMAM, with those of an event model inside."""
    arrays = _dense("scene", model.scene)
    for name in ("encoder", "event_encoder"):
        if hasattr(model, name):
            arrays |= _encoder(name, getattr(model, name))
    if hasattr(model, "widening"):
        arrays |= _dense("widening", model.widening)
    for name, parts in DENSES.items():
        if hasattr(model, name):
            for part in parts:
                arrays |= _dense(f"{name}.{part}", getattr(getattr(model, name), part))
            if hasattr(getattr(model, name), "layer_norm"):
                layer_norm = getattr(model, name).layer_norm
                arrays[f"{name}.layer_norm.weight"] = layer_norm.gamma.numpy()
                arrays[f"{name}.layer_norm.bias"] = layer_norm.beta.numpy()
    if model.event_model is not None:
        for name, value in vggish_weights(model.event_model).items():
            arrays[f"event_model.{name}"] = value
    return arrays


def vggish_weights(model: EventModel) -> Arrays:
    """Returns the weights of VGGish."""
    arrays = {}
    variables = list(model.named_variables().values())
    for number, (kernel, bias) in enumerate(zip(variables[::2], variables[1::2], strict=True)):
        axes = CONVOLUTION_AXES if kernel.shape.rank == 4 else (1, 0)
        arrays[f"layers.{number}.weight"] = kernel.numpy().transpose(axes)
        arrays[f"layers.{number}.bias"] = bias.numpy()
    return arrays


def yamnet_weights(model: EventModel, epsilon: float) -> Arrays:
    """Returns the weights of YAMNet, with its batch normalisations folded into the convolutions."""
    arrays = {}
    variables = list(model.named_variables().items())
    for number in range(len(variables) // 4):
        (name, kernel), *others = variables[4 * number : 4 * number + 4]
        beta, mean, variance = (variable.numpy() for _, variable in others)
        axes = DEPTHWISE_AXES if "depthwise" in name else CONVOLUTION_AXES
        scale = 1 / np.sqrt(variance + epsilon)
        weight = kernel.numpy().transpose(axes) * scale[:, None, None, None]
        arrays[f"layers.{number}.weight"] = weight.astype(np.float32)
        arrays[f"layers.{number}.bias"] = (beta - mean * scale).astype(np.float32)
    return arrays


def _encoder(name: str, encoder: Encoder) -> Arrays:
    arrays = {}
    for number, convolution in enumerate(encoder.convolutions):
        kernel = convolution.kernel.numpy().transpose(CONVOLUTION_AXES)
        arrays[f"{name}.convolutions.{number}.weight"] = kernel
    for number, batch_norm in enumerate(encoder.batch_norms):
        prefix = f"{name}.batch_norms.{number}"
        arrays[f"{prefix}.weight"] = batch_norm.gamma.numpy()
        arrays[f"{prefix}.bias"] = batch_norm.beta.numpy()
        arrays[f"{prefix}.running_mean"] = batch_norm.moving_mean.numpy()
        arrays[f"{prefix}.running_var"] = batch_norm.moving_variance.numpy()
    return arrays


def _dense(name: str, layer: keras.layers.Dense) -> Arrays:
    arrays = {f"{name}.weight": layer.kernel.numpy().T}
    if layer.use_bias:
        arrays[f"{name}.bias"] = layer.bias.numpy()
    return arrays
