"""The resampler, compared with soxr and with the properties of its filter."""

import numpy as np
import pytest
import soxr
import tensorflow as tf

from crossask.audio import resampling
from crossask.errors import AudioError


def noise(samples, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def faded_tones(rate_hz, frequencies_hz):
    """One second of sines, faded in and out."""
    t = np.arange(rate_hz) / rate_hz
    tones = [np.sin(2 * np.pi * hz * t + number) for number, hz in enumerate(frequencies_hz)]
    return np.mean(tones, axis=0) * np.hanning(rate_hz)


@pytest.mark.parametrize("to_hz", [16000, 44100, 48000])
@pytest.mark.parametrize("from_hz", resampling.SAMPLE_RATES_HZ)
def test_resampling_agrees_with_soxr_below_nine_tenths_of_nyquist(from_hz, to_hz):
    nyquist_hz = min(from_hz, to_hz) / 2
    shares = np.array([0.01, 0.1, 0.37, 0.62, 0.8, 0.88])
    wave = faded_tones(from_hz, shares * nyquist_hz)
    ours = resampling.resample(wave.astype(np.float32), from_hz, to_hz).numpy()
    theirs = soxr.resample(wave, from_hz, to_hz, quality="VHQ")
    assert len(ours) == to_hz
    # soxr interpolates its filter if the ratio has many phases: 1.5e-4 there, 1e-6 elsewhere.
    assert np.abs(ours - theirs[: len(ours)]).max() < 2e-4


@pytest.mark.parametrize(("from_hz", "to_hz"), [(48000, 16000), (44100, 16000)])
def test_frequencies_above_the_new_nyquist_are_removed(from_hz, to_hz):
    above_hz = 1.03 * to_hz / 2
    tone = np.sin(2 * np.pi * above_hz * np.arange(from_hz) / from_hz).astype(np.float32)
    rest = resampling.resample(tone, from_hz, to_hz).numpy()[1000:-1000]
    assert np.abs(rest).max() < 10 ** (-90 / 20)


def test_no_image_of_a_tone_is_above_the_old_nyquist():
    tone = faded_tones(16000, [4000])
    spectrum = np.abs(np.fft.rfft(resampling.resample(tone, 16000, 48000)))
    above_old_nyquist = spectrum[8000 + 200 :]
    assert above_old_nyquist.max() < 10 ** (-90 / 20) * spectrum.max()


@pytest.mark.parametrize(
    ("from_hz", "to_hz"), [(44100, 16000), (11025, 48000), (48000, 44100), (8000, 16000)]
)
@pytest.mark.parametrize("samples", [1, 7, 1000, 12345])
def test_the_length_is_rounded_up(from_hz, to_hz, samples):
    resampled = resampling.resample(noise(samples), from_hz, to_hz)
    assert len(resampled) == -(-samples * to_hz // from_hz)


@pytest.mark.parametrize(
    ("from_hz", "to_hz"), [(44100, 16000), (11025, 48000), (48000, 44100), (8000, 16000)]
)
def test_rows_of_a_batch_in_a_graph_are_resampled_one_by_one(from_hz, to_hz):
    wave = noise(12345)
    batch = np.stack([wave, -2 * wave])[:, np.newaxis]
    graph = tf.function(
        lambda waveform: resampling.resample(waveform, from_hz, to_hz),
        input_signature=[tf.TensorSpec([None, None, None])],
    )
    alone = resampling.resample(wave, from_hz, to_hz)
    np.testing.assert_allclose(graph(batch)[1, 0], -2 * alone, atol=1e-6)


def test_a_constant_keeps_its_value():
    ours = resampling.resample(np.ones(44100, np.float32), 44100, 16000).numpy()
    # These are float32 sums of about 440 products, which processors round differently.
    np.testing.assert_allclose(ours[300:-300], 1, atol=3e-6)


def test_an_unknown_rate_is_an_error_that_lists_the_known_ones():
    with pytest.raises(AudioError, match="11025"):
        resampling.resample(np.zeros(10, np.float32), 12345, 16000)

    @tf.function
    def resampled(rate):
        return resampling.resample_from_any_rate(tf.zeros([10]), rate, 16000)

    with pytest.raises(tf.errors.InvalidArgumentError, match="8000, 11025"):
        resampled(tf.constant(12345))


@pytest.mark.parametrize("rate", resampling.SAMPLE_RATES_HZ)
def test_a_rate_that_is_a_tensor_uses_the_same_filter(rate):
    wave = noise(rate // 10)

    @tf.function
    def resampled(rate_tensor):
        return resampling.resample_from_any_rate(wave, rate_tensor, 16000)

    expected = resampling.resample(wave, rate, 16000)
    np.testing.assert_allclose(resampled(tf.constant(rate)), expected, atol=1e-6)
