"""The list of misclassified clips: every figure is worked by hand from the predictions."""

import csv
import json
import re

import numpy as np
import pytest
import soundfile
from report.made_up_runs import change_json, write_run, write_two_seeds

from crossask.errors import DataError
from crossask.report import clip_sections, misclassified, write_report
from crossask.report.content import Provenance
from crossask.report.corpus import make_results
from crossask.report.misclassified import MisclassifiedClip
from crossask.report.runs import read_runs
from crossask.report.sounds import Sounds

RESAMPLES = 20
HEADER = "clip,location,truth,a,b,c"


def results_of(root):
    (results,) = make_results(read_runs(root), resamples=RESAMPLES)
    return results


def write_predictions(folder, lines, header=HEADER):
    (folder / "predictions.csv").write_text("\n".join([header, *lines]) + "\n")


def test_clips_are_ordered_by_seeds_and_then_by_the_probability_of_the_mistake(tmp_path):
    first, second = write_two_seeds(tmp_path, "fa", (3, 3))
    lines = ["x1,p,a,0.1,0.9,0", "x2,q,a,0.4,0.6,0", "x3,p,b,0.2,0.8,0", "x4,q,c,0,0,1"]
    write_predictions(first, lines)
    # The scenes of this seed are in another order.
    lines = ["x1,p,a,0.7,0.1,0.2", "x2,q,a,0.5,0.3,0.2", "x3,p,b,0,1,0", "x4,q,c,0,0,1"]
    write_predictions(second, lines, "clip,location,truth,c,a,b")
    # x3 is c with 1 in the second seed: 1 of 2 seeds, as x4, which is b with 1.
    (row,) = results_of(tmp_path).rows
    found = misclassified.find_misclassified(row)
    assert [(clip.clip, clip.predicted, clip.wrong_seeds) for clip in found] == [
        ("x1", "b", 2),
        ("x2", "b", 2),
        ("x3", "a", 1),
        ("x4", "b", 1),
    ]
    # x1 is b in one seed and c in the other; b is more probable: (0.9 + 0.2) / 2.
    assert found[0].probability_of_predicted == pytest.approx(0.55)
    assert found[0].probability_of_truth == pytest.approx(0.1)
    assert (found[0].location, found[0].truth, found[0].seeds) == ("p", "a", 2)


def test_clips_that_all_rows_always_misclassify_are_found():
    def clip(name, wrong_seeds):
        return MisclassifiedClip(name, "", "a", "b", wrong_seeds, 2, 0.1, 0.9)

    of_rows = ([clip("x", 2), clip("y", 2)], [clip("x", 2), clip("y", 1), clip("z", 2)])
    assert misclassified.always_misclassified(of_rows) == ["x"]


def test_the_page_lists_the_clips_and_the_csv_has_all(tmp_path, monkeypatch):
    monkeypatch.setattr(clip_sections, "MOST_CLIPS", 5)
    write_run(tmp_path / "runs", "fa", (2, 3))
    write_run(tmp_path / "runs", "cmam", (4, 3), "CMAM", "feature_based")
    paths = write_report(tmp_path / "runs", tmp_path / "out", resamples=RESAMPLES)
    with open(paths["misclassified.csv"], newline="") as file:
        lines = list(csv.DictReader(file))
    # FA misclassifies 2 and 1 of 4 clips at each of three locations, CMAM one clip in a park.
    assert [line["row"] for line in lines] == ["fa"] * 9 + ["cmam"] * 3
    assert lines[0] == {
        "row": "fa",
        "clip": "f1/bus02",
        "location": "f1-bus0",
        "truth": "bus",
        "predicted": "park",
        "wrong_seeds": "1",
        "seeds": "1",
        "probability_of_truth": "0.1",
        "probability_of_predicted": "0.9",
    }
    page = paths["report.html"].read_text()
    assert "<summary>FA: 9 of 24 clips</summary>" in page
    assert "<summary>CMAM feature-based: 3 of 24 clips</summary>" in page
    listed = re.findall(r">(f1/[a-z]+\d+)</th>", page)
    assert listed == [line["clip"] for line in lines[:5] + lines[9:]]
    note = "All seeds of all rows misclassify 3 clips, which may have a wrong label: f1/park03, "
    assert f"{note}f1/park13, f1/park23." in page
    markdown = paths["report.md"].read_text()
    assert "- FA: 9 of 24 clips" in markdown
    assert "f1/bus02" not in markdown


def test_names_of_clips_cannot_break_the_page(tmp_path):
    folder = write_run(tmp_path / "runs", "fa", (4, 4))
    names = ["<script>alert(1)</script>.wav", "\"=x'.wav", "@y.wav"]
    lines = [f'"{name.replace(chr(34), chr(34) * 2)}",p,a,0,1,0' for name in names]
    write_predictions(folder, [*lines, "z,p,b,0,1,0"])
    paths = write_report(tmp_path / "runs", tmp_path / "out", resamples=RESAMPLES)
    page = paths["report.html"].read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;.wav" in page
    with open(paths["misclassified.csv"], newline="") as file:
        clips = {line["clip"] for line in csv.DictReader(file)}
    assert clips == {names[0], names[1], "'@y.wav"}


