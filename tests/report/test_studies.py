"""Controls of a row's events, and the effect of open choices: which rows, and what they show."""

import dataclasses
import json

import pytest
from matplotlib import image
from report.made_up_runs import change_json, write_json, write_run, write_two_seeds

from crossask import config
from crossask.report import difference_sections, findings, studies, write_report
from crossask.report.corpus import make_results
from crossask.report.runs import read_runs

RESAMPLES = 2000
WEIGHTS = {"event_model.weights": "events.npz"}


@pytest.fixture(autouse=True)
def any_row_may_be_a_control(monkeypatch):
    """Configurations are checked when they are made, before their system is known."""
    monkeypatch.setattr(config.Experiment, "event_input", "embedding")


def results_of(root):
    (results,) = make_results(read_runs(root), resamples=RESAMPLES)
    return results


def write_controls(root, other, random, large, swapped=None):
    """Writes a CMAM with its controls.

    FA has 2 of 4 clips right in either scene, CMAM 4 and 3, the true events all.

    Args:
      root: Folder of the runs.
      other: Correct clips with embeddings of other clips.
      random: Correct clips with random weights.
      large: Correct clips of an FA that is as large as CMAM.
      swapped: Content of CMAM's swapped.json.
    """

    def write_cmam(name, hits, **fields):
        return write_two_seeds(root, name, hits, "CMAM", "feature_based", fields=fields)

    for folder in write_cmam("cmam", (4, 3), **WEIGHTS):
        if swapped:
            write_json(folder / "swapped.json", swapped)
    write_cmam("other", other, **WEIGHTS, event_control="other_clip")
    write_cmam("random", random)
    write_cmam("oracle", (4, 4), **WEIGHTS, event_control="true_events")
    write_two_seeds(root, "wide", large)
    for folder in write_two_seeds(root, "fa", (2, 2)):
        change_json(folder / "result.json", parameters=1000)


def test_random_weights_may_have_another_initialisation_than_the_unused_one(tmp_path):
    write_two_seeds(tmp_path, "cmam", (4, 3), "CMAM", "feature_based", fields=WEIGHTS)
    start = {"event_model.initialisation": "glorot"}
    write_two_seeds(tmp_path, "random", (2, 1), "CMAM", "feature_based", fields=start)
    (control,) = results_of(tmp_path).controls.controls
    assert (control.row.name, control.instead) == ("random", "an event model with random weights")


def test_controls_are_found_by_what_they_change(tmp_path):
    swapped = {
        "log_mel": 0.25,
        "embedding": 0.5,
        "neither": 0.25,
        "difference": {"low": -0.4, "high": -0.1},
        "clips": 24,
    }
    write_controls(tmp_path, other=(2, 2), random=(2, 1), large=(2, 3), swapped=swapped)
    results = results_of(tmp_path)
    found = results.controls
    assert found.reference.name == "cmam"
    assert {control.row.name: control.instead for control in found.controls} == {
        "other": "embeddings of other clips",
        "random": "an event model with random weights",
        "wide": "no events but as many parameters",
        "oracle": "the true events",
    }
    assert found.without.name == "fa"
    # FA 0.5, CMAM 0.875, the truth 1
    gain = studies.gain(found)
    assert (gain.of_row, gain.of_true_events, gain.share) == pytest.approx((0.375, 0.5, 0.75))
    verdicts = {}
    for control in found.controls:
        difference = results.comparisons.between(found.reference, control.row)
        verdicts[control.row.name] = difference.verdict
    assert verdicts == {"other": "better", "random": "better", "wide": "better", "oracle": "worse"}
    assert studies.conclusion(found, results.comparisons) == (
        "For CMAM feature-based (cmam), these runs show that the clip's own embeddings raise the "
        "score, that the training of the event model raises the score and that the score is higher "
        "than that of a network of the same size without events."
    )
    section = difference_sections.controls(results)
    assert "gains +37.5 points. This is 75 % of the gain with the true events" in section.notes[0]
    assert (
        "log-mel for 25.0 % of the clips and that of the embedding for 50.0 %" in (section.notes[1])
    )
    json_file = tmp_path / "out.json"
    paths = write_report(tmp_path, tmp_path / "out", resamples=RESAMPLES, json_file=json_file)
    assert "### Does the gain come from the events?" in paths["report.md"].read_text()
    content = json.loads(json_file.read_text())["corpora"][0]["controls"]
    assert content["share_of_possible_gain"] == pytest.approx(0.75)
    assert content["swapped"]["embedding"] == 0.5


