"""The Dockerfiles use files, commands, extras and versions that exist. Nothing is built."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from crossask.cli import app

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docker"
PAGE = FOLDER / "page" / "Dockerfile"
SERVING = FOLDER / "serving" / "Dockerfile"
DOCS = (ROOT / "docs" / "serving.md").read_text()


def instructions(path: Path) -> list[tuple[str, str]]:
    """Returns the instructions of a Dockerfile with their arguments."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line]


def arguments(path: Path, instruction: str) -> list[str]:
    return [words for name, words in instructions(path) if name == instruction]


def copied() -> list[str]:
    """Returns the files and folders that the page's image gets from this repository."""
    sources = []
    for words in arguments(PAGE, "COPY"):
        sources += shlex.split(words)[:-1]
    return sources


@pytest.mark.parametrize("path", [PAGE, SERVING], ids=lambda path: path.parent.name)
def test_they_start_from_an_image_and_have_known_instructions(path):
    names = [name for name, _ in instructions(path)]
    assert names[0] == "FROM"
    known = {"FROM", "WORKDIR", "COPY", "RUN", "USER", "ENV", "VOLUME", "EXPOSE", "ENTRYPOINT"}
    assert set(names) <= known


def test_the_page_starts_with_a_command_and_flags_of_the_package():
    (words,) = arguments(PAGE, "ENTRYPOINT")
    command, *flags = json.loads(words)
    assert command == "crossask-app"
    values = dict(flag.removeprefix("--").split("=") for flag in flags)
    assert set(values) <= set(app.FLAGS)
    # At its default address, the page could not be reached from outside of the container.
    assert values == {"host": "0.0.0.0"}
    assert arguments(PAGE, "EXPOSE") == [str(app.FLAGS["port"].default)]


def test_the_python_of_the_page_is_that_of_the_constraints():
    (image,) = arguments(PAGE, "FROM")
    versions = re.search(
        r"sys\.version_info\[:2\] == \((\d+), (\d+)\)", (ROOT / "Makefile").read_text()
    )
    assert image == f"python:{versions[1]}.{versions[2]}-slim"


def test_the_model_is_where_tensorflow_serving_looks_for_its_name():
    (copy,) = arguments(SERVING, "COPY")
    (name,) = arguments(SERVING, "ENV")
    assert copy == f". /models/{name.removeprefix('MODEL_NAME=')}/1"
    # The requests in the documentation have this name, too.
    names = set(re.findall(r"/v1/models/(\w+):predict", DOCS))
    assert names == {name.removeprefix("MODEL_NAME=")}


def test_the_documentation_builds_each_of_them():
    built = set(re.findall(r"docker build -f (\S+)", DOCS))
    assert built == {str(path.relative_to(ROOT)) for path in FOLDER.rglob("Dockerfile")}


@pytest.mark.processes
def test_what_is_copied_is_enough_to_build_the_package_with_its_extras(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in copied():
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, source)
    words = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
    subprocess.run([*words, f"--outdir={tmp_path}", source], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = [name for name in names if name.endswith("METADATA")]
        extras = re.findall(
            r"^Provides-Extra: (\w+)", archive.read(metadata).decode(), re.MULTILINE
        )
        (commands,) = [name for name in names if name.endswith("entry_points.txt")]
        assert "crossask-app = " in archive.read(commands).decode()
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "crossask").rglob("*.py")}
    assert modules <= set(names)
    assert "crossask/serving/starter.npz" in names
    (install, *_) = arguments(PAGE, "RUN")
    wanted = re.search(r"'\.\[([\w,]+)\]'", install)[1].split(",")
    assert set(wanted) <= set(extras)
    assert re.search(r"-c (\S+)", install)[1] in copied()
