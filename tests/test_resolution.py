"""The requirements of each extra can be resolved for every Python and platform that is named.

Nothing is installed. Versions come from an index of packages, whose content changes, so these tests
run on request alone: `make resolve`.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import setup_file

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
# TensorFlow 2.20 has wheels for macOS on Apple's own processors alone.
PLATFORMS = ("x86_64-unknown-linux-gnu", "aarch64-apple-darwin", "x86_64-pc-windows-msvc")
EXTRAS = ("", "train", "app", "media", "lite", "beam", "serving", "kaggle")
# They require tf-models-official, and that requires a package in pure Python without a wheel.
NEED_A_BUILD = ("train", "beam")

pytestmark = pytest.mark.processes
if os.environ.get("CROSSASK_TEST_INDEX") != "1":
    pytest.skip("needs an index of packages: make resolve", allow_module_level=True)


@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_requirements_can_be_resolved(python, platform, extra, monkeypatch):
    uv = shutil.which("uv", path=os.path.dirname(sys.executable)) or "uv"
    words = [uv, "pip", "compile", "-", "--quiet"]
    words += [f"--python-version={python}", f"--python-platform={platform}"]
    if extra not in NEED_A_BUILD:
        words.append("--only-binary=:all:")
    done = subprocess.run(
        words,
        input="\n".join(setup_file.requirements(monkeypatch, extra)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "tensorflow==2.20." in done.stdout
