"""A run stopped anywhere resumes to the same bits; what stops it loses nothing that was saved."""

import os
import resource
import shutil
import signal
import subprocess
import time

import numpy as np
import pandas as pd
import pytest
import small_corpus

from crossask import config, training
from crossask.errors import CrossaskError, Preempted
from crossask.features.cache import prepare_features
from crossask.training import loop, run_folder

pytestmark = pytest.mark.trains

VARIED = config.override(
    small_corpus.FEATURE_BASED,
    {
        "name": "varied",
        "training.average_decay": 0.9,
        "augmentation.mixup_alpha": 0.4,
        "augmentation.time_masks": 1,
    },
)
ONE_STEP = config.override(
    small_corpus.FA,
    {"name": "one_step", "training.batch_size": 12, "training.epochs": 4, "training.patience": 2},
)


def train(corpus, features, folder, row=small_corpus.FA, **options):
    cache = prepare_features(corpus, row, features)
    run = run_folder.run_at(folder, row.name, "1", 0)
    return run, training.train(run, row, corpus, cache, training.Options(**options))


def assert_same(one, other):
    with np.load(one.path("best.npz")) as left, np.load(other.path("best.npz")) as right:
        for name in left.files:
            np.testing.assert_array_equal(left[name], right[name])
    histories = [
        pd.read_csv(run.path("history.csv")).drop(columns="seconds") for run in (one, other)
    ]
    pd.testing.assert_frame_equal(*histories, check_exact=True)


