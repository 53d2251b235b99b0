"""benchmarks/attenuate_clips.py and recordings_to_clips.py: no recording replaces another."""

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import soundfile

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
RATE_HZ = 8000


def script(name):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_recording(path, seconds=2):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(str(path))).normal(0, 0.1, seconds * RATE_HZ)
    soundfile.write(path, noise, RATE_HZ)
    return path.read_bytes()


def write_table(path, *names):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", "scene", "location"])
        for number, name in enumerate(names):
            writer.writerow([name, "park", f"park{number}"])
    return path


def test_quiet_copies_are_written_below_the_folder(tmp_path):
    before = write_recording(tmp_path / "corpus" / "park" / "a.wav")
    table = write_table(tmp_path / "corpus" / "clips.csv", "park/a.wav")
    script("attenuate_clips").write_corpus(table, tmp_path / "quiet", -57, -41)
    copy, _ = soundfile.read(tmp_path / "quiet" / "park" / "a.wav")
    assert -57 <= 20 * np.log10(copy.std()) <= -41
    assert (tmp_path / "corpus" / "park" / "a.wav").read_bytes() == before


@pytest.mark.parametrize("name", ["{folder}/a.wav", "../corpus/a.wav"])
def test_a_quiet_copy_never_replaces_a_recording(tmp_path, name):
    path = tmp_path / "corpus" / "a.wav"
    before = write_recording(path)
    table = write_table(tmp_path / "corpus" / "clips.csv", name.format(folder=path.parent))
    with pytest.raises(SystemExit, match=r"a\.wav is not below .*quiet"):
        script("attenuate_clips").write_corpus(table, tmp_path / "quiet", -57, -41)
    assert path.read_bytes() == before


def test_quiet_copies_need_a_folder_of_their_own(tmp_path):
    path = tmp_path / "a.wav"
    before = write_recording(path)
    table = write_table(tmp_path / "table.csv", "a.wav")
    with pytest.raises(SystemExit, match="would replace"):
        script("attenuate_clips").write_corpus(table, tmp_path, -57, -41)
    assert path.read_bytes() == before


def test_two_recordings_whose_clips_would_have_one_name_are_an_error(tmp_path):
    for scene in ("bus", "park"):
        write_recording(tmp_path / scene / "take1.wav")
    table = write_table(tmp_path / "table.csv", "bus/take1.wav", "park/take1.wav")
    with pytest.raises(SystemExit, match=r"bus/take1\.wav and park/take1\.wav"):
        script("recordings_to_clips").cut(table, tmp_path / "clips", 1, 2)
    assert not list((tmp_path / "clips").glob("*.wav"))


def test_a_clip_never_replaces_a_recording(tmp_path):
    for name in ("take.wav", "take_00.wav"):
        write_recording(tmp_path / name)
    before = (tmp_path / "take_00.wav").read_bytes()
    table = write_table(tmp_path / "table.csv", "take.wav", "take_00.wav")
    with pytest.raises(SystemExit, match=r"take_00\.wav is a recording"):
        script("recordings_to_clips").cut(table, tmp_path, 1, 2)
    assert (tmp_path / "take_00.wav").read_bytes() == before


def test_the_table_of_the_clips_never_replaces_that_of_the_recordings(tmp_path):
    write_recording(tmp_path / "take.wav")
    table = write_table(tmp_path / "clips.csv", "take.wav")
    before = table.read_bytes()
    with pytest.raises(SystemExit, match=r"clips\.csv is the table of the recordings"):
        script("recordings_to_clips").cut(table, tmp_path, 1, 2)
    assert table.read_bytes() == before
    assert not (tmp_path / "take_00.wav").exists()
