"""Output files of predictions that are continued: one line for each recording."""

import csv
import json
import re
import shutil
import types

import damage
import pytest

from crossask.cli.prediction_writer import PredictionWriter
from crossask.errors import CrossaskError
from crossask.serving import prediction_files, prediction_lines
from crossask.serving.sources import RecordingFile
from crossask.text_tables import name_of

SCENES = ("bus", "park")
NAMES = [
    "plain.wav",
    "line\nfeed.wav",
    "carriage\rreturn.wav",
    "both\r\nends.wav",
    "next\x85line.wav",
    "line\u2028separator.wav",
    "paragraph\u2029separator.wav",
    "form\x0cfeed\x1c.wav",
    'quotation"mark.wav',
    "comma, tab\t: colon.wav",
    "caf\u00e9.wav",
    " blank .wav",
]


def prediction(source, scene="bus"):
    return types.SimpleNamespace(
        source=source,
        scene=scene,
        probabilities={"bus": 0.75, "park": 0.25},
        filled_seconds=0.0,
        is_sure=True,
        is_silent=False,
        warnings=(),
        top=lambda count: [("bus", 0.75), ("park", 0.25)][:count],
    )


def write(path, file_format, names):
    """Continues a file with the names that it does not contain yet; returns those names."""
    file = prediction_files.PredictionFile(path, file_format, SCENES)
    left = [name for name in names if not file.contains(name)]
    for name in left:
        file.append(prediction(name))
    file.close()
    return left


FORMATS = pytest.mark.parametrize("file_format", ["text", "csv", "json", "dcase2019", "dcase2024"])


@FORMATS
def test_a_name_with_any_line_break_is_predicted_once(tmp_path, file_format):
    path = tmp_path / "out"
    assert write(path, file_format, NAMES[:6]) == NAMES[:6]
    assert write(path, file_format, NAMES) == NAMES[6:]
    content = path.read_bytes()
    assert write(path, file_format, NAMES) == []
    assert path.read_bytes() == content


def test_programs_read_the_names_back_as_they_are(tmp_path):
    write(tmp_path / "out.csv", "csv", NAMES)
    with open(tmp_path / "out.csv", newline="", encoding="utf-8") as file:
        assert [name_of(row["file"]) for row in csv.DictReader(file)] == NAMES
    write(tmp_path / "out.jsonl", "json", NAMES)
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["file"] for line in lines] == NAMES
    write(tmp_path / "out.txt", "text", NAMES)
    assert len((tmp_path / "out.txt").read_text(encoding="utf-8").splitlines()) == len(NAMES)


@FORMATS
def test_a_file_that_was_cut_anywhere_goes_on_to_the_same_bytes(tmp_path, file_format):
    write(tmp_path / "whole", file_format, NAMES)
    whole = (tmp_path / "whole").read_bytes()
    path = tmp_path / "cut"
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length].decode("utf-8", "ignore").encode())
        write(path, file_format, NAMES)
        assert path.read_bytes() == whole, length


@FORMATS
@pytest.mark.parametrize("name", ["b.wav", "line\nfeed.wav"])
def test_a_changed_recording_takes_the_place_of_its_line(tmp_path, file_format, name):
    path = tmp_path / "out"
    write(path, file_format, ["a.wav", name, "c.wav"])
    file = prediction_files.PredictionFile(path, file_format, SCENES)
    file.append(prediction(name, scene="park"))
    file.append(prediction("d.wav"))
    file.close()
    header = prediction_lines.header_line(file_format, SCENES, has_timeline=False)
    expected = [prediction("a.wav"), prediction("c.wav"), prediction(name, "park")]
    expected.append(prediction("d.wav"))
    lines = [prediction_lines.prediction_line(each, file_format) for each in expected]
    assert path.read_bytes().decode() == header + "".join(lines)


def test_text_of_scenes_and_recordings_with_colons_is_continued(tmp_path):
    scenes = ("a: b", "b", "c (d): e")
    names = ["x.wav", "y: a: z.wav", "b 50.0 %: b.wav"]
    answers = [
        "a: b 50.0 %",
        "b 50.0 %, a: b 40.0 %",
        "not sure; perhaps c (d): e 30.0 %",
        "silent",
    ]
    lines = []
    for number, answer in enumerate(answers):
        filled = " (filled with 4 s)" if number % 2 else ""
        lines += [f"{number} {name}: {answer}{filled}\n" for name in names]
    path = tmp_path / "out"
    path.write_text("".join(lines))
    file = prediction_files.PredictionFile(path, "text", scenes)
    for number in range(len(answers)):
        for name in names:
            assert file.contains(f"{number} {name}")
    file.close()


def test_a_table_that_an_editor_saved_with_other_line_ends_goes_on(tmp_path):
    path = tmp_path / "out.csv"
    write(path, "csv", ["a.wav"])
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert write(path, "csv", ["a.wav", "b.wav"]) == ["b.wav"]
    assert len(path.read_bytes().splitlines()) == 3


def test_a_line_that_is_no_prediction_is_an_error_and_stays(tmp_path):
    path = tmp_path / "out.csv"
    write(path, "csv", ["a.wav"])
    content = path.read_bytes() + b'"b"x.wav,bus\n' + b"c.wav,bus,1,0,0.000\n"
    path.write_bytes(content)
    with pytest.raises(CrossaskError, match="not a prediction in the format csv"):
        write(path, "csv", ["d.wav"])
    assert path.read_bytes() == content


def what_is_checked(line):
    """Returns a line without last digits, and without numbers that nothing else in it confirms."""
    line = re.sub(rb" [0-9.]+ %", b"", line)
    line = re.sub(rb'"filled_seconds": [0-9.]+', b"", line)
    return re.sub(rb"(\.[0-9]{3})[0-9]{3}\b", rb"\1", line)


