"""Two processes on this machine train as one: the same sum over the same clips, in any order,
whatever is killed.
"""

import json
import os
import shutil
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
import soundfile
import tf_keras as keras

from crossask import training
from crossask.cli import train as train_command
from crossask.datasets import read_corpus
from crossask.errors import ConfigError, CrossaskError
from crossask.features.cache import prepare_features
from crossask.grid import launcher as launcher_module
from crossask.grid.launcher import launch_processes
from crossask.report.rows import DIGESTS
from crossask.training import devices, run_folder
from crossask.training import run as run_module

# Plain gradient descent and no dropout: what is left is a sum over clips. Adam would divide by its
# rounding where a sum is nearly 0.
SCRIPT = """
import sys
import tf_keras as keras
from crossask.cli import train
from crossask.training import run
run.build_optimizer = lambda *_: keras.optimizers.SGD(0.02)
sys.exit(train.main(sys.argv))
"""
RESTARTS = 3  # TensorFlow gives up on a process that a busy machine keeps waiting for ten seconds.

trains_in_processes = [pytest.mark.trains, pytest.mark.processes]


@pytest.fixture(scope="module")
def place(made_once) -> Path:
    """Returns a folder with a corpus of three shards, its features, the rows and the script."""

    def make(folder: Path) -> None:
        table = small_corpus.write(folder / "corpus", places=6, clips=6)
        small_corpus.write_rows(
            folder / "rows.py", "ONE_STREAM", "TWO_STREAMS", "TWO_STREAMS_ON_ALL"
        )
        (folder / "script.py").write_text(SCRIPT)
        corpus = read_corpus("folder", table)
        prepare_features(corpus, small_corpus.TWO_STREAMS, folder / "corpus" / "features")

    return made_once("several_machines", make)


@pytest.fixture(scope="module")
def two_processes(place, made_once):
    """Returns a function: row -> its run that two processes have trained."""

    def run_of(row):
        def train(folder: Path) -> None:
            assert launch_processes(command(place, folder, row), 2, RESTARTS) == 0

        return run_at(made_once(f"two_processes_{row.name}", train), row)

    return run_of


def command(place: Path, model_dir: Path, row) -> list[str]:
    return [
        sys.executable,
        f"{place}/script.py",
        f"--experiment={place}/rows.py:{row.name}",
        f"--data_dir={place}/corpus/clips.csv",
        f"--model_dir={model_dir}",
        "--distribution=multi_worker_mirrored",
        "--save_steps=1",
    ]


def run_at(folder, row) -> run_folder.Run:
    return run_folder.run_at(folder, row.name, "1", 0)


def weights(run):
    assert run.finished
    with np.load(run.path("best.npz")) as file:
        return [file[name] for name in sorted(file.files)]


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(small_corpus.ONE_STREAM, id="one_stream", marks=trains_in_processes),
        pytest.param(small_corpus.TWO_STREAMS, id="two_streams", marks=trains_in_processes),
        pytest.param(small_corpus.TWO_STREAMS_ON_ALL, id="on_all", marks=trains_in_processes),
    ],
)
def test_two_processes_end_with_the_weights_of_one(
    place, two_processes, tmp_path, monkeypatch, row
):
    two = two_processes(row)
    monkeypatch.setattr(run_module, "build_optimizer", lambda *_: keras.optimizers.SGD(0.02))
    corpus = read_corpus("folder", place / "corpus" / "clips.csv")
    one = run_at(tmp_path, row)
    cache = prepare_features(corpus, row, place / "corpus" / "features")
    training.train(one, row, corpus, cache)
    # Rounding tips a ReLU here and there. A norm on one device keeps the variance times n / (n -
    # 1): n is 4 clips x 24 x 8 places, or more.
    for left, right in zip(weights(one), weights(two), strict=True):
        np.testing.assert_allclose(left, right, rtol=1 / (4 * 24 * 8 - 1), atol=1e-3)
    histories = [pd.read_csv(run.path("history.csv")) for run in (one, two)]
    columns = ["loss", "accuracy", "macro_accuracy"]
    if row.training.validation_share:
        columns += ["val_loss", "val_accuracy"]
    for column in columns:
        np.testing.assert_allclose(
            histories[0][column], histories[1][column], atol=1e-3, err_msg=column
        )
    assert not list(two.folder.rglob("*.part"))


