"""The head of the published VGGish reads every embedding tap and belongs to these weights."""

import json
import shutil

import numpy as np
import pytest
import small_corpus
import tensorflow as tf
from sklearn.metrics import average_precision_score

from crossask import events
from crossask.audio import frontends
from crossask.config import EventModelConfig
from crossask.errors import WeightsError
from crossask.events import assets, manifest
from crossask.events.tagger import Tagger, inverse_of_pca, read_tagger, tags_path
from crossask.events.vggish import VGGish, read_pca
from crossask.serving import saved_model
from crossask.training import run_folder

HUB = "https://example.com/vggish"
WIDTH = 1 / 32
NAMES = ("dog", "rain", "wind")
PATCHES = np.random.default_rng(0).normal(-2, 2, (4, 96, 64)).astype(np.float32)
# mAP on the evaluation set, see vggish_assets/README.md
PUBLISHED_MAP = 0.241


def published():
    return VGGish(width=WIDTH, seed=1).built_whole()


def deviation_of_sine(layer):
    seconds = np.arange(0, assets.SMOKE_TEST_SECONDS, 1 / frontends.EVENT_RATE_HZ)
    sine = np.sin(2 * np.pi * assets.SMOKE_TEST_HZ * seconds).astype(np.float32)
    return float(np.std(layer(frontends.vggish_patches(sine)).numpy()))


def write_manifest(tmp_path, monkeypatch, layer, width):
    """Writes a manifest with a head for the weights of `layer`, and returns the head."""
    rng = np.random.default_rng(1)
    head = Tagger(NAMES, rng.normal(0, 0.1, (128, 3)), rng.normal(0, 1, 3))
    head.save_npz(tmp_path / "vggish_tags.npz")
    entries = {
        "vggish": {
            "what": "a narrow VGGish",
            "hub": HUB,
            "model": "vggish",
            "width": width,
            "smoke_test_deviation": deviation_of_sine(layer),
            "tags": "vggish_tags.npz",
        },
        "vggish_pca": {"what": "its PCA", "file": "pca.npz", "model": "pca"},
    }
    (tmp_path / "manifest.json").write_text(json.dumps(entries))
    monkeypatch.setenv("CROSSASK_ASSETS_MANIFEST", str(tmp_path / "manifest.json"))
    monkeypatch.setenv("CROSSASK_CACHE_DIR", str(tmp_path / "cache"))
    return head


@pytest.fixture(name="head")
def fixture_head(tmp_path, monkeypatch):
    """Returns the head in a manifest of a narrow VGGish, whose PCA is in the cache."""
    return write_manifest(tmp_path, monkeypatch, published(), WIDTH)


@pytest.fixture(name="pca")
def fixture_pca(tmp_path):
    """Writes a PCA into the cache that brings the embeddings of PATCHES to -1.9..1.9."""
    embeddings = published()(PATCHES).numpy()
    both = np.concatenate([embeddings, np.maximum(embeddings, 0)])
    mean = embeddings.mean(axis=0)
    rotation = np.linalg.qr(np.random.default_rng(2).normal(0, 1, (128, 128)))[0]
    path = tmp_path / "cache" / "pca.npz"
    path.parent.mkdir()
    vectors = 1.9 * rotation / np.abs((both - mean) @ rotation.T).max()
    np.savez(path, pca_eigen_vectors=vectors, pca_means=mean)
    return path


def config(**fields):
    return EventModelConfig(**{"width": WIDTH, "weights": HUB} | fields)


@pytest.mark.usefixtures("head")
def test_the_handle_of_the_published_weights_needs_no_file_and_no_network():
    assert read_tagger(config()).names == NAMES


def test_the_taps_before_the_pca_have_the_same_scores(head, tmp_path):
    # The weights are the same, whatever tap their record has.
    VGGish(width=WIDTH, seed=1, embedding_tap="relu").built_whole().save_npz(tmp_path / "w.npz")
    expected = head(published()(PATCHES)).numpy()
    for tap in ("linear", "relu"):
        of_tap = config(weights=str(tmp_path / "w.npz"), embedding_tap=tap)
        scores = read_tagger(of_tap)(events.build(of_tap)(PATCHES)).numpy()
        np.testing.assert_allclose(scores, expected, rtol=1e-5)


@pytest.mark.usefixtures("pca")
@pytest.mark.parametrize(("tap", "tolerance"), [("pca", 1e-3), ("vggish_2019", 0.05)])
def test_the_pca_is_inverted(head, tmp_path, tap, tolerance):
    published().save_npz(tmp_path / "w.npz")
    expected = head(published()(PATCHES)).numpy()
    of_tap = config(weights=str(tmp_path / "w.npz"), embedding_tap=tap)
    scores = read_tagger(of_tap)(events.build(of_tap)(PATCHES)).numpy()
    np.testing.assert_allclose(scores, expected, atol=tolerance)


@pytest.mark.usefixtures("head")
def test_without_the_pca_its_taps_have_no_head():
    assert read_tagger(config(embedding_tap="pca")) is None


