"""The examples of CONTRIBUTING.md work: a toy of each kind is added from outside and trained."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from crossask import events, models
from crossask.cli import train
from crossask.config import catalogue
from crossask.training.run_folder import find_runs

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
BLOCKS = re.findall(r"```python\n# (\S+)\n(.*?)```", PAGE, re.DOTALL)
# Commands as a user types them: a row of an experiment file, and a corpus and a row of the tests.
TRAIN_THE_EXPERIMENT = re.search(r"```\n(PYTHONPATH=\. .*?)```", PAGE, re.DOTALL)[1]
TRAIN_ON_SHORT_CLIPS = re.search(r"```\n(PYTHONPATH=tests .*?)```", PAGE, re.DOTALL)[1]


pytestmark = [pytest.mark.trains, pytest.mark.processes]


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with the page's modules and with recordings; it is not on the path."""
    for name, code in BLOCKS:
        if name.endswith(".py"):
            (tmp_path / name).write_text(code)
    write_recordings(tmp_path / "recordings")
    return tmp_path


@pytest.fixture
def outside(folder, monkeypatch):
    """The same folder, on the path of this process; the catalogue is restored afterwards."""
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(catalogue, "_ADDED", [])
    before = [dict(table) for table in catalogue._TABLES.values()]
    yield folder
    for table, entries in zip(catalogue._TABLES.values(), before, strict=True):
        table.clear()
        table.update(entries)
    for name, _ in BLOCKS:
        sys.modules.pop(name.removesuffix(".py"), None)


def write_recordings(folder: Path) -> None:
    """Writes 5 s of low and of high noise for two scenes with four locations of two clips each."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for scene in ("low", "high"):
        for location in range(4):
            for number in range(2):
                noise = rng.normal(0, 0.1, (80000, 2))
                if scene == "low":
                    noise = 0.05 * np.cumsum(noise, axis=0)
                path = folder / f"{scene}-{location}-{number}.wav"
                soundfile.write(path, np.clip(noise, -1, 1), 16000)


def run_in_shell(command: str, folder: Path) -> None:
    """Runs a command of the page in a folder, with the programs of this environment."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    programs = Path(sys.executable).parent
    environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command.replace(".venv/bin/", "")],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_page_has_an_example_of_each_kind():
    assert [name for name, _ in BLOCKS] == [
        *("mean_pooling.py", "entry", "mel_bands.py", "entry", "pairs.py", "entry", "experiment.py")
    ]


def test_one_entry_adds_each_kind_and_a_new_system_trains(outside):
    for name, code in BLOCKS:
        if name == "entry":
            catalogue.register(eval(code, vars(catalogue).copy()))
    assert models.build("MeanPooling", 3).reads == ("embedding",)
    assert events.event_model_class("mel_bands").embedding_size == 32
    command = [
        "crossask-train",
        f"--experiment={outside}/experiment.py",
        "--params_override=system=MeanPooling",
        f"--data_dir={outside}/recordings",
        f"--model_dir={outside}/runs",
        "--preflight=never",
    ]
    assert train.main(command) == 0
    (run,) = find_runs(outside / "runs")
    assert run.finished


def test_the_command_of_the_page_trains_and_its_processes_have_the_entries_too(folder):
    run_in_shell(TRAIN_THE_EXPERIMENT, folder)
    (run,) = find_runs(folder / "runs")
    assert run.finished
    run_in_shell(f"{TRAIN_THE_EXPERIMENT.strip()} --preflight=always --jobs=2", folder)


def test_the_command_on_short_clips_trains_with_an_event_model(tmp_path):
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    # The page's event model is not in the package.
    run_in_shell(TRAIN_ON_SHORT_CLIPS.replace("mel_bands", "yamnet"), tmp_path)
    (run,) = find_runs(tmp_path / "tiny" / "runs")
    assert run.finished
