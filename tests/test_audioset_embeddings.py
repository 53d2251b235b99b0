"""benchmarks/audioset_embeddings.py: from published 8-bit values to files for training."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from crossask.datasets import read_corpus
from crossask.pretraining.trunk import read_tagged_embeddings

PATH = Path(__file__).parents[1] / "benchmarks" / "audioset_embeddings.py"
SPEC = importlib.util.spec_from_file_location("audioset_embeddings", PATH)
script = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(script)

NAMES = ("Speech", *script.SCENES, "Music")


@pytest.fixture
def audioset(tmp_path):
    """Returns a folder as the script reads it, and the values before PCA and 8 bits."""
    rng = np.random.default_rng(0)
    matrix = np.linalg.qr(rng.normal(size=(128, 128)))[0]
    mean = rng.normal(0, 0.1, 128)
    np.savez(tmp_path / "pca.npz", pca_eigen_vectors=matrix, pca_means=mean[:, np.newaxis])
    raw = {}
    for name, clips in (("bal_train", 60), ("eval", 20)):
        values = rng.normal(0, 0.3, (clips, 10, 128))
        raw[name] = values
        # As YouTube-8M's code: a PCA, clipped to -2..2, in 8 bits.
        projected = np.clip((values - mean) @ matrix.T, -2, 2)
        labels = np.zeros((clips, len(NAMES)), np.uint8)
        labels[np.arange(clips), np.arange(clips) % len(NAMES)] = 1
        labels[0, 1:3] = 1  # two scenes
        np.savez(
            tmp_path / f"{name}.npz",
            x=np.round((projected + 2) / 4 * 255).astype(np.uint8),
            n_patches=np.where(np.arange(clips) == 1, 4, 10),
            y=np.packbits(labels, axis=1),
            video_id=np.array([f"{name}{number}" for number in range(clips)]),
        )
    lines = ["index,mid,display_name"]
    lines += [f'{number},/m/{number},"{name}"' for number, name in enumerate(NAMES)]
    (tmp_path / "class_labels_indices.csv").write_text("\n".join(lines) + "\n")
    return tmp_path, raw


def test_values_come_back_to_the_layer_after_its_relu(audioset):
    folder, raw = audioset
    clips = script.read_clips(folder / "eval.npz", folder / "pca.npz", len(NAMES))
    np.testing.assert_allclose(clips.embeddings, np.maximum(raw["eval"], 0), atol=0.05)


def test_patches_of_a_short_clip_are_repeated(audioset):
    folder, _ = audioset
    clips = script.read_clips(folder / "eval.npz", folder / "pca.npz", len(NAMES))
    filled = script.repeated(clips)
    np.testing.assert_array_equal(filled[1], clips.embeddings[1, [0, 1, 2, 3] * 2 + [0, 1]])
    np.testing.assert_array_equal(filled[2], clips.embeddings[2])


def test_both_files_are_read_and_their_parts_are_apart(audioset, monkeypatch):
    folder, _ = audioset
    arguments = ["audioset_embeddings.py", str(folder), str(folder / "out")]
    monkeypatch.setattr("sys.argv", [*arguments, f"--pca={folder / 'pca.npz'}"])
    script.main()
    parts = read_tagged_embeddings(folder / "out" / "events.npz")
    assert parts["train"].labels.shape[1] == len(NAMES) - len(script.SCENES)
    assert parts["train"].count + parts["val"].count == 60
    assert 0 < parts["val"].count < 20
    corpus = read_corpus("embeddings", folder / "out" / "scene_labels.npz")
    assert corpus.scenes == script.SCENES
    # Of seven labels five are scenes; the first clip has two of them.
    assert len(corpus.folds[0].evaluation) == sum(1 <= n % 7 <= 5 for n in range(1, 20))
