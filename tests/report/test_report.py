"""Rows and results of made-up runs: every figure is worked by hand from the predictions."""

import dataclasses
import json
import os
import re
import shutil
from pathlib import Path

import pytest
from report.made_up_runs import change_json, write_run, write_two_seeds

from crossask import stored
from crossask.errors import CrossaskError, DataError
from crossask.report import WRITTEN, field_sections, findings, score_sections, write_report
from crossask.report.corpus import make_results
from crossask.report.rows import DIGESTS, group
from crossask.report.runs import read_runs
from crossask.training import run_folder

RESAMPLES = 200


@pytest.fixture(name="runs_root")
def fixture_runs_root(tmp_path):
    root = tmp_path / "runs"
    write_run(root, "fa", (2, 3))
    write_run(root, "fa", (2, 1), seed=1)
    write_run(root, "cmam", (4, 3), "CMAM", "feature_based")
    write_run(root, "cmam", (4, 3), "CMAM", "feature_based", seed=1)
    write_run(root, "late", (4, 3), "CMAM", "fine_tuning", finished=False)
    return root


def results_of(root, resamples=RESAMPLES):
    (results,) = make_results(read_runs(root), resamples=resamples)
    return results


def names_in_order(root):
    (rows,) = group(read_runs(root)).values()
    return [runs[0].name for runs in rows]


def test_the_conclusion_contains_the_figures(runs_root):
    results = results_of(runs_root)
    assert results.conclusion == (
        "On these 24 clips of 6 locations (demo, fold 1), CMAM feature-based scores 37.5 points "
        "higher than FA (95 % interval −100.0 to +100.0). This does not show which of them is "
        "better: the interval contains zero, so with other locations or another training either "
        "of them may score higher."
    )
    scope = results.scope(metric="macro accuracy")
    assert scope == "demo, fold 1, macro accuracy, 24 clips, 6 locations"


def test_the_conclusion_is_on_the_row_with_the_best_validation_score(tmp_path):
    write_run(tmp_path, "fa", (3, 3))
    write_run(tmp_path, "lucky", (4, 4), "CMAM", "from_scratch")
    folder = write_run(tmp_path, "chosen", (3, 2), "CMAM", "feature_based")
    change_json(folder / "result.json", validation_macro_accuracy=0.9)
    conclusion = results_of(tmp_path).conclusion
    best = "CMAM feature-based has the best score on the validation part"
    assert f"{best}. On these 24 clips" in conclusion
    assert "CMAM feature-based scores 12.5 points lower than FA" in conclusion


def test_no_row_is_chosen_by_validation_if_one_has_no_validation_part(tmp_path):
    write_run(tmp_path, "fa", (3, 3))
    write_run(tmp_path, "first", (4, 4), "CMAM", "from_scratch", validation=0)
    write_run(tmp_path, "second", (3, 2), "CMAM", "feature_based")
    results = results_of(tmp_path)
    assert "validation part" not in results.conclusion
    (first,) = [row for row in results.rows if row.name == "first"]
    assert results.training_scope(first).endswith(
        "50 clips in the training part, no validation part"
    )


def test_a_history_without_validation_is_an_error_if_the_run_has_a_validation_part(tmp_path):
    folder = write_run(tmp_path, "fa", (3, 3))
    (folder / "history.csv").write_text("epoch,loss,macro_accuracy\n1,2,0.5\n")
    with pytest.raises(DataError, match="has no column 'val_loss'"):
        read_runs(tmp_path)


def test_an_interval_around_zero_has_no_verdict(tmp_path):
    write_two_seeds(tmp_path, "fa", (3, 3))
    write_two_seeds(tmp_path, "same", (3, 3), "CMAM", "feature_based")
    results = results_of(tmp_path)
    assert results.against_baseline(results.rows[1]).verdict == "cannot tell"
    assert results.conclusion.endswith(
        "CMAM feature-based and FA have the same score. This does not show which of them is "
        "better: all draws of locations have this difference, so they show nothing about others."
    )


