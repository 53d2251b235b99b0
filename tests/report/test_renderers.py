"""The files of a report: the page, Markdown, LaTeX, CSV, JSON and figures."""

import csv
import dataclasses
import html.parser
import io
import json
import math
import re
import shlex
import shutil
import subprocess
import zlib
from pathlib import Path
from xml.etree import ElementTree

import markupsafe
import pytest
from fontTools.ttLib import TTFont
from matplotlib import font_manager
from matplotlib.figure import Figure
from report.made_up_runs import MACHINE, change_json, write_run

from crossask.cli import report as command
from crossask.report import (
    WRITTEN,
    content,
    figures,
    formatting,
    renderers,
    score_sections,
    sections,
    write_report,
)
from crossask.report.content import Bar
from crossask.report.corpus import make_results
from crossask.report.runs import read_runs

RESAMPLES = 200
HOSTILE_NAMES = (
    "</script></style><script>alert(1)</script><img src=x onerror=alert(1)>",
    '"onload="alert(1)\r\n# b\n# b\r# b',
    "=HYPERLINK(1)",
    "@SUM(1)",
    "\t=1",
    "../../../../evil",
    "[a](javascript:alert(1))",
    "$x^",
)


@pytest.fixture(name="runs_root")
def fixture_runs_root(tmp_path):
    root = tmp_path / "runs"
    for seed in (0, 1):
        write_run(root, "fa", (2, 3 - 2 * seed), seed=seed)
        write_run(root, "cmam", (4, 3), "CMAM", "feature_based", seed=seed)
    write_run(root, "late", (4, 3), "CMAM", "fine_tuning", finished=False)
    return root


def markdown_of(root, out_dir):
    return write_report(root, out_dir, resamples=RESAMPLES)["report.md"].read_text()


def page_of(root, out_dir):
    return write_report(root, out_dir, resamples=RESAMPLES)["report.html"].read_text()


class _Page(html.parser.HTMLParser):
    """The tags and links of a page; fails at an element that is closed in the wrong place."""

    VOID = ("meta", "img", "br", "line", "circle", "wbr")
    LINKS = ("src", "href", "srcset", "action", "data", "xlink:href")

    def __init__(self, text):
        super().__init__()
        self.links = []
        self.ids = []
        self.tags = []
        self.open = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self.links += [value for name, value in attributes if name in self.LINKS]
        self.ids += [value for name, value in attributes if name == "id"]

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_complete_and_loads_nothing(runs_root, tmp_path):
    paths = write_report(runs_root, tmp_path / "out", resamples=RESAMPLES)
    text = paths["report.html"].read_text()
    page = _Page(text)
    assert page.open == []
    inside = [link for link in page.links if link.startswith("#")]
    others = [link for link in page.links if not link.startswith(("data:image/png;base64,", "#"))]
    # The contents lead to every section, and the links to every file of the report.
    parts = set(re.findall(r'<details id="(\w+)"(?: open)?><summary>(?!<h3>)', text))
    assert {"FA", "CMAM_feature_based", "FA_15_of_24_clips"} <= parts
    assert sorted(inside) == sorted(f"#{name}" for name in set(page.ids) - parts)
    assert len(page.ids) == len(set(page.ids))
    assert sorted(others) == sorted(set(paths) - {"report.html"})
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert page.tags.count("img") == 6
    bare = re.sub(r"data:image/png;base64,[^\"]+", "", text)
    for loading in ("http", "url(", "@import"):
        assert loading not in bare
    for words in (
        "<strong>FA</strong>",
        "<strong>CMAM feature-based</strong>",
        "50.0 %",
        "87.5 %",
        "+37.5",
        "better",
        "numpy 2.4.6",
        "demo, fold 1, macro accuracy, 24 clips, 6 locations",
    ):
        assert words in bare


