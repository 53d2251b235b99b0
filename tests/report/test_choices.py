"""What open choices move: which rows are a study of one choice, and what of the paper is smaller than that."""

import json

import pytest
from matplotlib import image
from report.made_up_runs import write_run

from crossask.report import choices, sections, write_report
from crossask.report.collecting import read_runs
from crossask.report.tables import make_tables


def study_of(root):
    (table,) = make_tables(read_runs(root), resamples=2000)
    return table


def test_rows_with_one_open_choice_moved_are_a_study(tmp_path):
    write_run(tmp_path, "base", (2, 3))
    write_run(tmp_path, "tanh", (4, 3), fields={"model.pooling_activation": "tanh"})
    write_run(tmp_path, "penalty", (2, 2), fields={"model.pooling_penalty": 1.0})
    write_run(
        tmp_path,
        "pca",
        (2, 3),
        fields={"event_model.embedding_tap": "pca", "event_model.pca": "pca.npz"},
    )
    write_run(
        tmp_path,
        "both",
        (4, 4),
        fields={"model.pooling_activation": "tanh", "model.pooling_penalty": 1.0},
    )
    write_run(
        tmp_path, "narrow", (1, 1), fields={"model.encoder_channels": (8, 8, 8, 8)}
    )  # the paper states it
    table = study_of(tmp_path)
    assert table.study.reference.row.name == "base"
    moved = {one.line.row.name: (one.field, one.value) for one in table.study.moved}
    assert moved == {
        "tanh": ("model.pooling_activation", "tanh"),
        "penalty": ("model.pooling_penalty", 1.0),
        "pca": ("event_model.embedding_tap", "pca"),
    }
    differences = {one.line.row.name: one.found["difference"] for one in table.study.moved}
    assert differences == pytest.approx({"tanh": 0.25, "penalty": -0.125, "pca": 0.0})
    assert (
        "The largest effect is 25.0 points (model.pooling_activation)"
        in sections.study(table).notes[0]
    )
    paths = write_report(
        tmp_path, tmp_path / "out", resamples=2000, json_file=tmp_path / "out.json"
    )
    assert "### What an open choice moves" in paths["report.md"].read_text()
    assert "(choices.png)" in paths["report.md"].read_text()
    assert "what open choices move" in paths["report.html"].read_text()
    picture = image.imread(paths["choices.png"])
    # as wide and high as three rows and the paper's line ask for, and not of one colour
    assert picture.shape[:2] == (312, 988)
    assert picture[..., :3].std() > 0.05
    told = json.loads((tmp_path / "out.json").read_text())["corpora"][0]["choices"]
    assert [one["row"] for one in told] == ["pca", "penalty", "tanh"]


def test_a_run_of_a_version_without_a_field_has_its_default(tmp_path):
    write_run(tmp_path, "base", (2, 3))
    for name, value in (
        ("tanh", {"model.pooling_activation": "tanh"}),
        ("penalty", {"model.pooling_penalty": 1.0}),
    ):
        write_run(tmp_path, name, (4, 3), fields=value)
    path = tmp_path / "base" / "fold1" / "seed0" / "config.json"
    old = json.loads(path.read_text())
    del old["experiment"]["model"]["pooling_penalty"], old["experiment"]["event_control"]
    path.write_text(json.dumps(old))
    assert {one.line.row.name: one.value for one in study_of(tmp_path).study.moved} == {
        "tanh": "tanh",
        "penalty": 1.0,
    }


def test_the_papers_differences_below_a_size():
    # TAU 2019: CMAM feature-based 68.8 against FA 66.5; fine-tuning 65.3 against 65.1, JRM's 66.8 against 67.2; FA to JRM 0.7
    smaller, count = choices.smaller_in_the_paper(1.0)
    assert count == 14
    assert "CMAM fine-tuning against CMAM from scratch on tau2019 (0.2)" in smaller
    assert not any("against FA on tau2019" in text and text.startswith("CMAM") for text in smaller)
    assert choices.smaller_in_the_paper(0.05) == ([], 14)
    # the text's own two gains of CMAM feature-based over FA
    stated = dict(choices.differences_in_the_paper())
    assert stated["CMAM feature-based against FA on tau2019"] == pytest.approx(2.3)
    assert stated["CMAM feature-based against FA on tut2017"] == pytest.approx(4.1)


def test_one_row_alone_is_no_study(tmp_path):
    write_run(tmp_path, "base", (2, 3))
    write_run(tmp_path, "tanh", (3, 3), fields={"model.pooling_activation": "tanh"})
    assert study_of(tmp_path).study is None
    assert "choices.png" not in write_report(tmp_path, tmp_path / "out", resamples=100)
