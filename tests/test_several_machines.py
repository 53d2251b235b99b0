"""Two processes on this machine train as one: the same sum over the same clips, in any order, whatever is killed."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import small_corpus
import tensorflow as tf

from crossask import config
from crossask.config import TrainingConfig
from crossask.datasets import read_corpus
from crossask.errors import CrossaskError
from crossask.features.batches import Share, TrainingData
from crossask.features.cache import prepare_features
from crossask.grid.launcher import launch_processes
from crossask.training import run_folder

# plain gradient descent and no dropout: what is left is a sum over clips. Adam would divide by its rounding where a sum is nearly 0
SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import tf_keras as keras
from crossask.training.optimizer import build_optimizer
build_optimizer = lambda *_: keras.optimizers.SGD(0.02)
from crossask.cli import train
sys.exit(train.main(sys.argv))
"""
ROWS = """
import dataclasses, sys
sys.path.insert(0, {tests!r})
import small_corpus
from crossask import config
still = config.override(small_corpus.FEATURE_BASED, {{"model.attention_dropout": 0.0, "training.keep": "last"}})
ROWS = (still, dataclasses.replace(still, name="streams", training=dataclasses.replace(still.training, input_streams=2)))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a corpus, its features, the row and the script."""
    folder, tests = tmp_path_factory.mktemp("machines"), str(Path(__file__).parent)
    data = small_corpus.write(folder / "corpus", places=8, clips=6)  # three shards
    (folder / "rows.py").write_text(ROWS.format(tests=tests))
    (folder / "script.py").write_text(SCRIPT.format(tests=tests))
    prepare_features(
        read_corpus("folder", data), small_corpus.FEATURE_BASED, folder / "corpus" / "features"
    )
    return folder


def command(place, model_dir, row, distribution, *more):
    return [
        sys.executable,
        f"{place}/script.py",
        f"--experiment={place}/rows.py:{row}",
        f"--data_dir={place}/corpus/clips.csv",
        f"--model_dir={model_dir}",
        f"--distribution={distribution}",
        *more,
    ]


def alone(place, model_dir, row, *more):
    subprocess.run(
        command(place, model_dir, row, "one_device", *more), check=True, stderr=subprocess.DEVNULL
    )
    return weights(model_dir, row)


def weights(model_dir, row):
    run = run_folder.run_at(model_dir, row, "1", 0)
    assert run.finished
    with np.load(run.path("best.npz")) as file:
        return [file[name] for name in sorted(file.files)]


RESTARTS = 3  # TensorFlow gives a process up that a busy machine keeps waiting for ten seconds


@pytest.mark.parametrize("row", ["cmam_feature_based", "streams"])
def test_two_processes_end_with_the_weights_of_one(place, tmp_path, row):
    assert (
        launch_processes(
            command(place, tmp_path / "two", row, "multi_worker_mirrored"), 2, RESTARTS
        )
        == 0
    )
    one, two = alone(place, tmp_path / "one", row), weights(tmp_path / "two", row)
    # rounding tips a ReLU here and there; a norm on one device keeps the variance times n / (n - 1): n is 4 clips x 24 x 8 places, or more
    for left, right in zip(one, two, strict=True):
        np.testing.assert_allclose(left, right, rtol=1 / (4 * 24 * 8 - 1), atol=1e-3)
    one, two = (
        pd.read_csv(run_folder.run_at(tmp_path / name, row, "1", 0).path("history.csv"))
        for name in ("one", "two")
    )
    for column in ("loss", "accuracy", "macro_accuracy", "val_loss", "val_accuracy"):
        np.testing.assert_allclose(one[column], two[column], atol=1e-3, err_msg=column)
    assert not list((tmp_path / "two").rglob("*.part"))


@pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="finds the launcher's processes in /proc"
)
def test_after_a_process_is_killed_within_an_epoch_all_go_on_to_the_same_weights(place, tmp_path):
    long = ("--params_override=training.epochs=4", "--save_steps=1")
    assert (
        launch_processes(
            command(place, tmp_path / "whole", "streams", "multi_worker_mirrored", *long),
            2,
            RESTARTS,
        )
        == 0
    )
    told = []
    launcher = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "crossask.cli.launch",
            "--processes=2",
            f"--restarts={RESTARTS}",
            *command(place, tmp_path / "killed", "streams", "multi_worker_mirrored", *long),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    reader = threading.Thread(target=lambda: told.extend(launcher.stderr))
    reader.start()
    result = run_folder.run_at(tmp_path / "whole", "streams", "1", 0).read("result.json")
    steps, deadline = result["steps"] // result["epochs"], time.monotonic() + 240
    assert steps >= 6
    saved = tmp_path / "killed" / "streams" / "fold1" / "seed0" / "checkpoints"
    # a save a step: the second step of the second epoch
    while not [
        path
        for path in saved.glob("ckpt-*.index")
        if steps + 2 <= int(path.stem.partition("-")[2]) < 2 * steps - 2
    ]:
        assert launcher.poll() is None, "".join(told)
        assert time.monotonic() < deadline
        time.sleep(0.005)
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    assert len(children) == 2
    os.kill(int(children[1]), signal.SIGKILL)
    assert launcher.wait(240) == 0, "".join(told)
    reader.join()
    assert "Process 1 of 2 was killed by signal 9; all start again (" in "".join(told)
    for left, right in zip(
        weights(tmp_path / "whole", "streams"), weights(tmp_path / "killed", "streams"), strict=True
    ):
        np.testing.assert_array_equal(left, right)