@pytest.mark.faults
@pytest.mark.trains
@pytest.mark.processes
@pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="finds the launcher's processes in /proc"
)
def test_after_a_process_is_killed_within_an_epoch_all_resume_to_the_same_weights(
    place, two_processes, tmp_path
):
    whole = two_processes(small_corpus.TWO_STREAMS)
    messages = []
    launcher = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "crossask.cli.launch",
            "--processes=2",
            f"--restarts={RESTARTS}",
            *command(place, tmp_path, small_corpus.TWO_STREAMS),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    reader = threading.Thread(target=lambda: messages.extend(launcher.stderr))
    reader.start()
    result = whole.read("result.json")
    steps = result["steps"] // result["epochs"]
    assert steps >= 6
    saved = run_at(tmp_path, small_corpus.TWO_STREAMS).path("checkpoints")
    # There is a checkpoint after each step: wait for one within the second epoch.
    within = range(steps + 2, 2 * steps - 2)
    deadline = time.monotonic() + 240
    while not any(number in within for number in checkpoint_numbers(saved)):
        assert launcher.poll() is None, "".join(messages)
        assert time.monotonic() < deadline
        time.sleep(0.005)
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    assert len(children) == 2
    os.kill(int(children[1]), signal.SIGKILL)
    assert launcher.wait(240) == 0, "".join(messages)
    reader.join()
    assert "Process 1 of 2 was killed by signal 9; all are started again (" in "".join(messages)
    killed = run_at(tmp_path, small_corpus.TWO_STREAMS)
    for left, right in zip(weights(whole), weights(killed), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.trains
@pytest.mark.processes
def test_sigterm_on_one_machine_saves_the_state_of_all(place, two_processes, tmp_path):
    whole = two_processes(small_corpus.TWO_STREAMS)
    words = command(place, tmp_path, small_corpus.TWO_STREAMS)
    # Without it, only the signal saves within an epoch.
    words.remove("--save_steps=1")
    saved = run_at(tmp_path, small_corpus.TWO_STREAMS).path("checkpoints")
    started = start_together(words)
    try:
        wait_for_a_checkpoint(saved, started)
        started[1].terminate()
        assert [process.wait(240) for process in started] == [75, 75]
    finally:
        for process in started:
            process.kill()
    assert launch_processes(words, 2, RESTARTS) == 0
    stopped = run_at(tmp_path, small_corpus.TWO_STREAMS)
    for left, right in zip(weights(whole), weights(stopped), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.trains
@pytest.mark.processes
def test_a_machine_whose_peer_is_killed_says_so_and_can_be_started_again(place, tmp_path, capfd):
    words = command(place, tmp_path, small_corpus.TWO_STREAMS)
    saved = run_at(tmp_path, small_corpus.TWO_STREAMS).path("checkpoints")
    started = start_together(words)
    try:
        wait_for_a_checkpoint(saved, started)
        started[1].kill()
        assert started[0].wait(240) == 75
    finally:
        for process in started:
            process.kill()
    errors = capfd.readouterr().err
    assert "Error: Another machine ended, or cannot be reached any more.\n" in errors
    assert "Traceback" not in errors


@pytest.mark.trains
@pytest.mark.processes
def test_two_processes_pretrain_an_event_model_together(tmp_path):
    rng = np.random.default_rng(0)
    lines = ["filename,category"]
    for number in range(24):
        kind = ("low", "high")[number % 2]
        # Sums of neighbouring samples have little energy at high frequencies, and differences at
        # low ones.
        noise = rng.normal(0, 0.1, 16001)
        wave = noise[1:] + noise[:-1] if kind == "low" else noise[1:] - noise[:-1]
        soundfile.write(tmp_path / f"{number}.wav", wave, 16000)
        lines.append(f"{number}.wav,{kind}")
    (tmp_path / "events.csv").write_text("\n".join(lines) + "\n")
    words = [
        sys.executable,
        "-m",
        "crossask.cli.main",
        "pretrain",
        f"--events={tmp_path}/events.csv",
        f"--out={tmp_path}/event_model.npz",
        "--width=0.0625",
        "--clip_seconds=1",
        "--epochs=3",
        "--batch_size=4",
        "--distribution=multi_worker_mirrored",
    ]
    assert launch_processes(words, 2, RESTARTS) == 0
    report = json.loads((tmp_path / "event_model.json").read_text())
    assert report["epochs"] == 3
    assert report["validation_tag_accuracy"] == 1
    assert (tmp_path / "event_model.npz").is_file()


def start_together(words: list[str]) -> list[subprocess.Popen]:
    """Starts a command as two machines."""
    addresses = [f"localhost:{port}" for port in launcher_module._free_ports(2)]
    return [launcher_module._start(words, addresses, number, None) for number in range(2)]


@pytest.mark.trains
@pytest.mark.processes
@pytest.mark.parametrize(
    ("flag", "named"),
    [
        ("--seeds=1", "--experiment, --folds or --seeds"),
        ("--params_override=training.learning_rate=0.5", "training.learning_rate"),
        ("--data_dir", "the recordings in --data_dir"),
    ],
)
def test_machines_that_were_started_differently_all_end_with_an_error(
    place, tmp_path, capfd, flag, named
):
    words = command(place, tmp_path / "runs", small_corpus.TWO_STREAMS)
    if flag == "--data_dir":
        shutil.copytree(place / "corpus", tmp_path / "corpus")
        table = tmp_path / "corpus" / "clips.csv"
        lines = table.read_text().splitlines()
        # The last clip is missing on one of the machines.
        table.write_text("\n".join(lines[:-1]) + "\n")
        flag = f"--data_dir={table}"
    addresses = [f"localhost:{port}" for port in launcher_module._free_ports(2)]
    started = []
    for number, others in enumerate(([], [flag])):
        started.append(launcher_module._start([*words, *others], addresses, number, None))
    try:
        assert [process.wait(240) for process in started] == [2, 2]
    finally:
        for process in started:
            process.kill()
    errors = capfd.readouterr().err
    assert errors.count(f"were started with different values of {named}.") == 2
    assert not (tmp_path / "runs" / small_corpus.TWO_STREAMS.name).exists()


@pytest.mark.parametrize("digest", DIGESTS)
def test_machines_with_other_content_of_a_file_have_other_facts(digest):
    record = {"experiment": {}, "corpus": {}, "scenes": []}
    record |= dict.fromkeys(DIGESTS, "same")
    other = record | {digest: "other"}
    assert run_module._facts(record) != run_module._facts(other)


def wait_for_a_checkpoint(folder: Path, started: list[subprocess.Popen]) -> None:
    """Waits until a run has saved its state, while its two machines train."""
    deadline = time.monotonic() + 240
    while not checkpoint_numbers(folder):
        assert time.monotonic() < deadline
        assert [process.poll() for process in started] == [None, None]
        time.sleep(0.005)


def checkpoint_numbers(folder: Path) -> list[int]:
    return [int(path.stem.partition("-")[2]) for path in folder.glob("ckpt-*.index")]


def test_devices_that_do_not_divide_the_batch_are_an_error(two_devices):
    with pytest.raises(ConfigError, match="2 devices cannot share batches of 3"):
        devices.distributed(two_devices, lambda share: None, 3)


@pytest.mark.processes
def test_a_command_that_always_fails_is_given_up_and_a_users_mistake_is_not_tried_again():
    messages = []

    def launch_exit(code: int, restarts: int = 2) -> int:
        exits = [sys.executable, "-c", f"import sys; sys.exit({code})"]
        return launch_processes(exits, 2, restarts, messages.append)

    with pytest.raises(CrossaskError, match="ended with 7, after 2 restarts"):
        launch_exit(7)
    assert len([line for line in messages if "all are started again" in line]) == 2
    messages.clear()
    for code in (2, 3):
        assert launch_exit(code) == code
    assert messages == []
    with pytest.raises(CrossaskError, match="no_such_program"):
        launch_processes(["no_such_program"], 2, 0)


def test_without_addresses_an_error_says_what_is_missing(table, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    rows = small_corpus.write_rows(tmp_path / "rows.py", "FA")
    arguments = [f"--experiment={rows}", f"--data_dir={table}", f"--model_dir={tmp_path}/runs"]
    arguments.append("--distribution=multi_worker_mirrored")
    assert train_command.main(["crossask-train", *arguments]) == 2
    assert "needs the machines' addresses" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


TWO_MACHINES = (
    '{{"cluster": {{"chief": ["a:1"], "worker": ["b:1"]}}, "task": {{"type": "{}", "index": 0}}}}'
)


def test_a_machines_place_is_read_from_the_environment(monkeypatch):
    for text, place in (
        (TWO_MACHINES.format("chief"), (0, 2)),
        (TWO_MACHINES.format("worker"), (1, 2)),
        ("", (0, 0)),
    ):
        monkeypatch.setenv("TF_CONFIG", text)
        assert devices._machines_of_environment() == place
    monkeypatch.setenv("TF_CONFIG", TWO_MACHINES.format("worker"))
    with pytest.raises(CrossaskError, match="each of them would write the same run"):
        devices.check_machines("auto")
    servers = '{"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}'
    for text in ("{", "5", '{"cluster": null, "task": {}}', TWO_MACHINES.format("ps"), servers):
        monkeypatch.setenv("TF_CONFIG", text)
        with pytest.raises(CrossaskError, match="TF_CONFIG cannot be used"):
            devices.check_machines("multi_worker_mirrored")
