"""Pre-training of a trunk on embeddings with events: it learns, goes on after a kill, and its file
fits the row; the metric that chooses the epoch is scikit-learn's average precision.
"""

import dataclasses
import json

import numpy as np
import pytest
import small_corpus
import tensorflow as tf
from pretraining.stopping import stop_at_epoch
from sklearn.metrics import average_precision_score

from crossask import config, pretraining
from crossask.cli import pretrain as command
from crossask.errors import CrossaskError, DataError
from crossask.pretraining import trunk as trunk_pretraining
from crossask.pretraining.tagger import MeanAveragePrecision
from crossask.training import network
from crossask.training.run import compile_model

ROW = small_corpus.VEM
SETTINGS = pretraining.TrunkPretrainingConfig(ROW, epochs=4, batch_size=8, learning_rate=1e-2)


def arrays(**changes):
    """Three events; each is present where a direction of its own is added to the embeddings."""
    rng = np.random.default_rng(0)
    directions = rng.normal(0, 1, (3, 128))
    made = {"event_names": np.array(["dog", "rain", "car"])}
    for part, clips in (("train", 64), ("val", 24), ("test", 24)):
        labels = rng.integers(0, 2, (clips, 3))
        noise = rng.normal(0, 0.5, (clips, 2, 128))
        made[f"{part}_x"] = (noise + (labels @ directions)[:, np.newaxis]).astype(np.float16)
        made[f"{part}_y"] = labels.astype(np.uint8)
    made.update(changes)
    return {name: value for name, value in made.items() if value is not None}


def write(path, **changes):
    np.savez(path, **arrays(**changes))
    return path


def test_the_metric_is_scikit_learns_average_precision_of_rounded_logits():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, (60, 4))
    labels[:, 3] = 0  # an event without clips
    logits = rng.normal(-2, 3, (60, 4)).astype(np.float32)
    metric = MeanAveragePrecision(4)
    for part in (slice(0, 25), slice(25, 60)):
        metric.update_state(labels[part], logits[part])
    steps = np.round(np.clip((logits + 15) / 20, 0, 1) * 799)
    expected = average_precision_score(labels[:, :3], steps[:, :3])
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)
    assert expected == pytest.approx(
        average_precision_score(labels[:, :3], logits[:, :3]), abs=0.02
    )
    metric.reset_state()
    assert float(metric.result()) == 0


def test_clips_of_weight_0_do_not_count_in_the_metric():
    labels = np.array([[1], [0], [1]])
    logits = np.array([[2.0], [1.0], [0.0]], np.float32)
    metric = MeanAveragePrecision(1)
    metric.update_state(labels, logits, np.array([1.0, 0.0, 1.0]))
    assert float(metric.result()) == 1


def test_test_clips_with_the_embeddings_of_training_clips_are_counted_in_a_warning(
    tmp_path, caplog
):
    trunk_pretraining.read_tagged_embeddings(write(tmp_path / "apart.npz"))
    assert not any("same embeddings" in line for line in caplog.messages)
    train_x = arrays()["train_x"]
    test_x = arrays()["test_x"].astype(np.float32)
    test_x[:3] = train_x[[5, 7, 7]]
    trunk_pretraining.read_tagged_embeddings(write(tmp_path / "shared.npz", test_x=test_x))
    (message,) = [line for line in caplog.messages if "same embeddings" in line]
    assert message.startswith("3 of 24 clips of test_x of")


def loaded(path):
    """Returns the row's network with the trunk of a file."""
    row = config.override(ROW, {"model.trunk": str(path)})
    model = network.build(row, ("a", "b"), 0, {})
    compile_model(model, row, 2, {"embedding": (2, 128)})
    return model


@pytest.mark.trains
def test_it_learns_the_events_and_its_file_fits_the_row(tmp_path):
    out = tmp_path / "trunk.npz"
    report = pretraining.pretrain_trunk(SETTINGS, write(tmp_path / "events.npz"), out)
    assert report["validation_map"] > 0.9
    assert report["test_map"] > 0.9
    assert (report["events"], report["test_clips"]) == (3, 24)
    assert json.loads(out.with_suffix(".json").read_text()) == json.loads(json.dumps(report))
    found = loaded(out)({"embedding": arrays()["test_x"].astype(np.float32)})
    assert found.shape == (24, 2)
    other = write(tmp_path / "other.npz", val_x=arrays()["val_x"] + 1)
    with pytest.raises(CrossaskError, match="another pre-training"):
        pretraining.pretrain_trunk(SETTINGS, other, out)


