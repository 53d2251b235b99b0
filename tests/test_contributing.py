"""The examples of CONTRIBUTING.md work: a toy of each kind is added from outside and trained."""

import re
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


pytestmark = [pytest.mark.trains, pytest.mark.processes]


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A folder with the page's modules, on the path; the catalogue is restored afterwards."""
    for name, code in BLOCKS:
        if name.endswith(".py"):
            (tmp_path / name).write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(catalogue, "_ADDED", [])
    before = [dict(table) for table in catalogue._TABLES.values()]
    yield tmp_path
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


def test_the_page_has_an_example_of_each_kind():
    assert [name for name, _ in BLOCKS] == [
        *("linear.py", "entry", "mel_bands.py", "entry", "pairs.py", "entry", "experiment.py")
    ]


def test_one_entry_adds_each_kind_and_a_row_trains_with_them(outside):
    for name, code in BLOCKS:
        if name == "entry":
            catalogue.register(eval(code, vars(catalogue).copy()))
    assert models.build("LINEAR", 3).reads == ("embedding",)
    assert events.event_model_class("mel_bands").embedding_size == 64
    write_recordings(outside / "recordings")
    for system in ("VEM", "LINEAR"):
        command = [
            "crossask-train",
            f"--experiment={outside}/experiment.py",
            f"--params_override=system={system}",
            f"--data_dir={outside}/recordings",
            f"--model_dir={outside}/runs_{system}",
            "--preflight=never",
        ]
        assert train.main(command) == 0
        (run,) = find_runs(outside / f"runs_{system}")
        assert run.finished


def test_a_process_of_the_preflight_has_the_entries_too(outside):
    write_recordings(outside / "recordings")
    command = [
        "crossask-train",
        f"--experiment={outside}/experiment.py",
        f"--data_dir={outside}/recordings",
        f"--model_dir={outside}/runs",
        "--preflight=always",
        "--jobs=2",
    ]
    assert train.main(command) == 0
