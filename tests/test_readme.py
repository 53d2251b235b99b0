"""What the README shows runs as it stands."""

import re
from pathlib import Path

import numpy as np
import soundfile

from crossask.cli import app, describe, evaluate, export, launch, predict, prepare, pretrain, report, train
from crossask.events import VGGish

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_first_python_example_runs(tmp_path, monkeypatch):
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    soundfile.write(tmp_path / "recording.wav", np.random.default_rng(0).normal(0, 0.1, (480000, 2)), 48000, "PCM_24")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(VGGish, "from_hub", classmethod(lambda cls, handle: cls(width=1 / 16)))
    names = {}
    exec(code, names)
    shapes = {name: tuple(names[name].shape) for name in ("waveform", "log_mel", "patches", "embedding", "logits")}
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
    told = README + (ROOT / "docs" / "results.md").read_text()
    assert set(re.findall(r"--([a-z_]+)", told)) - {"help"} <= flags
    assert set(re.findall(r"crossask-([a-z]+)", README)) <= set(verbs)
