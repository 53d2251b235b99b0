"""Each command is killed just before each of its renames; the same command then goes on.

Features are in tests/features/test_verification.py, the loop of training in
tests/training/test_damaged_files.py, and what needs something trained in
tests/cli/test_renames_of_trained.py.
"""

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import renames
import small_corpus
from every_verb import call
from serving.test_continued_tables import prediction

from crossask import events, locks
from crossask.cli import own_recordings
from crossask.datasets import archives, soundscapes
from crossask.datasets.soundscapes import IsolatedEventsConfig, rendering
from crossask.events import assets
from crossask.serving import prediction_files


def test_rendering_soundscapes_goes_on_after_any_rename(tmp_path, monkeypatch):
    config = soundscapes.SoundscapesConfig(
        locations_per_scene=2, clips_per_location=1, clip_seconds=1.0, cities=("helsinki",)
    )

    def noise(key, *_) -> tuple[np.ndarray, None]:
        rng = np.random.default_rng(key.location_number)
        return rng.uniform(-0.5, 0.5, (48000, 2)), None

    monkeypatch.setattr(rendering, "render_scene_clip", noise)

    def render(folder: Path) -> None:
        with locks.of_folder(folder):
            soundscapes.write_soundscapes(folder, config)

    renames.assert_goes_on(render, tmp_path, 25)


def test_rendering_events_goes_on_after_any_rename(tmp_path):
    config = IsolatedEventsConfig(count=3, seconds=0.25, sample_rate_hz=8000)

    def render(folder: Path) -> None:
        with locks.of_folder(folder):
            soundscapes.write_events(folder, config)

    # the recipe, three recordings and the table
    renames.assert_goes_on(render, tmp_path, 5)


def test_downloading_a_corpus_goes_on_after_any_rename(tmp_path, server):
    listed = []
    for name, members in {"meta": ["meta.csv"], "audio": ["audio/a.wav", "audio/b.wav"]}.items():
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for member in members:
                archive.writestr(member, member * 1000)
        content = file.getvalue()
        server.files[f"{name}.zip"] = content
        md5 = hashlib.md5(content).hexdigest()
        listed.append((f"{server.url}/{name}.zip", len(content), md5))

    def download(folder: Path) -> None:
        with locks.of_folder(folder):
            archives.fetch_corpus(listed, folder)

    # each archive, each member, and each record
    renames.assert_goes_on(download, tmp_path, 7)


def test_downloading_weights_goes_on_after_any_rename(tmp_path, server, monkeypatch):
    layer = events.vggish.VGGish(width=1 / 64, seed=1)
    layer.save_npz(tmp_path / "weights.npz")
    server.files["w.npz"] = (tmp_path / "weights.npz").read_bytes()
    entry = {
        "what": "a narrow VGGish",
        "url": f"{server.url}/w.npz",
        "file": "w.npz",
        "model": "vggish",
        "width": 1 / 64,
    }
    (tmp_path / "manifest.json").write_text(json.dumps({"narrow": entry}))
    monkeypatch.setenv("CROSSASK_ASSETS_MANIFEST", str(tmp_path / "manifest.json"))
    # the record under its first name, the record and the weights
    renames.assert_goes_on(lambda folder: assets.fetch("narrow", folder), tmp_path / "caches", 3)


def test_predicting_changed_recordings_again_goes_on_after_any_rename(tmp_path):
    def predict(folder: Path) -> None:
        path = folder / "table.csv"
        with locks.of_path(path):
            file = prediction_files.PredictionFile(path, "csv", ("bus", "park"))
            # A file that has changed is predicted again.
            for name in ("a.wav", "b.wav", "a.wav"):
                file.append(prediction(name))
            file.close()

    renames.assert_goes_on(predict, tmp_path, 1, lambda folder: set(lines_of(folder / "table.csv")))


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_completing_a_table_goes_on_after_any_rename(tmp_path):
    def predict(folder: Path) -> None:
        path = folder / "table.csv"
        if not path.exists():
            folder.mkdir()
            file = prediction_files.PredictionFile(path, "csv", ("bus", "park"))
            file.append(prediction("a.wav"))
            file.close()
            with open(path, "a") as half:
                half.write("b.wav,bus,0.")
        with locks.of_path(path):
            file = prediction_files.PredictionFile(path, "csv", ("bus", "park"))
            if not file.contains("b.wav"):
                file.append(prediction("b.wav"))
            file.close()

    renames.assert_goes_on(predict, tmp_path, 1)


def test_writing_settings_for_own_recordings_goes_on_after_any_rename(tmp_path, monkeypatch):
    """The table and the experiment file that `crossask train RECORDINGS` writes."""
    monkeypatch.setattr(own_recordings, "_verb", lambda *_: 2)
    small_corpus.write(tmp_path / "sounds")

    def train(folder: Path) -> None:
        call("train", tmp_path / "sounds" / "clips.csv", f"--model_dir={folder}")

    def read(folder: Path) -> dict[str, Any]:
        rows = (folder / "rows.py").read_text().replace(str(folder), "")
        return {"rows": rows, "table": (folder / "clips.csv").read_bytes()}

    renames.assert_goes_on(train, tmp_path / "models", 2, read)
