"""Recordings as a model reads them: kinds of arrays, shortest windows, and files that change."""

import os

import numpy as np
import pytest
import soundfile

from crossask.errors import AudioError
from crossask.serving import Classifier
from crossask.serving.recording import Recording


def classifier(**card) -> Classifier:
    """Returns a classifier that cuts recordings into windows, without a model."""
    made = Classifier.__new__(Classifier)
    made.card = {"front_end": {}, **card}
    made.clip_seconds = card["clip_seconds"]
    made.hop_seconds = None
    made.embeddings = None
    return made


@pytest.mark.parametrize("clip_seconds", [0.975, 0.96, 0.1, 1.0])
@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_windows_of_a_model_of_short_clips_are_long_enough_at_every_rate(clip_seconds, rate):
    model = classifier(
        clip_seconds=clip_seconds,
        least_seconds=clip_seconds,
        sample_rate_hz=rate,
        sample_rates_hz=[rate],
    )
    samples = round(clip_seconds * rate)
    for length in (samples, 3 * samples):
        windows = list(model._windows(Recording(np.full(length, 0.1), rate)))
        assert [len(window.waveform) for window in windows] == [samples] * len(windows)
        assert windows[-1].start == length - samples
    with pytest.raises(AudioError, match="lasts"):
        list(model._windows(Recording(np.full(samples - 1, 0.1), rate)))


def test_probabilities_that_are_not_finite_are_an_error_of_their_recording():
    class Model:
        def run(self, signature, waveform, rate, embedding):
            # A model of half precision, say, that cannot compute loud recordings.
            loud = np.abs(waveform).max(axis=(1, 2)) > 0.5
            rows = [[np.nan, np.nan] if is_loud else [0.75, 0.25] for is_loud in loud]
            return {"probabilities": np.array(rows)}

    model = classifier(
        clip_seconds=1.0, least_seconds=1.0, sample_rate_hz=16000, sample_rates_hz=[16000]
    )
    model._model = Model()
    model.scenes = ("bus", "park")
    model.least_probability = 0.0
    model.most_silence_seconds = 0.5
    quiet = np.random.default_rng(0).normal(0, 0.01, 16000 * 20)
    loud = quiet.copy()
    loud[-100] = 1
    outcomes = list(model.predict_each([quiet, loud, quiet, quiet[:16000]], 16000))
    assert [isinstance(outcome, AudioError) for outcome in outcomes] == [False, True, False, False]
    assert "no finite probabilities" in outcomes[1].problem
    assert {outcome.scene for outcome in outcomes if outcome is not outcomes[1]} == {"bus"}


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f4", "f8", ">f8", np.longdouble])
def test_floats_of_any_size_and_byte_order_have_their_level(dtype):
    rng = np.random.default_rng(0)
    recording = Recording(rng.normal(0, 0.1, (16000, 2)).astype(dtype), 16000)
    assert len(np.concatenate(list(recording.read_blocks(1.0)))) == 16000
    assert recording.remarks.loudest_dbfs == pytest.approx(-20, abs=0.1)


def test_the_part_of_another_folders_file_is_not_read(tmp_path, monkeypatch):
    for number, folder in enumerate(("first", "second")):
        (tmp_path / folder).mkdir()
        samples = np.full(16000, 0.1 + 0.1 * number)
        soundfile.write(tmp_path / folder / "a.wav", samples, 16000, "FLOAT")
    monkeypatch.chdir(tmp_path / "first")
    recording = Recording("a.wav", None)
    list(recording.read_blocks(1.0))
    recording.sample_rate_hz = recording.own_rate_hz
    monkeypatch.chdir(tmp_path / "second")
    np.testing.assert_allclose(recording.read_part(0.0, 0.5), 0.1, atol=1e-6)


def test_the_part_of_a_file_that_was_recorded_anew_is_an_error(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.full(16000, 0.1), 16000, "FLOAT")
    recording = Recording(path, None)
    list(recording.read_blocks(1.0))
    recording.sample_rate_hz = recording.own_rate_hz
    assert len(recording.read_part(0.0, 0.5)) == 8000
    before = os.stat(path)
    soundfile.write(path, np.full(16000, 0.2), 16000, "FLOAT")
    # The clock of the disk may be slower than this test.
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(AudioError, match="has changed since its scene was predicted"):
        recording.read_part(0.0, 0.5)
    path.unlink()
    with pytest.raises(AudioError, match="There is no file"):
        recording.read_part(0.0, 0.5)