# An epoch of FA has three steps. The run resumes: from nothing that was saved, within the first
# epoch, within the second one, before the last step of the last one.
@pytest.mark.parametrize(
    ("row", "save_steps", "stop"),
    [
        (small_corpus.FA, 2, (0, 0)),
        (small_corpus.FA, 1, (0, 0)),
        (small_corpus.FA, 1, (1, 1)),
        (small_corpus.FA, 2, (2, 2)),
        (VARIED, 1, (1, 1)),
        (small_corpus.HALF, 1, (1, 0)),
        (ONE_STEP, 1, (2, 0)),
        # Without a validation part an epoch has four steps; one run stops after the last one.
        (small_corpus.FA_ON_ALL, 1, (1, 1)),
        (small_corpus.FA_ON_ALL, 3, (2, 3)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_run_stopped_within_an_epoch_resumes_to_the_same_bits(
    corpus, features, trained, tmp_path, monkeypatch, row, save_steps, stop
):
    whole = trained(row)

    class Killed(Exception):
        pass

    original = loop._ResumableState.on_train_batch_end

    def killed(self, batch, logs=None):
        original(self, batch, logs)
        if (int(self.epoch), self.first_step + batch) == stop:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(loop._ResumableState, "on_train_batch_end", killed)
        with pytest.raises(Killed):
            train(corpus, features, tmp_path, row, save_steps=save_steps)
    resumed, result = train(corpus, features, tmp_path, row, save_steps=save_steps)
    assert result["epochs"] == whole.read("result.json")["epochs"]
    assert_same(whole, resumed)


def test_sigterm_saves_within_the_epoch(corpus, features, trained, tmp_path, monkeypatch):
    whole = trained(small_corpus.FA)
    original = loop._ResumableState.on_train_batch_end

    def terminated(self, batch, logs=None):
        if (int(self.epoch), batch) == (1, 0):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)  # Python calls the handler between two of its instructions.
        original(self, batch, logs)

    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(loop._ResumableState, "on_train_batch_end", terminated)
        with pytest.raises(Preempted):
            train(corpus, features, tmp_path)
    assert signal.getsignal(signal.SIGTERM) == before
    saved = loop.tf.train.load_checkpoint(str(tmp_path / "fa" / "fold1" / "seed0" / "checkpoints"))
    names = saved.get_variable_to_shape_map()
    for key in ("epoch", "step"):
        (name,) = (name for name in names if name.startswith(f"{key}/"))
        assert int(saved.get_tensor(name)) == 1
    resumed, _ = train(corpus, features, tmp_path)
    assert_same(whole, resumed)


def test_a_folder_that_cannot_be_written_is_found_at_the_start(corpus, features, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CrossaskError, match="is a file, not a folder"):
        train(corpus, features, tmp_path / "file" / "runs")


def test_a_disk_without_room_is_found_at_the_start(corpus, features, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=20_000))
    row = config.override(small_corpus.FA, {"model.pooling_dim": 20_000})
    with pytest.raises(CrossaskError, match=r"has 0 MB free, but \d+ MB are needed"):
        train(corpus, features, tmp_path, row)
    assert not (tmp_path / "fa" / "fold1" / "seed0" / "checkpoints").exists()


def test_a_disk_that_is_full_when_a_checkpoint_is_entered_keeps_the_one_before(
    corpus, features, trained, tmp_path, monkeypatch
):
    whole = trained(small_corpus.FA)
    manager = loop.tf.train.CheckpointManager
    original = manager._record_state

    def full(self):
        if self._latest_checkpoint.endswith("-2"):
            raise OSError(28, "No space left on device")
        original(self)

    with monkeypatch.context() as patch:
        patch.setattr(manager, "_record_state", full)
        with pytest.raises(CrossaskError, match="cannot be saved"):
            train(corpus, features, tmp_path)
    resumed, _ = train(corpus, features, tmp_path)
    assert_same(whole, resumed)


def test_a_disk_that_fills_up_in_between_loses_no_earlier_state(
    corpus, features, trained, tmp_path
):
    whole = trained(small_corpus.FA)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(done, total, note):
        if done == 1:
            # From here on no file may grow beyond 8 KiB, which is less than a checkpoint.
            resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))

    try:
        with pytest.raises(CrossaskError, match="cannot be saved"):
            train(corpus, features, tmp_path, progress=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    folder = tmp_path / "fa" / "fold1" / "seed0"
    left = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert left == ["checkpoint", "ckpt-1.data-00000-of-00001", "ckpt-1.index"]
    assert not list(folder.glob(".*.part"))
    resumed, _ = train(corpus, features, tmp_path)
    assert_same(whole, resumed)


def test_the_recorded_commit_is_dirty_only_if_a_python_file_changed(tmp_path, monkeypatch):
    def git(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True)

    module = tmp_path / "module.py"
    module.write_text("")
    stored = tmp_path / "stored.json"
    stored.write_text("{}")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message=first")
    monkeypatch.setattr(run_folder, "__file__", str(module))
    commit = run_folder.versions()["commit"]
    stored.write_text("[]")
    assert run_folder.versions()["commit"] == commit
    module.write_text("a = 1")
    assert run_folder.versions()["commit"] == f"{commit}-dirty"
    # The package may be installed in a folder of another project, which has commits of its own.
    installed = tmp_path / ".venv" / "module.py"
    installed.parent.mkdir()
    installed.write_text("")
    monkeypatch.setattr(run_folder, "__file__", str(installed))
    assert "commit" not in run_folder.versions()


def test_predictions_of_an_earlier_training_do_not_stay(corpus, features, trained, tmp_path):
    finished = trained(small_corpus.FA)
    folder = tmp_path / finished.row / "fold1" / "seed0"
    shutil.copytree(finished.folder, folder)
    for name in ("predictions.csv", "scores.json"):
        (folder / name).write_text("of other weights")
    # A finished run is left as it is.
    train(corpus, features, tmp_path)
    assert (folder / "scores.json").is_file()
    # As somebody does who wants to train it again.
    shutil.rmtree(folder / "checkpoints")
    (folder / "result.json").unlink()
    run, _ = train(corpus, features, tmp_path)
    assert run.finished
    assert not (folder / "predictions.csv").exists()
    assert not (folder / "scores.json").exists()