def test_the_conclusion_states_why_it_is_open_which_row_is_better(tmp_path):
    # An interval without zero, but equal rows have such a difference often in so many comparisons.
    write_two_seeds(tmp_path, "fa", (3, 3))
    write_two_seeds(tmp_path, "cmam", (4, 3), "CMAM", "feature_based")
    results = results_of(tmp_path)
    fa, cmam = results.rows
    difference = results.against_baseline(cmam)
    interval = dataclasses.replace(difference.comparison.interval, low=0.01, high=0.24)

    def in_words(**changes):
        verdict = changes.pop("verdict", "cannot tell")
        comparison = dataclasses.replace(difference.comparison, interval=interval, **changes)
        doubtful = findings.Difference(comparison, adjusted_p=0.08, verdict=verdict)
        return findings.difference_in_words(cmam, fa, doubtful)

    scores = "CMAM feature-based scores 12.5 points higher than FA (95 % interval +1.0 to +24.0)."
    assert in_words(p_value=0.04, verdict="better") == scores
    assert in_words(p_value=0.04).startswith(f"{scores} This does not show")
    assert in_words(p_value=0.04).endswith("(adjusted p 0.080).")
    assert "all clips of a scene come from one location" in in_words(p_value=1.0)


def test_unfinished_runs_are_not_part_of_the_results(runs_root):
    write_run(runs_root, "fa", (0, 0), seed=7, finished=False)
    results = results_of(runs_root)
    assert [row.name for row in results.rows] == ["fa", "cmam"]
    assert results.rows[0].summary.macro_accuracy == pytest.approx(0.5)
    unfinished = [(run.row, run.seed) for run in results.unfinished]
    assert unfinished == [("fa", 7), ("late", 0)]


def test_a_validation_score_of_frames_is_not_compared_with_those_of_clips(tmp_path):
    write_run(tmp_path, "fa", (3, 3))
    write_run(tmp_path, "vem", (2, 3), "VEM")
    of_frames = {"training.context_frames": 5}
    # Its seed has the highest validation score.
    write_run(tmp_path, "frames", (4, 4), "DCASE2017", seed=1, fields=of_frames)
    results = results_of(tmp_path)
    assert "DCASE 2017 baseline has the best score" not in results.conclusion
    assert "VEM from scratch scores 12.5 points lower than FA" in results.conclusion
    note = "DCASE 2017 baseline: its validation score is that of single frames with their context"
    assert [text for text in results.notes if text.startswith(note)]
    write_run(tmp_path, "jrm", (4, 3), "JRM", seed=0)
    best = "Of the 2 rows beside FA that have the same validation part, VEM from scratch has the"
    assert best in results_of(tmp_path).conclusion


def test_a_row_is_chosen_among_those_with_the_same_validation_part(tmp_path):
    write_run(tmp_path, "fa", (3, 3))
    for name, division, accuracy in (
        ("a", "of 30 %", 0.7),
        ("b", "of 30 %", 0.8),
        ("c", "", 0.9),
        # All of its clips are trained on.
        ("d", "of none", None),
    ):
        folder = write_run(tmp_path, name, (4, 3), "CMAM")
        corpus = json.loads((folder / "config.json").read_text())["corpus"]
        change_json(folder / "config.json", corpus=corpus | {"division": division})
        change_json(folder / "result.json", validation_macro_accuracy=accuracy)
    best = "Of the 2 rows beside FA that have the same validation part, CMAM from scratch (b) has"
    assert best in results_of(tmp_path).conclusion


def test_folds_are_pooled_and_have_a_mean(tmp_path):
    # Fold 1 has three locations a scene and fold 2 one: pooled, the larger fold counts three times.
    fields = {"folds": ("1", "2")}
    write_run(tmp_path, "fa", (4, 4), fields=fields)
    write_run(tmp_path, "fa", (0, 0), fold="2", places=1, fields=fields)
    (row,) = results_of(tmp_path).rows
    assert row.summary.macro_accuracy == pytest.approx(0.75)
    assert row.mean_of_folds == pytest.approx(0.5)
    assert row.folds_text == "folds 1, 2 pooled"


