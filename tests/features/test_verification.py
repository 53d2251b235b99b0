"""Features that are damaged are found when they are used; nothing is trained on other clips."""

import logging
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import renames
import small_corpus
import tensorflow as tf

from crossask import config, locks
from crossask.cli import prepare as prepare_command
from crossask.config import reference
from crossask.datasets import read_corpus
from crossask.errors import DataError
from crossask.features import computation, controls, records, verification
from crossask.features.batches import EvaluationData, feature_statistics
from crossask.features.cache import prepare_features

ROW = small_corpus.FEATURE_BASED


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(records, "CLIPS_PER_SHARD", 3)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Returns a corpus of eight clips, in three shards."""
    table = small_corpus.write(tmp_path_factory.mktemp("few"), places=2, clips=2)
    return read_corpus("folder", table)


@pytest.fixture(scope="module")
def whole(few, tmp_path_factory):
    """Returns features that tests only read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "CLIPS_PER_SHARD", 3)
        return prepare_features(few, ROW, tmp_path_factory.mktemp("whole"))


@pytest.fixture
def copied(whole, tmp_path):
    """Returns the folder of a copy of the features."""
    root = next(iter(whole.folders.values())).parent
    return shutil.copytree(root, tmp_path / "features")


def shard(root, whole, kind, number):
    return records.shard_path(root / whole.folders[kind].name, number)


def raw_records(path):
    return list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())


def rewrite(path, lines):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for line in lines:
            writer.write(line)


def lose_a_record(path, _others):
    rewrite(path, raw_records(path)[:-1])


def lose_the_first_record(path, _others):
    rewrite(path, raw_records(path)[1:])


def repeat_a_record(path, _others):
    first, second, *_ = raw_records(path)
    rewrite(path, [first, second, second])


def add_a_record(path, _others):
    lines = raw_records(path)
    rewrite(path, [*lines, lines[-1]])


def exchange_two_records(path, _others):
    first, second, *rest = raw_records(path)
    rewrite(path, [second, first, *rest])


def cut(path, _others):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def empty(path, _others):
    path.write_bytes(b"")


def zeros(path, _others):
    path.write_bytes(bytes(path.stat().st_size))


def text(path, _others):
    path.write_text("no features\n" * 100)


def another_shard(path, others):
    shutil.copyfile(others["another_shard"], path)


def another_kind(path, others):
    shutil.copyfile(others["another_kind"], path)


def another_folder(path, _others):
    """Leaves a shard of the same clips and shapes, whose features were computed otherwise."""
    clips = list(records.read_clips([path]))
    other = f"{path.parent.name[:-1]}x"
    rewrite(path, [records.encode_clip(name, value + 1, other) for name, value in clips])


def without_folder_name(path, _others):
    """Leaves a shard as earlier versions wrote it."""
    clips = list(records.read_clips([path]))
    lines = []
    for name, value in clips:
        lines.append(records.encode({"clip": name, "shape": value.shape, "value": value}))
    rewrite(path, lines)


DAMAGES = [
    lose_a_record,
    lose_the_first_record,
    repeat_a_record,
    add_a_record,
    exchange_two_records,
    cut,
    empty,
    zeros,
    text,
    another_shard,
    another_kind,
    another_folder,
    without_folder_name,
]


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("kind", ["log_mel", "embedding"])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_shard_with_other_clips_is_computed_again_when_it_is_used(
    few, whole, copied, caplog, damage, kind, number
):
    path = shard(copied, whole, kind, number)
    before = path.read_bytes()
    other_kind = {"log_mel": "embedding", "embedding": "log_mel"}[kind]
    others = {
        "another_shard": shard(copied, whole, kind, 1 - number),
        "another_kind": shard(copied, whole, other_kind, number),
    }
    damage(path, others)
    with caplog.at_level(logging.WARNING):
        again = prepare_features(few, ROW, copied)
    assert path.read_bytes() == before
    assert again.shapes == whole.shapes
    assert [message.split()[0] for message in caplog.messages] == [str(path)]


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 0x10
    path.write_bytes(content)


