"""Corpora read from their official layouts; leaks and unknown labels are errors."""

import json
import shutil

import numpy as np
import pytest
import soundfile

from crossask.datasets import Clip, Corpus, Fold, read_corpus, validation_split
from crossask.errors import ConfigError, DataError


def write_wav(path, rate=8000):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros((80, 2)), rate)


def write_tau(folder, rows):
    """rows: (scene, city, location, segment, side)"""
    (folder / "evaluation_setup").mkdir(parents=True)
    lines = {
        "meta.csv": ["filename\tscene_label\tidentifier\tsource_label"],
        "train": ["filename\tscene_label"],
        "evaluate": ["filename\tscene_label"],
    }
    for scene, city, location, segment, side in rows:
        name = f"audio/{scene}-{city}-{location}-{segment}-a.wav"
        write_wav(folder / name)
        lines["meta.csv"].append(f"{name}\t{scene}\t{city}-{location}\ta")
        if side:
            lines[side].append(f"{name}\t{scene}")
    (folder / "meta.csv").write_text("\n".join(lines["meta.csv"]) + "\n")
    for side in ("train", "evaluate"):
        (folder / "evaluation_setup" / f"fold1_{side}.csv").write_text(
            "\n".join(lines[side]) + "\n"
        )


TAU_ROWS = [
    ("airport", "lisbon", 1, 0, "train"),
    ("airport", "lisbon", 1, 1, "train"),
    ("airport", "milan", 2, 2, "evaluate"),
    ("bus", "lyon", 3, 3, "train"),
    ("bus", "lyon", 4, 4, "evaluate"),
    ("bus", "milan", 5, 5, ""),
]


def test_tau2019_reads_the_official_layout(tmp_path):
    write_tau(tmp_path, TAU_ROWS)
    corpus = read_corpus("tau2019", tmp_path)
    assert next((c.scene, c.city, c.location) for c in corpus.clips) == (
        "airport",
        "lisbon",
        "lisbon-1",
    )
    assert (len(corpus.clips), len(corpus.folds[0].train), len(corpus.folds[0].evaluation)) == (
        5,
        3,
        2,
    )
    assert len(corpus.scenes) == 10


def test_tau2019_takes_flac_where_the_wav_is_not_there(tmp_path):
    write_tau(tmp_path, TAU_ROWS)
    wav = tmp_path / "audio" / "bus-lyon-3-3-a.wav"
    wav.rename(wav.with_suffix(".flac"))
    assert any(clip.path.endswith(".flac") for clip in read_corpus("tau2019", tmp_path).clips)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("tau2019", "crossask-prepare --dataset=tau2019 --data_dir={} --download"),
        ("soundscapes", "--dataset=soundscapes --data_dir={}"),
    ],
)
def test_all_missing_recordings_are_one_error_that_counts_them_and_says_what_to_do(
    tmp_path, name, advice
):
    write_tau(tmp_path, TAU_ROWS)
    for clip in (
        "bus-lyon-3-3",
        "bus-lyon-4-4",
        "bus-milan-5-5",
    ):  # the last is in no fold: it is not needed
        (tmp_path / "audio" / f"{clip}-a.wav").unlink()
    with pytest.raises(DataError, match=r"2 of 5 sound files .*'audio/bus-lyon-3-3-a.wav'") as told:
        read_corpus(name, tmp_path)
    assert str(tmp_path) in told.value.problem
    assert told.value.fix.endswith(advice.format(tmp_path))
    (tmp_path / "evaluation_setup" / "fold1_evaluate.csv").unlink()
    with pytest.raises(
        DataError, match=r"1 of 3 metadata files is missing .*fold1_evaluate.csv"
    ) as told:
        read_corpus(name, tmp_path, need_audio=False)
    assert told.value.fix.endswith(advice.format(tmp_path))


