"""Tables that contradict themselves: read where there is no doubt, else one error with both lines.

Each reader gets the same mistakes.
"""

import os

import numpy as np
import pytest
import soundfile

from crossask import evaluation
from crossask.datasets import Clip, Corpus, Fold, own_recordings, read_corpus
from crossask.errors import DataError

TAU_META = [
    "filename\tscene_label\tidentifier\tsource_label",
    "audio/a.wav\tbus\tlyon-1\ta",
    "audio/b.wav\tpark\tlyon-2\ta",
    "audio/c.wav\tbus\tparis-3\ta",
    "audio/d.wav\tpark\tparis-4\ta",
]
TAU_TRAIN = ["filename\tscene_label", "audio/a.wav\tbus", "audio/b.wav\tpark"]
TAU_EVALUATE = ["filename\tscene_label", "audio/c.wav\tbus", "audio/d.wav\tpark"]
TUT_META = [
    "audio/a1_0_10.wav\tbus\ta1",
    "audio/b1_0_10.wav\tpark\tb1",
    "audio/c1_0_10.wav\tbus\tc1",
    "audio/d1_0_10.wav\tpark\td1",
]
FOLDER = [
    "filename,scene,location,fold",
    "audio/a.wav,bus,p1,1",
    "audio/b.wav,park,p2,1",
    "audio/c.wav,bus,p3,2",
    "audio/d.wav,park,p4,2",
]


