"""Files of the generator: the official TAU layout, the same bytes whatever the workers, whole after a kill."""

import dataclasses
import json

import numpy as np
import pytest
import soundfile

from crossask import files
from crossask.datasets import read_corpus, soundscapes
from crossask.datasets.soundscapes import layout, writing
from crossask.errors import ConfigError, DataError

SMALL = soundscapes.SoundscapesConfig(
    seed=3, locations_per_scene=3, clips_per_location=1, clip_seconds=1.0
)


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("soundscapes") / "new" / "corpus"
    seen = []
    meta = soundscapes.write_soundscapes(
        folder, SMALL, workers=1, progress=lambda done, total: seen.append((done, total))
    )
    assert meta == folder / "meta.csv"
    assert seen == [(done, 30) for done in range(31)]
    return folder


def test_the_layout_is_that_of_tau_2019(corpus):
    read = read_corpus("soundscapes", corpus)
    assert read.scenes == soundscapes.SCENES
    assert len(read.clips) == 30
    fold = read.fold("1")
    assert (len(fold.train), len(fold.evaluation)) == (20, 10)
    city = {clip.id: clip.city for clip in read.clips}
    assert {city[name] for name in fold.evaluation} == {"milan"}
    assert "milan" not in {city[name] for name in fold.train}
    assert (corpus / "meta.csv").read_text().splitlines()[
        0
    ] == "filename\tscene_label\tidentifier\tsource_label"
    assert (corpus / "meta.csv").read_text().splitlines()[
        1
    ] == "audio/airport-barcelona-0-0-a.wav\tairport\tbarcelona-0\ta"
    setup = corpus / "evaluation_setup"
    assert (setup / "fold1_train.csv").read_text().splitlines()[0] == "filename\tscene_label"
    assert (setup / "fold1_test.csv").read_text().splitlines()[0] == "filename"
    labelled = (setup / "fold1_evaluate.csv").read_text().splitlines()[1:]
    assert (setup / "fold1_test.csv").read_text().split()[1:] == [
        line.split("\t")[0] for line in labelled
    ]


def test_no_location_stands_on_both_sides_of_the_default_fold():
    clips = layout.clips_of(soundscapes.SoundscapesConfig())
    assert len(clips) == 360
    sides = {}
    for clip in clips:
        sides.setdefault((clip.scene, clip.city, clip.location_number), set()).add(clip.training)
    assert {len(side) for side in sides.values()} == {1}
    assert len({number for _, _, number in sides}) == 120
    for scene in soundscapes.SCENES:
        assert sum(side == {True} for (name, _, _), side in sides.items() if name == scene) == 8
    assert {side.copy().pop() for (_, city, _), side in sides.items() if city == "milan"} == {False}
    assert any(side == {False} and city != "milan" for (_, city, _), side in sides.items())


def test_more_clips_leave_the_others_as_they_are():
    assert set(layout.clips_of(SMALL)) < set(
        layout.clips_of(dataclasses.replace(SMALL, clips_per_location=2))
    )


def test_files_are_48_khz_stereo_of_24_bits_and_hold_what_was_rendered(corpus):
    for path in sorted((corpus / "audio").iterdir()):
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype, info.frames) == (
            48000,
            2,
            "PCM_24",
            48000,
        )
    name = "bus-helsinki-11-0-a.wav"
    wave, _ = soundscapes.render_scene_clip(3, "bus", "helsinki", 11, 0, 1.0)
    written, _ = soundfile.read(corpus / "audio" / name, dtype="float32")
    assert np.abs(wave - written).max() < 2**-22
    assert np.abs(written).max() < 1


def test_the_event_table_lies_within_the_clips(corpus):
    lines = [line.split("\t") for line in (corpus / "events.csv").read_text().splitlines()]
    assert lines[0] == ["filename", "onset", "offset", "event_label"]
    assert {line[0] for line in lines[1:]} == {
        f"audio/{path.name}" for path in (corpus / "audio").iterdir()
    }
    assert all(
        0 <= float(onset) < float(offset) <= 1 and kind in soundscapes.EVENT_KINDS
        for _, onset, offset, kind in lines[1:]
    )


