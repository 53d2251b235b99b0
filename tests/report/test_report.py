"""A report of made-up runs: every figure below is worked by hand from the predictions written here."""

import csv
import html.parser
import json
import re

import pytest
from report.made_up_runs import write_run

from crossask.errors import DataError
from crossask.report import sections, write_report
from crossask.report.collecting import group, read_runs
from crossask.report.forest import bar, scale
from crossask.report.rows import differing_choices
from crossask.report.tables import folds_text, make_tables
from crossask.report.words import points
from crossask.training import run_folder

RESAMPLES = 200


@pytest.fixture
def runs_root(tmp_path):
    root = tmp_path / "runs"
    write_run(root, "fa", (2, 3))
    write_run(root, "fa", (2, 1), seed=1)
    write_run(root, "cmam", (4, 3), "CMAM", "feature_based")
    write_run(root, "cmam", (4, 3), "CMAM", "feature_based", seed=1)
    write_run(root, "late", (4, 3), "CMAM", "fine_tuning", finished=False)
    return root


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_holds_the_figures_worked_by_hand(runs_root, tmp_path):
    paths = write_report(runs_root, tmp_path / "out", resamples=RESAMPLES)
    fa, cmam = rows_of(paths["table.csv"])
    # fa: (2/4 + 3/4) / 2 = 0.625 and (2/4 + 1/4) / 2 = 0.375; cmam: (1 + 3/4) / 2 twice
    assert (fa["row"], fa["system"], fa["seeds"], fa["clips"], fa["locations"]) == (
        "fa",
        "FA",
        "2",
        "24",
        "6",
    )
    assert float(fa["macro_accuracy"]) == pytest.approx(0.5)
    assert float(fa["seed_deviation"]) == pytest.approx(0.25 / 2**0.5, abs=1e-6)
    assert float(fa["validation_macro_accuracy"]) == pytest.approx(0.705)
    assert float(cmam["macro_accuracy"]) == pytest.approx(0.875)
    assert float(cmam["seed_deviation"]) == 0
    # every location of a scene is alike, so that the interval has no width
    assert [
        float(cmam[name]) for name in ("difference", "difference_low", "difference_high")
    ] == pytest.approx([0.375] * 3)
    assert (cmam["verdict"], cmam["baseline"], fa["difference"]) == ("better", "fa", "")
    assert (cmam["corpus"], cmam["folds"], cmam["parameters"]) == ("demo", "1", "1234567")


def test_the_conclusion_is_made_of_the_figures(runs_root):
    (table,) = make_tables(read_runs(runs_root), resamples=RESAMPLES)
    assert table.conclusion == (
        "On these 24 clips of 6 locations (demo, fold 1), CMAM feature-based is 37.5 points above FA (95 % interval +37.5 to +37.5)."
    )
    assert table.scope() == "demo, fold 1, macro accuracy, 24 clips, 6 locations"


def test_the_conclusion_speaks_of_the_row_that_validation_prefers_not_of_the_luckiest(tmp_path):
    write_run(tmp_path, "fa", (3, 3))
    write_run(tmp_path, "lucky", (4, 4), "CMAM", "from_scratch")
    chosen = write_run(tmp_path, "chosen", (3, 2), "CMAM", "feature_based")
    result = json.loads((chosen / "result.json").read_text())
    (chosen / "result.json").write_text(json.dumps(result | {"validation_macro_accuracy": 0.9}))
    (table,) = make_tables(read_runs(tmp_path), resamples=RESAMPLES)
    assert "the validation part prefers CMAM feature-based. On these 24 clips" in table.conclusion
    assert "12.5 points below FA" in table.conclusion


def test_an_interval_around_zero_is_no_finding(tmp_path):
    write_run(tmp_path, "fa", (3, 3))
    write_run(tmp_path, "same", (3, 3), "CMAM", "feature_based")
    (table,) = make_tables(read_runs(tmp_path), resamples=RESAMPLES)
    assert table.rows[1].difference["verdict"] == "cannot tell"
    assert table.conclusion.endswith("which is too little to tell the two apart.")


def test_unfinished_runs_are_listed_and_counted_in_no_figure(runs_root, tmp_path):
    write_run(runs_root, "fa", (0, 0), seed=7, finished=False)
    paths = write_report(runs_root, tmp_path / "out", resamples=RESAMPLES)
    assert [row["row"] for row in rows_of(paths["table.csv"])] == ["fa", "cmam"]
    assert float(rows_of(paths["table.csv"])[0]["macro_accuracy"]) == pytest.approx(0.5)
    for name in ("report.md", "report.html"):
        text = paths[name].read_text()
        assert "Unfinished, in no figure: late, fold 1, seed 0." in text
        assert "Unfinished, in no figure: fa, fold 1, seed 7." in text