def write_lines(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def changed(lines, changes):
    """Returns lines with {number of the line: new line}; a further number adds a line."""
    lines = list(lines)
    for number, line in changes.items():
        lines[number - 1 : number] = [line]
    return lines


def read_tau(folder, meta=None, train=None, evaluate=None, name="tau2019"):
    write_lines(folder / "meta.csv", changed(TAU_META, meta or {}))
    setup = folder / "evaluation_setup"
    write_lines(setup / "fold1_train.csv", changed(TAU_TRAIN, train or {}))
    write_lines(setup / "fold1_evaluate.csv", changed(TAU_EVALUATE, evaluate or {}))
    return read_corpus(name, folder, need_audio=False)


def read_mobile(folder, **changes):
    return read_tau(folder, **changes, name="tau2020_mobile")


def read_soundscapes(folder, **changes):
    return read_tau(folder, **changes, name="soundscapes")


def read_tut(folder, meta=None, train=None, evaluate=None):
    """Like `read_tau`; the files have no header."""
    write_lines(folder / "meta.txt", changed(TUT_META, meta or {}))
    setup = folder / "evaluation_setup"
    write_lines(setup / "fold1_train.txt", changed(TUT_META[:2], train or {}))
    write_lines(setup / "fold1_evaluate.txt", changed(TUT_META[2:], evaluate or {}))
    return read_corpus("tut2017", folder, need_audio=False)


def read_folder(folder, meta=None):
    write_lines(folder / "clips.csv", changed(FOLDER, meta or {}))
    return read_corpus("folder", folder, need_audio=False)


TAU_READERS = pytest.mark.parametrize("read", [read_tau, read_mobile, read_soundscapes])


@TAU_READERS
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"train": {3: "audio/b.wav\tbus"}},
            "Line 3 of .*fold1_train.csv has the scene 'bus' for 'audio/b.wav', but line 3 of "
            ".*meta.csv has 'park'",
        ),
        (
            {"evaluate": {2: "audio/c.wav\tBus"}},
            "Line 2 of .*fold1_evaluate.csv .* line 4 of .*meta",
        ),
        ({"train": {4: "audio/a.wav\tbus"}}, "Lines 2 and 4 of .*fold1_train.csv .*twice"),
        ({"train": {4: "./audio\\a.wav\tbus"}}, "Lines 2 and 4 of .*fold1_train.csv .*twice"),
        ({"evaluate": {4: "audio/a.wav\tbus"}}, "'audio/a.wav' .line 2 of meta.csv. is on both"),
        ({"evaluate": {4: "audio/x.wav\tbus"}}, "Line 4 of .* 'audio/x.wav', .* not in the meta"),
        ({"meta": {6: "audio/a.wav\tbus\tlyon-1\ta"}}, "Lines 2 and 6 of .*meta.csv .*twice"),
        (
            {"meta": {6: "audio/a.wav\tpark\tlyon-1\ta"}},
            "Lines 2 and 6 of .*meta.csv list 'audio/a.wav' twice, with scene_label 'bus' and "
            "'park'",
        ),
        ({"meta": {3: "audio/b.wav\tpark\t\ta"}}, "Line 3 of .*meta.csv has no identifier"),
        ({"meta": {3: "audio/b.wav\t\tlyon-2\ta"}}, "Line 3 of .*meta.csv has no scene_label"),
        ({"meta": {3: "\tpark\tlyon-2\ta"}}, "Line 3 of .*meta.csv has no filename"),
        (
            {"meta": {3: "audio/b.wav\tpark\tLyon-1\ta"}},
            "location 'lyon-1' of 'audio/a.wav' .line 2 .* 'Lyon-1' of 'audio/b.wav' .line 3",
        ),
        (
            {"meta": {4: "audio/c.wav\tbus\tLyon-3\ta"}},
            "city 'lyon' of 'audio/a.wav' .line 2 .* 'Lyon' of 'audio/c.wav' .line 4",
        ),
        ({"meta": {5: "audio/d.wav\tpark\tlyon-1\ta"}}, "'lyon-1' is on both .*line 2 .*line 5"),
    ],
)
def test_each_contradiction_of_the_layout_of_tau_is_an_error(tmp_path, read, changes, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"train": {2: "audio/b1_0_10.wav\tbus"}},
            "Line 2 of .*fold1_train.txt has the scene 'bus' .* line 2 of .*meta.txt has 'park'",
        ),
        ({"train": {3: "audio/a1_0_10.wav\tbus"}}, "Lines 1 and 3 of .*fold1_train.txt .*twice"),
        ({"meta": {5: "audio/a1_0_10.wav\tbus"}}, "Lines 1 and 5 of .*meta.txt .*twice"),
        ({"meta": {5: "audio/_0_10.wav\tpark"}}, "Line 5 of .*meta.txt .* start with a recording"),
        ({"meta": {3: "audio/A1_0_10.wav\tbus"}, "evaluate": {1: "audio/A1_0_10.wav\tbus"}},
         "location 'a1' of .*line 1 .* 'A1' of .*line 3"),
        ({"evaluate": {1: "audio/a1_10_20.wav\tbus"}, "meta": {5: "audio/a1_10_20.wav\tbus"}},
         "Location 'a1' is on both sides"),
    ],
)  # fmt: skip
def test_each_contradiction_of_the_layout_of_tut_is_an_error(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        read_tut(tmp_path, **changes)


def test_labels_with_blanks_and_underscores_are_one_label_of_tut(tmp_path):
    changes = {3: "audio/c1_0_10.wav\tcity center\tc1"}
    corpus = read_tut(tmp_path, meta=changes, evaluate={1: "audio/c1_0_10.wav\tcity_center"})
    assert corpus.clips[2].scene == "city_center"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({3: "audio/b.wav,Bus,p2,1"}, "scene 'bus' of .*line 2 .* 'Bus' of .*line 3"),
        ({3: "audio/b.wav,b us,p2,1"}, "scene 'bus' of .*line 2 .* 'b us' of .*line 3"),
        ({3: "audio/b.wav,ｂus,p2,1"}, "scene 'bus' of .*line 2 .* 'ｂus' of .*line 3"),
        ({3: "audio/b.wav,b\u200bus,p2,1"}, "scene 'bus' of .*line 2 .*of .*line 3"),
        ({3: "audio/b.wav,park,P 1,1"}, "location 'p1' of .*line 2 .* 'P 1' of .*line 3"),
        ({4: "audio/c.wav,bus,p\u00a01,2"}, "location 'p1' of .*line 2 .*of .*line 4"),
        ({2: "audio/a.wav,bus,3,1", 4: "audio/c.wav,bus,3.0,2"}, "location '3' .*are one number"),
        ({3: "audio/b.wav,park,,1"}, "Line 3 of .* has no location"),
        ({3: "audio/b.wav,park,nan,1"}, "Line 3 of .* has no location"),
        ({3: "audio/b.wav,park,p2,nan"}, "Line 3 of .* has no fold"),
        ({3: "audio/b.wav,NaN,p2,1"}, "Line 3 of .* has no scene"),
        ({3: "audio/b.wav,park,p2,"}, "Line 3 of .* has no fold"),
        ({3: "audio/b.wav,,p2,1"}, "Line 3 of .* has no scene"),
        ({3: " ,park,p2,1"}, "Line 3 of .* has no filename"),
        ({6: "audio/a.wav,bus,p1,1"}, "Lines 2 and 6 of .* twice"),
        ({6: "audio/a.wav,park,p1,1"}, "Lines 2 and 6 .* twice, with scene 'bus' and 'park'"),
        ({6: "./audio/a.wav,bus,p1,1"}, "Lines 2 and 6 of .* twice"),
        ({6: "audio\\a.wav,bus,p1,1"}, "Lines 2 and 6 of .* twice"),
        ({6: "audio//a.wav,bus,p1,1"}, "Lines 2 and 6 of .* twice"),
        ({3: "audio/b.wav,park,p2,01"}, "Line 3 of .* has the fold '01', and line 2 the fold '1'"),
        ({3: "audio/b.wav,park,p2,one", 4: "audio/c.wav,bus,p3,One"}, "Line 4 of .* 'One', and li"),
        ({3: "audio/b.wav,park,p2,train"}, "The column fold has the values '1', '2', 'train'"),
        ({3: "audio/b,c.wav,park,p2,1"}, "Line 3 of .* has 5 columns, but there are 4"),
        ({3: 'audio/b.wav,"park,p2,1'}, "no CSV: .* line 5"),
        ({1: "filename,scene,scene,fold"}, "two columns called 'scene'"),
        ({1: "filename,scene,Location,fold"}, "column 'Location', .* only 'location' is"),
        ({1: "filename,scene,location,FOLD"}, "column 'FOLD', .* only 'fold' is"),
        ({1: "filename,scene,c ity,fold"}, "column 'c ity', .* only 'city' is"),
    ],
)  # fmt: skip
def test_each_contradiction_of_a_table_of_own_recordings_is_an_error(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        read_folder(tmp_path, changes)


def with_delimiter(delimiter, encoding="utf-8"):
    def save(path):
        path.write_bytes(path.read_text().replace(",", delimiter).encode(encoding))

    return save


def with_backslashes(path):
    path.write_text(path.read_text().replace("audio/", "audio\\"))


def with_fractions(path):
    path.write_text(path.read_text().replace(",1\n", ",1.0\n").replace(",2\n", ",2.0\n"))


def with_missing_cities(path):
    header, *lines = path.read_text().splitlines()
    path.write_text("\n".join([f"{header},city", *(f"{line},nan" for line in lines)]))


def with_blanks(path):
    path.write_text(path.read_text().replace(",", " , "))


def with_trailing_commas(path):
    path.write_text(path.read_text().replace("\n", ",,,\n"))


def with_quotation_marks(path):
    path.write_text(path.read_text().replace(",park,", ',"park",'))


def with_numbers_of_rows(path):
    header, *lines = path.read_text().splitlines()
    numbered = [f"{number},{line}" for number, line in enumerate(lines)]
    path.write_text("\n".join([f",{header}", *numbered]))


@pytest.mark.parametrize(
    "save",
    [
        with_delimiter(";", "utf-8-sig"),
        with_delimiter("\t", "utf-16"),
        with_backslashes,
        with_fractions,
        with_missing_cities,
        with_blanks,
        with_trailing_commas,
        with_quotation_marks,
        with_numbers_of_rows,
    ],
)
def test_what_other_programs_write_without_doubt_is_read(tmp_path, save):
    expected = read_folder(tmp_path)
    save(tmp_path / "clips.csv")
    assert read_corpus("folder", tmp_path, need_audio=False) == expected


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Training", "validation", "evaluation")]
)
def test_a_column_with_parts_is_one_fold(tmp_path, names):
    train, val, test = names
    lines = {
        2: f"audio/a.wav,bus,p1,{train}",
        3: f"audio/b.wav,park,p2,{train}",
        4: f"audio/c.wav,bus,p3,{val}",
        5: f"audio/d.wav,park,p4,{test}",
    }
    (fold,) = read_folder(tmp_path, lines).folds
    assert fold == Fold(
        "1",
        train=("audio/a.wav", "audio/b.wav", "audio/c.wav"),
        evaluation=("audio/d.wav",),
        validation=("audio/c.wav",),
    )


