"""Files of the generator: TAU's layout, the same bytes with any workers, whole after a kill."""

import dataclasses
import functools
import json
import os

import numpy as np
import pytest
import soundfile
from every_verb import call

from crossask import files
from crossask.datasets import read_corpus, soundscapes
from crossask.datasets.soundscapes import ClipKey, IsolatedEventsConfig, design, writing
from crossask.errors import ConfigError, CrossaskError, DataError

SMALL = soundscapes.SoundscapesConfig(
    seed=3, locations_per_scene=3, clips_per_location=1, clip_seconds=1.0
)
THREE_EVENTS = IsolatedEventsConfig(count=3, seconds=0.5, sample_rate_hz=16000)


def contents(folder):
    """Returns the bytes of all files below a folder by name."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def read_lines(path):
    return path.read_text().splitlines()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Returns the folder of a small corpus."""
    folder = tmp_path_factory.mktemp("soundscapes") / "new" / "corpus"
    seen = []
    meta = soundscapes.write_soundscapes(
        folder, SMALL, workers=1, progress=lambda done, total: seen.append((done, total))
    )
    assert meta == folder / "meta.csv"
    assert seen == [(done, 30) for done in range(31)]
    return folder


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: soundscapes.write_soundscapes(
            folder, dataclasses.replace(SMALL, locations_per_scene=2**31 - 1)
        ),
        lambda folder: soundscapes.write_events(
            folder, dataclasses.replace(THREE_EVENTS, count=2**31 - 1)
        ),
    ],
)
def test_recordings_that_no_disk_would_hold_are_an_error_at_once(tmp_path, write):
    with pytest.raises(CrossaskError, match=r"recordings need \d+ GB, but the disk of"):
        write(tmp_path / "corpus")
    # The folder can be used for fewer recordings.
    assert list((tmp_path / "corpus").iterdir()) == []


def test_the_corpus_is_read_as_tau_2019(corpus):
    read = read_corpus("soundscapes", corpus)
    assert read.scenes == soundscapes.SCENES
    assert len(read.clips) == 30
    fold = read.fold("1")
    assert (len(fold.train), len(fold.evaluation)) == (20, 10)
    city = {clip.id: clip.city for clip in read.clips}
    assert {city[clip_id] for clip_id in fold.evaluation} == {"milan"}
    assert "milan" not in {city[clip_id] for clip_id in fold.train}


def test_the_tables_have_the_columns_of_tau_2019(corpus):
    header, first, *_ = read_lines(corpus / "meta.csv")
    assert header == "filename\tscene_label\tidentifier\tsource_label"
    assert first == "audio/airport-barcelona-0-0-a.wav\tairport\tbarcelona-0\ta"
    setup = corpus / "evaluation_setup"
    assert read_lines(setup / "fold1_train.csv")[0] == "filename\tscene_label"
    evaluated = read_lines(setup / "fold1_evaluate.csv")
    names = [line.split("\t")[0] for line in evaluated]
    assert read_lines(setup / "fold1_test.csv") == names


def test_the_event_table_lies_inside_the_clips(corpus):
    header, *lines = [line.split("\t") for line in read_lines(corpus / "events.csv")]
    assert header == ["filename", "onset", "offset", "event_label"]
    recordings = {f"audio/{path.name}" for path in (corpus / "audio").iterdir()}
    assert {line[0] for line in lines} == recordings
    for _, onset, offset, kind in lines:
        assert 0 <= float(onset) < float(offset) <= 1
        assert kind in soundscapes.EVENT_KINDS


def test_recordings_are_48_khz_stereo_of_24_bits(corpus):
    for path in (corpus / "audio").iterdir():
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (48000, 2, "PCM_24")
        assert info.frames == 48000


def test_a_file_contains_what_was_rendered(corpus):
    wave, _ = soundscapes.render_scene_clip(ClipKey(3, "bus", "helsinki", 11, 0), 1.0)
    written, _ = soundfile.read(corpus / "audio" / "bus-helsinki-11-0-a.wav", dtype="float32")
    assert np.abs(wave - written).max() < 2**-22
    assert np.abs(written).max() < 1


def test_no_location_is_on_both_sides_of_the_default_fold():
    clips = design.clips_of(soundscapes.SoundscapesConfig())
    assert len(clips) == 360
    sides = {}
    for clip in clips:
        location = (clip.key.scene, clip.key.city, clip.key.location_number)
        sides.setdefault(location, set()).add(clip.is_training)
    assert all(len(found) == 1 for found in sides.values())
    assert len({number for _, _, number in sides}) == 120
    trained = [location for location, found in sides.items() if found == {True}]
    evaluated = [location for location, found in sides.items() if found == {False}]
    for scene in soundscapes.SCENES:
        assert sum(location[0] == scene for location in trained) == 8
    assert "milan" not in {city for _, city, _ in trained}
    # Some seen cities are evaluated, too.
    assert {city for _, city, _ in evaluated} > {"milan"}


def test_more_clips_do_not_change_the_others():
    more = dataclasses.replace(SMALL, clips_per_location=2)
    assert set(design.clips_of(SMALL)) < set(design.clips_of(more))


@pytest.mark.processes
def test_a_worker_that_is_killed_is_an_error(tmp_path):
    kill = functools.partial(os._exit, 9)
    jobs = [writing._Job(tmp_path / f"{number}.wav", kill, 1.0, 16000) for number in range(2)]
    with pytest.raises(CrossaskError, match="was killed") as raised:
        writing._render(jobs, 2, None)
    assert "--workers" in raised.value.fix


