"""One recording or place on both sides of a split: each kind is an error, whatever its names."""

import itertools
import logging
import os
import shutil
import zipfile

import numpy as np
import pytest
import soundfile
from datasets.two_folds import ROWS, write, write_sound

from crossask.audio import notices
from crossask.datasets import Clip, Corpus, Fold, leaks, read_corpus
from crossask.errors import DataError


def copy(source, path):
    shutil.copy(source, path)


def link(source, path):
    path.symlink_to(source)


def recoded(source, path):
    """Writes the same samples in another format."""
    waveform, rate = soundfile.read(source)
    soundfile.write(path, waveform, rate, format="FLAC")


# New name, its cells, how the file is made of a.wav (None: another recording), and the message.
OTHER_NAMES = {
    "the same location": ("audio/e.wav", "bus,p1,2", None, "Location 'p1' is on both sides"),
    "the location in capital letters": ("audio/e.wav", "bus,P1,2", None, "'p1' of .* 'P1' of"),
    "the location with a blank": ("audio/e.wav", "bus,p 1,2", None, "'p1' of .* 'p 1' of"),
    "the location in full width": ("audio/e.wav", "bus,\uff501,2", None, "'p1' of .*look alike"),
    "the name twice": ("./audio/a.wav", "bus,p5,2", None, "Lines 2 and 6 .* twice"),
    "the name with backslashes": ("audio\\a.wav", "bus,p5,2", None, "Lines 2 and 6 .* twice"),
    "a path with ..": ("audio/../audio/a.wav", "bus,p5,2", None, "the same file"),
    "a link": ("audio/e.wav", "bus,p5,2", link, "the same file"),
    "a hard link": ("audio/e.wav", "bus,p5,2", os.link, "the same file"),
    "a copy": ("audio/e.wav", "bus,p5,2", copy, "contain the same bytes, but in fold '1'"),
    "a copy in another scene": ("audio/e.wav", "park,p5,1", copy, "'park' contain the same bytes"),
    "another format": ("audio/a.flac", "bus,p5,2", recoded, "'audio/a.wav' .* one recording"),
    "a variant": ("audio/a_pitch+2.wav", "bus,p5,2", None, "'audio/a.wav' .* one recording"),
    "a part": ("audio/a_part2.wav", "bus,p5,2", None, "'audio/a.wav' .* one recording"),
    "a part with its start": ("audio/a@10.0s.wav", "bus,p5,2", None, "one recording by their"),
}  # fmt: skip


@pytest.mark.parametrize("kind", OTHER_NAMES)
def test_a_recording_or_place_in_two_folds_is_an_error(tmp_path, kind):
    name, cells, make, message = OTHER_NAMES[kind]
    write(tmp_path, ROWS)
    if make is not None:
        make(tmp_path / "audio" / "a.wav", tmp_path / name)
    write(tmp_path, {**ROWS, name: cells})
    with pytest.raises(DataError, match=message) as raised:
        _ = read_corpus("folder", tmp_path).fingerprint
    assert raised.value.fix.startswith(("Give", "Move", "Remove", "Write"))


def test_the_recordings_without_such_a_copy_are_read(tmp_path):
    corpus = read_corpus("folder", write(tmp_path, {**ROWS, "audio/e.wav": "bus,p5,2"}))
    assert len(corpus.fingerprint) == 32


def test_a_linked_folder_is_the_same_files(tmp_path):
    write(tmp_path, ROWS)
    (tmp_path / "copy").symlink_to(tmp_path / "audio")
    write(tmp_path, {**ROWS, "copy/a.wav": "bus,p5,2"})
    with pytest.raises(DataError, match="the same file"):
        read_corpus("folder", tmp_path)


