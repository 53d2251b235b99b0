"""Training learns, resumes to the same weights, and keeps the best epoch by validation alone."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import small_corpus
import tensorflow as tf
import tf_keras as keras

from crossask import config, feature_cache, fitting, runs, systems, training
from crossask.config import FineTuningConfig
from crossask.datasets import read_corpus
from crossask.errors import CrossaskError, WeightsError


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return read_corpus("folder", small_corpus.write(tmp_path_factory.mktemp("corpus")))


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    return tmp_path_factory.mktemp("features")


def train(corpus, features, folder, row, seed=0, **changes):
    row = config.override(row, changes)
    cache = feature_cache.prepare(corpus, row, features)
    run = runs.run_at(folder, row.name, "1", seed)
    result = training.train(run, row, corpus, cache)
    return run, result, cache


def weights_of(run):
    with np.load(run.path("best.npz")) as file:
        return [file[name] for name in sorted(file.files)]


def test_a_row_learns_what_can_be_learnt_and_is_read_back_without_loss(corpus, features, tmp_path):
    run, result, cache = train(corpus, features, tmp_path, small_corpus.FA, **{"training.epochs": 12, "training.learning_rate": 3e-3})
    assert result["validation_macro_accuracy"] == 1.0
    table = training.predict(run, corpus, cache)
    assert list(table.columns) == ["clip", "location", "city", "truth", "a", "b"]
    assert sorted(table["clip"]) == sorted(corpus.fold("1").evaluation)
    assert (table[["a", "b"]].idxmax(axis=1) == table["truth"]).all()
    again = training.predict(run, corpus, cache)
    np.testing.assert_array_equal(table[["a", "b"]], again[["a", "b"]])


STAGED = dataclasses.replace(
    small_corpus.CMAM,
    name="staged",
    training=dataclasses.replace(small_corpus.CMAM.training, schedule="cosine", warmup_epochs=1),
    fine_tuning=FineTuningConfig(event_rate=0.5, layer_decay=0.5, probe_epochs=1, unfreeze_epochs=1, l2_to_start=1.0),
)


@pytest.mark.parametrize("row", [small_corpus.FEATURE_BASED, small_corpus.CMAM, STAGED], ids=lambda row: row.name)
def test_a_run_stopped_after_an_epoch_resumes_to_the_same_bits(corpus, features, tmp_path, monkeypatch, row):
    whole, _, _ = train(corpus, features, tmp_path / "whole", row)

    class Killed(Exception):
        pass

    original = fitting._ResumableState.on_epoch_end

    def kill_in_the_second_epoch(self, epoch, logs=None):
        if epoch == 1:
            raise Killed
        original(self, epoch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(fitting._ResumableState, "on_epoch_end", kill_in_the_second_epoch)
        with pytest.raises(Killed):
            train(corpus, features, tmp_path / "killed", row)
    resumed, result, _ = train(corpus, features, tmp_path / "killed", row)
    assert result["epochs"] == 3
    latest = [tf.train.latest_checkpoint(str(run.path("checkpoints"))) for run in (whole, resumed)]
    for name, _ in tf.train.list_variables(latest[0]):
        if name != "_CHECKPOINTABLE_OBJECT_GRAPH" and "save_counter" not in name:
            np.testing.assert_array_equal(*(tf.train.load_variable(path, name) for path in latest), err_msg=name)
    for left, right in zip(weights_of(whole), weights_of(resumed), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("row", [small_corpus.FA, STAGED], ids=lambda row: row.name)
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_trains_and_is_read_back_in_full(corpus, features, tmp_path, row, precision):
    changes = {"training.precision": precision, "training.keep": "last"}
    whole, _, cache = train(corpus, features, tmp_path / "whole", row, **changes)
    assert keras.mixed_precision.global_policy().name == "float32"
    plain, _, _ = train(corpus, features, tmp_path / "plain", row, **{"training.keep": "last"})
    assert {value.dtype for value in weights_of(whole)} == {np.dtype(np.float32)}
    assert any(not np.array_equal(a, b) for a, b in zip(weights_of(whole), weights_of(plain), strict=True))
    table = training.predict(whole, corpus, cache)
    assert np.isfinite(table[["a", "b"]].to_numpy()).all()


def test_a_killed_process_is_gone_on_with(tmp_path):
    table = small_corpus.write(tmp_path / "corpus")
    (tmp_path / "rows.py").write_text(
        f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r}); import small_corpus\nROWS = (small_corpus.FA,)\n"
    )
    command = [sys.executable, "-m", "crossask.cli.train", f"--experiment={tmp_path}/rows.py:fa", f"--data_dir={table}",
               "--params_override=training.epochs=20,training.learning_rate=0.001"]  # fmt: skip
    history = tmp_path / "killed" / "fa" / "fold1" / "seed0" / "history.csv"
    process = subprocess.Popen([*command, f"--model_dir={tmp_path}/killed"], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not history.is_file() or len(history.read_text().splitlines()) < 4:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (history.parent / "result.json").exists()
    subprocess.run([*command, f"--model_dir={tmp_path}/killed"], check=True, stderr=subprocess.DEVNULL)
    subprocess.run([*command, f"--model_dir={tmp_path}/whole"], check=True, stderr=subprocess.DEVNULL)
    both = [runs.run_at(tmp_path / name, "fa", "1", 0) for name in ("killed", "whole")]
    for left, right in zip(*(weights_of(run) for run in both), strict=True):
        np.testing.assert_array_equal(left, right)
    results = [run.read("result.json") for run in both]
    assert results[0]["validation_macro_accuracy"] == results[1]["validation_macro_accuracy"]


def test_a_finished_run_is_returned_as_it_is(corpus, features, tmp_path):
    run, result, _ = train(corpus, features, tmp_path, small_corpus.FA)
    before = run.path("best.npz").stat().st_mtime_ns
    assert train(corpus, features, tmp_path, small_corpus.FA)[1] == result
    assert run.path("best.npz").stat().st_mtime_ns == before


def test_a_folder_with_another_run_is_refused(corpus, features, tmp_path):
    train(corpus, features, tmp_path, small_corpus.FA)
    with pytest.raises(CrossaskError, match="other values of training"):
        train(corpus, features, tmp_path, small_corpus.FA, **{"training.learning_rate": 0.5})


def test_seeds_differ_and_repeat(corpus, features, tmp_path):
    first = weights_of(train(corpus, features, tmp_path / "a", small_corpus.FA, seed=0)[0])
    again = weights_of(train(corpus, features, tmp_path / "b", small_corpus.FA, seed=0)[0])
    other = weights_of(train(corpus, features, tmp_path / "c", small_corpus.FA, seed=1)[0])
    assert all((left == right).all() for left, right in zip(first, again, strict=True))
    assert any((left != right).any() for left, right in zip(first, other, strict=True))


def test_the_evaluation_fold_plays_no_part_in_training(corpus, features, tmp_path, monkeypatch):
    asked = set()
    read = training.pipeline.evaluation_batches

    def watch(cache, corpus, clip_ids, *sizes):
        asked.update(clip_ids)
        return read(cache, corpus, clip_ids, *sizes)

    monkeypatch.setattr(training.pipeline, "evaluation_batches", watch)
    train(corpus, features, tmp_path, small_corpus.FA)
    assert asked
    assert not asked & set(corpus.fold("1").evaluation)


def test_a_loss_that_is_no_number_stops_the_run_with_advice(corpus, features, tmp_path):
    with pytest.raises(CrossaskError, match="learning rate"):
        train(corpus, features, tmp_path, small_corpus.FA, **{"training.learning_rate": 1e30})


def test_fine_tuning_without_weights_is_refused(corpus, features, tmp_path):
    with pytest.raises(WeightsError, match="without weights"):
        train(corpus, features, tmp_path, small_corpus.CMAM, strategy="fine_tuning")


def test_two_devices_train_and_validate_every_clip(corpus, features, tmp_path, two_devices):
    row = small_corpus.FEATURE_BASED
    cache = feature_cache.prepare(corpus, row, features)
    assert two_devices.num_replicas_in_sync == 2
    run = runs.run_at(tmp_path, row.name, "1", 0)
    result = training.train(run, row, corpus, cache, two_devices)
    assert result["epochs"] == 3
    assert json.loads(run.path("config.json").read_text())["corpus"]["validation"] == 6
    assert systems.load(run).count_params() == result["parameters"]


def test_macro_accuracy_is_the_mean_over_classes():
    metric = training.MacroAccuracy(3)
    # hand-worked: class 0 2 of 3, class 1 0 of 1, class 2 unseen, one clip of weight 0
    logits = tf.one_hot([0, 0, 1, 2, 0], 3)
    metric.update_state([0, 0, 0, 1, 1], logits, [1.0, 1.0, 1.0, 1.0, 0.0])
    assert float(metric.result()) == pytest.approx((2 / 3 + 0) / 2)
