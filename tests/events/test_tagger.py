"""The head that names events is found beside, or inside, the weights of an event model."""

import csv

import numpy as np
import pytest

from crossask.config import EventModelConfig
from crossask.errors import WeightsError
from crossask.events.tagger import Tagger, read_tagger, tags_path
from crossask.events.vggish import VGGish
from crossask.events.yamnet import CLASSES, YAMNet

WIDTH = 1 / 64
PATCHES = np.random.default_rng(0).normal(0, 1, (3, 96, 64)).astype(np.float32)


def write_class_map(path, names):
    with open(path, "w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["index", "mid", "display_name"])
        for index, name in enumerate(names):
            lines.writerow([index, f"/m/{index}", name])


@pytest.fixture
def yamnet(tmp_path):
    layer = YAMNet(width=WIDTH, classifier=True, seed=3).built_whole()
    layer.save_npz(tmp_path / "yamnet.npz")
    return layer


def test_a_yamnet_npz_contains_its_head_and_the_class_map_beside_it_its_names(yamnet, tmp_path):
    names = [f"event {index}, with a comma" for index in range(CLASSES)]
    write_class_map(tmp_path / "yamnet_class_map.csv", names)
    tagger = read_tagger(EventModelConfig(name="yamnet", weights=str(tmp_path / "yamnet.npz")))
    assert tagger.names == tuple(names)
    expected = yamnet.scores(PATCHES).numpy()
    np.testing.assert_allclose(tagger(yamnet(PATCHES)).numpy(), expected, rtol=1e-5)


def test_a_head_without_names_is_not_used(yamnet, tmp_path):
    config = EventModelConfig(name="yamnet", weights=str(tmp_path / "yamnet.npz"))
    assert read_tagger(config) is None


def test_the_head_is_found_by_the_names_of_variables_in_tensorflow(yamnet, tmp_path):
    write_class_map(tmp_path / "yamnet_class_map.csv", [f"event {n}" for n in range(CLASSES)])
    arrays = {name: value.numpy() for name, value in yamnet.named_variables().items()}
    np.savez(tmp_path / "yamnet.npz", **{f"{name}:0": value for name, value in arrays.items()})
    config = EventModelConfig(name="yamnet", weights=str(tmp_path / "yamnet.npz"))
    expected = yamnet.scores(PATCHES).numpy()
    np.testing.assert_allclose(read_tagger(config)(yamnet(PATCHES)).numpy(), expected, rtol=1e-5)
    # A kernel without a bias is no head.
    del arrays["dense/bias"]
    np.savez(tmp_path / "yamnet.npz", **arrays)
    assert read_tagger(config) is None


@pytest.mark.usefixtures("yamnet")
def test_a_class_map_of_another_head_is_an_error(tmp_path):
    write_class_map(tmp_path / "yamnet_class_map.csv", ["dog", "rain"])
    config = EventModelConfig(name="yamnet", weights=str(tmp_path / "yamnet.npz"))
    with pytest.raises(WeightsError, match="2 names for a head of 521"):
        read_tagger(config)


def test_a_vggish_npz_without_tags_has_no_head(tmp_path):
    VGGish(width=WIDTH).built_whole().save_npz(tmp_path / "vggish.npz")
    write_class_map(tmp_path / "vggish_class_map.csv", ["dog"])
    assert read_tagger(EventModelConfig(weights=str(tmp_path / "vggish.npz"))) is None


def test_a_head_beside_the_weights_of_another_pre_training_is_an_error(tmp_path):
    path = tmp_path / "vggish.npz"
    config = EventModelConfig(weights=str(path))
    model = VGGish(width=WIDTH, seed=0).built_whole()
    model.save_npz(path)
    head = Tagger(["dog"], np.ones((128, 1), np.float32), np.zeros(1, np.float32))
    head.save_npz(tags_path(path), model.record["sha256"])
    assert read_tagger(config).names == ("dog",)
    VGGish(width=WIDTH, seed=1).built_whole().save_npz(path)
    with pytest.raises(WeightsError, match=r"vggish_tags\.npz belongs to other weights"):
        read_tagger(config)
    # A head of an earlier version does not say to which weights it belongs.
    head.save_npz(tags_path(path))
    assert read_tagger(config).names == ("dog",)
