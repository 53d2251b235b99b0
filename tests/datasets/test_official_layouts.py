"""TAU 2019 and TUT 2017 in their official layouts; contradictions and missing files are errors."""

import shutil

import numpy as np
import pytest
import small_corpus
import soundfile

from crossask.cli import train
from crossask.datasets import read_corpus, validation_split
from crossask.errors import ConfigError, DataError

# Scene, city, location, segment, side of the fold.
TAU_ROWS = [
    ("airport", "lisbon", 1, 0, "train"),
    ("airport", "lisbon", 1, 1, "train"),
    ("airport", "milan", 2, 2, "evaluate"),
    ("bus", "lyon", 3, 3, "train"),
    ("bus", "lyon", 4, 4, "evaluate"),
    ("bus", "milan", 5, 5, ""),
]

# Clips to train on and to evaluate, of each official fold of TUT 2017.
TUT_COUNTS = [(3510, 1170), (3507, 1173), (3507, 1173), (3510, 1170)]


def write_lines(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def write_tau(folder, rows):
    """Writes metadata and short recordings of `rows`, which are as TAU_ROWS."""
    metadata = ["filename\tscene_label\tidentifier\tsource_label"]
    sides = {"train": ["filename\tscene_label"], "evaluate": ["filename\tscene_label"]}
    (folder / "audio").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for scene, city, location, segment, side in rows:
        name = f"audio/{scene}-{city}-{location}-{segment}-a.wav"
        soundfile.write(folder / name, rng.normal(0, 0.1, (80, 2)), 8000)
        metadata.append(f"{name}\t{scene}\t{city}-{location}\ta")
        if side:
            sides[side].append(f"{name}\t{scene}")
    write_lines(folder / "meta.csv", metadata)
    for side, lines in sides.items():
        write_lines(folder / "evaluation_setup" / f"fold1_{side}.csv", lines)


def write_tut(folder, folds=(1, 2, 3, 4)):
    """Writes metadata without recordings: two scenes of four recordings of two segments each.

    Fold k evaluates recording k of each scene.
    """
    clips = []
    for letter, scene in (("a", "city center"), ("b", "forest_path")):
        for recording in (1, 2, 3, 4):
            for start in (0, 10):
                name = f"audio/{letter}00{recording}_{start}_{start + 10}.wav"
                clips.append((name, scene, recording))
    write_lines(folder / "meta.txt", [f"{name}\t{scene}\t{name[6:10]}" for name, scene, _ in clips])
    for fold in folds:
        train = [f"{name}\t{scene}" for name, scene, recording in clips if recording != fold]
        evaluate = [f"{name}\t{scene}" for name, scene, recording in clips if recording == fold]
        write_lines(folder / "evaluation_setup" / f"fold{fold}_train.txt", train)
        write_lines(folder / "evaluation_setup" / f"fold{fold}_evaluate.txt", evaluate)


def write_official_tut(official, folder):
    """Writes the public copy of meta.txt as it is, and the four folds of the evaluation lists."""
    shutil.copy(official / "meta.txt", folder)
    labels = dict(line.split("\t")[:2] for line in (folder / "meta.txt").read_text().splitlines())
    for fold in (1, 2, 3, 4):
        lines = (official / f"fold{fold}_evaluate_from_piczak.txt").read_text().splitlines()
        evaluated = {line.split("\t")[0] for line in lines}
        training = [f"{name}\t{scene}" for name, scene in labels.items() if name not in evaluated]
        write_lines(folder / "evaluation_setup" / f"fold{fold}_evaluate.txt", lines)
        write_lines(folder / "evaluation_setup" / f"fold{fold}_train.txt", training)


def test_tau2019_reads_the_official_layout(tmp_path):
    write_tau(tmp_path, TAU_ROWS)
    corpus = read_corpus("tau2019", tmp_path)
    first = corpus.clips[0]
    assert (first.scene, first.city, first.location) == ("airport", "lisbon", "lisbon-1")
    assert len(corpus.scenes) == 10
    assert len(corpus.clips) == 5
    assert len(corpus.fold("1").train) == 3
    assert len(corpus.fold("1").evaluation) == 2


def test_tau2019_uses_flac_if_the_wav_is_missing(tmp_path):
    write_tau(tmp_path, TAU_ROWS)
    wav = tmp_path / "audio" / "bus-lyon-3-3-a.wav"
    wav.rename(wav.with_suffix(".flac"))
    paths = [clip.path for clip in read_corpus("tau2019", tmp_path).clips]
    assert str(wav.with_suffix(".flac")) in paths


MISSING_ADVICE = pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("tau2019", "crossask-prepare --dataset=tau2019 --data_dir={} --download"),
        ("soundscapes", "--dataset=soundscapes --data_dir={}"),
    ],
)


