"""Ready-made embeddings: parts and folds, from the file to a trained and scored row."""

import dataclasses

import numpy as np
import pytest
import small_corpus

from crossask import config, evaluation, grid, serving, training
from crossask.datasets import read_corpus, training_parts
from crossask.errors import ConfigError, CrossaskError, DataError
from crossask.features.cache import prepare_features
from crossask.grid import preflight
from crossask.training import run_folder

ROW = dataclasses.replace(
    small_corpus.FEATURE_BASED, name="vem", system="VEM", dataset="embeddings", folds=("unseen",)
)


def arrays(**changes):
    """Two classes that differ in the sign of the embedding's first half."""
    rng, made = np.random.default_rng(0), {"class_names": np.array(["a", "b"])}
    for part, clips in (("train", 24), ("val", 8), ("unseen", 12)):
        y = np.arange(clips) % 2
        made[f"{part}_y"] = y
        made[f"{part}_x"] = (
            rng.normal(0, 0.2, (clips, 2, 128)) + (2 * y - 1)[:, None, None]
        ).astype(np.float32)
    made |= changes
    return {name: value for name, value in made.items() if value is not None}


@pytest.fixture
def written(tmp_path):
    def write(**changes):
        path = tmp_path / "made.npz"
        np.savez(path, **arrays(**changes))
        return path

    return write


def test_parts_become_folds_with_their_own_validation(written):
    corpus = read_corpus("embeddings", written())
    (fold,) = corpus.folds
    assert (fold.name, len(fold.train), len(fold.evaluation)) == ("unseen", 32, 12)
    train, validation = training_parts(corpus, fold, 0.3, 0)
    assert train == tuple(f"train/{n:06d}" for n in range(24))
    assert validation == tuple(f"val/{n:06d}" for n in range(8))
    assert {clip.location for clip in corpus.clips} == {""}


def test_a_row_learns_from_them_and_is_scored_clip_by_clip(written, tmp_path):
    path = written()
    corpus = read_corpus("embeddings", path)
    cache = prepare_features(corpus, ROW, tmp_path / "features")
    assert cache.shapes == {"embedding": (2, 128)}
    run = run_folder.run_at(tmp_path / "runs", "vem", "unseen", 0)
    row = dataclasses.replace(
        ROW, training=dataclasses.replace(ROW.training, epochs=6, learning_rate=1e-2)
    )
    assert training.train(run, row, corpus, cache)["validation_macro_accuracy"] == 1.0
    table = training.predict(run, corpus, cache)
    table.to_csv(tmp_path / "predictions.csv", index=False)
    scores = evaluation.score(evaluation.read_predictions(tmp_path / "predictions.csv"))
    assert scores.macro_accuracy == 1.0
    assert scores.interval.over == "clip"
    for write in (
        serving.export_run,
        serving.export_litert,
    ):  # a random event model would stand before what learnt from others' embeddings
        with pytest.raises(ConfigError, match="ready-made embeddings"):
            write(run, tmp_path / "model.tflite")


def test_a_grid_of_them_asks_for_no_event_model(written, tmp_path):
    row = config.override(
        ROW, {"event_model.weights": str(tmp_path / "nowhere.npz"), "training.epochs": 1}
    )
    wanted = grid.Grid(
        (row,), (0, 1), str(written()), str(tmp_path / "features"), str(tmp_path / "runs")
    )
    (outcome,) = preflight.check(wanted, preflight.rows_to_check(wanted))
    assert outcome.stages == ("features", "training step", "evaluation")


def test_other_bytes_are_other_features(written, tmp_path):
    before = prepare_features(
        read_corpus("embeddings", written()), ROW, tmp_path / "features"
    ).folders
    x = arrays()["val_x"]
    x[3, 0, 64] += 0.01
    after = prepare_features(
        read_corpus("embeddings", written(val_x=x)), ROW, tmp_path / "features"
    ).folders
    assert before != after


def test_rows_that_need_sound_are_refused(written, tmp_path):
    with pytest.raises(DataError, match="holds embeddings alone"):
        prepare_features(read_corpus("embeddings", written()), small_corpus.FA, tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"class_names": None}, "class_names"),
        ({"val_x": None, "val_y": None}, "no part 'val'"),
        ({"unseen_x": None, "unseen_y": None}, "no part to evaluate"),
        ({"unseen_y": None}, "unseen_y None"),
        ({"unseen_x": np.zeros((12, 3, 128), np.float32)}, r"unseen_x \[12, 3, 128\]"),
        ({"train_y": np.full(24, 2)}, "holds 2"),
        ({"val_x": np.full((8, 2, 128), np.nan, np.float32)}, "no numbers"),
        (
            {"train_location": np.full(24, "here"), "unseen_location": np.full(12, "here")},
            "both sides",
        ),
        ({"val_location": np.full(3, "here")}, "3 entries for 8"),
        ({"train_y": np.full(24, "low")}, "no whole numbers"),
        ({"train_y": np.full(24, 0.9)}, "no whole numbers"),
        ({"class_names": np.array("low")}, "class_names"),
    ],
)
def test_what_does_not_fit_is_named(written, changes, words):
    with pytest.raises(CrossaskError, match=words):
        read_corpus("embeddings", written(**changes))


@pytest.mark.parametrize("text", [b"no zip", b""])
def test_another_file_is_refused(tmp_path, text):
    (tmp_path / "x.npz").write_bytes(text)
    with pytest.raises(DataError, match="not a readable"):
        read_corpus("embeddings", tmp_path / "x.npz")


def test_real_embeddings_are_read(real_data):
    corpus = read_corpus("embeddings", real_data("tut2017_vggish") / "tut2017_vggish_clips.npz")
    assert len(corpus.scenes) == 15
    assert {
        fold.name: (len(fold.train), len(fold.validation), len(fold.evaluation))
        for fold in corpus.folds
    } == {
        "test": (3743, 936, 936),
        "eval": (3743, 936, 1447),
    }
