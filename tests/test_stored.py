"""Files that are read again are whole, or one error says which file is damaged."""

import os
import zipfile

import numpy as np
import pytest

from crossask import files, stored
from crossask.datasets import embeddings
from crossask.errors import DataError, WeightsError
from crossask.events import weights


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


@pytest.mark.parametrize(
    ("read", "error"),
    [
        (lambda path: stored.read_arrays(path, ""), DataError),
        (lambda path: embeddings.load_npz(path, ""), DataError),
        (lambda path: weights.from_npz(path), WeightsError),
    ],
)
def test_a_file_in_an_npz_that_is_no_array_is_an_error(tmp_path, read, error):
    path = tmp_path / "arrays.npz"
    np.savez(path, one=np.arange(3))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("__MACOSX/._one.npy", b"\0\5\x16\7")
    with pytest.raises(
        error, match=r"arrays\.npz .* contains '__MACOSX/\._one', which is no array"
    ):
        read(path)


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


@pytest.mark.parametrize("links", [True, False])
def test_a_folder_whose_path_is_a_pattern_has_another_path_for_tensorflow(
    tmp_path, monkeypatch, links
):
    def refuse(*_, **__):
        raise PermissionError

    if not links:
        monkeypatch.setattr(os, "symlink", refuse)
    plain = tmp_path / "model"
    with files.without_pattern(plain) as readable:
        assert readable == plain
    for name in ("model[1]", "model*", "model?", "model\\"):
        folder = tmp_path / name / "variables"
        folder.mkdir(parents=True)
        (folder / "a.index").touch()
        with files.without_pattern(folder) as readable:
            assert not set("[]*?\\") & set(str(readable))
            assert [path.name for path in readable.iterdir()] == ["a.index"]
        assert not readable.exists()
        assert (folder / "a.index").is_file()