def test_names_from_outside_cannot_break_page_or_markdown(tmp_path):
    root = tmp_path / "runs"
    folder = write_run(root, "fa", (3, 3))
    corpus = json.loads((folder / "config.json").read_text())["corpus"]
    change_json(folder / "config.json", corpus=corpus | {"name": "<b>a|b</b>"})
    paths = write_report(root, tmp_path / "out", resamples=RESAMPLES)
    assert "<b>" not in paths["report.html"].read_text()
    assert "&lt;b&gt;a|b&lt;/b&gt;" in paths["report.html"].read_text()
    assert "<b>" not in paths["report.md"].read_text()


@pytest.mark.parametrize("hostile", HOSTILE_NAMES)
def test_no_name_or_note_from_a_run_breaks_out_of_any_file_of_a_report(hostile, tmp_path):
    root = tmp_path / "runs"
    for name, results, system in (("fa", (3, 3), "FA"), ("cmam", (4, 3), "CMAM")):
        folder = write_run(root, name, results, system)
        config = json.loads((folder / "config.json").read_text())
        change_json(
            folder / "config.json",
            corpus=config["corpus"] | {"name": hostile},
            experiment=config["experiment"] | {"name": f"{hostile}{name}", "notes": hostile},
            versions={hostile: hostile},
        )
    paths = write_report(root, tmp_path / "out", resamples=RESAMPLES)
    out = (tmp_path / "out").resolve()
    for name, path in paths.items():
        assert path.resolve().parent == out, name
    page = _Page(paths["report.html"].read_text())
    assert not {"script", "object", "iframe"} & set(page.tags)
    assert not any(link.lower().strip().startswith("javascript") for link in page.links)
    markdown = paths["report.md"].read_text()
    assert "<script" not in markdown
    assert "\n# b" not in markdown
    for path in out.glob("*.csv"):
        with open(path, newline="", encoding="utf-8") as file:
            for line in csv.reader(file):
                for cell in line:
                    is_number = re.fullmatch(r"-?\d+(\.\d+)?", cell)
                    assert is_number or not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    for path in out.glob("*.svg"):
        tags = {element.tag for element in ElementTree.parse(path).iter()}
        assert not any(tag.endswith(("script", "}a")) for tag in tags)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("*a* [b](c) `d` ~e~ &lt; |", r"\*a\* \[b\](c) \`d\` \~e\~ \&lt; \|"),
        ("<img>", "&lt;img>"),
        ("_a_ and a_b", r"\_a\_ and a_b"),
        ("# a\n# b", r"\# a # b"),
        # Other ends of lines.
        ("a\r# b", "a # b"),
        ("a\r\n# b\v# c\u2028# d", "a # b # c # d"),
        ("1. a", r"1\. a"),
        ("1.5 points", "1.5 points"),
        ("- a", r"\- a"),
    ],
)
def test_names_are_no_markup_in_markdown(text, escaped):
    report = content.Report([], [], [text], [], {})
    assert f"\n- {escaped}\n" in renderers.markdown(report)


def test_numbers_in_a_csv_stay_numbers_and_names_are_text(tmp_path):
    write_run(tmp_path / "runs", "fa", (4, 3))
    write_run(tmp_path / "runs", "=cmd", (2, 3), "CMAM", "feature_based")
    paths = write_report(tmp_path / "runs", tmp_path / "out", resamples=RESAMPLES)
    _, cmam = csv.DictReader(paths["table.csv"].read_text().splitlines())
    assert (cmam["row"], cmam["difference"]) == ("'=cmd", "-0.25")
    lines = list(csv.DictReader(paths["misclassified.csv"].read_text().splitlines()))
    assert {line["row"] for line in lines} == {"fa", "'=cmd"}


def test_fields_that_all_rows_share_are_collapsed(tmp_path):
    root = tmp_path / "runs"
    write_run(root, "fa", (3, 3), fields={"training.epochs": 7})
    write_run(root, "cmam", (3, 3), "CMAM", "feature_based", fields={"training.epochs": 9})
    text = page_of(root, tmp_path / "out")
    text = re.sub(r' class="[^"]*"|<wbr>', "", text)
    title = re.search(r"<summary>\d+ choices that all rows share</summary>", text)
    shown = text[: title.start()]
    collapsed = text[title.end() :]
    assert shown.endswith('share">')
    assert '<th scope="row">training.epochs</th><td>7</td><td>9</td>' in shown
    assert "training.batch_size" not in shown
    assert '<th scope="row">training.batch_size</th><td>32</td>' in collapsed


