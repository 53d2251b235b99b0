"""crossask-predict on files, folders, pipes, long recordings and streams, in every format."""

import csv
import doctest
import glob
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import types

import media_files
import numpy as np
import pytest
import soundfile
import soxr

import crossask
from crossask.audio import reading, sliding_windows
from crossask.cli import predict
from crossask.errors import AudioError, CrossaskError
from crossask.serving import Prediction, Segment, prediction_files, prediction_lines, sources
from crossask.serving.origins import Origins, origin_of


@pytest.fixture
def model(exports):
    return exports[1]


@pytest.fixture
def recordings(tmp_path):
    """Returns a folder with three recordings, one of them broken, and one of 7 s below it."""
    rng = np.random.default_rng(0)
    (tmp_path / "sounds" / "deep").mkdir(parents=True)
    for name, seconds in (("one.wav", 2), ("two.flac", 3), ("deep/long.wav", 7)):
        soundfile.write(tmp_path / "sounds" / name, rng.normal(0, 0.1, (16000 * seconds, 2)), 16000)
    (tmp_path / "sounds" / "broken.wav").write_bytes(b"RIFF")
    (tmp_path / "sounds" / "notes.txt").write_text("no sound")
    return tmp_path / "sounds"


def test_the_examples_of_the_python_interface_run_as_they_are_written(model, tmp_path, monkeypatch):
    (tmp_path / "demo_output").mkdir()
    (tmp_path / "demo_output" / "model").symlink_to(model)
    soundfile.write(
        tmp_path / "recording.wav", np.random.default_rng(0).normal(0, 0.1, (16000 * 3, 2)), 16000
    )
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner()
    for example in doctest.DocTestFinder().find(crossask.load, "crossask.load", globs={}):
        runner.run(example)
    assert runner.summarize() == doctest.TestResults(failed=0, attempted=12)


def call(model, *words) -> int:
    return predict.main(["crossask-predict", f"--model={model}", *map(str, words)])


def test_all_files_of_a_folder_are_predicted_and_a_broken_one_is_reported(
    model, recordings, capsys
):
    assert call(model, "--format=csv", recordings) == 3
    printed = capsys.readouterr()
    lines = list(csv.DictReader(io.StringIO(printed.out)))
    assert [line["file"] for line in lines] == [
        str(recordings / name) for name in ("deep/long.wav", "one.wav", "two.flac")
    ]
    assert "broken.wav" in printed.err
    assert "1 of 4 files" in printed.err
    expected = crossask.load(model).predict(recordings / "two.flac")
    assert lines[2]["scene"] == expected.scene
    assert float(lines[2]["a"]) == pytest.approx(expected.probabilities["a"], abs=1e-5)


def test_patterns_files_and_a_file_through_a_pipe_are_predicted(
    model, recordings, capsys, monkeypatch
):
    assert (
        call(model, f"{recordings}/**/l*.wav", recordings / "one.wav", recordings / "one.wav") == 0
    )
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        str(recordings / "deep/long.wav"),
        str(recordings / "one.wav"),
    ]
    expected = crossask.load(model).predict(recordings / "one.wav").probabilities
    data = bytearray((recordings / "one.wav").read_bytes())
    # a writer that cannot seek back leaves both lengths at their largest
    data[4:8] = data[40:44] = b"\xff" * 4
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(bytes(data))))
    assert call(model, "--format=json", "-") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["file"] == "standard input"
    assert answer["probabilities"] == pytest.approx(expected, abs=1e-6)


def test_a_table_continues_where_it_was_stopped(model, recordings, tmp_path, capsys):
    table = tmp_path / "table.csv"
    assert call(model, "--format=csv", f"--out={table}", recordings) == 3
    whole = table.read_text()
    lines = whole.splitlines(keepends=True)
    assert len(lines) == 4
    table.write_text("".join(lines[:2]) + lines[2][:20])  # stopped while it wrote the second answer
    capsys.readouterr()
    assert call(model, "--format=csv", f"--out={table}", recordings) == 3
    assert table.read_text() == whole
    assert "1 of 4 recordings are in the output already" in capsys.readouterr().err
    with pytest.raises(CrossaskError, match="another format"):
        prediction_files.PredictionFile(table, "csv", ("other", "scenes"))


