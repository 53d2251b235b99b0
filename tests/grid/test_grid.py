"""Runs one after another and side by side: the same results, failures kept apart, nothing left
behind by a kill.
"""

import dataclasses
import errno
import gc
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import small_corpus

from crossask import config, grid, training
from crossask.errors import CrossaskError
from crossask.grid import processes
from crossask.training import devices, run_folder

pytestmark = [pytest.mark.trains, pytest.mark.processes]

# fine-tuning without weights: building the model fails
FAILING = dataclasses.replace(small_corpus.CMAM, name="failing", strategy="fine_tuning")
# more epochs than a test has time for
LONG = dataclasses.replace(
    small_corpus.FA, training=dataclasses.replace(small_corpus.FA.training, epochs=100_000)
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return small_corpus.write(tmp_path_factory.mktemp("corpus"))


def a_grid(data, folder, *rows, seeds=(0, 1)):
    return grid.Grid(rows, seeds, str(data), str(data.parent / "features"), str(folder))


def test_side_by_side_gives_what_one_by_one_gives(data, tmp_path):
    seen = []

    def bar(description, unit):
        return lambda done, total, note="": seen.append((unit, done, total))

    alone, together = (
        a_grid(data, tmp_path / name, small_corpus.FA) for name in ("alone", "together")
    )
    assert [run.seed for run, _ in grid.train(alone)] == [0, 1]
    assert sorted(run.seed for run, _ in grid.train(together, grid.Execution(jobs=2), bar)) == [
        0,
        1,
    ]
    for (_, a), (_, b) in zip(alone.plan(), together.plan(), strict=True):
        losses = [pd.read_csv(run.path("history.csv"))["loss"].to_numpy() for run in (a, b)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    epochs = [done for unit, done, _ in seen if unit == "epoch"]
    assert epochs == sorted(epochs)
    assert epochs[-1] == 6
    assert {total for unit, _, total in seen if unit == "epoch"} == {6}


def test_an_epoch_counts_by_its_cost(data, tmp_path):
    seen = []

    def bar(description, unit):
        return lambda done, total, note="": (
            seen.append((note, done, total)) if unit == "epoch" else None
        )

    list(
        grid.train(
            a_grid(data, tmp_path, small_corpus.FA, small_corpus.CMAM, seeds=(0,)), progress_bar=bar
        )
    )
    cheap = max(done for note, done, _ in seen if note.startswith("fa"))
    assert (
        cheap < 3
    )  # half of the epochs are far less than half of the work: the other row trains VGGish
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert seen[-1][1:] == (6, 6)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_that_fails_does_not_stop_the_others(data, tmp_path, jobs):
    outcomes = {
        run.row: outcome
        for run, outcome in grid.train(
            a_grid(data, tmp_path, FAILING, small_corpus.FA, seeds=(0,)), grid.Execution(jobs)
        )
    }
    assert "without weights" in outcomes["failing"].problem
    assert outcomes["fa"]["epochs"] == 3


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [(MemoryError, ()), (OSError, (errno.EIO, "bad disk")), (CrossaskError, ("Bad.", "Change."))],
)
def test_what_the_system_refuses_a_run_does_not_stop_the_others(
    data, tmp_path, monkeypatch, kind, arguments
):
    def train(run, *_):
        network = np.zeros(9)
        networks.append(weakref.ref(network))
        if run.seed == 0:
            raise kind(*arguments)
        return {"epochs": 3}

    networks = []
    monkeypatch.setattr(training, "train", train)
    outcomes = []
    for _, outcome in grid.train(a_grid(data, tmp_path, small_corpus.FA)):
        outcomes.append(outcome)
        # A network that did not fit into memory does not stay there.
        gc.collect()
        assert networks[-1]() is None
    assert isinstance(outcomes[0], CrossaskError)
    assert outcomes[1] == {"epochs": 3}


def test_frozen_layers_with_random_weights_are_named(data, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(training, "train", lambda *_: {})
    # Experiments on the events do this on purpose, and others by forgetting a field.
    frozen = small_corpus.FEATURE_BASED
    trunk = config.override(
        frozen, {"name": "trunk", "system": "VEM", "model.trunk_training": "frozen"}
    )
    # The true events take the place of the embeddings.
    truth = config.override(frozen, {"name": "truth", "event_control": "true_events"})
    rows = (small_corpus.FA, small_corpus.CMAM, frozen, trunk, truth)
    with caplog.at_level(logging.WARNING, "crossask"):
        list(grid.train(a_grid(data, tmp_path, *rows)))
    assert caplog.messages == [
        f"{row}: {layers} random weights, because {field} is empty. Set it, unless the row is a "
        "control."
        for row, layers, field in (
            ("cmam_feature_based", "the frozen event model has", "event_model.weights"),
            ("trunk", "the frozen event model has", "event_model.weights"),
            ("trunk", "the frozen trunk has", "model.trunk"),
        )
    ]


def test_a_process_that_is_killed_costs_its_run_alone(data, tmp_path):
    def kill(description, unit):
        def update(done, total, note=""):
            if unit == "epoch" and done == 1 and not killed:
                killed.append(multiprocessing.active_children()[0].pid)
                os.kill(killed[0], signal.SIGKILL)

        return update

    killed = []
    outcomes = [
        outcome
        for _, outcome in grid.train(
            a_grid(data, tmp_path, small_corpus.FA, seeds=(0, 1, 2)),
            grid.Execution(jobs=2),
            progress_bar=kill,
        )
    ]
    lost = [outcome for outcome in outcomes if isinstance(outcome, CrossaskError)]
    assert (len(outcomes), len(lost)) == (3, 1)
    assert "was killed" in lost[0].problem
    # the next call trains what is missing
    assert all(
        outcome["epochs"] == 3
        for _, outcome in grid.train(a_grid(data, tmp_path, small_corpus.FA, seeds=(0, 1, 2)))
    )


def _dies_unasked(pipe, threads):
    os._exit(9)


@pytest.mark.parametrize(
    "size", [1, 4_000_000]
)  # within and beyond what a pipe holds for a process that is not there
def test_a_process_that_dies_before_it_has_read_its_task_is_reported(monkeypatch, size):
    monkeypatch.setattr(processes, "_train_tasks", _dies_unasked)
    run = run_folder.run_at("runs", "fa", "1", 0)
    # the size of what is sent to the process is that of the cache
    task = processes.Task(run, small_corpus.FA, None, b"0" * size, {})
    ((found, outcome),) = processes.train_side_by_side([task], 2, lambda *_: None)
    assert found == run
    assert "was killed" in outcome.problem


def _send_level(pipe):
    processes.prepare_child()
    pipe.send(logging.getLogger("tensorflow").getEffectiveLevel())


def test_warnings_of_tensorflow_are_hidden_in_child_processes():
    process, pipe = processes.start_child(_send_level)
    assert pipe.recv() == logging.ERROR
    process.join()


@pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="reads /proc, which Linux alone has"
)
def test_no_process_outlives_a_killed_command(data, tmp_path):
    tests = Path(__file__).parent
    folders = [str(tests), str(tests.parent)]
    code = (
        f"import sys; sys.path[:0] = {folders!r}\n"
        "import test_grid, pathlib\n"
        "if __name__ == '__main__':\n"
        f"    data = pathlib.Path({str(data)!r})\n"
        f"    wanted = test_grid.a_grid(data, {str(tmp_path)!r}, test_grid.LONG)\n"
        "    list(test_grid.grid.train(wanted, test_grid.grid.Execution(jobs=2)))\n"
    )
    script = tmp_path / "train.py"
    script.write_text(code)
    with subprocess.Popen([sys.executable, script]) as command:
        deadline = time.monotonic() + 240
        while len(list(tmp_path.glob("**/history.csv"))) < 2:
            assert command.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        children = Path(f"/proc/{command.pid}/task/{command.pid}/children").read_text().split()
        assert len(children) >= 2
        command.kill()
    while any(_is_running(child) for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_what_cannot_be_shared_out_is_trained_one_at_a_time(monkeypatch):
    assert devices.processes_at_once(3, "auto") == devices.processes_at_once(3, "one_device") == 3
    assert devices.processes_at_once(3, "mirrored") == devices.processes_at_once(3, "tpu") == 1
    monkeypatch.setattr(devices.tf.config, "list_physical_devices", lambda kind: ["GPU:0"])
    assert devices.processes_at_once(3, "auto") == 1


def _is_running(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
