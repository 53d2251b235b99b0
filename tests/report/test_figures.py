"""What the report writes for others: scores beyond accuracy, LaTeX, JSON, pictures of a whole corpus."""

import csv
import json
import math
import shutil
import subprocess

import pytest
from report.made_up_runs import write_run

from crossask.cli import report as command
from crossask.report import words, write_report
from crossask.report.collecting import group, read_runs
from crossask.report.latex import escape, to_latex
from crossask.report.tables import make_tables

RESAMPLES = 200


def test_rows_stand_in_the_order_of_table_3(tmp_path):
    wanted = [("DCASE2019", "from_scratch"), ("FA", "feature_based"), ("VEM", "feature_based")]
    wanted += [
        (system, strategy)
        for system in ("JRM", "CMAM")
        for strategy in ("from_scratch", "feature_based", "fine_tuning")
    ]
    for number, (system, strategy) in enumerate(reversed(wanted)):
        write_run(tmp_path, f"row{number}", (3, 3), system, strategy)
    rows = next(iter(group(read_runs(tmp_path)).values()))
    assert [(row.experiment["system"], row.experiment["strategy"]) for row in rows] == wanted
    (table,) = make_tables(read_runs(tmp_path), resamples=20)
    assert [line.title for line in table.rows][:4] == [
        "DCASE 2019 baseline",
        "FA",
        "VEM feature-based",
        "JRM from scratch",
    ]
    assert table.baseline.title == "FA"


def test_scores_of_the_probabilities_are_those_worked_by_hand(tmp_path):
    root = tmp_path / "runs"
    write_run(root, "fa", (2, 3))  # 15 of 24 clips right, every prediction at 0.9
    text = write_report(root, tmp_path / "out", resamples=RESAMPLES)["report.md"].read_text()
    log_loss = -(15 * math.log(0.9) + 9 * math.log(0.1)) / 24
    brier = (15 * 2 * 0.1**2 + 9 * 2 * 0.9**2) / 24
    assert f"| FA | {log_loss:.3f} | {brier:.3f} | {100 * (0.9 - 15 / 24):.1f} % |" in text
    assert "Seen cities" not in text


def test_seen_and_unseen_cities_stand_apart_where_the_run_says_which_it_has_heard(tmp_path):
    root = tmp_path / "runs"
    folder = write_run(
        root, "fa", (4, 4), places=4, cities=("lyon", "oslo"), training_cities=["lyon"]
    )
    lines = (folder / "predictions.csv").read_text().splitlines()
    # every clip of a bus in oslo taken for a park: unseen 50 %, seen 100 %
    lines = [line.replace("0.9,0.1", "0.1,0.9") if ",oslo,bus," in line else line for line in lines]
    (folder / "predictions.csv").write_text("\n".join(lines))
    paths = write_report(root, tmp_path / "out", resamples=RESAMPLES)
    assert "| 100.0 % (100.0 to 100.0) | 50.0 % (50.0 to 50.0) |" in paths["report.md"].read_text()
    (row,) = csv.DictReader(paths["table.csv"].open())
    assert (float(row["seen_macro_accuracy"]), float(row["unseen_macro_accuracy"])) == (1, 0.5)


def test_folds_that_heard_different_cities_tell_no_seen_from_unseen(tmp_path):
    for fold, city in (("1", "lyon"), ("2", "oslo")):
        write_run(
            tmp_path, "fa", (4, 4), fold=fold, training_cities=[city], fields={"folds": ("1", "2")}
        )
    (table,) = make_tables(read_runs(tmp_path), resamples=RESAMPLES)
    assert table.rows[0].summary["seen"] is None
    assert any("trained on different cities" in note for note in table.notes)


def test_spread_over_folds_and_spread_over_seeds_are_kept_apart(tmp_path):
    root = tmp_path / "runs"
    # fold 1 is right throughout, fold 2 half right; the seeds differ in nothing
    for seed in (0, 1):
        for fold, hits in (("1", (4, 4)), ("2", (2, 2))):
            write_run(root, "fa", hits, fold=fold, seed=seed, fields={"folds": ("1", "2")})
    text = write_report(root, tmp_path / "out", resamples=RESAMPLES)["report.md"].read_text()
    assert (
        f"| FA | 100.0 % | 50.0 % | 75.0 % | {100 * 0.5 / math.sqrt(2):.1f} | 0.0 | 0.0 |" in text
    )