def test_a_column_without_a_part_to_evaluate_is_an_error(tmp_path):
    lines = {2: "audio/a.wav,bus,p1,train", 3: "audio/b.wav,park,p2,val"}
    lines |= {4: "audio/c.wav,bus,p3,train", 5: "audio/d.wav,park,p4,val"}
    with pytest.raises(DataError, match="values 'train', 'val'"):
        read_folder(tmp_path, lines)


def test_scenes_of_folders_that_differ_in_case_are_an_error(tmp_path):
    for scene in ("bus", "Park", "park"):
        for number in range(2):
            path = tmp_path / scene / f"{number}.wav"
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, np.full(8, 0.1), 8000)
    with pytest.raises(DataError, match=r"scene 'Park' of 'Park/0.wav' .* 'park' of 'park/0.wav'"):
        read_corpus("folder", tmp_path)


def test_recordings_whose_names_differ_in_case_are_two_recordings(tmp_path):
    for name in ("bus/A.wav", "bus/a.wav", "park/A.wav", "park/a.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, np.full(8, 0.1), 8000)
    assert len(read_corpus("folder", tmp_path).clips) == 4


def link(source, path):
    path.symlink_to(source)


@pytest.mark.parametrize("make", [link, os.link])
@pytest.mark.parametrize("scene", ["bus", "park"])
def test_a_link_to_another_recording_is_an_error_with_both_lines(tmp_path, make, scene):
    for line in FOLDER[1:]:
        path = tmp_path / line.split(",")[0]
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, np.full(8, 0.1), 8000)
    make(tmp_path / "audio" / "a.wav", tmp_path / "audio" / "e.wav")
    write_lines(tmp_path / "clips.csv", [*FOLDER, f"audio/e.wav,{scene},p5,1"])
    message = r"'audio/a.wav' \(line 2 .*'audio/e.wav' \(line 6 .* are the same file"
    with pytest.raises(DataError, match=message):
        read_corpus("folder", tmp_path)


