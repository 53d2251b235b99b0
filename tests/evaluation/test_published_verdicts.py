"""benchmarks/verdicts_with_seeds.py: which tables it renews, and what it leaves as it is."""

import importlib.util
import json
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "verdicts_with_seeds.py"
SPEC = importlib.util.spec_from_file_location("verdicts_with_seeds", BENCHMARK)
script = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(script)


def interval(low, high):
    return {"low": low, "high": high, "confidence": 0.95, "over": "location", "resamples": 2000}


def row(name, scores, difference=None):
    mean = sum(scores) / len(scores)
    return {
        "name": name,
        "macro_accuracy": mean,
        "seed_macro_accuracies": scores,
        "interval": interval(mean - 0.05, mean + 0.05),
        "clips": 300,
        "locations": 60,
        "difference": difference,
    }


@pytest.fixture
def table(tmp_path):
    """Returns a table as versions wrote it whose intervals covered the locations alone."""
    difference = {
        "difference": 0.1,
        "against": "fa",
        "interval": interval(0.06, 0.14),
        "p_value": 0.001,
        "adjusted_p_value": 0.001,
        "verdict": "better",
    }
    rows = [row("fa", [0.5, 0.51, 0.52]), row("cmam", [0.61, 0.6, 0.62], difference)]
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"corpora": [{"scenes": 10, "rows": rows}]}))
    return path


def corpus_of(path):
    return json.loads(path.read_text())["corpora"][0]


def changed_difference(path, **values):
    content = json.loads(path.read_text())
    content["corpora"][0]["rows"][1]["difference"] |= values
    path.write_text(json.dumps(content))


def test_the_interval_of_an_old_table_becomes_longer_once(table):
    script.renew(table)
    renewed = corpus_of(table)
    assert renewed["intervals"] == script.METHOD
    found = renewed["rows"][1]["difference"]["interval"]
    assert found["low"] < 0.06
    assert found["high"] > 0.14
    script.renew(table)
    assert corpus_of(table) == renewed


def test_a_table_whose_intervals_cover_the_seeds_already_is_left_as_it_is(table):
    content = json.loads(table.read_text())
    for of_row in content["corpora"][0]["rows"]:
        of_row["interval"]["covers_seeds"] = True
    table.write_text(json.dumps(content))
    before = table.read_bytes()
    assert script.renew(table) == []
    assert table.read_bytes() == before


def test_an_interval_without_a_width_says_nothing_about_other_locations(table):
    # As where all clips of a scene come from one location. The seeds alone would say "better".
    changed_difference(table, interval=interval(0.1, 0.1), p_value=1.0, verdict="cannot tell")
    script.renew(table)
    found = corpus_of(table)["rows"][1]["difference"]
    assert found["p_value"] == 1
    assert found["verdict"] == "cannot tell"