def test_timelines_are_a_file_each_and_not_written_twice(model, recordings, tmp_path):
    (recordings / "broken.wav").unlink()
    out = tmp_path / "timelines"
    assert call(model, "--timeline", "--format=csv", f"--out={out}", recordings) == 0
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.csv")) == [
        "deep/long.csv",
        "one.csv",
        "two.csv",
    ]
    lines = list(csv.DictReader((out / "deep" / "long.csv").read_text().splitlines()))
    assert [(float(line["start_seconds"]), float(line["end_seconds"])) for line in lines] == [
        (n, n + 2) for n in range(6)
    ]
    expected = crossask.load(model).predict(recordings / "deep" / "long.wav").timeline
    assert [float(line["b"]) for line in lines] == pytest.approx(
        [segment.probabilities["b"] for segment in expected], abs=1e-5
    )
    (out / "one.csv").write_text("mine")
    (out / "two.csv").unlink()
    assert call(model, "--timeline", "--format=csv", f"--out={out}", recordings) == 0
    assert (out / "one.csv").read_text() == "mine"
    assert (out / "two.csv").is_file()


def test_timelines_of_several_recordings_as_text_have_their_names(model, recordings, capsys):
    (recordings / "broken.wav").unlink()
    assert call(model, "--timeline", "--top=1", recordings) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [str(recordings / name) for name in ("deep/long.wav", "one.wav", "two.flac")]
    assert [line for line in lines if " to " not in line] == [f"{name}:" for name in names]
    assert call(model, "--timeline", "--top=1", recordings / "one.wav") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("00:00:00 to 00:00:02 ")


def test_two_recordings_of_one_name_do_not_overwrite_each_other(model, recordings, capsys):
    soundfile.write(recordings / "deep" / "one.wav", np.zeros((32000, 1)), 16000)
    assert (
        call(
            model,
            "--timeline",
            f"--out={recordings}/t",
            recordings / "one.wav",
            recordings / "deep" / "one.wav",
        )
        == 2
    )
    assert "would both be written" in capsys.readouterr().err
    assert (
        call(model, "--format=audacity", recordings / "one.wav", recordings / "deep" / "one.wav")
        == 2
    )
    assert "one track" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_an_error(model, recordings, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert call(model, "--format=csv", f"--out={tmp_path}", recordings / "one.wav") == 2
    assert "cannot be used as output file" in capsys.readouterr().err
    assert call(model, "--timeline", f"--out={tmp_path}/file", recordings / "one.wav") == 2
    assert f"A file of this name exists: {tmp_path}/file" in capsys.readouterr().err


@pytest.mark.processes
def test_a_reader_that_closes_its_pipe_is_no_error(model, recordings):
    words = (
        f"{sys.executable} -m crossask.cli.predict --model={model} "
        f"{recordings}/one.wav {recordings}/two.flac"
    )
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{words} | true"], capture_output=True, text=True
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)


@pytest.mark.processes
def test_tensorflow_prints_nothing_beside_the_prediction(model, recordings):
    environment = {name: os.environ[name] for name in os.environ if not name.startswith("TF_")}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "crossask.cli.predict",
            f"--model={model}",
            f"{recordings}/one.wav",
        ],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert done.stdout.startswith(f"{recordings}/one.wav: ")
    # Our own line on the sample rate of the recording.
    assert [line.partition(" has ")[0] for line in done.stderr.splitlines()] == [
        f"{recordings}/one.wav"
    ]


def segments(*scenes, length=2.0, hop=1.0):
    return tuple(
        Segment(
            n * hop,
            n * hop + length,
            {"a": 0.75, "b": 0.25} if scene == "a" else {"a": 0.25, "b": 0.75},
        )
        for n, scene in enumerate(scenes)
    )


def test_each_format_of_a_prediction_has_its_own_lines():
    prediction = Prediction(
        "x/y.wav", 5.0, 16000, {"a": 0.75, "b": 0.25}, segments("a", "a", "b", "b"), None
    )

    def table(output_format):
        header = prediction_lines.header_line(output_format, "ab", False)
        return header + prediction_lines.prediction_line(prediction, output_format)

    assert prediction_lines.prediction_line(prediction, "text", 1) == "x/y.wav: a 75.0 %\n"
    assert table("csv") == "file,scene,a,b,filled_seconds\nx/y.wav,a,0.750000,0.250000,0.000\n"
    assert table("dcase2019") == "audio/y.wav\ta\n"
    assert table("dcase2024") == (
        "filename\tscene_label\ta\tb\naudio/y.wav\ta\t0.750000\t0.250000\n"
    )


