"""The scores by device in a report's page, Markdown, CSV and JSON."""

import csv
import json

import pytest
from report.made_up_runs import write_run

from crossask.report import devices, write_report
from crossask.report.corpus import make_results
from crossask.report.runs import read_runs

RESAMPLES = 50
# The first two clips at each location are predicted correctly, so all of a and none of s4.
HALF = {"hits": (2, 2), "devices": ("a", "a", "s4", "s4"), "training_devices": ["a", "b"]}


def section_of(root):
    (results,) = make_results(read_runs(root), resamples=RESAMPLES)
    return devices.section(results)


def test_a_report_has_the_scores_of_each_device_and_of_seen_and_unseen_devices(tmp_path):
    root = tmp_path / "runs"
    write_run(root, "fa", **HALF)
    # Of three correct clips, the third is of s4: half of its clips.
    write_run(root, "cmam", **{**HALF, "hits": (3, 3)}, system="CMAM", strategy="feature_based")
    section = section_of(root)
    assert section.header == ["Device", "Clips", "FA", "CMAM feature-based"]
    # Every draw has the same score, so there are no intervals.
    whole = "100.0 %"
    none = "0.0 %"
    half = "50.0 %"
    assert section.lines == [
        ["a (seen)", "12", whole, whole],
        ["s4 (unseen)", "12", none, half],
        ["all seen devices", "12", whole, whole],
        ["all unseen devices", "12", none, half],
    ]
    assert section.shares == [[1, 1], [0, 0.5], [1, 1], [0, 0.5]]
    json_file = tmp_path / "report.json"
    paths = write_report(root, tmp_path / "out", resamples=RESAMPLES, json_file=json_file)
    markdown = paths["report.md"].read_text()
    assert "Accuracy by device" in markdown
    assert f"| s4 (unseen) | 12 | {none} | {half} |" in markdown
    page = paths["report.html"].read_text()
    for text in ("Accuracy by device", "s4 (unseen)", "all unseen devices", half):
        assert text in page
    rows = json.loads(json_file.read_text())["corpora"][0]["rows"]
    unseen = {row["name"]: row["devices"]["unseen"]["macro_accuracy"] for row in rows}
    assert unseen == {"fa": 0, "cmam": 0.5}


def test_the_scores_by_device_are_a_csv(tmp_path):
    # A spreadsheet would read this name as a formula.
    devices_of_clips = {"devices": ("a", "a", "=s4", "=s4")}
    write_run(tmp_path / "runs", "fa", **HALF | devices_of_clips)
    paths = write_report(tmp_path / "runs", tmp_path / "out", resamples=RESAMPLES)
    assert '<a href="devices.csv">' in paths["report.html"].read_text()
    lines = list(csv.DictReader(paths["devices.csv"].open()))
    found = [(line["part"], line["device"], line["in_training"]) for line in lines]
    assert found == [
        ("device", "'=s4", "false"),
        ("device", "a", "true"),
        ("seen", "", "true"),
        ("unseen", "", "false"),
    ]
    assert [float(line["macro_accuracy"]) for line in lines] == [0, 1, 1, 0]
    for line in lines:
        assert float(line["low"]) <= float(line["macro_accuracy"]) <= float(line["high"])
        assert (line["row"], line["clips"], line["locations"]) == ("fa", "12", "6")
        assert (line["confidence"], line["interval_over"]) == ("0.95", "location")


def test_a_report_on_clips_without_devices_says_nothing_of_devices(tmp_path):
    write_run(tmp_path / "runs", "fa", (2, 2))
    json_file = tmp_path / "report.json"
    paths = write_report(
        tmp_path / "runs", tmp_path / "out", resamples=RESAMPLES, json_file=json_file
    )
    assert "devices.csv" not in paths
    for path in (paths["report.md"], paths["report.html"]):
        assert "by device" not in path.read_text()
    assert "devices" not in json.loads(json_file.read_text())["corpora"][0]["rows"][0]


def test_without_the_training_devices_no_device_is_called_seen(tmp_path):
    write_run(tmp_path, "fa", **{**HALF, "training_devices": None})
    section = section_of(tmp_path)
    assert [line[0] for line in section.lines] == ["a", "s4"]


def test_folds_with_different_training_devices_have_no_scores_of_seen_devices(tmp_path):
    for fold, device in (("1", "a"), ("2", "b")):
        run = {**HALF, "training_devices": [device], "fold": fold}
        write_run(tmp_path, "fa", **run, fields={"folds": ("1", "2")})
    (results,) = make_results(read_runs(tmp_path), resamples=RESAMPLES)
    assert [line[0] for line in devices.section(results).lines] == ["a", "s4"]
    assert any("trained on different devices" in note for note in results.notes)


def test_a_row_without_devices_has_dashes_beside_one_with_devices(tmp_path):
    write_run(tmp_path, "fa", **HALF)
    write_run(tmp_path, "older", (4, 4), system="VEM", strategy="feature_based")
    section = section_of(tmp_path)
    assert [line[-1] for line in section.lines] == ["–"] * 4
    assert section.shares[0] == [1, None]


def test_a_device_at_one_location_of_a_scene_has_a_note(tmp_path):
    folder = write_run(tmp_path, "fa", **HALF, places=2)
    path = folder / "predictions.csv"
    lines = path.read_text().splitlines()
    # Only bus0 keeps clips of s4 among the buses.
    lines = [line.replace(",s4,", ",a,") if "bus1" in line else line for line in lines]
    path.write_text("\n".join(lines))
    notes = " ".join(section_of(tmp_path).notes)
    assert "FA: Devices of which a scene has a single location: s4." in notes
    assert "FA: Scenes with a single location in the unseen devices: bus." in notes


@pytest.mark.parametrize("value", [["a", 3], []])
def test_devices_in_the_record_of_a_run_are_names(tmp_path, value):
    write_run(tmp_path, "fa", **{**HALF, "training_devices": value})
    (run,) = read_runs(tmp_path)
    assert run.training_devices == ({"a", "3"} if value else None)
