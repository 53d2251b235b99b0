"""Files of predictions: names that a spreadsheet would run, and going on where a file ends."""

import csv

import pytest
from app import made_up

from crossask.serving.prediction_files import PredictionFile

NAMES = (
    "=1+1.wav",
    "'=1+1.wav",
    "''a.wav",
    "@a.wav",
    "-1.5",
    "+1",
    "\tb.wav",
    "a,b.wav",
    '"a".wav',
)
SCENES = ("tram", "=bus")


@pytest.mark.parametrize("file_format", ["csv", "json", "dcase2024"])
def test_a_file_is_continued_whatever_the_names_are(file_format, tmp_path):
    path = tmp_path / "out"
    for name in NAMES:
        file = PredictionFile(path, file_format, SCENES)
        assert not file.contains(name)
        file.append(made_up.prediction(name, first=SCENES[0], second=SCENES[1]))
        file.close()
    file = PredictionFile(path, file_format, SCENES)
    assert all(file.contains(name) for name in NAMES)
    assert not file.contains("1+1.wav")
    file.close()


def test_a_csv_has_names_that_no_spreadsheet_runs_and_numbers(tmp_path):
    file = PredictionFile(tmp_path / "out.csv", "csv", SCENES)
    for name in NAMES:
        file.append(made_up.prediction(name, first=SCENES[1], second=SCENES[0]))
    file.close()
    with open(tmp_path / "out.csv", newline="", encoding="utf-8") as table:
        header, *lines = csv.reader(table)
    assert header == ["file", "scene", "tram", "'=bus", "filled_seconds"]
    assert [line[0] for line in lines] == [
        "'=1+1.wav",
        "''=1+1.wav",
        "'''a.wav",
        "'@a.wav",
        "-1.5",
        "+1",
        "'\tb.wav",
        "a,b.wav",
        '"a".wav',
    ]
    assert all(line[1:] == ["'=bus", "0.500000", "0.500000", "0.000"] for line in lines)