def test_a_misspelled_baseline_is_an_error(runs_root):
    with pytest.raises(DataError, match="No row has the name or the system 'cmma'") as raised:
        make_results(read_runs(runs_root), "cmma", RESAMPLES)
    assert raised.value.fix == "Did you mean 'cmam'? The rows are fa, cmam."
    # The default, and the systems that make results names, need no row.
    (results,) = make_results(read_runs(runs_root), "JRM", RESAMPLES)
    assert results.baseline is None
    assert any("No row has the name or the system JRM" in note for note in results.notes)


def test_fold_10_follows_fold_9(tmp_path):
    folds = ("1", "2", "9", "10")
    for fold in folds:
        write_run(tmp_path, "fa", (4, 4), fold=fold, fields={"folds": folds})
    results = results_of(tmp_path)
    (row,) = results.rows
    assert row.folds == folds
    assert row.folds_text == "folds 1, 2, 9, 10 pooled"
    assert score_sections.folds(results).header[1:5] == [f"Fold {fold}" for fold in folds]
    assert [run.fold for run in run_folder.find_runs(tmp_path)] == list(folds)


def test_a_fold_that_is_none_of_the_row_is_named_alone(tmp_path):
    write_run(tmp_path, "fa", (4, 4), fold="2", fields={"folds": ("1",)})
    (row,) = results_of(tmp_path).rows
    assert row.folds_text == "fold 2"


def test_a_seed_that_lacks_a_fold_is_left_out_with_a_note(tmp_path):
    fields = {"folds": ("1", "2", "3")}
    for fold, seed in (("1", 0), ("2", 0), ("1", 1)):
        write_run(tmp_path, "fa", (4 - seed, 4), fold=fold, seed=seed, fields=fields)
    results = results_of(tmp_path)
    (row,) = results.rows
    assert row.seeds == (0,)
    assert row.summary.macro_accuracy == 1
    assert row.folds_text == "folds 1, 2 of 1, 2, 3 pooled"
    assert any("do not include seed 1 on fold 1" in note for note in results.notes)


@pytest.mark.parametrize("folds_before", [("1",), ("1", "3")])
def test_runs_of_a_row_may_have_been_trained_before_it_had_more_folds(tmp_path, folds_before):
    for fold, folds in (("1", folds_before), ("2", ("1", "2", "3"))):
        write_run(tmp_path, "fa", (4, 4), fold=fold, fields={"folds": folds})
        write_run(tmp_path, "vem", (4, 4), "VEM", fold=fold, fields={"folds": ("1", "2", "3")})
    results = results_of(tmp_path)
    assert [row.folds_text for row in results.rows] == 2 * ["folds 1, 2 of 1, 2, 3 pooled"]
    differing, shared = field_sections.differing_fields(results.rows)
    assert "folds" not in differing
    assert shared["folds"] == ["1", "2", "3"]


def test_folds_with_different_training_cities_have_no_scores_of_seen_cities(tmp_path):
    fields = {"folds": ("1", "2")}
    for fold, city in (("1", "lyon"), ("2", "oslo")):
        write_run(tmp_path, "fa", (4, 4), fold=fold, training_cities=[city], fields=fields)
    results = results_of(tmp_path)
    assert results.rows[0].summary.seen is None
    assert any("trained on different cities" in note for note in results.notes)


def test_rows_of_two_corpora_are_not_compared(tmp_path):
    write_run(tmp_path, "fa", (2, 3))
    write_run(tmp_path, "cmam", (4, 3), "CMAM", "feature_based")
    write_run(tmp_path, "other", (4, 4), "CMAM", "feature_based", corpus="esc10")
    demo, other = make_results(read_runs(tmp_path), resamples=RESAMPLES)
    assert [row.name for row in demo.rows] == ["fa", "cmam"]
    assert [row.name for row in other.rows] == ["other"]
    assert other.baseline is None
    assert other.against_baseline(other.rows[0]).comparison is None