def test_metadata_alone_gives_the_same_corpus_but_no_fingerprint(tmp_path):
    write_tau(tmp_path, TAU_ROWS)
    whole = read_corpus("tau2019", tmp_path)
    shutil.rmtree(tmp_path / "audio")
    corpus = read_corpus("tau2019", tmp_path, need_audio=False)
    assert corpus == whole
    assert corpus.unused == 1
    with pytest.raises(DataError, match="cannot be read"):
        corpus.fingerprint  # noqa: B018


def test_a_location_on_both_sides_is_an_error_that_names_it(tmp_path):
    write_tau(tmp_path, [*TAU_ROWS, ("airport", "lisbon", 1, 9, "evaluate")])
    with pytest.raises(DataError, match="lisbon-1"):
        read_corpus("tau2019", tmp_path)


def test_an_unknown_scene_is_an_error_that_names_it(tmp_path):
    write_tau(tmp_path, [*TAU_ROWS, ("moon", "lisbon", 7, 9, "train")])
    with pytest.raises(DataError, match="'moon'"):
        read_corpus("tau2019", tmp_path)


def test_the_official_tau2019_files_give_the_official_counts(real_data):
    corpus = read_corpus("tau2019", real_data("meta") / "tau2019", need_audio=False)
    fold = corpus.fold("1")
    assert (len(fold.train), len(fold.evaluation), corpus.unused) == (9185, 4185, 1030)
    location = {clip.id: clip.location for clip in corpus.clips}
    assert (
        len({location[i] for i in fold.train}),
        len({location[i] for i in fold.evaluation}),
    ) == (325, 149)
    training, validation = validation_split(corpus, fold.train, 0.3, 0)
    assert not {location[i] for i in training} & {location[i] for i in validation}
    assert 0.28 < len(validation) / len(fold.train) < 0.45  # "ceil makes it larger than 30 %"
    city = {clip.id: (clip.scene, clip.city) for clip in corpus.clips}
    assert {city[i] for i in training} == {city[i] for i in fold.train}
    places = {}
    for i in fold.train:
        places.setdefault(city[i], set()).add(location[i])
    assert {city[i] for i in validation} >= {
        pair for pair, found in places.items() if len(found) > 1
    }


def test_the_reconstructed_tut2017_files_are_read(real_data):
    corpus = read_corpus("tut2017", real_data("meta") / "tut2017", need_audio=False)
    assert (len(corpus.clips), len(corpus.scenes), [f.name for f in corpus.folds]) == (
        4680,
        15,
        ["1", "3"],
    )
    assert (len(corpus.fold("1").train), len(corpus.fold("3").evaluation)) == (3510, 1173)
    assert (corpus.unused, corpus.faulty) == (0, 0)


def write_tut(folder, folds=(1, 2, 3, 4)):
    """Metadata alone: two scenes of four recordings with two segments each; fold k evaluates on recording k of each scene."""
    (folder / "evaluation_setup").mkdir(parents=True)
    rows = [
        (f"audio/{letter}00{recording}_{start}_{start + 10}.wav", scene, recording)
        for letter, scene in (("a", "city center"), ("b", "forest_path"))
        for recording in (1, 2, 3, 4)
        for start in (0, 10)
    ]
    (folder / "meta.txt").write_text(
        "".join(f"{name}\t{scene}\t{name[6:10]}\n" for name, scene, _ in rows)
    )
    for fold in folds:
        for side, inside in (("train", False), ("evaluate", True)):
            lines = [
                f"{name}\t{scene}\n"
                for name, scene, recording in rows
                if (recording == fold) == inside
            ]
            (folder / "evaluation_setup" / f"fold{fold}_{side}.txt").write_text("".join(lines))


def test_tut2017_reads_the_official_layout(tmp_path):
    write_tut(tmp_path)
    corpus = read_corpus("tut2017", tmp_path, need_audio=False)
    assert {clip.scene for clip in corpus.clips} == {"city_center", "forest_path"}
    assert {clip.location for clip in corpus.clips} == {
        f"{letter}00{n}" for letter in "ab" for n in (1, 2, 3, 4)
    }
    assert [(len(fold.train), len(fold.evaluation)) for fold in corpus.folds] == [(12, 4)] * 4
    with pytest.raises(DataError, match="16 of 16 sound files") as told:
        read_corpus("tut2017", tmp_path)
    assert f"--dataset=tut2017 --data_dir={tmp_path} --download" in told.value.fix


