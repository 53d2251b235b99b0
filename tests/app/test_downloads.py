"""The files that a visitor can save."""

import base64
import csv
import io
import zipfile

import pytest
from app import made_up

from crossask import text_tables
from crossask.app import downloads
from crossask.app.outcomes import Outcome


def content_of(url):
    """Returns the media type and the content of a data URL."""
    head, _, data = url.partition(";base64,")
    return head.removeprefix("data:"), base64.b64decode(data)


def test_the_files_of_one_recording_are_its_windows_and_its_labels():
    table, labels = downloads.files_of_prediction(made_up.prediction(), "a")
    assert (table.name, labels.name) == ("a.csv", "a.txt")
    media_type, content = content_of(table.url)
    assert media_type == "text/csv"
    lines = list(csv.DictReader(io.StringIO(content.decode())))
    assert [line["scene"] for line in lines] == ["tram", "bus"]
    assert [line["start_seconds"] for line in lines] == ["0.000", "10.000"]
    media_type, content = content_of(labels.url)
    assert media_type == "text/plain"
    assert content.decode() == "0.000000\t10.000000\ttram\n10.000000\t20.000000\tbus\n"


def test_the_files_of_all_recordings_leave_out_what_cannot_be_used():
    silent = made_up.prediction("b, c.wav", level_dbfs=-200.0)
    found = [
        Outcome("a.wav", (made_up.prediction(),)),
        Outcome("broken.wav", problem="It is broken."),
        Outcome("b, c.wav", (silent,)),
    ]
    table, labels = downloads.files_of_all(found, ["model"])
    assert (table.name, labels.name) == ("recordings.csv", "recordings_labels.zip")
    lines = list(csv.DictReader(io.StringIO(table.content.decode())))
    assert [line["file"] for line in lines] == ["a.wav", "b, c.wav"]
    assert [line["in_words"] for line in lines] == [
        "Most likely a bus (50 %), perhaps a tram",
        "Silence: the recording contains no sound",
    ]
    # Labels of a silent recording would name scenes.
    with zipfile.ZipFile(io.BytesIO(labels.content)) as archive:
        assert archive.namelist() == ["a.wav.txt"]
        assert archive.read("a.wav.txt").decode().startswith("0.000000\t10.000000\ttram")


def test_each_of_two_models_has_its_own_files():
    pair = (made_up.prediction(), made_up.prediction(first="park", second="rain"))
    # The page names two models by their paths if their folders have one name.
    files = downloads.files_of_all([Outcome("a.wav", pair)], ["first/model", "second/model"])
    assert [file.name for file in files] == [
        "recordings_first_model.csv",
        "recordings_first_model_labels.zip",
        "recordings_second_model.csv",
        "recordings_second_model_labels.zip",
    ]
    assert b"tram" in files[0].content
    assert b"park" in files[2].content
    assert all(label in file.label for file, label in zip(files, "ffss", strict=True))


def test_without_a_recording_that_can_be_used_there_are_no_files():
    assert downloads.files_of_all([Outcome("a.wav", problem="Broken.")], ["model"]) == []


@pytest.mark.parametrize("name", ["=1+1.wav", "@a.wav", "'a.wav", "-a, b.wav", '+"a".wav'])
def test_no_name_is_a_formula_in_a_table(name):
    outcomes = [Outcome(name, (made_up.prediction(name, first=name, second="=2"),))]
    tables = [file for file in downloads.files_of_all(outcomes, ["m"]) if file.name[-3:] == "csv"]
    tables += downloads.files_of_prediction(outcomes[0].predictions[0], "a")[:1]
    for table in tables:
        header, *lines = csv.reader(io.StringIO(table.content.decode()))
        assert f"'{name}" in header
        assert "'=2" in header
        for line in lines:
            assert line[0] == f"'{name}"
            assert text_tables.name_of(line[0]) == name
            assert not any(cell.startswith(("=", "+", "-", "@")) for cell in line)


def test_names_with_folders_of_another_system_stay_in_the_folder_of_the_zip():
    outcomes = [Outcome("a", (made_up.prediction(r"..\..\C:\a.wav"),))]
    _, labels = downloads.files_of_all(outcomes, ["m"])
    with zipfile.ZipFile(io.BytesIO(labels.content)) as archive:
        assert archive.namelist() == [".._.._C__a.wav.txt"]
