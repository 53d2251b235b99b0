"""The report's answer to "is it the events?": which rows are controls, and what may be said of them."""

import dataclasses
import json

import pytest
from report.made_up_runs import write_run

from crossask.report import events, sections, write_report
from crossask.report.collecting import read_runs
from crossask.report.tables import make_tables

RESAMPLES = 2000
WEIGHTS = {"event_model.weights": "events.npz"}


def controls_of(root):
    (table,) = make_tables(read_runs(root), resamples=RESAMPLES)
    return table


def write_controls(root, other, random, large, swapped=None):
    """FA has 2 of 4 right in either scene, CMAM 4 and 3, the true events all; `large` is an FA as large as CMAM."""
    folder = write_run(root, "cmam", (4, 3), "CMAM", "feature_based", fields=WEIGHTS)
    if swapped:
        (folder / "swapped.json").write_text(json.dumps(swapped))
    write_run(
        root,
        "other",
        other,
        "CMAM",
        "feature_based",
        fields={**WEIGHTS, "event_control": "other_clip"},
    )
    write_run(root, "random", random, "CMAM", "feature_based")
    write_run(root, "wide", large)
    write_run(
        root,
        "oracle",
        (4, 4),
        "CMAM",
        "feature_based",
        fields={**WEIGHTS, "event_control": "true_events"},
    )
    small = write_run(root, "fa", (2, 2))
    result = json.loads((small / "result.json").read_text())
    (small / "result.json").write_text(json.dumps(result | {"parameters": 1000}))


@pytest.fixture(autouse=True)
def controls_of_a_cmam(monkeypatch):
    """Configurations are checked when they are made, and these are made before their system is known."""
    from crossask import config

    monkeypatch.setattr(config.Experiment, "event_input", "embedding")


def test_controls_are_found_by_what_they_change_and_the_share_of_the_gain_is_told(tmp_path):
    write_controls(
        tmp_path,
        other=(2, 2),
        random=(2, 1),
        large=(2, 3),
        swapped={
            "log_mel": 0.25,
            "embedding": 0.5,
            "neither": 0.25,
            "difference": {"low": -0.4, "high": -0.1},
            "clips": 24,
        },
    )
    table = controls_of(tmp_path)
    found = table.controls
    assert found.reference.row.name == "cmam"
    assert {control.line.row.name: control.does for control in found.controls} == {
        "other": "embeddings of other clips",
        "random": "an event model with random weights",
        "wide": "no events, as many parameters",
        "oracle": "the true events",
    }
    assert found.without.row.name == "fa"
    # FA 0.5, CMAM 0.875, the truth 1
    assert events.share_of_possible_gain(found) == pytest.approx((0.375, 0.5, 0.75))
    assert {control.line.row.name: control.verdict for control in found.controls} == {
        "other": "better",
        "random": "better",
        "wide": "better",
        "oracle": "worse",
    }
    assert events.sentence(found) == (
        "For CMAM feature-based (cmam), these runs show that it matters whose events are heard, that the event model's training "
        "matters and that as many parameters without events do not do as well."
    )
    grid = sections.controls(table)
    assert "75 % of them" in grid.notes[0]
    assert "log-mel in 25.0 % and that of the embedding in 50.0 %" in grid.notes[1]
    paths = write_report(
        tmp_path, tmp_path / "out", resamples=RESAMPLES, json_file=tmp_path / "out.json"
    )
    assert "### Is it the events?" in paths["report.md"].read_text()
    told = json.loads((tmp_path / "out.json").read_text())["corpora"][0]["controls"]
    assert told["share_of_possible_gain"] == pytest.approx(0.75)
    assert told["swapped"]["embedding"] == 0.5


def test_one_control_that_cannot_be_told_apart_leaves_it_open(tmp_path):
    write_controls(tmp_path, other=(2, 2), random=(4, 3), large=(2, 2))
    assert events.sentence(controls_of(tmp_path).controls) == (
        "For CMAM feature-based (cmam), these runs show that it matters whose events are heard and that as many parameters without "
        "events do not do as well; they do not show that the event model's training matters."
    )
    assert controls_of(tmp_path).controls.swapped is None


def test_of_two_controls_of_a_kind_both_must_say_it(tmp_path):
    write_controls(tmp_path, other=(2, 2), random=(2, 1), large=(2, 3))
    write_run(
        tmp_path, "random_again", (4, 3), "CMAM", "feature_based", fields={"paper_score": 1.0}
    )
    assert "they do not show that the event model's training matters" in events.sentence(
        controls_of(tmp_path).controls
    )


def test_a_row_without_events_of_other_training_or_clips_is_no_measure(tmp_path):
    write_controls(tmp_path, other=(2, 2), random=(2, 1), large=(2, 3))
    write_run(tmp_path, "hasty", (2, 2), fields={"training.epochs": 1})
    found = controls_of(tmp_path).controls
    assert "hasty" not in {control.line.row.name for control in found.controls}
    fewer = dataclasses.replace(found.without, summary=found.without.summary | {"clips": 8})
    assert events.share_of_possible_gain(found)
    assert events.share_of_possible_gain(dataclasses.replace(found, without=fewer)) is None


def test_without_controls_there_is_no_such_section(tmp_path):
    write_run(tmp_path, "jrm", (4, 3), "JRM", "feature_based", fields=WEIGHTS)
    write_run(tmp_path, "cmam", (4, 3), "CMAM", "feature_based", fields=WEIGHTS)
    table = controls_of(tmp_path)
    assert table.controls is None
    assert sections.controls(table) is None