def test_different_recordings_with_one_name_are_two_corpora(tmp_path):
    write_run(tmp_path, "fa", (2, 3))
    path = write_run(tmp_path, "cmam", (4, 3), "CMAM", "feature_based") / "config.json"
    path.write_text(path.read_text().replace("f00d", "beef"))
    results = make_results(read_runs(tmp_path), resamples=RESAMPLES)
    assert [one.title for one in results] == ["demo (beef)", "demo (f00d)"]


def test_rows_with_different_clips_are_shown_but_not_compared(tmp_path):
    write_run(tmp_path, "fa", (2, 3))
    write_run(tmp_path, "cmam", (4, 3), "CMAM", "feature_based", fold="2")
    results = results_of(tmp_path)
    difference = results.against_baseline(results.rows[1])
    assert difference.comparison is None
    assert "not comparable" in difference.missing


@pytest.mark.parametrize(
    ("corpus", "places", "expected"),
    [("demo", 3, None), ("tau2019", 3, None), ("tut2017", 585, 81.7)],
)
def test_the_papers_score_is_shown_only_beside_scores_of_its_clips(
    tmp_path, corpus, places, expected
):
    # 2 scenes x 585 locations x 4 clips = 4,680, the clips of TUT 2017
    write_run(tmp_path, "fa", (3, 3), corpus=corpus, places=places, fields={"paper_score": 81.7})
    results = results_of(tmp_path, resamples=5)
    assert results.paper_percent(results.rows[0]) == expected
    is_left_out = any("paper's scores are left out" in note for note in results.notes)
    assert is_left_out == (corpus == "tau2019")


def test_rows_are_in_the_order_of_the_runs_or_of_the_systems(tmp_path):
    for name, system in (("aaa", "CMAM"), ("zzz", "FA"), ("mmm", "CMAM")):
        write_run(tmp_path, name, (3, 3), system)
    assert names_in_order(tmp_path) == ["zzz", "aaa", "mmm"]
    for order, name in enumerate(("mmm", "aaa", "zzz")):
        change_json(tmp_path / name / "fold1" / "seed0" / "config.json", order=order)
    assert names_in_order(tmp_path) == ["mmm", "aaa", "zzz"]


def test_rows_without_an_order_are_in_that_of_table_3(tmp_path):
    wanted = [("DCASE2019", "from_scratch"), ("FA", "feature_based"), ("VEM", "feature_based")]
    for system in ("JRM", "CMAM"):
        for strategy in ("from_scratch", "feature_based", "fine_tuning"):
            wanted.append((system, strategy))
    for number, (system, strategy) in enumerate(reversed(wanted)):
        write_run(tmp_path, f"row{number}", (3, 3), system, strategy)
    results = results_of(tmp_path, resamples=20)
    assert [(row.system, row.runs[0].strategy) for row in results.rows] == wanted
    assert [row.title for row in results.rows][:4] == [
        "DCASE 2019 baseline",
        "FA",
        "VEM feature-based",
        "JRM from scratch",
    ]
    assert results.baseline.title == "FA"


def test_systems_and_strategies_of_other_versions_are_reported_by_their_names(tmp_path):
    write_run(tmp_path, "fa", (3, 3))
    write_run(tmp_path, "new", (4, 4), "PANN", "zero_shot")
    results = results_of(tmp_path)
    assert [row.title for row in results.rows] == ["FA", "PANN zero_shot"]
    assert write_report(tmp_path, tmp_path / "out", resamples=RESAMPLES)["report.md"].is_file()


