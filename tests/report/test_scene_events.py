"""The section on the events that stand out in the scenes."""

import json

import pandas as pd
import pytest
from report.made_up_runs import write_run

from crossask.report import figures, score_sections, write_report
from crossask.report.corpus import make_results
from crossask.report.runs import read_runs

TITLE = "Which events stand out in which scenes"
RESAMPLES = 100


def write_scores(folder, locations=True):
    """Writes event scores: dogs in the park, engines in the bus."""
    rows = []
    for place in range(3):
        for scene, dog, engine in (("bus", 0.1, 0.8), ("park", 0.6, 0.2)):
            location = f"{scene}{place}" if locations else ""
            row = {"truth": scene, "location": location, "clips": 4, "Dog": dog + place / 100}
            rows.append(row | {"Engine | idle, <low>": engine})
    pd.DataFrame(rows).to_csv(folder / "event_scores.csv", index=False)


def section_of(root):
    (results,) = make_results(read_runs(root), resamples=RESAMPLES)
    return score_sections.scene_events(results, "")


@pytest.fixture(name="runs_root")
def fixture_runs_root(tmp_path):
    root = tmp_path / "runs"
    write_run(root, "fa", (2, 3))
    for seed in (0, 1):
        write_scores(write_run(root, "vem", (4, 3), "VEM", "feature_based", seed=seed))
    return root


def test_each_scene_has_its_events_with_means_and_intervals(runs_root):
    section = section_of(runs_root)
    assert section.title == TITLE
    assert "VEM feature-based" in section.intro
    assert section.header[-1] == "95 % interval"
    first = section.lines[0]
    assert first[:5] == ("bus", "Engine | idle, <low>", "80.0", "20.0", "+60.0")
    # 2 arcsin(sqrt(0.8)) - 2 arcsin(sqrt(0.2)) = 2.214 - 0.927.
    assert first[5:] == ("+1.29", "–")
    park = next(line for line in section.lines if line[0] == "park")
    assert park[1:5] == ("Dog", "61.0", "11.0", "+50.0")
    assert "not adjusted" in section.notes[0]


def test_runs_without_event_scores_have_no_section(tmp_path):
    write_run(tmp_path, "fa", (2, 3))
    assert section_of(tmp_path) is None


def test_a_row_that_lacks_the_scores_of_a_fold_is_not_used(tmp_path):
    fields = {"folds": ("1", "2")}
    write_scores(write_run(tmp_path, "vem", (4, 3), "VEM", "feature_based", fields=fields))
    write_run(tmp_path, "vem", (4, 3), "VEM", "feature_based", fold="2", fields=fields)
    assert section_of(tmp_path) is None


def test_a_location_of_two_folds_counts_once_in_the_intervals(tmp_path):
    fields = {"folds": ("1", "2")}
    for fold in ("1", "2"):
        arguments = ("vem", (4, 3), "VEM", "feature_based")
        write_scores(write_run(tmp_path / "two", *arguments, fold=fold, fields=fields))
    write_scores(write_run(tmp_path / "one", "vem", (4, 3), "VEM", "feature_based"))
    assert section_of(tmp_path / "two").lines == section_of(tmp_path / "one").lines


def test_intervals_over_clips_have_a_note(tmp_path):
    folder = write_run(tmp_path, "vem", (4, 3), "VEM", "feature_based")
    write_scores(folder, locations=False)
    section = section_of(tmp_path)
    assert "over clips" in section.intro
    assert "too narrow" in section.notes[-1]


def test_scenes_of_one_location_have_a_note(runs_root, tmp_path):
    folder = write_run(tmp_path / "single", "vem", (4, 3), "VEM", "feature_based")
    write_scores(folder)
    table = pd.read_csv(folder / "event_scores.csv")
    table[table["location"] != "park1"][:-1].to_csv(folder / "event_scores.csv", index=False)
    assert (
        section_of(tmp_path / "single").notes[-1].startswith("Scenes with a single location: park.")
    )
    assert not any("single location" in note for note in section_of(runs_root).notes)


def test_all_formats_contain_the_events(runs_root, tmp_path):
    paths = write_report(
        runs_root, tmp_path / "report", resamples=RESAMPLES, json_file=tmp_path / "all.json"
    )
    for name in ("events.png", "events_by_scene.png"):
        assert paths[name].read_bytes().startswith(b"\x89PNG")
    page = paths["report.html"].read_text()
    assert TITLE in page
    assert "Engine | idle, &lt;low&gt;" in page
    text = paths["report.md"].read_text()
    assert "| park | Dog | 61.0 | 11.0 | +50.0 |" in text
    assert "](events.png)" in text
    assert "](events_by_scene.png)" in text
    (corpus,) = json.loads((tmp_path / "all.json").read_text())["corpora"]
    assert corpus["scene_events"]["row"] == "vem"
    assert corpus["scene_events"]["interval_over"] == "location"
    assert corpus["scene_events"]["events"][0]["mean"] == pytest.approx(0.8)
    assert corpus["scene_events"]["events"][0]["effect"] == pytest.approx(1.287, abs=1e-3)
    low, effect, high = corpus["scene_events"]["effects"]["bus"]["Dog"]
    assert low < effect < high < 0


def test_the_matrix_has_the_first_events_of_each_scene_beside_it():
    effects = {}
    for number, scene in enumerate(("bus", "park")):
        effects[scene] = {}
        for event in range(10):
            effect = (1 if event // 5 == number else -1) * (0.1 + 0.02 * event)
            effects[scene][f"event_{event}"] = [effect - 0.15, effect, effect + 0.15]
    axes, _ = figures.event_matrix(effects).axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["event 4", "event 3", "event 2", "event 9", "event 8", "event 7"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["bus", "park"]
    # The intervals of the effects of at most 0.15 include zero: event 2 in both scenes.
    assert sum(len(dots.get_offsets()) for dots in axes.collections) == 10
