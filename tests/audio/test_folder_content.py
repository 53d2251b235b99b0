"""What a folder contains: links are followed, and everything that is left out is counted."""

import errno
import os
from pathlib import Path

import pytest

from crossask.audio import reading
from crossask.errors import AudioError


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"sound")


def names(content, folder):
    return [path.relative_to(folder).as_posix() for path in content.files]


def test_linked_folders_are_searched_once_and_circles_end(tmp_path):
    touch(tmp_path, "in/a.wav", "in/deep/b.wav", "out/c.wav", "out/deep/d.wav")
    inside = tmp_path / "in"
    (inside / "other").symlink_to(tmp_path / "out")
    (inside / "again").symlink_to(tmp_path / "out")
    (inside / "deep" / "circle").symlink_to(inside)
    (tmp_path / "out" / "back").symlink_to(inside)
    content = reading.folder_content(inside)
    assert names(content, inside) == ["a.wav", "again/c.wav", "again/deep/d.wav", "deep/b.wav"]
    assert content.left_out == "3 links to folders that are searched already"


def test_a_folder_that_is_there_itself_is_searched_by_its_own_name(tmp_path):
    touch(tmp_path, "z/a.wav")
    (tmp_path / "link").symlink_to(tmp_path / "z")
    content = reading.folder_content(tmp_path)
    assert names(content, tmp_path) == ["z/a.wav"]
    assert len(content.linked) == 1


def test_a_link_to_a_folder_above_lists_no_file_twice(tmp_path):
    touch(tmp_path, "day/a.wav", "day/deep/b.wav", "night/c.wav")
    day = tmp_path / "day"
    (day / "up").symlink_to(tmp_path)
    content = reading.folder_content(day)
    assert names(content, day) == ["a.wav", "deep/b.wav", "up/night/c.wav"]
    assert content.left_out == "1 links to folders that are searched already"


def test_each_reason_is_counted(tmp_path):
    touch(tmp_path, "a.wav", "notes.txt", "list.csv", "._a.wav", ".hidden/b.wav", ".DS_Store")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    try:
        touch(tmp_path, os.fsdecode(b"caf\xe9.wav"))
    except OSError:
        pytest.skip("this file system has only names in UTF-8")
    content = reading.folder_content(tmp_path)
    assert names(content, tmp_path) == ["a.wav"]
    assert content.left_out == (
        "2 with another suffix (.csv, .txt), 3 hidden, 1 empty (0 bytes), "
        "1 with a name that is not in UTF-8 (caf\\xe9.wav), 2 pipes or links without a target"
    )


def test_files_and_folders_that_are_removed_during_the_search_are_no_error(tmp_path, monkeypatch):
    touch(tmp_path, "a.wav", "b.wav", "day/c.wav")
    (tmp_path / "night").mkdir()
    is_file = Path.is_file

    def removed_afterwards(path):
        result = is_file(path)
        if path.name == "b.wav":
            path.unlink()
            (tmp_path / "night").rmdir()
        return result

    monkeypatch.setattr(Path, "is_file", removed_afterwards)
    content = reading.folder_content(tmp_path)
    assert names(content, tmp_path) == ["a.wav", "day/c.wav"]
    assert content.left_out == ""


def test_files_in_a_folder_that_may_not_be_entered_are_counted(tmp_path, monkeypatch):
    touch(tmp_path, "a.wav", "closed/b.wav")
    is_file = Path.is_file

    def refused(path):
        if path.parent.name == "closed":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", refused)
    content = reading.folder_content(tmp_path)
    assert names(content, tmp_path) == ["a.wav"]
    assert content.left_out == "1 without permission to read"


def test_a_name_that_is_not_in_utf_8_is_an_error_with_the_name(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.wav")
    with pytest.raises(AudioError, match=r"caf\\xe9\.wav is not in UTF-8") as error:
        reading.facts_of(path)
    str(error.value).encode()  # so that it can be printed
