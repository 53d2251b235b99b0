"""A SavedModel as event model, from the recordings to the exported model."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import small_corpus
import tensorflow as tf

from crossask import config, events, hear, models, serving, training
from crossask.cli import describe, export
from crossask.errors import CrossaskError, WeightsError
from crossask.features.cache import prepare_features
from crossask.serving import Classifier, litert
from crossask.training import network, network_size, run_folder

RATE = 24000
WIDTH = 16
# Half a second at 24 kHz: four in a clip of 2 s.
FRAME = 12000


def write_model(folder, seed=0, fft_size=128):
    """Saves an event model of another project: frames of 0.5 s, their spectrum, and a matrix."""

    class Events(tf.Module):
        def __init__(self):
            super().__init__()
            kernel = np.random.default_rng(seed).normal(0, 0.1, (fft_size // 2 + 1, WIDTH))
            self.kernel = tf.Variable(kernel.astype(np.float32))

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
        def __call__(self, waveform):
            frames = tf.reshape(waveform, [-1, FRAME])[:, :fft_size]
            spectrum = tf.abs(tf.signal.rfft(frames, [fft_size]))  # [n, fft_size / 2 + 1]
            embedding = tf.matmul(spectrum, self.kernel)
            return tf.nn.softmax(embedding), embedding

    tf.saved_model.save(Events(), str(folder))
    return folder


def row_with(folder, system="CMAM"):
    return config.override(
        small_corpus.FEATURE_BASED,
        {
            "name": system.lower(),
            "system": system,
            "training.epochs": 1,
            "event_model.name": "saved_model",
            "event_model.weights": str(folder),
            "event_model.sample_rate_hz": RATE,
            "event_model.output": 1,
        },
    )


@dataclasses.dataclass(frozen=True)
class Made:
    """A trained run, its predictions of the fold, and the model exported from it."""

    run: run_folder.Run
    predictions: dict[str, list[float]]
    model: Path
    folder: Path


@pytest.fixture(scope="module")
def made(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("any_event_model")
    row = row_with(write_model(folder / "events"))
    run, cache = small_corpus.train(row, corpus, folder)
    assert cache.shapes["embedding"] == (4, WIDTH)
    table = training.predict(run, corpus, cache).set_index("clip")
    model = serving.export_run(run, folder / "model")
    return Made(run, table[["a", "b"]].astype(float).T.to_dict("list"), model, folder)


@pytest.mark.trains
def test_the_exported_model_contains_it_and_predicts_like_the_run(made, corpus):
    # The exported model needs the event model no more.
    (made.folder / "events").rename(made.folder / "moved")
    classifier = Classifier(made.model)
    (made.folder / "moved").rename(made.folder / "events")
    paths = {clip.id: clip.path for clip in corpus.clips}
    for clip_id, expected in made.predictions.items():
        found = classifier.predict(paths[clip_id]).probabilities
        np.testing.assert_allclose([found["a"], found["b"]], expected, atol=1e-5)
    assert classifier.card["front_end"]["events"] == {
        "patches": "waveform",
        "sample_rate_hz": RATE,
        "level_dbfs": None,
    }
    # Longer than a clip, so that the graph reads several windows at once.
    long = np.random.default_rng(0).normal(0, 0.1, (5 * 16000, 1)).astype(np.float32)
    assert classifier.embed(long, 16000).events.shape[1:] == (4, WIDTH)
    assert len(classifier.predict(long, 16000).timeline) == 4
    # The times of its embeddings are not known, so HEAR gets those of windows 1 s apart.
    timestamps, times = hear.get_timestamp_embeddings(long.T, hear.load_model(str(made.model)))
    np.testing.assert_allclose(times[0], [1000, 2000, 3000, 4000])
    assert timestamps.shape[:2] == (1, 4)


@pytest.mark.trains
def test_the_export_runs_without_this_package(made, corpus):
    code = (
        "import sys, soundfile, tensorflow as tf\n"
        "waveform, rate = soundfile.read(sys.argv[2], dtype='float32', always_2d=True)\n"
        "model = tf.saved_model.load(sys.argv[1]).signatures['serving_default']\n"
        "found = model(waveform=tf.constant(waveform[None]), sample_rate_hz=tf.constant(rate))\n"
        "assert not any(name.startswith('crossask') for name in sys.modules)\n"
        "print(*found['probabilities'].numpy()[0])\n"
    )
    clip_id, expected = next(iter(made.predictions.items()))
    path = next(clip.path for clip in corpus.clips if clip.id == clip_id)
    command = [sys.executable, "-c", code, str(made.model), path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    np.testing.assert_allclose([float(word) for word in done.stdout.split()], expected, atol=1e-5)


@pytest.mark.trains
def test_other_content_has_other_features_and_a_run_keeps_to_its_own(made, corpus, tmp_path):
    features = made.folder / "features"
    moved = tmp_path / "moved"
    (made.folder / "events").rename(moved)
    first = prepare_features(corpus, row_with(moved), features)
    write_model(made.folder / "events", seed=1)
    with pytest.raises(WeightsError, match="trained on the embeddings of other weights"):
        network.frozen_event_model(made.run)
    other = prepare_features(corpus, row_with(made.folder / "events"), features)
    assert other.folders["embedding"] != first.folders["embedding"]
    assert other.folders["log_mel"] == first.folders["log_mel"]
    # The event model reads 24 kHz and the scene model 16 kHz. A recording of another rate would be
    # converted to 24 kHz first, so the log-mel is not that of rows without this event model.
    plain = prepare_features(corpus, small_corpus.FA, features)
    assert plain.folders["log_mel"] != first.folders["log_mel"]
    # The path does not matter, so only the other content has another folder.
    assert len(list(features.glob("embedding-*"))) == 2
    shutil.rmtree(made.folder / "events")
    moved.rename(made.folder / "events")


def clip_model(folder):
    row = row_with(folder, "LINEAR")
    event_model = events.build(row.event_model)
    scene_model = models.build("LINEAR", 2, row.model)
    scene_model({"embedding": tf.zeros([1, 4, WIDTH])})
    return litert.ClipModel(row, scene_model, event_model)


def test_a_litert_file_contains_it_or_says_what_is_missing(tmp_path):
    model = clip_model(write_model(tmp_path / "events"))
    clips = litert._test_clips(model.shape[1:])
    path = tmp_path / "model.tflite"
    path.write_bytes(litert._convert(model, "linear", "float32", clips))
    assert litert._check_agreement(model, path, "float32", clips)["same_top_scene"] == 1
    # LiteRT has no Fourier transform of this length, and the converter does not say so.
    model = clip_model(write_model(tmp_path / "odd", fft_size=126))
    path.write_bytes(litert._convert(model, "linear", "float32", clips))
    with pytest.raises(CrossaskError, match=r"LiteRT cannot run the converted file.*RFFT2D"):
        litert._check_agreement(model, path, "float32", clips)


@pytest.mark.trains
def test_int8_is_refused(made, corpus, tmp_path):
    recordings = str(Path(corpus.clips[0].path).parent)
    with pytest.raises(CrossaskError, match="SavedModel with its own front-end"):
        serving.export_litert(made.run, tmp_path / "model.tflite", "int8", recordings)
    assert not list(tmp_path.iterdir())


def test_a_row_is_described_with_the_sizes_that_are_known(tmp_path, capsys):
    row = row_with(write_model(tmp_path / "events"))
    size = network_size.row_size(row, 2)
    assert (size.event.parameters, size.event.trained) == (65 * WIDTH, 0)
    assert size.shapes["embedding"] == (4, WIDTH)
    card = {
        "agreement": {
            "on": "noise",
            "clips": 1,
            "same_top_scene": 1.0,
            "mean_difference": 0.0,
            "largest_difference": 0.0,
        },
        "parameters": 1000,
        "precision": "float32",
        "clip_seconds": 2.0,
        "peak_activation_bytes": 1,
        "peak_activation_bytes_of_network": 1,
        "file_bytes": 1,
    }
    assert "those of the event model are not counted" in "\n".join(
        export.litert_summary(card, size)
    )
    (tmp_path / "row.json").write_text(json.dumps(config.to_dict(row)))
    rows = small_corpus.write_rows(tmp_path / "rows.py", "FEATURE_BASED")
    command = ["crossask-describe", f"--experiment={rows}", f"--config_file={tmp_path}/row.json"]
    assert describe.main(command) == 0
    assert " 1,040 " in capsys.readouterr().out