@pytest.mark.parametrize("has_table", [True, False])
def test_names_of_one_recording_share_a_fold_if_no_location_is_given(tmp_path, has_table):
    lines = ["filename,scene"]
    places = set()
    for scene in ("bus", "park"):
        for number in range(4):
            places.add(f"{scene}/walk{number}")
            for end in ("part1.wav", "part2.wav", "part2_aug1.wav", "part2_aug2.flac"):
                name = f"{scene}/walk{number}_{end}"
                write_sound(tmp_path / name, len(lines))
                lines.append(f"{name},{scene}")
    if has_table:
        (tmp_path / "clips.csv").write_text("\n".join(lines))
    corpus = read_corpus("folder", tmp_path)
    assert {clip.location for clip in corpus.clips} == places
    assert [len(fold.evaluation) for fold in corpus.folds] == [8, 8, 8, 8]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a_0_10.wav", "a_10_20.wav", "b_0_10.wav"], {"a_0_10.wav": "a", "a_10_20.wav": "a"}),
        (["a_1_2.wav", "a_2_3.wav"], {}),
        (["forest_1.wav", "forest_2.wav", "forest (3).wav"], {}),
        (["park_noise.wav", "street_pitch.wav"], {}),
        (["part1.wav", "part2.wav"], {}),
        (["x/a.wav", "y/a.wav", "y/a_aug.wav"], {"y/a.wav": "y/a", "y/a_aug.wav": "y/a"}),
        (["airport-lisbon-1000-40000-a.wav", "airport-lisbon-1000-40001-a.wav"], {}),
        (["Bus_user0009_14897252_005.wav", "Bus_user0009_14897252_006.wav"], {}),
        (["clip.1", "clip.2", "train/000001"], {}),
        # A recording of each day, and one of each microphone at each of several places.
        (["2023-01-03.wav", "2023-03-05.wav", "2023-12-01.wav"], {}),
        (["park/rec_2023_02_06.wav", "park/rec_2023_06_10.wav", "park/rec_2023_09_01.wav"], {}),
        (["site_1_3.wav", "site_3_5.wav", "site_3_1.wav"], {}),
    ],
)
def test_names_that_only_number_recordings_say_nothing(names, expected):
    assert leaks.sources(names) == expected


@pytest.mark.parametrize(
    ("names", "source"),
    [
        (["a.wav", "a.flac"], "a"),
        (["a_part1.wav"], "a"),
        (["a.wav", "a_part1.wav", "a_part1.flac"], "a"),
        (["a_0_10.wav", "a_0_10.flac"], "a_0_10"),
        (["a_aug1.wav", "a_aug2.wav"], "a"),
        (["a.wav", "a_aug.wav"], "a"),
        # Two seconds are the least that a span may last.
        (["a_0_2.wav", "a_2_4.wav"], "a"),
        # The third is no neighbour of the first, but of the second.
        (["a_0_10.wav", "a_10_20.wav", "a_20_30.wav"], "a"),
        # Sources of sources, and the source itself.
        (
            ["a.wav", "a_aug.wav", "a_aug_noisy.wav", "a_aug_noisy_shift.wav", "a_aug_part1.wav"],
            "a",
        ),
        (["a_aug_noisy_shift_part1", "a_aug_noisy_shift", "a_aug_noisy", "a_aug", "a"], "a"),
        # Names without a suffix, below a folder.
        (["x/walk-seg1", "x/walk-seg2"], "x/walk"),
    ],
)
def test_names_say_that_recordings_have_one_source(names, source):
    for order in itertools.permutations(names):
        assert leaks.sources(order) == dict.fromkeys(names, source)


@pytest.mark.parametrize(
    "names",
    [
        ["a_aug1.wav"],
        ["a_0_10.wav", "a_20_30.wav"],
        ["a_0_10.wav", "b_10_20.wav"],
        ["a_0_10.wav", "a_10_30.wav"],
        ["a.wav", "b.wav", ""],
    ],
)
def test_names_without_a_second_one_of_their_source_say_nothing(names):
    assert leaks.sources(names) == {}


def test_a_copy_on_one_side_is_a_warning_with_the_count(tmp_path, caplog):
    write(tmp_path, ROWS)
    copy(tmp_path / "audio" / "a.wav", tmp_path / "audio" / "e.wav")
    write(tmp_path, {**ROWS, "audio/e.wav": "bus,p5,1"})
    notices.forget()
    with caplog.at_level(logging.WARNING, "crossask"):
        _ = read_corpus("folder", tmp_path).fingerprint
    (record,) = caplog.records
    assert record.getMessage().startswith("1 recordings contain the same bytes")


@pytest.mark.parametrize(
    ("cells", "make", "message"),
    [
        ("bus,p1,val", None, "Location 'p1' is in the validation part of fold '1' and in the rest"),
        ("bus,p5,val", copy, "same bytes, but in fold '1' .* second used for validation"),
        ("bus,p5,val", link, "the same file"),
        ("bus,p3,val", None, "Location 'p3' is on both sides"),
    ],
)
def test_the_validation_part_shares_nothing_with_training_or_evaluation(
    tmp_path, cells, make, message
):
    rows = {}
    for name, line in ROWS.items():
        rows[name] = line.removesuffix("1") + "train" if line.endswith("1") else line[:-1] + "test"
    write(tmp_path, rows)
    if make is not None:
        make(tmp_path / "audio" / "a.wav", tmp_path / "audio" / "e.wav")
    write(tmp_path, {**rows, "audio/e.wav": cells})
    with pytest.raises(DataError, match=message):
        _ = read_corpus("folder", tmp_path).fingerprint


