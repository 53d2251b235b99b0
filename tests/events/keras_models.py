"""Keras models with the variables of an event model, as other programs save them."""

from collections.abc import Mapping

import numpy as np
import tf_keras as keras

from crossask.events.layer import EventModel


class Weights(keras.layers.Layer):
    """A layer with given weights, whose sum it adds to its input."""

    def __init__(self, weights: Mapping[str, np.ndarray], **options):
        super().__init__(**options)
        self.given = dict(weights)
        self.own = []

    def build(self, _shape):
        for name, value in self.given.items():
            initializer = keras.initializers.Constant(value)
            self.own.append(self.add_weight(name=name, shape=value.shape, initializer=initializer))
        self.built = True

    def call(self, x):
        for variable in self.own:
            x = x + keras.backend.sum(variable)
        return x


def model_of(layer: EventModel, **renamed: str) -> keras.Model:
    """Returns a Keras model whose variables have the values and published names of an event model.

    Args:
      layer: The event model.
      **renamed: Other names of Keras layers.
    """
    by_layer = {}
    for name, variable in layer.built_whole().named_variables().items():
        keras_layer, _, weight = name.rpartition("/")
        by_layer.setdefault(keras_layer, {})[weight] = variable.numpy()
    inputs = keras.Input([1])
    outputs = inputs
    for name, weights in by_layer.items():
        outputs = Weights(weights, name=renamed.get(name, name))(outputs)
    return keras.Model(inputs, outputs)
