"""Weight files are fetched once, continued after an interruption, and verified by their content."""

import functools
import hashlib
import json
import threading

import numpy as np
import pytest

from crossask import events
from crossask.audio import frontends
from crossask.cli import prepare
from crossask.config import EventModelConfig
from crossask.errors import ConfigError, WeightsError
from crossask.events import assets, manifest
from crossask.events.vggish import VGGish
from crossask.events.yamnet import YAMNet

WIDTH = 1 / 64


@functools.cache
def tiny_npz() -> bytes:
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        VGGish(width=WIDTH, seed=1).save_npz(Path(folder) / "w.npz")
        return (Path(folder) / "w.npz").read_bytes()


@pytest.fixture
def cache(tmp_path, monkeypatch, server):
    """A cache folder, and a manifest that names a narrow VGGish on the server."""
    entry = {
        "what": "a narrow VGGish",
        "url": f"{server.url}/w.npz",
        "file": "w.npz",
        "model": "vggish",
        "width": WIDTH,
    }
    write_manifest(tmp_path, monkeypatch, {"narrow": entry})
    monkeypatch.setenv("CROSSASK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(assets, "PAUSES_SECONDS", ())
    server.files["w.npz"] = tiny_npz()
    return tmp_path / "cache"


def write_manifest(folder, monkeypatch, manifest):
    (folder / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setenv("CROSSASK_ASSETS_MANIFEST", str(folder / "manifest.json"))


def change(folder, monkeypatch, **fields):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["narrow"] |= fields
    write_manifest(folder, monkeypatch, manifest)


def kept_in(folder):
    """Returns the names of the files in a folder without the locks, which stay."""
    return sorted(path.name for path in folder.glob("*") if path.suffix != ".lock")


def test_a_good_file_is_fetched_once_with_progress(cache, server):
    seen = []
    path = assets.fetch("narrow", progress=lambda done, total: seen.append((done, total)))
    assert path == cache / "w.npz"
    assert path.read_bytes() == tiny_npz()
    assert seen[-1] == (len(tiny_npz()), len(tiny_npz()))
    assert kept_in(cache) == ["w.npz", "w.npz.json"]
    assert (
        json.loads((cache / "w.npz.json").read_text())["sha256"]
        == hashlib.sha256(tiny_npz()).hexdigest()
    )
    assert assets.fetch("narrow") == path
    assert assets.cached("narrow") == path
    assert len(server.requests) == 1


def test_two_commands_that_fetch_one_file_wait_for_each_other(cache, server):
    found = []
    second = threading.Thread(target=lambda: found.append(assets.fetch("narrow")))

    def start_second(done, _total):
        if done and second.ident is None:
            second.start()
            # It would end in this time if it did not wait.
            second.join(0.5)
            assert not found

    found.append(assets.fetch("narrow", progress=start_second))
    second.join()
    assert found == [cache / "w.npz", cache / "w.npz"]
    assert found[0].read_bytes() == tiny_npz()
    assert server.requests == [("w.npz", None)]


def test_a_user_without_a_home_folder_gives_a_cache_folder(cache, monkeypatch):
    def unknown():
        raise RuntimeError("Could not determine home directory.")

    for variable in ("CROSSASK_CACHE_DIR", "XDG_CACHE_HOME", "KAGGLEHUB_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(manifest.Path, "home", unknown)
    with pytest.raises(WeightsError, match="no home folder"):
        manifest.cache_folder()
    assert manifest.cache_folder(cache) == cache
    assert assets._kaggle_cache() is None


def test_a_cache_folder_may_be_given(cache, tmp_path):
    assert (
        assets.fetch("narrow", cache_dir=tmp_path / "elsewhere") == tmp_path / "elsewhere" / "w.npz"
    )
    assert not cache.exists()


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_broke_off_goes_on_where_the_server_allows_it(cache, server, ranges):
    server.has_ranges = ranges
    server.cuts = [1000]
    with pytest.raises(WeightsError, match=f"1000 of {len(tiny_npz())} bytes"):
        assets.fetch("narrow")
    assert not (cache / "w.npz").exists()
    assert assets.fetch("narrow").read_bytes() == tiny_npz()
    assert server.requests == [("w.npz", None), ("w.npz", "bytes=1000-")]


def test_a_part_that_is_already_whole_is_not_an_obstacle(cache, server):
    cache.mkdir()
    (cache / ".w.npz.part").write_bytes(tiny_npz())
    assert assets.fetch("narrow").read_bytes() == tiny_npz()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (lambda whole: whole[:5000], "cannot be read"),
        (lambda whole: b"<html>Please log in</html>", "cannot be read|not a readable"),
        (lambda whole: b"", "not a readable|cannot be read"),
        (
            lambda whole: bytes(b ^ (0xFF if i == 2000 else 0) for i, b in enumerate(whole)),
            "cannot be read|not those",
        ),
    ],
    ids=["truncated", "a page", "empty", "one byte flipped"],
)
def test_what_is_no_weight_file_is_refused_and_leaves_nothing(cache, server, content, named):
    server.files["w.npz"] = content(tiny_npz())
    with pytest.raises(WeightsError, match="narrow VGGish") as caught:
        assets.fetch("narrow")
    assert server.url in caught.value.problem
    assert kept_in(cache) == []


def test_a_wrong_size_checksum_or_answer_to_the_smoke_test_is_named(
    cache, server, tmp_path, monkeypatch
):
    layer = VGGish.from_npz(assets.fetch("narrow"))
    sine = np.sin(2 * np.pi * 1000 * np.arange(48000) / 16000).astype(np.float32)
    deviation = float(layer(frontends.vggish_patches(sine)).numpy().std())
    good = {
        "bytes": len(tiny_npz()),
        "sha256": hashlib.sha256(tiny_npz()).hexdigest(),
        "smoke_test_deviation": deviation * 1.09,
    }
    bad = {
        "bytes": 7,
        "least_bytes": 10**9,
        "sha256": "0" * 64,
        "smoke_test_deviation": deviation * 1.2,
    }
    for field, value in bad.items():
        assert kept_in(tmp_path / field) == []
        change(tmp_path, monkeypatch, **{**good, field: value})
        with pytest.raises(WeightsError, match=str(value)[:9]):
            assets.fetch("narrow", cache_dir=tmp_path / field)
        assert kept_in(tmp_path / field) == []
        change(tmp_path, monkeypatch, least_bytes=0)
    change(tmp_path, monkeypatch, **good)
    assert assets.fetch("narrow", cache_dir=tmp_path / "good").is_file()


def test_weights_of_another_width_are_refused_by_the_variable_that_does_not_fit(
    cache, tmp_path, monkeypatch, server
):
    np.savez(
        tmp_path / "bare.npz",
        **{
            name: v.numpy()
            for name, v in VGGish(width=WIDTH).built_whole().named_variables().items()
        },
    )
    server.files["w.npz"] = (tmp_path / "bare.npz").read_bytes()
    change(tmp_path, monkeypatch, width=1 / 32)
    with pytest.raises(WeightsError, match="vggish/conv1/weights"):
        assets.fetch("narrow")
    assert kept_in(cache) == []


def test_a_file_that_changed_in_the_cache_is_verified_again(cache, server):
    path = assets.fetch("narrow")
    path.write_bytes(tiny_npz()[:-100])
    with pytest.raises(WeightsError, match="removed"):
        assets.fetch("narrow")
    assert assets.fetch("narrow").read_bytes() == tiny_npz()
    assert len(server.requests) == 2


def test_a_file_put_there_by_hand_is_verified_and_kept(cache, server):
    cache.mkdir()
    (cache / "w.npz").write_bytes(tiny_npz())
    assert assets.fetch("narrow") == cache / "w.npz"
    assert server.requests == []
    assert (cache / "w.npz.json").is_file()


def test_what_the_server_lacks_or_nobody_serves_is_an_error(cache, server, tmp_path, monkeypatch):
    server.files.clear()
    with pytest.raises(WeightsError, match="404") as error:
        assets.fetch("narrow")
    assert f"by hand and save it as {cache / 'w.npz'}" in error.value.fix
    change(tmp_path, monkeypatch, url="http://127.0.0.1:9/w.npz")
    with pytest.raises(WeightsError, match="cannot be fetched"):
        assets.fetch("narrow")
    assert kept_in(cache) == []
    with pytest.raises(WeightsError, match="--assets=narrow"):
        assets.cached("narrow")
    with pytest.raises(ConfigError, match="narrow"):
        assets.fetch("nothing")


def test_a_module_is_verified_where_it_lies(tmp_path, monkeypatch):
    import tensorflow as tf

    layer = YAMNet(width=WIDTH, classifier=True, seed=2).built_whole()
    layer.named_variables()["dense/bias"].assign(
        np.linspace(-1, 1, 521)
    )  # at random weights all classes are alike
    module = tf.Module()
    module.variables_by_name = [
        tf.Variable(v.numpy(), name=name) for name, v in layer.named_variables().items()
    ]
    tf.saved_model.save(module, str(tmp_path / "module"))
    scores = layer.scores(frontends.yamnet_patches(np.zeros(48000, np.float32))).numpy().mean(0)
    entry = {
        "what": "a narrow YAMNet",
        "hub": str(tmp_path / "module"),
        "model": "yamnet",
        "width": WIDTH,
    }
    write_manifest(
        tmp_path, monkeypatch, {"narrow": entry | {"silence_class": int(np.argmax(scores))}}
    )
    assert assets.fetch("narrow") == tmp_path / "module"
    write_manifest(
        tmp_path, monkeypatch, {"narrow": entry | {"silence_class": int(np.argmin(scores))}}
    )
    with pytest.raises(WeightsError, match="silence"):
        assets.fetch("narrow")


def test_the_pca_tap_takes_its_file_from_the_cache(tmp_path, monkeypatch, server):
    np.savez(tmp_path / "p.npz", pca_eigen_vectors=np.eye(128), pca_means=np.zeros(128))
    server.files["p.npz"] = (tmp_path / "p.npz").read_bytes()
    entry = {"what": "a PCA", "url": f"{server.url}/p.npz", "file": "p.npz", "model": "pca"}
    write_manifest(tmp_path, monkeypatch, {"vggish_pca": entry})
    monkeypatch.setenv("CROSSASK_CACHE_DIR", str(tmp_path / "cache"))
    config = EventModelConfig(width=WIDTH, embedding_tap="pca")
    with pytest.raises(WeightsError, match="--assets=vggish_pca"):
        events.build(config)
    assets.fetch("vggish_pca")
    patches = frontends.vggish_patches(np.zeros(16000, np.float32))
    plain = events.build(EventModelConfig(width=WIDTH))(patches).numpy()
    np.testing.assert_allclose(events.build(config)(patches), np.clip(plain, -2, 2), atol=1e-6)


def test_the_manifest_that_ships_lists_what_the_commands_offer(monkeypatch):
    monkeypatch.delenv("CROSSASK_ASSETS_MANIFEST", raising=False)
    expected = {"vggish", "vggish_checkpoint", "vggish_pca", "yamnet", "yamnet_checkpoint"}
    assert set(assets.names()) == expected
    for name in expected:
        assert name in prepare.FLAGS["assets"].help
        entry = manifest.entry(name)
        # A module can be fetched in three ways, the last one is another asset.
        assert ("hub" in entry) == ("kaggle" in entry) == ("page" in entry)
        assert entry.get("checkpoint", "vggish_checkpoint") in expected


def test_a_missing_manifest_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("CROSSASK_ASSETS_MANIFEST", str(tmp_path / "none.json"))
    with pytest.raises(WeightsError, match=r"none\.json"):
        assets.names()
