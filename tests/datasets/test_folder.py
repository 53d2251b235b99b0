"""Own recordings as a corpus: folders and tables."""

import logging

import numpy as np
import pytest
import soundfile

from crossask.audio import notices, reading
from crossask.datasets import read_corpus
from crossask.errors import DataError

LOCATIONS = ("filename", "scene", "location")


def write_wav(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros((80, 2)), 8000)


def write_table(folder, header, rows):
    """Writes clips.csv, and a recording for each row."""
    lines = [",".join(header)]
    for row in rows:
        write_wav(folder / row[0])
        lines.append(",".join(map(str, row)))
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")


def test_a_folder_for_each_scene_has_folds_that_share_no_file(tmp_path):
    for scene in ("forest", "office"):
        for number in range(4):
            write_wav(tmp_path / scene / f"{number}.wav")
    corpus = read_corpus("folder", tmp_path)
    assert corpus.scenes == ("forest", "office")
    assert len(corpus.folds) == 4
    evaluated = sorted(clip_id for fold in corpus.folds for clip_id in fold.evaluation)
    assert evaluated == sorted(clip.id for clip in corpus.clips)


def test_every_suffix_of_sound_files_is_read(tmp_path):
    for scene in ("forest", "office"):
        (tmp_path / scene).mkdir()
        (tmp_path / scene / "notes.txt").touch()
        for number, suffix in enumerate(reading.SUFFIXES):
            (tmp_path / scene / f"{number}{suffix.upper()}").write_bytes(b"any")
    corpus = read_corpus("folder", tmp_path)
    assert len(corpus.clips) == 2 * len(reading.SUFFIXES)


def test_folders_below_a_scene_are_searched_and_what_is_left_out_is_one_line(tmp_path, caplog):
    for name in ("forest/a.wav", "forest/day2/a.wav", "office/x.wav/a.wav", "office/b.wav"):
        write_wav(tmp_path / name)
    for name in ("forest/notes.txt", "forest/.hidden.wav", "office/list.csv", "office/day3/q"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text")
    (tmp_path / "office" / "empty.wav").touch()
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "shard.tfrecord").write_text("features")
    write_wav(tmp_path / "outside.wav")
    # A scene on a disk that is not there.
    (tmp_path / "tram").symlink_to(tmp_path / "nowhere" / "tram")
    notices.forget()
    with caplog.at_level(logging.INFO, "crossask"):
        corpus = read_corpus("folder", tmp_path)
        read_corpus("folder", tmp_path)
    assert [(clip.id, clip.scene, clip.location) for clip in corpus.clips] == [
        ("forest/a.wav", "forest", "forest/a"),
        ("forest/day2/a.wav", "forest", "forest/day2/a"),
        ("office/b.wav", "office", "office/b"),
        ("office/x.wav/a.wav", "office", "office/x.wav/a"),
    ]
    deeper, left_out = [record.getMessage() for record in caplog.records]
    assert deeper.startswith(f"2 recordings in {tmp_path} are in folders below those of the scenes")
    # Of folders such as CITY/SCENE, it shows that the cities count as scenes.
    assert "those of the scenes (forest, office), and each one counts as a location" in deeper
    assert "column location" in deeper
    assert left_out == (
        f"Left out of {tmp_path}: 1 sound files outside of the folders of the scenes, 1 links "
        "without a target (tram), 1 folders without sound files (features), 3 with another suffix "
        "(.csv, .txt, none), 1 hidden, 1 empty (0 bytes)."
    )


@pytest.mark.parametrize("names", [("train", "test"), ("Training", "VAL"), ("fold1", "fold_2")])
def test_folders_of_parts_in_place_of_scenes_are_an_error(tmp_path, names):
    for name in names:
        for number in range(2):
            write_wav(tmp_path / name / "forest" / f"{number}.wav")
            write_wav(tmp_path / name / "office" / f"{number}.wav")
    with pytest.raises(DataError, match=f"for each part or fold .*{names[0]}.*, and not for each"):
        read_corpus("folder", tmp_path)


def test_one_scene_may_have_the_name_of_a_part(tmp_path):
    for name in ("test", "office"):
        for number in range(2):
            write_wav(tmp_path / name / f"{number}.wav")
    assert read_corpus("folder", tmp_path).scenes == ("office", "test")


def test_columns_that_are_not_read_are_logged_once(tmp_path, caplog):
    rows = [("a.wav", "x", "p1", 1), ("b.wav", "x", "p2", 2)]
    write_table(tmp_path, ("filename", "scene", "site", "split"), rows)
    notices.forget()
    with caplog.at_level(logging.INFO, "crossask"):
        read_corpus("folder", tmp_path)
        read_corpus("folder", tmp_path)
    (message,) = [record.getMessage() for record in caplog.records]
    assert "not read: 'site', 'split'. Read are filename, scene, location, city" in message


def test_all_missing_files_of_a_table_are_one_error(tmp_path):
    rows = [(f"{scene}{n}.wav", scene, f"{scene}{n}") for scene in "ab" for n in range(3)]
    write_table(tmp_path, LOCATIONS, rows)
    (tmp_path / "a1.wav").unlink()
    (tmp_path / "b2.wav").unlink()
    with pytest.raises(DataError, match=r"2 of 6 files .*'a1.wav' in line 3") as error:
        read_corpus("folder", tmp_path)
    assert "download" not in error.value.fix
    assert len(read_corpus("folder", tmp_path, need_audio=False).clips) == 6