def test_each_format_of_a_timeline_has_its_own_lines():
    prediction = Prediction(
        "x/y.wav", 5.0, 16000, {"a": 0.75, "b": 0.25}, segments("a", "a", "b", "b"), None
    )
    # a: 0 to 3 s, b: 2 to 5 s; the border lies in the middle of what both cover
    audacity = prediction_lines.timeline_lines(prediction, "audacity")
    assert audacity == "0.000000\t2.500000\ta\n2.500000\t5.000000\tb\n"
    text = prediction_lines.timeline_lines(prediction, "text", 1)
    assert text.splitlines()[3] == "00:00:03 to 00:00:05 b 75.0 %"
    lines = prediction_lines.timeline_lines(prediction, "json").splitlines()
    assert [json.loads(line)["start_seconds"] for line in lines] == [0, 1, 2, 3]


def test_names_of_scenes_with_quotes_and_line_breaks_are_one_line_each(tmp_path):
    scenes = ('living "room"', "two\nlines", "a, b", "c: d 5.0 %")
    probabilities = dict(zip(scenes, (0.4, 0.3, 0.2, 0.1), strict=True))
    timeline = (Segment(0.0, 1.0, probabilities),)
    answer = Prediction("a: b.wav", 1.0, 16000, probabilities, timeline, None)
    # Audacity would show quotation marks around a name.
    labels = prediction_lines.timeline_lines(answer, "audacity")
    assert labels == '0.000000\t1.000000\tliving "room"\n'
    line = prediction_lines.prediction_line(answer, "text", 4)
    assert line == (
        'a: b.wav: living "room" 40.0 %, two\\nlines 30.0 %, a, b 20.0 %, c: d 5.0 % 10.0 %\n'
    )
    for file_format in ("text", "csv", "json", "dcase2019", "dcase2024"):
        for _ in range(2):
            file = prediction_files.PredictionFile(tmp_path / file_format, file_format, scenes)
            if not file.contains("a: b.wav"):
                file.append(answer, 4)
            file.close()
        assert (tmp_path / file_format).read_text().count("b.wav") == 1


def test_every_format_of_ours_shows_that_a_recording_was_filled():
    answer = Prediction(
        "x/y.wav",
        1.5,
        16000,
        {"a": 0.75, "b": 0.25},
        segments("a", length=1.5),
        None,
        filled_seconds=0.5,
    )
    assert (
        prediction_lines.prediction_line(answer, "text", 1)
        == "x/y.wav: a 75.0 % (filled with 0.5 s)\n"
    )
    assert (
        prediction_lines.timeline_lines(answer, "text", 1)
        == "00:00:00 to 00:00:02 a 75.0 % (filled with 0.5 s)\n"
    )
    for has_timeline, lines in (
        (False, prediction_lines.prediction_line),
        (True, prediction_lines.timeline_lines),
    ):
        table = prediction_lines.header_line("csv", "ab", has_timeline) + lines(answer, "csv")
        (line,) = csv.DictReader(io.StringIO(table))
        assert line["filled_seconds"] == "0.500"
        assert json.loads(lines(answer, "json"))["filled_seconds"] == 0.5


@pytest.mark.parametrize("file_format", ["audacity", "dcase2019", "dcase2024"])
def test_a_filled_recording_is_logged_if_the_format_has_no_place_for_it(
    model, tmp_path, capsys, file_format
):
    path = tmp_path / "short.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, (16000, 2)), 16000)
    assert call(model, f"--format={file_format}", path) == 0
    assert "short.wav lasts 1 s and was filled with 1 s" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("samples", "starts"),
    [(0, []), (5, [0]), (10, [0]), (11, [0, 1]), (14, [0, 4]), (15, [0, 4, 5]), (18, [0, 4, 8])],
)
@pytest.mark.parametrize("block", [1, 3, 10, 100])
def test_windows_of_a_stream_reach_its_end_whatever_its_blocks(samples, starts, block):
    stream = np.arange(samples, dtype=np.float32)[:, np.newaxis]
    found = list(sliding_windows((stream[i : i + block] for i in range(0, samples, block)), 10, 4))
    assert [start for start, _ in found] == starts
    for start, window in found:
        np.testing.assert_array_equal(window, stream[start : start + 10])