def test_a_clip_on_both_sides_without_a_location_is_an_error():
    clips = (Clip("a", "", "bus", ""), Clip("b", "", "bus", ""))
    with pytest.raises(DataError, match="'a' is on both sides"):
        Corpus("made", ("bus",), clips, (Fold("1", ("a",), ("a", "b")),))


def write_embeddings(path, **changes):
    rng = np.random.default_rng(0)
    arrays = {"class_names": np.array(["bus", "park"])}
    for part, clips in (("train", 6), ("val", 4), ("test", 4)):
        arrays[f"{part}_x"] = rng.normal(size=(clips, 2, 128)).astype(np.float32)
        arrays[f"{part}_y"] = np.arange(clips) % 2
        arrays[f"{part}_location"] = np.array([f"{part}{number}" for number in range(clips)])
    arrays |= changes
    np.savez(path, **arrays)
    return arrays


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("test", "'train/000002' and 'test/000001' have the same embeddings, .* evaluated"),
        ("val", "'train/000002' and 'val/000001' have the same embeddings, .* validation"),
    ],
)
def test_embeddings_that_are_in_two_parts_are_an_error(tmp_path, part, message):
    path = tmp_path / "made.npz"
    arrays = write_embeddings(path)
    read_corpus("embeddings", path)
    changed = arrays[f"{part}_x"].copy()
    changed[1] = arrays["train_x"][2]
    # The type in which they are stored makes no difference.
    for stored in (changed, changed.astype(np.float64)):
        write_embeddings(path, **{f"{part}_x": stored})
        with pytest.raises(DataError, match=message):
            read_corpus("embeddings", path)


@pytest.mark.parametrize(
    ("part", "location", "message"),
    [
        ("test", "train3", "Location 'train3' is on both sides"),
        ("val", "train3", "Location 'train3' is in the validation part"),
        ("test", "TRAIN3 ", "'train3' of .* 'TRAIN3' of .* differ only"),
        ("test", " ", "test_location of .* is blank for clip 0"),
    ],
)
def test_places_of_embeddings_that_are_in_two_parts_are_an_error(tmp_path, part, location, message):
    path = tmp_path / "made.npz"
    places = write_embeddings(path)[f"{part}_location"].astype("<U9")
    places[0] = location
    write_embeddings(path, **{f"{part}_location": places})
    with pytest.raises(DataError, match=message):
        read_corpus("embeddings", path)


def test_two_arrays_of_one_name_are_an_error(tmp_path):
    path = tmp_path / "made.npz"
    write_embeddings(path)
    with zipfile.ZipFile(path) as archive:
        content = archive.read("test_x.npy")
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("test_x.npy", content)
    with pytest.raises(DataError, match="two arrays called 'test_x'"):
        read_corpus("embeddings", path)


def check_equal_samples(folder, *of_equal_samples):
    """Checks the recordings of a folder as if these names had equal samples."""
    corpus = read_corpus("folder", folder)
    hash_of = {clip.id: clip.id for clip in corpus.clips}
    leaks.check_samples(corpus, {**hash_of, **dict.fromkeys(of_equal_samples, "equal")})


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("bus,p5,2", "e.wav' .* and 'audio/a.wav' .* have the same samples, but in fold '1'"),
        ("park,p5,1", "a.wav with the scene 'bus' and .*e.wav with the scene 'park' have the same"),
    ],
)
def test_equal_samples_in_two_folds_or_scenes_are_an_error(tmp_path, cells, message):
    write(tmp_path, {**ROWS, "audio/e.wav": cells})
    check_equal_samples(tmp_path)
    with pytest.raises(DataError, match=message):
        check_equal_samples(tmp_path, "audio/a.wav", "audio/e.wav")


def test_clips_of_no_samples_are_not_compared(tmp_path):
    corpus = read_corpus("folder", write(tmp_path, ROWS))
    leaks.check_samples(corpus, {"audio/a.wav": "0"})


def test_equal_samples_on_one_side_are_a_warning_unless_the_bytes_are_equal(tmp_path, caplog):
    write(tmp_path, {**ROWS, "audio/e.wav": "bus,p5,1", "audio/f.wav": "bus,p6,1"})
    copy(tmp_path / "audio" / "a.wav", tmp_path / "audio" / "f.wav")
    notices.forget()
    with caplog.at_level(logging.WARNING, "crossask"):
        check_equal_samples(tmp_path, "audio/a.wav", "audio/e.wav", "audio/f.wav")
    of_bytes, of_samples = caplog.messages
    assert of_bytes.startswith("1 recordings contain the same bytes as another one")
    assert of_samples == (
        "1 recordings contain the same samples in other bytes as another one, so they count twice: "
        f"the first is {tmp_path}/audio/e.wav (as {tmp_path}/audio/a.wav)."
    )
