"""Exports of a row whose frozen event model computes in bfloat16 (event_model.precision)."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import small_corpus
import soundfile

from crossask import config, events, serving, training
from crossask.features.computation import ClipFeatures
from crossask.serving import Classifier, litert
from crossask.training import run_folder

pytestmark = pytest.mark.trains


@dataclasses.dataclass(frozen=True)
class Finished:
    """A run, and its predictions of the fold."""

    run: run_folder.Run
    predictions: pd.DataFrame


@pytest.fixture(scope="module")
def finished(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("half")
    row = config.override(
        small_corpus.FEATURE_BASED,
        {"training.epochs": 1, "event_model.precision": "mixed_bfloat16"},
    )
    events.build(row.event_model).save_npz(folder / "events.npz")
    row = config.override(row, {"event_model.weights": str(folder / "events.npz")})
    run, cache = small_corpus.train(row, corpus, folder)
    return Finished(run, training.predict(run, corpus, cache))


@pytest.fixture(scope="module")
def clips(corpus, finished):
    """Returns the clips of the fold in the order of the predictions."""
    by_id = {clip.id: clip for clip in corpus.clips}
    return [by_id[clip_id] for clip_id in finished.predictions["clip"]]


def embeddings_of(clips, row):
    """Returns the embeddings [clips, patches, E] of a row, as `prepare` computes them."""
    features = ClipFeatures(row, events.frozen(row))
    return np.array([features(clip, ["embedding"]).values["embedding"] for clip in clips])


def expected_probabilities(finished):
    return finished.predictions[["a", "b"]].to_numpy(float)


def test_the_saved_model_computes_the_embeddings_of_the_training(finished, clips, tmp_path):
    classifier = Classifier(serving.export_run(finished.run, tmp_path / "model"))
    row = finished.run.experiment()
    served = []
    probabilities = []
    for clip in clips:
        waveform, rate = soundfile.read(clip.path, dtype="float32", always_2d=True)
        served.append(classifier.embed(waveform, rate).events[0])
        prediction = classifier.predict(waveform, rate)
        probabilities.append(list(prediction.probabilities.values()))
    trained = embeddings_of(clips, row)
    exact = embeddings_of(clips, config.override(row, {"event_model.precision": "float32"}))
    # A value that is rounded in the other direction is as far away as float32, but few are.
    assert np.abs(served - trained).mean() < 0.1 * np.abs(exact - trained).mean()
    np.testing.assert_allclose(probabilities, expected_probabilities(finished), atol=1e-3)


def test_a_litert_file_computes_in_float32_and_says_so(finished, clips, tmp_path, caplog):
    card = serving.export_litert(finished.run, tmp_path / "model.tflite")
    assert "computes in float32, and in training it computed in mixed_bfloat16" in caplog.text
    assert 0 < card["agreement"]["largest_difference"] < 1e-4
    waveforms = [soundfile.read(clip.path, dtype="float32", always_2d=True)[0] for clip in clips]
    found = litert.Interpreter(tmp_path / "model.tflite").predict(waveforms)
    difference = np.abs(found - expected_probabilities(finished)).max()
    assert 1e-4 < difference < 0.01
