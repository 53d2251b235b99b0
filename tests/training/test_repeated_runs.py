"""A row is trained by three processes: twice alike, and once with other threads and no oneDNN.

Each test is one sentence of docs/running.md.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = [pytest.mark.trains, pytest.mark.processes]

ROOT = Path(__file__).resolve().parent.parent.parent
CODE = """
import sys
from pathlib import Path

import small_corpus
from crossask.datasets import read_corpus
from crossask.training import devices

table, folder, threads = sys.argv[1:]
devices.limit_threads(int(threads))
small_corpus.train(small_corpus.FA_ON_ALL, read_corpus("folder", table), Path(folder))
"""
# After three epochs, twelve steps, of a small network whose learning rate is 1e-3.
LARGEST_DIFFERENCE = 1e-4


def started(table, folder, threads, **variables):
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return subprocess.Popen(
        [sys.executable, "-c", CODE, str(table), str(folder), str(threads)],
        env={**os.environ, "PYTHONPATH": paths, **variables},
        cwd=folder.parent,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def folders(table, tmp_path_factory):
    """Returns the folders of the three processes, which train at the same time."""
    base = tmp_path_factory.mktemp("repeated")
    processes = {
        base / "one": started(table, base / "one", 1),
        base / "again": started(table, base / "again", 1),
        base / "other": started(table, base / "other", 2, TF_ENABLE_ONEDNN_OPTS="0"),
    }
    for process in processes.values():
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    return list(processes)


def files_of(folder, *patterns):
    """Returns the content of files by their path."""
    found = {}
    for pattern in patterns:
        for path in folder.rglob(pattern):
            found[path.relative_to(folder)] = path.read_bytes()
    assert found
    return found


def arrays_of(folder):
    (path,) = folder.rglob("best.npz")
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def test_features_and_weights_of_another_process_have_the_same_bytes(folders):
    one, again, _ = folders
    patterns = ("*.tfrecord", "*.samples.json", "best.npz", "statistics.npz")
    assert files_of(again, *patterns) == files_of(one, *patterns)


def test_other_threads_and_no_onednn_read_the_same_features_and_change_the_last_digits(folders):
    one, _, other = folders
    # The names of the folders are part of the paths.
    assert set(files_of(other, "*.tfrecord")) == set(files_of(one, "*.tfrecord"))
    expected = arrays_of(one)
    found = arrays_of(other)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(
            found[name], array, rtol=0, atol=LARGEST_DIFFERENCE, err_msg=name
        )
