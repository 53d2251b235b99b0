"""Outputs that are continued: a recording is skipped only if it is the one that was predicted."""

import dataclasses
import os
import shutil
import types

import numpy as np
import pytest

from crossask.cli.prediction_writer import PredictionWriter
from crossask.errors import CrossaskError
from crossask.serving import prediction_lines, sources
from crossask.serving.recording_embeddings import RecordingEmbeddings
from crossask.serving.results import Segment

SCENES = ("bus", "park")
PROBABILITIES = {"bus": 0.75, "park": 0.25}
TABLES = ("text", "csv", "json", "dcase2019", "dcase2024")
TIMELINES = ("text", "csv", "json", "audacity")
OUTPUTS = [(name, False) for name in TABLES] + [(name, True) for name in TIMELINES]
FORMATS = pytest.mark.parametrize(("file_format", "timeline"), OUTPUTS)


class Classifier:
    """Predicts a bus for every recording."""

    scenes = SCENES
    hop_seconds = None
    embeddings = None
    card = types.MappingProxyType({"sample_rate_hz": 16000, "seed": 0})

    def predict_each(self, recordings, progress=None):
        for recording in recordings:
            yield types.SimpleNamespace(
                source=str(recording),
                sample_rate_hz=16000,
                scene="bus",
                probabilities=PROBABILITIES,
                timeline=(Segment(0.0, 1.0, PROBABILITIES),),
                filled_seconds=0.0,
                is_sure=True,
                is_silent=False,
                warnings=(),
                top=lambda count: [("bus", 0.75), ("park", 0.25)][:count],
            )


def killed(*_):
    raise KeyboardInterrupt


class OtherSeed(Classifier):
    """The classifier of another run."""

    card = types.MappingProxyType({"sample_rate_hz": 16000, "seed": 1})


class WithEmbeddings(Classifier):
    """A classifier that reads the embeddings of another toolkit."""

    def __init__(self, path):
        self.embeddings = RecordingEmbeddings(path)
        self.predicted = []

    def __call__(self):
        return self

    def predict_each(self, recordings, progress=None):
        self.predicted += [recording.name for recording in recordings]
        return super().predict_each(recordings, progress)


class OtherHop(Classifier):
    """The same classifier with windows that overlap more."""

    hop_seconds = 0.5


def writer_of(out, file_format, timeline, classifier=Classifier, watch=False) -> PredictionWriter:
    """Returns what writes into an output, with the flags of a command."""
    values = types.SimpleNamespace(
        out=str(out), format=file_format, timeline=timeline, top=3, watch=watch
    )
    return PredictionWriter(values, classifier())


def predict_into(out, file_format, timeline, recordings, classifier=Classifier) -> int:
    """Continues an output, as a command does; returns the number of recordings in it."""
    writer = writer_of(out, file_format, timeline, classifier)
    try:
        writer.predict(recordings, shows_progress=False)
    finally:
        if writer.file is not None:
            writer.file.close()
    if timeline:
        return len([path for path in out.rglob("*") if not path.name.startswith(".")])
    header = prediction_lines.header_line(file_format, SCENES, timeline)
    return len(out.read_text().removeprefix(header).splitlines())


@FORMATS
def test_a_recording_is_predicted_again_if_its_embeddings_have_changed(
    tmp_path, monkeypatch, file_format, timeline
):
    for name in ("a.wav", "b.wav"):
        write(tmp_path / "sounds" / name)
    recordings = sources.find_recordings([tmp_path / "sounds" / f"{name}.wav" for name in "ab"])
    out = tmp_path / "out"
    one = np.ones((2, 3), np.float32)

    def predicted(**embeddings):
        np.savez(tmp_path / "e.npz", **embeddings)
        classifier = WithEmbeddings(tmp_path / "e.npz")
        assert predict_into(out, file_format, timeline, recordings, classifier) == 2
        return classifier.predicted

    assert predicted(**{"a.wav": one, "b.wav": one}) == ["a.wav", "b.wav"]
    assert predicted(**{"a.wav": one, "b.wav": one}) == []
    assert predicted(**{"a.wav": one, "b.wav": 2 * one}) == ["b.wav"]
    # Those of another day alone.
    assert predicted(**{"b.wav": 2 * one}) == []
    # A command that is killed before the new prediction is written leaves the earlier one.
    with monkeypatch.context() as patches:
        patches.setattr(PredictionWriter, "_write_lines", killed)
        with pytest.raises(KeyboardInterrupt):
            predicted(**{"a.wav": 3 * one, "b.wav": 2 * one})
    assert predicted(**{"a.wav": 3 * one, "b.wav": 2 * one}) == ["a.wav"]


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(path.name)
    return path


def write_longer(path):
    path.write_text(2 * path.name)