def test_clips_of_one_location_are_in_one_fold(tmp_path):
    rows = []
    for scene in "ab":
        for place in range(3):
            for number in range(3):
                rows.append((f"{scene}{place}{number}.wav", scene, f"{scene}{place}"))
    write_table(tmp_path, LOCATIONS, rows)
    corpus = read_corpus("folder", tmp_path)
    # One location of three clips for each scene.
    assert [len(fold.evaluation) for fold in corpus.folds] == [6, 6, 6]


def test_one_name_of_locations_in_two_cities_is_a_warning(tmp_path, caplog):
    rows = []
    for city in ("lyon", "paris"):
        for place in range(3):
            rows += [(f"{scene}-{city}{place}.wav", scene, place, city) for scene in "ab"]
    write_table(tmp_path, (*LOCATIONS, "city"), rows)
    notices.forget()
    read_corpus("folder", tmp_path)
    (message,) = [line for line in caplog.messages if "several cities" in line]
    assert message.startswith(f"3 locations in {tmp_path / 'clips.csv'} have several cities, such")
    assert "'0' with lyon and paris" in message
    assert message.endswith("name them by their cities: lyon-0.")
    caplog.clear()
    notices.forget()
    rows = [(name, scene, f"{city}-{place}", city) for name, scene, place, city in rows]
    write_table(tmp_path, (*LOCATIONS, "city"), rows)
    read_corpus("folder", tmp_path)
    assert not any("several cities" in line for line in caplog.messages)


def test_a_scene_whose_locations_have_other_scenes_too_counts_all_of_them(tmp_path):
    rows = []
    for place in range(5):
        rows += [(f"a{place}.wav", "a", f"p{place}"), (f"b{place}.wav", "b", f"p{place}")]
    # The only location of b alone.
    rows.append(("b5.wav", "b", "p5"))
    write_table(tmp_path, LOCATIONS, rows)
    corpus = read_corpus("folder", tmp_path)
    assert len(corpus.folds) == 5
    for fold in corpus.folds:
        assert {clip_id[0] for clip_id in fold.train} == {"a", "b"}


def test_a_column_of_folds_is_used(tmp_path):
    rows = []
    for scene in "ab":
        for fold in (1, 2):
            for number in range(2):
                rows.append((f"{scene}{fold}{number}.wav", scene, fold))
    write_table(tmp_path, ("filename", "scene", "fold"), rows)
    corpus = read_corpus("folder", tmp_path / "clips.csv")
    assert corpus.fold("2").evaluation == ("a20.wav", "a21.wav", "b20.wav", "b21.wav")


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        (("file", "scene"), [("a.wav", "x")], "no column 'filename'"),
        (
            ("filename", "scene", "location", "fold"),
            [("a.wav", "x", "p", 1), ("b.wav", "x", "p", 2)],
            "Location 'p' is on both sides",
        ),
        (("filename", "scene"), [("a.wav", "x"), ("a.wav", "x"), ("b.wav", "x")], "twice"),
        (LOCATIONS, [("a.wav", "x", "p"), ("b.wav", "x", "p")], "'x' has 1 location"),
        (("filename", "scene"), [("a.wav", "x"), ("b.wav",)], "Line 3 of .* has no scene"),
        (("filename", "scene"), [("a.wav", "x"), ("b.wav", "")], "Line 3 of .* has no scene"),
        (("filename", "scene", "fold"), [("a.wav", "x", "1"), ("b.wav", "x")], "Line 3 .* no fold"),
        (("filename", "scene"), [("a.wav", "city"), ("b.wav", "city")], "a scene called 'city'"),
        (
            ("filename", "scene", "fold"),
            [("a.wav", "x", "1"), ("b.wav", "y", "1")],
            "column fold has one value only, '1'",
        ),
        (
            # Scene b was recorded at one location only, which it shares with another scene.
            LOCATIONS,
            [("a.wav", "a", "p"), ("b.wav", "a", "q"), ("c.wav", "b", "p")],
            "'b' has 1 location",
        ),
        (
            # The recordings of each scene have one location by their names.
            ("filename", "scene"),
            [("a_noisy_1.wav", "a"), ("a_noisy_2.wav", "a"), ("b_part1.wav", "b")],
            "'a' has 1 location.* of one source by their names",
        ),
        (
            ("filename", "scene"),
            [
                ("a.wav", "W\u00e4ld"),
                ("b.wav", "W\u00e4ld"),
                ("c.wav", "Wa\u0308ld"),
                ("d.wav", "Wa\u0308ld"),
            ],
            r"different characters: 'W\\xe4ld' and 'Wa\\u0308ld'",
        ),
    ],
)
def test_a_table_with_a_mistake_is_an_error(tmp_path, header, rows, message):
    write_table(tmp_path, header, rows)
    with pytest.raises(DataError, match=message):
        read_corpus("folder", tmp_path)


def test_a_table_in_another_encoding_is_an_error(tmp_path):
    (tmp_path / "clips.csv").write_bytes("filename,scene\na.wav,caf\u00e9\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"clips.csv is no table in UTF-8 \(line 2"):
        read_corpus("folder", tmp_path)


def test_a_missing_folder_and_an_empty_one_are_errors(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        read_corpus("folder", tmp_path / "nowhere")
    with pytest.raises(DataError, match="contains no sound files"):
        read_corpus("folder", tmp_path)


def test_a_table_without_lines_is_an_error(tmp_path):
    (tmp_path / "clips.csv").write_text("filename,scene,location\n")
    with pytest.raises(DataError, match=r"clips\.csv lists no clips\.\nAdd a line for each clip"):
        read_corpus("folder", tmp_path)
