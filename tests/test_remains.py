"""What killed commands leave is removed by the next start, and no process outlives its parent."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from crossask import files, locks

# How long a process may take to end after its parent.
PATIENCE_SECONDS = 60


@pytest.fixture
def ended() -> int:
    """Returns the number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def temporary(path: Path, process: int | str, host: str = files._HOST) -> Path:
    return path.with_name(f".{path.name}.{host}-{process}.part")


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "history.csv",
        "best.npz",
        "predictions.csv",
        "checkpoints/state",
        "report.html",
        "curves_fa.png",
        "day/morning.csv",
        "audio/a00.wav",
        "00000.tfrecord",
        "clips.csv",
    ],
)
def test_remains_in_a_folder_are_removed_when_it_is_locked(tmp_path, ended, name):
    left = temporary(tmp_path / name, ended)
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"half")
    with locks.of_folder(tmp_path):
        assert not left.exists()


@pytest.mark.parametrize("name", ["model", "model.tflite", "table.csv", "a[1].csv", "weights.npz"])
@pytest.mark.parametrize("is_folder", [False, True])
def test_remains_beside_a_path_are_removed_when_it_is_locked(tmp_path, ended, name, is_folder):
    left = temporary(tmp_path / name, ended)
    neighbour = temporary(tmp_path / "other", ended)
    for path in (left, neighbour):
        if is_folder:
            (path / "variables").mkdir(parents=True)
            (path / "variables" / "half").write_bytes(b"half")
        else:
            path.write_bytes(b"half")
    with locks.of_path(tmp_path / name):
        assert not left.exists()
        # Its lock is not held.
        assert neighbour.exists()


@pytest.mark.parametrize("lock", [locks.of_folder, locks.of_path])
def test_files_of_a_process_that_ends_during_the_next_command(tmp_path, lock):
    """A worker of a killed command may still run when the command is started again."""
    target = tmp_path / "events"
    written = target / "a.wav" if lock is locks.of_folder else target
    worker = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    left = temporary(written, worker.pid)
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"half")
    with lock(target):
        assert left.exists()
        worker.communicate(b"\n")
    assert not left.exists()


def test_files_of_others_remain(tmp_path, ended):
    kept = [
        temporary(tmp_path / "a.csv", os.getppid()),
        temporary(tmp_path / "a.csv", ended, host="another_machine"),
        temporary(tmp_path / "a.csv", "x"),
        tmp_path / ".a.csv.part",
        tmp_path / "a.csv",
    ]
    for path in kept:
        path.write_bytes(b"kept")
    with locks.of_path(tmp_path / "a.csv"), locks.of_folder(tmp_path):
        assert all(path.exists() for path in kept)


def test_in_a_container_the_killed_command_had_the_same_number(tmp_path):
    left = temporary(tmp_path / "a.csv", os.getpid())
    left.write_bytes(b"half")
    # Without the lock, another thread may write it.
    files.remove_remains(tmp_path)
    assert left.exists()
    with locks.of_path(tmp_path / "a.csv"):
        assert not left.exists()


def test_temporary_files_of_libraries_are_removed_by_the_next_command(tmp_path, ended, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    left = tmp_path / f"crossask-beam.{files._HOST}-{ended}-x"
    (left / "tmp1").mkdir(parents=True)
    with files.temporary_files_of("crossask-beam"):
        assert not left.exists()
        made = Path(tempfile.mkdtemp())
        assert made.parent.parent == tmp_path
        assert os.environ["TMPDIR"] == str(made.parent)
    assert list(tmp_path.iterdir()) == []
    assert tempfile.gettempdir() == os.environ["TMPDIR"] == str(tmp_path)


def test_the_cache_of_tensorflow_hub_remains_where_it_is(tmp_path, monkeypatch):
    resolver = pytest.importorskip("tensorflow_hub.resolver")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("TFHUB_CACHE_DIR", raising=False)
    cache = resolver.tfhub_cache_dir(use_temp=True)
    with files.temporary_files_of("crossask-beam"):
        assert resolver.tfhub_cache_dir(use_temp=True) == cache
        # Processes that are started there have it from their environment.
        assert os.environ["TFHUB_CACHE_DIR"] == cache
    assert "TFHUB_CACHE_DIR" not in os.environ
    assert str(files.hub_cache()) == cache


def test_a_link_to_a_folder_is_removed_and_the_folder_remains(tmp_path, ended):
    folder = tmp_path / "mine"
    folder.mkdir()
    left = temporary(tmp_path / "model", ended)
    left.symlink_to(folder)
    with locks.of_path(tmp_path / "model"):
        assert not left.is_symlink()
        assert folder.is_dir()


def test_a_card_without_its_file_is_what_a_killed_export_leaves(tmp_path):
    from crossask.errors import CrossaskError
    from crossask.serving import litert

    out = tmp_path / "model.tflite"
    card = tmp_path / "model.json"
    card.write_text(json.dumps({"scenes": [], "precision": "int8", "agreement": {}}))
    litert._check_out(out, card)
    for content in ("{}", "[]", "no JSON"):
        card.write_text(content)
        with pytest.raises(CrossaskError, match="exists already"):
            litert._check_out(out, card)


RENDER = """
import os, sys, time
from pathlib import Path
from crossask.datasets.soundscapes import writing

def slow():
    print(os.getpid(), flush=True)
    time.sleep(600)

if __name__ == "__main__":
    jobs = [writing._Job(Path(sys.argv[1], name), slow, 1.0, 8000) for name in ("a", "b")]
    writing._render_in_parallel(jobs, 2, print)
"""


@pytest.mark.processes
def test_workers_that_render_end_with_their_parent(tmp_path):
    script = tmp_path / "render.py"
    script.write_text(RENDER)
    root = Path(files.__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    try:
        workers = [int(process.stdout.readline()) for _ in range(2)]
        assert all(files._is_running(worker) for worker in workers)
        process.kill()
        process.wait()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while any(map(is_alive, workers)):
            assert time.monotonic() < deadline, "the workers outlived their parent"
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


LAUNCH = """
import sys
from crossask.grid.launcher import launch_processes

command = [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(600)"]
launch_processes(command, 2)
"""


@pytest.mark.processes
@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot")
def test_processes_of_a_launcher_end_with_it():
    root = Path(files.__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCH],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    try:
        # The output of the second process is not shown; both are children.
        first = int(process.stdout.readline())
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert str(first) in children
        process.kill()
        process.wait()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while any(is_alive(int(child)) for child in children):
            assert time.monotonic() < deadline, "the processes outlived the launcher"
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def is_alive(process: int) -> bool:
    """Returns whether a process runs; one that nobody has waited for yet does not."""
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