@pytest.mark.usefixtures("all_formats")
def test_the_same_runs_give_the_same_bytes(runs_root, tmp_path):
    first = write_report(runs_root, tmp_path / "a", resamples=RESAMPLES)
    second = write_report(runs_root, tmp_path / "b", resamples=RESAMPLES)
    assert list(first) == list(second)
    for name in first:
        assert first[name].read_bytes() == second[name].read_bytes(), name
    assert {path.name for path in (tmp_path / "a").iterdir()} == {*first, WRITTEN}


def test_date_command_version_and_machine_are_arguments_and_records(runs_root, tmp_path):
    for run in ("fa/fold1/seed0", "cmam/fold1/seed0"):
        path = runs_root / run / "config.json"
        versions = json.loads(path.read_text())["versions"]
        change_json(path, versions=versions | {"commit": f"c0ffee-{run[:2]}"})
    provenance = content.Provenance(
        "2026-11-28 23:40 UTC", "crossask report --out='a <b>'", "crossask 0.2, commit abc"
    )
    paths = write_report(runs_root, tmp_path / "out", resamples=RESAMPLES, provenance=provenance)
    facts = {
        "Written": "2026-11-28 23:40 UTC, by crossask 0.2, commit abc",
        "Command": "crossask report --out='a <b>'",
        "Trained with": "crossask 0.1.0, commit c0ffee-cm and c0ffee-fa",
        "Trained on": "2 cores, a model, 7.8 GiB",
    }
    page = re.sub("</?code>", "", paths["report.html"].read_text())
    for name, value in facts.items():
        assert f"<dt>{name}</dt><dd>{markupsafe.escape(value)}</dd>" in page
        assert f"- {name}: {value.replace('<', '&lt;')}\n" in paths["report.md"].read_text()
    # Without it, a report on the same runs has the same bytes on every day.
    assert "Written" not in page_of(runs_root, tmp_path / "undated")


def test_the_command_writes_its_own_command_into_the_report(runs_root, tmp_path):
    flags = [f"--model_dir={runs_root}", f"--out={tmp_path / 'the out'}", "--baseline=cmam"]
    assert command.main(["crossask-report", *flags]) == 0
    text = (tmp_path / "the out" / "report.md").read_text()
    line = re.search(r"- Command: (.*)", text)[1]
    assert shlex.split(line)[:2] == ["crossask", "report"]
    assert sorted(shlex.split(line)[2:]) == sorted(flags)
    assert re.search(r"- Written: \d{4}-\d\d-\d\d \d\d:\d\d UTC, by crossask ", text)


@pytest.mark.usefixtures("all_formats")
def test_every_picture_is_also_an_svg_and_a_pdf(runs_root, tmp_path):
    paths = write_report(runs_root, tmp_path / "out", resamples=RESAMPLES)
    names = [Path(name).stem for name in paths if name.endswith(".png")]
    assert "confusion_fa" in names
    for name in names:
        assert paths[f"{name}.svg"].read_text().startswith("<?xml")
        assert paths[f"{name}.pdf"].read_bytes().startswith(b"%PDF")
        assert b"CreationDate" not in paths[f"{name}.pdf"].read_bytes()
        assert "<dc:date>" not in paths[f"{name}.svg"].read_text()


