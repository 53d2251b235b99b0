"""A corpus of made-up recordings, and a model that a command trained on it for one epoch."""

import dataclasses
import shutil
from pathlib import Path

from speed import commands, recordings, rows
from speed.setup import Setup

ONE_EPOCH = (
    "dataset=folder",
    "training.epochs=1",
    "training.batch_size=2",
    "training.validation_share=0",
    "training.keep=last",
)


@dataclasses.dataclass(frozen=True)
class Exported:
    """The exported models of one run.

    Attributes:
      saved_model: Folder of the SavedModel.
      litert: The LiteRT file.
    """

    saved_model: Path
    litert: Path


def write_corpus(folder: Path, clips: int, originals: int = 8) -> Path:
    """Writes a table of clips of two scenes and returns its path.

    Clips are copies of a few recordings under new names, because writing noise takes long. Each
    recording is a place of its own, so that its copies are on one side of a split.
    """
    (folder / "originals").mkdir(parents=True)
    paths = recordings.write(folder / "originals", originals)
    lines = ["filename,scene,location"]
    for number in range(clips):
        place = number % originals
        name = f"clip{number}.wav"
        shutil.copyfile(paths[place], folder / name)
        scene = "a" if place % 2 == 0 else "b"
        lines.append(f"{name},{scene},place{place}")
    table = folder / "clips.csv"
    table.write_text("\n".join(lines) + "\n")
    return table


def export(setup: Setup, row: str = "fa") -> Exported:
    """Trains a row of the paper for an epoch and exports it."""
    folder = setup.folder(f"trained_{row}")
    table = write_corpus(folder / "clips", 8)
    options = rows.options(row, setup.short, *ONE_EPOCH)
    words = [
        f"--experiment={options['row']}",
        f"--data_dir={table}",
        f"--model_dir={folder / 'runs'}",
        f"--features_dir={folder / 'features'}",
    ]
    if options["overrides"]:
        words.append(f"--params_override={options['overrides']}")
    _run(setup, "train", *words)
    exported = Exported(folder / "model", folder / "model.tflite")
    run = f"--model_dir={folder / 'runs'}"
    _run(setup, "export", run, f"--out={exported.saved_model}")
    _run(setup, "export", run, f"--out={exported.litert}", "--format=litert")
    return exported


def _run(setup: Setup, *words: str) -> None:
    commands.run(commands.crossask(*words), setup.all_cores)
