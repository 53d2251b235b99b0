"""Files that are read again are whole, or one error says which file is damaged."""

import numpy as np
import pytest

from crossask import stored
from crossask.errors import DataError


def test_the_arrays_of_an_npz_are_returned_by_name(tmp_path):
    path = tmp_path / "arrays.npz"
    np.savez(path, one=np.arange(3), two=np.ones((2, 2)))
    arrays = stored.read_arrays(path, "Write it again.")
    np.testing.assert_array_equal(arrays["one"], [0, 1, 2])
    np.testing.assert_array_equal(arrays["two"], [[1, 1], [1, 1]])


def test_a_single_array_in_place_of_an_npz_is_an_error_with_the_name_of_the_file(tmp_path):
    path = tmp_path / "arrays.npz"
    with open(path, "wb") as file:
        np.save(file, np.arange(3))
    with pytest.raises(DataError, match=r"arrays\.npz is damaged .*single array") as raised:
        stored.read_arrays(path, "Write it again.")
    assert raised.value.fix == "Write it again."


def test_an_npz_is_written_whole_or_not_at_all(tmp_path):
    class Broken:
        def __array__(self, *_, **__):
            raise OSError("disk full")

    path = tmp_path / "weights"
    stored.write_arrays(path, {"one": np.arange(3)})
    with pytest.raises(OSError, match="disk full"):
        stored.write_arrays(path, {"one": np.arange(4), "two": Broken()})
    assert [found.name for found in tmp_path.iterdir()] == ["weights"]
    np.testing.assert_array_equal(stored.read_arrays(path, "")["one"], [0, 1, 2])
