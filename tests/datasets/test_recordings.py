"""Long recordings as clips: which clips, their folds, their features, and the way to a report."""

import json

import media_files
import numpy as np
import pytest
import small_corpus
import soundfile

from crossask import config
from crossask.audio import reading
from crossask.cli import evaluate, report, train
from crossask.datasets import Corpora, recording_count
from crossask.datasets.recordings import clip_starts
from crossask.errors import ConfigError
from crossask.features import records
from crossask.features.cache import prepare_features

RATE = 16000
# Scene -> factor of its recordings: equal ones of two scenes are an error.
FACTORS = {"a": 1.0, "b": 0.5}
CUT = config.override(small_corpus.FA, {"features.clip_hop_seconds": 2.0, "training.epochs": 1})


@pytest.mark.parametrize(
    ("seconds", "hop", "starts"),
    [
        (0.0, 10.0, [0]),
        (3.0, 10.0, [0]),
        (10.0, 10.0, [0]),
        # Less than half of a clip is left after 10 s, and then half of one.
        (14.9, 10.0, [0]),
        (15.0, 10.0, [0, 10]),
        (30.0, 10.0, [0, 10, 20]),
        # With overlap, a clip that ends with the recording leaves nothing for another one.
        (20.0, 5.0, [0, 5, 10]),
        (22.0, 5.0, [0, 5, 10, 15]),
        # With gaps.
        (65.0, 30.0, [0, 30, 60]),
        (64.0, 30.0, [0, 30]),
    ],
)
def test_clips_start_every_hop_and_a_rest_of_half_a_clip_is_kept(seconds, hop, starts):
    assert clip_starts(seconds, 10.0, hop) == starts


def noise(seconds, seed):
    return np.random.default_rng(seed).normal(0, 0.1, (round(seconds * RATE), 2)).astype("f4")


@pytest.fixture
def folder(tmp_path):
    """Returns a folder with two scenes of three recordings each, of 7, 4.5 and 0.8 s."""
    for scene, factor in FACTORS.items():
        (tmp_path / "data" / scene).mkdir(parents=True)
        for number, seconds in enumerate((7.0, 4.5, 0.8)):
            path = tmp_path / "data" / scene / f"{number}.wav"
            soundfile.write(path, factor * noise(seconds, number), RATE, "FLOAT")
    return tmp_path / "data"


def test_clips_have_readable_ids_and_stay_together(folder):
    corpus = Corpora(folder)(CUT)
    of_scene = ["0.wav@0.0s", "0.wav@2.0s", "0.wav@4.0s", "0.wav@6.0s", "1.wav@0.0s", "1.wav@2.0s"]
    of_scene.append("2.wav@0.0s")
    expected = []
    for scene in "ab":
        expected += [f"{scene}/{name}" for name in of_scene]
    assert [clip.id for clip in corpus.clips] == expected
    locations = {"a/0", "a/1", "a/2", "b/0", "b/1", "b/2"}
    assert {clip.location for clip in corpus.clips} == locations
    assert recording_count(corpus.clips) == 6
    recording_of = {clip.id: clip.recording for clip in corpus.clips}
    for fold in corpus.folds:
        trained = {recording_of[clip_id] for clip_id in fold.train}
        evaluated = {recording_of[clip_id] for clip_id in fold.evaluation}
        assert not trained & evaluated
        assert len(trained | evaluated) == 6


def test_locations_of_a_table_stay_together_and_one_corpus_is_shared(folder):
    lines = ["filename,scene,location"]
    for scene in "ab":
        for number in range(3):
            lines.append(f"{scene}/{number}.wav,{scene},{scene}{min(number, 1)}")
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")
    corpora = Corpora(folder)
    corpus = corpora(CUT)
    assert corpora(config.override(CUT, {"name": "other"})) is corpus
    assert corpora(small_corpus.FA) is corpora(config.override(small_corpus.FA, {"name": "x"}))
    assert [clip.id for clip in corpora(small_corpus.FA).clips] == sorted(
        {clip.recording for clip in corpus.clips}
    )
    for fold in corpus.folds:
        # A fold evaluates one location of each scene: 0.wav, or 1.wav and 2.wav.
        assert len(fold.evaluation) in (8, 6)


