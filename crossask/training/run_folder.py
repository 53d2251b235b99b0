"""The folder of a run (row x fold x seed): its layout, atomic writing, reading back. Imports no TensorFlow.

<root>/<row>/fold<fold>/seed<seed>/
  config.json      the resolved experiment, corpus, versions
  history.csv      a line an epoch
  checkpoints/     model, optimiser, epoch: what a killed run goes on from
  best.npz         weights of the best epoch on the validation part
  result.json      the outcome of training
  predictions.csv  the evaluation fold: clip, location, city, truth, one probability a scene
  training_predictions.csv  the same for the training fold, where a student asked for it
  scores.json      what these predictions are worth
  swapped.json     whose scene is named where log-mel and embedding are of two clips, and swapped_predictions.csv, where asked for
  logs/            TensorBoard
"""

import contextlib
import dataclasses
import importlib.metadata
import json
import platform
import subprocess
from pathlib import Path

from crossask import config
from crossask.errors import DataError
from crossask.version import __version__

PACKAGES = (
    "tensorflow",
    "tf-keras",
    "tensorflow-hub",
    "tf-models-official",
    "numpy",
    "scipy",
    "soundfile",
)


@dataclasses.dataclass(frozen=True)
class Run:
    """Where one run stands."""

    folder: Path
    row: str
    fold: str
    seed: int

    def path(self, name: str) -> Path:
        return self.folder / name

    def read(self, name: str) -> dict:
        """A JSON file of the run; a DataError where it is missing or broken."""
        try:
            return json.loads(self.path(name).read_text())
        except (OSError, ValueError) as error:
            raise DataError(
                f"{self.path(name)} cannot be read ({error}).",
                "Train the run again: crossask-train goes on where it stopped.",
            ) from error

    def experiment(self) -> config.Experiment:
        return config.from_dict(config.Experiment, self.read("config.json")["experiment"])

    @property
    def finished(self) -> bool:
        return self.path("result.json").is_file()


def run_at(root, row: str, fold: str, seed: int) -> Run:
    return Run(Path(root) / row / f"fold{fold}" / f"seed{seed}", row, fold, seed)


def find_runs(root) -> list[Run]:
    """Every run at or below `root`, by row, fold and seed."""
    found = []
    for path in sorted(Path(root).rglob("config.json")):
        folder = path.parent.absolute()  # `root` may be a dot inside a run
        row, fold, seed = folder.parent.parent.name, folder.parent.name, folder.name
        if seed.startswith("seed") and seed[4:].isdigit() and fold.startswith("fold"):
            found.append(Run(path.parent, row, fold[4:], int(seed[4:])))
    if not found:
        raise DataError(
            f"There are no runs below {str(root)!r}.",
            "Give the --model_dir that crossask-train wrote to.",
        )
    return sorted(found, key=lambda run: (run.row, run.fold, run.seed))


def versions() -> dict:
    """What ran: package versions, Python, and the source's commit where there is one."""
    found = {"crossask": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
        found["commit"] = subprocess.run(
            command, capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()
    return found