def test_a_control_without_a_verdict_shows_nothing(tmp_path):
    write_controls(tmp_path, other=(2, 2), random=(4, 3), large=(2, 2))
    results = results_of(tmp_path)
    assert studies.conclusion(results.controls, results.comparisons) == (
        "For CMAM feature-based (cmam), these runs show that the clip's own embeddings raise the "
        "score and that the score is higher than that of a network of the same size without "
        "events; they do not show that the training of the event model raises the score."
    )
    assert results.controls.swapped is None


def test_a_row_that_scores_lower_than_its_controls_is_a_whole_sentence(tmp_path):
    write_two_seeds(tmp_path, "cmam", (1, 1), "CMAM", "feature_based", fields=WEIGHTS)
    other = WEIGHTS | {"event_control": "other_clip"}
    write_two_seeds(tmp_path, "other", (4, 4), "CMAM", "feature_based", fields=other)
    results = results_of(tmp_path)
    assert studies.conclusion(results.controls, results.comparisons) == (
        "CMAM feature-based (cmam) scores lower than with embeddings of other clips."
    )


def test_two_controls_of_a_kind_must_agree(tmp_path):
    write_controls(tmp_path, other=(2, 2), random=(2, 1), large=(2, 3))
    again = {"paper_score": 1.0}
    write_two_seeds(tmp_path, "random_again", (4, 3), "CMAM", "feature_based", fields=again)
    results = results_of(tmp_path)
    assert "they do not show that the training of the event model raises the score" in (
        studies.conclusion(results.controls, results.comparisons)
    )


def test_a_row_without_events_of_other_training_or_clips_is_not_used(tmp_path):
    write_controls(tmp_path, other=(2, 2), random=(2, 1), large=(2, 3))
    write_two_seeds(tmp_path, "hasty", (2, 2), fields={"training.epochs": 1})
    found = results_of(tmp_path).controls
    assert "hasty" not in {control.row.name for control in found.controls}
    assert studies.gain(found)
    summary = dataclasses.replace(found.without.summary, clips=8)
    without = dataclasses.replace(found.without, summary=summary)
    assert studies.gain(dataclasses.replace(found, without=without)) is None


def test_without_controls_there_is_no_such_section(tmp_path):
    write_run(tmp_path, "jrm", (4, 3), "JRM", "feature_based", fields=WEIGHTS)
    write_run(tmp_path, "cmam", (4, 3), "CMAM", "feature_based", fields=WEIGHTS)
    results = results_of(tmp_path)
    assert results.controls is None
    assert difference_sections.controls(results) is None


def test_controls_alone_are_not_controls_of_each_other(tmp_path):
    for name in ("other_clip", "shuffled_in_time", "true_events"):
        fields = WEIGHTS | {"event_control": name}
        write_run(tmp_path, name, (4, 3), "CMAM", "feature_based", fields=fields)
    assert results_of(tmp_path).controls is None


def test_rows_that_differ_in_a_list_are_no_controls(tmp_path):
    write_run(tmp_path, "cmam", (4, 3), "CMAM", "feature_based")
    narrow = {"model.encoder_channels": (8, 8, 8, 8)}
    write_run(tmp_path, "narrow", (4, 3), "CMAM", "feature_based", fields=narrow)
    assert results_of(tmp_path).controls is None


def changed_by_row(results):
    return {change.row.name: (change.field, change.value) for change in results.study.changes}


