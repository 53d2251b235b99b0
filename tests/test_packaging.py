"""The wheel and the sdist: what they contain, and that they work in an environment without the
source tree; and what the core of the package does without.
"""

import email
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
import small_corpus
import soundfile

from crossask.cli import command

ROOT = Path(__file__).parents[1]
NOT_COPIED = (".venv", ".git", "build", "dist", "*.egg-info", "*_output", "__pycache__", ".*cache")
# PYTHONPATH would lead to the source tree.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
# Installed by the core, or part of Python.
EXTRAS_ONLY = tuple(sorted(command.EXTRA_OF))


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """Returns a folder with the wheel and the sdist of a copy of the source tree."""
    folder = tmp_path_factory.mktemp("packaging")
    shutil.copytree(ROOT, folder / "tree", ignore=shutil.ignore_patterns(*NOT_COPIED))
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", f"--outdir={folder}", folder / "tree"],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory) -> Path:
    """Returns the folder of the commands of an environment with the wheel.

    The requirements are those of the environment of the tests, so that nothing is downloaded.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    commands = folder / "bin"
    site = subprocess.run(
        [commands / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    (wheel,) = built.glob("*.whl")
    words = [commands / "python", "-m", "pip", "install", "--quiet", "--no-deps", wheel]
    subprocess.run(words, check=True, env=ENVIRONMENT)
    # A .pth file of the other environment is not read, so its crossask is not found.
    Path(site, "requirements.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return commands


def run(commands: Path, *words: str, folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [commands / words[0], *words[1:]],
        capture_output=True,
        text=True,
        cwd=folder,
        env=ENVIRONMENT,
        check=False,
    )


@pytest.mark.processes
def test_the_wheel_contains_what_is_used_outside_of_the_package(built):
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for ending in (
        "crossask/py.typed",
        "crossask/report/templates/report.html",
        "share/crossask/experiments/dcase2019.py",
        "share/crossask/vggish_assets/manifest.json",
        "share/crossask/vggish_assets/vggish_tags.npz",
    ):
        assert any(name.endswith(ending) for name in names), ending
    assert not [name for name in names if name.startswith("tests/")]


@pytest.mark.processes
def test_the_sdist_contains_the_source_tree(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in ("Makefile", "constraints.txt", "tests/conftest.py", "experiments/demo.sh"):
        assert name in names
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    # Hidden files are for the repository alone. Without git, there is no list of the others.
    visible = {name for name in tracked.stdout.splitlines() if not name.startswith(".")}
    assert visible - names == set()


@pytest.mark.processes
def test_an_index_accepts_and_shows_the_metadata(built):
    files = [*built.glob("*.whl"), *built.glob("*.tar.gz")]
    words = [sys.executable, "-m", "twine", "check", "--strict", *files]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith("METADATA")]
        content = email.message_from_bytes(archive.read(metadata))
    assert content["Requires-Python"] == ">=3.10,<3.14"
    # The index has no files beside the README.
    assert re.findall(r"\]\((?!https?://)[^)]*\)", content.get_payload()) == []


@pytest.mark.processes
def test_the_wheel_works_outside_of_the_source_tree(installed, tmp_path):
    where = run(
        installed, "python", "-c", "import crossask; print(crossask.__file__)", folder=tmp_path
    )
    assert str(installed.parent) in where.stdout
    assert run(installed, "crossask", "--version", folder=tmp_path).returncode == 0
    rows = run(installed, "crossask", "experiments", "dcase2019", folder=tmp_path)
    assert "dcase2019:cmam_feature_based" in rows.stdout
    sizes = run(
        installed,
        "crossask-describe",
        "--experiment=dcase2019:fa,vem_feature_based",
        folder=tmp_path,
    )
    assert sizes.returncode == 0, sizes.stderr
    assert "fa " in sizes.stdout


@pytest.mark.trains
@pytest.mark.processes
def test_predicting_needs_the_core_alone(exported, tmp_path):
    """Every package of an extra is hidden from the command."""
    model = exported(small_corpus.CMAM_24_KHZ).model
    sound = tmp_path / "sound.wav"
    soundfile.write(sound, [0.0, 0.1, -0.1, 0.05] * 12000, 48000)
    hide = (
        "import sys\n"
        f"for name in {EXTRAS_ONLY!r}:\n"
        "    sys.modules[name] = None\n"
        "from crossask.cli import main\n"
        "raise SystemExit(main.main())\n"
    )
    words = [sys.executable, "-c", hide, "predict", f"--model={model}", str(sound)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "sound.wav" in done.stdout
    report = [sys.executable, "-c", hide, "report", "--model_dir=x", "--out=y"]
    done = subprocess.run(report, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'crossask[train]'" in done.stderr


@pytest.mark.processes
def test_without_extras_python_has_what_the_readme_says():
    readme = (ROOT / "README.md").read_text()
    of_core = re.search(r"\| `pip install \.` \| (.*?) \|", readme)[1]
    packages = {"networks": "crossask.models.cmam", "scores": "crossask.evaluation"}
    lines = ["import importlib, sys"]
    lines += [f"sys.modules[{name!r}] = None" for name in EXTRAS_ONLY]
    lines += [
        f"importlib.import_module({packages[name]!r})" for name in packages if name in of_core
    ]
    assert len(lines) > len(EXTRAS_ONLY) + 1
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, capture_output=True)
