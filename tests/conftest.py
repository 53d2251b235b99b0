"""Fixtures that many tests share.

What takes long to make is made once in a test run, by whichever process needs it first.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import download_server
import pytest
import small_corpus
from filelock import FileLock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# One way to YAMNet's weights is pip's index; tests use no network.
os.environ["PIP_NO_INDEX"] = "1"
# `make test` gives its own options and variables to every make that a test starts.
for name in ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS"):
    os.environ.pop(name, None)

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure(config):
    """Splits the CPU into two logical devices, which stand for two GPUs; TensorFlow allows it only
    before it computes.

    Tests that do not need it start faster without it, in `make mutants`.
    """
    if os.environ.get("CROSSASK_TESTS_WITHOUT_TENSORFLOW"):
        return
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Marks every test that needs something trained."""
    for item in items:
        if {"trained", "exported"} & set(item.fixturenames):
            item.add_marker(pytest.mark.trains)


@pytest.fixture(scope="session")
def real_data():
    """Returns a function: name of a folder of real recordings or weights -> its path.

    It skips the test if there is none.
    """

    def find(name: str) -> Path:
        base = Path(os.environ.get("CROSSASK_TEST_DATA", ROOT.parent / "shared" / "data"))
        if not (base / name).exists():
            pytest.skip(f"needs the folder {base / name}; set CROSSASK_TEST_DATA to where it is")
        return base / name

    return find


@pytest.fixture(scope="session")
def two_devices():
    """Returns a strategy over the two logical CPUs, one for the session.

    A second strategy over the same devices would assign the keys of its collective operations
    again, and TensorFlow would take them for those of the first one ("Shape mismatch in the
    collective instance").
    """
    import tensorflow as tf

    if len(tf.config.list_logical_devices("CPU")) != 2:
        pytest.skip("needs two logical CPUs")
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture
def server(monkeypatch):
    """Returns a local web server; requests to it go through no proxy."""
    for variable in download_server.PROXY_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.lower(), raising=False)
    with download_server.running() as server:
        yield server


@pytest.fixture
def eagerly():
    """Runs the test without graphs."""
    with small_corpus.without_graphs():
        yield


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Returns a function: (name, make) -> a folder that `make(folder)` has filled.

    With pytest-xdist several processes run the tests. The first one that asks for a name makes the
    folder while the others wait for it; afterwards all of them only read it.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        # each process has its own folder below that of the test run
        base = base.parent
    base = base / "made_once"
    base.mkdir(exist_ok=True)

    def made(name: str, make: Callable[[Path], None]) -> Path:
        folder = base / name
        finished = base / f"{name}.finished"
        with FileLock(base / f"{name}.lock"):
            if not finished.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                finished.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def table(made_once) -> Path:
    """Returns the CSV of the small corpus.

    Tests that change recordings write a corpus of their own.
    """
    return made_once("corpus", small_corpus.write) / "clips.csv"


@pytest.fixture(scope="session")
def corpus(table):
    """Returns the small corpus."""
    from crossask.datasets import read_corpus

    return read_corpus("folder", table)


@pytest.fixture(scope="session")
def features(made_once, corpus) -> Path:
    """Returns a folder with all features that the rows FA, FEATURE_BASED and CMAM of small_corpus
    read.
    """
    from crossask.features.cache import prepare_features

    def compute(folder: Path) -> None:
        for row in (small_corpus.FEATURE_BASED, small_corpus.CMAM):
            prepare_features(corpus, row, folder)

    return made_once("features", compute)


@pytest.fixture(scope="session")
def trained(made_once, corpus, features):
    """Returns a function: row -> its run on fold 1 with seed 0, trained once in a test run.

    Tests only read the run.
    The row must read the features of FA, FEATURE_BASED or CMAM.
    """
    import tensorflow as tf

    from crossask import config, training
    from crossask.features.cache import prepare_features
    from crossask.training import run_folder

    def run_of(row):
        def train(folder: Path) -> None:
            assert not tf.config.functions_run_eagerly()
            cache = prepare_features(corpus, row, features)
            training.train(run_folder.run_at(folder, row.name, "1", 0), row, corpus, cache)

        folder = made_once(f"run_{row.name}_{config.digest(row)}", train)
        return run_folder.run_at(folder, row.name, "1", 0)

    return run_of


@pytest.fixture(scope="session")
def exported(made_once, corpus):
    """Returns a function: row of small_corpus.EXPORTED -> small_corpus.Exported.

    Tests only read it.
    """

    def export(row) -> small_corpus.Exported:
        folder = made_once(
            f"exported_{row.name}", lambda folder: small_corpus.export(row, corpus, folder)
        )
        return small_corpus.Exported.at(folder, row)

    return export


@pytest.fixture(scope="session")
def exports(exported) -> list[Path]:
    """Returns the folders of two exported models: one that detects events, and one without an event
    model.
    """
    return [
        exported(small_corpus.FEATURE_BASED_24_KHZ).model,
        exported(small_corpus.FA_24_KHZ).model,
    ]
