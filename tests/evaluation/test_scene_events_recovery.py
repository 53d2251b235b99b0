"""benchmarks/scene_events_recovery.py on made-up tables whose figures are known."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "scene_events_recovery.py"
SCENES = ("bus", "park", "tram")
EVENTS = ("bell", "bird", "brake", "dog", "engine")
RATES = np.array([[0.1, 0.0, 0.5, 0.2, 0.9], [0.3, 0.9, 0.1, 0.6, 0.2], [0.8, 0.1, 0.7, 0.1, 0.35]])


@pytest.fixture(name="benchmark_module", scope="module")
def fixture_benchmark_module():
    spec = importlib.util.spec_from_file_location("scene_events_recovery", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def table(rates):
    """Returns a table with five locations a scene, whose rates differ a little."""
    rows = []
    for scene, of_scene in zip(SCENES, rates, strict=True):
        for place in range(5):
            values = np.clip(of_scene + (place - 2) / 100, 0.001, 1)
            row = {"truth": scene, "location": f"{scene}{place}", "clips": 4}
            rows.append(row | dict(zip(EVENTS, values, strict=True)))
    return pd.DataFrame(rows)


def test_scores_that_are_the_truth_are_ranked_as_the_truth(benchmark_module, monkeypatch):
    monkeypatch.setattr(benchmark_module, "RESAMPLES", 20)
    found = benchmark_module.recovery(table(RATES), table(RATES))
    assert found["difference"]["spearman"]["value"] == pytest.approx(1)
    assert found["difference"]["top_3"]["value"] == pytest.approx(1)
    assert found["cohens_h"]["spearman"]["value"] > 0.9
    below = found["difference"]["spearman"]["below"]["value"]
    expected = found["cohens_h"]["spearman"]["value"] - 1
    assert below == pytest.approx(expected, abs=1e-3)


def test_scores_of_the_opposite_are_ranked_last(benchmark_module, monkeypatch):
    monkeypatch.setattr(benchmark_module, "RESAMPLES", 20)
    found = benchmark_module.recovery(table(RATES), table(1 - RATES))
    for ranking in ("difference", "cohens_h", "auc"):
        assert found[ranking]["spearman"]["value"] < -0.8


def test_a_bias_of_the_events_does_not_move_a_ratio_of_small_scores(benchmark_module):
    small = table(RATES / 100)
    biased = benchmark_module.recovery_with_bias(table(RATES), small)
    whole = benchmark_module.figures_of_all(
        benchmark_module.Units.from_table(table(RATES)), benchmark_module.Units.from_table(small)
    )
    log_ratio = biased["log_ratio"]["spearman"]["value"]
    assert log_ratio == pytest.approx(whole["log_ratio"]["spearman"], abs=0.02)
    assert biased["difference"]["spearman"]["value"] < whole["difference"]["spearman"]


def test_the_first_events_have_their_true_differences(benchmark_module):
    found = benchmark_module.first_events(table(RATES), table(RATES))
    assert found["bus"]["by_truth"][:2] == ["engine", "brake"]
    assert found["park"]["by_scores"][0] == "bird"
    # 0.9 minus the mean of 0.001 and 0.1, a little more where the rates are cut off at 0.001.
    assert found["park"]["true_differences"][0] == pytest.approx(0.85, abs=0.01)


def test_an_event_happens_in_a_clip_once(benchmark_module, tmp_path):
    lines = ["filename\tonset\toffset\tevent_label"]
    lines += ["audio/a.wav\t0\t1\tdog", "audio/a.wav\t2\t3\tdog", "audio/other.wav\t0\t1\tbell"]
    (tmp_path / "events.csv").write_text("\n".join(lines))
    happens = benchmark_module.true_events(tmp_path, ["a.wav", "b.wav"], EVENTS)
    assert happens.loc["a.wav"].to_dict() == dict.fromkeys(EVENTS, 0.0) | {"dog": 1.0}
    assert happens.loc["b.wav"].sum() == 0
