"""The shell scripts and the Makefile pass on paths with spaces, and remove no file of the user."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from crossask import stored

ROOT = Path(__file__).parents[1]
COMMANDS = ("prepare", "pretrain", "train", "evaluate", "report", "export", "predict")
# Writes its name and its arguments, one a line.
STUB = """#!/usr/bin/env bash
printf '%s\\n' "${0##*/}" "$@" >> "$CALLS"
"""

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash"),
]


def dry_run(*words: str) -> str:
    """Returns the commands that make would run."""
    command = ["make", "--dry-run", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def scripts(tmp_path):
    """Returns a function that runs a script with commands that do nothing.

    It returns the lines that the commands wrote.
    """
    bin_folder = tmp_path / "my bin"
    bin_folder.mkdir()
    for name in COMMANDS:
        command = bin_folder / f"crossask-{name}"
        command.write_text(STUB)
        command.chmod(0o755)
    calls = tmp_path / "calls"

    def run(name, out, seeds):
        variables = {"BIN": str(bin_folder), "OUT": str(out), "CALLS": str(calls), "SEEDS": seeds}
        script = ROOT / "experiments" / name
        subprocess.run(["bash", script], env={**os.environ, **variables}, check=True)
        return calls.read_text().splitlines()

    return run


@pytest.fixture
def demo(scripts):
    """Returns a function that runs the demo as `scripts` does."""

    def run(out):
        return scripts("demo.sh", out, "0")

    return run


def test_a_trunk_that_is_older_than_its_events_is_pretrained_again(scripts, tmp_path):
    out = tmp_path / "my files"
    out.mkdir()
    for name, seconds in (("trunk_0.npz", 1), ("events.npz", 2), ("trunk_1.npz", 3)):
        path = out / name
        path.touch()
        os.utime(path, (seconds, seconds))
    lines = scripts("audioset_trunks.sh", out, "0 1 2")
    assert [line for line in lines if line.startswith("--seed")] == ["--seed=0", "--seed=2"]


def test_the_demo_predicts_every_eighth_recording_in_a_folder_with_a_space(demo, tmp_path):
    out = tmp_path / "my demo"
    recordings = [out / "unheard" / "audio" / f"{number:02d}.wav" for number in range(18)]
    recordings[0].parent.mkdir(parents=True)
    for recording in recordings:
        recording.touch()
    lines = demo(out)
    predicted = lines[lines.index("crossask-predict") + 1 :]
    assert predicted == [f"--model={out}/model", *(str(path) for path in recordings[::8])]


@pytest.mark.parametrize("card", [True, False])
def test_the_demo_removes_no_folder_that_is_not_an_exported_model(demo, tmp_path, card):
    model = tmp_path / "model"
    kept = model / "assets" / ("model_card.json" if card else "notes.txt")
    kept.parent.mkdir(parents=True)
    kept.touch()
    result = tmp_path / "runs" / "cmam_feature_based" / "fold1" / "seed0" / "result.json"
    result.parent.mkdir(parents=True)
    result.touch()
    # The run is newer than the model.
    os.utime(model, (0, 0))
    recording = tmp_path / "unheard" / "audio" / "a.wav"
    recording.parent.mkdir(parents=True)
    recording.touch()
    lines = demo(tmp_path)
    assert kept.exists() is not card
    assert ("crossask-export" in lines) is card


@pytest.mark.parametrize("seed", [0, 1])
def test_the_demo_keeps_the_model_of_its_first_seed_alone(demo, tmp_path, seed):
    card = tmp_path / "model" / "assets" / "model_card.json"
    stored.write_json(card, {"experiment": {"seed": 0}, "seed": seed, "training": {}})
    recording = tmp_path / "unheard" / "audio" / "a.wav"
    recording.parent.mkdir(parents=True)
    recording.touch()
    # There is no older or newer run.
    lines = demo(tmp_path)
    assert ("crossask-export" in lines) is (seed != 0)


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
@pytest.mark.parametrize("target", ["demo", "rehearse-dcase2019", "reproduce-tut2017"])
def test_make_passes_on_values_with_spaces(target):
    values = ["OUT=my  out, new", "DATA=my data", "SEEDS=0,1", "ROWS=fa"]
    words = shlex.split(dry_run(target, *values).splitlines()[-1])
    assert "OUT=my  out, new" in words
    assert words[words.index("bash") + 1].startswith("experiments/")
    assert ("DATA=my data" in words) is target.startswith("reproduce")


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
@pytest.mark.parametrize("target", ["demo", "rehearse-dcase2019", "reproduce-tut2017", "results"])
def test_make_replaces_the_sign_of_the_home_folder_which_some_shells_leave(target):
    values = ["OUT=~/my out", "DATA=~/my data", "ESC10=~/esc 10", "HOME=/home/me"]
    printed = dry_run(target, *values)
    assert "~" not in printed
    words = shlex.split(printed)
    assert "OUT=/home/me/my out" in words or "--out=/home/me/my out" in words
    assert ("DATA=/home/me/my data" in words) is target.startswith("reproduce")
    assert ("ESC10=/home/me/esc 10" in words) is (target == "results")


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
def test_make_docs_empties_no_page_before_it_is_written_anew():
    assert ">" not in dry_run("docs")


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
def test_make_clean_removes_every_environment():
    makefile = (ROOT / "Makefile").read_text()
    environments = re.findall(r"\$\(PYTHON\) -m venv \$\((\w+)\)", makefile)
    assert len(set(environments)) > 2
    removed = shlex.split(dry_run("clean"))
    for name in environments:
        (folder,) = re.findall(rf"^{name} := (.*)$", makefile, re.MULTILINE)
        assert folder in removed