@FORMATS
def test_the_same_recording_is_skipped_under_every_spelling_of_its_path(
    tmp_path, monkeypatch, file_format, timeline
):
    write(tmp_path / "day1" / "a.wav")
    os.symlink(tmp_path / "day1", tmp_path / "link")
    out = tmp_path / "out"
    monkeypatch.chdir(tmp_path / "day1")
    assert predict_into(out, file_format, timeline, sources.find_recordings(["a.wav"])) == 1
    assert predict_into(out, file_format, timeline, sources.find_recordings(["a.wav"])) == 1
    monkeypatch.chdir(tmp_path / "link")
    assert predict_into(out, file_format, timeline, sources.find_recordings(["a.wav"])) == 1
    others = ["./a.wav", "../link/a.wav", str(tmp_path / "day1" / "a.wav")]
    for other in others:
        assert predict_into(out, file_format, timeline, sources.find_recordings([other])) == 1
    # When the recording has changed, its new prediction takes the place of that of each spelling.
    for number, other in enumerate(others):
        os.utime(tmp_path / "day1" / "a.wav", (number, number))
        assert predict_into(out, file_format, timeline, sources.find_recordings([other])) == 1
    if file_format in ("text", "csv", "json"):
        assert timeline or others[-1] in out.read_text()


def test_a_name_that_became_that_of_another_recording_is_no_spelling_of_the_first(
    tmp_path, monkeypatch
):
    first = write(tmp_path / "day1" / "a.wav")
    out = tmp_path / "out"
    monkeypatch.chdir(first.parent)
    assert predict_into(out, "csv", False, sources.find_recordings(["a.wav"])) == 1
    moved = tmp_path / "day2" / "a.wav"
    moved.parent.mkdir()
    os.replace(first, moved)
    monkeypatch.chdir(moved.parent)
    assert predict_into(out, "csv", False, sources.find_recordings(["a.wav"])) == 1
    os.utime(moved, (1, 1))
    with pytest.raises(CrossaskError, match="no longer there"):
        predict_into(out, "csv", False, sources.find_recordings(["a.wav"]))
    changed = dataclasses.replace(sources.find_recordings(["a.wav"])[0], is_changed=True)
    assert predict_into(out, "csv", False, [changed]) == 1
    write(first)
    assert predict_into(out, "csv", False, sources.find_recordings([first])) == 2


@FORMATS
def test_another_recording_of_the_same_name_is_an_error_and_is_not_skipped(
    tmp_path, monkeypatch, file_format, timeline
):
    first = write(tmp_path / "day1" / "a.wav")
    second = write(tmp_path / "day2" / "a.wav")
    out = tmp_path / "out"
    monkeypatch.chdir(first.parent)
    predict_into(out, file_format, timeline, sources.find_recordings(["a.wav"]))
    monkeypatch.chdir(second.parent)
    with pytest.raises(CrossaskError, match=r"day1/a\.wav and .*day2/a\.wav would both be"):
        predict_into(out, file_format, timeline, sources.find_recordings(["a.wav"]))
    # The former recording was moved to where the other one was.
    os.replace(first, second)
    assert predict_into(out, file_format, timeline, sources.find_recordings(["a.wav"])) == 1


@FORMATS
def test_the_next_card_of_a_recorder_is_an_error_and_is_not_skipped(
    tmp_path, monkeypatch, file_format, timeline
):
    out = tmp_path / "out"
    for number in (1, 2, 3):
        recording = write(tmp_path / f"card{number}" / "a.wav")
        # All recordings of a recorder may have one size.
        os.utime(recording, (1000 * number, 1000 * number))
        monkeypatch.chdir(recording.parent)
        found = sources.find_recordings(["a.wav"])
        if number == 1:
            assert predict_into(out, file_format, timeline, found) == 1
        else:
            with pytest.raises(CrossaskError, match=r"card1/a\.wav, which is no longer there, and"):
                predict_into(out, file_format, timeline, found)
        shutil.rmtree(recording.parent)


@pytest.mark.parametrize("file_format", TABLES)
def test_a_table_behind_a_link_stays_there(tmp_path, file_format):
    (tmp_path / "disk").mkdir()
    table = tmp_path / "disk" / "table"
    link = tmp_path / "link"
    link.symlink_to(table)
    recording = write(tmp_path / "sounds" / "a.wav")
    found = sources.find_recordings([recording])
    assert predict_into(link, file_format, False, found) == 1
    recording.write_text("recorded anew")
    # Its line is removed, and written again.
    assert predict_into(link, file_format, False, found) == 1
    with open(table, "a") as file:
        file.write("a part of a li")
    assert predict_into(link, file_format, False, found) == 1
    assert link.is_symlink()
    assert predict_into(table, file_format, False, found) == 1
    # Both names have one record.
    assert sorted(os.listdir(tmp_path / "disk")) == [".table.recordings", "table"]
    with pytest.raises(CrossaskError, match="contains predictions of another model"):
        predict_into(table, file_format, False, found, OtherSeed)