@pytest.mark.usefixtures("all_formats")
def test_the_fonts_of_a_pdf_have_glyphs_and_no_tables_to_lay_out_text():
    def draw():
        figure = Figure(layout="constrained")
        figure.add_subplot(title="first AV, fi")
        return figure

    content = figures.drawn(draw)["pdf"]
    streams = re.findall(rb"/Length1 .*?stream\n(.*?)\nendstream", content, re.DOTALL)
    # Ligatures have a font of their own.
    assert len(streams) == 2
    for stream in streams:
        font = TTFont(io.BytesIO(zlib.decompress(stream)))
        assert font["maxp"].numGlyphs > 1
        assert not set(font.keys()) & {"GDEF", "GPOS", "GSUB", "kern"}
    assert "GSUB" in TTFont(font_manager.findfont("DejaVu Sans"))


def test_names_with_dollar_signs_are_no_formulas_in_pictures(tmp_path):
    for name in ("$_{$", "$x$"):
        write_run(tmp_path / "runs", name, (2, 3), "CMAM", "feature_based")
    paths = write_report(tmp_path / "runs", tmp_path / "out", resamples=RESAMPLES)
    assert paths["scenes.png"].read_bytes().startswith(b"\x89PNG")


def test_no_title_is_wider_than_its_picture(tmp_path):
    write_run(tmp_path, "fa", (3, 3), corpus="a corpus with a long name and another word")
    (results,) = make_results(read_runs(tmp_path), resamples=20)
    figure = figures.confusion(results.rows[0], results.scope())
    figure.draw_without_rendering()
    title = figure.get_suptitle()
    assert "a corpus with a long name" in title
    assert figure._suptitle.get_window_extent().x1 <= figure.bbox.x1


def test_a_long_table_is_folded(tmp_path):
    for number in range(renderers.MOST_LINES + 1):
        write_run(tmp_path / "runs", f"cmam_{number}", (2, 3), "CMAM", "feature_based")
    (results,) = make_results(read_runs(tmp_path / "runs"), resamples=20)
    lines = [(row.title, "1") for row in results.rows]
    few = content.Section("Few", header=["Row", "x"], lines=lines[:-1])
    many = content.Section("Many", header=["Row", "x"], lines=lines)
    report = sections.report([results], {})
    corpus = dataclasses.replace(report.corpora[0], sections=[few, many])
    text = renderers.html(dataclasses.replace(report, corpora=[corpus]))
    assert text.count("<summary>21 lines</summary>") == 1
    assert "<summary>20 lines</summary>" not in text


def test_every_picture_of_the_markdown_exists(runs_root, tmp_path):
    paths = write_report(runs_root, tmp_path / "out", resamples=RESAMPLES)
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", paths["report.md"].read_text())
    assert sorted(pictures) == sorted(name for name in paths if name.endswith(".png"))
    for name in pictures:
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")


def test_files_of_several_corpora_have_different_names(tmp_path):
    root = tmp_path / "runs"
    write_run(root, "a b", (2, 3))
    write_run(root, "a_b", (2, 3), "CMAM", "feature_based")
    write_run(root, "demo", (4, 4), "CMAM", "feature_based", corpus="esc10")
    paths = write_report(root, tmp_path / "out", resamples=RESAMPLES)
    assert {"table_demo.csv", "table_esc10.csv", "scenes_demo.png", "scenes_esc10.png"} <= set(
        paths
    )
    assert "table.csv" not in paths
    assert {"confusion_a_b.png", "confusion_a_b_2.png", "confusion_demo_2.png"} <= set(paths)
    text = paths["report.html"].read_text()
    assert text.count('<table class="results">') == 2
    assert text.count("<h2 ") == 2


def test_histories_of_different_lengths_have_curves(tmp_path):
    root = tmp_path / "runs"
    write_run(root, "base", (3, 3), "DCASE2017", epochs=200)
    write_run(root, "fa", (3, 3), epochs=30)
    # Stopped early.
    write_run(root, "fa", (3, 3), seed=1, epochs=7)
    paths = write_report(root, tmp_path / "out", resamples=RESAMPLES)
    for name in ("curves_base.png", "curves_fa.png", "scenes.png", "reliability.png"):
        assert paths[name].read_bytes().startswith(b"\x89PNG")


