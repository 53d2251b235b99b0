"""CochlScene in its official layout: sets, scenes, and names that tell participants apart."""

import numpy as np
import pytest
import soundfile

from crossask.datasets import download_corpus, read_corpus, training_parts
from crossask.errors import ConfigError, DataError

CLIPS = [
    "Train/Bus/Bus_user0009_14897252_005",
    "Train/Bus/Bus_user0009_14897255_001",
    "Train/SubwayStation/SubwayStation_user0017_14896159_000",
    "Val/Bus/Bus_user0330_14875732_000",
    "Test/Park/Park_user0807_14976869_001",
    "Test/Cafe/Cafe_user0802_14892039_004",
]


def write(folder, clips=CLIPS):
    for name in clips:
        path = folder / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.zeros(100), 100)


@pytest.mark.parametrize("inner", ["", "CochlScene"])
def test_the_official_layout_is_read(tmp_path, inner):
    write(tmp_path / inner)
    corpus = read_corpus("cochlscene", tmp_path)
    fold = corpus.fold("1")
    assert fold.train == tuple(f"{name}.wav" for name in CLIPS[:4])
    assert fold.validation == (f"{CLIPS[3]}.wav",)
    assert set(fold.evaluation) == {f"{name}.wav" for name in CLIPS[4:]}
    assert len(corpus.scenes) == 13
    of = {clip.id: clip for clip in corpus.clips}
    park = of[f"{CLIPS[4]}.wav"]
    assert (park.scene, park.location, park.city) == ("Park", "user0807", "")
    training, validation = training_parts(corpus, fold, 0.3, seed=0)
    assert (training, validation) == (fold.train[:3], fold.validation)


def test_recordings_are_the_locations_if_a_participant_is_on_both_sides(tmp_path):
    write(tmp_path, [*CLIPS, "Test/Bus/Bus_user0009_14981454_004"])
    corpus = read_corpus("cochlscene", tmp_path)
    locations = {clip.location for clip in corpus.clips if "user0009" in clip.id}
    assert locations == {"user0009_14897252", "user0009_14897255", "user0009_14981454"}


def test_a_recording_on_both_sides_is_an_error(tmp_path):
    write(tmp_path, [*CLIPS, "Test/Bus/Bus_user0009_14897252_006"])
    with pytest.raises(DataError, match="Location 'user0009_14897252' is on both sides"):
        read_corpus("cochlscene", tmp_path)


@pytest.mark.parametrize("clip_set", ["Train", "Val", "Test"])
def test_a_missing_set_is_an_error_that_says_where_the_corpus_is(tmp_path, clip_set):
    write(tmp_path, [name for name in CLIPS if not name.startswith(clip_set)])
    with pytest.raises(DataError, match=f"no sound files in .*{clip_set}/<scene>") as error:
        read_corpus("cochlscene", tmp_path)
    assert "https://zenodo.org/records/7080122" in error.value.fix


def test_other_names_and_unknown_scenes_are_errors(tmp_path):
    write(tmp_path / "name", [*CLIPS, "Val/Bus/street"])
    with pytest.raises(DataError, match=r"street\.wav is not named like a clip of CochlScene"):
        read_corpus("cochlscene", tmp_path / "name")
    write(tmp_path / "scene", [*CLIPS, "Val/Moon/Moon_user0001_1_000"])
    with pytest.raises(DataError, match="unknown scene 'Moon'"):
        read_corpus("cochlscene", tmp_path / "scene")


def test_its_download_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(ConfigError, match="'cochlscene' cannot be downloaded") as error:
        download_corpus("cochlscene", tmp_path)
    assert "CochlScene.z05 and CochlScene.zip" in error.value.fix