@MISSING_ADVICE
def test_all_missing_recordings_are_one_error_with_their_number_and_a_remedy(
    tmp_path, name, advice
):
    write_tau(tmp_path, TAU_ROWS)
    # The last of them is in no fold, so it is not missed.
    for clip in ("bus-lyon-3-3", "bus-lyon-4-4", "bus-milan-5-5"):
        (tmp_path / "audio" / f"{clip}-a.wav").unlink()
    with pytest.raises(
        DataError, match=r"2 of 5 sound files .*'audio/bus-lyon-3-3-a.wav'"
    ) as error:
        read_corpus(name, tmp_path)
    assert str(tmp_path) in error.value.problem
    assert error.value.fix.endswith(advice.format(tmp_path))


@MISSING_ADVICE
def test_missing_metadata_is_an_error_with_a_remedy(tmp_path, name, advice):
    write_tau(tmp_path, TAU_ROWS)
    (tmp_path / "evaluation_setup" / "fold1_evaluate.csv").unlink()
    with pytest.raises(DataError, match=r"1 of 3 metadata files is .*fold1_evaluate.csv") as error:
        read_corpus(name, tmp_path, need_audio=False)
    assert advice.format(tmp_path) in error.value.fix


def test_a_missing_column_of_the_metadata_is_an_error(tmp_path):
    write_tau(tmp_path, TAU_ROWS)
    write_lines(tmp_path / "meta.csv", ["filename\tlabel\tidentifier", "a.wav\tbus\tlyon-1"])
    with pytest.raises(DataError, match=r"meta\.csv has no column 'scene_label'"):
        read_corpus("tau2019", tmp_path)


def test_metadata_alone_gives_the_same_corpus_without_a_fingerprint(tmp_path):
    write_tau(tmp_path, TAU_ROWS)
    whole = read_corpus("tau2019", tmp_path)
    shutil.rmtree(tmp_path / "audio")
    corpus = read_corpus("tau2019", tmp_path, need_audio=False)
    assert corpus == whole
    assert corpus.unused == 1
    with pytest.raises(DataError, match="cannot be read"):
        _ = corpus.fingerprint


def test_the_fingerprint_changes_with_one_bit_of_a_recording(tmp_path):
    write_tau(tmp_path, TAU_ROWS)
    before = read_corpus("tau2019", tmp_path).fingerprint
    assert read_corpus("tau2019", tmp_path).fingerprint == before
    path = tmp_path / "audio" / "bus-lyon-3-3-a.wav"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert read_corpus("tau2019", tmp_path).fingerprint != before


def test_a_location_on_both_sides_is_an_error_with_its_name(tmp_path):
    write_tau(tmp_path, [*TAU_ROWS, ("airport", "lisbon", 1, 9, "evaluate")])
    with pytest.raises(DataError, match="Location 'lisbon-1' is on both sides"):
        read_corpus("tau2019", tmp_path)


def test_an_unknown_scene_is_an_error_with_its_name(tmp_path):
    write_tau(tmp_path, [*TAU_ROWS, ("moon", "lisbon", 7, 9, "train")])
    with pytest.raises(DataError, match="'moon'"):
        read_corpus("tau2019", tmp_path)


def test_an_unknown_data_set_is_an_error_with_its_name(tmp_path):
    with pytest.raises(ConfigError, match="tau2020"):
        read_corpus("tau2020", tmp_path)


def test_the_official_tau2019_files_have_the_official_counts(real_data):
    corpus = read_corpus("tau2019", real_data("meta") / "tau2019", need_audio=False)
    fold = corpus.fold("1")
    assert (len(fold.train), len(fold.evaluation), corpus.unused) == (9185, 4185, 1030)
    location = {clip.id: clip.location for clip in corpus.clips}
    assert len({location[clip_id] for clip_id in fold.train}) == 325
    assert len({location[clip_id] for clip_id in fold.evaluation}) == 149


def test_the_validation_part_of_tau2019_is_drawn_as_in_its_baseline(real_data):
    corpus = read_corpus("tau2019", real_data("meta") / "tau2019", need_audio=False)
    train = corpus.fold("1").train
    training, validation = validation_split(corpus, train, 0.3, 0)
    clip_of = {clip.id: clip for clip in corpus.clips}
    trained = {clip_of[clip_id].location for clip_id in training}
    assert trained.isdisjoint(clip_of[clip_id].location for clip_id in validation)
    # The baseline's own words: "ceil makes it larger than 30 %".
    assert 0.28 < len(validation) / len(train) < 0.45
    locations = {}
    for clip_id in train:
        clip = clip_of[clip_id]
        locations.setdefault((clip.scene, clip.city), set()).add(clip.location)
    in_training = {(clip_of[i].scene, clip_of[i].city) for i in training}
    in_validation = {(clip_of[i].scene, clip_of[i].city) for i in validation}
    assert in_training == set(locations)
    assert in_validation >= {pair for pair, found in locations.items() if len(found) > 1}