@pytest.mark.parametrize("start", sources.STARTS_OF_FILES)
def test_a_stream_that_is_a_file_is_refused(start):
    stream = sources.pcm_stream(1000, 1, 1.0, io.BytesIO(start + bytes(5000)))
    with pytest.raises(AudioError, match=r"begins with .* as a sound file does"):
        next(stream)
    # Later, it may be sound.
    later = bytes(2000) + start + bytes(2000 - len(start))
    stream = sources.pcm_stream(1000, 1, 1.0, io.BytesIO(later))
    assert [seconds for seconds, _ in stream] == [1, 2]


@pytest.mark.skipif(not hasattr(os, "set_blocking"), reason="needs non-blocking pipes")
def test_standard_input_that_does_not_block_is_read_to_its_end(monkeypatch):
    def pieces():
        for _ in range(8):
            time.sleep(0.02)
            yield bytes(1000)

    def open_pipe():
        reading_end, writing_end = os.pipe()
        os.set_blocking(reading_end, False)

        def write():
            with open(writing_end, "wb", buffering=0) as pipe:
                for piece in pieces():
                    pipe.write(piece)

        threading.Thread(target=write).start()
        monkeypatch.setattr(sys, "stdin", os.fdopen(reading_end))

    open_pipe()
    assert [seconds for seconds, _ in sources.pcm_stream(1000, 1, 1.0)] == [1, 2, 3, 4]
    open_pipe()
    with sources.standard_input() as recording:
        assert os.path.getsize(recording) == 8000


@pytest.mark.parametrize(
    ("words", "problem", "fix"),
    [
        (["--out=."], "it is a folder", "--timeline"),
        (["--out=/", "--format=csv"], "it is a folder", "--timeline"),
        (["--out=pipe", "--format=csv"], "it is a pipe or a device", "Remove --out"),
        # The link is an error where it is opened.
        (["--out=circle", "--format=csv"], "not a model written by", "saved_model.pb"),
    ],
)
def test_a_table_that_is_no_file_is_refused_before_the_model_is_loaded(
    tmp_path, monkeypatch, capfd, words, problem, fix
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    # As /dev/stdout is, if another program reads the output.
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to("circle")
    assert predict.main(["predict", "--model=nowhere", *words, "a.wav"]) == 2
    first, second = capfd.readouterr().err.splitlines()
    assert problem in first
    assert fix in second


def test_timelines_may_be_written_to_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Origins(".", is_folder=True, model="m").is_same("a.txt", origin_of("a.wav", "text"))


def test_labels_of_a_watched_folder_need_files_of_their_own(tmp_path, capsys):
    assert predict.main(["predict", "--watch", "--format=audacity", str(tmp_path)]) == 2
    assert "would be one track" in capsys.readouterr().err


def test_a_stream_of_raw_samples_is_predicted_every_second(model, capsys, monkeypatch):
    waveform = np.random.default_rng(0).integers(-3000, 3000, (16000 * 4 + 100, 2)).astype("<i2")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(waveform.tobytes())))
    assert call(model, "--stream", "--rate=16000", "--channels=2", "--format=json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["seconds"] for line in lines] == [1, 2, 3, 4]
    # A window lasts 2 s.
    assert lines[0] == {"seconds": 1, "state": "listening", "scene": None}
    classifier = crossask.load(model)
    for line, (start, end) in zip(lines[1:], ((0, 2), (1, 3), (2, 4)), strict=True):
        samples = waveform[start * 16000 : end * 16000].astype(np.float32) / 32768
        prediction = classifier.predict(samples, 16000)
        assert line["probabilities"] == pytest.approx(prediction.probabilities, abs=1e-6)
        assert line["sure"] == prediction.is_sure
    assert call(model, "--stream", "--rate=0") == 2
    assert "rate" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(waveform.tobytes())))
    assert call(model, "--stream", "--rate=12345", "--format=json") == 0
    assert len(capsys.readouterr().out.splitlines()) == 5


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_pipes_with_names_are_read_once(recordings, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    content = (recordings / "one.wav").read_bytes()
    writer = threading.Thread(target=pipe.write_bytes, args=[content])
    writer.start()
    found = sources.find_recordings([str(pipe), str(recordings / "two.flac")])
    with sources.copied_pipes(found) as copied:
        first, second = copied
        # Explanations read a recording again.
        for _ in range(2):
            waveform, _ = reading.read_audio(first)
            np.testing.assert_array_equal(waveform, reading.read_audio(recordings / "one.wav")[0])
    writer.join()
    assert [str(first), str(second)] == [str(pipe), str(recordings / "two.flac")]
    with pytest.raises(AudioError, match="is a pipe"):
        reading.read_audio(pipe)


def test_a_stream_has_no_scene_before_a_whole_window_and_in_silence(model, capsys, monkeypatch):
    samples = np.random.default_rng(0).integers(-3000, 3000, (16000 * 3, 2)).astype("<i2")
    stream = np.concatenate([samples, np.zeros((16000 * 3, 2), "<i2")])
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stream.tobytes())))
    assert call(model, "--stream", "--rate=16000") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "00:00:01 listening"
    assert all("%" in line for line in lines[1:4])
    assert lines[4:] == ["00:00:05 silent", "00:00:06 silent"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert call(model, "--stream", "--rate=16000") == 0
    assert "ended before it had one second" in capsys.readouterr().err


def test_what_is_unusual_about_a_stream_is_warned_of_once(model, capsys, monkeypatch):
    samples = np.random.default_rng(0).integers(-3000, 3000, (16000 * 5, 2)).astype("<i2")
    samples[:, 1] = 0
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(samples.tobytes())))
    assert call(model, "--stream", "--rate=16000") == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 5
    assert printed.err.count("The stream has a silent right channel.") == 1


