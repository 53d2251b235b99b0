"""What the page takes from a visitor, and which names it uses."""

from unittest import mock

import media_files
import numpy as np
import pytest
import soundfile

from crossask.app import outcomes
from crossask.errors import AudioError
from crossask.serving import Classifier
from crossask.serving.sources import RecordingFile


@pytest.fixture(scope="module")
def models(exports):
    return {"fa": Classifier(exports[1])}


def write_noise(path, seconds):
    noise = np.random.default_rng(0).normal(0, 0.1, (round(16000 * seconds), 1))
    soundfile.write(path, noise, 16000)
    return str(path)


def test_equal_names_are_numbered():
    paths = ["/x/1/a.wav", "/x/2/a.wav", "/x/3/a (2).wav", "/x/4/a.wav", "/x/5/b"]
    assert outcomes.unique_names(paths) == [
        "a.wav",
        "a (2).wav",
        "a (2) (2).wav",
        "a (3).wav",
        "b",
    ]


def test_one_file_that_cannot_be_used_does_not_stop_the_others(models, tmp_path):
    (tmp_path / "empty.wav").touch()
    paths = [str(tmp_path / "empty.wav"), write_noise(tmp_path / "noise.wav", seconds=2)]
    reported = []
    empty, noise = outcomes.classify(
        models, paths, outcomes.Limits(), lambda *values: reported.append(values)
    )
    assert empty.predictions == ()
    assert empty.problem == ("empty.wav is empty (0 bytes). Record it again, or leave it out.")
    assert noise.problem == ""
    assert noise.predictions[0].source == "noise.wav"
    assert reported == [(0, 2, "empty.wav"), (1, 2, "noise.wav")]


def test_no_recording_is_refused_by_an_estimate_of_its_length(tmp_path):
    # FFmpeg estimates the length from the bit rate of the start, which is silent here.
    waveform = np.random.default_rng(0).normal(0, 0.1, (6 * 48000, 1)).clip(-0.9, 0.9)
    waveform[: 2 * 48000] = 0
    path = media_files.write(tmp_path / "a.aac", waveform, 48000, "aac")
    limits = outcomes.Limits(minutes=0.125)  # 7.5 s
    assert outcomes.reading.seconds_of(path) > 60 * limits.minutes
    model = mock.Mock()
    model.predict_each.return_value = iter(["the prediction"])
    recording = RecordingFile(str(path), "a.aac")
    assert outcomes.predict(model, recording, limits) == "the prediction"


def test_a_recording_above_the_limit_is_refused(models, tmp_path, monkeypatch):
    limits = outcomes.Limits(minutes=0.1)  # 6 s
    fits = write_noise(tmp_path / "fits.wav", seconds=6)
    long = write_noise(tmp_path / "long.wav", seconds=6.5)
    found = outcomes.classify(models, [fits, long], limits)
    assert found[0].problem == ""
    assert found[1].problem.startswith("long.wav is longer than 0.1 minutes")
    # The header may contain no length, or a wrong one.
    unknown = outcomes.reading.FileFacts(0.0, 16000, 1, has_exact_seconds=False)
    monkeypatch.setattr(outcomes.reading, "facts_of", lambda path: unknown)
    longer = write_noise(tmp_path / "longer.wav", seconds=60)
    for path in (long, longer):
        (outcome,) = outcomes.classify(models, [path], limits)
        assert "is longer than 0.1 minutes" in outcome.problem
        assert str(tmp_path) not in outcome.problem


def test_a_recording_without_a_length_is_read_up_to_the_limit_alone(models, tmp_path, monkeypatch):
    unknown = outcomes.reading.FileFacts(0.0, 16000, 1, has_exact_seconds=False)
    monkeypatch.setattr(outcomes.reading, "facts_of", lambda path: unknown)
    blocks_read = []
    (model,) = models.values()
    windows_of = model._windows

    def counted(recording):
        for window in windows_of(recording):
            blocks_read.append(window.start)
            yield window

    monkeypatch.setattr(model, "_windows", counted)
    long = write_noise(tmp_path / "long.wav", seconds=120)
    outcomes.classify(models, [long], outcomes.Limits(minutes=0.1))
    # Two batches of eight windows pass the limit; 120 s have 119 windows.
    assert len(blocks_read) < 20


def test_too_many_files_are_refused():
    limits = outcomes.Limits(files=2)
    outcomes.check_count(["a", "b"], limits)
    with pytest.raises(AudioError, match="3 files are more"):
        outcomes.check_count(["a", "b", "c"], limits)
