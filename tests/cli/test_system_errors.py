"""What the operating system refuses is two lines and exit code 2, whoever reports it."""

import contextlib
import errno
import io
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile
import tensorflow as tf
from absl import flags

from crossask import files, system_errors
from crossask.cli import command, main

NUMBERS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENOENT,
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.EBUSY,
    errno.EIO,
    errno.ESTALE,
    errno.EMFILE,
    errno.ENFILE,
    errno.EAGAIN,
    errno.ENOMEM,
    errno.EADDRINUSE,
    errno.ETIMEDOUT,
    errno.EINVAL,
    errno.ENOSYS,
)


def run(action) -> int:
    """Runs a verb without flags that calls `action`."""
    return command.run("doc", flags.FlagValues(), lambda _values, _words: action(), ["verb"])


def two_lines(capsys) -> tuple[str, str]:
    """Returns the problem and the fix that were printed, which must be all that was."""
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == 2, printed
    problem, fix = printed
    assert problem.startswith("Error: ")
    assert problem.endswith(".")
    assert fix
    return problem, fix


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: errno.errorcode[number])
def test_every_number_is_two_lines_with_the_path(number, tmp_path, capsys):
    path = tmp_path / "runs" / "best.npz"

    def refused():
        raise OSError(number, os.strerror(number), str(path))

    assert run(refused) == 2
    problem, _ = two_lines(capsys)
    assert str(path) in problem


def test_a_full_disk_says_where_and_how_much_is_free(tmp_path, monkeypatch, capsys):
    # The disk has room again as soon as the error is described.
    monkeypatch.setattr(
        shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(100, 97, 3_000_000)
    )
    path = tmp_path / "not yet" / "best.npz"

    def full():
        with files.writing(path) as temporary:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(temporary))

    assert run(full) == 2
    problem, _ = two_lines(capsys)
    # not the temporary name
    assert problem == f"Error: The disk is full: {path} (3 MB free in {path.parent})."


@pytest.mark.parametrize("writing", [files.writing, files.folder_beside])
def test_the_space_of_a_full_disk_is_that_before_the_unfinished_file_is_removed(
    tmp_path, monkeypatch, capsys, writing
):
    def usage(_folder):
        is_unfinished = any(path.name.endswith(".part") for path in tmp_path.iterdir())
        return shutil._ntuple_diskusage(100, 100, 0 if is_unfinished else 9_000_000)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    path = tmp_path / "best.npz"

    def full():
        with writing(path) as temporary:
            if not temporary.exists():
                temporary.write_bytes(b"a part")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(temporary))

    assert run(full) == 2
    problem, _ = two_lines(capsys)
    assert problem == f"Error: The disk is full: {path} (0 MB free in {tmp_path})."


def open_many_files():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_now = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 8, before[1]))
    opened = []
    try:
        while True:
            opened.append(open(os.devnull))  # noqa: SIM115
    finally:
        for file in opened:
            file.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def raise_from_tensorflow(kind: type, text: str):
    raise kind(None, None, text)


# A square matrix with so many rows needs a petabyte.
TOO_MANY = 1 << 24
REFUSED_BY_LIBRARIES = {
    "numpy memory": (
        lambda: np.empty((1 << 48,), "float64"),
        "not enough memory (Unable to allocate 2.00 PiB",
    ),
    "python memory": (lambda: bytearray(1 << 62), "not enough memory"),
    "h5py missing": (lambda: h5py.File("/there/is/none.h5", "r"), "/there/is/none.h5"),
    "h5py no permission": (
        lambda: h5py.File("/proc/version.h5", "w"),
        "/proc/version.h5",
    ),
    "h5py damaged": (lambda: h5py.File(__file__, "r"), "signature"),
    "tensorflow missing": (
        lambda: tf.io.read_file("/there/is/none.npz"),
        "no such file or folder: /there/is/none.npz",
    ),
    "tensorflow full disk": (
        lambda: raise_from_tensorflow(
            tf.errors.ResourceExhaustedError, "/proc/runs/model.index; No space left on device"
        ),
        "The disk is full: /proc/runs/model.index (",
    ),
    "tensorflow memory": (
        lambda: raise_from_tensorflow(
            tf.errors.ResourceExhaustedError, "OOM when allocating tensor with shape[9,9]"
        ),
        "not enough memory (OOM when allocating tensor with shape[9,9])",
    ),
    # As in training: TensorFlow names the operation before the reason, in lines of its own.
    "tensorflow memory of a graph": (
        lambda: tf.function(lambda n: tf.zeros([n, n]))(tf.constant(TOO_MANY)),
        "not enough memory (OOM when allocating tensor with shape[16777216,16777216]",
    ),
    "tensorflow memory of an operation": (
        lambda: tf.zeros([TOO_MANY, TOO_MANY]),
        "not enough memory (OOM when allocating tensor with shape[16777216,16777216]",
    ),
    "tensorflow memory of a GPU": (
        lambda: raise_from_tensorflow(
            tf.errors.ResourceExhaustedError,
            "Graph execution error:\n\nOut of memory while trying to allocate 99 bytes.\n [Op:f]",
        ),
        "not enough memory (Out of memory while trying to allocate 99 bytes)",
    ),
    "tensorflow files": (
        lambda: raise_from_tensorflow(
            tf.errors.ResourceExhaustedError, "/proc/none/a.npz; Too many open files"
        ),
        "Too many files are open in this process: /proc/none/a.npz",
    ),
    "soundfile": (
        lambda: soundfile.write("/proc/none/a.wav", np.zeros(9), 8000),
        "System error",
    ),
    "threads": (
        lambda: (_ for _ in ()).throw(RuntimeError("can't start new thread")),
        "no more processes or threads",
    ),
    "open files": (open_many_files, "Too many files are open in this process"),
    "no folder for temporary files": (
        lambda: (_ for _ in ()).throw(
            FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")
        ),
        "No usable temporary directory",
    ),
}


