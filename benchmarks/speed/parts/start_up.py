"""Commands from the start of their process to its end, on one core.

`crossask predict` classifies one file of 10 s by FA at the paper's size; the LiteRT file needs no
TensorFlow.
"""

from collections.abc import Iterator
from typing import Any

from crossask.cli import main as cli
from speed import commands, recordings, tables, trained
from speed.setup import Setup

PREDICT_LITERT = "predict, one file, LiteRT"
PREDICT_SAVED_MODEL = "predict, one file, SavedModel"


def measure(setup: Setup) -> Iterator[tuple[str, Any]]:
    """Yields each command with its seconds."""
    cores = setup.cores["one core"]
    (path,) = recordings.write(setup.folder("start_up"), 1)
    models = trained.export(setup)
    words = {
        PREDICT_LITERT: ["predict", f"--model={models.litert}", path],
        PREDICT_SAVED_MODEL: ["predict", f"--model={models.saved_model}", path],
        "--version": ["--version"],
    }
    for verb in cli.verbs():
        words[f"{verb} --help"] = [verb, "--help"]
        words[f"{verb} --version"] = [verb, "--version"]
    for name, command in words.items():
        yield name, commands.seconds(commands.crossask(*command), cores, setup.length)


def section(figures: tables.Figures) -> str:
    """Returns the table of the figures."""
    rows = [[f"`crossask {name}`", tables.duration(value)] for name, value in figures.items()]
    return tables.table(["command", "time"], rows)