@FORMATS
def test_a_recording_that_was_recorded_anew_is_predicted_again(
    tmp_path, monkeypatch, file_format, timeline
):
    for name in ("a.wav", "b.wav"):
        write(tmp_path / "day" / name)
    found = sources.find_recordings([tmp_path / "day"])
    out = tmp_path / "out"
    count = predict_into(out, file_format, timeline, found)
    predicted = []

    class Noting(Classifier):
        def predict_each(self, recordings, progress=None):
            predicted.extend(str(recording) for recording in recordings)
            return super().predict_each(recordings, progress)

    assert predict_into(out, file_format, timeline, found, Noting) == count
    assert predicted == []
    status = os.stat(found[0].path)
    os.utime(found[0].path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    # A command that is killed before it has written the new prediction leaves the old one.
    with monkeypatch.context() as patch:
        patch.setattr(PredictionWriter, "_write_lines", killed)
        with pytest.raises(KeyboardInterrupt):
            predict_into(out, file_format, timeline, found)
    assert predict_into(out, file_format, timeline, found, Noting) == count
    assert predicted == [str(found[0])]
    assert predict_into(out, file_format, timeline, found, Noting) == count
    assert len(predicted) == 1


def test_a_timeline_that_was_written_meanwhile_is_not_overwritten(tmp_path):
    out = tmp_path / "out"
    for name in ("A.wav", "a.wav"):
        write(tmp_path / "sounds" / name)
    recordings = sources.find_recordings([tmp_path / "sounds"])

    class OnOtherDisk(Classifier):
        """Predicts on a disk where a.csv and A.csv are one file."""

        def predict_each(self, recordings, progress=None):
            for outcome in super().predict_each(recordings, progress):
                yield outcome
                (out / "a.csv").hardlink_to(out / "A.csv")

    with pytest.raises(CrossaskError, match=r"a\.csv was written for another recording"):
        predict_into(out, "csv", True, recordings, OnOtherDisk)
    assert "A.wav" in (out / "A.csv").read_text()


def test_a_recording_with_a_taken_name_does_not_end_the_watching_of_a_folder(tmp_path, capsys):
    for name in ("a.flac", "a.wav", "b.wav"):
        write(tmp_path / "sounds" / name)
    recordings = sources.find_recordings([tmp_path / "sounds"])
    out = tmp_path / "out"
    writer = writer_of(out, "text", timeline=True, watch=True)
    writer.predict_found(recordings)
    assert sorted(path.name for path in out.glob("*.txt")) == ["a.txt", "b.txt"]
    assert writer.failed == 1
    message = capsys.readouterr().err
    assert "a.flac" in message
    assert "a.wav would both be a.txt" in message


def test_recordings_beside_one_with_a_taken_name_are_predicted_together(tmp_path):
    calls = []

    class Counting(Classifier):
        """Stores how many recordings it predicts at once."""

        def predict_each(self, recordings, progress=None):
            calls.append(len(recordings))
            return super().predict_each(recordings, progress)

    for name in ("a.flac", "a.wav", *(f"b{number:02d}.wav" for number in range(30))):
        write(tmp_path / "sounds" / name)
    recordings = sources.find_recordings([tmp_path / "sounds"])
    out = tmp_path / "out"
    writer_of(out, "text", timeline=True, classifier=Counting, watch=True).predict_found(recordings)
    assert sum(calls) == len(list(out.glob("*.txt"))) == 31
    # Together, windows of several recordings are one batch.
    assert max(calls) == 16
    assert len(calls) < 8


def test_a_changed_recording_does_not_overwrite_the_timeline_that_has_its_name(tmp_path, capsys):
    for name in ("a.flac", "a.wav"):
        write(tmp_path / "sounds" / name)
    recordings = sources.find_recordings([tmp_path / "sounds"])
    out = tmp_path / "out"
    writer = writer_of(out, "csv", timeline=True, watch=True)
    writer.predict_found(recordings)
    assert "a.flac" in (out / "a.csv").read_text()
    write_longer(tmp_path / "sounds" / "a.wav")
    changed = [dataclasses.replace(recordings[1], is_changed=True)]
    writer.predict_found(changed)
    assert "a.flac" in (out / "a.csv").read_text()
    assert capsys.readouterr().err.count("a.wav would both be a.csv") == 2
    # The recording to which the timeline belongs is predicted again when it changes.
    write_longer(tmp_path / "sounds" / "a.flac")
    (out / "a.csv").write_text("")
    writer.predict_found([dataclasses.replace(recordings[0], is_changed=True)])
    assert "a.flac" in (out / "a.csv").read_text()


def test_notes_beside_a_watched_recording_are_not_overwritten_when_it_changes(tmp_path):
    sounds = tmp_path / "sounds"
    write(sounds / "a.wav")
    notes = sounds / "a.txt"
    notes.write_text("Recorded by the river.")
    (recording,) = sources.find_recordings([sounds])
    changed = dataclasses.replace(recording, is_changed=True)
    with pytest.raises(CrossaskError, match=r"a\.txt was written for another recording"):
        predict_into(sounds, "text", True, [changed])
    assert notes.read_text() == "Recorded by the river."


@pytest.mark.parametrize(
    ("file_format", "content"),
    [
        ("text", "Recorded by the river."),
        ("text", ""),
        ("audacity", ""),
        ("audacity", "0.000000\t4.500000\tblackbird\n"),
        ("audacity", "0.000000\t4.500000\tbus\n4.500000\t5.000000\tblackbird\n"),
        ("csv", "file,start_seconds,end_seconds,scene,river,filled_seconds\n"),
        ("json", '{"file": "a.wav", "notes": []}'),
        ("json", "[]"),
    ],
)
def test_notes_beside_a_recording_do_not_count_as_its_timeline(tmp_path, file_format, content):
    sounds = tmp_path / "sounds"
    write(sounds / "a.wav")
    notes = sounds / f"a{prediction_lines.SUFFIX[file_format]}"
    notes.write_text(content)
    recordings = sources.find_recordings([sounds])
    with pytest.raises(CrossaskError, match=f"is no timeline in the format {file_format}"):
        predict_into(sounds, file_format, True, recordings)
    assert notes.read_text() == content


def test_two_files_of_one_timeline_are_an_error_also_if_one_is_written_already(tmp_path):
    write(tmp_path / "sounds" / "a.wav")
    recordings = sources.find_recordings([tmp_path / "sounds"])
    out = tmp_path / "out"
    assert predict_into(out, "audacity", True, recordings) == 1
    write(tmp_path / "sounds" / "a.flac")
    recordings = sources.find_recordings([tmp_path / "sounds"])
    with pytest.raises(CrossaskError, match=r"a\.wav and .*a\.flac would both be a\.txt"):
        predict_into(out, "audacity", True, recordings)
    with pytest.raises(CrossaskError, match=r"a\.txt in .* has the format audacity"):
        predict_into(out, "text", True, sources.find_recordings([tmp_path / "sounds" / "a.wav"]))


@FORMATS
def test_a_second_sound_from_a_pipe_is_an_error_and_is_not_skipped(tmp_path, file_format, timeline):
    out = tmp_path / "out"
    for title in ("standard input", "/dev/fd/63"):
        piped = sources.RecordingFile("/tmp/x.sound", title[-5:], title, is_piped=True)
        predict_into(out, file_format, timeline, [piped])
        again = sources.RecordingFile("/tmp/y.sound", title[-5:], title, is_piped=True)
        with pytest.raises(CrossaskError, match=f"has a prediction of {title} already"):
            predict_into(out, file_format, timeline, [again])


@FORMATS
def test_an_output_whose_record_is_missing_or_damaged_goes_on(tmp_path, file_format, timeline):
    recordings = [write(tmp_path / "sounds" / "a.wav"), write(tmp_path / "sounds" / "b.wav")]
    recordings = sources.find_recordings(recordings)
    out = tmp_path / "out"
    predict_into(out, file_format, timeline, recordings[:1])
    record = out / ".recordings" if timeline else tmp_path / ".out.recordings"
    record.write_bytes(record.read_bytes()[:-9] + b"\xff\n[1]\n7\n{")
    assert predict_into(out, file_format, timeline, recordings) == 2
    record.unlink()
    assert predict_into(out, file_format, timeline, recordings) == 2


@FORMATS
def test_predictions_of_two_models_are_not_mixed(tmp_path, file_format, timeline):
    recordings = sources.find_recordings([write(tmp_path / "sounds" / "a.wav")])
    out = tmp_path / "out"
    predict_into(out, file_format, timeline, recordings)
    for other in (OtherSeed, OtherHop):
        with pytest.raises(CrossaskError, match="contains predictions of another model"):
            predict_into(out, file_format, timeline, recordings, other)
    if timeline:
        shutil.rmtree(out)
    else:
        out.unlink()
    assert predict_into(out, file_format, timeline, recordings, OtherSeed) == 1
    # The record of the removed table is no reason to refuse the model of the new one.
    assert predict_into(out, file_format, timeline, recordings, OtherSeed) == 1