def test_folds_are_pooled_and_their_mean_stands_beside(tmp_path):
    # fold 1 has three locations a scene, fold 2 has one: pooled, the larger fold weighs three times as much
    fields = {"folds": ("1", "2")}
    write_run(tmp_path, "fa", (4, 4), fields=fields)
    write_run(tmp_path, "fa", (0, 0), fold="2", places=1, fields=fields)
    (table,) = make_tables(read_runs(tmp_path), resamples=RESAMPLES)
    (line,) = table.rows
    assert line.summary["macro_accuracy"] == pytest.approx(0.75)
    assert line.mean_of_folds == pytest.approx(0.5)
    assert folds_text(line.row) == "folds 1, 2 pooled"


def test_a_seed_that_lacks_a_fold_is_left_out_and_named(tmp_path):
    fields = {"folds": ("1", "2", "3")}
    for fold, seed in (("1", 0), ("2", 0), ("1", 1)):
        write_run(tmp_path, "fa", (4 - seed, 4), fold=fold, seed=seed, fields=fields)
    (table,) = make_tables(read_runs(tmp_path), resamples=RESAMPLES)
    assert table.rows[0].row.seeds == (0,)
    assert table.rows[0].summary["macro_accuracy"] == 1
    assert folds_text(table.rows[0].row) == "folds 1, 2 of 1, 2, 3 pooled"
    assert any("seed 1 fold 1 left out" in note for note in table.notes)


def test_two_corpora_make_two_tables_and_no_comparison_between_them(tmp_path):
    root = tmp_path / "runs"
    write_run(root, "fa", (2, 3))
    write_run(root, "cmam", (4, 3), "CMAM", "feature_based")
    write_run(root, "other", (4, 4), "CMAM", "feature_based", corpus="esc10")
    demo, other = make_tables(read_runs(root), resamples=RESAMPLES)
    assert [line.row.name for line in demo.rows] == ["fa", "cmam"]
    assert [line.row.name for line in other.rows] == ["other"]
    assert other.baseline is None
    assert other.rows[0].difference is None
    paths = write_report(root, tmp_path / "out", resamples=RESAMPLES)
    assert {"table_demo.csv", "table_esc10.csv"} <= set(paths)
    assert "table.csv" not in paths
    text = paths["report.html"].read_text()
    assert text.count('<table class="results">') == 2
    assert text.count("<h2>") == 2


def test_one_name_over_different_recordings_is_two_corpora(tmp_path):
    write_run(tmp_path, "fa", (2, 3))
    path = write_run(tmp_path, "cmam", (4, 3), "CMAM", "feature_based") / "config.json"
    path.write_text(path.read_text().replace("f00d", "beef"))
    assert [table.title for table in make_tables(read_runs(tmp_path), resamples=RESAMPLES)] == [
        "demo (beef)",
        "demo (f00d)",
    ]


def test_rows_of_different_clips_are_shown_but_not_compared(tmp_path):
    write_run(tmp_path, "fa", (2, 3))
    write_run(tmp_path, "cmam", (4, 3), "CMAM", "feature_based", fold="2")
    (table,) = make_tables(read_runs(tmp_path), resamples=RESAMPLES)
    assert table.rows[1].difference is None
    assert "not comparable" in table.rows[1].difference_missing


@pytest.mark.parametrize(
    ("corpus", "places", "expected"),
    [("demo", 3, None), ("tau2019", 3, None), ("tut2017", 585, 81.7)],
)
def test_the_papers_score_stands_only_beside_scores_of_its_own_clips(
    tmp_path, corpus, places, expected
):
    # 2 scenes x 585 locations x 4 clips = 4,680, the clips of TUT 2017
    write_run(tmp_path, "fa", (3, 3), corpus=corpus, places=places, fields={"paper_score": 81.7})
    (table,) = make_tables(read_runs(tmp_path), resamples=5)
    assert table.rows[0].paper_percent == expected
    assert any("paper's scores are left out" in note for note in table.notes) == (
        corpus == "tau2019"
    )


