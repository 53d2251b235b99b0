"""Which SavedModels are loaded: those with a card of ours, and others that the user trusts."""

import json

import numpy as np
import pytest
import soundfile
import tensorflow as tf

import crossask
from crossask.cli import app, predict
from crossask.errors import CrossaskError
from crossask.serving.cards import read_card

FACTS = {"scenes": ["a", "b"], "clip_seconds": 1.0, "sample_rate_hz": 16000}
OURS = FACTS | {"crossask": "0.1.0", "experiment": {}}


class Foreign(tf.Module):
    """Writes a file when it runs, as the SavedModel of a stranger could."""

    def __init__(self, path):
        super().__init__()
        self.path = str(path)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, None], tf.float32, "waveform"),
            tf.TensorSpec([], tf.int32, "sample_rate_hz"),
        ]
    )
    def classify(self, waveform, sample_rate_hz):
        tf.io.write_file(self.path, "written by the model")
        return {"probabilities": tf.tile([[0.25, 0.75]], [tf.shape(waveform)[0], 1])}


def folder_with(tmp_path, card):
    folder = tmp_path / "model"
    (folder / "assets").mkdir(parents=True)
    (folder / "saved_model.pb").touch()
    if card is not None:
        text = card if isinstance(card, str) else json.dumps(card)
        (folder / "assets" / "model_card.json").write_text(text)
    return folder


def test_a_card_of_ours_is_read(tmp_path):
    card = read_card(folder_with(tmp_path, OURS | {"least_seconds": 0.5}))
    assert card | OURS == card
    assert card["least_seconds"] == 0.5


@pytest.mark.parametrize(
    ("card", "message"),
    [
        (None, "has no model card"),
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ([], "cannot be read"),
        (OURS | {"scenes": "bus"}, "no 'scenes' of the right type"),
        ({name: OURS[name] for name in ("scenes", "crossask")}, "no 'clip_seconds'"),
        (FACTS, "is not a model written by crossask-export: its card has no 'crossask'"),
        (FACTS | {"crossask": "0.1.0"}, "its card has no 'experiment'"),
    ],
)
def test_a_model_without_a_card_of_ours_is_refused_before_it_is_loaded(
    card, message, tmp_path, monkeypatch, capsys
):
    folder = folder_with(tmp_path, card)

    def load(*_):
        raise AssertionError("the graph was loaded")

    monkeypatch.setattr(tf.saved_model, "load", load)
    with pytest.raises(CrossaskError, match=message):
        crossask.load(folder)
    recording = tmp_path / "a.wav"
    recording.touch()
    assert predict.main(["crossask-predict", f"--model={folder}", str(recording)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert str(folder) in lines[0]


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), "ten", None])
def test_a_card_whose_numbers_mean_nothing_is_refused(tmp_path, value):
    for name in ("clip_seconds", "sample_rate_hz"):
        folder = folder_with(tmp_path / name, FACTS | {name: value})
        with pytest.raises(CrossaskError, match=f"model card .*'{name}'"):
            crossask.load(folder, trust_model=True)


def test_the_page_refuses_it_too(tmp_path, capsys):
    pytest.importorskip("gradio")
    folder = folder_with(tmp_path, FACTS)
    assert app.main(["crossask-app", f"--model={folder}", "--port=1"]) == 2
    assert "--trust_model" in capsys.readouterr().err


def test_a_foreign_model_that_is_trusted_predicts(tmp_path):
    """It also shows why it is refused: it writes a file when it runs."""
    folder = tmp_path / "model"
    written = tmp_path / "written"
    foreign = Foreign(written)
    signatures = {"serving_default": foreign.classify}
    tf.saved_model.save(foreign, str(folder), signatures=signatures)
    (folder / "assets").mkdir(exist_ok=True)
    (folder / "assets" / "model_card.json").write_text(json.dumps(FACTS))
    waveform = tf.random.stateless_normal([32000], seed=[0, 0]).numpy() * 0.1
    with pytest.raises(CrossaskError, match="trust_model=True"):
        crossask.load(folder)
    assert not written.exists()
    model = crossask.load(folder, trust_model=True)
    prediction = model.predict(waveform, 16000)
    assert prediction.probabilities == {"a": 0.25, "b": 0.75}
    model.scenes = ("a", "b", "c")
    with pytest.raises(CrossaskError, match="computes 2 probabilities, and its card lists 3"):
        model.predict(waveform, 16000)
    assert written.read_text() == "written by the model"


WAVEFORM = tf.TensorSpec([None, None, None], tf.float32, "waveform")
RATE = tf.TensorSpec([], tf.int32, "sample_rate_hz")


@pytest.mark.parametrize(
    ("name", "inputs", "output", "message"),
    [
        ("classify", [WAVEFORM, RATE], "probabilities", "has no signature 'serving_default'"),
        (
            "serving_default",
            [WAVEFORM],
            "probabilities",
            "takes waveform float32 (None, None, None) in place",
        ),
        (
            "serving_default",
            [tf.TensorSpec([None, None], tf.float32, "waveform"), RATE],
            "probabilities",
            "in place of waveform float32 (3, 16000, 2), sample_rate_hz int32 ()",
        ),
        (
            "serving_default",
            [WAVEFORM, RATE],
            "scores",
            "has no output 'probabilities', but scores",
        ),
    ],
)
def test_a_trusted_model_with_another_signature_is_an_error(
    tmp_path, capsys, name, inputs, output, message
):
    folder = tmp_path / "model"
    foreign = tf.Module()

    @tf.function(input_signature=inputs)
    def classify(waveform, sample_rate_hz=16000):
        return {output: tf.tile([[0.25, 0.75]], [tf.shape(waveform)[0], 1])}

    foreign.classify = classify
    tf.saved_model.save(foreign, str(folder), signatures={name: classify})
    (folder / "assets").mkdir(exist_ok=True)
    (folder / "assets" / "model_card.json").write_text(json.dumps(FACTS))
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 32000), 16000)
    words = ["crossask-predict", f"--model={folder}", "--trust_model", str(tmp_path / "a.wav")]
    assert predict.main(words) == 2
    assert message in capsys.readouterr().err
