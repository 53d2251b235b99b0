"""Reading, resampling and front-ends against soundfile, soxr, librosa and a NumPy reading of the definitions."""

import subprocess
import sys

import librosa
import numpy as np
import pytest
import soundfile
import soxr
import tensorflow as tf

from crossask.audio import frontends, reading, resampling
from crossask.audio.clip_features import clip_features
from crossask.config import FeatureConfig, LogMelConfig
from crossask.errors import AudioError


def noise(samples, channels=None, seed=0, level=0.1):
    shape = samples if channels is None else (samples, channels)
    return np.random.default_rng(seed).normal(0, level, shape).astype(np.float32)


# ---- reading


@pytest.mark.parametrize(
    ("suffix", "subtype", "step"),
    [
        ("wav", "PCM_16", 2**-15),
        ("wav", "PCM_24", 2**-23),
        ("wav", "PCM_32", 2**-23),
        ("wav", "FLOAT", 0),
        ("flac", "PCM_24", 2**-23),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_lossless_files_are_read_to_their_last_bit(tmp_path, suffix, subtype, step, channels):
    wave = np.clip(noise(4000, channels), -0.9, 0.9)
    soundfile.write(tmp_path / f"x.{suffix}", wave, 22050, subtype)
    read, rate = reading.read_audio(tmp_path / f"x.{suffix}")
    assert (read.shape, read.dtype, rate) == ((4000, channels), np.float32, 22050)
    assert np.abs(read - wave).max() <= step


@pytest.mark.parametrize("suffix", ["ogg", "mp3"])
def test_lossy_files_are_read(tmp_path, suffix):
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    soundfile.write(tmp_path / f"x.{suffix}", wave, 44100)
    read, rate = reading.read_audio(tmp_path / f"x.{suffix}")
    spectrum = np.abs(np.fft.rfft(read[:40000, 0]))
    assert rate == 44100
    assert abs(np.argmax(spectrum) * rate / 40000 - 440) < 2


def test_what_cannot_be_used_is_named(tmp_path):
    (tmp_path / "text.wav").write_text("no sound")
    soundfile.write(tmp_path / "empty.wav", np.zeros((0, 2)), 8000)
    soundfile.write(tmp_path / "three.wav", np.zeros((10, 3)), 8000)
    soundfile.write(tmp_path / "nan.wav", np.full((10, 1), np.nan), 8000, "FLOAT")
    for name in ("text.wav", "empty.wav", "three.wav", "nan.wav", "missing.wav"):
        with pytest.raises(AudioError, match=name):
            reading.read_audio(tmp_path / name)


def test_reading_needs_no_tensorflow():
    code = "import crossask.audio, crossask.audio.reading, sys; crossask.audio.read_audio; print('tensorflow' in sys.modules)"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "False"
    )


@pytest.mark.parametrize(("samples", "change"), [(15200, "padded"), (16000, ""), (16800, "cut")])
def test_lengths_within_the_allowance_are_mended(samples, change):
    features = FeatureConfig(clip_seconds=1.0, max_padding_seconds=0.1, max_cut_seconds=0.1)
    wave, done = reading.fit_length(noise(samples, 2), 16000, features)
    assert (len(wave), done) == (16000, change)
    np.testing.assert_array_equal(wave[:15200], noise(samples, 2)[:15200])
    assert not wave[samples:].any()


@pytest.mark.parametrize(
    ("samples", "field"), [(14000, "max_padding_seconds"), (18000, "max_cut_seconds")]
)
def test_other_lengths_are_errors_that_name_file_and_field(samples, field):
    features = FeatureConfig(clip_seconds=1.0, max_padding_seconds=0.1, max_cut_seconds=0.1)
    with pytest.raises(AudioError, match=field) as error:
        reading.fit_length(noise(samples, 1), 16000, features, "some.wav")
    assert "some.wav" in error.value.problem


# ---- resampling


@pytest.mark.parametrize("to_hz", [16000, 44100, 48000])
@pytest.mark.parametrize("from_hz", resampling.SAMPLE_RATES_HZ)
def test_resampling_agrees_with_soxr_below_nine_tenths_of_nyquist(from_hz, to_hz):
    t, nyquist = np.arange(from_hz) / from_hz, min(from_hz, to_hz) / 2
    wave = (
        sum(
            np.sin(2 * np.pi * share * nyquist * t + share)
            for share in (0.01, 0.1, 0.37, 0.62, 0.8, 0.88)
        )
        / 6
        * np.hanning(from_hz)
    )
    ours = resampling.resample(wave.astype(np.float32), from_hz, to_hz).numpy()
    theirs = soxr.resample(wave, from_hz, to_hz, quality="VHQ")
    assert len(ours) == to_hz
    # soxr interpolates its filter where the ratio has many phases: 1.5e-4 there, 1e-6 elsewhere
    assert np.abs(ours - theirs[: len(ours)]).max() < 2e-4


@pytest.mark.parametrize(("from_hz", "to_hz"), [(48000, 16000), (44100, 16000), (16000, 48000)])
def test_what_lies_beyond_nyquist_is_gone(from_hz, to_hz):
    tone = np.sin(2 * np.pi * 1.03 * min(from_hz, to_hz) / 2 * np.arange(from_hz) / from_hz).astype(
        np.float32
    )
    if from_hz > to_hz:
        rest = resampling.resample(tone, from_hz, to_hz).numpy()[1000:-1000]
        assert np.abs(rest).max() < 10 ** (-90 / 20)
    else:
        low = np.sin(2 * np.pi * 0.5 * from_hz / 2 * np.arange(from_hz) / from_hz) * np.hanning(
            from_hz
        )
        spectrum = np.abs(
            np.fft.rfft(resampling.resample(low.astype(np.float32), from_hz, to_hz).numpy())
        )
        assert spectrum[from_hz // 2 + 200 :].max() < 10 ** (-90 / 20) * spectrum.max()


@pytest.mark.parametrize(
    ("from_hz", "to_hz"), [(44100, 16000), (11025, 48000), (48000, 44100), (8000, 16000)]
)
def test_lengths_rows_and_graphs_do_not_matter(from_hz, to_hz):
    for samples in (1, 7, 1000, 12345):
        wave = noise(samples, seed=samples)
        ours = resampling.resample(wave, from_hz, to_hz).numpy()
        assert len(ours) == -(-samples * to_hz // from_hz)
    batch = np.stack([wave, -2 * wave]).reshape(2, 1, -1)
    graph = tf.function(
        lambda x: resampling.resample(x, from_hz, to_hz),
        input_signature=[tf.TensorSpec([None, None, None])],
    )
    np.testing.assert_allclose(graph(batch).numpy()[1, 0], -2 * ours, atol=1e-6)


def test_a_constant_stays_a_constant():
    ours = resampling.resample(np.ones(44100, np.float32), 44100, 16000).numpy()
    np.testing.assert_allclose(
        ours[300:-300], 1, atol=3e-6
    )  # float32 sums of some 440 products; processors round them differently


def test_an_unknown_rate_is_an_error_that_lists_the_known():
    with pytest.raises(AudioError, match="11025"):
        resampling.resample(np.zeros(10, np.float32), 12345, 16000)
    with pytest.raises(tf.errors.InvalidArgumentError, match="8000, 11025"):
        tf.function(lambda rate: resampling.resample_from_any_rate(tf.zeros([10]), rate, 16000))(
            tf.constant(12345)
        )


@pytest.mark.parametrize("rate", resampling.SAMPLE_RATES_HZ)
def test_the_served_rate_takes_the_same_filter(rate):
    wave = noise(rate // 10)
    served = tf.function(lambda r: resampling.resample_from_any_rate(wave, r, 16000))(tf.constant(rate))
    np.testing.assert_allclose(served, resampling.resample(wave, rate, 16000), atol=1e-6)


# ---- front-ends


def mel_matrix(bins, fft, rate, low, high):
    """fidelity of the definition: HTK mel m = 1127 ln(1 + f / 700), triangles linear in mel, peak 1, zero DC row."""
    mel = lambda hz: 1127 * np.log(1 + np.asarray(hz, float) / 700)  # noqa: E731
    edges = np.linspace(mel(low), mel(high), bins + 2)
    matrix = np.zeros((fft // 2 + 1, bins))
    for k in range(1, fft // 2 + 1):
        m = mel(k * rate / fft)
        for b in range(bins):
            left, centre, right = edges[b : b + 3]
            matrix[k, b] = max(0, min((m - left) / (centre - left), (right - m) / (right - centre)))
    return matrix


def librosa_log_mel(wave, rate, config: LogMelConfig):
    window, hop = int(config.window_seconds * rate), round(config.hop_seconds * rate)
    # librosa centres a window in its FFT frame: the same samples are met by shifting the start
    lead = (config.fft_size - window) // 2
    padded = np.concatenate([np.zeros(lead), wave.astype(np.float64), np.zeros(config.fft_size)])
    spectrum = np.abs(
        librosa.stft(
            padded,
            n_fft=config.fft_size,
            hop_length=hop,
            win_length=window,
            window="hann",
            center=False,
        )
    ).T
    spectrum = spectrum[: 1 + (len(wave) - window) // hop]
    spectrum = spectrum**2 if config.spectrum == "power" else spectrum
    matrix = mel_matrix(
        config.mel_bins, config.fft_size, rate, config.min_hz, config.max_hz or rate / 2
    )
    return np.log(spectrum @ matrix + config.log_offset)


@pytest.mark.parametrize(
    ("rate", "config"),
    [
        (48000, LogMelConfig()),
        (44100, LogMelConfig()),
        (16000, frontends.VGGISH_LOG_MEL),
        (16000, frontends.YAMNET_LOG_MEL),
    ],
    ids=["scene 48 kHz", "scene 44.1 kHz", "VGGish", "YAMNet"],
)
def test_log_mel_is_librosas_spectrum_times_the_written_matrix(rate, config):
    wave = noise(rate)
    ours = frontends.log_mel_spectrogram(wave, rate, config).numpy()
    expected = librosa_log_mel(wave, rate, config)
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_librosas_own_triangles_are_drawn_in_hertz_and_agree_roughly():
    matrix = tf.signal.linear_to_mel_weight_matrix(64, 257, 16000, 125, 7500).numpy()
    assert (
        np.abs(
            matrix
            - librosa.filters.mel(
                sr=16000, n_fft=512, n_mels=64, fmin=125, fmax=7500, htk=True, norm=None
            ).T
        ).max()
        < 0.02
    )


@pytest.mark.parametrize(("rate", "channels"), [(48000, 2), (44100, 2), (48000, 1)])
def test_ten_seconds_give_998_frames_of_64_bins_and_two_channels(rate, channels):
    wave = noise(10 * rate, channels)
    log_mel = frontends.scene_log_mel(wave, rate).numpy()
    assert log_mel.shape == (998, 64, 2)
    assert (log_mel[..., 0] == log_mel[..., 1]).all() == (channels == 1)
    np.testing.assert_allclose(
        frontends.scene_log_mel(wave[np.newaxis], rate)[0], log_mel, atol=1e-5
    )


@pytest.mark.parametrize(
    ("seconds", "vggish", "padded", "yamnet"),
    [(10, 10, 11, 20), (5, 5, 6, 10), (3, 3, 4, 6), (0.5, 1, 1, 1)],
)
def test_patches_are_counted_as_published(seconds, vggish, padded, yamnet):
    wave = noise(round(seconds * 16000))
    assert frontends.vggish_patches(wave).shape == (vggish, 96, 64)
    assert frontends.vggish_patches(wave, pad_end=True).shape == (padded, 96, 64)
    assert frontends.yamnet_patches(wave).shape == (yamnet, 96, 64)
    unknown = tf.function(frontends.yamnet_patches, input_signature=[tf.TensorSpec([None, None])])
    np.testing.assert_allclose(
        unknown(wave[np.newaxis])[0], frontends.yamnet_patches(wave), atol=1e-5
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"max_hz": 24000.0},
        {"min_hz": 9000.0, "max_hz": 8000.0},
        {"mel_bins": 0},
        {"hop_seconds": 0.0},
    ],
)
def test_a_band_that_cannot_be_is_an_error(changes):
    with pytest.raises(AudioError, match="At 44100 Hz, log_mel has"):
        frontends.scene_log_mel(np.zeros((44100, 1), np.float32), 44100, LogMelConfig(**changes))


def test_vggish_patches_are_cut_from_its_log_mel():
    wave = noise(160000)
    log_mel = librosa_log_mel(wave, 16000, frontends.VGGISH_LOG_MEL)
    np.testing.assert_allclose(
        frontends.vggish_patches(wave), log_mel[:960].reshape(10, 96, 64), atol=1e-4
    )


def test_yamnet_patches_overlap_by_half():
    patches = frontends.yamnet_patches(noise(48000)).numpy()
    np.testing.assert_array_equal(patches[0, 48:], patches[1, :48])


def test_real_binaural_clips_give_the_paper_s_shapes(real_data):
    for path in sorted((real_data("scene_samples") / "ten_scenes").iterdir()):
        waveform, rate = reading.read_audio(path)
        waveform, _ = reading.fit_length(waveform, rate, FeatureConfig(), path)
        values = clip_features(tf.constant(waveform[np.newaxis]), rate, FeatureConfig(), "vggish")
        assert (values["log_mel"].shape, values["patches"].shape) == (
            (1, 998, 64, 2),
            (1, 10, 96, 64),
        )
        assert np.isfinite(values["log_mel"].numpy()).all()
