"""Silence: recordings without sound, whatever else is in their samples."""

import json

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from crossask.audio import remarks
from crossask.cli import predict
from crossask.serving import Classifier, prediction_lines, words


def silence(rng, kind, samples=32000):
    if kind == "zeros":
        return np.zeros((samples, 2))
    if kind == "a constant offset":
        return np.full((samples, 2), 0.01)
    # Dithered 16-bit samples: noise of one step.
    return np.round(rng.triangular(-1, 0, 1, (samples, 2))) / 32768


@pytest.fixture(scope="module")
def model(exports):
    return Classifier(exports[1])


@pytest.mark.parametrize("kind", ["zeros", "a constant offset", "the noise of 16 bits"])
def test_silence_is_recognised_as_such(model, kind):
    waveform = silence(np.random.default_rng(0), kind)
    prediction = model.predict(waveform, 16000)
    assert prediction.is_silent
    assert not prediction.is_sure
    assert prediction_lines.prediction_line(prediction, "text") == "the array: silent\n"
    assert -200 <= prediction.level_dbfs < remarks.SILENCE_DBFS


def test_the_timeline_of_silence_has_no_scenes(model):
    prediction = model.predict(np.zeros(16000 * 3), 16000)
    assert prediction_lines.timeline_lines(prediction, "text") == (
        "00:00:00 to 00:00:02 silent\n00:00:01 to 00:00:03 silent\n"
    )
    labels = prediction_lines.timeline_lines(prediction, "audacity")
    assert labels == "0.000000\t3.000000\tsilent\n"


@pytest.mark.parametrize("file_format", ["text", "json", "audacity"])
def test_all_windows_of_a_silent_recording_are_silent(model, file_format):
    # The conversion of the rate rings at the end of this offset, in the last window.
    prediction = model.predict(np.full((37000 * 4, 2), 0.5), 37000)
    assert prediction.is_silent
    assert [segment.is_silent for segment in prediction.timeline] == [True, True, True]
    lines = prediction_lines.timeline_lines(prediction, file_format).splitlines()
    if file_format == "json":
        assert [json.loads(line)["silent"] for line in lines] == [True, True, True]
    else:
        assert {line.split()[-1] for line in lines} == {"silent"}


@pytest.mark.parametrize("rate", [16000, 37000])
def test_a_recording_whose_windows_are_all_silent_is_silent(model, rate):
    # A faint click in the last hundredth of a second, which alone is louder than silence.
    waveform = np.zeros((8 * rate + rate // 100, 2))
    click = np.random.default_rng(0).normal(0, 3e-4, (rate // 100, 2))
    waveform[-len(click) :] = click
    prediction = model.predict(waveform, rate)
    assert all(segment.is_silent for segment in prediction.timeline)
    assert prediction.is_silent
    assert not prediction.is_sure


def test_one_loud_window_is_enough_for_a_recording_that_is_not_silent(model):
    rng = np.random.default_rng(0)
    waveform = silence(rng, "zeros", samples=16000 * 8)
    # A window lasts 2 s.
    waveform[16000 * 4 : 16000 * 6] = rng.normal(0, 0.1, (32000, 2))
    prediction = model.predict(waveform, 16000)
    assert not prediction.is_silent
    assert prediction.level_dbfs == pytest.approx(-20, abs=0.5)


def test_silent_windows_have_no_scene_and_do_not_count_for_the_recording(model):
    waveform = np.zeros((16000 * 8, 2))
    # Three of seven windows of 2 s, which overlap by half, contain sound.
    waveform[16000 * 3 : 16000 * 5] = np.random.default_rng(0).normal(0, 0.1, (32000, 2))
    prediction = model.predict(waveform, 16000)
    silent = [segment.is_silent for segment in prediction.timeline]
    assert silent == [True, True, False, False, False, True, True]
    with_sound = [segment.probabilities for segment in prediction.timeline[2:5]]
    for scene, probability in prediction.probabilities.items():
        assert probability == pytest.approx(np.mean([window[scene] for window in with_sound]))
    explained = prediction.explain()
    assert explained.start_seconds in (2, 3, 4)

    lines = prediction_lines.timeline_lines(prediction, "text").splitlines()
    assert [line.endswith(" silent") for line in lines] == silent
    labels = [label.scene for label in prediction_lines.labels(prediction.timeline)]
    assert labels[0] == labels[-1] == prediction_lines.SILENT
    assert labels.count(prediction_lines.SILENT) == 2
    objects = prediction_lines.timeline_lines(prediction, "json").splitlines()
    assert [json.loads(line)["silent"] for line in objects] == silent
    assert "silence (0:00 to" in words.over_time_in_words(prediction)


def test_the_graph_alone_leaves_out_silent_windows_too(model, exports):
    rng = np.random.default_rng(0)
    waveforms = np.zeros((3, 16000 * 8, 2), np.float32)
    # An offset is no sound.
    waveforms[0] = 0.25
    waveforms[0, 16000 * 3 : 16000 * 5] += rng.normal(0, 0.1, (32000, 2))
    waveforms[1, 16000 * 7 :] = rng.normal(0, 0.003, (16000, 2))
    served = tf.saved_model.load(exports[1]).signatures["serving_default"]
    found = served(waveform=tf.constant(waveforms), sample_rate_hz=tf.constant(16000))
    for number, waveform in enumerate(waveforms):
        expected = model.predict(waveform, 16000).probabilities
        scenes = [scene.decode() for scene in found["scenes"][number].numpy()]
        probabilities = found["probabilities"][number].numpy()
        assert dict(zip(scenes, probabilities, strict=True)) == pytest.approx(expected, abs=1e-6)


def test_a_silent_recording_is_logged(exports, tmp_path, capsys):
    soundfile.write(tmp_path / "off.wav", np.zeros((32000, 2)), 16000)
    words = ["crossask-predict", f"--model={exports[1]}", "--format=csv", str(tmp_path / "off.wav")]
    assert predict.main(words) == 0
    assert "off.wav is silent (level -200 dBFS)" in capsys.readouterr().err