def test_rows_stand_in_the_order_of_the_configs_or_fa_first(tmp_path):
    for name, system in (("aaa", "CMAM"), ("zzz", "FA"), ("mmm", "CMAM")):
        write_run(tmp_path, name, (3, 3), system)
    assert [row.name for row in next(iter(group(read_runs(tmp_path)).values()))] == [
        "zzz",
        "aaa",
        "mmm",
    ]
    for order, name in enumerate(("mmm", "aaa", "zzz")):
        path = tmp_path / name / "fold1" / "seed0" / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"order": order}))
    assert [row.name for row in next(iter(group(read_runs(tmp_path)).values()))] == [
        "mmm",
        "aaa",
        "zzz",
    ]


def test_what_a_reader_must_know_of_a_row_stands_beside_the_table(tmp_path):
    write_run(tmp_path, "fa", (3, 3))
    write_run(tmp_path, "vem", (4, 4), system="VEM", fields={"note": "Flatters."})
    (table,) = make_tables(read_runs(tmp_path))
    assert "VEM from scratch: Flatters." in table.notes
    assert "note" not in differing_choices(table.rows)[0]


def test_the_drift_of_a_trained_event_model_stands_beyond_accuracy(tmp_path):
    write_run(tmp_path, "fa", (3, 3))
    for seed, drift in ((0, 0.5), (1, 1.0)):
        folder = write_run(
            tmp_path, "cmam", (4, 4), system="CMAM", strategy="fine_tuning", seed=seed
        )
        result = json.loads((folder / "result.json").read_text())
        (folder / "result.json").write_text(json.dumps(result | {"embedding_drift": drift}))
    (table,) = make_tables(read_runs(tmp_path))
    grid = sections.beyond_accuracy(table)
    assert grid.header[-1] == "Embedding drift"
    assert {line[0]: line[-1] for line in grid.body} == {"FA": "–", "CMAM fine-tuning": "0.75"}


def test_rows_of_unequal_training_are_named(tmp_path):
    write_run(tmp_path, "baseline", (3, 3), system="DCASE2019", fields={"training.epochs": 200})
    write_run(tmp_path, "fa", (3, 3), fields={"training.epochs": 20})
    write_run(tmp_path, "cmam", (4, 4), system="CMAM", fields={"training.epochs": 20})
    assert not [note for note in make_tables(read_runs(tmp_path))[0].notes if "epochs" in note]
    write_run(tmp_path, "vem", (4, 4), system="VEM", fields={"training.epochs": 3})
    (told,) = [note for note in make_tables(read_runs(tmp_path))[0].notes if "epochs" in note]
    assert "(20 for FA, CMAM from scratch; 3 for VEM from scratch)" in told


def test_rows_of_one_system_and_strategy_are_told_apart_by_name(tmp_path):
    for name in ("plain", "shuffled"):
        write_run(tmp_path, name, (3, 3), "CMAM", "feature_based")
    (table,) = make_tables(read_runs(tmp_path), resamples=RESAMPLES)
    assert [line.title for line in table.rows] == [
        "CMAM feature-based (plain)",
        "CMAM feature-based (shuffled)",
    ]


class _Links(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.tags, self.open = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in ("meta", "img", "br", "line", "circle"):
            self.open.append(tag)
        self.found += [
            value
            for name, value in attributes
            if name in ("src", "href", "srcset", "action", "data", "xlink:href")
        ]

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_holds_every_row_and_asks_nothing_of_the_network(runs_root, tmp_path):
    paths = write_report(runs_root, tmp_path / "out", resamples=RESAMPLES)
    text = paths["report.html"].read_text()
    page = _Links()
    page.feed(text)
    assert page.open == []  # every element is closed
    assert page.found
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in page.found)
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert page.tags.count("img") == 6
    bare = re.sub(r"data:image/png;base64,[^\"]+", "", text)
    assert "http" not in bare
    assert "url(" not in bare
    assert "@import" not in bare
    for words in (
        "<strong>FA</strong>",
        "<strong>CMAM feature-based</strong>",
        "50.0 %",
        "87.5 %",
        "+37.5",
        "better",
        "numpy 2.4.6",
    ):
        assert words in bare
    assert "demo, fold 1, macro accuracy, 24 clips, 6 locations" in bare


def test_names_from_outside_cannot_break_page_or_markdown(tmp_path):
    root = tmp_path / "runs"
    folder = write_run(root, "fa", (3, 3))
    settings = json.loads((folder / "config.json").read_text())
    settings["corpus"]["name"] = "<b>a|b</b>"
    (folder / "config.json").write_text(json.dumps(settings))
    paths = write_report(root, tmp_path / "out", resamples=RESAMPLES)
    assert "<b>" not in paths["report.html"].read_text()
    assert "&lt;b&gt;a|b&lt;/b&gt;" in paths["report.html"].read_text()
    assert "<b>" not in paths["report.md"].read_text()


