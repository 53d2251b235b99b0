"""The page docs/speed.md, from the figures in results/bench.json.

  python -m speed.page

writes it again; `make docs` does so.
"""

import dataclasses
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from speed import rounds, tables
from speed.parts import epoch, growth, rates, served, start_up

BENCHMARKS = Path(__file__).parents[1]
RESULTS = BENCHMARKS / "results" / "bench.json"
PAGE = BENCHMARKS.parent / "docs" / "speed.md"
# In the order of the page. Each is a module of speed/parts with `measure` and `section`.
PARTS = (
    "features",
    "embeddings",
    "steps",
    "latency",
    "start_up",
    "epoch",
    "growth",
    "served",
    "rates",
)
START = """# Speed

Written by `make bench` from `benchmarks/results/bench.json`. Before anything is measured, the
programs must compute the same numbers with the same weights. "Largest difference" is that of the
output that differs most: the mean absolute difference from crossask's output, as a share of the
mean absolute value. "Times crossask's" is the time of a peer divided by that of crossask, so above
1 crossask is faster: the median over rounds in which the processes take turns, with quartiles.
Rounds in which another process used the cores do not count. The ratio of the CPU times is that of
all rounds.
[benchmarks/README.md](../benchmarks/README.md) says how each number is measured, and what it is
not.
"""


@dataclasses.dataclass(frozen=True)
class Goal:
    """A figure with a goal.

    Attributes:
      work: What is measured.
      part: The part that measures it.
      value: Returns the figure from the part's figures; None if it was not measured.
      limit: The goal.
      is_least: Whether the figure should be at least the goal, or at most.
    """

    work: str
    part: str
    value: Callable[[tables.Figures], float | None]
    limit: float
    is_least: bool = True

    def row(self, stored: tables.Figures) -> list[str]:
        """Returns the cells: work, goal, figure, and whether it is reached."""
        sign = ">=" if self.is_least else "<="
        value = None
        if self.part in stored:
            value = self.value(stored[self.part]["figures"])
        if value is None:
            return [self.work, f"{sign} {self.limit:g}", "not measured", ""]
        is_reached = value >= self.limit if self.is_least else value <= self.limit
        return [self.work, f"{sign} {self.limit:g}", f"{value:.2f}", "yes" if is_reached else "no"]


def against(work: str, *peers: str) -> Callable[[tables.Figures], float | None]:
    """Returns a function that returns the least ratio of some peers on one core."""

    def value(figures: tables.Figures) -> float | None:
        ratios = [rounds.ratio_on_one_core(figures.get(work, {}), peer) for peer in peers]
        return None if None in ratios else min(ratios)

    return value


BEST_OF_TWO = ("PyTorch", "ONNX Runtime")
FILES = "files to features"
GOALS = (
    Goal("features, against librosa", "features", against(FILES, "librosa"), 2.2),
    Goal(
        "features, against the best other", "features", against(FILES, "tf.signal", "PyTorch"), 1.4
    ),
    Goal(
        "embeddings of VGGish, against the best peer",
        "embeddings",
        against("embeddings of vggish", *BEST_OF_TWO),
        1.05,
    ),
    Goal(
        "embeddings of VGGish in bfloat16, against the best peer",
        "embeddings",
        against("embeddings of vggish, mixed_bfloat16", *BEST_OF_TWO),
        1.1,
    ),
    Goal(
        "embeddings of YAMNet, against the best peer",
        "embeddings",
        against("embeddings of yamnet", *BEST_OF_TWO),
        1.1,
    ),
    Goal("step of FA, float32", "steps", against("fa, float32", "PyTorch"), 1.55),
    Goal("step of FA, bfloat16", "steps", against("fa, mixed_bfloat16", "PyTorch"), 1.35),
    Goal(
        "step of CMAM, feature based, float32",
        "steps",
        against("cmam_feature_based, float32", "PyTorch"),
        1.35,
    ),
    Goal(
        "step of CMAM, fine-tuning, float32",
        "steps",
        against("cmam_fine_tuning, float32", "PyTorch"),
        1.25,
    ),
    Goal(
        "one clip, waveform to answer, against the best peer",
        "latency",
        against("waveform to answer", *BEST_OF_TWO),
        1.25,
    ),
    Goal(
        "one file from process start with LiteRT, in seconds",
        "start_up",
        lambda figures: figures.get(start_up.PREDICT_LITERT),
        1.0,
        is_least=False,
    ),
    Goal(
        "steps from the cache, against one batch; worst row",
        "epoch",
        epoch.worst_row,
        1.03,
        is_least=False,
    ),
    Goal(
        "peak memory of prepare, most clips against 100",
        "growth",
        growth.memory_growth,
        1.05,
        is_least=False,
    ),
    Goal(
        "memory of the served model, 10 minutes against 1",
        "served",
        served.growth,
        1.1,
        is_least=False,
    ),
)


def as_markdown(stored: tables.Figures) -> str:
    """Returns the page.

    Args:
      stored: The content of bench.json: name of a part -> its figures, date, machine, versions.
    """
    rows = [goal.row(stored) for goal in GOALS]
    parts = [START, "## Goals\n", "On one core.\n"]
    parts.append(tables.table(["work", "goal", "measured", "reached"], rows))
    parts += [section(name, stored[name]) for name in PARTS if name in stored]
    parts.append(_shares(stored))
    return "\n".join(parts)


def section(name: str, part: tables.Figures) -> str:
    """Returns the section of a part."""
    module = importlib.import_module(f"speed.parts.{name}")
    machine = part["machine"]
    versions = []
    for packages in part["versions"].values():
        versions.append(", ".join(f"{package} {version}" for package, version in packages.items()))
    hardware = f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB"
    return (
        f"## {name.replace('_', ' ').capitalize()}\n\n{module.__doc__.strip()}\n\n"
        f"{module.section(part['figures'])}\n"
        f"`make bench ONLY={name}`, {part['date']}, {hardware}. "
        f"{'; peers: '.join(versions)}.\n"
    )


def _shares(stored: tables.Figures) -> str:
    """Returns the shares of the rate of matrix products that the work reaches on one core."""
    if "rates" not in stored:
        return ""
    rows = []
    for name in ("embeddings", "steps"):
        for work, of_cores in stored.get(name, {"figures": {}})["figures"].items():
            precision = "bfloat16" if "bfloat16" in work else "float32"
            limit = rates.best(stored["rates"]["figures"], precision, "one core")
            if "one core" in of_cores:
                side = of_cores["one core"]["sides"]["crossask"]
                rows.append([work, *_rate_and_share(side, limit)])
    header = ["work", "GFLOP/s", "share of a product of large matrices"]
    return "## Shares of the rates\n\nOf crossask, on one core.\n\n" + tables.table(header, rows)


def _rate_and_share(side: tables.Figures, limit: float | None) -> list[str]:
    if not limit or not side["seconds"]:
        return [tables.NOT_MEASURED, ""]
    rate = side["operations"] / side["seconds"]
    return [f"{rate / 1e9:.1f}", f"{rate / limit:.0%}"]


def read() -> dict[str, Any]:
    """Returns the stored figures."""
    return json.loads(RESULTS.read_text())


if __name__ == "__main__":
    PAGE.write_text(as_markdown(read()), encoding="utf-8")