def test_the_same_file_by_an_absolute_path_is_an_error(tmp_path):
    for line in FOLDER[1:]:
        path = tmp_path / line.split(",")[0]
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, np.full(8, 0.1), 8000)
    for name in (tmp_path / "audio/a.wav", "audio/../audio/a.wav"):
        write_lines(tmp_path / "clips.csv", [*FOLDER, f"{name},bus,p5,2"])
        with pytest.raises(DataError, match="the same file"):
            read_corpus("folder", tmp_path)


def test_contradictions_of_a_corpus_that_another_reader_made_are_errors():
    clips = [Clip("a", "", "bus", "p1"), Clip("b", "", "bus", "p2")]
    fold = Fold("1", ("a",), ("b",))
    Corpus("made", ("bus",), tuple(clips), (fold,))
    with pytest.raises(DataError, match="lists the train clip 'a' twice"):
        Corpus("made", ("bus",), tuple(clips), (Fold("1", ("a", "a"), ("b",)),))
    with pytest.raises(DataError, match="without a name"):
        Corpus("made", ("bus",), (*clips, Clip(" ", "", "bus", "p3")), (fold,))
    with pytest.raises(DataError, match="scene 'bus' twice"):
        Corpus("made", ("bus", "bus"), tuple(clips), (fold,))
    with pytest.raises(DataError, match="'bus' of 'a' and the scene 'BUS'"):
        Corpus("made", ("bus", "BUS"), tuple(clips), (fold,))