def test_two_workers_write_the_same_bytes_as_one(corpus, tmp_path):
    soundscapes.write_soundscapes(tmp_path, SMALL, workers=2)
    assert contents(tmp_path) == contents(corpus)


def test_a_killed_run_keeps_finished_clips_and_ends_with_the_same_bytes(
    corpus, tmp_path, monkeypatch
):
    render_one = writing._render_one

    def killed_in_milan(job):
        if "-milan-" in job.path.name:
            raise KeyboardInterrupt
        render_one(job)

    monkeypatch.setattr(writing, "_render_one", killed_in_milan)
    with pytest.raises(KeyboardInterrupt):
        soundscapes.write_soundscapes(tmp_path, SMALL)
    monkeypatch.undo()
    assert not (tmp_path / "meta.csv").exists()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "audio").iterdir()}
    assert 0 < len(kept) < 30
    # A process that was killed in the middle of a file leaves this behind.
    stale = tmp_path / "audio" / f".airport-milan-20-0-a.wav.{files._HOST}-4194305.part"
    stale.write_bytes(b"RIFF")
    done_counts = []
    soundscapes.write_soundscapes(
        tmp_path, SMALL, progress=lambda done, total: done_counts.append(done)
    )
    assert done_counts[0] == len(kept)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert contents(tmp_path) == contents(corpus)


def test_a_recording_that_a_full_disk_cut_short_is_rendered_again(tmp_path):
    soundscapes.write_events(tmp_path, THREE_EVENTS)
    whole = contents(tmp_path)
    path = tmp_path / "audio" / "00001-bicycle_bell.wav"
    path.write_bytes(path.read_bytes()[:5000])
    soundscapes.write_events(tmp_path, THREE_EVENTS)
    assert contents(tmp_path) == whole


def test_a_folder_with_another_recipe_is_not_changed(corpus):
    before = contents(corpus)
    with pytest.raises(DataError, match=r"(?s)seed=3.*seed=4.*empty folder"):
        soundscapes.write_soundscapes(corpus, dataclasses.replace(SMALL, seed=4))
    with pytest.raises(DataError, match="content='scenes'"):
        soundscapes.write_events(corpus, IsolatedEventsConfig(seed=3))
    assert contents(corpus) == before


@pytest.mark.parametrize("text", ["[]", "3", '"scenes"', "null", "{"])
def test_a_recipe_that_is_none_is_an_error(tmp_path, text):
    (tmp_path / "soundscapes.json").write_text(text)
    with pytest.raises(DataError, match=r"soundscapes\.json is not"):
        soundscapes.write_soundscapes(tmp_path, SMALL)


def test_a_folder_with_other_files_is_not_changed(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match=r"thesis\.txt"):
        soundscapes.write_soundscapes(tmp_path, SMALL)
    assert contents(tmp_path) == {"thesis.txt": b"mine"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--dataset=events", "--events=1"),
        ("--dataset=soundscapes", "--locations_per_scene=2", "--clips_per_location=1"),
    ],
)
def test_the_command_renders_into_a_new_folder(tmp_path, monkeypatch, arguments):
    jobs = []
    monkeypatch.setattr(writing, "_render", lambda missing, *_: jobs.extend(missing))
    call("prepare", f"--data_dir={tmp_path}/new", *arguments)
    assert jobs
    assert (tmp_path / "new" / "soundscapes.json").is_file()


def test_without_a_configuration_a_folder_continues_with_its_recipe(corpus, tmp_path):
    assert soundscapes.recorded_config(corpus) == SMALL
    assert soundscapes.recorded_config(tmp_path) == soundscapes.SoundscapesConfig()
    before = contents(corpus)
    soundscapes.write_soundscapes(corpus)
    assert contents(corpus) == before


def test_isolated_events_have_a_table_of_labels_and_folds(tmp_path):
    kinds = soundscapes.EVENT_KINDS
    config = IsolatedEventsConfig(seed=1, count=len(kinds) + 2, seconds=0.5, sample_rate_hz=16000)
    path = soundscapes.write_events(tmp_path, config, workers=2)
    header, *rows = [line.split(",") for line in read_lines(path)]
    assert header == ["filename", "category", "fold"]
    assert [row[1] for row in rows] == [*kinds, *kinds[:2]]
    assert [row[2] for row in rows] == ["1"] * len(kinds) + ["2"] * 2
    assert all((tmp_path / "audio" / row[0]).is_file() for row in rows)
    assert json.loads((tmp_path / "soundscapes.json").read_text())["content"] == "events"


@pytest.mark.parametrize(
    "change",
    [
        {"seed": -1},
        {"locations_per_scene": 1},
        {"evaluation_share": 1.0},
        {"cities": ()},
        {"cities": ("milan",)},
        {"cities": ("a-b",)},
    ],
)
def test_an_impossible_corpus_is_an_error(change):
    with pytest.raises(ConfigError):
        dataclasses.replace(SMALL, **change)


@pytest.mark.parametrize("change", [{"seed": -1}, {"count": 0}, {"seconds": 0.0}])
def test_impossible_isolated_events_are_an_error(change):
    with pytest.raises(ConfigError, match=f"isolated_events.{next(iter(change))} is"):
        dataclasses.replace(THREE_EVENTS, **change)
