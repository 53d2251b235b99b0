"""A run stopped anywhere goes on to the same bits; what stops it loses nothing that was saved."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import small_corpus

from crossask import config, training
from crossask.datasets import read_corpus
from crossask.errors import CrossaskError, Preempted
from crossask.features.cache import prepare_features
from crossask.training import loop, run_folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return read_corpus("folder", small_corpus.write(tmp_path_factory.mktemp("corpus")))


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    return tmp_path_factory.mktemp("features")


VARIED = config.override(
    small_corpus.FEATURE_BASED,
    {
        "name": "varied",
        "training.average_decay": 0.9,
        "augmentation.mixup_alpha": 0.4,
        "augmentation.time_masks": 1,
    },
)
HALF = config.override(small_corpus.FA, {"name": "half", "training.precision": "mixed_float16"})
ONE_STEP = config.override(
    small_corpus.FA,
    {"name": "one_step", "training.batch_size": 12, "training.epochs": 4, "training.patience": 2},
)


def train(corpus, features, folder, row=small_corpus.FA, **how):
    cache = prepare_features(corpus, row, features)
    run = run_folder.run_at(folder, row.name, "1", 0)
    return run, training.train(run, row, corpus, cache, training.Options(**how))


def assert_same(one, other):
    with np.load(one.path("best.npz")) as left, np.load(other.path("best.npz")) as right:
        for name in left.files:
            np.testing.assert_array_equal(left[name], right[name])
    histories = [
        pd.read_csv(run.path("history.csv")).drop(columns="seconds") for run in (one, other)
    ]
    pd.testing.assert_frame_equal(*histories, check_exact=True)


# three steps an epoch; on the way back an epoch with a checkpoint within is begun, repeated and ended
@pytest.mark.parametrize(
    ("row", "save_steps", "stop"),
    [
        *(
            (small_corpus.FA, save_steps, stop)
            for save_steps in (1, 2)
            for stop in ((0, 0), (1, 1), (2, 2))
        ),
        (VARIED, 1, (1, 1)),
        (HALF, 1, (1, 0)),
        (ONE_STEP, 1, (2, 0)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_run_stopped_within_an_epoch_goes_on_to_the_same_bits(
    corpus, features, tmp_path, monkeypatch, row, save_steps, stop
):
    class Killed(Exception):
        pass

    whole, expected = train(corpus, features, tmp_path / "whole", row)
    state, original = loop._ResumableState, loop._ResumableState.on_train_batch_end

    def killed(self, batch, logs=None):
        original(self, batch, logs)
        if (int(self.epoch), self.first_step + batch) == stop:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(state, "on_train_batch_end", killed)
        with pytest.raises(Killed):
            train(corpus, features, tmp_path / "killed", row, save_steps=save_steps)
    resumed, result = train(corpus, features, tmp_path / "killed", row, save_steps=save_steps)
    assert result["epochs"] == expected["epochs"]
    assert_same(whole, resumed)


def test_sigterm_saves_within_the_epoch(corpus, features, tmp_path, monkeypatch):
    whole, _ = train(corpus, features, tmp_path / "whole")
    original = loop._ResumableState.on_train_batch_end

    def terminated(self, batch, logs=None):
        if (int(self.epoch), batch) == (1, 0):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)  # the handler runs between two instructions of Python
        original(self, batch, logs)

    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(loop._ResumableState, "on_train_batch_end", terminated)
        with pytest.raises(Preempted):
            train(corpus, features, tmp_path / "stopped")
    assert signal.getsignal(signal.SIGTERM) == before
    saved = loop.tf.train.load_checkpoint(
        str(tmp_path / "stopped" / "fa" / "fold1" / "seed0" / "checkpoints")
    )
    names = saved.get_variable_to_shape_map()
    assert [
        int(saved.get_tensor(next(n for n in names if n.startswith(f"{key}/"))))
        for key in ("epoch", "step")
    ] == [1, 1]
    resumed, _ = train(corpus, features, tmp_path / "stopped")
    assert_same(whole, resumed)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_terminated_command_has_an_exit_code_of_its_own_and_goes_on(tmp_path, jobs):
    data = small_corpus.write(tmp_path / "corpus")
    (tmp_path / "rows.py").write_text(
        f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r}); import small_corpus\nROWS = (small_corpus.FA,)\n"
    )
    command = [
        sys.executable,
        "-m",
        "crossask.cli.train",
        f"--experiment={tmp_path}/rows.py",
        f"--data_dir={data}",
        "--seeds=0,1",
        f"--jobs={jobs}",
        "--preflight=never",
        "--params_override=training.epochs=8,training.learning_rate=0.001",
    ]
    process = subprocess.Popen(
        [*command, f"--model_dir={tmp_path}/stopped"], stderr=subprocess.PIPE, text=True
    )
    first = run_folder.run_at(tmp_path / "stopped", "fa", "1", 0)
    deadline = time.monotonic() + 200
    while not first.path("history.csv").is_file():
        assert process.poll() is None, "it ended before it could be stopped"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=100)
    assert process.returncode == 75, told
    assert "Stopped by SIGTERM" in told
    assert "Traceback" not in told
    assert not first.finished
    for folder in ("stopped", "whole"):
        subprocess.run(
            [*command, f"--model_dir={tmp_path}/{folder}"], check=True, stderr=subprocess.DEVNULL
        )
    for seed in (0, 1):
        assert_same(
            *(
                run_folder.run_at(tmp_path / folder, "fa", "1", seed)
                for folder in ("stopped", "whole")
            )
        )


def test_a_folder_that_cannot_be_written_is_found_at_the_start(corpus, features, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CrossaskError, match="cannot be written"):
        train(corpus, features, tmp_path / "file" / "runs")


def test_a_disk_without_room_is_found_at_the_start(corpus, features, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=20_000))
    with pytest.raises(CrossaskError, match=r"has room for 0 MB, and \d+ MB are needed"):
        train(
            corpus,
            features,
            tmp_path,
            config.override(small_corpus.FA, {"model.pooling_dim": 20_000}),
        )
    assert not (tmp_path / "fa" / "fold1" / "seed0" / "checkpoints").exists()


def test_a_disk_that_is_full_when_a_checkpoint_is_entered_keeps_the_one_before(
    corpus, features, tmp_path, monkeypatch
):
    whole, _ = train(corpus, features, tmp_path / "whole")
    manager = loop.tf.train.CheckpointManager
    original = manager._record_state

    def full(self):
        if self._latest_checkpoint.endswith("-2"):
            raise OSError(28, "No space left on device")
        original(self)

    with monkeypatch.context() as patch:
        patch.setattr(manager, "_record_state", full)
        with pytest.raises(CrossaskError, match="cannot be saved"):
            train(corpus, features, tmp_path / "full")
    resumed, _ = train(corpus, features, tmp_path / "full")
    assert_same(whole, resumed)


def test_a_disk_that_fills_up_in_between_loses_no_earlier_state(corpus, features, tmp_path):
    row = config.override(small_corpus.FA, {"model.pooling_dim": 2000})
    whole, _ = train(corpus, features, tmp_path / "whole", row)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(done, total, note):
        if done == 1:  # from here on no file may grow beyond 64 KiB
            resource.setrlimit(resource.RLIMIT_FSIZE, (65536, limits[1]))

    try:
        with pytest.raises(CrossaskError, match="cannot be saved"):
            train(corpus, features, tmp_path / "full", row, progress=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    folder = tmp_path / "full" / "fa" / "fold1" / "seed0"
    left = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert left == ["checkpoint", "ckpt-1.data-00000-of-00001", "ckpt-1.index"]
    assert not list(folder.glob(".*.part"))
    resumed, _ = train(corpus, features, tmp_path / "full", row)
    assert_same(whole, resumed)
