"""crossask-train is killed or terminated; the same command resumes to the bits of a command that
was left alone.
"""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import small_corpus

from crossask.training import run_folder

pytestmark = [pytest.mark.trains, pytest.mark.processes]

# A command with one job; the processes of a command with two jobs use half of the cores each.
ONE_JOB = ("-m", "crossask.cli.train", "--jobs=1")
LIKE_ONE_OF_TWO_JOBS = (
    "-c",
    "import sys\n"
    "from crossask.processors import cores\n"
    "from crossask.training import devices\n"
    "from crossask.cli import train\n"
    "devices.limit_threads(max(1, cores() // 2))\n"
    "sys.exit(train.main(sys.argv))",
    "--jobs=1",
)


def command(place: Path, program, model_dir: Path, seeds: str) -> list[str]:
    return [
        sys.executable,
        *program,
        f"--experiment={place}/rows.py",
        f"--data_dir={place}/corpus/clips.csv",
        f"--model_dir={model_dir}",
        f"--seeds={seeds}",
        "--preflight=never",
        "--params_override=training.epochs=12,training.learning_rate=0.001",
    ]


def call(*arguments) -> None:
    subprocess.run(command(*arguments), check=True, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def place(made_once) -> Path:
    """Returns a folder with a corpus, its features and the row FA."""

    def make(folder: Path) -> None:
        small_corpus.write(folder / "corpus")
        small_corpus.write_rows(folder / "rows.py", "FA")
        # A run that is left alone, to compare with; it also computes the features.
        call(folder, ONE_JOB, folder / "one_job", "0")

    return made_once("commands_that_are_stopped", make)


def when_lines(process: subprocess.Popen, history: Path, lines: int) -> None:
    """Waits until `history` has this many lines."""
    deadline = time.monotonic() + 200
    while not history.is_file() or len(history.read_text().splitlines()) < lines:
        assert process.poll() is None, "the command ended before it could be stopped"
        assert time.monotonic() < deadline
        time.sleep(0.01)


def run_in(folder: Path, seed: int) -> run_folder.Run:
    return run_folder.run_at(folder, "fa", "1", seed)


def assert_same(one: run_folder.Run, other: run_folder.Run) -> None:
    with np.load(one.path("best.npz")) as left, np.load(other.path("best.npz")) as right:
        assert left.files == right.files
        for name in left.files:
            np.testing.assert_array_equal(left[name], right[name])
    histories = [
        pd.read_csv(run.path("history.csv")).drop(columns="seconds") for run in (one, other)
    ]
    pd.testing.assert_frame_equal(*histories, check_exact=True)
    results = [run.read("result.json") for run in (one, other)]
    assert results[0]["validation_macro_accuracy"] == results[1]["validation_macro_accuracy"]


def test_a_killed_command_resumes(place, tmp_path):
    arguments = (place, ONE_JOB, tmp_path, "0")
    run = run_in(tmp_path, 0)
    process = subprocess.Popen(command(*arguments), stderr=subprocess.DEVNULL)
    when_lines(process, run.path("history.csv"), 4)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not run.finished
    call(*arguments)
    assert_same(run_in(place / "one_job", 0), run)


def stopped_by_sigterm(arguments, run: run_folder.Run) -> None:
    process = subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, text=True)
    when_lines(process, run.path("history.csv"), 2)
    process.send_signal(signal.SIGTERM)
    _, messages = process.communicate(timeout=100)
    assert process.returncode == 75, messages
    assert "Stopped by SIGTERM" in messages
    assert "Traceback" not in messages
    assert not run.finished


def test_a_terminated_command_has_an_exit_code_of_its_own_and_resumes(place, tmp_path):
    stopped_by_sigterm((place, ONE_JOB, tmp_path, "0,1"), run_in(tmp_path, 0))
    # The second run of the grid has not begun.
    assert not run_in(tmp_path, 1).folder.exists()
    call(place, ONE_JOB, tmp_path, "0")
    assert_same(run_in(place / "one_job", 0), run_in(tmp_path, 0))


def test_a_terminated_command_with_two_jobs_resumes_both_runs(place, tmp_path):
    two_jobs = ("-m", "crossask.cli.train", "--jobs=2")
    arguments = (place, two_jobs, tmp_path / "stopped", "0,1")
    stopped_by_sigterm(arguments, run_in(tmp_path / "stopped", 0))
    call(*arguments)
    call(place, LIKE_ONE_OF_TWO_JOBS, tmp_path / "alone", "0,1")
    for seed in (0, 1):
        assert_same(run_in(tmp_path / "alone", seed), run_in(tmp_path / "stopped", seed))