def test_a_rows_own_note_is_a_note_of_the_results_and_no_choice(tmp_path):
    write_run(tmp_path, "fa", (3, 3))
    write_run(tmp_path, "vem", (4, 4), system="VEM", fields={"note": "Flatters."})
    results = results_of(tmp_path)
    assert "VEM from scratch: Flatters." in results.notes
    differing, _ = field_sections.differing_fields(results.rows)
    assert "note" not in differing


def test_rows_with_different_numbers_of_epochs_are_reported(tmp_path):
    def notes_on_epochs():
        return [note for note in results_of(tmp_path).notes if "epochs" in note]

    write_run(tmp_path, "baseline", (3, 3), system="DCASE2019", fields={"training.epochs": 200})
    write_run(tmp_path, "fa", (3, 3), fields={"training.epochs": 20})
    write_run(tmp_path, "cmam", (4, 4), system="CMAM", fields={"training.epochs": 20})
    assert notes_on_epochs() == []
    write_run(tmp_path, "vem", (4, 4), system="VEM", fields={"training.epochs": 3})
    (note,) = notes_on_epochs()
    assert "(20 for FA, CMAM from scratch; 3 for VEM from scratch)" in note


def test_rows_with_one_system_and_strategy_are_distinguished_by_name(tmp_path):
    for name in ("plain", "shuffled"):
        write_run(tmp_path, name, (3, 3), "CMAM", "feature_based")
    assert [row.title for row in results_of(tmp_path).rows] == [
        "CMAM feature-based (plain)",
        "CMAM feature-based (shuffled)",
    ]


def test_nothing_to_report_is_an_error_with_a_remedy(tmp_path):
    with pytest.raises(DataError, match="no runs below"):
        write_report(tmp_path / "missing", tmp_path / "out")
    write_run(tmp_path, "fa", (3, 3), finished=False)
    with pytest.raises(DataError, match=r"None of the 1 runs .* has predictions\.csv") as caught:
        write_report(tmp_path, tmp_path / "out")
    assert "crossask-" in caught.value.fix
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["config.json", "history.csv", "result.json"])
def test_a_missing_file_beside_predictions_is_reported(runs_root, tmp_path, name):
    (runs_root / "fa" / "fold1" / "seed0" / name).unlink()
    with pytest.raises(DataError, match=re.escape(name)):
        write_report(runs_root, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("config.json", "{}", "has no entry experiment.name"),
        ("result.json", "[1]", "contains no JSON object"),
        ("result.json", "{", "cannot be read"),
        ("history.csv", "epoch,loss\n1,2\n", "has no column 'macro_accuracy'"),
        ("history.csv", "", "cannot be read"),
        ("history.csv", "epoch,loss,macro_accuracy,val_loss,val_macro_accuracy\n", "has no epochs"),
    ],
)
def test_a_broken_file_of_a_run_is_reported(runs_root, name, content, words):
    path = runs_root / "fa" / "fold1" / "seed0" / name
    path.write_text(content)
    with pytest.raises(DataError, match=f"{re.escape(name)} {words}"):
        read_runs(runs_root)


def test_seeds_with_different_parts_of_a_fold_are_refused(tmp_path):
    fields = {"folds": ("1", "2")}
    paths = {}
    for fold, seed in (("1", 0), ("1", 1), ("2", 0), ("2", 1)):
        folder = write_run(tmp_path, "fa", (3, 3), fold=fold, seed=seed, fields=fields)
        paths[fold, seed] = folder / "config.json"
    corpus = json.loads(paths["1", 0].read_text())["corpus"]
    for (fold, _), path in paths.items():
        change_json(path, corpus=corpus | {"division": fold})
    assert results_of(tmp_path).rows[0].seeds == (0, 1)
    change_json(paths["2", 1], corpus=corpus | {"division": "other"})
    with pytest.raises(DataError, match=r"fold2/seed1 are one row and fold, but were trained"):
        results_of(tmp_path)