def test_the_folds_cities_and_devices_of_a_table_are_those_that_are_trained(tmp_path):
    lines = ["filename,scene,location,city,device,fold"]
    for scene in ("bus", "park"):
        for number in range(4):
            name = f"{scene}{number}.wav"
            soundfile.write(tmp_path / name, np.full(8000, 0.1), 8000)
            lines.append(f"{name},{scene},{scene}{number},lyon,d{number % 2},{number % 2 + 5}")
    write_lines(tmp_path / "clips.csv", lines)
    own = own_recordings.examine(tmp_path / "clips.csv")
    own_recordings.write_table(own, tmp_path / "written.csv")
    written = read_corpus("folder", tmp_path / "written.csv")
    assert [fold.name for fold in written.folds] == ["5", "6"]
    assert [fold.name for fold in own.corpus.folds] == ["5", "6"]
    assert [(clip.city, clip.device) for clip in written.clips] == [
        (clip.city, clip.device) for clip in own.corpus.clips
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_predictions_with_semicolons_and_decimal_commas_are_read(tmp_path, encoding):
    path = tmp_path / "predictions.csv"
    lines = ["clip;location;truth;bus;park", "a;p1;bus;0,75;0,25", "b;p2;park;1,5E-05;0,999985"]
    path.write_bytes("\r\n".join(lines).encode(encoding))
    table = evaluation.read_predictions(path)
    assert table["bus"].tolist() == [0.75, 1.5e-05]


@pytest.mark.parametrize("column", ["location", "city", "device"])
def test_names_in_predictions_that_differ_in_case_are_an_error(tmp_path, column):
    path = tmp_path / "predictions.csv"
    lines = [f"clip,{column},truth,bus,park", "a,p1,bus,0.7,0.3", "b,P 1,park,0,1"]
    write_lines(path, lines)
    with pytest.raises(DataError, match=f"Row 2 .*{column} 'P 1', row 1 the {column} 'p1'"):
        evaluation.read_predictions(path)


def corpus_of(scenes=("bus", "park"), more_clips=(), **sides):
    """Returns a corpus of three clips and one fold, with changes."""
    clips = []
    for number, clip_id in enumerate("abc", start=1):
        clips.append(Clip(clip_id, "", "bus", f"p{number}", origin=f"line {number}"))
    sides = {"train": ("a", "b"), "evaluation": ("c",), "validation": ("b",), **sides}
    return Corpus("made", scenes, (*clips, *more_clips), (Fold("1", **sides),))


def test_a_corpus_without_clips_is_an_error():
    with pytest.raises(DataError, match="'made' contains no clips"):
        Corpus("made", ("bus",), (), ())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scenes": ("bus", " ")}, "has a scene without a name"),
        ({"scenes": ("bus", "truth")}, "has a scene called 'truth'"),
        ({"scenes": ("bus", "bus")}, "lists the scene 'bus' twice"),
        ({"more_clips": [Clip("d", "", "tram", "p4")]}, "Clip 'd' has the unknown scene 'tram'"),
        ({"more_clips": [Clip(" ", "", "bus", "p4")]}, "has a clip without a name"),
        ({"more_clips": [Clip("a", "", "bus", "p1")]}, r"lists clip 'a' twice\."),
        (
            {"more_clips": [Clip("a", "", "bus", "p1", origin="line 4")]},
            "lists clip 'a' twice, in line 1 and in line 4",
        ),
        (
            {"more_clips": [Clip("a", "", "park", "p1")]},
            "'a' has the scene 'bus' in line 1 and the scene 'park'",
        ),
        ({"train": (), "validation": ()}, "Fold '1' of 'made' has no train clips"),
        ({"evaluation": ()}, "Fold '1' of 'made' has no evaluation clips"),
        ({"train": ("a", "b", "a")}, "lists the train clip 'a' twice"),
        ({"evaluation": ("c", "c")}, "lists the evaluation clip 'c' twice"),
        ({"train": ("a", "b", "z")}, "lists 'z', which is not in"),
        ({"train": ("a", "b", "c")}, r"Clip 'c' \(line 3\) is on both sides of fold '1' \(1 such"),
        ({"validation": ("a", "b")}, "validation part of fold '1' contains all"),
        ({"validation": ("c",)}, "or clips that are not among them"),
    ],
)
def test_a_corpus_that_contradicts_itself_is_an_error(changes, message):
    corpus_of()
    with pytest.raises(DataError, match=message) as raised:
        corpus_of(**changes)
    assert raised.value.fix
