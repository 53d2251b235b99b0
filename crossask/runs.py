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
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from crossask import __version__, config
from crossask.errors import CrossaskError, DataError

# on a shared disk, another machine's processes cannot be asked for
_HOST = re.sub(r"\W", "_", platform.node())
PACKAGES = ("tensorflow", "tf-keras", "tensorflow-hub", "tf-models-official", "numpy", "scipy", "soundfile")


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
                f"{self.path(name)} cannot be read ({error}).", "Train the run again: crossask-train goes on where it stopped."
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
        raise DataError(f"There are no runs below {str(root)!r}.", "Give the --model_dir that crossask-train wrote to.")
    return sorted(found, key=lambda run: (run.row, run.fold, run.seed))


@contextlib.contextmanager
def writing(path):
    """A temporary name to write to; moved to `path` when the block ends without an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{_HOST}-{os.getpid()}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def remove_remains(folder):
    """Removes what `writing` of killed processes of this machine left in `folder`."""
    for path in Path(folder).glob(f".*.{_HOST}-*.part"):
        process = path.stem.rpartition("-")[2]
        if process.isdigit() and not _is_running(int(process)):
            path.unlink(missing_ok=True)


def check_room(folder, needed: int):
    """Makes `folder`, if it can be written and its disk has room for so many bytes; else a CrossaskError says which."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with writing(folder / "probe") as temporary:
            temporary.write_bytes(b"0")
        remove(folder / "probe")
    except OSError as error:
        raise CrossaskError(f"{folder} cannot be written: {error.strerror}.", "Give a folder that you may write to.") from error
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise CrossaskError(
            f"{folder} has room for {free / 1e6:.0f} MB, and {needed / 1e6:.0f} MB are needed.",
            "Make room, or give a folder on another disk.",
        )


def remove(path):
    """Removes a file or a folder with all that is in it."""
    path = Path(path)
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def write_json(path, value):
    with writing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def versions() -> dict:
    """What ran: package versions, Python, and the source's commit where there is one."""
    found = {"crossask": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
        found["commit"] = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    return found


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
