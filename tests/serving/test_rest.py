"""What docs/serving.md sends to TensorFlow Serving works as it stands, with its messages."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rest_server
import small_corpus
import soundfile

from crossask.serving import Classifier

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()
SECTION = PAGE.split("## TensorFlow Serving\n")[1].split("\n## ")[0]
ADDRESS = "localhost:8501"
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", SECTION, re.DOTALL | re.MULTILINE)
(CLIENT,) = [block for language, block in BLOCKS if language == "python"]
# A blank line separates commands.
COMMANDS = "\n".join(block for language, block in BLOCKS if not language).split("\n\n")
REQUESTS = [command for command in COMMANDS if "curl" in command]


@pytest.fixture(scope="module")
def model(exported) -> Path:
    return exported(small_corpus.FEATURE_BASED_24_KHZ).model


@pytest.fixture(scope="module")
def address(model):
    with rest_server.running(model, "scenes") as address:
        yield address


@pytest.fixture
def folder(tmp_path) -> Path:
    """Returns a folder with a recording, in which commands run."""
    noise = np.random.default_rng(0).normal(0, 0.1, (3 * 48000, 2))
    soundfile.write(tmp_path / "recording.wav", noise, 48000, "PCM_24")
    return tmp_path


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # Requests to this machine go through no proxy.
    environment = {**os.environ, "PATH": programs, "no_proxy": "*"}
    return subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def in_shell(command: str, address: str, folder: Path) -> dict:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    done = run(["bash", "-c", command.replace(ADDRESS, address)], folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_page_shows_a_request_of_each_kind():
    assert len(REQUESTS) == 3
    by_signature = [re.search(r'"signature_name": "(\w+)"', part) for part in REQUESTS]
    assert [found and found[1] for found in by_signature] == ["classify_wav", None, "embed"]


@pytest.mark.processes
def test_the_request_with_a_wav_file_is_answered(model, address, folder):
    (prediction,) = in_shell(REQUESTS[0], address, folder)["predictions"]
    expected = Classifier(model).predict(folder / "recording.wav")
    found = dict(zip(prediction["scenes"], prediction["probabilities"], strict=True))
    assert found == pytest.approx(expected.probabilities, abs=1e-5)
    assert prediction["top_scene"] == prediction["top_scenes"][0] == expected.scene
    assert prediction["top_probabilities"][0] == pytest.approx(max(found.values()))


@pytest.mark.processes
def test_the_request_with_a_waveform_is_answered(address, folder):
    outputs = in_shell(REQUESTS[1], address, folder)["outputs"]
    assert outputs["scenes"] == [["a", "b"]]
    assert sum(outputs["probabilities"][0]) == pytest.approx(1, abs=1e-5)


@pytest.mark.processes
def test_the_request_for_embeddings_is_answered(address, folder):
    outputs = in_shell(REQUESTS[2], address, folder)["outputs"]
    assert outputs["window_start_seconds"] == [0.0]
    assert np.shape(outputs["event_embedding"])[:2] == (1, 1)


@pytest.mark.processes
def test_the_client_prints_a_line_for_each_file(model, address, folder):
    (folder / "client.py").write_text(CLIENT.replace(ADDRESS, address))
    shutil.copy(folder / "recording.wav", folder / "second.wav")
    # Without the packages of the environment.
    words = [sys.executable, "-I", "-S", "client.py"]
    done = run([*words, "recording.wav", "second.wav"], folder)
    assert done.returncode == 0, done.stderr
    expected = Classifier(model).predict(folder / "recording.wav")
    percent = f"{100 * max(expected.probabilities.values()):.1f}"
    assert done.stdout.splitlines() == [
        f"recording.wav: {expected.scene} {percent} %",
        f"second.wav: {expected.scene} {percent} %",
    ]


@pytest.mark.processes
def test_the_client_ends_with_the_problem_of_a_file(address, folder):
    (folder / "client.py").write_text(CLIENT.replace(ADDRESS, address))
    (folder / "text.wav").write_text("no sound")
    done = run([sys.executable, "-I", "client.py", "recording.wav", "text.wav"], folder)
    assert done.returncode == 1
    assert "This is not a WAV file" in done.stderr
    assert "Entry of the batch, counted from 0:] [1]" in done.stderr
    assert "Traceback" not in done.stderr
