"""The requirements of predicting with a LiteRT file are few, and they are enough."""

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import setup_file
import soundfile

from crossask.cli import command

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ROOT / "requirements-lite.txt"


def names(lines: list[str]) -> set[str]:
    """Returns the names of requirements, without comments, versions and markers."""
    found = set()
    for line in lines:
        name = re.match(r"[A-Za-z0-9._-]+", line)
        if name:
            found.add(re.sub(r"[-_.]+", "-", name[0]).lower())
    return found


def with_their_own(required: set[str]) -> set[str]:
    """Returns the installed distributions that these require, and those that they require."""
    complete = set()
    left = list(required)
    while left:
        name = left.pop()
        if name in complete:
            continue
        complete.add(name)
        try:
            own = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            # Required on another platform or Python only.
            continue
        left += names([line for line in own if "extra ==" not in line])
    return complete


def test_they_are_requirements_of_the_package(monkeypatch):
    lite = REQUIREMENTS.read_text().splitlines()
    assert names(lite) <= names(setup_file.requirements(monkeypatch, "lite"))
    assert "tensorflow" not in with_their_own(names(lite))


@pytest.mark.processes
def test_predicting_imports_nothing_else(tmp_path):
    # The command ends at the missing file, after everything is imported.
    words = ["crossask", "predict", f"--model={tmp_path / 'none.tflite'}", "none.wav"]
    code = (
        "import sys\n"
        "from crossask.cli import main\n"
        f"main.main({words!r})\n"
        "import ai_edge_litert.interpreter\n"
        "print(' '.join({name.partition('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "There is no file" in done.stderr
    distributions = metadata.packages_distributions()
    allowed = with_their_own(names(REQUIREMENTS.read_text().splitlines())) | {"crossask"}
    imported = set()
    for module in done.stdout.split():
        imported |= names(distributions.get(module, []))
    # Without these, Python itself would not start here, or they hook into its start, as `make
    # coverage` does.
    imported -= {"setuptools", "pip", "coverage"}
    assert imported <= allowed


@pytest.mark.processes
def test_a_command_that_needs_more_says_so_without_a_stack_trace(tmp_path):
    """Every package of the core beyond the requirements is hidden."""
    hidden = command.BEYOND_LITE
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({hidden!r}))\n"
        "from crossask.cli import main\n"
        "sys.exit(main.main())\n"
    )
    recording = tmp_path / "a.wav"
    soundfile.write(recording, np.zeros(16000), 16000)
    environment = {**os.environ, "CROSSASK_CACHE_DIR": str(tmp_path / "cache")}
    words = [sys.executable, "-c", code, "predict", str(recording)]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == command.USER_ERROR
    assert "Traceback" not in done.stderr
    needed = re.search(
        r"Error: This needs the package '(\w+)', which is not installed", done.stderr
    )
    assert needed[1] in command.BEYOND_LITE
    assert "pip install crossask;" in done.stderr


def test_the_packages_that_it_does_without_are_the_rest_of_the_core(monkeypatch):
    core = names(setup_file.requirements(monkeypatch))
    rest = core - names(REQUIREMENTS.read_text().splitlines())
    assert names(list(command.BEYOND_LITE)) == rest


def test_the_readme_says_how_many_packages_they_are():
    pytest.importorskip("ai_edge_litert", reason="needs LiteRT: pip install '.[lite]'")
    complete = with_their_own(names(REQUIREMENTS.read_text().splitlines()))
    # tqdm requires it on Windows only.
    complete -= {"colorama"}
    installed = {re.sub(r"[-_.]+", "-", found.name).lower() for found in metadata.distributions()}
    row = re.search(r"requirements-lite\.txt.*\| (\d+), ", (ROOT / "README.md").read_text())
    assert int(row[1]) == len(complete & installed)
