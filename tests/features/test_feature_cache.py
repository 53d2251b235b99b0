"""Features are computed once, resumable, the same bytes whatever happened on the way."""

import hashlib
import os
import pickle
import resource
from pathlib import Path

import numpy as np
import pytest
import small_corpus
import soundfile
import soxr

from crossask import config, files, processors
from crossask.config import TrainingConfig
from crossask.datasets import clips, read_corpus
from crossask.errors import AudioError, ConfigError, CrossaskError, DataError
from crossask.features import keys, records
from crossask.features.batches import EvaluationData, TrainingData, feature_statistics, ordered
from crossask.features.cache import in_order, prepare_features

HALF = config.override(
    small_corpus.FEATURE_BASED, {"event_model.precision": "mixed_bfloat16", "name": "half"}
)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(records, "CLIPS_PER_SHARD", 5)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Returns a corpus of four clips."""
    table = small_corpus.write(tmp_path_factory.mktemp("few"), places=2, clips=1)
    return read_corpus("folder", table)


@pytest.fixture(scope="module")
def finished(corpus, tmp_path_factory):
    """Returns a function: row -> its features of the small corpus in shards of five clips.

    Tests only read them.
    """
    folder = tmp_path_factory.mktemp("finished")

    def prepare(row):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(records, "CLIPS_PER_SHARD", 5)
            return prepare_features(corpus, row, folder)

    return prepare


def checksums(cache):
    found = {}
    for kind, folder in cache.folders.items():
        for path in sorted(folder.glob("*.tfrecord")):
            found[f"{kind}/{path.name}"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def test_a_killed_run_resumes_to_the_same_bytes(corpus, finished, tmp_path):
    whole = finished(small_corpus.FEATURE_BASED)

    class Killed(Exception):
        pass

    def kill(done, total):
        if done >= 10:
            raise Killed

    with pytest.raises(Killed):
        prepare_features(
            corpus, small_corpus.FEATURE_BASED, tmp_path / "killed", workers=1, progress=kill
        )
    assert 0 < len(list((tmp_path / "killed").glob("*/*.tfrecord"))) < len(checksums(whole))
    resumed = prepare_features(corpus, small_corpus.FEATURE_BASED, tmp_path / "killed")
    assert checksums(resumed) == checksums(whole)
    assert not list((tmp_path / "killed").rglob("*.part"))


def test_finished_shards_are_not_written_again(finished):
    folder = finished(small_corpus.FA).folders["log_mel"]
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    finished(small_corpus.FA)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == times


def test_rows_share_what_they_have_in_common(few, tmp_path):
    alone = prepare_features(few, small_corpus.FA, tmp_path)
    both = prepare_features(few, small_corpus.CMAM, tmp_path)
    assert both.folders["log_mel"] == alone.folders["log_mel"]
    assert set(both.folders) == {"log_mel", "patches"}
    assert (both.shapes["log_mel"], both.shapes["patches"]) == ((198, 64, 2), (2, 96, 64))


def test_embeddings_in_bfloat16_have_their_own_folder_and_are_close_to_float32(few, tmp_path):
    exact = prepare_features(few, small_corpus.FEATURE_BASED, tmp_path)
    rough = prepare_features(few, HALF, tmp_path)
    assert rough.folders["embedding"] != exact.folders["embedding"]
    assert rough.folders["log_mel"] == exact.folders["log_mel"]
    found = dict(records.read_clips(rough.shards("embedding")))
    for clip_id, expected in records.read_clips(exact.shards("embedding")):
        difference = np.abs(found[clip_id] - expected).max()
        assert 0 < difference < 0.03 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("processor", "is_logged"),
    [
        ("model name\t: x\nflags\t\t: avx2 avx512f\n", True),
        ("flags\t\t: avx2 avx512f avx512_bf16\n", False),
        ("flags\t\t: avx512f amx_bf16\n", False),
        # An ARM processor; what it computes with is not known.
        ("Features\t: asimd\n", False),
    ],
)
def test_a_processor_without_bfloat16_is_logged_once_if_something_is_computed(
    few, tmp_path, monkeypatch, caplog, processor, is_logged
):
    cpu_info = tmp_path / "cpuinfo"
    cpu_info.write_text(processor)
    monkeypatch.setattr(processors, "CPU_INFO", cpu_info)
    for row in (small_corpus.FEATURE_BASED, HALF, HALF):
        prepare_features(few, row, tmp_path / "features")
    lines = [line for line in caplog.messages if "no instructions for bfloat16" in line]
    assert len(lines) == is_logged


def test_broken_files_are_named_and_the_others_kept(tmp_path):
    table = small_corpus.write(tmp_path / "corpus", clips=2)
    corpus = read_corpus("folder", table)
    (tmp_path / "corpus" / "a01.wav").write_bytes(b"no sound")
    soundfile.write(tmp_path / "corpus" / "b10.wav", np.zeros((1000, 2)), 16000)
    with pytest.raises(DataError) as error:
        prepare_features(corpus, small_corpus.FA, tmp_path / "features")
    assert "2 of 16 files" in str(error.value)
    assert "a01.wav" in str(error.value)
    assert "b10.wav" in str(error.value)
    assert list((tmp_path / "features").glob("*/*.tfrecord"))


def test_lengths_within_the_allowance_are_mended_and_others_are_errors(tmp_path):
    table = small_corpus.write(tmp_path / "long", places=2, clips=1, seconds=2.3)
    corpus = read_corpus("folder", table)
    cache = prepare_features(corpus, small_corpus.FA, tmp_path / "features")
    assert cache.shapes["log_mel"] == (198, 64, 2)
    strict = config.override(small_corpus.FA, {"features.max_cut_seconds": 0.1})
    with pytest.raises((DataError, AudioError), match="4 of 4"):
        prepare_features(corpus, strict, tmp_path / "features")


def test_recordings_of_any_and_of_mixed_rates_have_features(tmp_path):
    table = small_corpus.write(tmp_path / "corpus", places=2, clips=1)
    source = np.random.default_rng(0).normal(0, 0.1, (6000 * 2, 2))
    # The first and the second have the same sound; the rate of the third is one of the graph's.
    for name, rate in (("a00.wav", 16000), ("a10.wav", 12345), ("b00.wav", 48000)):
        waveform = soxr.resample(source, 6000, rate)
        soundfile.write(tmp_path / "corpus" / name, waveform, rate, "FLOAT")
    cache = prepare_features(read_corpus("folder", table), small_corpus.FA, tmp_path / "features")
    found = dict(records.read_clips(cache.shards("log_mel")))
    loud = found["a00.wav"] > -3
    assert loud.any()
    assert np.abs(found["a10.wav"] - found["a00.wav"])[loud].max() < 0.1


def test_training_batches_are_a_pure_function_of_seed_and_epoch(corpus, finished):
    cache = finished(small_corpus.FEATURE_BASED)
    ids = corpus.folds[0].train
    steps = len(ids) // 4
    four = TrainingConfig(batch_size=4)

    def epochs(seed, first, count):
        batches = TrainingData(cache, corpus, ids, four, seed).batches(first).take(steps * count)
        return [inputs["log_mel"].numpy().sum((1, 2, 3)).tolist() for inputs, _, _ in batches]

    two = epochs(0, 0, 2)
    assert epochs(0, 0, 2) == two
    assert epochs(0, 1, 1) == two[steps:]
    assert two[:steps] != two[steps:]
    assert epochs(1, 0, 1) != two[:steps]


@pytest.fixture
def six_of_a_and_two_of_b(corpus):
    scene_of = {clip.id: clip.scene for clip in corpus.clips}
    train = corpus.folds[0].train
    ids_of_a = [clip_id for clip_id in train if scene_of[clip_id] == "a"]
    ids_of_b = [clip_id for clip_id in train if scene_of[clip_id] == "b"]
    return (*ids_of_a[:6], *ids_of_b[:2])


def test_balanced_weights_make_rare_scenes_count_as_much_as_frequent_ones(
    corpus, finished, six_of_a_and_two_of_b
):
    cache = finished(small_corpus.FA)
    ids = six_of_a_and_two_of_b
    settings = TrainingConfig(batch_size=8, class_weights="balanced")
    ((_, scenes, weights),) = TrainingData(cache, corpus, ids, settings, 0).batches().take(1)
    expected = {0: 8 / (2 * 6), 1: 8 / (2 * 2)}
    np.testing.assert_allclose(weights, [expected[int(scene)] for scene in scenes], rtol=1e-6)
    assert weights.numpy().sum() == pytest.approx(8)


def test_the_balanced_weight_of_mixed_clips_is_that_of_their_target(
    corpus, finished, six_of_a_and_two_of_b
):
    cache = finished(small_corpus.FA)
    ids = six_of_a_and_two_of_b
    teacher = {clip_id: np.array([0.5, 0.5]) for clip_id in ids}
    data = TrainingData(
        cache,
        corpus,
        ids,
        TrainingConfig(batch_size=8, class_weights="balanced"),
        seed=0,
        augmentation=config.AugmentationConfig(mixup_alpha=1.0),
        soft=True,
        teacher=teacher,
    )
    ((_, target, weights),) = data.batches().take(1)
    mixed = target.scene.numpy()
    assert np.any((mixed > 0.01) & (mixed < 0.99))
    np.testing.assert_allclose(weights, mixed @ [8 / (2 * 6), 8 / (2 * 2)], rtol=1e-5)


def test_an_epoch_contains_each_clip_at_most_once_and_pairs_belong_together(corpus, finished):
    cache = finished(small_corpus.FEATURE_BASED)
    ids = corpus.folds[0].train
    pairs = {}
    for inputs, scenes, weights in EvaluationData(cache, corpus, ids, 1).batches():
        pairs[float(inputs["log_mel"].numpy().sum())] = (
            inputs["embedding"].numpy(),
            int(scenes[0]),
        )
        assert weights.numpy().tolist() == [1.0]
    assert len(pairs) == len(ids)
    seen = []
    for inputs, scenes, _ in (
        TrainingData(cache, corpus, ids, TrainingConfig(batch_size=4), 0)
        .batches()
        .take(len(ids) // 4)
    ):
        for log_mel, embedding, scene in zip(
            inputs["log_mel"].numpy(), inputs["embedding"].numpy(), scenes.numpy(), strict=True
        ):
            seen.append(float(log_mel.sum()))
            expected, label = pairs[seen[-1]]
            np.testing.assert_array_equal(embedding[np.newaxis], expected)
            assert label == scene
    assert len(set(seen)) == len(seen) == len(ids) // 4 * 4


def test_evaluation_fills_the_last_batch_with_clips_of_weight_zero(corpus, finished):
    cache = finished(small_corpus.FA)
    ids = ordered(cache, corpus.folds[0].train)[:13]
    batches = list(EvaluationData(cache, corpus, ids, 4).batches())
    assert [scene.shape[0] for _, scene, _ in batches] == [4, 4, 4, 4]
    assert (
        np.concatenate([weight.numpy() for _, _, weight in batches]).tolist()
        == [1.0] * 13 + [0.0] * 3
    )
    scene_of = {clip.id: corpus.scenes.index(clip.scene) for clip in corpus.clips}
    assert np.concatenate([scene.numpy() for _, scene, _ in batches])[:13].tolist() == [
        scene_of[i] for i in ids
    ]


def test_statistics_are_those_of_numpy(corpus, finished):
    cache = finished(small_corpus.FA)
    ids = corpus.folds[0].train
    values = np.concatenate(
        [i["log_mel"].numpy() for i, _, _ in EvaluationData(cache, corpus, ids, 1).batches()]
    ).astype(np.float64)
    mean, deviation = feature_statistics(cache, corpus, ids, "log_mel")
    np.testing.assert_allclose(mean, values.mean((0, 1, 3)), rtol=1e-9)
    np.testing.assert_allclose(deviation, values.std((0, 1, 3)), rtol=1e-6)


def test_numbers_that_do_not_change_have_no_tiny_deviation(tmp_path):
    rng = np.random.default_rng(0)
    made = {"class_names": np.array(["a", "b"])}
    for part in ("train", "val", "test"):
        embeddings = rng.normal(0, [2.0, 1.0, 1.0, 0.0], (8, 3, 4))
        made[f"{part}_x"] = embeddings.astype(np.float32)
        made[f"{part}_y"] = np.arange(8) % 2
    np.savez(tmp_path / "made.npz", **made)
    corpus = read_corpus("embeddings", tmp_path / "made.npz")
    cache = prepare_features(corpus, small_corpus.VEM, tmp_path / "features")
    clip_ids = [f"train/{number:06d}" for number in range(8)]
    _, deviation = feature_statistics(cache, corpus, clip_ids, "embedding")
    values = made["train_x"].astype(np.float64)
    expected = values.std((0, 1))
    # Another clip may have another number there than 0.
    expected[3] = 0.1 * expected.mean()
    np.testing.assert_allclose(deviation, expected, rtol=1e-5)


def change_middle(path):
    """Changes the sound in the middle of a file, and none of the bytes that are read first."""
    content = bytearray(path.read_bytes())
    assert len(content) > 3 * clips.END_BYTES
    middle = len(content) // 2
    content[middle : middle + 1000] = bytes(1000)
    path.write_bytes(content)


@pytest.fixture
def long_sounds(tmp_path):
    """Returns the table of a corpus of four clips that are longer than the ends of files."""
    return small_corpus.write(tmp_path / "corpus", places=2, clips=1, rate=48000)


def test_a_recording_that_was_changed_in_its_middle_has_other_features(long_sounds, tmp_path):
    def folder():
        corpus = read_corpus("folder", long_sounds)
        return prepare_features(corpus, small_corpus.FA, tmp_path / "features").folders["log_mel"]

    before = folder()
    assert folder() == before
    change_middle(long_sounds.with_name("a00.wav"))
    after = folder()
    assert after != before
    assert records.shard_path(after, 0).read_bytes() != records.shard_path(before, 0).read_bytes()


def test_a_recording_that_changes_while_features_are_computed_is_named(long_sounds, tmp_path):
    def change(done, total):
        if done == total:
            change_middle(long_sounds.with_name("a00.wav"))

    corpus = read_corpus("folder", long_sounds)
    with pytest.raises(DataError, match=r"a00\.wav changed while features were computed \(1 such"):
        prepare_features(corpus, small_corpus.FA, tmp_path / "features", progress=change)
    assert not list((tmp_path / "features").rglob("*.tfrecord"))


@pytest.mark.parametrize("version", [1, 2])
def test_features_of_an_earlier_version_are_named_and_not_read(few, tmp_path, caplog, version):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "FORMAT_VERSION", version)
        patch.setattr(keys.key_of, "__defaults__", (version,))
        older = prepare_features(few, small_corpus.FA, tmp_path).folders["log_mel"]
    with caplog.at_level("WARNING"):
        now = prepare_features(few, small_corpus.FA, tmp_path).folders["log_mel"]
    assert now != older
    assert [message.split(",")[0] for message in caplog.messages] == [
        f"{older} is of an earlier version of crossask"
    ]


def test_a_beam_pipeline_writes_the_same_bytes(corpus, finished, tmp_path):
    beam = pytest.importorskip("crossask.features.beam")
    pytest.importorskip("apache_beam", reason="needs Apache Beam: pip install 'crossask[beam]'")
    here = finished(small_corpus.FEATURE_BASED)
    there = prepare_features(
        corpus,
        small_corpus.FEATURE_BASED,
        tmp_path / "beam",
        elsewhere=beam.pipeline_writer(["--runner=DirectRunner"]),
    )
    assert set(there.folders) == {"log_mel", "embedding"}
    for kind in there.folders:
        for one, other in zip(here.shards(kind), there.shards(kind), strict=True):
            assert Path(one).read_bytes() == Path(other).read_bytes()
    assert (there.clip_ids, there.shapes) == (here.clip_ids, here.shapes)


@pytest.mark.processes
def test_beam_computes_for_a_second_row_only_what_the_first_has_not(corpus, tmp_path):
    beam = pytest.importorskip("crossask.features.beam")
    pytest.importorskip("apache_beam", reason="needs Apache Beam: pip install 'crossask[beam]'")
    elsewhere = beam.pipeline_writer(["--runner=DirectRunner"])
    left = []

    def watched(write, missing):
        elsewhere(write, missing)
        left.extend(write.missing(in_order(corpus)))

    first = prepare_features(corpus, small_corpus.FA, tmp_path, elsewhere=watched)
    before = [Path(shard).stat().st_mtime_ns for shard in first.shards("log_mel")]
    prepare_features(corpus, small_corpus.FEATURE_BASED, tmp_path, elsewhere=watched)
    assert left == []
    assert [Path(shard).stat().st_mtime_ns for shard in first.shards("log_mel")] == before
    assert not list(first.folders["log_mel"].glob("*shards-*"))


def test_a_disk_that_fills_up_is_an_error_and_whole_files_are_kept(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(records, "CLIPS_PER_SHARD", 10)
    whole = prepare_features(corpus, small_corpus.FA, tmp_path / "whole")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(done, total):
        if done == 10:  # the first shard is computed: from here on no file may grow beyond 64 KiB
            resource.setrlimit(resource.RLIMIT_FSIZE, (65536, limits[1]))

    try:
        with pytest.raises(CrossaskError, match=r"cannot be written \("):
            prepare_features(corpus, small_corpus.FA, tmp_path / "full", workers=1, progress=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list((tmp_path / "full").rglob("*.part"))
    again = prepare_features(corpus, small_corpus.FA, tmp_path / "full")
    for one, other in zip(whole.shards("log_mel"), again.shards("log_mel"), strict=True):
        assert Path(one).read_bytes() == Path(other).read_bytes()


def test_a_file_that_a_beam_pipeline_cannot_read_is_the_same_error(tmp_path):
    beam = pytest.importorskip("crossask.features.beam")
    pytest.importorskip("apache_beam", reason="needs Apache Beam: pip install 'crossask[beam]'")
    table = small_corpus.write(tmp_path / "corpus", places=2, clips=1)
    corpus = read_corpus("folder", table)
    (tmp_path / "corpus" / "a00.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"1 of 4 files cannot be used: .*a00.wav"):
        prepare_features(
            corpus, small_corpus.FA, tmp_path / "features", elsewhere=beam.pipeline_writer([])
        )


@pytest.mark.processes
def test_a_shard_writer_arrives_elsewhere_with_all_it_needs(corpus, finished, tmp_path):
    sent = []

    def elsewhere(write, shards):
        for shard in pickle.loads(pickle.dumps(shards)):
            pickle.loads(pickle.dumps(write))(shard)
            sent.append(shard.number)

    cache = prepare_features(
        corpus, small_corpus.FEATURE_BASED, tmp_path / "there", elsewhere=elsewhere
    )
    assert sent == list(range(len(cache.shards("log_mel"))))
    here = finished(small_corpus.FEATURE_BASED)
    for kind in cache.folders:
        for one, other in zip(here.shards(kind), cache.shards(kind), strict=True):
            assert Path(one).read_bytes() == Path(other).read_bytes()


def test_beam_options_that_cannot_be_used_are_a_users_mistake():
    beam = pytest.importorskip("crossask.features.beam")
    pytest.importorskip("apache_beam", reason="needs Apache Beam: pip install 'crossask[beam]'")
    with pytest.raises(ConfigError, match="NoSuchRunner"):
        beam.pipeline_writer(["--runner=NoSuchRunner"])


def test_complete_features_are_used_where_this_process_may_not_write(few, tmp_path, monkeypatch):
    def states():
        return {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    def refused(*_):
        raise AssertionError("written")

    written = prepare_features(few, small_corpus.FA, tmp_path)
    before = states()
    # Root may write everywhere, so that rights alone would not stop these tests.
    monkeypatch.setattr(files, "can_only_be_read", os.path.isdir)
    monkeypatch.setattr(files, "check_room", refused)
    assert prepare_features(few, small_corpus.FA, tmp_path).folders == written.folders
    assert states() == before
    shard = Path(written.shards("log_mel")[0])
    shard.unlink()
    with pytest.raises(CrossaskError, match=f"cannot be written, and {shard} is missing"):
        prepare_features(few, small_corpus.FA, tmp_path)
