"""The stronger encoder against a plain NumPy reading, and the slopes against librosa."""

import dataclasses

import librosa
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from scipy.signal import correlate2d

from crossask import models
from crossask.audio.clip_features import clip_features
from crossask.config import FeatureConfig, ModelConfig
from crossask.errors import ConfigError
from crossask.models.layers import ConvEncoder
from crossask.models.residual import ResidualEncoder, SplitBand, with_deltas

RANDOM = np.random.default_rng(11)
SMALL = ModelConfig(
    encoder_channels=(4, 6), encoder_pools=((2, 2), (2, 2)), pooling_dim=8, attention_dim=16
)


def convolved(x, kernel):
    channels, out = range(x.shape[2]), range(kernel.shape[3])
    return np.stack(
        [sum(correlate2d(x[:, :, c], kernel[:, :, c, o], "same") for c in channels) for o in out],
        -1,
    )


def normed(x, norm):
    gamma, beta, mean, variance = (
        np.float64(v.numpy())
        for v in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    )
    return gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta


def test_blocks_add_to_what_enters_them_and_are_averaged(scramble):
    x = RANDOM.normal(size=(2, 9, 8, 2))
    encoder = ResidualEncoder((3, 5), ((2, 2), (3, 1)), 0.9, 1e-3)
    encoder(x.astype(np.float32))
    scramble(encoder)
    for clip, got in zip(x, encoder(x.astype(np.float32)).numpy(), strict=True):
        clip = convolved(normed(clip, encoder.first_norm), np.float64(encoder.first.kernel.numpy()))
        assert len(encoder.norms) == len(encoder.convolutions) == 8
        layers = list(zip(encoder.norms, encoder.convolutions, strict=True))
        for blocks, (time, frequency) in zip((layers[:4], layers[4:]), encoder.pools, strict=True):
            for block in (blocks[:2], blocks[2:]):
                new = clip
                for norm, convolution in block:
                    new = convolved(
                        np.maximum(normed(new, norm), 0), np.float64(convolution.kernel.numpy())
                    )
                new[:, :, : clip.shape[2]] += clip
                clip = new
            frames, bins = clip.shape[0] // time, clip.shape[1] // frequency
            whole = clip[: frames * time, : bins * frequency].reshape(
                frames, time, bins, frequency, -1
            )
            clip = whole.mean((1, 3))
        clip = np.maximum(normed(clip, encoder.last_norm), 0)
        assert clip.shape == (1, 4, 5)  # 9 frames // 2 // 3, 8 bins // 2, 5 channels
        np.testing.assert_allclose(got, clip.reshape(1, 20), rtol=1e-4, atol=1e-4)


def test_its_variables_are_its_convolutions_and_norms():
    encoder = ResidualEncoder((3, 5), ((2, 2), (2, 2)))
    encoder(np.zeros((1, 8, 8, 2), np.float32))
    convolutions = 9 * (2 * 3 + 4 * 3 * 3 + 3 * 5 + 3 * 5 * 5)
    norms = 4 * (2 + 4 * 3 + 3 + 3 * 5 + 5)
    assert encoder.count_params() == convolutions + norms


def test_channels_that_become_fewer_are_an_error():
    with pytest.raises(ConfigError, match=r"\(5, 3\)"):
        ResidualEncoder((5, 3), ((2, 2), (2, 2)))


def test_halves_of_the_band_have_encoders_of_their_own():
    x = RANDOM.normal(size=(2, 6, 9, 2)).astype(np.float32)
    lower = ConvEncoder((3,), ((2, 2),))
    upper = ConvEncoder((4,), ((2, 2),))
    both = SplitBand(lower, upper)(x)
    assert both.shape == (2, 3, 2 * 3 + 2 * 4)
    np.testing.assert_array_equal(
        both, np.concatenate([lower(x[:, :, :4]), upper(x[:, :, 4:])], axis=2)
    )


def test_slopes_are_librosas():
    x = RANDOM.normal(size=(2, 30, 5, 2)).astype(np.float32)
    got = with_deltas(x).numpy()
    assert got.shape == (2, 30, 5, 6)
    np.testing.assert_array_equal(got[..., :2], x)
    first = librosa.feature.delta(x, width=9, order=1, axis=1, mode="nearest")
    np.testing.assert_allclose(got[..., 2:4], first, atol=1e-5)
    np.testing.assert_allclose(
        got[..., 4:],
        librosa.feature.delta(first, width=9, order=1, axis=1, mode="nearest"),
        atol=1e-5,
    )


def test_static_and_delta_of_the_mono_signal_are_two_channels():
    features = FeatureConfig(sample_rate_hz=16000, clip_seconds=1.0, mono=True)
    waveform = RANDOM.normal(0, 0.1, (2, 16000, 2)).astype(np.float32)
    log_mel = clip_features(waveform, 16000, features)["log_mel"]
    assert log_mel.shape == (2, 98, 64, 1)
    mean = np.linspace(-6, -2, 64)
    deviation = np.linspace(0.5, 3, 64)
    first_deltas = dataclasses.replace(SMALL, first_deltas=True)
    model = models.build("FA", 3, first_deltas, log_mel_mean=mean, log_mel_deviation=deviation)
    logits = model({"log_mel": log_mel})
    assert model.encoder.convolutions[0].kernel.shape == (3, 3, 2, 4)
    # A network of the same weights, whose input has both channels from the beginning.
    plain = models.build("FA", 3, SMALL)
    static = ((log_mel.numpy()[..., 0] - mean) / deviation).astype(np.float32)
    delta = librosa.feature.delta(static, width=9, order=1, axis=1, mode="nearest")
    inputs = {"log_mel": np.stack([static, delta], axis=-1)}
    plain(inputs)
    plain.set_weights(model.get_weights())
    np.testing.assert_allclose(plain(inputs), logits, atol=1e-4)


def test_slopes_are_equal_in_a_graph_for_clips_of_any_length():
    slopes = tf.function(with_deltas, input_signature=[tf.TensorSpec([None, None, 4, 2])])
    x = RANDOM.normal(size=(1, 3, 4, 2)).astype(np.float32)
    np.testing.assert_allclose(slopes(x), with_deltas(x), atol=1e-6)


@pytest.mark.parametrize("system", ["FA", "JRM", "CMAM"])
@pytest.mark.parametrize(
    "choice",
    [{"encoder": "residual"}, {"split_band": True}, {"deltas": True}, {"first_deltas": True}],
)
def test_each_part_alone_changes_the_network_and_survives_a_keras_file(tmp_path, system, choice):
    inputs = {"log_mel": RANDOM.normal(size=(2, 20, 16, 2)).astype(np.float32)}
    small = SMALL
    if system != "FA":
        inputs["embedding"] = RANDOM.normal(size=(2, 10, 128)).astype(np.float32)
        small = dataclasses.replace(
            SMALL, event_encoder_channels=(4, 4), event_encoder_pools=((2, 2), (2, 2))
        )
    plain, model = (
        models.build(system, 3, config) for config in (small, dataclasses.replace(small, **choice))
    )
    plain(inputs)
    wanted = model(inputs)
    assert model.count_params() != plain.count_params()
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(inputs), wanted, atol=1e-6)


def test_an_unknown_encoder_is_named():
    with pytest.raises(ConfigError, match="encoder is 'dense'"):
        models.build("FA", 3, dataclasses.replace(SMALL, encoder="dense"))
