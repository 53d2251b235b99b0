"""A file is read whole once, and again only when its size or its times have changed."""

import hashlib
import os
import time

import pytest

from crossask.datasets import file_hashes
from crossask.errors import DataError

LARGE = 300_000


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(file_hashes, "_known", {})
    # Files of a test have just been written.
    monkeypatch.setattr(file_hashes, "SETTLED_SECONDS", 0.0)


@pytest.fixture
def opened(monkeypatch):
    """Returns the list of the paths that are read from here on."""
    paths = []
    read = file_hashes._read

    def watched(path):
        paths.append(path)
        return read(path)

    monkeypatch.setattr(file_hashes, "_read", watched)
    return paths


def change_middle(path):
    """Changes one bit in the middle of a file, and puts its times back as far as one can."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    # The clock of the file system is coarse.
    while path.stat().st_ctime_ns == before.st_ctime_ns:
        time.sleep(0.001)
        path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert path.stat().st_mtime_ns == before.st_mtime_ns


@pytest.fixture
def sound(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(bytes(LARGE))
    return path


def test_the_hash_is_that_of_the_whole_file(sound):
    found = file_hashes.contents([str(sound)])[str(sound)]
    assert found.sha256 == hashlib.sha256(bytes(LARGE)).hexdigest()
    assert found.size == LARGE


def test_a_file_is_read_once_and_again_when_it_has_changed_in_the_middle(sound, opened):
    first = file_hashes.contents([str(sound)])
    assert file_hashes.contents([str(sound), str(sound)]) == first
    assert opened == [str(sound)]
    change_middle(sound)
    assert file_hashes.changed(first) == [str(sound)]
    assert file_hashes.contents([str(sound)])[str(sound)].sha256 != first[str(sound)].sha256


def test_hashes_are_kept_beside_the_features_for_the_next_process(
    sound, tmp_path, opened, monkeypatch, caplog
):
    store = tmp_path / "features" / "recordings.json"
    for _ in range(2):
        with file_hashes.kept_in(store, [str(sound)]):
            file_hashes.contents([str(sound)])
        monkeypatch.setattr(file_hashes, "_known", {})
    assert opened == [str(sound)]
    change_middle(sound)
    with caplog.at_level("WARNING"), file_hashes.kept_in(store, [str(sound)]):
        file_hashes.contents([str(sound)])
    assert opened == [str(sound)] * 2
    assert caplog.messages == [f"{sound} has changed since its features were computed."]


def test_a_file_that_was_written_this_moment_is_read_again(sound, opened, monkeypatch):
    monkeypatch.setattr(file_hashes, "SETTLED_SECONDS", 3600.0)
    for _ in range(2):
        file_hashes.contents([str(sound)])
    assert opened == [str(sound)] * 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: text.replace(hashlib.sha256(bytes(LARGE)).hexdigest(), "0" * 64),
        lambda text: text.replace('"version": 1', '"version": 0'),
        lambda text: "[]",
        lambda text: '{"version": 1, "digest": "", "files": []}',
    ],
    ids=["empty", "half", "other_digits", "older_version", "list", "no_files"],
)
def test_damaged_hashes_are_computed_again(sound, tmp_path, opened, monkeypatch, damage):
    store = tmp_path / "recordings.json"
    with file_hashes.kept_in(store, [str(sound)]):
        file_hashes.contents([str(sound)])
    whole = store.read_text()
    store.write_text(damage(whole))
    monkeypatch.setattr(file_hashes, "_known", {})
    with file_hashes.kept_in(store, [str(sound)]):
        found = file_hashes.contents([str(sound)])
    assert found[str(sound)].sha256 == hashlib.sha256(bytes(LARGE)).hexdigest()
    assert len(opened) == 2
    assert store.read_text() == whole


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"missing\.wav cannot be read"):
        file_hashes.contents([str(tmp_path / "missing.wav")])