def test_runs_without_a_validation_part_have_a_dash_in_every_format(tmp_path):
    root = tmp_path / "runs"
    write_run(root, "fa", (2, 3))
    write_run(root, "cmam", (4, 3), "CMAM", "feature_based", validation=0)
    file = tmp_path / "results.json"
    paths = write_report(root, tmp_path / "out", resamples=RESAMPLES, json_file=file)
    markdown = paths["report.md"].read_text()
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    header, _, fa, cmam = lines[:4]
    column = [cell.strip() for cell in header.split("|")].index("Validation")
    assert [line.split("|")[column].strip() for line in (fa, cmam)] == ["70.0 %", "–"]
    assert "50 clips in the training part, no validation part" in markdown
    page = paths["report.html"].read_text()
    assert '<span class="label">validation part </span>–' in page
    table = list(csv.DictReader(paths["table.csv"].read_text().splitlines()))
    assert [line["validation_macro_accuracy"] for line in table] == ["0.7", ""]
    (results,) = json.loads(file.read_text())["corpora"]
    assert [row["validation_macro_accuracy"] for row in results["rows"]] == [0.7, None]
    assert paths["curves_cmam.png"].read_bytes().startswith(b"\x89PNG")


def test_interval_bars_of_a_column_share_one_scale():
    scale = renderers.scale([Bar(0.62, 0.65, 0.71), Bar(0.55, 0.6, 0.66)])
    assert (scale.low, scale.high, scale.ticks) == (55, 75, (55, 60, 65, 70, 75))
    # With margins of 14 in a width of 220, 55 is at 14, 65 in the middle and 75 at 206.
    assert [scale.x(percent) for percent in (55, 65, 75)] == [14.0, 110.0, 206.0]
    assert renderers.scale([Bar(0.02, 0.03, 0.04)], with_zero=True).low == 0


def test_an_interval_is_drawn_where_the_scale_says(runs_root, tmp_path):
    text = page_of(runs_root, tmp_path / "out")
    (results,) = make_results(read_runs(runs_root), resamples=RESAMPLES)
    bars = [line.bar for line in sections.results_table(results).lines]
    scale = renderers.scale(bars)
    for bar in bars:
        left = scale.x(100 * bar.low)
        right = scale.x(100 * bar.high)
        assert f'<line class="span" x1="{left}" x2="{right}"' in text
        assert f'<circle cx="{scale.x(100 * bar.value)}"' in text


def test_latex_escapes_what_latex_would_interpret(tmp_path):
    assert renderers.latex_text(r"a_b & 50 % {x} \y #1 $ ^ ~") == (
        r"a\_b \& 50 \% \{x\} \textbackslash{}y \#1 \$ \textasciicircum{} \textasciitilde{}"
    )
    # An empty line would end the paragraph.
    assert renderers.latex_text("a\n\n\f\x00b\x7f") == "a    b "
    write_run(tmp_path, "one_row", (2, 3), "CMAM", "feature_based")
    write_run(tmp_path, "50%_&_#", (2, 3), "CMAM", "feature_based")
    write_run(tmp_path, "fa", (3, 3))
    (results,) = make_results(read_runs(tmp_path), resamples=RESAMPLES)
    table = sections.results_table(results)
    text = renderers.latex(table)
    assert r"CMAM feature-based (50\%\_\&\_\#) & 62.5 & --" in text
    assert r"\ensuremath{-}12.5" in text
    columns = re.search(r"\\begin\{tabular\}\{(\w+)\}", text).group(1)
    rows = text[text.index(r"\toprule") : text.index(r"\bottomrule")].splitlines()
    for row in rows:
        if row.endswith(r"\\"):
            assert row.replace(r"\&", "").count("&") == len(columns) - 1
    # \\[9cm] is the end of a line with a distance.
    lines = [dataclasses.replace(line, title="[9cm]") for line in table.lines]
    text = renderers.latex(dataclasses.replace(table, lines=lines))
    assert text.count("\n{}[9cm] &") == len(lines)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_the_latex_compiles(tmp_path):
    write_run(tmp_path / "runs", "50%_&_#^~{}", (2, 3), "CMAM", "feature_based")
    write_run(tmp_path / "runs", "fa", (3, 3))
    paths = write_report(tmp_path / "runs", tmp_path / "out", resamples=RESAMPLES)
    document = tmp_path / "paper.tex"
    document.write_text(
        r"\documentclass{article}\usepackage{booktabs}\begin{document}"
        f"{paths['table.tex'].read_text()}"
        r"\end{document}"
    )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", document.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout


