"""The front-ends, compared with librosa's spectrum and with mel matrices written out in NumPy."""

from pathlib import Path

import librosa
import numpy as np
import pytest
import tensorflow as tf

from crossask import config
from crossask.audio import frontends, reading
from crossask.audio.clip_features import clip_features
from crossask.config import EventModelConfig, FeatureConfig, LogMelConfig, settings
from crossask.errors import AudioError, ConfigError

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def noise(samples, channels=None):
    shape = samples if channels is None else (samples, channels)
    return np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float32)


def mel(hz):
    """Returns a frequency on HTK's mel scale."""
    return 1127 * np.log(1 + np.asarray(hz, float) / 700)


def mel_matrix(bins, fft_size, rate, low_hz, high_hz):
    """HTK's triangles, [fft_size / 2 + 1, bins]: linear in mel, with peak 1 and a zero DC row."""
    edges = np.linspace(mel(low_hz), mel(high_hz), bins + 2)
    matrix = np.zeros((fft_size // 2 + 1, bins))
    for k in range(1, fft_size // 2 + 1):
        m = mel(k * rate / fft_size)
        for b in range(bins):
            left, centre, right = edges[b : b + 3]
            rising = (m - left) / (centre - left)
            falling = (right - m) / (right - centre)
            matrix[k, b] = max(0, min(rising, falling))
    return matrix


def librosa_log_mel(wave, rate, log_mel):
    """librosa's spectrum times `mel_matrix`, [frames, bins]."""
    window = int(log_mel.window_seconds * rate)
    hop = round(log_mel.hop_seconds * rate)
    # librosa puts a window into the middle of its FFT frame: a shift of the start gives the same
    # samples.
    lead = (log_mel.fft_size - window) // 2
    padded = np.concatenate([np.zeros(lead), wave.astype(float), np.zeros(log_mel.fft_size)])
    spectrum = librosa.stft(
        padded,
        n_fft=log_mel.fft_size,
        hop_length=hop,
        win_length=window,
        window="hann",
        center=False,
    )
    frames = 1 + (len(wave) - window) // hop
    spectrum = np.abs(spectrum).T[:frames]
    if log_mel.spectrum == "power":
        spectrum = spectrum**2
    matrix = mel_matrix(
        log_mel.mel_bins, log_mel.fft_size, rate, log_mel.min_hz, log_mel.max_hz or rate / 2
    )
    return np.log(spectrum @ matrix + log_mel.log_offset)


@pytest.mark.parametrize(
    ("rate", "log_mel"),
    [
        (48000, LogMelConfig()),
        (44100, LogMelConfig()),
        (16000, frontends.VGGISH_LOG_MEL),
        (16000, frontends.YAMNET_LOG_MEL),
    ],
    ids=["scene 48 kHz", "scene 44.1 kHz", "VGGish", "YAMNet"],
)
def test_log_mel_is_librosas_spectrum_times_the_written_matrix(rate, log_mel):
    wave = noise(rate)
    ours = frontends.log_mel_spectrogram(wave, rate, log_mel).numpy()
    expected = librosa_log_mel(wave, rate, log_mel)
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_librosas_triangles_are_linear_in_hertz_and_agree_roughly():
    ours = tf.signal.linear_to_mel_weight_matrix(64, 257, 16000, 125, 7500).numpy()
    theirs = librosa.filters.mel(
        sr=16000, n_fft=512, n_mels=64, fmin=125, fmax=7500, htk=True, norm=None
    )
    assert np.abs(ours - theirs.T).max() < 0.02


@pytest.mark.parametrize(
    ("experiment", "rate", "window", "hop"),
    [("dcase2019", 48000, 1920, 960), ("tut2017", 44100, 1764, 882)],
)
def test_the_official_baselines_features_are_librosas(experiment, rate, window, hop):
    (row,) = config.read_experiments(f"{EXPERIMENTS / experiment}.py:baseline")
    assert row.features.sample_rate_hz == rate
    wave = noise(10 * rate, 2)
    ours = clip_features(wave[np.newaxis], rate, row.features)["log_mel"].numpy()
    assert ours.shape == (1, 501, 40, 1)
    spectrum = librosa.stft(
        wave.mean(1).astype(np.float64),
        n_fft=2048,
        hop_length=hop,
        win_length=window,
        window="hamming",
        center=True,
        pad_mode="reflect",
    )
    triangles = librosa.filters.mel(
        sr=rate, n_fft=2048, n_mels=40, fmin=0, fmax=rate / 2, htk=False, norm="slaney"
    )
    expected = np.log(triangles @ np.abs(spectrum) + np.spacing(1)).T
    np.testing.assert_allclose(ours[0, :, :, 0], expected, atol=2e-4)


@pytest.mark.parametrize(("rate", "channels"), [(48000, 2), (44100, 2), (48000, 1)])
def test_ten_seconds_have_998_frames_of_64_bins_and_two_channels(rate, channels):
    wave = noise(10 * rate, channels)
    log_mel = frontends.scene_log_mel(wave, rate).numpy()
    assert log_mel.shape == (998, 64, 2)
    channels_are_equal = np.array_equal(log_mel[..., 0], log_mel[..., 1])
    assert channels_are_equal == (channels == 1)
    in_batch = frontends.scene_log_mel(wave[np.newaxis], rate)[0]
    np.testing.assert_allclose(in_batch, log_mel, atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"max_hz": 24000.0},
        {"min_hz": 9000.0, "max_hz": 8000.0},
        {"hop_seconds": 1e-6},
    ],
)
def test_bands_or_hops_that_do_not_fit_the_rate_are_errors(changes):
    with pytest.raises(AudioError, match="At 44100 Hz, log_mel has"):
        frontends.scene_log_mel(np.zeros((44100, 1), np.float32), 44100, LogMelConfig(**changes))


def test_a_window_longer_than_the_transform_is_an_error():
    with pytest.raises(AudioError, match="fft_size is 256, but the window has 1200 samples"):
        frontends.scene_log_mel(np.zeros((48000, 1)), 48000, LogMelConfig(fft_size=256))


@pytest.mark.parametrize("field", ["window", "mel_scale", "spectrum"])
def test_an_unknown_choice_of_the_log_mel_is_an_error_with_its_name(field):
    with pytest.raises(ConfigError, match=f"log_mel.{field} is 'other'"):
        LogMelConfig(**{field: "other"})


@pytest.mark.parametrize(
    ("seconds", "vggish", "padded", "yamnet"),
    [(10, 10, 11, 20), (5, 5, 6, 10), (3, 3, 4, 6), (0.5, 1, 1, 1)],
)
def test_the_numbers_of_patches_are_the_published_ones(seconds, vggish, padded, yamnet):
    wave = noise(round(seconds * 16000))
    assert frontends.vggish_patches(wave).shape == (vggish, 96, 64)
    assert frontends.vggish_patches(wave, pad_end=True).shape == (padded, 96, 64)
    assert frontends.yamnet_patches(wave).shape == (yamnet, 96, 64)


@pytest.mark.parametrize("seconds", [0.5, 3, 10])
def test_patches_are_the_same_if_the_length_is_unknown_to_the_graph(seconds):
    wave = noise(round(seconds * 16000))
    graph = tf.function(frontends.yamnet_patches, input_signature=[tf.TensorSpec([None, None])])
    expected = frontends.yamnet_patches(wave)
    np.testing.assert_allclose(graph(wave[np.newaxis])[0], expected, atol=1e-5)


def test_vggish_patches_are_cut_from_its_log_mel():
    wave = noise(160000)
    log_mel = librosa_log_mel(wave, 16000, frontends.VGGISH_LOG_MEL)
    expected = log_mel[:960].reshape(10, 96, 64)
    np.testing.assert_allclose(frontends.vggish_patches(wave), expected, atol=1e-4)


def level_dbfs(waveform):
    return 20 * np.log10(np.std(waveform, axis=-1))


def test_each_waveform_of_a_batch_is_brought_to_the_level():
    wave = noise(16000)
    batch = np.stack([wave, wave / 100 + 0.5, wave * 3])
    levelled = frontends.normalise_level(batch, -26.0).numpy()
    np.testing.assert_allclose(level_dbfs(levelled), -26.0, atol=0.01)
    np.testing.assert_allclose(levelled[2], levelled[0], atol=1e-6)


def test_the_gain_to_a_level_is_limited_and_silence_stays_silence():
    wave = noise(16000)
    faint = wave * 10 ** ((-90 - level_dbfs(wave)) / 20)
    levelled = frontends.normalise_level(np.stack([faint, np.zeros(16000)]), -26.0).numpy()
    assert level_dbfs(levelled[0]) == pytest.approx(-50.0, abs=0.01)
    np.testing.assert_array_equal(levelled[1], 0)


def test_a_loud_waveform_is_brought_down_without_a_limit():
    wave = 3 * noise(16000)
    levelled = frontends.normalise_level(wave, -60.0).numpy()
    assert level_dbfs(wave) > -60 + frontends.MAX_GAIN_DB
    assert level_dbfs(levelled) == pytest.approx(-60.0, abs=0.01)
    description = settings.facts_of(settings.fields(EventModelConfig)["level"]).description
    assert "amplified by at most 40 dB" in description


def test_with_a_level_a_quiet_copy_of_a_clip_has_the_patches_of_the_loud_one():
    features = FeatureConfig(sample_rate_hz=16000, clip_seconds=2.0)
    wave = noise(32000)[:, np.newaxis]
    clips = np.stack([wave, wave / 30])

    def patches(level):
        event_model = EventModelConfig(name="yamnet", level=level)
        return clip_features(clips, 16000, features, event_model)["patches"].numpy()

    loud, quiet = patches(-26.0)
    np.testing.assert_allclose(quiet, loud, atol=1e-4)
    loud, quiet = patches(None)
    assert np.abs(quiet - loud).max() > 1
    np.testing.assert_array_equal(loud, frontends.yamnet_patches(wave[:, 0]))


def test_yamnet_patches_overlap_by_half():
    patches = frontends.yamnet_patches(noise(48000)).numpy()
    np.testing.assert_array_equal(patches[0, 48:], patches[1, :48])


def test_real_binaural_clips_have_the_papers_shapes(real_data):
    for path in sorted((real_data("scene_samples") / "ten_scenes").iterdir()):
        waveform, rate = reading.read_audio(path)
        waveform, _ = reading.fit_length(waveform, rate, FeatureConfig(), path)
        values = clip_features(
            tf.constant(waveform[np.newaxis]), rate, FeatureConfig(), EventModelConfig()
        )
        assert values["log_mel"].shape == (1, 998, 64, 2)
        assert values["patches"].shape == (1, 10, 96, 64)
        assert np.isfinite(values["log_mel"].numpy()).all()
