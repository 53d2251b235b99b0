"""The folder of a run (row x fold x seed): its layout, and finding and reading runs.

Imports no TensorFlow.

<root>/<row>/fold<fold>/seed<seed>/
  config.json      the resolved experiment, the corpus, versions and the machine
  history.csv      one line an epoch
  statistics.npz   mean and deviation of the features of the training part
  checkpoints/     model, optimiser and epoch, from which a killed run goes on
  best.npz         weights of the best epoch on the validation part, or of the last epoch
  result.json      the result of training
  predictions.csv  the evaluation fold: clip, location, city, device (if all clips have one), truth,
                   one probability a scene
  training_predictions.csv  the same for the training fold, if it was requested
  scores.json      scores of the predictions
  event_scores.csv mean event scores of each location, if the event model is frozen and has a head
  swapped.json     which input the predictions follow if log-mel and embedding belong to two clips,
                   and swapped_predictions.csv, if they were requested
  logs/            TensorBoard
"""

import contextlib
import dataclasses
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crossask import config, processors, stored
from crossask.audio.folder_walk import FolderWalk
from crossask.config import Experiment
from crossask.errors import DataError
from crossask.text_tables import natural_key
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
TRAIN_AGAIN = (
    "Restore it from a copy, or remove the folder of the run and run crossask-train again."
)
EVALUATE_AGAIN = "Write it again with crossask-evaluate --again."
FIXES = {
    "config.json": TRAIN_AGAIN,
    "result.json": TRAIN_AGAIN,
    "scores.json": EVALUATE_AGAIN,
    "swapped.json": EVALUATE_AGAIN,
}
# What crossask-evaluate writes.
OF_EVALUATION = (
    "predictions.csv",
    "event_scores.csv",
    "scores.json",
    "training_predictions.csv",
    "swapped_predictions.csv",
    "swapped.json",
)
# Entries that every version wrote.
NEEDED = {
    "result.json": {"epochs": int, "parameters": int},
    "scores.json": {"macro_accuracy": float},
}


@dataclasses.dataclass(frozen=True)
class Run:
    """A run and its folder.

    Attributes:
      folder: The folder, which may not exist yet.
      row: Name of the row.
      fold: Name of the fold.
      seed: Seed of the run.
      moved: Fields of the row that hold paths, and where their files are now.
    """

    folder: Path
    row: str
    fold: str
    seed: int
    moved: tuple[tuple[str, str], ...] = ()

    @property
    def title(self) -> str:
        """The run in words, for messages."""
        return f"{self.row} fold {self.fold} seed {self.seed}"

    @property
    def finished(self) -> bool:
        """Whether the run has finished training."""
        return self.path("result.json").is_file()

    def path(self, name: str) -> Path:
        """Returns the path of one of the run's files."""
        return self.folder / name

    def read(self, name: str) -> dict[str, Any]:
        """Returns the content of one of the run's JSON files.

        Raises:
          DataError: The file is missing or damaged, or is of another fold or seed than its folder.
        """
        values = stored.read_json(self.path(name), FIXES[name])
        for entry, kind in NEEDED.get(name, {}).items():
            if not isinstance(values.get(entry), kind):
                raise DataError(f"{self.path(name)} has no entry {entry!r}.", FIXES[name])
        if name == "config.json":
            self._check_place(values)
        return values

    def began_with(self, entry: str, value: str) -> bool:
        """Returns whether an entry of config.json, written when the run began, is `value`.

        It is true for runs of older versions that lack the entry.
        """
        return self.read("config.json").get(entry, value) == value

    def _check_place(self, values: dict[str, Any]) -> None:
        """Raises DataError if the folder is named after another fold or seed, as a copy may be."""
        for entry, expected in (("fold", self.fold), ("seed", self.seed)):
            found = values.get(entry, expected)
            if found != expected:
                raise DataError(
                    f"{self.folder} contains a run with {entry} {found!r}, not {expected!r}.",
                    "Rename the folder, or remove it if it is a copy.",
                )

    def check_files(self, name: str, left_out: Sequence[str] = ()) -> None:
        """Compares the files that belong to one of the run's JSON files with their checksums.

        Args:
          name: Name of the JSON file.
          left_out: Names of files that are not compared and may be missing.

        Raises:
          DataError: One of them is missing or has changed.
        """
        stored.check_beside(self.path(name), FIXES[name], left_out)

    def experiment(self) -> Experiment:
        """Returns the row as it was resolved when the run began, with the paths of `moved`."""
        values = self.read("config.json")
        with stored.damage_of(self.path("config.json"), FIXES["config.json"]):
            row = config.from_dict(Experiment, values["experiment"])
        if not self.moved:
            return row
        return config.override(row, dict(self.moved))