def test_features_of_a_clip_are_those_of_a_file_with_its_samples(folder, tmp_path):
    corpus = Corpora(folder)(CUT)
    cache = prepare_features(corpus, CUT, tmp_path / "features")
    found = dict(records.read_clips(cache.shards("log_mel")))
    parts = tmp_path / "parts"
    by_hand = {
        "a/0.wav@2.0s": noise(7.0, 0)[2 * RATE : 4 * RATE],
        # The last second, and a recording of 0.8 s, are repeated.
        "a/0.wav@6.0s": np.tile(noise(7.0, 0)[6 * RATE :], (2, 1)),
        "a/2.wav@0.0s": np.tile(noise(0.8, 2), (3, 1))[: 2 * RATE],
    }
    for scene, factor in FACTORS.items():
        (parts / scene).mkdir(parents=True)
        for name, waveform in by_hand.items():
            soundfile.write(parts / scene / f"{name[2:]}.wav", factor * waveform, RATE, "FLOAT")
    whole = prepare_features(Corpora(parts)(small_corpus.FA), small_corpus.FA, tmp_path / "other")
    expected = dict(records.read_clips(whole.shards("log_mel")))
    for name in by_hand:
        np.testing.assert_array_equal(found[name], expected[f"{name}.wav"])


def test_clips_of_another_format_are_parts_of_it(tmp_path):
    waveform = np.round(noise(5.0, 0) * 32768) / 32768
    for scene in ("a", "b"):
        (tmp_path / scene).mkdir()
        for number in range(2):
            media_files.write(tmp_path / scene / f"{number}.m4a", waveform, RATE, "alac")
    corpus = Corpora(tmp_path)(CUT)
    assert [clip.start_seconds for clip in corpus.clips] == [0, 2, 4] * 4
    found, rate = reading.read_seconds(corpus.clips[1].path, 2.0, 4.0)
    assert rate == RATE
    np.testing.assert_array_equal(found, waveform[2 * RATE : 4 * RATE])


def test_a_broken_recording_is_reported_with_all_others_when_it_is_read(folder, tmp_path):
    (folder / "a" / "0.wav").write_text("no sound")
    corpus = Corpora(folder)(CUT)
    with pytest.raises(Exception, match=r"1 of \d+ files cannot be used: .*0\.wav cannot be read"):
        prepare_features(corpus, CUT, tmp_path / "features")


def test_whole_recordings_have_the_keys_that_they_had(folder, tmp_path):
    """The key of a log-mel does not contain the new field where it is not set."""
    corpus = Corpora(folder)(small_corpus.FA)
    with pytest.raises(Exception, match="cannot be used"):
        prepare_features(corpus, small_corpus.FA, tmp_path / "features")
    features = config.to_dict(small_corpus.FA.features)
    del features["clip_hop_seconds"]
    version = [3, records.CLIPS_PER_SHARD, corpus.fingerprint]
    key = config.digest(*version, "kaiser-80-12-0.952-blocks", [2.0, 0.5, 0.5], features)
    folders = [path.name for path in (tmp_path / "features").iterdir() if path.is_dir()]
    assert folders == [f"log_mel-{key}"]


def test_other_data_sets_are_not_cut():
    with pytest.raises(ConfigError, match=r"features\.clip_hop_seconds is 5, but .* 'tau2019'"):
        config.override(config.Experiment("x"), {"features.clip_hop_seconds": 5.0})
    # With so short a hop, a list of all starts would fill the memory.
    for hop in (0.0, 1e-7):
        with pytest.raises(ConfigError, match=rf"features\.clip_hop_seconds is {hop}"):
            config.override(CUT, {"features.clip_hop_seconds": hop})


@pytest.mark.trains
def test_the_report_says_how_many_recordings_there_are(tmp_path, eagerly, capsys):
    table = small_corpus.write(tmp_path / "data", places=4, clips=1, seconds=5.0)
    rows = small_corpus.write_rows(tmp_path / "rows.py", "FA")
    runs = tmp_path / "runs"
    # The field is for the data set folder, to which the row is moved by another flag.
    words = [
        f"--experiment={rows}",
        f"--data_dir={table}",
        f"--model_dir={runs}",
        "--preflight=never",
    ]
    words += ["--params_override=features.clip_hop_seconds=2.0,training.epochs=1", "--folds=1"]
    assert train.main(["crossask-train", *words]) == 0
    assert "8 recordings are cut into 24 clips of 2 s, one every 2 s." in capsys.readouterr().err
    record = json.loads((runs / "fa" / "fold1" / "seed0" / "config.json").read_text())["corpus"]
    assert (record["clips"], record["recordings"], record["evaluation_recordings"]) == (24, 8, 2)
    assert evaluate.main(["crossask-evaluate", f"--model_dir={runs}"]) == 0
    out = tmp_path / "report"
    assert report.main(["crossask-report", f"--model_dir={runs}", f"--out={out}"]) == 0
    assert "6 clips, 2 recordings, 2 locations" in (out / "report.md").read_text()