def test_the_csv_contains_the_figures_worked_by_hand(runs_root, tmp_path):
    paths = write_report(runs_root, tmp_path / "out", resamples=RESAMPLES)
    fa, cmam = csv.DictReader(paths["table.csv"].read_text().splitlines())
    # fa: (2/4 + 3/4) / 2 = 0.625 and (2/4 + 1/4) / 2 = 0.375; cmam: (1 + 3/4) / 2 twice
    assert (fa["row"], fa["system"], fa["seeds"]) == ("fa", "FA", "2")
    assert (fa["clips"], fa["locations"]) == ("24", "6")
    assert float(fa["macro_accuracy"]) == pytest.approx(0.5)
    assert float(fa["seed_deviation"]) == pytest.approx(0.25 / 2**0.5, abs=1e-6)
    assert float(fa["validation_macro_accuracy"]) == pytest.approx(0.705)
    assert float(cmam["macro_accuracy"]) == pytest.approx(0.875)
    assert float(cmam["seed_deviation"]) == 0
    # Every location of a scene is alike, so the interval is that of the seeds: a standard error of
    # 0.25 / sqrt(2) / sqrt(2) times 12.7, beyond the possible differences.
    assert float(cmam["difference"]) == pytest.approx(0.375)
    assert (float(cmam["difference_low"]), float(cmam["difference_high"])) == (-1, 1)
    assert (cmam["verdict"], cmam["baseline"], fa["difference"]) == ("cannot tell", "fa", "")
    assert (cmam["corpus"], cmam["folds"], cmam["parameters"]) == ("demo", "1", "1234567")


def test_the_json_has_the_tables_figures_under_sorted_keys(runs_root, tmp_path):
    file = tmp_path / "results" / "demo.json"
    flags = [f"--model_dir={runs_root}", f"--out={tmp_path / 'out'}", f"--json={file}"]
    assert command.main(["crossask-report", *flags]) == 0
    text = file.read_text()
    content = json.loads(text)
    assert text == json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    (corpus,) = content["corpora"]
    assert (corpus["corpus"], corpus["digest"], corpus["comparisons"]) == ("demo", "f00d", 1)
    fa, cmam = corpus["rows"]
    assert (fa["name"], fa["seeds"], fa["folds"]) == ("fa", [0, 1], ["1"])
    assert (fa["clips"], fa["locations"]) == (24, 6)
    assert (fa["macro_accuracy"], fa["seed_macro_accuracies"]) == (0.5, [0.625, 0.375])
    assert fa["seed_deviation"] == pytest.approx(0.25 / math.sqrt(2), abs=1e-6)
    assert fa["difference"] is None
    difference = cmam["difference"]
    assert (difference["against"], difference["verdict"]) == ("fa", "cannot tell")
    assert difference["difference"] == 0.375
    # Student's t of 0.375 / 0.125 = 3 with one degree of freedom.
    assert difference["p_value"] == pytest.approx(1 - 2 / math.pi * math.atan(3), abs=1e-6)
    assert difference["adjusted_p_value"] == difference["p_value"]
    assert content["versions"]["numpy"] == ["2.4.6"]
    # Both rows were trained on one machine.
    assert content["machines"] == [MACHINE]
    assert str(tmp_path) not in text


