"""What the README shows runs as it stands."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from crossask.cli import (
    app,
    describe,
    evaluate,
    export,
    launch,
    predict,
    prepare,
    pretrain,
    report,
    train,
)
from crossask.events import VGGish

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_first_python_example_runs(tmp_path, monkeypatch):
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    soundfile.write(
        tmp_path / "recording.wav",
        np.random.default_rng(0).normal(0, 0.1, (480000, 2)),
        48000,
        "PCM_24",
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(VGGish, "from_hub", classmethod(lambda cls, handle: cls(width=1 / 16)))
    names = {}
    exec(code, names)
    shapes = {
        name: tuple(names[name].shape)
        for name in ("waveform", "log_mel", "patches", "embedding", "logits")
    }
    assert shapes == {
        "waveform": (480000, 2),
        "log_mel": (998, 64, 2),
        "patches": (10, 96, 64),
        "embedding": (10, 128),
        "logits": (1, 10),
    }


def test_every_flag_and_command_it_names_exists():
    verbs = {
        "prepare": prepare,
        "pretrain": pretrain,
        "train": train,
        "evaluate": evaluate,
        "report": report,
        "export": export,
        "predict": predict,
        "describe": describe,
        "launch": launch,
        "app": app,
    }
    flags = {flag for verb in verbs.values() for flag in verb.FLAGS}
    text = README + "".join(path.read_text() for path in (ROOT / "docs").glob("*.md"))
    # --logdir is a flag of TensorBoard, --no-deps of pip, --system, --patches, --embedding_tap and
    # --steps of benchmarks/event_training.py, the last two of Apache Beam.
    of_others = {"help", "version", "logdir", "no", "system", "patches", "embedding_tap", "steps"}
    of_others |= {"direct_running_mode", "direct_num_workers"}
    assert set(re.findall(r"--([a-z_]+)", text)) - of_others <= flags
    assert set(re.findall(r"crossask-([a-z]+)", text)) <= set(verbs)


def test_names_that_the_pages_use_in_python_are_those_that_stay():
    pages = [README]
    pages += [(ROOT / "docs" / name).read_text() for name in ("serving.md", "own_recordings.md")]
    text = "".join(pages)
    used = {path.rpartition(".")[2] for path in re.findall(r"\bcrossask(?:\.\w+)+", text)}
    for names in re.findall(r"^from crossask[\w.]* import (.+)$", text, re.MULTILINE):
        used |= set(names.split(", "))
    api = (ROOT / "docs" / "api.md").read_text()
    listed = re.findall(r"^::: ([\w.]+)$", api, re.MULTILINE)
    of_all_packages = {"__version__", "audio", "cli", "events", "models"}
    assert used - of_all_packages <= {path.rpartition(".")[2] for path in listed}


def anchors_of(page: Path) -> set[str]:
    """Returns the anchors of a page's headings, as GitHub names them."""
    anchors = set()
    for heading in re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE):
        letters = re.sub(r"[^\w\- ]", "", heading.lower())
        anchors.add(letters.replace(" ", "-"))
    return anchors


def test_every_file_and_link_it_names_exists():
    for page in (
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "benchmarks").glob("*.md"),
        ROOT / "experiments" / "results" / "README.md",
        ROOT / "vggish_assets" / "README.md",
    ):
        text = page.read_text()
        for link in re.findall(r"\]\(([^)]+)\)", text):
            if "://" in link:
                continue
            name, _, anchor = link.partition("#")
            linked = page.parent / name if name else page
            assert linked.exists(), f"{page.name}: {link}"
            assert not anchor or anchor in anchors_of(linked), f"{page.name}: {link}"
        for name in re.findall(
            r"\b(?:crossask|experiments|tests|benchmarks|docs)/[\w/]+\.\w+", text
        ):
            assert (ROOT / name).exists(), f"{page.name}: {name}"


def test_every_function_it_names_is_in_the_file_beside_it():
    found = 0
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for file, name in re.findall(r"`([\w/]+\.py)` \(`(\w+)`\)", page.read_text()):
            places = (ROOT / "crossask").rglob(Path(file).name)
            texts = [path.read_text() for path in places if path.as_posix().endswith(file)]
            assert any(re.search(rf"\b{name}\b", text) for text in texts), f"{page.name}: {file}"
            found += 1
    assert found


def test_every_decision_is_once_in_the_table_above_them():
    text = (ROOT / "docs" / "decisions.md").read_text()
    table, decisions = text.split("## D1.", 1)
    numbers = re.findall(r"^## (D\d+)\.", f"## D1.{decisions}", re.MULTILINE)
    assert sorted(re.findall(r"\bD\d+\b", table)) == sorted(numbers)


@pytest.mark.processes
def test_the_pages_build_as_a_site_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs", reason="needs mkdocs: pip install '.[dev]'")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", f"--site-dir={tmp_path / 'site'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    start = (tmp_path / "site" / "index.html").read_text()
    assert "images/systems.svg" in start
    assert 'href="own_recordings/"' in start
    # A link to a file outside of the site would lead nowhere.
    for page in (tmp_path / "site").rglob("*.html"):
        links = re.findall(r'href="([^"]*)"', page.read_text())
        assert not [link for link in links if re.match(r"(?!https?:)[^#]*\.md(#|$)", link)], page