def test_a_stream_ends_with_the_error_of_its_model(capsys, monkeypatch):
    class Unusable:
        clip_seconds = 1.0
        card = types.MappingProxyType({"sample_rate_hz": 16000})

        def predict_each(self, waveforms, rate):
            yield AudioError("The model computes no finite probabilities.", "Use another model.")

    monkeypatch.setattr(predict, "_classifier", lambda values: Unusable())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(bytes(4 * 16000))))
    assert predict.main(["crossask-predict", "--stream", "--rate=16000"]) == 2
    assert "no finite probabilities" in capsys.readouterr().err


def test_a_recording_of_any_rate_is_predicted_as_at_the_rate_of_the_model(model, tmp_path):
    # The model was trained at 24 kHz. The noise has no frequencies that any of the files lacks.
    source = np.random.default_rng(0).normal(0, 0.1, (6000 * 7, 2))
    classifier = crossask.load(model)
    waveforms = {rate: soxr.resample(source, 6000, rate) for rate in (24000, 12345, 192000)}
    for rate, waveform in waveforms.items():
        soundfile.write(tmp_path / f"{rate}.wav", waveform, rate, "FLOAT")
    expected = classifier.predict(tmp_path / "24000.wav")
    for rate in (12345, 192000):
        waveform = waveforms[rate].astype(np.float32)
        for found in (
            classifier.predict(tmp_path / f"{rate}.wav"),
            classifier.predict(waveform, rate),
        ):
            assert found.sample_rate_hz == rate
            assert found.seconds == pytest.approx(7, abs=0.001)
            assert len(found.timeline) == len(expected.timeline)
            assert found.probabilities == pytest.approx(expected.probabilities, abs=0.02)
            # Both read the same part of the recording again, although its first window is earlier.
            log_mel = found.explain(5.0).log_mel
            loud = expected.explain(5.0).log_mel > -3
            assert loud.any()
            assert np.abs(log_mel - expected.explain(5.0).log_mel)[loud].max() < 0.1


def test_recordings_of_several_rates_and_formats_are_predicted_together(model, tmp_path, capsys):
    rng = np.random.default_rng(0)
    (tmp_path / "day").mkdir()
    soundfile.write(tmp_path / "a.wav", rng.normal(0, 0.1, (37035, 6)), 12345)
    soundfile.write(tmp_path / "b.FLAC", rng.normal(0, 0.1, (48000, 2)), 24000)
    media_files.write(tmp_path / "day" / "c.M4A", rng.normal(0, 0.1, (96000, 2)), 48000, "aac")
    (tmp_path / "notes.txt").write_text("text")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.mp3").write_text("text")
    media_files.write_silent_video(tmp_path / "video.mp4")
    assert call(model, "--top=1", tmp_path) == 3
    printed = capsys.readouterr()
    names = [line.partition(":")[0] for line in printed.out.splitlines()]
    assert names == [str(tmp_path / name) for name in ("a.wav", "b.FLAC", "day/c.M4A")]
    lines = printed.err.splitlines()
    assert (
        "Files in folders that are left out: 1 with another suffix (.txt), 1 empty (0 bytes)."
        in (lines)
    )
    assert sum("a.wav has 6 channels: their mean is read" in line for line in lines) == 1
    assert sum("text.mp3 cannot be read as sound" in line for line in lines) == 1
    assert sum("video.mp4 contains no sound" in line for line in lines) == 1
    assert "2 of 5 files could not be used." in lines