def test_tut2017_without_some_folds_is_read_and_asking_for_one_names_what_is_missing(tmp_path):
    write_tut(tmp_path, folds=(1, 3))
    corpus = read_corpus("tut2017", tmp_path, need_audio=False)
    assert len(corpus.fold("3").train) == 12
    with pytest.raises(
        DataError, match=r"Fold '2' .* 4 folds are needed, the files of 2, 4 are missing"
    ):
        corpus.fold("2")
    with pytest.raises(DataError, match="no fold '5'"):
        corpus.fold("5")
    (tmp_path / "evaluation_setup" / "fold4_evaluate.txt").touch()
    with pytest.raises(DataError, match=r"1 of 2 files of fold 4 is missing .*fold4_train\.txt"):
        read_corpus("tut2017", tmp_path, need_audio=False)
    shutil.rmtree(tmp_path / "evaluation_setup")
    with pytest.raises(DataError, match="no fold files; the corpus has 4 folds"):
        read_corpus("tut2017", tmp_path, need_audio=False)


def test_tut2017_counts_the_segments_that_the_corpus_marks_and_keeps_them(tmp_path):
    write_tut(tmp_path)
    lines = [
        "file\tonset\toffset",
        "audio/a001_0_10.wav\t1.5\t2.25",
        "a001_0_10.wav\t7\t8",
        "",
        "b002_10_20.wav 0,10",
        "c009_0_10.wav\t0",
    ]
    (tmp_path / "error.txt").write_text("\n".join(lines))
    corpus = read_corpus("tut2017", tmp_path, need_audio=False)
    assert (len(corpus.clips), corpus.faulty) == (16, 2)


def test_a_folder_a_class_gives_folds_that_share_no_file(tmp_path):
    for scene in ("forest", "office"):
        for number in range(4):
            write_wav(tmp_path / scene / f"{number}.wav")
    corpus = read_corpus("folder", tmp_path)
    assert (corpus.scenes, len(corpus.folds)) == (("forest", "office"), 4)
    assert sorted(i for fold in corpus.folds for i in fold.evaluation) == sorted(
        clip.id for clip in corpus.clips
    )


def test_all_missing_files_of_a_table_are_one_error(tmp_path):
    rows = [(f"{s}{n}.wav", s, f"{s}{n}") for s in ("a", "b") for n in range(3)]
    write_clips_csv(tmp_path, rows, ("filename", "scene", "location"))
    (tmp_path / "a1.wav").unlink()
    (tmp_path / "b2.wav").unlink()
    with pytest.raises(DataError, match=r"2 of 6 files .*'a1.wav' in line 3") as told:
        read_corpus("folder", tmp_path)
    assert "download" not in told.value.fix
    assert len(read_corpus("folder", tmp_path, need_audio=False).clips) == 6


def write_clips_csv(folder, rows, header):
    for row in rows:
        write_wav(folder / row[0])
    (folder / "clips.csv").write_text(
        "\n".join([",".join(header), *(",".join(map(str, row)) for row in rows)]) + "\n"
    )


def test_a_location_column_keeps_places_together(tmp_path):
    rows = [
        (f"{s}{p}{n}.wav", s, f"{s}{p}") for s in ("a", "b") for p in range(3) for n in range(3)
    ]
    write_clips_csv(tmp_path, rows, ("filename", "scene", "location"))
    corpus = read_corpus("folder", tmp_path)
    assert len(corpus.folds) == 3
    for fold in corpus.folds:
        assert len(fold.evaluation) == 6  # one place of three clips a scene


def test_a_fold_column_is_followed(tmp_path):
    rows = [(f"{s}{k}{n}.wav", s, k) for s in ("a", "b") for k in (1, 2) for n in range(2)]
    write_clips_csv(tmp_path, rows, ("filename", "scene", "fold"))
    corpus = read_corpus("folder", tmp_path / "clips.csv")
    assert corpus.fold("2").evaluation == ("a20.wav", "a21.wav", "b20.wav", "b21.wav")