@pytest.mark.trains
def test_stopped_and_gone_on_with_gives_the_same_trunk(tmp_path, monkeypatch):
    events = write(tmp_path / "events.npz")
    pretraining.pretrain_trunk(SETTINGS, events, tmp_path / "whole.npz")
    stop_at_epoch(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        pretraining.pretrain_trunk(SETTINGS, events, tmp_path / "stopped.npz")
    monkeypatch.undo()
    assert not (tmp_path / "stopped.npz").exists()
    pretraining.pretrain_trunk(SETTINGS, events, tmp_path / "stopped.npz")
    with np.load(tmp_path / "whole.npz") as whole, np.load(tmp_path / "stopped.npz") as stopped:
        assert whole.files == stopped.files
        for name in whole.files:
            np.testing.assert_array_equal(whole[name], stopped[name])


def test_embeddings_are_standardised_by_the_statistics_of_the_file():
    row = config.override(ROW, {"model.standardise_embedding": True})
    settings = dataclasses.replace(SETTINGS, experiment=row)
    values = arrays()["train_x"]
    values[:, :, 7] = 3.0
    part = trunk_pretraining.TaggedEmbeddings(values, arrays()["train_y"])
    model = trunk_pretraining._compiled(settings, part)
    mean = np.array(model.standardisation.embedding_mean)
    np.testing.assert_allclose(mean, values.reshape(-1, 128).mean(0, dtype=float), atol=1e-3)
    assert np.isfinite(model({"embedding": tf.constant(values, tf.float32)})).all()


def test_each_event_starts_with_its_share_of_the_clips():
    part = trunk_pretraining.TaggedEmbeddings(arrays()["train_x"], arrays()["train_y"])
    model = trunk_pretraining._compiled(SETTINGS, part)
    share = 1 / (1 + np.exp(-model.scene.bias.numpy()))
    np.testing.assert_allclose(share, arrays()["train_y"].mean(0), rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"event_names": None}, "has the arrays"),
        ({"val_x": None}, "has the arrays"),
        ({"val_y": np.zeros((24, 2), np.uint8)}, "do not fit each other"),
        ({"val_x": np.zeros((24, 3, 128))}, "do not fit each other"),
        ({"test_x": np.full((24, 2, 128), np.nan)}, "not finite"),
        ({"val_x": np.full((24, 2, 128), "a")}, "val_x of .* is <U1"),
        ({"train_x": np.float32(1)}, "train_x of"),
        ({"val_x": np.zeros((0, 2, 128)), "val_y": np.zeros((0, 3))}, "contains no clips"),
        ({"train_y": np.full((64, 3), 2)}, "train_y of .* other than 0 and 1"),
        ({"test_y": np.full((24, 3), 0.5)}, "test_y of .* other than 0 and 1"),
        ({"train_y": np.full((64, 3), np.nan)}, "train_y of .* other than 0 and 1"),
        ({"train_y": np.full((64, 3), "yes")}, "train_y of .* other than 0 and 1"),
        ({"val_y": np.zeros((24, 3))}, "val_y of .* has no event"),
        ({"test_y": np.zeros((24, 3))}, "test_y of .* has no event"),
        ({"event_names": np.array("dog")}, "event_names of"),
    ],
)
def test_arrays_that_do_not_fit_are_errors_with_their_names(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        trunk_pretraining.read_tagged_embeddings(write(tmp_path / "events.npz", **changes))


def test_what_does_not_fit_is_refused(tmp_path):
    events = write(tmp_path / "events.npz")
    for changes, words in (
        ({"batch_size": 100}, "do not fill one batch"),
        ({"experiment": small_corpus.CMAM}, "is CMAM, whose trunk cannot be pre-trained"),
    ):
        settings = dataclasses.replace(SETTINGS, **changes)
        with pytest.raises(CrossaskError, match=words):
            pretraining.pretrain_trunk(settings, events, tmp_path / "trunk.npz")
    with pytest.raises(DataError, match="not a readable"):
        trunk_pretraining.read_tagged_embeddings(tmp_path / "nowhere.npz")


def test_mistakes_in_the_flags_are_two_lines(tmp_path, capfd):
    rows = small_corpus.write_rows(tmp_path / "rows.py", "FA", "CMAM")
    out = f"--out={tmp_path}/trunk.npz"
    for arguments, words in (
        ([out, "--embeddings=x.npz", "--events=x.csv"], "Both --events and --embeddings"),
        ([out, "--embeddings=x.npz"], "--experiment is missing"),
        ([out, "--embeddings=x.npz", f"--experiment={rows}"], "selects 2 rows"),
        (
            [
                *(out, "--embeddings=x.npz", f"--experiment={rows}:fa"),
                "--params_override=model.pooling_heads=2,training.epochs=3",
            ],
            "--params_override sets training.epochs, which has no effect",
        ),
        (
            [
                *(out, "--embeddings=x.npz", f"--experiment={rows}:fa"),
                "--params_override=features.mono=true",
            ],
            "--params_override sets features.mono, which has no effect",
        ),
        ([out], "--events is missing"),
    ):
        assert command.main(["crossask-pretrain", *arguments]) == 2
        assert words in capfd.readouterr().err
    assert list(tmp_path.glob("trunk*")) == []


def test_an_array_without_names_is_not_a_file_of_embeddings(tmp_path):
    np.save(tmp_path / "events.npy", np.zeros((2, 3)))
    with pytest.raises(DataError, match=r"is not a readable \.npz"):
        trunk_pretraining.read_tagged_embeddings(tmp_path / "events.npy")