def run_at(root: str | Path, row: str, fold: str, seed: int) -> Run:
    """Returns the run of a row, fold and seed below `root`."""
    folder = Path(root) / row / f"fold{fold}" / f"seed{seed}"
    return Run(folder, row, fold, seed)


def with_weights(run: Run, path: str) -> Run:
    """Returns the run with its event model's weights, or the file of its embeddings, at `path`.

    A run that reads no such file is returned as it is. Whether the file has the content that the
    run was trained with is checked when it is read.
    """
    row = run.experiment()
    if not path or not row.reads_events:
        return run
    field = "embeddings" if row.event_model.embeddings else "weights"
    if not getattr(row.event_model, field):
        return run
    return dataclasses.replace(run, moved=((f"event_model.{field}", os.path.abspath(path)),))


def find_runs(root: str | Path) -> list[Run]:
    """Returns every run at or below `root`, sorted by row, fold and seed.

    Raises:
      DataError: There is none.
    """
    found = [run for run in folders_of_runs(root) if run.path("config.json").is_file()]
    if not found:
        raise DataError(
            f"There are no runs below {str(root)!r}.",
            "Give the --model_dir that crossask-train wrote to.",
        )
    return found


def folders_of_runs(root: str | Path) -> list[Run]:
    """Returns every folder at or below `root` with the name of a run, sorted as by `find_runs`.

    Links are followed, because rows that filled a disk may have been moved to another one.
    """
    found = []
    for folder, _ in FolderWalk(root, enters_hidden=True):
        run = _run_of(Path(folder))
        if run is not None:
            found.append(run)
    # The folder decides between rows of one name.
    found.sort(key=lambda run: run.folder)
    return sorted(found, key=lambda run: (run.row, natural_key(run.fold), run.fold, run.seed))


def versions() -> dict[str, str]:
    """Returns the versions of Python, crossask and its main packages, and the source's commit.

    The commit is left out where the package does not come from a git checkout. It ends in "-dirty"
    if a Python file differs from it.
    """
    found = {"crossask": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        # It fails for a package that is installed in a folder of another project's repository.
        _git("ls-files", "--error-unmatch", "--", Path(__file__).name)
        commit = _git("describe", "--always")
        # Other tracked files, such as stored results, change while studies run.
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ":(top)*.py")
        found["commit"] = f"{commit}-dirty" if changed else commit
    return found


def machine() -> dict[str, Any]:
    """Returns the machine's cores, memory in GiB and model of CPU, without its name."""
    found = {"cores": processors.cores(), "cpu": _cpu_model()}
    with contextlib.suppress(AttributeError, ValueError, OSError):
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        found["memory_gib"] = round(memory / 2**30, 1)
    return found


def _git(*arguments: str) -> str:
    """Returns what git prints in the folder of this file."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def _cpu_model() -> str:
    """Returns the model name of the CPU, or else the name of its architecture."""
    with contextlib.suppress(OSError):
        model = processors.cpu_info("model name")
        if model is not None:
            return model
    return platform.processor() or platform.machine()


def _run_of(folder: Path) -> Run | None:
    """Returns the run whose folder this is; None if its name is not that of a run."""
    # The folder may be given as "." from inside a run.
    whole = folder.absolute()
    seed = whole.name
    fold = whole.parent.name
    row = whole.parent.parent.name
    if not (seed.startswith("seed") and fold.startswith("fold")):
        return None
    number = seed.removeprefix("seed")
    # Without `isascii`, the check also accepts digits that `int` rejects, such as a superscript 2.
    if not (number.isascii() and number.isdigit()):
        return None
    return Run(folder, row, fold.removeprefix("fold"), int(number))
