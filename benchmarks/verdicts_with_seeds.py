"""Adds the randomness of training to the intervals and verdicts of published tables.

Tables that `crossask-report --json` wrote before its intervals covered the seeds have intervals
over the locations alone. Their predictions are not published, but the scores of their seeds are.
This command computes the variance of a difference again, L + sum of s^2 / n over both rows (see
`crossask.evaluation.intervals`): L follows from the published interval, s^2 from the scores of the
seeds. The part of s^2 that L already contains is unknown without the predictions and is not
subtracted, so that the intervals are rather too long. It marks the files as computed so, and prints
each verdict that changes. Tables of later versions stay as they are:

  python benchmarks/verdicts_with_seeds.py experiments/results/*.json
"""

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm, t

from crossask.evaluation import holm

SIGNIFICANCE = 0.05
METHOD = "published interval over locations and scores of the seeds; Student's t"


def renew(path: Path) -> list[str]:
    """Rewrites a table, and returns a line for each verdict that changes."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if "corpora" not in content:
        # It is no table of crossask-report.
        return []
    old = [corpus for corpus in content["corpora"] if not _covers_seeds(corpus)]
    if not old:
        return []
    changes = []
    for corpus in old:
        changes += _renew_corpus(corpus)
        corpus["intervals"] = METHOD
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
    path.write_text(f"{text}\n", encoding="utf-8")
    return changes


def _covers_seeds(corpus: dict[str, Any]) -> bool:
    """Returns whether the intervals of a corpus cover the seeds already, or were renewed before."""
    # Versions whose intervals covered the locations alone did not record what they cover.
    return any("covers_seeds" in row["interval"] for row in corpus["rows"])


def _renew_corpus(corpus: dict[str, Any]) -> list[str]:
    """Rewrites the entry of a corpus; returns a line for each verdict that changes."""
    rows = {row["name"]: row for row in corpus["rows"]}
    for row in corpus["rows"]:
        _widen(row["macro_accuracy"], row["interval"], (row,), corpus["scenes"])
    found = list(_comparisons(corpus))
    p_values = {}
    for first, second, comparison in found:
        p_value = _renew_interval(rows[first], rows[second], comparison, corpus["scenes"])
        if p_value is not None:
            p_values[_pair(first, second)] = p_value
    adjusted = holm(p_values)
    corpus["comparisons"] = len(p_values)
    # A pair may be in several places of the table; its line is printed once.
    changes = {}
    for first, second, comparison in found:
        adjusted_p = adjusted.get(_pair(first, second))
        comparison["adjusted_p_value"] = _rounded(adjusted_p)
        before = comparison["verdict"]
        comparison["verdict"] = _verdict(comparison["interval"], adjusted_p)
        if comparison["verdict"] != before:
            changes[first, second] = (
                f"{first} against {second}: {before} -> {comparison['verdict']} "
                f"({100 * comparison['difference']:+.1f} points, p adjusted {_shown(adjusted_p)})"
            )
    return list(changes.values())


def _pair(first: str, second: str) -> tuple[str, str]:
    """Returns two names in alphabetical order, because a pair in either order is one comparison."""
    return min(first, second), max(first, second)


def _comparisons(corpus: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yields (name of the first row, name of the second row, comparison)."""
    for row in corpus["rows"]:
        if row["difference"]:
            yield row["name"], row["difference"]["against"], row["difference"]
    for claim in corpus.get("claims") or []:
        if claim["found"]:
            yield claim["first"], claim["second"], claim["found"]
    for entry in corpus.get("choices") or []:
        if entry["found"]:
            yield entry["row"], _reference(corpus, entry), entry["found"]
    controls = corpus.get("controls") or {}
    for entry in controls.get("controls", []):
        if entry["found"]:
            yield controls["of"], entry["row"], entry["found"]


def _reference(corpus: dict[str, Any], choice: dict[str, Any]) -> str:
    """Returns the row to which the row of a choice was compared, which the tables do not name."""
    scores = {row["name"]: row["macro_accuracy"] for row in corpus["rows"]}
    wanted = scores[choice["row"]] - choice["found"]["difference"]
    others = [name for name in scores if name != choice["row"]]
    return min(others, key=lambda name: abs(scores[name] - wanted))


def _renew_interval(
    first: dict[str, Any], second: dict[str, Any], comparison: dict[str, Any], scenes: int
) -> float | None:
    """Rewrites interval and p-value of a comparison; returns the p-value, None for one seed."""
    rows = (first, second)
    has_width = comparison["interval"]["high"] > comparison["interval"]["low"]
    found = _widen(comparison["difference"], comparison["interval"], rows, scenes)
    comparison["p_value"] = None
    if found is None:
        return None
    standard_error, freedom = found
    # Without a width, as with one location a scene, nothing is known about other locations.
    p_value = 1.0
    if has_width:
        p_value = float(2 * t.sf(abs(comparison["difference"]) / standard_error, freedom))
    comparison["p_value"] = _rounded(p_value)
    return p_value


def _widen(
    value: float, interval: dict[str, Any], rows: Sequence[dict[str, Any]], scenes: int
) -> tuple[float, float] | None:
    """Rewrites the interval of a score or a difference.

    Args:
      value: The score of a row, or the difference of two.
      interval: The interval over locations, which is changed.
      rows: The row, or both.
      scenes: Number of scenes.

    Returns:
      Standard error and degrees of freedom; None if a row has one seed.
    """
    seeds = [row["seed_macro_accuracies"] for row in rows]
    interval["covers_seeds"] = all(len(scores) > 1 for scores in seeds)
    if not interval["covers_seeds"]:
        return None
    half_width = (interval["high"] - interval["low"]) / 2
    of_locations = (half_width / norm.ppf((1 + interval["confidence"]) / 2)) ** 2
    units = rows[0]["locations"] or rows[0]["clips"]
    uncertainty = of_locations**2 / max(units - scenes, 1)
    variance = of_locations
    for scores in seeds:
        part = float(np.var(scores, ddof=1)) / len(scores)
        variance += part
        uncertainty += part**2 / (len(scores) - 1)
    freedom = variance**2 / uncertainty if uncertainty else float(units)
    half_width = t.ppf((1 + interval["confidence"]) / 2, freedom) * math.sqrt(variance)
    lowest = 0.0 if len(rows) == 1 else -1.0
    interval["low"] = _rounded(max(lowest, value - half_width))
    interval["high"] = _rounded(min(1.0, value + half_width))
    return math.sqrt(variance), freedom


def _verdict(interval: dict[str, Any], adjusted_p: float | None) -> str:
    if adjusted_p is None:
        return "one seed"
    if adjusted_p >= SIGNIFICANCE:
        return "cannot tell"
    return "better" if interval["low"] > 0 else "worse"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 6)


def _shown(p_value: float | None) -> str:
    return "none" if p_value is None else f"{p_value:.3f}"


def main() -> None:
    """Parses the command line, rewrites the tables and prints the verdicts that change."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path, help="tables of crossask-report --json")
    for path in parser.parse_args().files:
        for change in renew(path):
            print(f"{path.name}: {change}")


if __name__ == "__main__":
    main()
