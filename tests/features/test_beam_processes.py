"""Apache Beam's pipeline on several processes of this machine, some of which are killed."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import small_corpus

from crossask.datasets import read_corpus
from crossask.features import beam_worker
from crossask.features.cache import prepare_features

OPTIONS = "--runner=DirectRunner --direct_running_mode=multi_processing --direct_num_workers=2"
# The module of a worker: ours, which runs Beam's, and Beam's.
WORKERS = (beam_worker.__name__, beam_worker.BEAM_WORKER_MODULE)
# How long a worker may take to end after the command was killed.
PATIENCE_SECONDS = 60


@pytest.mark.faults
@pytest.mark.processes
@pytest.mark.skipif(not Path("/proc/self/cmdline").is_file(), reason="finds processes in /proc")
def test_a_killed_worker_ends_the_command_and_loses_nothing(tmp_path):
    pytest.importorskip("apache_beam", reason="needs Apache Beam: pip install 'crossask[beam]'")
    command = prepare_command(tmp_path, OPTIONS)
    with open(tmp_path / "messages.txt", "w") as messages:
        first = subprocess.Popen(command, stderr=messages)
        try:
            deadline = time.monotonic() + 240
            while not list((tmp_path / "features").rglob("*.tfrecord")):
                assert first.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.01)
            os.kill(workers_below(first.pid)[0], signal.SIGKILL)
            assert first.wait(240) == 2
        finally:
            first.kill()
    assert "Error: A worker process of the Beam job died" in (tmp_path / "messages.txt").read_text()
    assert workers_below(first.pid) == []

    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    check_bytes(tmp_path)


@pytest.mark.processes
@pytest.mark.skipif(not Path("/proc/self/cmdline").is_file(), reason="finds processes in /proc")
def test_workers_that_start_end_with_a_command_that_is_killed(tmp_path):
    """Beam's own worker would try for two minutes to connect to the command."""
    pytest.importorskip("apache_beam", reason="needs Apache Beam: pip install 'crossask[beam]'")
    command = subprocess.Popen(prepare_command(tmp_path, OPTIONS), stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 240
        while len(workers := workers_below(command.pid)) < 2:
            assert command.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        command.kill()
        command.wait()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(is_worker(worker) for worker in workers):
        assert time.monotonic() < deadline, "the workers outlived the command"
        time.sleep(0.05)


@pytest.mark.processes
@pytest.mark.skipif(os.name != "posix", reason="Windows keeps the number of a parent that ended")
def test_a_worker_whose_parent_has_ended_before_it_starts_ends_at_once():
    another = str(os.getppid())
    command = [sys.executable, "-m", beam_worker.__name__, another]
    worker = subprocess.run(command, capture_output=True, timeout=60)
    assert worker.returncode == 1
    # Beam's worker would end with a stack trace, because no address is given.
    assert worker.stderr == b""


def test_only_the_command_of_beams_runner_on_this_machine_is_replaced():
    command = f"{sys.executable} -m {beam_worker.BEAM_WORKER_MODULE}"
    replaced = beam_worker.command_ending_with_this_process(command)
    assert beam_worker.__name__ in replaced
    for other in (replaced, "ssh host " + command, ""):
        assert beam_worker.command_ending_with_this_process(other) == other


@pytest.mark.faults
@pytest.mark.processes
def test_dasks_scheduler_computes_the_same_bytes(tmp_path):
    pytest.importorskip("distributed", reason="needs Dask: pip install 'apache-beam[dask]'")
    runner = "--runner=apache_beam.runners.dask.dask_runner.DaskRunner"
    subprocess.run(prepare_command(tmp_path, runner), check=True, stderr=subprocess.DEVNULL)
    check_bytes(tmp_path)


def prepare_command(folder: Path, options: str) -> list[str]:
    """Returns a command that computes features of a new corpus of six shards with Beam."""
    table = small_corpus.write(folder / "corpus", places=10, clips=9)
    rows = small_corpus.write_rows(folder / "rows.py", "FA")
    return [
        sys.executable,
        "-m",
        "crossask.cli.main",
        "prepare",
        "--dataset=folder",
        f"--data_dir={table}",
        f"--experiment={rows}",
        f"--features_dir={folder}/features",
        "--runner=beam",
        f"--beam_options={options}",
    ]


def check_bytes(folder: Path) -> None:
    """Asserts that the command's files are those that are computed without Beam."""
    corpus = read_corpus("folder", folder / "corpus" / "clips.csv")
    here = prepare_features(corpus, small_corpus.FA, folder / "here").folders["log_mel"]
    there = folder / "features" / here.name
    names = sorted(path.name for path in here.iterdir())
    assert sorted(path.name for path in there.iterdir()) == names
    for name in names:
        assert (here / name).read_bytes() == (there / name).read_bytes()


def workers_below(pid: int) -> list[int]:
    """Returns the processes of Beam's workers below a process, the deepest ones."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        number = int(folder.name)
        # It may end meanwhile.
        with contextlib.suppress(OSError, ValueError):
            if is_worker(number) and pid in ancestors(number):
                found.append(number)
    return found


def is_worker(pid: int) -> bool:
    """Returns whether a process is one of Beam's workers, and not the shell that starts it."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except (OSError, ValueError):
        # The process has ended.
        return False
    is_program = words[0].endswith("python") or "python3" in words[0]
    return is_program and not set(WORKERS).isdisjoint(words)


def ancestors(pid: int) -> list[int]:
    """Returns the ids of the parent of a process, of its parent, and so on."""
    found = []
    while pid > 1:
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
        pid = next(int(line.split()[1]) for line in status if line.startswith("PPid:"))
        found.append(pid)
    return found
