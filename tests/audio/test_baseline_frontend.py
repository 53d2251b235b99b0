"""The official baselines' log-mel against librosa with their published settings."""

from pathlib import Path

import librosa
import numpy as np
import pytest

from crossask import config
from crossask.audio import clip_features
from crossask.audio.frontends import log_mel_spectrogram
from crossask.errors import AudioError

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.mark.parametrize(
    ("experiment", "rate", "window", "hop", "frames"),
    [
        ("dcase2019", 48000, 1920, 960, 501),
        ("tut2017", 44100, 1764, 882, 501),
    ],
)
def test_baseline_features_are_librosas(experiment, rate, window, hop, frames):
    (row,) = config.read_experiments(f"{EXPERIMENTS / experiment}.py:baseline")
    assert row.features.sample_rate_hz == rate
    wave = np.random.default_rng(0).normal(0, 0.1, (1, 10 * rate, 2)).astype(np.float32)
    ours = clip_features.clip_features(wave, rate, row.features)["log_mel"].numpy()
    assert ours.shape == (1, frames, 40, 1)
    spectrum = librosa.stft(
        wave[0].mean(1).astype(np.float64),
        n_fft=2048,
        hop_length=hop,
        win_length=window,
        window="hamming",
        center=True,
        pad_mode="reflect",
    )
    mel = librosa.filters.mel(
        sr=rate, n_fft=2048, n_mels=40, fmin=0, fmax=rate / 2, htk=False, norm="slaney"
    )
    np.testing.assert_allclose(
        ours[0, :, :, 0], np.log(mel @ np.abs(spectrum) + np.spacing(1)).T, atol=2e-4
    )


@pytest.mark.parametrize("field", ["window", "mel_scale", "spectrum"])
def test_an_unknown_choice_of_the_front_end_is_named(field):
    with pytest.raises(AudioError, match=f"log_mel.{field} is 'other'"):
        log_mel_spectrogram(
            np.zeros(4800, np.float32), 48000, config.LogMelConfig(**{field: "other"})
        )