def test_two_workers_write_the_same_bytes_as_one(corpus, tmp_path):
    soundscapes.write_soundscapes(tmp_path, SMALL, workers=2)
    assert contents(tmp_path) == contents(corpus)


def test_a_killed_run_keeps_finished_clips_and_ends_in_the_same_bytes(
    corpus, tmp_path, monkeypatch
):
    def kill(job):
        if "-milan-" in job[1]:
            raise KeyboardInterrupt
        return render_one(job)

    render_one = writing._render_one
    monkeypatch.setattr(writing, "_render_one", kill)
    with pytest.raises(KeyboardInterrupt):
        soundscapes.write_soundscapes(tmp_path, SMALL)
    monkeypatch.undo()
    assert not (tmp_path / "meta.csv").exists()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "audio").iterdir()}
    assert 0 < len(kept) < 30
    # what a kill in the middle of a file leaves behind, of a process that has ended
    stale = tmp_path / "audio" / f".airport-milan-20-0-a.wav.{files._HOST}-4194305.part"
    stale.write_bytes(b"RIFF")
    first = []
    soundscapes.write_soundscapes(tmp_path, SMALL, progress=lambda done, total: first.append(done))
    assert first[0] == len(kept)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert contents(tmp_path) == contents(corpus)


def test_a_clip_cut_short_by_a_full_disk_is_rendered_again(corpus, tmp_path):
    soundscapes.write_events(tmp_path, count=3, seconds=0.5, sample_rate_hz=16000)
    whole = contents(tmp_path)
    path = tmp_path / "audio" / "00001-bicycle_bell.wav"
    path.write_bytes(path.read_bytes()[:5000])
    soundscapes.write_events(tmp_path, count=3, seconds=0.5, sample_rate_hz=16000)
    assert contents(tmp_path) == whole


def test_a_folder_of_another_recipe_or_of_something_else_is_left_alone(corpus, tmp_path):
    before = contents(corpus)
    with pytest.raises(DataError, match=r"(?s)seed=3.*seed=4.*empty folder"):
        soundscapes.write_soundscapes(corpus, dataclasses.replace(SMALL, seed=4))
    with pytest.raises(DataError, match="content='scenes'"):
        soundscapes.write_events(corpus, seed=3)
    assert contents(corpus) == before
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match=r"thesis\.txt"):
        soundscapes.write_soundscapes(tmp_path, SMALL)
    assert contents(tmp_path) == {"thesis.txt": b"mine"}


def test_a_folder_is_gone_on_with_as_it_was_begun(corpus, tmp_path):
    assert soundscapes.recorded_config(corpus) == SMALL
    assert soundscapes.recorded_config(tmp_path) == soundscapes.SoundscapesConfig()
    before = contents(corpus)
    soundscapes.write_soundscapes(corpus)
    assert contents(corpus) == before


def test_isolated_events_come_with_a_table_of_labels_and_folds(tmp_path):
    kinds = len(soundscapes.EVENT_KINDS)
    path = soundscapes.write_events(
        tmp_path, seed=1, count=kinds + 2, workers=2, seconds=0.5, sample_rate_hz=16000
    )
    rows = [line.split(",") for line in path.read_text().splitlines()]
    assert rows[0] == ["filename", "category", "fold"]
    assert [row[1] for row in rows[1 : kinds + 1]] == list(soundscapes.EVENT_KINDS)
    assert [row[2] for row in rows[1:]] == ["1"] * kinds + ["2"] * 2
    assert all((tmp_path / "audio" / row[0]).is_file() for row in rows[1:])
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
def test_a_recipe_that_cannot_be_cooked_is_refused(change):
    with pytest.raises(ConfigError):
        dataclasses.replace(SMALL, **change)
