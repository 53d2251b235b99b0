"""The experiment files: their rows are the paper's, and each row trains a step, is read back and
predicts.
"""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import small_corpus
import tensorflow as tf

from crossask import config, events, training
from crossask.config import catalogue
from crossask.datasets import read_corpus
from crossask.features.cache import prepare_features
from crossask.training import run_folder
from crossask.training.loop import Selection

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
NARROW = {
    name: getattr(small_corpus.NARROW, name)
    for name in (
        "encoder_channels",
        "pooling_heads",
        "pooling_dim",
        "attention_heads",
        "attention_dim",
    )
}
ROWS = [
    (path.stem, row)
    for path in sorted(EXPERIMENTS.glob("*.py"))
    for row in config.read_experiments(str(path))
]
TABLE_3 = {  # TUT 2017, TAU 2019
    "baseline": (78.4, 62.5),
    "fa": (81.7, 66.5),
    "vem_feature_based": (72.1, 57.3),
    "jrm_from_scratch": (83.0, 67.2),
    "jrm_feature_based": (83.7, 63.4),
    "jrm_fine_tuning": (83.2, 66.8),
    "cmam_from_scratch": (83.2, 65.1),
    "cmam_feature_based": (85.8, 68.8),
    "cmam_fine_tuning": (83.1, 65.3),
}


def narrowed(row):
    """Returns the row at a size that trains in seconds.

    What belongs to its corpus alone is levelled, and what tests of its own train: averages of
    weights and weights of scenes (test_training.py), remedies for fine-tuning (test_finetuning.py),
    levels, and VGGish's ReLU (tests/events).
    """
    learning = dataclasses.replace(
        row.training,
        epochs=1,
        keep_from=1,
        warmup_epochs=0,
        average_decay=0.0,
        average_from=1,
        class_weights="equal",
        learning_rate=1e-3,
        batch_size=min(row.training.batch_size, 2),
        validation_share=0.3,
    )
    log_mel = row.features.log_mel
    if not row.system.startswith("DCASE"):  # whose pools ask for their own number of frames
        log_mel = dataclasses.replace(log_mel, hop_seconds=0.040)
    if row.training.context_frames:
        learning = dataclasses.replace(learning, batch_size=256)
    return dataclasses.replace(
        row,
        name="row",
        note="",
        paper_score=None,
        dataset="folder",
        folds=("1",),
        features=dataclasses.replace(
            row.features,
            sample_rate_hz=16000,
            clip_seconds=10.0,
            max_padding_seconds=0.1,
            max_cut_seconds=0.1,
            log_mel=log_mel,
        ),
        event_model=dataclasses.replace(
            row.event_model,
            width=1 / 32,
            level=None,
            embedding_tap=row.event_model.embedding_tap.replace("relu", "linear"),
            weights=row.event_model.name if row.event_model.weights else "",
        ),
        training=learning,
        fine_tuning=config.FineTuningConfig(),
        model=dataclasses.replace(row.model, **NARROW, event_encoder_channels=(4,) * 6 + (8,)),
    )


# rows that are alike at this size train alike: the first of them stands for all
DIFFERENT = {narrowed(row): f"{file}:{row.name}" for file, row in reversed(ROWS)}


@pytest.mark.parametrize(("name", "column"), [("tut2017", 0), ("dcase2019", 1)])
def test_the_rows_are_table_3(name, column):
    scores = {row.name: row.paper_score for file, row in ROWS if file == name}
    assert {row: score for row, score in scores.items() if score is not None} == {
        row: pair[column] for row, pair in TABLE_3.items()
    }
    assert set(scores) - set(TABLE_3) == {
        "vem_from_scratch",
        "vem_fine_tuning",
    }  # blank in the paper


@pytest.mark.parametrize("name", ["tut2017", "dcase2019"])
def test_the_rows_of_table_3_read_vggish_as_it_was_in_2019(name):
    taps = {
        row.event_model.embedding_tap for file, row in ROWS if file == name and row.reads_events
    }
    assert taps == {"relu"}


def last_epoch_of_the_official_stopper(scores):
    """Returns the last epoch by the rule of DCASE 2017's baseline.

    The rule is that of its `StopperCallback` with the parameters of task 1. It counts epochs from
    0, watches those after the delay, and compares with the patience before it adds an epoch without
    improvement. The result counts from 1.
    """
    delay = 100
    patience = 10
    best = -np.inf
    wait = 0
    for epoch, score in enumerate(scores):
        if epoch > delay:
            if score > best:
                best = score
                wait = 0
            elif wait >= patience:
                return epoch + 1
            else:
                wait += 1
    return len(scores)


