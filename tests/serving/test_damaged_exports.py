"""A damaged export is one error that names the file; nothing is predicted with it."""

import shutil

import damage
import numpy as np
import pytest
import small_corpus

from crossask import files, serving, stored
from crossask.serving import starter
from crossask.serving.litert_runner import LiteRTModel

NAMED = {"ids": lambda value: getattr(value, "__name__", value)}
CARD = {
    "clip_seconds": 2.0,
    "sample_rate_hz": 16000,
    "channels": 2,
    "scenes": ["a", "b"],
}
IN_SAVED_MODEL = [
    "saved_model.pb",
    "variables/variables.index",
    "variables/variables.data-00000-of-00001",
    "assets/model_card.json",
]


@pytest.fixture
def saved_model(exported, tmp_path):
    model = exported(small_corpus.FA_24_KHZ).model
    return shutil.copytree(model, tmp_path / "model")


def loaded(path):
    return serving.Classifier(path).card


@pytest.mark.parametrize("damaging", damage.ALL, **NAMED)
@pytest.mark.parametrize("name", IN_SAVED_MODEL)
def test_a_damaged_saved_model_is_not_loaded(saved_model, name, damaging):
    damaging(saved_model / name)
    _, error = damage.outcome(loaded, saved_model)
    assert damage.names(error, saved_model)


@pytest.mark.parametrize("damaging", damage.CONTENT, **NAMED)
def test_a_damaged_list_of_checksums_is_an_error(saved_model, damaging):
    card = stored.read_json(saved_model / IN_SAVED_MODEL[-1], "")
    damaging(saved_model / stored.FOLDER_LIST)
    found, error = damage.outcome(loaded, saved_model)
    # Without the line break at its end, the list is the same.
    assert found["scenes"] == card["scenes"] if error is None else damage.names(error, saved_model)


@pytest.mark.parametrize(
    "damaging", [damage.empty, damage.half, damage.text, damage.missing], **NAMED
)
@pytest.mark.parametrize("name", IN_SAVED_MODEL)
def test_a_saved_model_of_an_earlier_version_has_no_checksums(saved_model, name, damaging):
    (saved_model / stored.FOLDER_LIST).unlink()
    damaging(saved_model / name)
    _, error = damage.outcome(loaded, saved_model)
    assert damage.names(error, saved_model)


def test_a_saved_model_without_checksums_is_read(saved_model):
    card = loaded(saved_model)
    (saved_model / stored.FOLDER_LIST).unlink()
    files.write_json(saved_model / "assets" / "model_card.json", card)
    assert loaded(saved_model) == card


@pytest.fixture(scope="module")
def whole_litert(tmp_path_factory):
    """Returns a small LiteRT file with a card, written as `export_litert` does."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("litert")

    class Mean(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([1, 32000, 2], tf.float32, name="waveform")])
        def __call__(self, waveform):
            level = tf.reduce_mean(tf.abs(waveform), axis=[1, 2])
            return {"probabilities": tf.nn.softmax(tf.stack([level, 1 - level], axis=1))}

    model = Mean()
    tf.saved_model.save(model, str(folder / "saved"), {"serving_default": model.__call__})
    content = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved")).convert()
    (folder / "model.tflite").write_bytes(content)
    stored.write_json(folder / "model.json", CARD, ("model.tflite",))
    return folder


@pytest.fixture
def litert(whole_litert, tmp_path):
    for path in whole_litert.glob("model.*"):
        shutil.copyfile(path, tmp_path / path.name)
    return tmp_path / "model.tflite"


def predicted(path):
    waveform = np.random.default_rng(0).normal(0, 0.1, (1, 32000, 2)).astype(np.float32)
    return LiteRTModel(path).run("serving_default", waveform, 16000)["probabilities"].tolist()


@pytest.mark.parametrize("damaging", damage.ALL, **NAMED)
@pytest.mark.parametrize("name", ["model.tflite", "model.json"])
def test_a_damaged_litert_file_or_card_is_an_error(litert, name, damaging):
    pytest.importorskip("ai_edge_litert", reason="needs LiteRT: pip install 'crossask[lite]'")
    expected = predicted(litert)
    damaging(litert.with_name(name))
    found, error = damage.outcome(predicted, litert)
    # Without the line break at its end, a card is the same.
    assert found == expected if error is None else damage.names(error, name)


def test_a_litert_file_may_be_renamed_with_its_card(litert, tmp_path):
    pytest.importorskip("ai_edge_litert", reason="needs LiteRT: pip install 'crossask[lite]'")
    expected = predicted(litert)
    litert.rename(tmp_path / "other.tflite")
    litert.with_suffix(".json").rename(tmp_path / "other.json")
    assert predicted(tmp_path / "other.tflite") == expected


def test_a_damaged_starter_model_is_written_again(tmp_path, monkeypatch):
    written = []

    def write(make, features, folder):
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").write_bytes(b"model")
        stored.write_checksums(folder)
        written.append(folder)
        return folder

    monkeypatch.setattr("crossask.events.assets.fetch", lambda *arguments: tmp_path / "yamnet")
    monkeypatch.setattr("crossask.serving.saved_model.write_model", write)
    first = starter.starter_model(tmp_path)
    assert starter.starter_model(tmp_path) == first
    assert len(written) == 1
    (first / "saved_model.pb").write_bytes(b"modem")
    assert starter.starter_model(tmp_path) == first
    assert len(written) == 2
    assert (first / "saved_model.pb").read_bytes() == b"model"