def test_only_choices_in_which_rows_differ_stand_in_the_open(tmp_path):
    root = tmp_path / "runs"
    write_run(root, "fa", (3, 3), fields={"training.epochs": 7})
    write_run(root, "cmam", (3, 3), "CMAM", "feature_based", fields={"training.epochs": 9})
    text = write_report(root, tmp_path / "out", resamples=RESAMPLES)["report.html"].read_text()
    before, _, shared = text.partition("<details>")
    assert '<th scope="row">training.epochs</th><td>7</td><td>9</td>' in before
    assert "training.batch_size" not in before
    assert '<th scope="row">training.batch_size</th><td>32</td>' in shared


def test_the_same_runs_give_the_same_bytes(runs_root, tmp_path):
    first = write_report(runs_root, tmp_path / "a", resamples=RESAMPLES)
    second = write_report(runs_root, tmp_path / "b", resamples=RESAMPLES)
    assert list(first) == list(second)
    for name in first:
        assert first[name].read_bytes() == second[name].read_bytes(), name
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == sorted(first)


def test_every_picture_of_the_markdown_exists(runs_root, tmp_path):
    paths = write_report(runs_root, tmp_path / "out", resamples=RESAMPLES)
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", paths["report.md"].read_text())
    assert sorted(pictures) == sorted(name for name in paths if name.endswith(".png"))
    assert all((tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG") for name in pictures)


def test_nothing_to_report_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match="no runs below"):
        write_report(tmp_path / "missing", tmp_path / "out")
    write_run(tmp_path, "fa", (3, 3), finished=False)
    with pytest.raises(DataError, match=r"None of the 1 runs .* has predictions\.csv") as caught:
        write_report(tmp_path, tmp_path / "out")
    assert "crossask-" in caught.value.fix
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["config.json", "history.csv", "result.json"])
def test_a_file_missing_beside_predictions_is_named(runs_root, tmp_path, name):
    (runs_root / "fa" / "fold1" / "seed0" / name).unlink()
    with pytest.raises(DataError, match=re.escape(name)):
        write_report(runs_root, tmp_path / "out")


def test_runs_of_one_row_with_different_choices_are_refused(tmp_path):
    write_run(tmp_path, "fa", (3, 3))
    write_run(tmp_path, "fa", (3, 3), seed=1, fields={"training.learning_rate": 0.1})
    with pytest.raises(
        DataError, match=r"training\.learning_rate is 0\.0003 in the first and 0\.1 in the second"
    ):
        make_tables(read_runs(tmp_path))


@pytest.mark.parametrize(
    ("value", "text"), [(0.0312, "+3.1"), (-0.05, "−5.0"), (-0.0001, "0.0"), (0.0, "0.0")]
)
def test_points_have_a_true_sign_and_zero_has_none(value, text):
    assert points(value) == text


def test_interval_bars_of_a_column_share_one_scale():
    scaled = scale([(0.62, 0.71), (0.55, 0.66)])
    assert scaled == (55, 75, [55, 60, 65, 70, 75])
    drawn = bar(0.55, 0.65, 0.75, scaled, "plain", "a label")
    # margins of 14 in a width of 220: 55 stands at 14, 65 in the middle, 75 at 206
    assert 'class="span" x1="14.0" x2="206.0"' in drawn
    assert 'cx="110.0"' in drawn
    assert scale([(0.02, 0.04)], zero=True)[0] == 0


def test_runs_are_found_by_a_relative_path_and_from_inside(tmp_path, monkeypatch):
    write_run(tmp_path / "runs", "fa", (2, 3))
    (expected,) = run_folder.find_runs(tmp_path / "runs")
    for place, root in (
        (tmp_path, "runs"),
        (tmp_path / "runs", "."),
        (expected.folder, "."),
        (tmp_path, expected.folder.parent),
    ):
        monkeypatch.chdir(place)
        (found,) = run_folder.find_runs(root)
        assert [run.row for run in read_runs(root)] == ["fa"]
        assert (found.row, found.fold, found.seed) == ("fa", "1", 0)
        assert (found.folder / "config.json").is_file()
    monkeypatch.chdir(tmp_path)
    assert write_report("runs", "out", resamples=RESAMPLES)["report.md"].is_file()
