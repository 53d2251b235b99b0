"""Precomputed embeddings: parts and folds, from the file to a trained and scored row."""

import dataclasses

import numpy as np
import pytest
import small_corpus

from crossask import config, evaluation, grid, serving, training
from crossask.datasets import read_corpus, training_parts
from crossask.errors import ConfigError, DataError
from crossask.features.cache import prepare_features
from crossask.grid import preflight
from crossask.training import run_folder

ROW = dataclasses.replace(
    small_corpus.FEATURE_BASED, name="vem", system="VEM", dataset="embeddings", folds=("unseen",)
)


def arrays(**changes):
    """Three parts of two scenes, which differ in the sign of the embeddings; None removes one."""
    rng = np.random.default_rng(0)
    made = {"class_names": np.array(["a", "b"])}
    for part, clips in (("train", 24), ("val", 8), ("unseen", 12)):
        labels = np.arange(clips) % 2
        signs = 2 * labels - 1
        noise = rng.normal(0, 0.2, (clips, 2, 128))
        made[f"{part}_y"] = labels
        made[f"{part}_x"] = (noise + signs[:, np.newaxis, np.newaxis]).astype(np.float32)
    made.update(changes)
    return {name: value for name, value in made.items() if value is not None}


@pytest.fixture
def write(tmp_path):
    """Returns a function that writes the arrays with changes and returns the path."""

    def write(**changes):
        path = tmp_path / "made.npz"
        np.savez(path, **arrays(**changes))
        return path

    return write


def test_parts_are_folds_with_their_own_validation(write):
    corpus = read_corpus("embeddings", write())
    (fold,) = corpus.folds
    assert (fold.name, len(fold.train), len(fold.evaluation)) == ("unseen", 32, 12)
    training_part, validation_part = training_parts(corpus, fold, 0.3, 0)
    assert training_part == tuple(f"train/{number:06d}" for number in range(24))
    assert validation_part == tuple(f"val/{number:06d}" for number in range(8))
    assert {clip.location for clip in corpus.clips} == {""}


def test_names_in_bytes_are_read_as_text(write):
    names = {"class_names": np.array([b"caf\xc3\xa9", b"park"])}
    for part, clips in (("train", 24), ("val", 8), ("unseen", 12)):
        names[f"{part}_location"] = np.array([f"{part}{n // 2}".encode() for n in range(clips)])
    corpus = read_corpus("embeddings", write(**names))
    assert corpus.scenes == ("caf\xe9", "park")
    assert corpus.clips[0].location == "train0"


@pytest.fixture
def trained(write, tmp_path):
    """Returns a run that was trained on the embeddings, its corpus and its features."""
    corpus = read_corpus("embeddings", write())
    cache = prepare_features(corpus, ROW, tmp_path / "features")
    run = run_folder.run_at(tmp_path / "runs", "vem", "unseen", 0)
    row = config.override(ROW, {"training.epochs": 6, "training.learning_rate": 1e-2})
    result = training.train(run, row, corpus, cache)
    assert result["validation_macro_accuracy"] == 1.0
    return run, corpus, cache


def test_a_row_is_trained_on_them_and_scored_clip_by_clip(trained, tmp_path):
    run, corpus, cache = trained
    assert cache.shapes == {"embedding": (2, 128)}
    table = training.predict(run, corpus, cache)
    table.to_csv(tmp_path / "predictions.csv", index=False)
    scores = evaluation.score(evaluation.read_predictions(tmp_path / "predictions.csv"))
    assert scores.macro_accuracy == 1.0
    assert scores.interval.over == "clip"


@pytest.mark.parametrize("export", ["export_run", "export_litert"])
def test_a_model_of_others_embeddings_is_not_exported(trained, tmp_path, export):
    # The exported model would compute embeddings with a random event model instead.
    run, _, _ = trained
    with pytest.raises(ConfigError, match="ready-made embeddings"):
        getattr(serving, export)(run, tmp_path / "model.tflite")


@pytest.mark.trains
def test_a_grid_of_them_needs_no_event_model(write, tmp_path):
    row = config.override(
        ROW, {"event_model.weights": str(tmp_path / "nowhere.npz"), "training.epochs": 1}
    )
    wanted = grid.Grid(
        (row,), (0, 1), str(write()), str(tmp_path / "features"), str(tmp_path / "runs")
    )
    (outcome,) = preflight.check(wanted, preflight.rows_to_check(wanted, "always"))
    assert outcome.stages == ("features", "training step", "evaluation")


def test_other_bytes_are_other_features(write, tmp_path):
    changed = arrays()["val_x"]
    changed[3, 0, 64] += 0.01
    folders = []
    for changes in ({}, {"val_x": changed}):
        corpus = read_corpus("embeddings", write(**changes))
        folders.append(prepare_features(corpus, ROW, tmp_path / "features").folders)
    assert folders[0] != folders[1]


def test_rows_that_need_sound_are_refused(write, tmp_path):
    with pytest.raises(DataError, match="contains embeddings alone"):
        prepare_features(read_corpus("embeddings", write()), small_corpus.FA, tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_names": None}, "no array class_names"),
        ({"class_names": np.array("low")}, "no array class_names"),
        ({"val_x": None, "val_y": None}, "no part 'val'"),
        ({"unseen_x": None, "unseen_y": None}, "no part to evaluate"),
        ({"unseen_y": None}, "unseen_x, but no unseen_y"),
        ({"unseen_x": np.zeros((12, 3, 128), np.float32)}, r"unseen_x \[12, 3, 128\]"),
        ({"train_y": np.full(24, 2)}, "train_y .* contains 2, but there are 2"),
        ({"train_y": np.full(24, "low")}, "train_y .* not integer"),
        ({"train_y": np.full(24, 0.9)}, "train_y .* not integer"),
        ({"train_x": np.zeros((24, 2, 128), int)}, "train_x .* is int64, not float"),
        ({"val_x": np.full((8, 2, 128), np.nan, np.float32)}, "val_x .* not finite"),
        # It is read as float32.
        ({"val_x": np.full((8, 2, 128), 1e300)}, "val_x .* not finite"),
        ({"val_location": np.full(3, "here")}, r"val_location of .* is \[3\] for 8 clips"),
        (
            {"train_location": np.full(24, "here"), "unseen_location": np.full(12, "here")},
            "'here' is on both sides",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_errors_with_their_names(write, changes, message):
    with pytest.raises(DataError, match=message):
        read_corpus("embeddings", write(**changes))


@pytest.mark.parametrize("content", [b"no zip", b""])
def test_another_kind_of_file_is_an_error(tmp_path, content):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(DataError, match="not a readable"):
        read_corpus("embeddings", tmp_path / "x.npz")


def test_real_embeddings_are_read(real_data):
    corpus = read_corpus("embeddings", real_data("tut2017_vggish") / "tut2017_vggish_clips.npz")
    assert len(corpus.scenes) == 15
    sizes = {}
    for fold in corpus.folds:
        sizes[fold.name] = (len(fold.train), len(fold.validation), len(fold.evaluation))
    assert sizes == {"test": (3743, 936, 936), "eval": (3743, 936, 1447)}
