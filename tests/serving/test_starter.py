"""The starter model: its facts, its head, and its answers with the real YAMNet."""

import json
import shutil
import time
from concurrent import futures

import numpy as np
import pytest
import soundfile

import crossask
from crossask import stored
from crossask.cli import main
from crossask.errors import WeightsError
from crossask.events import assets
from crossask.serving import prediction_lines, saved_model, starter

FREE = ("CC0", "CC-BY-4.0", "see SOUNDS_LICENSING.md")


def test_the_facts_say_what_it_was_trained_and_tested_on():
    facts = starter.starter_facts()
    assert facts["trained_on"]
    for recording in facts["trained_on"]:
        assert recording["licence"].startswith(FREE)
        assert recording["source"]
    tested = facts["other_source"]
    assert tested["macro_accuracy"] >= 0.7
    low, high = tested["interval"]
    assert low < tested["macro_accuracy"] < high
    accuracies = []
    for scene, found in tested["by_scene"].items():
        assert scene in facts["scenes"]
        accuracies.append(found["right"] / found["recordings"])
    np.testing.assert_allclose(np.mean(accuracies), tested["macro_accuracy"])


def test_the_head_fits_yamnet_and_the_scenes():
    scenes = len(starter.starter_facts()["scenes"])
    with np.load(starter.HEAD) as head:
        assert head["kernel"].shape == (1024, scenes)
        assert head["bias"].shape == (scenes,)
        assert np.isfinite(head["kernel"]).all()


def test_without_yamnet_the_error_names_the_other_way(monkeypatch, tmp_path):
    def fail(name, cache_dir=None):
        raise WeightsError(f"{name} is nowhere.", "Fetch it.")

    monkeypatch.setattr(assets, "fetch", fail)
    with pytest.raises(WeightsError, match=r"yamnet is nowhere\.\nFetch it\. Or use a model of"):
        starter.starter_model(tmp_path)


@pytest.fixture
def written(monkeypatch):
    """The folders that are written; each takes a moment, and must not exist."""
    folders = []

    def write(_make, _features, folder):
        assert not folder.exists()
        time.sleep(0.2)
        (folder / "assets").mkdir(parents=True)
        (folder / "saved_model.pb").write_bytes(b"model")
        stored.write_checksums(folder)
        folders.append(folder)

    monkeypatch.setattr(saved_model, "write_model", write)
    monkeypatch.setattr(assets, "fetch", lambda name, cache_dir: "yamnet.npz")
    return folders


def test_commands_that_use_it_for_the_first_time_at_once_write_it_once(written, tmp_path):
    with futures.ThreadPoolExecutor(2) as threads:
        first, second = threads.map(starter.starter_model, [tmp_path, tmp_path])
    assert first == second
    assert written == [first]


def test_a_cache_from_which_a_file_was_removed_is_written_again(written, tmp_path, caplog):
    folder = starter.starter_model(tmp_path)
    (folder / "saved_model.pb").unlink()
    assert starter.starter_model(tmp_path) == folder
    assert written == [folder, folder]
    (message,) = [text for text in caplog.messages if "written again" in text]
    assert "There is no" in message
    assert starter.starter_model(tmp_path) == folder
    assert written == [folder, folder]


@pytest.fixture
def cache(real_data, tmp_path, monkeypatch):
    """Returns a cache that has YAMNet."""
    shutil.copytree(real_data("yamnet_float"), tmp_path / "cache" / "yamnet")
    monkeypatch.setenv("CROSSASK_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.trains
def test_a_first_answer_needs_no_model(cache, real_data, tmp_path, capsys):
    sound = tmp_path / "rain.wav"
    waveform, rate = soundfile.read(
        real_data("ambience") / "audio" / "rain__moodist__rain-heavy-rain.ogg", frames=32000 * 20
    )
    soundfile.write(sound, waveform, rate)
    assert main.main(["crossask", "predict", "--format=json", str(sound)]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["scene"] == "rain"
    assert line["sure"] is True
    (folder,) = [path for path in cache.iterdir() if path.name.startswith("starter")]
    written = (folder / "saved_model.pb").stat().st_mtime_ns

    model = crossask.load()
    assert (folder / "saved_model.pb").stat().st_mtime_ns == written
    prediction = model.predict(waveform, sample_rate_hz=rate)
    assert prediction.probabilities == pytest.approx(line["probabilities"], abs=1e-3)
    found = [name for name, _ in prediction.explain().top_events(5)]
    assert "Rain" in found
    assert model.card["evaluation"]["macro_accuracy"] >= 0.7


@pytest.mark.trains
def test_an_answer_with_a_low_probability_is_not_sure(cache):
    model = crossask.load()
    noise = np.random.default_rng(0).normal(0, 0.05, (16000 * 10, 1)).astype(np.float32)
    model.least_probability = 0.0
    assert model.predict(noise, sample_rate_hz=16000).is_sure is True
    model.least_probability = 1.01
    prediction = model.predict(noise, sample_rate_hz=16000)
    probabilities = prediction.probabilities.values()
    assert prediction.is_sure is False
    text = prediction_lines.top_scenes_text(prediction, 1)
    assert text == f"not sure; perhaps {prediction.scene} {100 * max(probabilities):.1f} %"
