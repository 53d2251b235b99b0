"""The documentation's results: every figure and every verdict is that of the JSON files."""

import json
import re
import shutil
import sys
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "experiments" / "results"
sys.path.insert(0, str(RESULTS))

import pictures  # noqa: E402
import write_docs  # noqa: E402

VERDICTS = ("better", "worse", "cannot tell", "one seed")


@pytest.fixture
def copied(tmp_path) -> Path:
    """Returns a folder with a copy of the JSON files."""
    for path in RESULTS.glob("*.json"):
        shutil.copy(path, tmp_path)
    return tmp_path


def change_everywhere(value, change):
    """Calls `change` with every object of a JSON value."""
    if isinstance(value, dict):
        change(value)
        for item in value.values():
            change_everywhere(item, change)
    elif isinstance(value, list):
        for item in value:
            change_everywhere(item, change)


def rewrite(folder: Path, change) -> None:
    for path in folder.glob("*.json"):
        content = json.loads(path.read_text())
        change_everywhere(content, change)
        path.write_text(json.dumps(content))


def text_of(folder: Path) -> str:
    """Returns all generated text, without line breaks."""
    written = write_docs.pages(folder)
    blocks = [written[ROOT / "docs" / "results.md"]]
    for page in ("README.md", "docs/serving.md"):
        blocks += [match[0] for match in write_docs.BLOCK.finditer(written[ROOT / page])]
    return " ".join(" ".join(blocks).split())


def digests_of(folder: Path) -> dict[str, str]:
    return {picture.name: picture.digest for picture in write_docs.drawn(folder)}


def test_the_pages_are_what_the_generator_writes():
    for path, text in write_docs.pages().items():
        assert path.read_text() == text, f"{path.name} differs from the JSON files: run `make docs`"


def test_the_pictures_are_of_the_present_figures():
    drawn = {f"{picture.name}.svg": picture.digest for picture in write_docs.drawn()}
    stored = {}
    for path in write_docs.IMAGES.glob("*.svg"):
        stored[path.name] = pictures.digest_of(path.read_text())
    assert stored == drawn, "docs/images differs from the JSON files: run `make docs`"


def test_the_readme_shows_the_systems_and_the_controls():
    first_part, _ = (ROOT / "README.md").read_text().split("## What it contains")
    for name in ("systems", "controls"):
        assert f"](docs/images/{name}.svg)" in first_part


def test_every_block_of_a_page_is_generated():
    for name in write_docs.PAGES:
        text = (ROOT / name).read_text()
        markers = re.findall(r"<!-- results: \w+ -->", text)
        assert markers
        assert len(markers) == text.count("<!-- end -->") == len(write_docs.BLOCK.findall(text))


def test_a_study_without_a_file_is_listed_as_not_run():
    lines = (RESULTS / "README.md").read_text().splitlines()
    not_run = {line.split("`")[1] for line in lines if line.endswith("| not run yet |")}
    listed = {line.split("`")[1] for line in lines if line.startswith("| `")}
    assert not_run == listed - {path.name for path in RESULTS.glob("*.json")}


def test_templates_contain_no_scores_of_their_own():
    for path in sorted((RESULTS / "templates").glob("*.md")):
        text = path.read_text()
        # The times of a training step have a command beside them.
        text = re.sub(r"A training step of the paper.*?\n## ", "", text, flags=re.DOTALL)
        words = re.sub(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", "", text, flags=re.DOTALL)
        words = words.replace("Section 3.3", "")
        assert re.findall(r"\d+\.\d+", words) == [], path.name
        percents = set(re.findall(r"\d+ %", words))
        assert percents <= {"95 %", "30 %", "10 %"}, path.name


def test_a_changed_score_changes_the_page(copied):
    path = copied / "demo.json"
    content = json.loads(path.read_text())
    (row,) = [row for row in content["corpora"][0]["rows"] if row["name"] == "fa"]
    row["macro_accuracy"] = 0.12345
    path.write_text(json.dumps(content))
    assert "| FA | 3 | 12.3 % (" in text_of(copied)


def test_the_readme_has_the_ratios_of_the_benchmark(monkeypatch, tmp_path):
    content = json.loads(write_docs.BENCH.read_text())
    side = content["steps"]["figures"]["fa, float32"]["one core"]["sides"]["PyTorch"]
    side["ratio"] = 12.345
    monkeypatch.setattr(write_docs, "BENCH", tmp_path / "bench.json")
    write_docs.BENCH.write_text(json.dumps(content))
    assert "| a training step of FA | PyTorch | 12.35 |" in text_of(RESULTS)


def test_a_ratio_without_a_quiet_round_is_not_written(monkeypatch, tmp_path):
    content = json.loads(write_docs.BENCH.read_text())
    content["steps"]["figures"]["fa, float32"]["one core"]["sides"]["PyTorch"]["ratio"] = None
    monkeypatch.setattr(write_docs, "BENCH", tmp_path / "bench.json")
    write_docs.BENCH.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="repeat `make bench ONLY=steps`"):
        text_of(RESULTS)


def test_a_changed_figure_changes_the_digest_of_its_picture_alone(copied):
    before = digests_of(copied)
    path = copied / "controls.json"
    content = json.loads(path.read_text())
    content["corpora"][0]["controls"]["controls"][0]["found"]["interval"]["low"] -= 0.001
    path.write_text(json.dumps(content))
    after = digests_of(copied)
    assert after["systems"] == before["systems"]
    assert after["controls"] != before["controls"]