def test_the_pca_may_be_a_file_of_the_configuration(head, pca):
    own = pca.rename(pca.with_name("own.npz"))
    tagger = read_tagger(config(embedding_tap="pca", pca=str(own)))
    vectors, mean = read_pca(own)
    raw = np.random.default_rng(3).normal(0, 1, (2, 128)).astype(np.float32)
    projected = (raw - mean) @ vectors.T
    np.testing.assert_allclose(tagger(projected), head(raw), atol=1e-3)


def test_the_inverse_undoes_a_pca():
    rng = np.random.default_rng(0)
    vectors = rng.normal(0, 1, (128, 128))
    mean = rng.normal(0, 1, 128)
    raw = rng.normal(0, 1, (5, 128))
    inverse = inverse_of_pca(vectors, mean)
    found = (raw - mean) @ vectors.T @ inverse.matrix + inverse.offset
    np.testing.assert_allclose(found, raw, atol=1e-3)


@pytest.mark.usefixtures("head")
def test_other_weights_have_no_head(tmp_path):
    assert read_tagger(config(weights="")) is None
    assert read_tagger(config(weights="https://example.com/other")) is None
    assert read_tagger(config(width=WIDTH / 2)) is None
    changed = VGGish(width=WIDTH, seed=1).built_whole()
    for variable in changed.variables:
        variable.assign(variable * 1.1)
    changed.save_npz(tmp_path / "changed.npz")
    assert read_tagger(config(weights=str(tmp_path / "changed.npz"))) is None


@pytest.mark.usefixtures("head")
def test_weights_with_a_head_of_their_own_keep_it(tmp_path):
    published().save_npz(tmp_path / "w.npz")
    own = Tagger(("cat",), np.zeros((128, 1)), np.zeros(1))
    own.save_npz(tags_path(tmp_path / "w.npz"))
    assert read_tagger(config(weights=str(tmp_path / "w.npz"))).names == ("cat",)


@pytest.mark.usefixtures("head")
def test_a_damaged_head_is_an_error_with_its_path(tmp_path):
    (tmp_path / "vggish_tags.npz").write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="vggish_tags"):
        read_tagger(config())


def test_an_exported_model_explains_itself_with_the_head(exported, tmp_path, monkeypatch):
    shared = exported(small_corpus.FEATURE_BASED_24_KHZ)
    run = run_folder.run_at(tmp_path, shared.run.row, shared.run.fold, shared.run.seed)
    shutil.copytree(shared.run.folder, run.folder)
    # The same event model without the tags beside it is the published one of a manifest.
    settings = run.read("config.json")
    weights = tmp_path / "events.npz"
    shutil.copy(settings["experiment"]["event_model"]["weights"], weights)
    settings["experiment"]["event_model"]["weights"] = str(weights)
    run.path("config.json").write_text(json.dumps(settings))
    width = settings["experiment"]["event_model"]["width"]
    write_manifest(tmp_path, monkeypatch, VGGish.from_npz(weights), width)

    served = saved_model.served_model(run, tmp_path)
    assert json.loads((tmp_path / "model_card.json").read_text())["events"] == list(NAMES)
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 48000, 2)).astype(np.float32)
    scores = served.explain(tf.constant(noise), tf.constant(24000))["event_scores"]
    assert scores.shape[-1] == len(NAMES)


@pytest.mark.parametrize("name", ["weights.npz", "weights[1].npz"])
def test_weights_that_have_changed_are_no_longer_the_published_ones(tmp_path, name):
    path = tmp_path / name
    published().save_npz(path)
    entry = {"model": "vggish", "width": WIDTH, "bytes": path.stat().st_size}
    config = EventModelConfig(weights=str(path), width=WIDTH)
    assert assets.is_published(config, entry)
    path.write_bytes(b"other weights")
    assert not assets.is_published(config, entry)


def test_the_head_in_the_repository_has_its_published_precision(real_data):
    audioset = real_data("audioset_vggish")
    pca = real_data("vggish_pca") / "vggish_pca_params.npz"
    with np.load(audioset / "eval.npz") as file:
        embeddings = file["x"] / np.float32(255) * 4 - 2
        patches = file["n_patches"]
        labels = np.unpackbits(file["y"], axis=1)
    hub = manifest.entry("vggish")["hub"]
    tagger = read_tagger(EventModelConfig(weights=hub, embedding_tap="pca", pca=str(pca)))
    assert len(tagger.names) == 527
    is_patch = np.arange(10) < patches[:, np.newaxis]
    scores = []
    for start in range(0, len(embeddings), 500):
        of_patches = tagger(embeddings[start : start + 500]).numpy()
        weights = is_patch[start : start + 500, :, np.newaxis]
        scores.append((of_patches * weights).sum(axis=1) / weights.sum(axis=1))
    found = average_precision_score(labels[:, :527], np.concatenate(scores))
    assert found == pytest.approx(PUBLISHED_MAP, abs=0.01)