def test_the_reconstructed_tut2017_files_are_read(real_data):
    corpus = read_corpus("tut2017", real_data("meta") / "tut2017", need_audio=False)
    assert len(corpus.clips) == 4680
    assert len(corpus.scenes) == 15
    assert [fold.name for fold in corpus.folds] == ["1", "3"]
    assert len(corpus.fold("1").train) == 3510
    assert len(corpus.fold("3").evaluation) == 1173
    assert (corpus.unused, corpus.faulty) == (0, 0)


def test_the_official_tut2017_files_have_the_official_counts(real_data, tmp_path):
    write_official_tut(real_data("meta") / "tut2017_official", tmp_path)
    corpus = read_corpus("tut2017", tmp_path, need_audio=False)
    assert len(corpus.clips) == 4680
    assert len(corpus.scenes) == 15
    assert [(len(fold.train), len(fold.evaluation)) for fold in corpus.folds] == TUT_COUNTS


def test_a_dry_run_counts_the_clips_of_the_official_tut2017_files(real_data, tmp_path, capsys):
    write_official_tut(real_data("meta") / "tut2017_official", tmp_path)
    rows = small_corpus.write_rows(tmp_path / "rows.py", "FA")
    arguments = [f"--experiment={rows}", f"--data_dir={tmp_path}", "--dataset=tut2017"]
    assert train.main(["crossask-train", "--dry_run", *arguments]) == 0
    printed = capsys.readouterr().out
    for number, (training, evaluation) in enumerate(TUT_COUNTS, start=1):
        counts = f"{training:,} clips to train on, {evaluation:,} to evaluate"
        assert f"tut2017, fold {number}: {counts}" in printed


def test_a_copy_of_the_tut2017_files_with_empty_columns_is_read(tmp_path):
    write_tut(tmp_path)
    tidy = read_corpus("tut2017", tmp_path, need_audio=False)
    for path in (tmp_path / "meta.txt", *(tmp_path / "evaluation_setup").iterdir()):
        lines = [f"{line}\t\t\t\t\t\r" for line in path.read_text().splitlines()]
        write_lines(path, lines)
    assert read_corpus("tut2017", tmp_path, need_audio=False) == tidy


def test_tut2017_reads_the_official_layout(tmp_path):
    write_tut(tmp_path)
    corpus = read_corpus("tut2017", tmp_path, need_audio=False)
    assert {clip.scene for clip in corpus.clips} == {"city_center", "forest_path"}
    locations = sorted({clip.location for clip in corpus.clips})
    assert locations == ["a001", "a002", "a003", "a004", "b001", "b002", "b003", "b004"]
    assert [(len(fold.train), len(fold.evaluation)) for fold in corpus.folds] == [(12, 4)] * 4


def test_tut2017_without_recordings_is_an_error_with_a_remedy(tmp_path):
    write_tut(tmp_path)
    with pytest.raises(DataError, match="16 of 16 sound files") as error:
        read_corpus("tut2017", tmp_path)
    assert f"--dataset=tut2017 --data_dir={tmp_path} --download" in error.value.fix


def test_tut2017_with_some_folds_is_read_and_the_others_are_errors(tmp_path):
    write_tut(tmp_path, folds=(1, 3))
    corpus = read_corpus("tut2017", tmp_path, need_audio=False)
    assert len(corpus.fold("3").train) == 12
    with pytest.raises(DataError, match=r"files of fold '2' .*missing of its 4 folds: 2, 4"):
        corpus.fold("2")
    with pytest.raises(DataError, match="no fold '5'"):
        corpus.fold("5")


def test_tut2017_with_half_a_fold_or_none_is_an_error(tmp_path):
    write_tut(tmp_path, folds=(1, 3))
    (tmp_path / "evaluation_setup" / "fold4_evaluate.txt").touch()
    with pytest.raises(DataError, match=r"1 of 2 files of fold 4 is missing .*fold4_train\.txt"):
        read_corpus("tut2017", tmp_path, need_audio=False)
    shutil.rmtree(tmp_path / "evaluation_setup")
    with pytest.raises(DataError, match="no fold files; the corpus has 4 folds"):
        read_corpus("tut2017", tmp_path, need_audio=False)


def test_tut2017_counts_and_keeps_the_segments_with_recording_errors(tmp_path):
    write_tut(tmp_path)
    lines = [
        "file\tonset\toffset",
        "audio/a001_0_10.wav\t1.5\t2.25",
        "a001_0_10.wav\t7\t8",
        "",
        "b002_10_20.wav 0,10",
        "c009_0_10.wav\t0",
    ]
    write_lines(tmp_path / "error.txt", lines)
    corpus = read_corpus("tut2017", tmp_path, need_audio=False)
    assert len(corpus.clips) == 16
    assert corpus.faulty == 2