def test_unfinished_runs_are_listed(runs_root, tmp_path):
    write_run(runs_root, "fa", (0, 0), seed=7, finished=False)
    paths = write_report(runs_root, tmp_path / "out", resamples=RESAMPLES)
    for name in ("report.md", "report.html"):
        text = paths[name].read_text()
        assert "Unfinished and not included: late, fold 1, seed 0." in text
        assert "Unfinished and not included: fa, fold 1, seed 7." in text


def test_scores_of_the_probabilities_are_those_worked_by_hand(tmp_path):
    # 15 of 24 clips are correct, every prediction has the probability 0.9.
    write_run(tmp_path / "runs", "fa", (2, 3))
    text = markdown_of(tmp_path / "runs", tmp_path / "out")
    log_loss = -(15 * math.log(0.9) + 9 * math.log(0.1)) / 24
    brier = (15 * 2 * 0.1**2 + 9 * 2 * 0.9**2) / 24
    error = 100 * (0.9 - 15 / 24)
    assert f"| FA | {log_loss:.3f} | {brier:.3f} | {error:.1f} % |" in text
    assert "Seen cities" not in text


def test_seen_and_unseen_cities_have_scores_if_the_training_cities_are_known(tmp_path):
    root = tmp_path / "runs"
    cities = ("lyon", "oslo")
    folder = write_run(root, "fa", (4, 4), places=4, cities=cities, training_cities=["lyon"])
    # Every clip of a bus in oslo is predicted as a park: unseen 50 %, seen 100 %.
    lines = []
    for line in (folder / "predictions.csv").read_text().splitlines():
        lines.append(line.replace("0.9,0.1", "0.1,0.9") if ",oslo,bus," in line else line)
    (folder / "predictions.csv").write_text("\n".join(lines))
    paths = write_report(root, tmp_path / "out", resamples=RESAMPLES)
    assert "| 100.0 % | 50.0 % |" in paths["report.md"].read_text()
    (row,) = csv.DictReader(paths["table.csv"].open())
    assert (float(row["seen_macro_accuracy"]), float(row["unseen_macro_accuracy"])) == (1, 0.5)


def test_the_spread_over_folds_and_over_seeds_is_shown_apart(tmp_path):
    root = tmp_path / "runs"
    # All clips of fold 1 are correct, half of fold 2; the seeds are equal.
    for seed in (0, 1):
        for fold, hits in (("1", (4, 4)), ("2", (2, 2))):
            write_run(root, "fa", hits, fold=fold, seed=seed, fields={"folds": ("1", "2")})
    text = markdown_of(root, tmp_path / "out")
    deviation = 100 * 0.5 / math.sqrt(2)
    assert f"| FA | 100.0 % | 50.0 % | 75.0 % | {deviation:.1f} | 0.0 | 0.0 |" in text


def test_the_drift_of_a_trained_event_model_is_shown(tmp_path):
    write_run(tmp_path, "fa", (3, 3))
    for seed, drift in ((0, 0.5), (1, 1.0)):
        folder = write_run(tmp_path, "cmam", (4, 4), "CMAM", "fine_tuning", seed=seed)
        change_json(folder / "result.json", embedding_drift=drift)
    (results,) = make_results(read_runs(tmp_path), resamples=RESAMPLES)
    section = score_sections.beyond_accuracy(results, ending="")
    assert section.header[-1] == "Embedding drift"
    drifts = {line[0]: line[-1] for line in section.lines}
    assert drifts == {"FA": "–", "CMAM fine-tuning": "0.75"}


def test_an_interval_without_width_is_a_dash(tmp_path):
    # All locations of a scene are alike, so that all draws have the same score.
    write_run(tmp_path / "runs", "fa", (3, 3))
    write_run(tmp_path / "runs", "cmam", (4, 3), "CMAM", "feature_based")
    paths = write_report(tmp_path / "runs", tmp_path / "out", resamples=RESAMPLES)
    for name in ("report.html", "report.md", "table.tex", "summary.txt"):
        text = paths[name].read_text()
        assert "75.0" in text
        assert "75.0 to 75.0" not in text
        assert "[75.0, 75.0]" not in text
    # Programs need the numbers.
    fa, cmam = csv.DictReader(paths["table.csv"].read_text().splitlines())
    assert (fa["low"], fa["high"]) == ("0.75", "0.75")
    assert (cmam["difference_low"], cmam["difference_high"]) == ("0.125", "0.125")


