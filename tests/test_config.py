"""Experiments are typed values; a wrong name or type is an error that says where."""

import dataclasses

import pytest

from crossask import config
from crossask.errors import ConfigError

ROW = config.Experiment("row")


def test_the_defaults_are_those_of_the_paper():
    assert (ROW.features.log_mel.mel_bins, ROW.features.log_mel.window_seconds, ROW.features.log_mel.hop_seconds) == (64, 0.025, 0.010)
    assert ROW.model.encoder_channels == (64, 128, 256, 512)
    assert (ROW.model.pooling_heads, ROW.model.pooling_dim, ROW.model.attention_heads, ROW.model.attention_dim) == (4, 1024, 8, 2048)


def test_an_override_replaces_the_named_field_alone():
    changed = config.override(ROW, {"training.epochs": 3, "model": {"encoder_channels": [8, 16]}})
    assert (changed.training.epochs, changed.model.encoder_channels) == (3, (8, 16))
    assert config.override(changed, {"training.epochs": ROW.training.epochs, "model": config.to_dict(ROW.model)}) == ROW


def test_overrides_are_read_from_one_line():
    text = (
        "training.epochs=3,model.encoder_channels=(8, 16),model.encoder_pools=((2, 2), (1, 2)),"
        "event_model.weights=/a/b.npz,model.standardise_embedding=true"
    )
    assert config.parse_overrides(text) == {
        "training.epochs": 3,
        "model.encoder_channels": (8, 16),
        "model.encoder_pools": ((2, 2), (1, 2)),
        "event_model.weights": "/a/b.npz",
        "model.standardise_embedding": True,
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"training.epoch": 3}, ["training.epoch", "'epochs'"]),
        ({"training.epochs": "three"}, ["training.epochs", "'three'"]),
        ({"training.epochs": 2.5}, ["training.epochs", "2.5"]),
        ({"training.epochs": True}, ["training.epochs", "True"]),
        ({"training.learning_rate": float("nan")}, ["training.learning_rate", "nan"]),
        ({"model.encoder_channels": (8, "16")}, ["model.encoder_channels[1]", "'16'"]),
        ({"name.first": 1}, ["name has no fields"]),
        ({"system": "CNN"}, ["'CNN'", "FA, VEM, JRM, CMAM"]),
        ({"strategy": "frozen"}, ["'frozen'", "feature_based"]),
    ],
)
def test_a_wrong_override_is_an_error_that_says_where(changes, words):
    with pytest.raises(ConfigError) as error:
        config.override(ROW, changes)
    for word in words:
        assert word in str(error.value)


def test_a_row_survives_the_way_through_json():
    row = config.override(ROW, {"features.log_mel.max_hz": 8000.0, "model.encoder_channels": (8, 16)})
    assert config.from_dict(config.Experiment, config.to_dict(row)) == row


def test_the_digest_changes_with_every_field():
    digests = {config.digest(ROW.training)}
    for field in dataclasses.fields(ROW.training):
        value = getattr(ROW.training, field.name)
        digests.add(config.digest(dataclasses.replace(ROW.training, **{field.name: value + type(value)(1)})))
    assert len(digests) == 1 + len(dataclasses.fields(ROW.training))
    assert config.digest(ROW.training) == config.digest(config.TrainingConfig())


def test_rows_are_read_by_path_and_name(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("from crossask.config import Experiment\nROWS = (Experiment('a'), Experiment('b', system='CMAM'))\n")
    assert [row.name for row in config.read_experiments(str(file))] == ["a", "b"]
    assert config.read_experiments(f"{file}:b")[0].system == "CMAM"
    with pytest.raises(ConfigError, match="no row 'c'"):
        config.read_experiments(f"{file}:c")
    with pytest.raises(ConfigError, match="no experiment file"):
        config.read_experiments(str(tmp_path / "other.py"))


def test_files_come_before_the_override_and_later_files_win(tmp_path):
    for name, epochs in (("a.json", 5), ("b.json", 6)):
        (tmp_path / name).write_text(f'{{"training": {{"epochs": {epochs}, "batch_size": {epochs}}}}}')
    row = config.resolve(ROW, [tmp_path / "a.json", tmp_path / "b.json"], "training.batch_size=7")
    assert (row.training.epochs, row.training.batch_size) == (6, 7)
    with pytest.raises(ConfigError, match="not a readable JSON"):
        config.resolve(ROW, [tmp_path / "none.json"])


def test_the_strategy_decides_what_the_event_branch_reads():
    kinds = {s: config.Experiment("r", system="CMAM", strategy=s).event_input for s in config.STRATEGIES}
    assert kinds == {"from_scratch": "patches", "feature_based": "embedding", "fine_tuning": "patches"}
    assert config.Experiment("r", system="FA").event_input == ""


@pytest.mark.parametrize(("changes", "expected"), [
    ({"training.average_from": 0}, "average_from"), ({"training.average_decay": 1.5}, "from 0 to 1"),
    ({"distillation.temperature": 0.0}, "temperature"), ({"augmentation.time_mask_frames": -1}, "time_mask_frames"),
    ({"training.context_frames": 5, "augmentation.mixup_alpha": 0.2}, "context_frames"),
    ({"system": "VEM", "augmentation.time_roll": True}, "reads no log-mel"),
    ({"system": "DCASE2019", "model.pooling_penalty": 0.1}, "no attention pooling"),
    ({"training.batch_size": 0}, "batch_size"), ({"training.shuffle_buffer": 0}, "shuffle_buffer"),
    ({"system": "VEM", "training.context_frames": 5}, "reads no log-mel"),
    ({"training.epochs": 0}, "training.epochs of experiment 'row' is 0"),
    ({"training.schedule": "warm_restarts", "training.warmup_epochs": 2}, "schedule warm_restarts"),
    ({"system": "DCASE2019", "model.split_band": True}, "no encoder of the log-mel"),
])  # fmt: skip
def test_a_value_that_would_do_nothing_or_harm_is_refused(changes, expected):
    with pytest.raises(ConfigError, match=expected):
        config.resolve(config.Experiment("row"), params_override=",".join(f"{name}={value!r}" for name, value in changes.items()))