def test_a_report_needs_no_weights(tmp_path):
    folder = write_run(tmp_path, "fa", (3, 3))
    result = json.loads((folder / "result.json").read_text())
    (folder / "best.npz").write_bytes(b"large")
    stored.write_json(folder / "result.json", result, ("best.npz", "history.csv"))
    (folder / "best.npz").unlink()
    assert results_of(tmp_path).rows[0].name == "fa"
    (folder / "history.csv").write_text((folder / "history.csv").read_text() + "\n")
    with pytest.raises(DataError, match=r"history\.csv .* has changed"):
        results_of(tmp_path)


def test_runs_of_one_row_with_different_choices_are_refused(tmp_path):
    write_run(tmp_path, "fa", (3, 3))
    write_run(tmp_path, "fa", (3, 3), seed=1, fields={"training.learning_rate": 0.1})
    with pytest.raises(
        DataError, match=r"training\.learning_rate is 0\.0003 in the first and 0\.1 in the second"
    ):
        make_results(read_runs(tmp_path))


def test_seeds_of_a_row_may_have_different_notes(tmp_path):
    for seed, note in enumerate(("First.", "Second.", "")):
        write_run(tmp_path, "fa", (3, 3), seed=seed, fields={"note": note})
    results = results_of(tmp_path)
    assert results.rows[0].seeds == (0, 1, 2)
    assert {"FA: First.", "FA: Second."} <= set(results.notes)


def test_seeds_of_a_row_may_have_read_the_same_files_at_different_paths(tmp_path):
    paths = []
    for seed in (0, 1):
        fields = {"event_model.weights": f"/machine{seed}/vggish.npz"}
        folder = write_run(tmp_path, "vem", (3, 3), "VEM", seed=seed, fields=fields)
        paths.append(folder / "config.json")
    # Without digests, as of older versions, the files may differ.
    with pytest.raises(DataError, match=r"event_model\.weights is '/machine0/vggish\.npz'"):
        results_of(tmp_path)
    for path in paths:
        change_json(path, **dict.fromkeys(DIGESTS, "same"))
    assert results_of(tmp_path).rows[0].seeds == (0, 1)


def test_runs_of_one_row_with_different_data_are_refused(tmp_path):
    write_run(tmp_path, "fa", (3, 3))
    folder = write_run(tmp_path, "fa", (3, 3), seed=1)
    corpus = json.loads((folder / "config.json").read_text())["corpus"]
    change_json(folder / "config.json", corpus=corpus | {"fingerprint": "beef"})
    with pytest.raises(DataError, match="one row, but their data differ"):
        make_results(read_runs(tmp_path))


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ("event_digest", "weights, embeddings or PCA of its event model"),
        ("start_digest", "weights of its event model"),
        ("trunk_digest", "content of model.trunk"),
        ("teacher_digest", "tables of distillation.teacher"),
    ],
)
def test_runs_of_one_row_that_began_with_different_files_are_refused(runs_root, entry, what):
    configs = [runs_root / "cmam" / "fold1" / f"seed{seed}" / "config.json" for seed in (0, 1)]
    for path in configs:
        change_json(path, **{entry: "same"})
    assert results_of(runs_root)
    # The file was written again between the trainings of two seeds.
    change_json(configs[1], **{entry: "other"})
    with pytest.raises(DataError, match=f"are one row, but began with different {what}"):
        results_of(runs_root)
    # A run of an older version has no such entry.
    change_json(configs[1], **{entry: None})
    assert results_of(runs_root)


def test_runs_of_one_row_have_one_trunk_for_each_seed_if_its_path_names_the_seed(tmp_path):
    row = {"system": "VEM", "fields": {"system": "VEM", "model.trunk": "trunk_{seed}.npz"}}
    for seed in (0, 1):
        for fold in ("1", "2"):
            folder = write_run(tmp_path, "vem", (3, 3), fold=fold, seed=seed, **row)
            change_json(folder / "config.json", trunk_digest=f"trunk {seed}")
    assert make_results(read_runs(tmp_path))
    change_json(folder / "config.json", trunk_digest="trunk 2")
    with pytest.raises(DataError, match=r"are one row, but began with different content of model"):
        make_results(read_runs(tmp_path))


