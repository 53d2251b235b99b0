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
import pandas as pd
import pytest
import small_corpus
import warm_commands

pytestmark = [pytest.mark.trains, pytest.mark.processes, pytest.mark.faults]

KILLS = int(os.environ.get("CROSSASK_KILLS", "3"))
# Functions that TensorFlow has translated, a few kB. It removes them itself, unless it is killed.
OF_TENSORFLOW = "__autograph_generated_file"
# Files of a SavedModel in which TensorFlow writes other numbers each time.
NEVER_EQUAL = ("fingerprint.pb", "checksums.json")
# How long a process may take to end after its parent was killed.
PATIENCE_SECONDS = 60
CORPUS = "--data_dir={place}/corpus/clips.csv"
ROWS = "--experiment={place}/rows.py"
RUN = "{place}/runs/fa/fold1/seed0"
# Two kinds of features, of which FA reads one.
PREPARE = f"prepare --dataset=folder {ROWS}:cmam_feature_based {CORPUS}"
TRAIN = (
    f"train {ROWS}:fa {CORPUS} --features_dir={{place}}/features --preflight=never --save_steps=1 "
    "--params_override=training.epochs=3"
)
EXPORT = f"export --model_dir={RUN}"
PREDICT = "predict --model={place}/model {place}/corpus"
PRETRAIN = "pretrain --epochs=2 --batch_size=8"
COMMANDS = {
    "download": "download {out} {archives}",
    "render soundscapes": "prepare --dataset=soundscapes --data_dir={out} --locations_per_scene=2 "
    "--clips_per_location=1 --cities=helsinki --workers=1",
    "render events in two processes": "prepare --dataset=events --data_dir={out} --events=24",
    "compute features": f"{PREPARE} --features_dir={{out}}",
    "compute features with Beam": f"{PREPARE} --features_dir={{out}} --runner=beam "
    "--beam_options='--direct_num_workers=2 --direct_running_mode=multi_processing'",
    "train": f"{TRAIN} --model_dir={{out}}",
    "train two runs at once": f"{TRAIN} --model_dir={{out}} --seeds=0,1 --jobs=2",
    "evaluate": "evaluate --model_dir={out} --training_clips",
    "report": f"report --model_dir={RUN} --out={{out}}",
    "export": f"{EXPORT} --out={{out}}/model",
    "export to LiteRT": f"{EXPORT} --out={{out}}/model.tflite --format=litert",
    "predict": f"{PREDICT} --out={{out}}/table.csv --format=csv",
    "predict timelines": f"{PREDICT} --out={{out}}/timelines --timeline",
    "pretrain an event model": f"{PRETRAIN} --events={{place}}/events/events.csv --width=0.03125 "
    "--clip_seconds=2 --features_dir={out}/features --out={out}/weights.npz",
    "pretrain a trunk": f"{PRETRAIN} --embeddings={{place}}/events.npz {ROWS}:vem "
    "--out={out}/trunk.npz",
}


