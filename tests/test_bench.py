"""benchmarks/bench.py: which rounds count, what is refused, and the page of its figures."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from crossask.errors import CrossaskError

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from speed import page, rounds  # noqa: E402

IS_LINUX = sys.platform.startswith("linux")
ONE_CORE = sorted(os.sched_getaffinity(0))[:1] if IS_LINUX else []
QUICK = rounds.Length(round_seconds=0.01, counted=1, most=2)
# A side that counts; its numbers are its option "value".
TASK = """
import numpy as np
from speed.task import Task

def create(options):
    values = np.full(3, options["value"])
    return Task(lambda: 1, lambda: {"number": values})
"""


def turn(seconds, own=None, others=0.0, units=1, peak_bytes=0):
    own = seconds if own is None else own
    return {
        "units": units,
        "wall": seconds,
        "own": own,
        "others": others,
        "peak_bytes": peak_bytes,
        "operations": 8,
    }


def stored_features(ratio):
    """Returns made-up content of bench.json with one peer."""
    ours = {"seconds": 1.0, "peak_bytes": 1, "operations": 0}
    peer = {**ours, "seconds": 2.0, "ratio": ratio, "ratio_low": 1.0, "ratio_high": 3.0}
    peer["cpu_ratio"] = 1.5
    measured = {
        "rounds": 9,
        "counted": 9,
        "sides": {"crossask": ours, "librosa": peer},
        "differences": {"librosa": {"log_mel": 1e-5}},
    }
    return {
        "features": {
            "figures": {"files to features": {"one core": measured}},
            "date": "2026-01-01",
            "machine": {"processor": "a processor", "cores": 2, "memory_gib": 8},
            "versions": {"crossask": {"numpy": "1"}, "peers": {"numpy": "2"}},
        }
    }


@pytest.fixture
def sides(tmp_path, monkeypatch):
    """Returns a function from the values of the sides to the sides."""
    folder = tmp_path / "benchmarks"
    (folder / "made_up").mkdir(parents=True)
    (folder / "made_up" / "task.py").write_text(TASK)
    (folder / "speed").symlink_to(ROOT / "benchmarks" / "speed")
    monkeypatch.setattr(rounds, "BENCHMARKS", folder)

    def make(*values):
        found = []
        for name, value in zip(("crossask", "peer"), values, strict=True):
            found.append(rounds.Side(name, sys.executable, "made_up.task", {"value": value}))
        return found

    return make


@pytest.mark.parametrize(
    ("cores", "busy", "expected"),
    [
        (1, turn(1.0, own=0.93), True),
        (1, turn(1.0, own=0.92), False),
        # Half of two cores is idle: nobody else used them.
        (2, turn(1.0, own=1.0, others=0.13), True),
        (2, turn(1.0, own=1.0, others=0.15), False),
    ],
)
def test_a_round_counts_if_the_process_had_its_cores(cores, busy, expected):
    assert rounds.was_alone(busy, cores) is expected
    assert rounds.counts([turn(1.0), busy], cores) is expected


def test_medians_are_those_of_the_rounds_that_count():
    measured = [
        [turn(2.0, units=2), turn(3.0, units=2)],  # 1.0 and 1.5
        [turn(2.0, units=1), turn(8.0, units=2)],  # 2.0 and 4.0
        [turn(9.0, own=1.0, peak_bytes=7), turn(1.0)],  # does not count
    ]
    found = rounds.summary(["crossask", "peer"], measured, 1)
    assert (found["rounds"], found["counted"]) == (3, 2)
    assert found["sides"]["crossask"] == {
        "seconds": 1.5,
        "cpu_seconds": 1.0,
        "peak_bytes": 7,
        "operations": 8,
    }
    assert found["sides"]["peer"]["seconds"] == 2.75
    # The median of the ratios 1.5 and 2.0, and not the ratio of the medians.
    assert found["sides"]["peer"]["ratio"] == 1.75
    # All rounds: 1.5, 2.0 and 1.0.
    assert found["sides"]["peer"]["cpu_ratio"] == 1.5


def test_without_a_round_that_counts_there_is_no_figure():
    found = rounds.summary(["crossask", "peer"], [[turn(1.0, own=0.1), turn(1.0)]], 1)
    assert found["counted"] == 0
    assert found["sides"]["crossask"]["seconds"] is None
    assert found["sides"]["peer"]["ratio"] is None


@pytest.mark.processes
@pytest.mark.skipif(not IS_LINUX, reason="pins processes to cores, as Linux can")
def test_sides_that_compute_the_same_are_measured(sides):
    found = rounds.compare(sides(2.0, 2.0001), {"number": 1e-3}, QUICK, ONE_CORE)
    assert found["differences"]["peer"]["number"] == pytest.approx(5e-5)
    assert 1 <= found["rounds"] <= QUICK.most
    assert set(found["sides"]) == {"crossask", "peer"}


@pytest.mark.processes
@pytest.mark.skipif(not IS_LINUX, reason="pins processes to cores, as Linux can")
@pytest.mark.parametrize("value", [2.01, float("nan")])
def test_nothing_is_measured_if_a_peer_computes_something_else(sides, monkeypatch, value):
    monkeypatch.setattr(rounds, "summary", pytest.fail)
    with pytest.raises(CrossaskError, match="peer computes another number than crossask"):
        rounds.compare(sides(2.0, value), {"number": 1e-3}, QUICK, ONE_CORE)


@pytest.mark.processes
@pytest.mark.skipif(not IS_LINUX, reason="pins processes to cores, as Linux can")
def test_a_side_that_ends_early_is_an_error_with_its_last_words(sides):
    broken = [rounds.Side("crossask", sys.executable, "made_up.missing", {})]
    with pytest.raises(CrossaskError, match=r"No module named 'made_up\.missing'"):
        rounds.compare(broken, {}, QUICK, ONE_CORE)


@pytest.mark.processes
@pytest.mark.skipif(not IS_LINUX, reason="pins processes to cores, as Linux can")
def test_a_side_that_was_killed_between_two_requests_is_an_error_and_can_be_ended(sides):
    (side, _) = sides(2.0, 2.0)
    worker = rounds._Worker(side, ONE_CORE)
    worker.read()
    worker.process.kill()
    worker.process.wait()
    with pytest.raises(CrossaskError, match=r"made_up\.task ended early"):
        worker.request("go 1")
    worker.end()
    assert worker.process.stdout.closed


def test_arrays_of_different_shapes_are_not_compared():
    with pytest.raises(CrossaskError, match=r"\(2,\), crossask's \(3,\)"):
        rounds.relative_difference(np.ones(3), np.ones(2))


def test_the_page_is_what_the_generator_writes():
    expected = page.as_markdown(page.read())
    assert page.PAGE.read_text() == expected, "docs/speed.md differs: run `make docs`"


@pytest.mark.parametrize(("ratio", "reached"), [(2.19, "no"), (2.21, "yes")])
def test_a_goal_is_reached_by_the_stored_figure(ratio, reached):
    text = page.as_markdown(stored_features(ratio))
    assert f"| features, against librosa | >= 2.2 | {ratio} | {reached} |" in text
    assert f"| one core | librosa | 2 s | {ratio} (1.00 to 3.00) | 1.50 | 1.0e-05 |" in text


def test_a_round_without_a_quiet_moment_is_no_figure_on_the_page():
    text = page.as_markdown(stored_features(None))
    assert "| features, against librosa | >= 2.2 | not measured |  |" in text
    assert "| librosa | 2 s | no quiet round |" in text


def test_figures_that_are_missing_are_not_measured():
    text = page.as_markdown({})
    assert text.count("| not measured |  |") == len(page.GOALS)


def test_stored_figures_are_those_of_a_whole_run():
    for name, part in page.read().items():
        assert name in page.PARTS
        assert set(part) == {"figures", "date", "machine", "versions"}