def growing_while_watched(path, monkeypatch):
    """Makes a file grow in each of the first four pauses of a watched folder.

    Returns the seconds of the pauses, to which each further one is added.
    """
    sleeps = []

    def sleep(seconds):
        sleeps.append(seconds)
        if len(sleeps) < 5:
            with open(path, "ab") as file:
                file.write(b"more")

    monkeypatch.setattr(sources.time, "sleep", sleep)
    return sleeps


def test_a_file_in_a_watched_folder_is_found_once_it_is_finished(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "SECONDS_BETWEEN_LOOKS", 0.01)
    soundfile.write(tmp_path / "first.wav", np.zeros(1000), 16000)
    looks = sources.watch_folder(tmp_path, is_over=lambda: (tmp_path / "end").exists())
    assert [source.name for source in next(looks)] == ["first.wav"]
    (tmp_path / "growing.wav").write_bytes(b"RIFF")
    sleeps = growing_while_watched(tmp_path / "growing.wav", monkeypatch)
    assert [source.name for source in next(looks)] == ["growing.wav"]
    assert len(sleeps) == 5  # not before it stopped growing
    soundfile.write(tmp_path / "first.wav", np.zeros(2000), 16000)
    (changed,) = next(looks)
    assert (changed.name, changed.is_changed) == ("first.wav", True)
    (tmp_path / "end").touch()
    assert list(looks) == []


def test_a_file_that_grows_in_a_watched_folder_waits_also_behind_a_finished_one(
    tmp_path, monkeypatch
):
    (tmp_path / "finished.wav").write_bytes(b"RIFF")
    (tmp_path / "growing.wav").write_bytes(b"RIFF")
    sleeps = growing_while_watched(tmp_path / "growing.wav", monkeypatch)
    looks = sources.watch_folder(tmp_path)
    assert [source.name for source in next(looks)] == ["finished.wav"]
    assert len(sleeps) == 1
    # The first one was skipped at once, and there is a second before the next look all the same.
    assert [source.name for source in next(looks)] == ["growing.wav"]
    assert len(sleeps) == 5


def test_a_file_of_a_watched_folder_that_is_never_predicted_is_logged_once(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(sources, "SECONDS_BETWEEN_LOOKS", 0.001)
    names = ["a.wav", "secret.wav"]
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.wav")).write_bytes(b"RIFF")
    except OSError:
        pytest.skip("this file system has only names in UTF-8")
    for name in names:
        (tmp_path / name).write_bytes(b"RIFF")
    access = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: path.name != "secret.wav" and access(path, mode)
    )
    looks = sources.watch_folder(tmp_path)
    assert [source.name for source in next(looks)] == ["a.wav"]
    (tmp_path / "b.wav").write_bytes(b"RIFF")
    assert [source.name for source in next(looks)] == ["b.wav"]
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        f"{tmp_path}/secret.wav is left out: it cannot be read (permission is denied).",
        f"{tmp_path}/caf\\xe9.wav is left out: its name is not in UTF-8.",
    ]


def test_a_watched_folder_that_is_removed_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "SECONDS_BETWEEN_LOOKS", 0.001)
    folder = tmp_path / "card"
    folder.mkdir()
    (folder / "a.wav").write_bytes(b"RIFF")
    # Without an error, the generator would end.
    numbers = iter(range(10))
    looks = sources.watch_folder(folder, is_over=lambda: next(numbers) == 9)
    assert [source.name for source in next(looks)] == ["a.wav"]
    shutil.rmtree(folder)
    with pytest.raises(CrossaskError, match=r"There is no folder .*card'"):
        next(looks)