@pytest.mark.parametrize(
    ("header", "rows", "words"),
    [
        (("file", "scene"), [("a.wav", "x")], "filename"),
        (
            ("filename", "scene", "location", "fold"),
            [("a.wav", "x", "p", 1), ("b.wav", "x", "p", 2)],
            "'p'",
        ),
        (("filename", "scene"), [("a.wav", "x"), ("a.wav", "x"), ("b.wav", "x")], "twice"),
        (
            ("filename", "scene", "location"),
            [("a.wav", "x", "p"), ("b.wav", "x", "p")],
            "'x' has 1 location",
        ),
        (("filename", "scene"), [("a.wav", "x"), ("b.wav",)], "Line 3 of .* lacks"),
        (("filename", "scene"), [("a.wav", "x"), ("b.wav", "")], "Line 3 of .* lacks"),
        (("filename", "scene"), [("a.wav", "city"), ("b.wav", "city")], "a scene called 'city'"),
    ],
)
def test_a_contradicting_table_is_an_error(tmp_path, header, rows, words):
    write_clips_csv(tmp_path, rows, header)
    with pytest.raises(DataError, match=words):
        read_corpus("folder", tmp_path)


def test_a_table_in_another_encoding_is_an_error(tmp_path):
    (tmp_path / "clips.csv").write_bytes("filename,scene\na.wav,caf\u00e9\n".encode("latin-1"))
    with pytest.raises(DataError, match="no CSV in UTF-8"):
        read_corpus("folder", tmp_path)


def test_a_missing_folder_and_an_unknown_name_are_errors(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        read_corpus("folder", tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="tau2020"):
        read_corpus("tau2020", tmp_path)


def make_corpus(locations_per_city, cities=("p", "q"), clips=2):
    items = [
        Clip(f"{scene}-{city}-{place}-{n}", "", scene, f"{scene}-{city}-{place}", city)
        for scene in ("a", "b")
        for city in cities
        for place in range(locations_per_city)
        for n in range(clips)
    ]
    items.append(Clip("held", "", "a", "held", "r"))
    return Corpus(
        "made", ("a", "b"), tuple(items), (Fold("1", tuple(c.id for c in items[:-1]), ("held",)),)
    )


@pytest.mark.parametrize("per_city", [1, 2, 3, 5])
def test_validation_shares_no_location_and_holds_every_scene(per_city):
    corpus = make_corpus(per_city)
    train = corpus.fold("1").train
    training, validation = validation_split(corpus, train, 0.3, 0)
    location = {clip.id: clip.location for clip in corpus.clips}
    scene = {clip.id: clip.scene for clip in corpus.clips}
    assert set(training) | set(validation) == set(train)
    assert not {location[i] for i in training} & {location[i] for i in validation}
    assert {scene[i] for i in training} == {scene[i] for i in validation} == {"a", "b"}


def test_the_validation_split_follows_its_seed():
    corpus = make_corpus(5)
    train = corpus.fold("1").train
    assert validation_split(corpus, train, 0.3, 0) == validation_split(corpus, train, 0.3, 0)
    assert len({validation_split(corpus, train, 0.3, seed)[1] for seed in range(5)}) > 1


def test_one_location_cannot_be_split():
    corpus = make_corpus(1, cities=("p",))
    with pytest.raises(DataError, match="one location"):
        validation_split(corpus, corpus.fold("1").train, 0.3, 0)


def test_the_fingerprint_follows_the_bytes(tmp_path):
    write_tau(tmp_path, TAU_ROWS)
    before = read_corpus("tau2019", tmp_path).fingerprint
    assert before == read_corpus("tau2019", tmp_path).fingerprint
    file = tmp_path / "audio" / "bus-lyon-3-3-a.wav"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert read_corpus("tau2019", tmp_path).fingerprint != before
    assert json.dumps(before)
