"""Each layer against the paper's equations in NumPy (conftest.py)."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from crossask.errors import ConfigError, DataError
from crossask.models.layers import (
    AttentionPooling,
    ConvEncoder,
    MultiHeadAttention,
    fold_in,
    sinusoidal_positions,
)
from crossask.models.residual import ResidualEncoder, SplitBand

RANDOM = np.random.default_rng(7)


def doubles(variables):
    return [np.float64(variable.numpy()) for variable in variables]


def test_the_encoder_is_correlation_batch_norm_relu_and_max_pooling_frequency_major(
    paper, scramble
):
    x = RANDOM.normal(size=(2, 13, 10, 2))
    encoder = ConvEncoder((3, 5), ((2, 2), (3, 1)), 0.9, 1e-3)
    encoder(x.astype(np.float32))
    scramble(encoder)
    got = encoder(x.astype(np.float32)).numpy()
    for clip, result in zip(x, got, strict=True):
        for convolution, norm, pool in zip(
            encoder.convolutions, encoder.batch_norms, encoder.pools, strict=True
        ):
            moments = doubles([norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance])
            clip = paper.conv_block(clip, *doubles([convolution.kernel]), *moments, 1e-3, pool)
        assert clip.shape == (2, 5, 5)  # 13 frames // 2 // 3, 10 bins // 2, 5 channels
        joined = [[clip[t, f, c] for f in range(5) for c in range(5)] for t in range(2)]
        np.testing.assert_allclose(result, joined, atol=1e-5)


def test_the_encoders_batch_norm_uses_the_batch_in_training_and_moves_by_the_momentum():
    x = RANDOM.normal(2, 3, size=(4, 6, 6, 1)).astype(np.float32)
    encoder = ConvEncoder((2,), ((1, 1),), batch_norm_momentum=0.9, batch_norm_epsilon=1e-3)
    encoder(x)
    convolved = encoder.convolutions[0](x).numpy().astype(np.float64)
    encoder(x, training=True)
    np.testing.assert_allclose(
        encoder.batch_norms[0].moving_mean.numpy(), 0.1 * convolved.mean((0, 1, 2)), rtol=1e-4
    )
    moved = encoder.batch_norms[0].moving_mean.numpy()
    encoder(x)
    np.testing.assert_array_equal(encoder.batch_norms[0].moving_mean.numpy(), moved)


def test_the_encoder_takes_clips_of_any_length():
    encoder = ConvEncoder((2, 3), ((2, 2), (2, 2)))
    encode = tf.function(encoder, input_signature=[tf.TensorSpec([None, None, 16, 2])])
    x = RANDOM.normal(size=(1, 21, 16, 2)).astype(np.float32)
    assert encode(x).shape == (1, 5, 12)
    np.testing.assert_allclose(encode(x), encoder(x), atol=1e-6)


def test_the_encoder_names_clips_that_its_pools_leave_nothing_of():
    with pytest.raises(DataError, match=r"got 3 frames.*at least 4"):
        ConvEncoder((2, 3), ((2, 2), (2, 2)))(np.zeros((1, 3, 16, 2), np.float32))


def test_pools_and_channels_of_different_number_are_an_error():
    with pytest.raises(ConfigError, match="2 numbers of channels and 1 pools"):
        ConvEncoder((2, 3), ((2, 2),))


@pytest.mark.parametrize(
    ("name", "activation"), [("relu", lambda x: np.maximum(x, 0)), ("tanh", np.tanh)]
)
def test_pooling_is_a_softmax_over_time_and_every_head_weighs_all_features(
    paper, scramble, name, activation
):
    x = RANDOM.normal(size=(3, 11, 6))
    pooling = AttentionPooling(heads=4, dim=5, activation=name)
    pooling(x.astype(np.float32))
    scramble(pooling)
    pooled, attention = pooling(x.astype(np.float32), return_attention=True)
    assert pooled.shape == (3, 24)
    for i, clip in enumerate(x):
        wanted, weights = paper.attention_pooling(
            clip, *doubles([pooling.hidden.kernel, pooling.score.kernel]), activation
        )
        np.testing.assert_allclose(pooled[i], wanted, atol=1e-5)
        np.testing.assert_allclose(attention[i], weights, atol=1e-6)
    assert len(pooling.weights) == 2  # no biases


@pytest.mark.parametrize(("scale", "d"), [("head_dim", 3), ("query_dim", 12)])
@pytest.mark.parametrize("self_attention", [True, False])
def test_the_attention_block_follows_equations_1_to_6(paper, scramble, scale, d, self_attention):
    query = RANDOM.normal(size=(2, 5, 12))
    key_value = query if self_attention else RANDOM.normal(size=(2, 7, 9))
    block = MultiHeadAttention(heads=4, dim=12, scale=scale)
    block(query.astype(np.float32), key_value.astype(np.float32))
    scramble(block)
    got, attention = block(
        query.astype(np.float32), key_value.astype(np.float32), return_attention=True
    )
    projections = doubles(
        [block.query.kernel, block.key.kernel, block.value.kernel, block.output_projection.kernel]
    )
    norm = doubles([block.layer_norm.gamma, block.layer_norm.beta])
    for i in range(2):
        wanted, weights = paper.attention_block(
            query[i], key_value[i], *projections, *norm, heads=4, d=d, epsilon=1e-6
        )
        np.testing.assert_allclose(got[i], wanted, atol=2e-5)
        np.testing.assert_allclose(attention[i], weights, atol=1e-6)
    assert len(block.weights) == 6  # four matrices without bias, one layer norm


def test_equation_5_word_by_word_has_one_matrix_that_each_head_passes(paper, scramble):
    h = RANDOM.normal(size=(1, 5, 12)).astype(np.float32)
    block = MultiHeadAttention(heads=4, dim=12, projection="each_head")
    block(h, h)
    scramble(block)
    q, k, v, o = doubles(
        [block.query.kernel, block.key.kernel, block.value.kernel, block.output_projection.kernel]
    )
    assert o.shape == (3, 3)
    outputs, _ = paper.attention_heads(np.float64(h[0]), np.float64(h[0]), q, k, v, heads=4, d=3)
    concatenated = np.concatenate([output @ o for output in outputs], axis=1)
    gamma, beta = doubles([block.layer_norm.gamma, block.layer_norm.beta])
    wanted = paper.layer_norm(concatenated + h[0], gamma, beta, 1e-6)
    np.testing.assert_allclose(block(h, h)[0], wanted, atol=2e-5)


def test_a_block_without_equation_6_ends_with_equation_5(paper, scramble):
    query = RANDOM.normal(size=(1, 5, 6)).astype(np.float32)
    key_value = RANDOM.normal(size=(1, 7, 9)).astype(np.float32)
    block = MultiHeadAttention(heads=4, dim=12, dropout=0.5, layer_norm_epsilon=None)
    block(query, key_value)
    scramble(block)
    q, k, v, o = doubles(
        [block.query.kernel, block.key.kernel, block.value.kernel, block.output_projection.kernel]
    )
    outputs, _ = paper.attention_heads(
        np.float64(query[0]), np.float64(key_value[0]), q, k, v, heads=4, d=3
    )
    wanted = np.concatenate(outputs, axis=1) @ o
    np.testing.assert_allclose(block(query, key_value)[0], wanted, atol=2e-5)
    # The dropout is a part of equation 6.
    np.testing.assert_allclose(block(query, key_value, training=True)[0], wanted, atol=2e-5)
    assert len(block.weights) == 4


def test_dropout_falls_on_the_blocks_output_before_the_residual_and_at_its_rate(paper, scramble):
    rate = 0.3
    h = RANDOM.normal(size=(1, 256, 4)).astype(np.float32)
    block = MultiHeadAttention(heads=2, dim=4, dropout=rate)
    block(h, h)
    scramble(block)
    block.layer_norm.gamma.assign(tf.ones(4))
    block.layer_norm.beta.assign(tf.zeros(4))
    projections = doubles(
        [block.query.kernel, block.key.kernel, block.value.kernel, block.output_projection.kernel]
    )
    output = _block_output(h[0], projections)
    got = block(h, h, training=True, seed=tf.constant([3, 4])).numpy()[0]
    dropped = []
    for row in range(256):
        candidates = {
            mask: paper.layer_norm(output[row] * mask / (1 - rate) + h[0, row], 1, 0, 1e-6)
            for mask in itertools.product((0, 1), repeat=4)
        }
        nearest = min(candidates, key=lambda mask: np.abs(candidates[mask] - got[row]).max())
        np.testing.assert_allclose(got[row], candidates[nearest], atol=1e-3)
        dropped += [1 - keep for keep in nearest]
    assert abs(np.mean(dropped) - rate) < 0.06


def _block_output(h, projections):
    """O_a of equations 1 to 5 with two heads of two."""
    q, k, v = (h @ matrix for matrix in projections[:3])
    scores = [np.exp(q[:, i : i + 2] @ k[:, i : i + 2].T / np.sqrt(2)) for i in (0, 2)]
    return (
        np.hstack(
            [
                s / s.sum(1, keepdims=True) @ v[:, i : i + 2]
                for s, i in zip(scores, (0, 2), strict=True)
            ]
        )
        @ projections[3]
    )


def test_dropout_is_a_pure_function_of_seed_and_step_and_off_in_inference():
    h = RANDOM.normal(size=(2, 6, 8)).astype(np.float32)
    block = MultiHeadAttention(heads=2, dim=8, dropout=0.5)

    def run(*seed, training=True):
        return block(h, h, training=training, seed=tf.constant(seed, tf.int32)).numpy()

    first = run(0, 1)
    keras.utils.set_random_seed(99)
    np.testing.assert_array_equal(run(0, 1), first)
    assert all(np.abs(run(*other) - first).max() > 0.1 for other in ((0, 2), (1, 1), (1, 0)))
    np.testing.assert_array_equal(run(0, 1, training=False), run(5, 5, training=False))


def test_training_without_a_seed_draws_fresh_dropout():
    h = RANDOM.normal(size=(2, 6, 8)).astype(np.float32)
    block = MultiHeadAttention(heads=2, dim=8, dropout=0.5)
    assert (
        np.abs(block(h, h, training=True).numpy() - block(h, h, training=True).numpy()).max() > 0.1
    )


def test_branches_of_a_seed_differ_and_no_seed_stays_none():
    seed = tf.constant([1, 2])
    assert fold_in(None, 1) is None
    assert (
        fold_in(seed, 1).numpy().tolist()
        == fold_in(seed, 1).numpy().tolist()
        != fold_in(seed, 2).numpy().tolist()
    )


def test_two_replicas_drop_different_features(two_devices):
    with two_devices.scope():
        block = MultiHeadAttention(heads=2, dim=8, dropout=0.5)
    h = tf.constant(RANDOM.normal(size=(2, 6, 8)), tf.float32)
    two_devices.run(lambda: block(h, h))
    runs = [
        two_devices.run(lambda: block(h, h, training=True, seed=tf.constant([1, 2]))).values
        for _ in range(2)
    ]
    assert np.abs(runs[0][0] - runs[0][1]).max() > 0.1
    np.testing.assert_array_equal(runs[0], runs[1])


@pytest.mark.parametrize("width", [8, 7])
def test_positions_interleave_sine_and_cosine(paper, width):
    np.testing.assert_allclose(
        sinusoidal_positions(20, width), paper.positions(20, width), atol=1e-5
    )
    dynamic = tf.function(
        lambda length: sinusoidal_positions(length, width),
        input_signature=[tf.TensorSpec([], tf.int32)],
    )
    np.testing.assert_allclose(dynamic(20), paper.positions(20, width), atol=1e-5)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: MultiHeadAttention(3, 8), r"multiple of attention_heads \(3\)"),
        (lambda: MultiHeadAttention(2, 8, scale="root"), "attention_scale is 'root'"),
        (lambda: MultiHeadAttention(2, 8, projection="no"), "attention_projection is 'no'"),
        (lambda: AttentionPooling(2, 8, "gelu"), "pooling_activation is 'gelu'"),
        (
            lambda: MultiHeadAttention(2, 8)(np.zeros((1, 3, 6), "f"), np.zeros((1, 3, 8), "f")),
            r"queries 6 wide.*attention_dim is 8",
        ),
    ],
)
def test_choices_that_do_not_fit_are_named(make, problem):
    with pytest.raises(ConfigError, match=problem):
        make()


@pytest.mark.parametrize(
    "layer",
    [
        ConvEncoder((2, 3), ((2, 2), (1, 2)), 0.8, 1e-2),
        ConvEncoder((2, 3), ((2, 2), (1, 2)), pool_padding="same"),
        ResidualEncoder((2, 3), ((2, 2), (1, 2)), 0.8, 1e-2),
        SplitBand(ResidualEncoder((2,), ((2, 2),)), ConvEncoder((3,), ((2, 1),))),
        AttentionPooling(3, 5, "tanh"),
        MultiHeadAttention(2, 8, "query_dim", 0.2, 1e-5, "each_head"),
        MultiHeadAttention(2, 8, layer_norm_epsilon=None),
    ],
)
def test_layers_survive_their_configuration(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