def test_runs_are_found_by_a_relative_path_and_from_inside(tmp_path, monkeypatch):
    write_run(tmp_path / "runs", "fa", (2, 3))
    (expected,) = run_folder.find_runs(tmp_path / "runs")
    for folder, root in (
        (tmp_path, "runs"),
        (tmp_path / "runs", "."),
        (expected.folder, "."),
        (tmp_path, expected.folder.parent),
    ):
        monkeypatch.chdir(folder)
        (found,) = run_folder.find_runs(root)
        assert [run.row for run in read_runs(root)] == ["fa"]
        assert (found.row, found.fold, found.seed) == ("fa", "1", 0)
        assert (found.folder / "config.json").is_file()
    monkeypatch.chdir(tmp_path)
    assert write_report("runs", "out", resamples=RESAMPLES)["report.md"].is_file()


def test_a_file_that_is_of_no_report_is_not_overwritten(tmp_path):
    runs = tmp_path / "runs"
    out = tmp_path / "project"
    write_run(runs, "fa", (2, 3))
    out.mkdir()
    (out / "table.csv").write_text("mine")
    with pytest.raises(CrossaskError, match=r"project/table\.csv is there, and is of no report"):
        write_report(runs, out, resamples=RESAMPLES)
    assert [path.name for path in out.iterdir()] == ["table.csv"]
    assert (out / "table.csv").read_text() == "mine"
    # After it was moved, other files remain, and reports are written over each other.
    (out / "table.csv").rename(out / "mine.csv")
    write_report(runs, out, resamples=RESAMPLES)
    write_run(runs, "cmam", (3, 3), "CMAM", "feature_based")
    (out / "curves_cmam.png").write_text("mine")
    with pytest.raises(CrossaskError, match=r"curves_cmam\.png is there"):
        write_report(runs, out, resamples=RESAMPLES)
    (out / "curves_cmam.png").unlink()
    write_report(runs, out, resamples=RESAMPLES)
    assert (out / "mine.csv").read_text() == "mine"


def test_numbers_are_written_through_a_link_and_into_a_pipe(tmp_path):
    write_run(tmp_path / "runs", "fa", (2, 3))
    shared = tmp_path / "shared.json"
    shared.write_text("the numbers of last week")
    link = tmp_path / "link.json"
    link.symlink_to(shared)
    write_report(tmp_path / "runs", tmp_path / "out", resamples=RESAMPLES, json_file=link)
    assert link.is_symlink()
    assert "corpora" in json.loads(shared.read_text())

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with open(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)) as reader:
        write_report(tmp_path / "runs", tmp_path / "out", resamples=RESAMPLES, json_file=pipe)
        assert pipe.is_fifo()
        assert reader.read() == shared.read_text()


def test_a_report_is_written_over_one_of_a_version_without_a_list_of_its_files(tmp_path):
    write_run(tmp_path / "runs", "fa", (2, 3))
    paths = write_report(tmp_path / "runs", tmp_path / "out", resamples=RESAMPLES)
    (tmp_path / "out" / ".report.json").unlink()
    paths["table.csv"].write_text("earlier")
    write_report(tmp_path / "runs", tmp_path / "out", resamples=RESAMPLES)
    assert paths["table.csv"].read_text() != "earlier"


def test_a_report_that_was_stopped_is_written_again(tmp_path, monkeypatch):
    write_run(tmp_path / "runs", "fa", (2, 3))
    with monkeypatch.context() as stopped:

        def stop(*_):
            raise KeyboardInterrupt

        stopped.setattr(Path, "write_bytes", stop)
        with pytest.raises(KeyboardInterrupt):
            write_report(tmp_path / "runs", tmp_path / "out", resamples=RESAMPLES)
    (tmp_path / "out" / "table.csv").write_text("a file that was written before the stop")
    paths = write_report(tmp_path / "runs", tmp_path / "out", resamples=RESAMPLES)
    assert paths["report.html"].is_file()