@pytest.mark.parametrize("name", ["dcase2019", "tut2017"])
def test_the_systems_of_table_3_are_trained_alike_but_for_the_rate(name):
    rows = config.read_experiments(name)
    alike = {dataclasses.replace(row.training, learning_rate=1.0) for row in rows[1:]}
    assert len(alike) == 1


def test_the_baseline_of_2017_stops_where_the_official_one_stops():
    (row,) = config.read_experiments(f"{EXPERIMENTS / 'tut2017.py'}:baseline")
    rule = row.training
    selection = Selection(rule.monitor, patience=rule.patience, patience_from=rule.patience_from)
    random = np.random.default_rng(0)
    histories = [[0.5] * 200, list(np.linspace(0.1, 0.9, 200)), [0.9] * 101 + [0.5] * 99]
    histories += [list(random.integers(0, 50, 200) / 50) for _ in range(20)]
    lasts = set()
    for scores in histories:
        records = [
            {"epoch": number, "val_accuracy": score} for number, score in enumerate(scores, start=1)
        ]
        stops = [number for number in range(1, 201) if selection.stops(records[:number])]
        last = min(stops, default=200)
        assert last == last_epoch_of_the_official_stopper(scores)
        lasts.add(last)
    assert {113, 200} < lasts


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """Returns two scenes of noise, 10 s, the length that every row's front-end and pools need."""
    folder = tmp_path_factory.mktemp("ten_seconds")
    (folder / "events.csv").write_text(
        "filename\tonset\toffset\tevent_label\naudio/a00.wav\t0.5\t2.0\tdog\naudio/b00.wav\t0\t10\train\n"
    )
    return read_corpus(
        "folder", small_corpus.write(folder / "audio", places=3, clips=1, seconds=10.0)
    )


@pytest.fixture(scope="module")
def event_weights(tmp_path_factory):
    """Returns {(event model, activation): path of its weights}."""
    folder = tmp_path_factory.mktemp("weights")
    paths = {}
    for name in catalogue.trainable_event_models():
        for activation in ("relu", "relu6"):
            event_model = events.event_model_class(name)(width=1 / 32, activation=activation)
            path = folder / f"{name}_{activation}.npz"
            event_model.save_npz(path)
            paths[name, activation] = str(path)
    return paths


@pytest.fixture(scope="module")
def features_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("features")


@pytest.fixture
def eagerly():
    """Without graphs, whose tracing would take twice as long as all the rest; other tests train the
    systems with them.
    """
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.trains
@pytest.mark.parametrize("row", DIFFERENT, ids=DIFFERENT.values())
def test_every_row_trains_a_step_and_predicts(
    tmp_path, corpora, event_weights, features_dir, eagerly, row
):
    if row.event_model.weights:
        path = event_weights[row.event_model.name, row.event_model.activation]
        row = config.override(row, {"event_model.weights": path})
    if row.event_model.pca:
        row = config.override(row, {"event_model.pca": str(tmp_path / "pca.npz")})
        np.savez(
            row.event_model.pca,
            pca_eigen_vectors=np.eye(128, dtype=np.float32),
            pca_means=np.zeros(128, np.float32),
        )
    if row.distillation.teacher:
        lines = [f"{clip.id},{clip.scene},0.5,0.5" for clip in corpora.clips]
        (tmp_path / "teacher.csv").write_text(
            "\n".join([f"clip,truth,{','.join(corpora.scenes)}", *lines]) + "\n"
        )
        row = config.override(row, {"distillation.teacher": str(tmp_path / "teacher.csv")})
    cache = prepare_features(corpora, row, features_dir, workers=1)
    run = run_folder.run_at(tmp_path / "runs", row.name, "1", 0)
    result = training.train(run, row, corpora, cache)
    assert result["epochs"] == 1
    assert result["steps"] >= 1
    table = training.predict(run, corpora, cache)
    assert set(table["clip"]) == set(corpora.fold("1").evaluation)
    np.testing.assert_allclose(table[list(corpora.scenes)].sum(axis=1), 1, atol=1e-5)