@FORMATS
@pytest.mark.parametrize("damaging", damage.ALL, ids=lambda damaging: damaging.__name__)
def test_a_damaged_table_goes_on_with_every_line_or_is_an_error(tmp_path, file_format, damaging):
    path = tmp_path / "out"
    write(path, file_format, NAMES)
    lines = path.read_bytes().splitlines(keepends=True)
    damaging(path)
    before = path.read_bytes() if path.is_file() else b""
    _, error = damage.outcome(write, path, file_format, NAMES)
    if error is not None:
        assert damage.names(error, path)
        assert path.is_dir() or path.read_bytes() == before
        return
    found = path.read_bytes().splitlines(keepends=True)
    assert set(map(what_is_checked, lines)) <= set(map(what_is_checked, found))


LINES = {
    "csv": "a.wav,bus,0.750000,0.250000,0.000\n",
    "dcase2019": "audio/a.wav\tbus\n",
    "dcase2024": "audio/a.wav\tbus\t0.750000\t0.250000\n",
    "json": '{"file": "a.wav", "scene": "bus", "probabilities": {"bus": 0.75, "park": 0.25}, '
    '"filled_seconds": 0.0, "sure": true, "warnings": []}\n',
    "text": "a.wav: bus 75.0 %, park 25.0 %\n",
}
CHANGES = {
    "csv": [("bus", "bqs"), ("0.75", "0.71"), ("0.75", "1.75"), ("0.25", "nan"), (",bus", "")],
    "dcase2019": [("bus", "bqs"), ("\tbus", ""), ("audio/a.wav", "")],
    "dcase2024": [("bus", "park"), ("0.75", "-0.75"), ("0.25", "0,25"), ("\t0.25", "")],
    "json": [("bus", "bqs"), ("0.25", "0.2"), ("0.75", '"a"'), ('"file"', '"f"'), ('"a.wav"', "1")],
    "text": [("bus", "bqs"), (" bus 75.0 %, park 25.0 %", ""), (": ", ":"), ("25.0 %", "25")],
}
CHANGED_LINES = []
for of_format, changes in CHANGES.items():
    CHANGED_LINES += [(of_format, *change) for change in changes]


@pytest.mark.parametrize(("file_format", "old", "new"), CHANGED_LINES)
def test_a_line_with_a_changed_scene_or_number_is_an_error(tmp_path, file_format, old, new):
    path = tmp_path / "out"
    header = prediction_lines.header_line(file_format, SCENES, has_timeline=False)
    path.write_text(header + LINES[file_format])
    assert write(path, file_format, ["a.wav", "b.wav"]) == ["b.wav"]
    path.write_text(header + LINES[file_format].replace(old, new))
    with pytest.raises(CrossaskError, match="which is not a prediction"):
        write(path, file_format, ["a.wav", "b.wav"])


@pytest.mark.parametrize(
    ("file_format", "line"),
    [("csv", "a.wav,bus\n"), ("csv", "a.wav\n"), ("json", "[" * 100_000 + "\n")],
    ids=["two cells", "one cell", "nested brackets"],
)
def test_a_line_of_another_form_is_an_error(tmp_path, file_format, line):
    path = tmp_path / "out"
    header = prediction_lines.header_line(file_format, SCENES, has_timeline=False)
    path.write_text(header + line)
    with pytest.raises(CrossaskError, match="which is not a prediction"):
        write(path, file_format, ["b.wav"])
    assert path.read_text() == header + line


@FORMATS
def test_a_file_of_something_else_is_not_overwritten(tmp_path, file_format):
    path = tmp_path / "out"
    path.write_bytes(b"PK\5\6" + bytes(18))
    with pytest.raises(CrossaskError, match="exists with another format"):
        write(path, file_format, ["a.wav"])
    assert path.read_bytes() == b"PK\5\6" + bytes(18)


@pytest.mark.parametrize("file_format", ["dcase2019", "dcase2024"])
def test_two_recordings_of_one_name_in_a_submission_are_an_error(file_format):
    writer = types.SimpleNamespace(values=types.SimpleNamespace(format=file_format), path_of={})
    first = RecordingFile("day1/a.wav", "a.wav")
    second = RecordingFile("day2/a.wav", "a.wav")
    PredictionWriter._check_names(writer, [first, first])
    with pytest.raises(CrossaskError, match=r"day1/a\.wav and day2/a\.wav would both be audio/a"):
        PredictionWriter._check_names(writer, [second])
    writer.values.format = "csv"
    PredictionWriter._check_names(writer, [first, second])


@FORMATS
@pytest.mark.parametrize("change", ["removed", "renamed", "replaced", "folder removed"])
def test_a_table_that_goes_away_while_it_is_written_is_an_error(tmp_path, file_format, change):
    path = tmp_path / "folder" / "table"
    file = prediction_files.PredictionFile(path, file_format, SCENES)
    file.append(prediction("first.wav"))
    if change == "removed":
        path.unlink()
    elif change == "folder removed":
        shutil.rmtree(path.parent)
    else:
        path.rename(path.with_name("moved"))
    if change == "replaced":
        path.write_text("another file")
    # One recording is new, the other has changed: its earlier line would be removed.
    for name in ("second.wav", "first.wav"):
        with pytest.raises(CrossaskError, match="table was removed, renamed or replaced") as error:
            file.append(prediction(name))
        assert "Run the same command again" in error.value.fix
    file.close()
    if change == "replaced":
        assert path.read_text() == "another file"