PATTERNS = ("**/*.wav", "**", "*/**/*.wav", "a/**/d/*.wav", "**/d/**/*.wav", "[ab]/**", "a/**/")


@pytest.mark.parametrize("pattern", [*PATTERNS, "./**/*", "**/*.flac", "a/**b/*.wav", "no/**/*"])
def test_patterns_match_what_they_match_in_python(tmp_path, monkeypatch, pattern):
    for name in ("x.wav", "a/x.wav", "a/d/y.wav", "a/b/d/z.wav", "b/d/e/d/w.wav", ".h/x.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"RIFF")
    (tmp_path / "a" / ".hidden.wav").write_bytes(b"RIFF")
    monkeypatch.chdir(tmp_path)
    for start in ("", f"{tmp_path}/"):
        found = {os.path.normpath(path) for path in sources._expanded(start + pattern)}
        expected = {os.path.normpath(path) for path in glob.glob(start + pattern, recursive=True)}
        files = {path for path in expected if os.path.isfile(path)}
        assert {path for path in found if os.path.isfile(path)} == files


def test_a_pattern_in_a_folder_with_circles_of_links_comes_to_an_end(tmp_path, monkeypatch):
    day = tmp_path / "day"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "two.wav").write_bytes(b"RIFF")
    day.mkdir()
    (day / "one.wav").write_bytes(b"RIFF")
    for name in ("a_circle", "b_circle", "c_circle"):
        (day / name).symlink_to(day)
    (day / "link").symlink_to(tmp_path / "elsewhere")
    monkeypatch.chdir(day)
    found = [str(recording) for recording in sources.find_recordings(["**/*.wav"])]
    assert found == ["link/two.wav", "one.wav"]


def test_a_file_that_is_found_by_several_paths_is_one_recording(tmp_path, monkeypatch):
    day = tmp_path / "day"
    day.mkdir()
    for name in ("one.wav", "two.wav"):
        (day / name).write_bytes(b"RIFF")
    (day / "copy.wav").symlink_to(day / "one.wav")
    (day / "circle").symlink_to(day)
    monkeypatch.chdir(day)
    expected = ["copy.wav", "one.wav", "two.wav"]
    words = ([".", "./one.wav", day / "two.wav"], ["**/*.wav"], ["*.wav", "circle"])
    for chosen in words:
        assert [str(found) for found in sources.find_recordings(chosen)] == expected


@pytest.mark.processes
def test_watching_ends_with_sigterm_and_exit_code_0(model, recordings, tmp_path):
    command = [
        sys.executable,
        "-m",
        "crossask.cli.predict",
        f"--model={model}",
        "--watch",
        recordings,
        f"--out={tmp_path}/answers.csv",
        "--format=csv",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(600):
            if (tmp_path / "answers.csv").is_file() and len(
                (tmp_path / "answers.csv").read_text().splitlines()
            ) == 4:
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        _, messages = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "broken.wav" in messages
    assert len((tmp_path / "answers.csv").read_text().splitlines()) == 4


def test_a_low_sample_rate_is_warned_of_once(model, tmp_path, capsys):
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, np.random.default_rng(0).normal(0, 0.1, 16000), 8000)
    assert call(model, tmp_path) == 0
    assert capsys.readouterr().err.count("lacks all frequencies above 4000 Hz") == 1


@pytest.mark.processes
def test_memory_does_not_grow_with_the_length_of_a_recording(model, tmp_path):
    peaks = {}
    code = (
        "import resource, sys; from crossask.cli import predict; code = predict.main(sys.argv)\n"
        "print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    for minutes in (1, 10):
        path = tmp_path / f"{minutes}.wav"
        rng = np.random.default_rng(0)
        with soundfile.SoundFile(path, "w", 24000, 2, "PCM_16") as file:
            for _ in range(minutes):
                file.write(rng.normal(0, 0.1, (24000 * 60, 2)))
        words = ["--timeline", "--format=csv", "--hop=2", f"--out={tmp_path}/out", str(path)]
        done = subprocess.run(
            [sys.executable, "-c", code, f"--model={model}", *words],
            capture_output=True,
            text=True,
            check=True,
        )
        exit_code, peaks[minutes] = map(int, done.stdout.split())
        assert exit_code == 0
    # Ten minutes are 115 MB as float32.
    assert peaks[10] - peaks[1] < 40 * 1024