@pytest.fixture(name="recordings")
def fixture_recordings(tmp_path):
    folder = tmp_path / "my sounds"
    for scene in ("a", "b", "c"):
        for number in range(2):
            path = folder / scene / f"{number} #?%.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, np.zeros(800), 8000)
    return folder


def write_run_of(recordings, root, clips):
    folder = write_run(root, "fa", (4, 4), corpus="folder")
    write_predictions(folder, [f"{clip},p,{clip[0]},0,0,1" for clip in clips])
    change_json(folder / "config.json", paths={"data_dir": str(recordings)})
    return folder


def test_clips_have_players_where_their_sound_is(tmp_path, recordings):
    clips = ("a/0 #?%.wav", "a/1 #?%.wav@0.5s", "b/gone.wav", "c/0 #?%.wav")
    write_run_of(recordings, tmp_path / "runs", clips)
    paths = write_report(tmp_path / "runs", tmp_path / "out" / "report", resamples=RESAMPLES)
    page = paths["report.html"].read_text()
    players = re.findall(r'<audio controls preload="none" src="([^"]*)"', page)
    # The last clip is predicted correctly. A part of a recording of clips of 10 s plays alone.
    assert sorted(players) == [
        "../../my%20sounds/a/0%20%23%3F%25.wav",
        "../../my%20sounds/a/1%20%23%3F%25.wav#t=0.5,10.5",
    ]
    assert page.count("<audio") == 2


def test_absolute_paths_of_clips_start_at_their_common_folder(tmp_path):
    clips = [f"/home/me/sounds/{name}.wav" for name in ("a/x", "b/y", "c/z")]
    folder = write_run(tmp_path / "runs", "fa", (4, 4))
    write_predictions(folder, [f"{clip},p,{clip[-7]},0,0,1" for clip in clips])
    paths = write_report(tmp_path / "runs", tmp_path / "out", resamples=RESAMPLES)
    page = paths["report.html"].read_text()
    assert re.findall(r">([\w/]+\.wav)</th>", page) == ["a/x.wav", "b/y.wav"]
    assert "The names of the clips start at /home/me/sounds/." in page
    with open(paths["misclassified.csv"], newline="") as file:
        assert [line["clip"] for line in csv.DictReader(file)] == clips[:2]


def test_without_the_sound_there_are_no_players(tmp_path, recordings):
    clips = ("a/0 #?%.wav", "c/0 #?%.wav")
    folder = write_run_of(recordings, tmp_path / "runs", clips)
    (row,) = results_of(tmp_path / "runs").rows
    assert Sounds(tmp_path / "out").addresses(row, clips) != ["", ""]
    (recordings / "a" / "0 #?%.wav").rename(recordings / "a" / "0 #?%.npz")
    assert Sounds(tmp_path / "out").addresses(row, clips)[0] == ""
    for data_dir in ("", str(tmp_path / "moved"), str(folder)):
        change_json(folder / "config.json", paths={"data_dir": data_dir})
        (row,) = results_of(tmp_path / "runs").rows
        assert Sounds(tmp_path / "out").addresses(row, clips) == ["", ""]
    config = json.loads((folder / "config.json").read_text())
    del config["paths"]
    (folder / "config.json").write_text(json.dumps(config))
    paths = write_report(tmp_path / "runs", tmp_path / "out", resamples=RESAMPLES)
    assert "<audio" not in paths["report.html"].read_text()


def test_the_sound_of_a_corpus_that_was_moved_is_found_with_its_new_folder(tmp_path, recordings):
    clips = ("a/0 #?%.wav", "a/1 #?%.wav@0.5s", "c/0 #?%.wav")
    write_run_of(recordings, tmp_path / "runs", clips)
    moved = recordings.rename(tmp_path / "moved")
    out = tmp_path / "out"
    written = write_report(tmp_path / "runs", out, resamples=RESAMPLES)
    assert "<audio" not in written["report.html"].read_text()

    def players(data_dir):
        origin = Provenance("today", "crossask report", "1.0", str(data_dir))
        paths = write_report(tmp_path / "runs", out, resamples=RESAMPLES, provenance=origin)
        return re.findall(r'<audio [^>]* src="([^"]*)"', paths["report.html"].read_text())

    assert sorted(players(moved)) == [
        "../moved/a/0%20%23%3F%25.wav",
        "../moved/a/1%20%23%3F%25.wav#t=0.5,10.5",
    ]
    for number in range(2):
        (moved / "a" / f"{number} #?%.wav").rename(moved / "a" / f"other {number}.wav")
    with pytest.raises(DataError, match=r"moved has none of the clips of fa, such as 'a/\d #"):
        players(moved)
    with pytest.raises(DataError, match="nowhere"):
        players(tmp_path / "nowhere")
