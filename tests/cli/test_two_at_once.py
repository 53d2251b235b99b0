"""Two commands that write one thing: the second says who writes it, or waits."""

import contextlib
import errno
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import filelock
import pytest
from every_verb import call, run_every_verb

from crossask import locks
from crossask.errors import CrossaskError

OTHER = {"host": "other", "pid": 4242, "since": "2026-01-02 03:04:05 +0000"}


@contextlib.contextmanager
def written_by_another(lock: contextlib.AbstractContextManager, verb: str) -> Iterator[None]:
    """Holds a lock as another process that runs `verb` would."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locks, "_this_process", lambda: {**OTHER, "command": f"crossask {verb}"})
        with lock:
            yield


@pytest.fixture(scope="module")
def work(made_once) -> Path:
    """Returns a folder in which every verb has run once; tests only read it."""
    return made_once("commands", run_every_verb)


def refused(verb: str, holder: str, lock, *arguments, capsys) -> None:
    """Asserts that a verb ends with the name of the process that holds the lock."""
    with written_by_another(lock, holder):
        assert call(verb, *arguments) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Error: ")]
    (error,) = errors
    assert "is being written by process 4242 on other since 2026-01-02 03:04:05" in error
    assert f"(crossask {holder})" in error


def pairs(*verbs: str) -> pytest.MarkDecorator:
    """Returns every pair of verbs: the first holds the lock, the second wants it."""
    both = [(first, second) for first in verbs for second in verbs]
    names = [f"{first} and {second}" for first, second in both]
    return pytest.mark.parametrize(("first", "second"), both, ids=names)


@pytest.mark.trains
@pairs("train", "evaluate", "evaluate --again")
def test_a_run_is_written_by_one_command(work, tmp_path, capsys, first, second):
    run = tmp_path / "runs" / "fa" / "fold1" / "seed0"
    verb, *flags = second.split()
    if verb == "train":
        flags += [f"--experiment={work}/rows.py:fa", f"--data_dir={work}/corpus", "--seeds=0"]
        flags += ["--preflight=never", "--params_override=training.epochs=1"]
    else:
        shutil.copytree(work / "runs" / "fa" / "fold1" / "seed0", run)
        if not flags:
            (run / "scores.json").unlink()
    flags.append(f"--model_dir={tmp_path}/runs")
    refused(verb, first, locks.of_folder(run), *flags, capsys=capsys)


@pytest.mark.trains
@pairs("prepare", "train", "evaluate")
def test_features_are_written_by_one_command(work, tmp_path, capsys, first, second):
    (kind,) = (work / "corpus" / "features").glob("log_mel-*")
    features = tmp_path / "features"
    flags = [f"--data_dir={work}/corpus", f"--features_dir={features}"]
    rows = [f"--experiment={work}/rows.py:fa"]
    if second == "prepare":
        flags += [*rows, "--dataset=folder"]
    elif second == "train":
        flags += [*rows, f"--model_dir={tmp_path}/runs", "--preflight=never"]
    else:
        flags += [f"--model_dir={work}/runs/fa/fold1/seed0", "--again"]
    refused(second, first, locks.of_folder(features / kind.name), *flags, capsys=capsys)


@pytest.mark.trains
@pytest.mark.parametrize("suffix", ["", ".tflite"])
def test_an_export_is_written_by_one_command(work, tmp_path, capsys, suffix):
    out = tmp_path / f"model{suffix}"
    flags = [f"--model_dir={work}/runs/fa/fold1/seed0", f"--out={out}"]
    if suffix:
        flags.append("--format=litert")
    refused("export", "export", locks.of_path(out), *flags, capsys=capsys)
    assert not out.exists()


@pairs("predict", "predict --watch")
def test_a_table_of_predictions_is_written_by_one_command(tmp_path, capsys, first, second):
    out = tmp_path / "table.csv"
    out.write_text("file\n")
    # another name of the same file
    flags = [f"--out={tmp_path}/../{tmp_path.name}/table.csv", "--format=csv", tmp_path]
    if second != "predict":
        flags.append("--watch")
    refused("predict", first, locks.of_path(out), *flags, capsys=capsys)


@pytest.mark.parametrize("flag", ["--timeline", "--format=audacity"])
def test_a_folder_of_timelines_is_written_by_one_command(tmp_path, capsys, flag):
    out = tmp_path / "timelines"
    flags = [f"--out={out}", flag, tmp_path]
    refused("predict", "predict", locks.of_folder(out), *flags, capsys=capsys)


def test_a_report_is_written_by_one_command(tmp_path, capsys):
    out = tmp_path / "report"
    flags = [f"--model_dir={tmp_path}", f"--out={out}"]
    refused("report", "report", locks.of_folder(out), *flags, capsys=capsys)


@pairs("pretrain --events=x.csv", "pretrain --embeddings=x.npz")
def test_weights_are_written_by_one_command(tmp_path, capsys, first, second):
    out = tmp_path / "weights.npz"
    verb, flag = second.split()
    refused(verb, first, locks.of_path(out), flag, f"--out={out}", capsys=capsys)


@pairs("soundscapes", "events", "tau2019 --download")
def test_a_folder_of_recordings_is_written_by_one_command(tmp_path, capsys, first, second):
    dataset, *flags = second.split()
    flags += [f"--dataset={dataset}", f"--data_dir={tmp_path}"]
    refused("prepare", f"prepare {first}", locks.of_folder(tmp_path), *flags, capsys=capsys)


@pytest.mark.trains
def test_models_of_own_recordings_are_written_by_one_command(work, tmp_path, capsys):
    lock = locks.of_folder(tmp_path)
    words = [f"{work}/corpus/clips.csv", f"--model_dir={tmp_path}"]
    refused("train", "train", lock, *words, capsys=capsys)


@pytest.mark.trains
def test_a_run_that_has_its_scores_is_read_while_it_is_locked(work):
    run = work / "runs" / "fa" / "fold1" / "seed0"
    with locks.of_folder(run):
        assert call("evaluate", f"--model_dir={run}") == 0


def test_different_outputs_do_not_meet(tmp_path):
    names = ["a.csv", "b.csv", "a", "a.tflite", "a.json"]
    with contextlib.ExitStack() as held:
        for name in names:
            held.enter_context(locks.of_path(tmp_path / name))
        for folder in (tmp_path, tmp_path / "runs" / "seed0", tmp_path / "runs" / "seed1"):
            held.enter_context(locks.of_folder(folder))
        with pytest.raises(locks.LockedError):
            held.enter_context(locks.of_path(tmp_path / "a.csv"))
    # All are free again.
    with locks.of_path(tmp_path / "a.csv"), locks.of_folder(tmp_path):
        pass


def test_with_wait_the_second_begins_when_the_first_has_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "SECONDS_BETWEEN_ATTEMPTS", 0.01)
    logged = []
    first = contextlib.ExitStack()
    first.enter_context(locks.of_folder(tmp_path))

    def info(text: str, *values) -> None:
        logged.append(text % values)
        first.close()

    monkeypatch.setattr(locks.LOG, "info", info)
    with locks.waiting(), locks.of_folder(tmp_path):
        (line,) = logged
        assert f"process {os.getpid()} on" in line
        assert line.endswith("Waiting for it to end.")


HOLD = """
import sys, time
from crossask import locks
with locks.of_folder(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.mark.processes
def test_the_lock_of_a_killed_process_is_free(tmp_path):
    root = Path(locks.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, env=environment
    )
    try:
        assert process.stdout.readline() == b"held\n"
        named = pytest.raises(locks.LockedError, match=f"process {process.pid} on")
        with named, locks.of_folder(tmp_path):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        with locks.of_folder(tmp_path):
            pass
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock"]


@pytest.mark.parametrize("number", sorted({errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}))
def test_a_disk_without_locks_is_a_warning(tmp_path, monkeypatch, caplog, number):
    def acquire(*_arguments, **_options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    monkeypatch.setattr(locks.LOG, "propagate", True)
    with caplog.at_level(logging.WARNING), locks.of_folder(tmp_path):
        assert "has no locks" in caplog.text


def test_a_folder_that_cannot_be_locked_is_an_error_in_words(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CrossaskError, match="file"), locks.of_folder(tmp_path / "file" / "runs"):
        pass


def test_a_device_is_not_locked():
    with locks.of_path(os.devnull), locks.of_path(os.devnull):
        pass
