"""Embeddings of another toolkit, from the recordings to the exported model and crossask-predict."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import small_corpus
import soundfile
import tensorflow as tf

from crossask import config, serving, training
from crossask.cli import describe, predict
from crossask.errors import AudioError, CrossaskError, DataError
from crossask.features import records
from crossask.features.cache import prepare_features
from crossask.serving import Classifier
from crossask.serving.recording import Recording
from crossask.serving.recording_embeddings import RecordingEmbeddings
from crossask.training import network_size, run_folder

SHAPE = (6, 12)


def write_embeddings(path, names, shape=SHAPE):
    rng = np.random.default_rng(0)
    np.savez(path, **{name: rng.normal(size=shape).astype(np.float32) for name in names})
    return path


def row_with(path, system="CMAM"):
    return config.override(
        small_corpus.FEATURE_BASED,
        {
            "name": system.lower(),
            "system": system,
            "training.epochs": 1,
            "event_model.name": "precomputed",
            "event_model.embeddings": str(path),
        },
    )


@dataclasses.dataclass(frozen=True)
class Made:
    """A trained run of CMAM, its predictions of the fold, and the model exported from it."""

    run: run_folder.Run
    predictions: dict[str, list[float]]
    model: Path
    embeddings: Path


@pytest.fixture(scope="module")
def made(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("embeddings_of_others")
    path = write_embeddings(folder / "embeddings.npz", [clip.id for clip in corpus.clips])
    run, cache = small_corpus.train(row_with(path), corpus, folder)
    table = training.predict(run, corpus, cache).set_index("clip")
    model = serving.export_run(run, folder / "model")
    return Made(run, table[["a", "b"]].astype(float).T.to_dict("list"), model, path)


@pytest.mark.trains
def test_the_exported_model_takes_them_and_predicts_like_the_run(made, corpus):
    classifier = Classifier(made.model, embeddings=made.embeddings)
    paths = [clip.path for clip in corpus.clips if clip.id in made.predictions]
    for path, answer in zip(paths, classifier.predict_each(paths), strict=True):
        found = [answer.probabilities["a"], answer.probabilities["b"]]
        np.testing.assert_allclose(found, made.predictions[Path(path).name], atol=1e-5)
    signature = tf.saved_model.load(str(made.model)).signatures["serving_default"]
    inputs = signature.structured_input_signature[1]
    assert {name: spec.shape.as_list() for name, spec in inputs.items()} == {
        "waveform": [None, None, None],
        "sample_rate_hz": [],
        "embedding": [None, *SHAPE],
    }
    with np.load(made.embeddings) as file:
        given = file[Path(paths[0]).name]
    np.testing.assert_array_equal(classifier.embed(paths[0]).events, given[np.newaxis])
    assert classifier.predict(paths[0]).explain().attention["cross"].shape[-2] == SHAPE[0]
    values = {
        "waveform": tf.zeros([1, 32000, 1]),
        "sample_rate_hz": tf.constant(16000),
        "embedding": tf.zeros([1, *SHAPE]),
    }
    # max_cut_seconds is 0.5.
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be one clip"):
        signature(**values | {"waveform": tf.zeros([1, 40001, 1])})
    with pytest.raises(tf.errors.InvalidArgumentError, match="not finite"):
        signature(**values | {"embedding": tf.fill([1, *SHAPE], np.nan)})
    for waveforms, embeddings in ((2, 1), (1, 2)):
        batch = {
            "waveform": tf.zeros([waveforms, 32000, 1]),
            "embedding": tf.zeros([embeddings, *SHAPE]),
        }
        with pytest.raises(tf.errors.InvalidArgumentError, match="needs its embedding"):
            signature(**values | batch)


@pytest.mark.trains
def test_predict_needs_the_embeddings_of_each_recording(made, corpus, tmp_path, capsys):
    clip, other = corpus.clips[:2]
    command = ["crossask-predict", f"--model={made.model}", "--format=json"]
    assert predict.main([*command, clip.path]) == 2
    assert "needs the embeddings [6, 12] of each recording" in capsys.readouterr().err
    command.append(f"--embeddings={made.embeddings}")
    assert predict.main([*command, clip.path]) == 0
    assert set(json.loads(capsys.readouterr().out)["probabilities"]) == {"a", "b"}
    # Recordings without embeddings, and ones that are longer than a clip; the others are predicted.
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "new.wav", rng.normal(0, 0.1, (32000, 1)), 16000)
    soundfile.write(tmp_path / other.id, rng.normal(0, 0.1, (48000, 1)), 16000)
    words = [clip.path, str(tmp_path / "new.wav"), str(tmp_path / other.id)]
    assert predict.main([*command, *words]) == 3
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 1
    assert "has no embeddings of" in captured.err
    assert "lasts more than a clip of 2 s" in captured.err
    # Another recording of the same name would be predicted with the embeddings of the first one.
    shutil.copy(clip.path, tmp_path / clip.id)
    assert predict.main([*command, clip.path, str(tmp_path / clip.id)]) == 3
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 1
    assert f"would both have the embeddings {clip.id!r}" in captured.err
    # A window that starts soon after the first one does not hide the length of the recording.
    classifier = Classifier(made.model, hop_seconds=0.25, embeddings=made.embeddings)
    with pytest.raises(AudioError, match="lasts more than a clip of 2 s"):
        classifier.predict(tmp_path / other.id)
    # Up to max_cut_seconds is cut off.
    soundfile.write(tmp_path / other.id, rng.normal(0, 0.1, (36000, 1)), 16000)
    assert classifier.predict(tmp_path / other.id).seconds == 2
    with pytest.raises(AudioError, match="it is an array"):
        classifier.predict(np.zeros(32000), 16000)
    narrow = write_embeddings(tmp_path / "narrow.npz", ["a"], (6, 11))
    with pytest.raises(CrossaskError, match=r"are \[6, 11\], but the model"):
        Classifier(made.model, embeddings=narrow)


def test_embeddings_belong_to_one_recording(tmp_path):
    names = ["a.wav", "day1/b.wav", "day2/b.wav"]
    path = write_embeddings(tmp_path / "e.npz", names)
    embeddings = RecordingEmbeddings(path)

    def embedding_of(path):
        return embeddings.of(Recording(str(path), None))

    for name in names:
        with np.load(path) as file:
            expected = file[name]
        np.testing.assert_array_equal(embedding_of(tmp_path / name), expected)
        # The same file under another spelling of its path, and again.
        np.testing.assert_array_equal(embedding_of(f"{tmp_path}/x/../{name}"), expected)
    with pytest.raises(AudioError, match=r"day9/a\.wav would both have the embeddings 'a\.wav'"):
        embedding_of(tmp_path / "day9" / "a.wav")


@pytest.mark.trains
def test_a_model_of_short_clips_is_exported(made, corpus, tmp_path):
    # The shortest waveform that an exported model accepts is then a whole clip.
    # The recordings of the corpus last 2 s.
    short = {"features.clip_seconds": 1.0, "features.max_cut_seconds": 1.0}
    row = config.override(row_with(made.embeddings), short)
    run, _ = small_corpus.train(row, corpus, tmp_path)
    assert serving.export_run(run, tmp_path / "model").is_dir()


@pytest.mark.trains
def test_litert_is_refused(made, tmp_path):
    with pytest.raises(CrossaskError, match="reads embeddings from a file"):
        serving.export_litert(made.run, tmp_path / "model.tflite")


@pytest.mark.trains
@pytest.mark.parametrize("system", ["VEM", "JRM"])
def test_the_other_systems_are_trained_on_the_embeddings_of_their_clips(corpus, tmp_path, system):
    path = write_embeddings(tmp_path / "embeddings.npz", [clip.id for clip in corpus.clips])
    run, cache = small_corpus.train(row_with(path, system), corpus, tmp_path)
    assert run.finished
    stored = dict(records.read_clips(cache.shards("embedding")))
    with np.load(path) as file:
        for clip_id in file.files:
            np.testing.assert_array_equal(stored[clip_id], file[clip_id])
    # Another file has other features.
    other = write_embeddings(tmp_path / "other.npz", [clip.id for clip in corpus.clips], (6, 13))
    again = prepare_features(corpus, row_with(other, system), tmp_path / "features")
    assert again.folders["embedding"] != cache.folders["embedding"]
    assert again.shapes["embedding"] == (6, 13)


def test_clips_without_embeddings_stop_the_features_before_any_is_computed(corpus, tmp_path):
    names = [clip.id for clip in corpus.clips[1:]]
    path = write_embeddings(tmp_path / "embeddings.npz", names)
    with pytest.raises(DataError, match=f"of 1 of 24 clips: {corpus.clips[0].id}"):
        prepare_features(corpus, row_with(path), tmp_path / "features")
    # The hashes of the recordings are kept; no features are.
    names = {path.name for path in (tmp_path / "features").iterdir()}
    assert names <= {".lock", "recordings.json"}


def test_a_row_is_described_without_an_event_model(tmp_path, capsys):
    path = write_embeddings(tmp_path / "embeddings.npz", ["a.wav"])
    size = network_size.row_size(row_with(path, "JRM"), 2)
    assert size.event is None
    assert size.shapes["embedding"] == SHAPE
    rows = small_corpus.write_rows(tmp_path / "rows.py", "FEATURE_BASED")
    overrides = f"event_model.name=precomputed,event_model.embeddings={path}"
    command = ["crossask-describe", f"--experiment={rows}", f"--params_override={overrides}"]
    assert describe.main(command) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[-1] == "-"