@pytest.mark.parametrize("linked", ["fa", "fa/fold1", "fa/fold1/seed1"])
def test_runs_that_were_moved_to_another_disk_are_found_through_a_link(tmp_path, linked):
    runs = tmp_path / "runs"
    for seed in (0, 1):
        write_run(runs, "fa", (2, 3), seed=seed)
    write_run(runs, "cmam", (3, 3), "CMAM", "feature_based")
    before = run_folder.find_runs(runs)
    moved = tmp_path / "disk" / linked
    moved.parent.mkdir(parents=True)
    shutil.move(runs / linked, moved)
    (runs / linked).symlink_to(moved)
    assert run_folder.find_runs(runs) == before
    assert [(run.row, run.seed) for run in read_runs(runs)] == [("cmam", 0), ("fa", 0), ("fa", 1)]
    (runs / "fa" / "fold1" / "seed1" / "config.json").unlink()
    with pytest.raises(DataError, match=r"seed1/config\.json is missing"):
        read_runs(runs)


def test_a_run_that_two_paths_lead_to_is_found_once(tmp_path):
    write_run(tmp_path, ".hidden", (2, 3))
    write_run(tmp_path, "fa", (2, 3))
    before = run_folder.find_runs(tmp_path)
    (tmp_path / "a_circle").symlink_to(tmp_path)
    (tmp_path / "best").symlink_to(tmp_path / "fa")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    assert [run.row for run in run_folder.find_runs(tmp_path)] == [".hidden", "fa"]
    assert run_folder.find_runs(tmp_path) == before


@pytest.mark.parametrize("seed", ["seed²", "seed", "seed-1", "seed1 copy"])
def test_folders_that_are_named_after_no_seed_are_no_runs(tmp_path, seed):
    write_run(tmp_path, "fa", (2, 3))
    (expected,) = run_folder.find_runs(tmp_path)
    shutil.copytree(expected.folder, expected.folder.with_name(seed))
    assert run_folder.find_runs(tmp_path) == [expected]


def test_runs_that_did_not_use_their_events_are_listed(tmp_path):
    write_run(tmp_path, "fa", (3, 3))
    folders = write_two_seeds(tmp_path, "cmam", (3, 3), "CMAM", "from_scratch")
    change_json(folders[0] / "result.json", uses_events=True)
    assert not any("did not use the events" in note for note in results_of(tmp_path).notes)
    change_json(folders[1] / "result.json", uses_events=False)
    notes = results_of(tmp_path).notes
    expected = "CMAM from scratch: training this row did not use the events in 1 of 2 runs."
    assert any(note.startswith(expected) for note in notes)


@pytest.mark.usefixtures("all_formats")
def test_files_of_an_earlier_report_do_not_stay(tmp_path):
    write_run(tmp_path / "runs", "fa", (2, 3), devices=("a", "b", "a", "b"))
    out = tmp_path / "report"
    first = write_report(tmp_path / "runs", out, resamples=RESAMPLES)
    assert {"table.csv", "devices.csv"} < set(first)
    (out / "notes.csv").write_text("mine")
    write_run(tmp_path / "runs", "other", (2, 3), corpus="other")
    second = write_report(tmp_path / "runs", out, resamples=RESAMPLES)
    assert {"table_demo.csv", "table_other.csv", "devices_demo.csv"} < set(second)
    own = {"notes.csv", WRITTEN}
    assert {path.name for path in out.iterdir()} == {*second, *own}
    # Without the list, nothing is removed.
    (out / WRITTEN).write_text("{")
    shutil.rmtree(tmp_path / "runs" / "other")
    third = write_report(tmp_path / "runs", out, resamples=RESAMPLES)
    assert {path.name for path in out.iterdir()} == {*second, *third, *own}
