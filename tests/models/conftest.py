"""The paper's equations in NumPy float64, written from its text, and small clips to run the models
on.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.signal import correlate2d


def softmax(x, axis):
    x = np.exp(x - x.max(axis=axis, keepdims=True))
    return x / x.sum(axis=axis, keepdims=True)


def layer_norm(x, gamma, beta, epsilon):
    centred = x - x.mean(-1, keepdims=True)
    return gamma * centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon) + beta


def attention_block(h, other, wq, wk, wv, wo, gamma, beta, heads, d, epsilon):
    """Equations 1 to 6 for one clip: h [Tq, D] asks, other [Tk, C] answers; (O [Tq, D], weights [N,
    Tq, Tk]).
    """
    outputs, weights = attention_heads(h, other, wq, wk, wv, heads, d)
    return layer_norm(np.concatenate(outputs, axis=1) @ wo + h, gamma, beta, epsilon), weights


def attention_heads(h, other, wq, wk, wv, heads, d):
    """Equations 1 to 4 for one clip: the outputs O_i [Tq, D / N] as a list, weights [N, Tq, Tk]."""
    q, k, v = h @ wq, other @ wk, other @ wv
    width = q.shape[1] // heads
    outputs = []
    weights = []
    for i in range(heads):
        part = slice(i * width, (i + 1) * width)
        a = softmax(q[:, part] @ k[:, part].T / np.sqrt(d), axis=1)
        outputs.append(a @ v[:, part])
        weights.append(a)
    return outputs, np.array(weights)


def attention_pooling(x, w1, w2, activation):
    """x [T, C] -> ([heads * C], weights [heads, T])."""
    a = softmax(activation(x @ w1) @ w2, axis=0)
    return np.concatenate([(a[:, head, None] * x).sum(0) for head in range(a.shape[1])]), a.T


def positions(length, width):
    table = np.zeros((length, width))
    for position in range(length):
        for column in range(width):
            angle = position / 10000 ** (2 * (column // 2) / width)
            table[position, column] = np.sin(angle) if column % 2 == 0 else np.cos(angle)
    return table


def conv_block(x, kernel, gamma, beta, mean, variance, epsilon, pool):
    """x [T, F, C]: correlation 3x3 with zeros around, batch norm in inference, ReLU, max pooling
    without padding.
    """
    out = np.stack(
        [
            sum(correlate2d(x[:, :, c], kernel[:, :, c, o], mode="same") for c in range(x.shape[2]))
            for o in range(kernel.shape[3])
        ],
        axis=-1,
    )
    out = np.maximum(gamma * (out - mean) / np.sqrt(variance + epsilon) + beta, 0)
    frames, bins = out.shape[0] // pool[0], out.shape[1] // pool[1]
    pooled = np.zeros((frames, bins, out.shape[2]))
    for t in range(frames):
        for f in range(bins):
            pooled[t, f] = out[
                t * pool[0] : (t + 1) * pool[0], f * pool[1] : (f + 1) * pool[1]
            ].max((0, 1))
    return pooled


@pytest.fixture(scope="session")
def paper():
    return SimpleNamespace(
        attention_block=attention_block,
        attention_heads=attention_heads,
        attention_pooling=attention_pooling,
        positions=positions,
        conv_block=conv_block,
        layer_norm=layer_norm,
    )


@pytest.fixture(scope="session")
def mean_of_patch():
    """A small class of event models: the mean spectrum of a patch, made 12 wide."""
    import tensorflow as tf
    import tf_keras as keras

    @keras.saving.register_keras_serializable("crossask_test")
    class MeanOfPatch(keras.layers.Layer):
        embedding_size = 12

        def build(self, shape):
            self.kernel = self.add_weight(name="kernel", shape=(64, 12))

        def call(self, patches, training=False):
            return tf.reduce_mean(patches, -2) @ self.kernel

    return MeanOfPatch


@pytest.fixture
def narrow():
    """The paper's model at a width that trains in seconds; the encoder's output is 64 wide."""
    from crossask.config import ModelConfig

    return ModelConfig(
        encoder_channels=(4, 8),
        encoder_pools=((4, 4), (4, 2)),
        pooling_dim=16,
        pooling_heads=2,
        attention_dim=64,
        attention_heads=4,
        vem_pools=((2, 2), (1, 2)),
        event_encoder_channels=(4, 8),
        event_encoder_pools=((2, 2), (1, 2)),
        event_width=12,
    )


@pytest.fixture
def clips():
    """Eight clips of three scenes: inputs of both kinds and labels; no clip resembles another of
    its scene.
    """
    random = np.random.default_rng(3)
    inputs = {
        "log_mel": random.normal(-4, 2, (8, 96, 64, 2)).astype(np.float32),
        "embedding": random.normal(0, 1, (8, 10, 12)).astype(np.float32),
    }
    return inputs, np.arange(8) % 3


@pytest.fixture(scope="session")
def scramble():
    """A function that gives every weight of a layer or model a random value (variances stay
    positive).
    """

    def run(model, seed=0):
        random = np.random.default_rng(seed)
        for variable in model.weights:
            value = random.normal(0, 0.4, variable.shape)
            variable.assign(np.abs(value) + 0.5 if "variance" in variable.name else value)

    return run