def test_rows_that_change_one_open_choice_are_a_study(tmp_path):
    def write(name, hits, **fields):
        write_two_seeds(tmp_path, name, hits, corpus="soundscapes", fields=fields)

    write("base", (2, 3))
    write("tanh", (4, 3), **{"model.pooling_activation": "tanh"})
    write("penalty", (2, 2), **{"model.pooling_penalty": 1.0})
    write("pca", (2, 3), **{"event_model.embedding_tap": "pca", "event_model.pca": "pca.npz"})
    write("both", (4, 4), **{"model.pooling_activation": "tanh", "model.pooling_penalty": 1.0})
    # The paper states the channels.
    write("narrow", (1, 1), **{"model.encoder_channels": (8, 8, 8, 8)})
    results = results_of(tmp_path)
    assert results.study.reference.name == "base"
    assert changed_by_row(results) == {
        "tanh": ("model.pooling_activation", "tanh"),
        "penalty": ("model.pooling_penalty", 1.0),
        "pca": ("event_model.embedding_tap", "pca"),
    }
    differences = {}
    for change in results.study.changes:
        difference = results.comparisons.between(change.row, results.study.reference)
        differences[change.row.name] = difference.comparison.difference
    assert differences == pytest.approx({"tanh": 0.25, "penalty": -0.125, "pca": 0.0})
    section = difference_sections.study(results, ending="")
    assert "The largest effect is 25.0 points (model.pooling_activation)" in section.notes[0]
    json_file = tmp_path / "out.json"
    paths = write_report(tmp_path, tmp_path / "out", resamples=RESAMPLES, json_file=json_file)
    assert "### The effect of open choices" in paths["report.md"].read_text()
    assert "(choices.png)" in paths["report.md"].read_text()
    assert "effects of open choices" in paths["report.html"].read_text()
    picture = image.imread(paths["choices.png"])
    # Wide and high enough for three rows, the paper's line and a title of three lines, and not of
    # one colour.
    assert picture.shape[:2] == (331, 988)
    assert picture[..., :3].std() > 0.05
    content = json.loads(json_file.read_text())["corpora"][0]["choices"]
    assert [choice["row"] for choice in content] == ["pca", "penalty", "tanh"]


def test_a_field_that_an_older_run_lacks_has_its_default(tmp_path):
    folder = write_run(tmp_path, "base", (2, 3))
    write_run(tmp_path, "tanh", (4, 3), fields={"model.pooling_activation": "tanh"})
    write_run(tmp_path, "penalty", (4, 3), fields={"model.pooling_penalty": 1.0})
    path = folder / "config.json"
    experiment = json.loads(path.read_text())["experiment"]
    del experiment["model"]["pooling_penalty"]
    del experiment["event_control"]
    change_json(path, experiment=experiment)
    values = {name: value for name, (_, value) in changed_by_row(results_of(tmp_path)).items()}
    assert values == {"tanh": "tanh", "penalty": 1.0}


def test_the_papers_differences_are_those_of_table_3():
    differences = findings.paper_differences()
    assert differences["CMAM feature-based against FA on tau2019"] == pytest.approx(68.8 - 66.5)
    assert differences["CMAM feature-based against FA on tut2017"] == pytest.approx(85.8 - 81.7)
    name = "CMAM fine-tuning against CMAM from scratch on tau2019"
    assert differences[name] == pytest.approx(0.2)
    # Each of the nine other rows with a score, on both corpora, and three more pairs.
    assert len(differences) == 2 * (9 + 3)
    assert min(abs(points) for points in differences.values()) > 0.05


def test_the_largest_effect_is_compared_with_the_papers_differences(tmp_path):
    # 584 of 1,168 clips are correct, and 592 in the second row: 0.7 points.
    for name, changes, wrong_locations in (
        ("base", {}, 2),
        ("tanh", {"model.pooling_activation": "tanh"}, 0),
        ("penalty", {"model.pooling_penalty": 1.0}, 2),
    ):
        folder = write_run(tmp_path, name, (2, 2), places=146, corpus="soundscapes", fields=changes)
        text = (folder / "predictions.csv").read_text()
        for number in range(wrong_locations):
            for scene in ("bus", "park"):
                for clip in (0, 1):
                    right = f"f1/{scene}{number}{clip},f1-{scene}{number},lyon,{scene}"
                    swapped = {"bus": ("0.9,0.1", "0.1,0.9"), "park": ("0.1,0.9", "0.9,0.1")}
                    before, after = swapped[scene]
                    assert f"{right},{before}" in text
                    text = text.replace(f"{right},{before}", f"{right},{after}")
        (folder / "predictions.csv").write_text(text)
    (note,) = difference_sections.study(results_of(tmp_path), ending="").notes
    assert "The largest effect is 0.7 points (model.pooling_activation" in note
    smaller = sum(abs(points) < 0.69 for points in findings.paper_differences().values())
    assert "The paper discusses 24 differences between rows (section 3.3)." in note
    assert f"{smaller} of them are smaller: " in note
    assert "CMAM fine-tuning against CMAM from scratch on tau2019 (0.2)" in note
    assert "CMAM feature-based against FA on tau2019" not in note


def test_one_changed_row_is_no_study(tmp_path):
    write_run(tmp_path, "base", (2, 3))
    write_run(tmp_path, "tanh", (3, 3), fields={"model.pooling_activation": "tanh"})
    assert results_of(tmp_path).study is None
    assert "choices.png" not in write_report(tmp_path, tmp_path / "out", resamples=100)