@pytest.mark.parametrize("verdict", VERDICTS)
def test_sentences_follow_from_the_verdicts(copied, verdict):
    def change(value):
        if "verdict" in value and "adjusted_p_value" in value:
            value["verdict"] = verdict
            value["adjusted_p_value"] = None if verdict == "one seed" else 0.5

    rewrite(copied, change)
    text = text_of(copied)
    # About the first row of a comparison, and about the second.
    says_better = re.search(r"Better than|is better than|These runs show|verdict: better", text)
    says_worse = re.search(r"Worse than|is worse than|verdict: worse", text)
    cannot_tell = re.search(r"cannot be told|be distinguished|verdict: cannot tell", text)
    has_one_seed = re.search(r"With one seed there is no verdict|with one seed there is no", text)
    found = {
        "better": bool(says_better),
        "worse": bool(says_worse),
        "cannot tell": bool(cannot_tell),
        "one seed": bool(has_one_seed),
    }
    assert found == {name: name == verdict for name in VERDICTS}


def test_a_study_that_is_new_gets_its_section(copied):
    new = ("ambience", *pictures.LEVEL_STUDIES, "tut2017_trunk", "audioset_scene_labels")
    for name in new:
        (copied / f"{name}.json").unlink(missing_ok=True)
    before = text_of(copied)
    for name in new:
        shutil.copy(copied / "esc10_controls.json", copied / f"{name}.json")
    text = text_of(copied)
    headings = (
        "## Real ambiences",
        "## Does the level matter at which recordings enter",
        "## Does it help to pre-train VEM itself",
        "## VEM on AudioSet's labels of places",
    )
    for heading in headings:
        assert heading in text
        assert heading not in before
    for row in json.loads((copied / "ambience.json").read_text())["corpora"][0]["rows"]:
        percent = 100 * Decimal(str(row["macro_accuracy"]))
        assert f"{percent.quantize(Decimal('0.1'), ROUND_HALF_UP)} % (" in text


def test_a_new_study_has_its_place_in_the_pictures(copied):
    new = ("ambience", *pictures.LEVEL_STUDIES)
    for name in new:
        (copied / f"{name}.json").unlink(missing_ok=True)
    before = {picture.name: picture for picture in write_docs.drawn(copied)}
    assert "levels" not in before
    for name in new:
        shutil.copy(copied / "esc10_controls.json", copied / f"{name}.json")
    after = {picture.name: picture for picture in write_docs.drawn(copied)}
    for name in ("systems", "controls"):
        assert len(after[name].panels) == len(before[name].panels) + 1
    assert len(after["levels"].panels) == 4
    looks = [point.look for point in after["levels"].panels[0].points]
    assert looks.count("reference") == 1
    assert "](images/levels.svg)" in text_of(copied)


def test_the_recovery_of_the_true_events_has_its_section(copied):
    figure = {"value": 0.75, "low": 0.6, "high": 0.9}
    names = ("cohens_h", "lower_end", "difference", "log_ratio", "standardised", "auc")
    figures = dict.fromkeys(("spearman", "top_3", "top_3_more_frequent"), figure)
    part = {
        "clips": 360,
        "locations": 120,
        "events": 25,
        "rankings": dict.fromkeys(names, figures),
        "biased": dict.fromkeys(names, figures),
        "scenes": {"metro_station": {"by_scores": ["a_b", "c"], "by_truth": ["a_b", "d"]}},
    }
    content = {
        "parts": {"all": part, "evaluation": part},
        "versions": {"commit": ["0123456"]},
        "machines": [{"cores": 2, "cpu": "a model", "memory_gib": 7.8}],
        "command": "make results STUDIES=scene_events_recovery",
    }
    (copied / "scene_events_recovery.json").write_text(json.dumps(content))
    text = text_of(copied)
    assert "| Cohen's h | 0.75 (0.60 to 0.90) | 75.0 % (60.0 to 90.0) |" in text
    assert "| metro station | a b, *c* | a b, d |" in text


def test_events_by_scene_are_drawn_where_a_file_has_them(copied):
    path = copied / "demo.json"
    content = json.loads(path.read_text())
    content["corpora"][0]["scene_events"] = {
        "row": "cmam_feature_based",
        "interval_over": "location",
        "confidence": 0.95,
        "events": [
            {"scene": "metro_station", "event": "rail", "rank": 1},
            {"scene": "park", "event": "birds", "rank": 1},
        ],
        "effects": {
            "metro_station": {"birds": [-0.9, -0.7, -0.5], "rail": [0.1, 0.3, 0.5]},
            "park": {"birds": [0.5, 0.7, 0.9], "rail": [-0.5, -0.3, 0.1]},
        },
    }
    path.write_text(json.dumps(content))
    text = text_of(copied)
    assert "## The events by scene" in text
    assert "metro station: rail; park: birds.](images/events_demo.svg)" in text
    (matrix,) = [found for found in write_docs.drawn(copied) if found.name == "events_demo"]
    (axes, _) = matrix.figure().axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["rail", "birds"]
    # All intervals but one exclude zero.
    assert sum(len(dots.get_offsets()) for dots in axes.collections) == 3


def test_a_picture_is_the_same_each_time_and_has_a_background_and_no_date(copied):
    picture = next(found for found in write_docs.drawn(copied) if found.name == "systems")
    svg = picture.svg()
    assert svg == picture.svg()
    assert pictures.digest_of(svg) == picture.digest
    assert "<dc:date>" not in svg
    assert "fill: #ffffff" in svg


def test_machine_and_command_of_a_file_are_listed(copied):
    path = copied / "controls.json"
    content = json.loads(path.read_text())
    content["machines"] = [{"cores": 2, "cpu": "a model", "memory_gib": 7.8}]
    content["command"] = "make results STUDIES=controls"
    path.write_text(json.dumps(content))
    commit = content["versions"]["commit"][0]
    line = (
        f"| `controls.json` | {commit} | a model, 2 cores, 7.8 GiB | "
        "`make results STUDIES=controls` |"
    )
    assert line in text_of(copied)