def test_a_users_mistake_is_not_tried_again(place, tmp_path, capfd):
    wrong = command(
        place,
        tmp_path,
        "cmam_feature_based",
        "multi_worker_mirrored",
        "--params_override=training.batch_size=3",
    )
    assert launch_processes(wrong, 2, 3) == 2
    assert "2 devices cannot share batches of 3" in capfd.readouterr().err


def test_a_command_that_always_fails_is_given_up():
    told = []
    with pytest.raises(CrossaskError, match="ended with 7, after 2 restarts"):
        launch_processes([sys.executable, "-c", "import sys; sys.exit(7)"], 2, 2, told.append)
    assert len([line for line in told if "all start again" in line]) == 2
    assert (
        launch_processes([sys.executable, "-c", "import sys; sys.exit(3)"], 2, 2, told.append) == 3
    )
    with pytest.raises(CrossaskError, match="no_such_program"):
        launch_processes(["no_such_program"], 2, 0)


def test_without_addresses_the_strategy_says_what_is_missing(place, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    done = subprocess.run(
        command(place, tmp_path, "streams", "multi_worker_mirrored"),
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "needs the machines' addresses" in done.stderr


TWO = '{{"cluster": {{"chief": ["a:1"], "worker": ["b:1"]}}, "task": {{"type": "{}", "index": 0}}}}'


def test_a_machines_place_is_read_from_the_environment(monkeypatch):
    from crossask.training import devices

    for text, place in (
        (TWO.format("chief"), (0, 2)),
        (TWO.format("worker"), (1, 2)),
        ("", (0, 0)),
    ):
        monkeypatch.setenv("TF_CONFIG", text)
        assert devices._machines_of_environment() == place
    monkeypatch.setenv("TF_CONFIG", TWO.format("worker"))
    with pytest.raises(CrossaskError, match="would have each write the same run"):
        devices.check_machines("auto")
    servers = '{"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}'
    for text in ("{", "5", '{"cluster": null, "task": {}}', TWO.format("ps"), servers):
        monkeypatch.setenv("TF_CONFIG", text)
        with pytest.raises(CrossaskError, match="TF_CONFIG cannot be used"):
            devices.check_machines("multi_worker_mirrored")


def parts(data, share, steps):
    return [
        (i["log_mel"].numpy(), scene.numpy())
        for i, scene, _ in data.batches(1, 1, share).take(steps)
    ]


@pytest.mark.parametrize("streams", [1, 2, 4])
def test_shares_of_two_machines_are_the_rows_of_the_whole_batches(tmp_path, streams, monkeypatch):
    monkeypatch.setattr("crossask.features.records.CLIPS_PER_SHARD", 3)
    corpus = read_corpus("folder", small_corpus.write(tmp_path / "corpus"))
    cache = prepare_features(corpus, small_corpus.FA, tmp_path / "features")
    settings = TrainingConfig(batch_size=4, input_streams=streams)
    data = TrainingData(cache, corpus, corpus.folds[0].train, settings, seed=0)
    assert data.steps >= 3
    steps = 2 * data.steps - 1  # to the end of the second epoch from here
    whole, left, right = (
        parts(data, share, steps) for share in (Share(), Share(0, 2), Share(1, 2))
    )
    for batch, *halves in zip(whole, left, right, strict=True):
        for expected, *values in zip(batch, *halves, strict=True):
            np.testing.assert_array_equal(np.concatenate(values), expected)
    if streams % 2 == 0:  # each machine opens its own files only
        half = streams // 2
        first, second = (
            {number for stream in some for number in stream}
            for some in (data._streams[:half], data._streams[half:])
        )
        assert not first & second
    one_epoch = [
        clip.sum()
        for batch, _ in parts(dataclasses.replace(data), Share(), data.steps - 1)
        for clip in batch
    ]
    assert len(set(one_epoch)) == len(one_epoch)


def test_streams_must_divide_the_batch():
    with pytest.raises(CrossaskError, match="from 3 streams"):
        config.override(small_corpus.FA, {"training.input_streams": 3})


def test_evaluation_gives_every_clip_to_one_machine(tmp_path):
    from crossask.features.batches import EvaluationData, ordered

    corpus = read_corpus("folder", small_corpus.write(tmp_path / "corpus"))
    cache = prepare_features(corpus, small_corpus.FA, tmp_path / "features")
    ids = ordered(cache, [clip.id for clip in corpus.clips])[:13]
    seen = []
    for number in (0, 1):
        for inputs, _, weight in EvaluationData(cache, corpus, ids, 4).batches(Share(number, 2)):
            assert inputs["log_mel"].shape[0] == 2
            seen += [
                float(tf.reduce_sum(clip))
                for clip, kept in zip(inputs["log_mel"], weight, strict=True)
                if kept
            ]
    assert len(seen) == len(set(seen)) == 13
