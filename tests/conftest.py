"""Two logical CPUs stand in for two devices; real data is used where it is at hand."""

import os
from pathlib import Path

import pytest
import small_corpus

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure(config):
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


@pytest.fixture(scope="session")
def real_data():
    """A function: folder of real recordings or weights -> Path, or the test is skipped with the folder's name."""

    def find(name: str) -> Path:
        base = Path(os.environ.get("CROSSASK_TEST_DATA", ROOT.parent / "shared" / "data"))
        if not (base / name).exists():
            pytest.skip(f"needs the folder {base / name}; set CROSSASK_TEST_DATA to where it is")
        return base / name

    return find


@pytest.fixture(scope="session")
def exports(tmp_path_factory):
    """Folders of two exported models of the small corpus: one that names events, and one that reads none."""
    rows = small_corpus.FEATURE_BASED, small_corpus.FA
    return [small_corpus.write_model(tmp_path_factory.mktemp(row.name), row) for row in rows]


@pytest.fixture(scope="session")
def two_devices():
    """Two logical CPUs as two devices: one strategy for the session.

    A second strategy over the same devices hands out the keys of its collective operations anew, and TensorFlow takes
    them for the first one's ("Shape mismatch in the collective instance").
    """
    import tensorflow as tf

    if len(tf.config.list_logical_devices("CPU")) != 2:
        pytest.skip("needs two logical CPUs")
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