def positions_in_values(path):
    """Returns positions within the values of the first and the second record, and its clips."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return length - 50, length + 16 + 12 + length - 50


@pytest.mark.parametrize("kind", ["log_mel", "embedding"])
@pytest.mark.parametrize("which", [0, 1])
def test_a_flipped_bit_is_named_in_training_and_mended_by_verification(
    few, whole, copied, kind, which
):
    path = shard(copied, whole, kind, 1)
    before = path.read_bytes()
    clip_id = whole.clip_ids[3 + which]
    cache = prepare_features(few, ROW, copied)
    flip(path, positions_in_values(path)[which])

    expected = rf"{path.name} has a corrupt record of clip '{clip_id}'"
    with pytest.raises(DataError, match=expected), verification.damage_named(cache):
        feature_statistics(cache, few, cache.clip_ids, kind)
    with (
        pytest.raises(DataError, match="crossask-prepare --verify"),
        verification.damage_named(cache),
    ):
        list(EvaluationData(cache, few, cache.clip_ids, 4).batches())

    assert verification.remove_damaged(cache) == [
        f"{path} has a corrupt record of clip {clip_id!r}"
    ]
    prepare_features(few, ROW, copied)
    assert path.read_bytes() == before
    assert verification.remove_damaged(cache) == []


def test_the_command_counts_all_damaged_files(few, whole, copied, tmp_path, capsys):
    table = Path(few.clips[0].path).with_name("clips.csv")
    rows = small_corpus.write_rows(tmp_path / "rows.py", "FEATURE_BASED")
    words = ["crossask-prepare", "--dataset=folder", f"--data_dir={table}", "--verify"]
    words += [f"--experiment={rows}", f"--features_dir={copied}"]
    # The first file is replaced when the features are looked at, the second when they are read.
    cut(shard(copied, whole, "log_mel", 0), {})
    flipped = shard(copied, whole, "embedding", 1)
    flip(flipped, positions_in_values(flipped)[0])
    for count in (2, 0):
        assert prepare_command.main(words) == 0
        assert f": {count} files were damaged." in capsys.readouterr().err


def test_values_that_are_not_finite_are_found_by_verification(few, whole, copied):
    path = shard(copied, whole, "embedding", 0)
    clips = list(records.read_clips([path]))
    lines = []
    for name, value in clips:
        changed = value.copy()
        if name == whole.clip_ids[1]:
            changed[0, 5] = np.nan
        lines.append(records.encode_clip(name, changed, path.parent.name))
    rewrite(path, lines)
    cache = prepare_features(few, ROW, copied)
    (problem,) = verification.remove_damaged(cache)
    assert problem == f"{path} has values of clip {whole.clip_ids[1]!r} that are not finite"


def test_a_shard_that_is_removed_while_it_is_used_is_named(few, whole, copied):
    cache = prepare_features(few, ROW, copied)
    shard(copied, whole, "log_mel", 2).unlink()
    with (
        pytest.raises(DataError, match=r"00002\.tfrecord is missing"),
        verification.damage_named(cache),
    ):
        list(EvaluationData(cache, few, cache.clip_ids, 4).batches())


def test_a_copy_that_somebody_made_of_the_features_is_left_alone(few, whole, copied):
    cache = prepare_features(few, ROW, copied)
    for folder in cache.folders.values():
        backup = shutil.copytree(folder, folder.with_name(f"{folder.name}-backup"))
        before = sorted(path.name for path in backup.iterdir())
        assert verification.remove_damaged(cache) == []
        assert sorted(path.name for path in backup.iterdir()) == before


@pytest.mark.parametrize("control", ["other_clip", "shuffled_in_time", "swapped"])
def test_embeddings_for_controls_are_verified(few, whole, copied, control):
    cache = prepare_features(few, ROW, copied)
    if control == "swapped":
        changed, _ = controls.swapped(cache, few, cache.clip_ids, 0)
    else:
        row = config.override(ROW, {"event_control": control, **small_corpus.NO_VALIDATION})
        changed = controls.controlled(cache, few, row, "1", 0)
    path = Path(changed.shards("embedding")[1])
    cut(path, {})
    (problem,) = verification.remove_damaged(cache)
    assert problem.startswith(str(path))


def test_the_folders_of_all_controls_are_known():
    (entry,) = [entry for entry in reference.entries() if entry.path == "event_control"]
    controls_of_rows = {choice for choice in entry.choices if choice}
    names = {name.removesuffix("-") for name in verification.CONTROLS}
    assert names == {*controls_of_rows, "swapped"}


def test_a_folder_in_place_of_a_shard_is_an_error_that_keeps_its_content(few, whole, copied):
    path = shard(copied, whole, "log_mel", 0)
    path.unlink()
    path.mkdir()
    (path / "mine.txt").write_text("kept")
    with pytest.raises(DataError, match=r"00000\.tfrecord is a folder"):
        prepare_features(few, ROW, copied)
    assert (path / "mine.txt").read_text() == "kept"


def test_a_command_that_was_killed_after_its_last_shard_leaves_nothing(few, whole, copied):
    left = []
    for folder in whole.folders.values():
        holder = copied / folder.name / ".lock.holder"
        holder.write_text("killed")
        left.append(holder)
    prepare_features(few, ROW, copied)
    assert [holder for holder in left if holder.exists()] == []


def test_the_holder_of_a_lock_is_named_while_others_read_the_features(few, whole, copied):
    folder = copied / next(iter(whole.folders.values())).name
    with locks.of_folder(folder):
        prepare_features(few, ROW, copied)
        assert (folder / ".lock.holder").exists()


def test_features_that_are_not_finite_are_not_written(few, tmp_path, monkeypatch):
    computed = computation.ClipFeatures.of_sound

    def with_nan(self, clip, kinds):
        found = computed(self, clip, kinds)
        if clip.id == few.clips[0].id:
            found.values["log_mel"] = found.values["log_mel"] * np.float32(np.nan)
        return found

    monkeypatch.setattr(computation.ClipFeatures, "of_sound", with_nan)
    with pytest.raises(DataError) as error:
        prepare_features(few, small_corpus.FA, tmp_path)
    assert f"The log_mel of clip {few.clips[0].id!r}" in error.value.problem
    assert "contains values that are not finite" in error.value.problem
    assert len(list(tmp_path.rglob("*.tfrecord"))) == 2


def test_features_that_are_killed_before_any_rename_end_with_the_same_bytes(few, whole, tmp_path):
    row = small_corpus.FA
    kills = renames.kill_before_each(lambda folder: prepare_features(few, row, folder, 1), tmp_path)
    # A description and three shards, at least.
    assert len(kills) >= 4
    for folder in kills:
        prepare_features(few, row, folder)
        for number in range(3):
            written = shard(folder, whole, "log_mel", number).read_bytes()
            expected = records.shard_path(whole.folders["log_mel"], number).read_bytes()
            assert written == expected
        assert not list(folder.rglob("*.part"))


@pytest.mark.parametrize("clip_id", ["", "a", "ä/ü.wav", "x" * 200, "Ünï\u2028code"])
@pytest.mark.parametrize("shape", [(198, 64, 2), (2, 128), (1,)])
def test_the_start_of_a_record_is_known_without_its_values(clip_id, shape):
    value = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    record = records.encode_clip(clip_id, value, "log_mel-0123")
    assert record == records._head(clip_id, "log_mel-0123", shape) + value.tobytes()