def test_rows_whose_trainings_have_different_lengths_have_curves(tmp_path):
    root = tmp_path / "runs"
    write_run(root, "base", (3, 3), "DCASE2017", epochs=200)
    write_run(root, "fa", (3, 3), epochs=30)
    write_run(root, "fa", (3, 3), seed=1, epochs=7)  # stopped early
    paths = write_report(root, tmp_path / "out", resamples=RESAMPLES)
    for name in ("curves_base.png", "curves_fa.png", "scenes.png", "reliability.png"):
        assert paths[name].read_bytes().startswith(b"\x89PNG")


def test_the_json_holds_the_tables_figures_under_sorted_keys(tmp_path):
    root = tmp_path / "runs"
    for seed in (0, 1):
        write_run(root, "fa", (2, 3 - 2 * seed), seed=seed)
        write_run(root, "cmam", (4, 3), "CMAM", "feature_based", seed=seed)
    file = tmp_path / "results" / "demo.json"
    assert (
        command.main(
            [
                "crossask-report",
                f"--model_dir={root}",
                f"--out={tmp_path / 'out'}",
                f"--json={file}",
            ]
        )
        == 0
    )
    text = file.read_text()
    found = json.loads(text)
    assert text == json.dumps(found, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    (corpus,) = found["corpora"]
    assert (corpus["corpus"], corpus["digest"], corpus["comparisons"]) == ("demo", "f00d", 1)
    fa, cmam = corpus["rows"]
    assert (fa["name"], fa["seeds"], fa["folds"], fa["clips"], fa["locations"]) == (
        "fa",
        [0, 1],
        ["1"],
        24,
        6,
    )
    assert (fa["macro_accuracy"], fa["seed_macro_accuracies"], fa["difference"]) == (
        0.5,
        [0.625, 0.375],
        None,
    )
    assert fa["seed_deviation"] == pytest.approx(0.25 / math.sqrt(2), abs=1e-6)
    assert (
        cmam["difference"]["against"],
        cmam["difference"]["difference"],
        cmam["difference"]["verdict"],
    ) == ("fa", 0.375, "better")
    assert (
        cmam["difference"]["p_value"]
        == cmam["difference"]["adjusted_p_value"]
        == pytest.approx(2 / 2001, abs=1e-6)
    )
    assert found["versions"]["numpy"] == ["2.4.6"]
    assert str(tmp_path) not in text


def test_latex_escapes_what_latex_would_read(tmp_path):
    assert escape(r"a_b & 50 % {x} \y #1 $ ^ ~") == (
        r"a\_b \& 50 \% \{x\} \textbackslash{}y \#1 \$ \textasciicircum{} \textasciitilde{}"
    )
    write_run(tmp_path, "one_row", (2, 3), "CMAM", "feature_based")
    write_run(tmp_path, "50%_&_#", (2, 3), "CMAM", "feature_based")
    write_run(tmp_path, "fa", (3, 3))
    (table,) = make_tables(read_runs(tmp_path), resamples=RESAMPLES)
    text = to_latex(table)
    assert r"CMAM feature-based (50\%\_\&\_\#) & 62.5 & [62.5, 62.5]" in text
    assert r"\ensuremath{-}12.5" in text
    rows = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    columns = text[text.index(r"\begin{tabular}{") + 16 :].partition("}")[0]
    for line in (line for line in rows.splitlines() if line.endswith(r"\\")):
        assert line.replace(r"\&", "").count("&") == len(columns) - 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_the_latex_compiles(tmp_path):
    write_run(tmp_path / "runs", "50%_&_#^~{}", (2, 3), "CMAM", "feature_based")
    write_run(tmp_path / "runs", "fa", (3, 3))
    table = write_report(tmp_path / "runs", tmp_path / "out", resamples=RESAMPLES)[
        "table.tex"
    ].read_text()
    document = tmp_path / "paper.tex"
    document.write_text(
        rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{table}\end{{document}}"
    )
    ran = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", document.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-2000:]
    assert "Overfull" not in ran.stdout


def test_figures_of_counts_are_rounded_one_way():
    # 0.6125 and 0.6625 are ties of which floating point holds one a little above and one a little below
    assert [words.number(value) for value in (0.6125, 0.6625, 0.0725, 0.0, 0.724)] == [
        "61.3",
        "66.3",
        "7.3",
        "0.0",
        "72.4",
    ]
    assert [words.points(value) for value in (-0.0175, 0.0925, -0.0004, 0.0)] == [
        "−1.8",
        "+9.3",
        "0.0",
        "0.0",
    ]