def test_the_command_prints_the_texts_of_the_tables(runs_root, tmp_path, capsys):
    write_run(runs_root, "vem", (1, 1), "VEM", "feature_based")
    out = tmp_path / "out"
    assert command.main(["crossask-report", f"--model_dir={runs_root}", f"--out={out}"]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[:4] == [
        "demo, fold 1, macro accuracy, 24 clips, 6 locations:",
        "  fa    50.0 % (0.0 to 100.0)",
        "  vem   25.0 %  −25.0 points against fa: one seed",
        "  cmam  87.5 %  +37.5 points against fa: cannot tell",
    ]
    assert printed.startswith((out / "summary.txt").read_text())


def test_the_command_reports_on_several_corpora(tmp_path, capsys):
    write_run(tmp_path / "runs", "fa", (2, 3))
    write_run(tmp_path / "runs", "other", (4, 4), corpus="esc10")
    flags = [f"--model_dir={tmp_path / 'runs'}", f"--out={tmp_path / 'out'}"]
    assert command.main(["crossask-report", *flags]) == 0
    scopes = [line for line in capsys.readouterr().out.splitlines() if line.endswith(":")]
    assert [scope.split(",")[0] for scope in scopes] == ["demo", "esc10"]


def test_a_summary_lists_some_rows_and_counts_the_others(tmp_path):
    for number in range(20):
        write_run(tmp_path, f"cmam_{number}", (4, 3), "CMAM", "feature_based")
    results = make_results(read_runs(tmp_path), resamples=20)
    lines = renderers.summary(sections.report(results, {}), most_rows=16).splitlines()
    assert len(lines) == 18
    assert lines[-1] == "  and 4 more rows in the report"


def test_rows_of_one_name_are_distinguished_in_every_table(tmp_path):
    runs = tmp_path / "runs"
    for study, hits in (("first", (2, 3)), ("second", (4, 3))):
        write_run(runs / study, "fa", hits, devices=("a", "b", "a", "b"))
    write_run(
        runs / "second", "cmam", (3, 3), "CMAM", "feature_based", devices=("a", "b", "a", "b")
    )
    paths = write_report(
        runs, tmp_path / "out", "second/fa", resamples=20, json_file=tmp_path / "j"
    )
    named = {"first/fa", "second/fa", "cmam"}
    for name in ("table.csv", "misclassified.csv", "devices.csv"):
        with open(paths[name], newline="") as file:
            assert {line["row"] for line in csv.DictReader(file)} == named, name
    lines = paths["summary.txt"].read_text().splitlines()
    assert {line.split()[0] for line in lines if line.startswith("  ")} == named
    (corpus,) = json.loads((tmp_path / "j").read_text())["corpora"]
    assert {row["name"] for row in corpus["rows"]} == named
    against = {row["name"]: (row["difference"] or {}).get("against") for row in corpus["rows"]}
    assert against == {"first/fa": "second/fa", "second/fa": None, "cmam": "second/fa"}


def test_ties_are_rounded_away_from_zero():
    # Floating point has one of the ties 0.6125 and 0.6625 slightly above and one slightly below.
    numbers = [formatting.number(value) for value in (0.6125, 0.6625, 0.0725, 0.0, 0.724)]
    assert numbers == ["61.3", "66.3", "7.3", "0.0", "72.4"]
    points = [formatting.points(value) for value in (-0.0175, 0.0925)]
    assert points == ["−1.8", "+9.3"]


@pytest.mark.parametrize(
    ("value", "text"), [(0.0312, "+3.1"), (-0.05, "−5.0"), (-0.0001, "0.0"), (0.0, "0.0")]
)
def test_points_have_a_true_minus_and_zero_has_no_sign(value, text):
    assert formatting.points(value) == text