@pytest.mark.parametrize("name", REFUSED_BY_LIBRARIES)
def test_libraries_that_wrap_the_system_s_error_are_two_lines(name, capsys):
    refused, part = REFUSED_BY_LIBRARIES[name]
    assert run(lambda: refused() and None) == 2
    problem, _ = two_lines(capsys)
    assert part in problem


def test_a_current_folder_that_was_removed_is_named(tmp_path, monkeypatch, capsys):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert run(lambda: os.getcwd() and None) == 2
    problem, fix = two_lines(capsys)
    assert "The current folder does not exist" in problem
    assert "cd" in fix


def test_a_bug_keeps_its_stack_trace():
    with pytest.raises(RuntimeError, match="a bug"):
        run(lambda: (_ for _ in ()).throw(RuntimeError("a bug")))
    assert system_errors.translate(KeyError("name")) is None
    # The words of the system in another error are no error of the system.
    assert system_errors.translate(ValueError(os.strerror(errno.ENOSPC))) is None


def command_line(*arguments: str, shell: str, **environment: str) -> subprocess.CompletedProcess:
    """Runs `crossask ARGUMENTS` in a process, with redirections of the shell."""
    line = f'"{sys.executable}" -m crossask.cli.main {" ".join(arguments)} {shell}'
    root = Path(main.__file__).parents[2]
    return subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(root), **environment},
    )


@pytest.mark.processes
@pytest.mark.parametrize(
    ("shell", "code", "error"),
    [
        ("> /dev/full", 2, "The disk is full"),
        (">&-", 2, "A closed file was read or written"),
        ("| true; exit ${PIPESTATUS[0]}", 0, ""),
        ("> /dev/null 2> /dev/full", 0, ""),
        ("> /dev/null 2>&-", 0, ""),
    ],
)
@pytest.mark.parametrize("verb", ["fields", "--help", "--version"])
def test_output_that_cannot_be_written(verb, shell, code, error):
    done = command_line(verb, shell=shell)
    assert done.returncode == code, done.stderr
    if error:
        problem, _ = done.stderr.splitlines()
        assert error in problem
    else:
        assert done.stderr == ""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_name_that_the_encoding_of_the_output_lacks_is_refused(encoding, monkeypatch, capsys):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding))
    assert run(lambda: print("a.wav: park\n\u65e5\u672c.wav: park")) == 2
    problem, fix = capsys.readouterr().err.splitlines()
    assert f"the encoding {encoding}, which lacks '\\u65e5\\u672c'" in problem
    assert "PYTHONIOENCODING=utf-8" in fix
    # What can be encoded is written as it is.
    assert run(lambda: print("plain.wav: park")) == 0
    assert written.getvalue() == b"plain.wav: park\n"


def test_in_the_locale_c_bytes_of_names_are_printed_and_other_characters_refused(
    monkeypatch, capsys
):
    written = io.BytesIO()
    stdout = io.TextIOWrapper(written, "ascii", errors="surrogateescape")
    monkeypatch.setattr(sys, "stdout", stdout)
    name = "caf\u00e9.wav".encode().decode("ascii", "surrogateescape")
    assert run(lambda: print(name)) == 0
    assert written.getvalue() == "caf\u00e9.wav\n".encode()
    assert run(lambda: print("caf\u00e9: 97 %")) == 2
    problem, fix = capsys.readouterr().err.splitlines()
    assert "the encoding ascii, which lacks '\\xe9'" in problem
    assert "PYTHONIOENCODING=utf-8" in fix


def test_standard_input_that_the_shell_has_closed_is_empty(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert run(lambda: print(sys.stdin.read())) == 0


@pytest.mark.processes
@pytest.mark.parametrize("verb", ["--help", "experiments"])
def test_texts_of_the_package_are_printed_in_any_encoding(verb):
    done = command_line(verb, shell="> /dev/null", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_pipe_to_a_process_of_ours_is_an_error(capsys):
    def broken():
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    with open(os.devnull, "w") as stdout, contextlib.redirect_stdout(stdout):
        assert run(broken) == 2
    problem, _ = two_lines(capsys)
    assert "has ended" in problem


def test_an_error_that_cannot_be_printed_keeps_its_exit_code(monkeypatch):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        assert run(lambda: json.loads(Path("/there/is/none").read_text())) == 2
        monkeypatch.undo()
        # What is buffered could be written by no one.
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())
