"""Embeddings of another toolkit in a file: what is read, and what is refused."""

import re

import numpy as np
import pytest

from crossask import events
from crossask.config import EventModelConfig
from crossask.errors import DataError


def read(path):
    return events.build(EventModelConfig(name="precomputed", embeddings=str(path)))


def embeddings(*names, shape=(3, 5)):
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape) for name in names}


def written(folder, arrays):
    np.savez(folder / "embeddings.npz", **arrays)
    return folder / "embeddings.npz"


def test_each_clip_has_its_array_and_a_single_embedding_is_a_sequence_of_one(tmp_path):
    arrays = embeddings("audio/a.wav", "b.wav@30.0s")
    found = read(written(tmp_path, arrays))
    assert found.shape == (3, 5)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found.embedding_of(name), array.astype(np.float32))
    single = {"a.wav": np.ones(5, np.float16)}
    np.testing.assert_array_equal(
        read(written(tmp_path, single)).embedding_of("a.wav"), np.ones([1, 5], np.float32)
    )


def test_the_digest_changes_with_a_name_and_a_value(tmp_path):
    arrays = embeddings("a.wav", "b.wav")
    digest = read(written(tmp_path, arrays)).weights_digest()
    assert read(written(tmp_path, dict(reversed(arrays.items())))).weights_digest() == digest
    renamed = {"c.wav": arrays["a.wav"], "b.wav": arrays["b.wav"]}
    assert read(written(tmp_path, renamed)).weights_digest() != digest
    arrays["a.wav"][0, 0] += 1
    assert read(written(tmp_path, arrays)).weights_digest() != digest


def test_missing_clips_are_named(tmp_path):
    found = read(written(tmp_path, embeddings("a.wav")))
    found.check(["a.wav"])
    expected = (
        "no embeddings of 7 of 8 clips: 0.wav, 1.wav, 2.wav, 3.wav, 4.wav and 2 more. It has 1 "
    )
    with pytest.raises(DataError, match=re.escape(expected)) as caught:
        found.check(["a.wav", *(f"{number}.wav" for number in range(7))])
    assert "the first for 'a.wav'" in caught.value.problem


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"a": np.zeros([3, 5]), "b": np.zeros([3, 6])}, "of 'b' are [3, 6], but those of 'a' are"),
        ({"a": np.zeros([3, 5]), "b": np.zeros([4, 5])}, "of 'b' are [4, 5], but those of 'a' are"),
        ({"a": np.array([[1.0, np.nan]])}, "'a' of"),
        ({"a": np.array([[1.0, 1e300]])}, "'a' of"),
        ({"a": np.zeros([2, 3, 4])}, "is float64 [2, 3, 4]"),
        ({"a": np.zeros([0, 4])}, "is float64 [0, 4]"),
        ({"a": np.zeros([2, 3], int)}, "is int64 [2, 3]"),
        ({}, "contains no arrays"),
    ],
)
def test_what_is_no_embedding_is_refused(tmp_path, arrays, problem):
    with pytest.raises(DataError, match=re.escape(problem)):
        read(written(tmp_path, arrays))


def test_a_missing_or_damaged_file_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"event_model\.embeddings is empty"):
        read("")
    with pytest.raises(DataError, match="There is no file"):
        read(tmp_path / "missing.npz")
    (tmp_path / "text.npz").write_text("no zip")
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "text.npz")
