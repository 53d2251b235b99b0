"""What was exported answers like the run it came from, without our package, at every rate."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import small_corpus
import soundfile
import soxr

from crossask import config, export, feature_cache, runs, training
from crossask.datasets import read_corpus
from crossask.errors import AudioError, CrossaskError
from crossask.prediction import Classifier


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return read_corpus("folder", small_corpus.write(tmp_path_factory.mktemp("corpus")))


@pytest.fixture(scope="module", params=[small_corpus.FA, small_corpus.FEATURE_BASED, small_corpus.CMAM], ids=lambda row: row.name)
def exported(request, corpus, tmp_path_factory):
    """(run, its predictions, a Classifier of its export, the export's folder)"""
    folder = tmp_path_factory.mktemp("runs")
    row = config.override(request.param, {"training.epochs": 2, "features.sample_rate_hz": 24000})
    if row.event_input == "embedding":
        from crossask import events

        events.build(row.event_model).save_npz(folder / "events.npz")
        row = config.override(row, {"event_model.weights": str(folder / "events.npz")})
    cache = feature_cache.prepare(corpus, row, folder / "features")
    run = runs.run_at(folder, row.name, "1", 0)
    training.train(run, row, corpus, cache)
    out = export.export_run(run, folder / "model")
    return run, training.predict(run, corpus, cache), Classifier(out), out


def test_predict_on_files_equals_evaluate_on_the_fold(exported, corpus):
    _, table, classifier, _ = exported
    paths = {clip.id: clip.path for clip in corpus.clips}
    for _, row in table.iterrows():
        answer = classifier.predict_file(paths[row["clip"]])
        np.testing.assert_allclose([answer.probabilities[s] for s in ("a", "b")], row[["a", "b"]].astype(float), atol=1e-5)


def test_another_rate_and_mono_change_little(exported, corpus):
    _, _, classifier, _ = exported
    waveform, rate = soundfile.read(corpus.clips[0].path, always_2d=True)
    expected = classifier.predict_waveform(waveform.astype(np.float32), rate)
    resampled = soxr.resample(waveform, rate, 48000, quality="VHQ").astype(np.float32)
    np.testing.assert_allclose(classifier.predict_waveform(resampled, 48000), expected, atol=0.02)
    both = np.repeat(waveform[:, :1], 2, axis=1).astype(np.float32)
    np.testing.assert_allclose(classifier.predict_waveform(both[:, :1], rate), classifier.predict_waveform(both, rate), atol=1e-6)


def test_a_long_recording_is_heard_in_windows(exported):
    _, _, classifier, _ = exported
    rng = np.random.default_rng(0)
    first, second = (rng.normal(0, 0.1, (32000, 2)).astype(np.float32) for _ in range(2))
    whole = classifier.predict_waveform(np.concatenate([first, second]), 16000)
    apart = (classifier.predict_waveform(first, 16000) + classifier.predict_waveform(second, 16000)) / 2
    np.testing.assert_allclose(whole, apart, atol=1e-6)


def test_it_answers_the_same_where_our_package_is_not(exported, corpus, tmp_path):
    _, _, classifier, out = exported
    waveform, rate = soundfile.read(corpus.clips[3].path, always_2d=True, dtype="float32")
    np.save(tmp_path / "waveform.npy", waveform[np.newaxis])
    code = (
        # an import of a module that is None fails, whatever the environment holds
        "import sys; sys.modules.update(dict.fromkeys(('crossask', 'tf_keras', 'tensorflow_hub', 'official')))\n"
        "import numpy as np, tensorflow as tf\n"
        f"model = tf.saved_model.load({str(out)!r}).signatures['serving_default']\n"
        f"answer = model(waveform=np.load({str(tmp_path / 'waveform.npy')!r}), sample_rate_hz=tf.constant({rate}))\n"
        "print(answer['probabilities'].numpy()[0].tolist())"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    np.testing.assert_allclose(json.loads(done.stdout), classifier.predict_waveform(waveform, rate), atol=1e-6)


def test_class_names_and_the_model_card_travel_with_it(exported):
    run, _, classifier, _ = exported
    assert classifier.scenes == ("a", "b")
    assert classifier.card["experiment"] == run.read("config.json")["experiment"]
    assert classifier.card["training"] == run.read("result.json")


def test_an_unknown_rate_is_an_error_that_lists_the_known(exported):
    with pytest.raises(AudioError, match="44100"):
        exported[2].predict_waveform(np.zeros((32000, 2), np.float32), 12345)


def test_the_graph_itself_refuses_an_unknown_rate_and_three_channels(exported):
    import tensorflow as tf

    signature = exported[2]._model.signatures["serving_default"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="8000, 11025"):
        signature(waveform=tf.zeros([1, 32000, 2]), sample_rate_hz=tf.constant(12345))
    with pytest.raises(tf.errors.InvalidArgumentError, match="1 or 2 channels"):
        signature(waveform=tf.zeros([1, 32000, 3]), sample_rate_hz=tf.constant(16000))


def test_an_existing_folder_is_not_overwritten(exported):
    run, _, _, out = exported
    with pytest.raises(CrossaskError, match="exists already"):
        export.export_run(run, out)


def test_a_folder_that_is_no_export_is_refused(tmp_path):
    with pytest.raises(CrossaskError, match="not a model"):
        Classifier(tmp_path)
    assert dataclasses.is_dataclass(small_corpus.FA)
