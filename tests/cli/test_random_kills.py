"""Commands that are killed again and again at random moments end with the bytes of one that was
left alone, and leave nothing behind.

`make test-faults` kills each command a few times. CROSSASK_KILLS is the number of kills of each.
"""

import dataclasses
import hashlib
import io
import json
import os
import random
import shlex
import shutil
import signal
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import download_server
import numpy as np
import pytest
import small_corpus
import warm_commands

pytestmark = [pytest.mark.processes, pytest.mark.faults]

KILLS = int(os.environ.get("CROSSASK_KILLS", "3"))
# Functions that TensorFlow has translated, a few kB. It removes them itself, unless it is killed.
OF_TENSORFLOW = "__autograph_generated_file"
# How long a process may take to end after its parent was killed.
PATIENCE_SECONDS = 60
CORPUS = "--data_dir={place}/corpus/clips.csv"
ROWS = "--experiment={place}/rows.py"
COMMANDS = {
    "download": "download {out} {archives}",
    "render soundscapes": "prepare --dataset=soundscapes --data_dir={out} --locations_per_scene=2 "
    "--clips_per_location=1 --cities=helsinki --workers=1",
    "render events in two processes": "prepare --dataset=events --data_dir={out} --events=24",
    "compute features": f"prepare --dataset=folder {ROWS} {CORPUS} --features_dir={{out}}",
}


@dataclasses.dataclass(frozen=True)
class Place:
    """What the commands read, and the process that runs them.

    Attributes:
      folder: corpus/ and rows.py.
      commands: The process.
      archives: The archives that the server has, as JSON.
    """

    folder: Path
    commands: warm_commands.Commands
    archives: str

    def run(
        self, name: str, out: Path, kill_after_seconds: float | None = None
    ) -> warm_commands.Ended:
        """Runs a command, which may be killed."""
        values = {"place": self.folder, "out": out, "archives": self.archives}
        words = [word.format_map(values) for word in shlex.split(COMMANDS[name])]
        return self.commands.run(words, kill_after_seconds)


@pytest.fixture(scope="module")
def place(made_once, tmp_path_factory) -> Iterator[Place]:
    def make(folder: Path) -> None:
        small_corpus.write(folder / "corpus", places=6)
        # Two kinds of features.
        small_corpus.write_rows(folder / "rows.py", "FEATURE_BASED")

    with (
        warm_commands.started(tmp_path_factory.mktemp("commands")) as commands,
        download_server.running() as server,
    ):
        yield Place(made_once("random_kills", make), commands, _publish(server))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_killed_at_random_moments_ends_as_one_that_was_left_alone(
    place, tmp_path, name
):
    out = tmp_path / "out"
    out.mkdir()
    alone = place.run(name, out)
    assert alone.code == 0, place.commands.log.read_text()
    expected = contents(out)

    draw = random.Random(name)
    killed = 0
    while killed < KILLS:
        shutil.rmtree(out)
        out.mkdir()
        ended = None
        sessions = []
        moments = []
        while ended is None or ended.code == -signal.SIGKILL:
            moment = draw.uniform(0, alone.seconds) if killed < KILLS else None
            ended = place.run(name, out, moment)
            sessions.append(ended.session)
            if ended.code == -signal.SIGKILL:
                killed += 1
                moments.append(f"{moment:.2f}")
        history = f"killed after {', '.join(moments)} of {alone.seconds:.2f} s"
        output = place.commands.log.read_text()
        assert ended.code == 0, f"{history}:\n{output}"
        assert_same(contents(out), expected, history)
        assert_ended(sessions, history)
        names = [path.name for path in place.commands.temporary.iterdir()]
        assert [name for name in names if not name.startswith(OF_TENSORFLOW)] == [], history


def contents(folder: Path) -> dict[str, str]:
    """Returns the hash of each file in a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def assert_same(found: dict[str, str], expected: dict[str, str], history: str) -> None:
    assert sorted(found) == sorted(expected), history
    different = [name for name in expected if found[name] != expected[name]]
    assert different == [], history


def assert_ended(sessions: list[int], history: str) -> None:
    """Asserts that no process is left of the commands in these sessions."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while orphans := warm_commands.running(sessions):
        assert time.monotonic() < deadline, f"{history}: {orphans}"
        time.sleep(0.05)


def _publish(server: download_server.Server) -> str:
    """Puts two archives on a server; returns (url, bytes, md5) of each as JSON."""
    rng = np.random.default_rng(0)
    listed = []
    for number in range(2):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for recording in range(20):
                archive.writestr(f"audio/{number}-{recording}.wav", rng.bytes(1 << 19))
        name = f"audio.{number}.zip"
        content = file.getvalue()
        server.files[name] = content
        listed.append((f"{server.url}/{name}", len(content), hashlib.md5(content).hexdigest()))
    return json.dumps(listed)