@dataclasses.dataclass(frozen=True)
class Place:
    """What the commands read, and the process that runs them.

    Attributes:
      folder: corpus/, rows.py, features/, unevaluated/, runs/, model/, events/ and events.npz.
      commands: The process.
      archives: The archives that the server has, as JSON.
    """

    folder: Path | None
    commands: warm_commands.Commands
    archives: str

    def begin(self, name: str, out: Path) -> None:
        """Makes `out` what it is before the first call of a command."""
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        if name == "evaluate":
            shutil.copytree(self.folder / "unevaluated", out / "runs")

    def run(
        self, name: str, out: Path, kill_after_seconds: float | None = None
    ) -> warm_commands.Ended:
        """Runs a command, which may be killed."""
        return self._run(COMMANDS[name], out, kill_after_seconds)

    def make(self) -> None:
        """Writes what commands read into `folder`."""
        small_corpus.write(self.folder / "corpus", places=6)
        small_corpus.write_rows(self.folder / "rows.py", "FA", "FEATURE_BASED", "VEM")
        small_corpus.write_tagged_embeddings(self.folder / "events.npz", 32)
        for words in (
            f"{PREPARE} --features_dir={{place}}/features",
            "prepare --dataset=events --data_dir={place}/events --events=200 --workers=1",
            f"{TRAIN} --model_dir={{place}}/unevaluated",
        ):
            self._finish(words)
        shutil.copytree(self.folder / "unevaluated", self.folder / "runs")
        self._finish("evaluate --model_dir={place}/runs")
        self._finish(f"{EXPORT} --out={{place}}/model")

    def _finish(self, words: str) -> None:
        ended = self._run(words, self.folder)
        assert ended.code == 0, self.commands.log.read_text()

    def _run(
        self, words: str, out: Path, kill_after_seconds: float | None = None
    ) -> warm_commands.Ended:
        values = {"place": self.folder, "out": out, "archives": self.archives}
        filled = [word.format_map(values) for word in shlex.split(words)]
        return self.commands.run(filled, kill_after_seconds)


@pytest.fixture(scope="module")
def place(made_once, tmp_path_factory) -> Iterator[Place]:
    with (
        warm_commands.started(tmp_path_factory.mktemp("commands")) as commands,
        download_server.running() as server,
    ):
        archives = _publish(server)
        yield Place(None, commands, archives)


@pytest.fixture(scope="module")
def filled(place, made_once) -> Place:
    """Returns the place with a folder, which not all commands need."""

    def make(folder: Path) -> None:
        dataclasses.replace(place, folder=folder).make()

    return dataclasses.replace(place, folder=made_once("random_kills", make))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_killed_at_random_moments_ends_as_one_that_was_left_alone(
    place, tmp_path, name, request
):
    if "{place}" in COMMANDS[name] or name == "evaluate":
        place = request.getfixturevalue("filled")
    out = tmp_path / "out"
    place.begin(name, out)
    alone = place.run(name, out)
    assert alone.code == 0, place.commands.log.read_text()
    expected = contents(out)

    draw = random.Random(name)
    killed = 0
    while killed < KILLS:
        place.begin(name, out)
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
        # An export that was killed when it was complete is not written again.
        is_complete = name.startswith("export") and "exists already" in output
        assert ended.code == 0 or is_complete, f"{history}:\n{output}"
        assert_same(contents(out), expected, history)
        assert_ended(sessions, history)
        assert remains(place.commands.temporary) == [], history


def remains(folder: Path) -> list[str]:
    """Returns what is left in a folder, and removes it."""
    names = []
    for path in folder.iterdir():
        if path.name.startswith(OF_TENSORFLOW):
            continue
        names.append(path.name)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return names


def contents(folder: Path) -> dict[str, object]:
    """Returns the content of all files in a folder by their name, without what states times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        # TensorBoard's files have times in their names and in each record.
        if not path.is_file() or "/logs/" in f"/{name}":
            continue
        found[name] = "" if path.name in NEVER_EQUAL else _without_times(path)
    return found


def _without_times(path: Path) -> object:
    if path.name == "history.csv":
        return pd.read_csv(path).drop(columns="seconds").to_csv()
    if path.parent.name == "checkpoints":
        # They contain the history. What they lead to is compared: best.npz.
        return ""
    if path.suffix == ".json":
        content = json.loads(path.read_text())
        if content.pop("seconds", None) is not None:
            # That of the file and that of its history.
            content.pop("checksum", None)
        return content
    return hashlib.sha256(path.read_bytes()).hexdigest()


def assert_same(found: dict[str, object], expected: dict[str, object], history: str) -> None:
    assert sorted(found) == sorted(expected), history
    different = [name for name in expected if found[name] != expected[name]]
    assert different == [], history


def assert_ended(sessions: list[int], history: str) -> None:
    """Asserts that no process is left after some seconds of the commands in these sessions."""
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
