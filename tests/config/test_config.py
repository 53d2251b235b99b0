"""Tests of the configuration: checked values, located errors, overrides, experiment files."""

import dataclasses
import json
import os
import re
import sys
from pathlib import Path

import pytest

from crossask import config
from crossask.audio import rates
from crossask.config import catalogue, reference
from crossask.errors import ConfigError

ROW = config.Experiment("row")
ROOT = Path(__file__).parents[2]
EXPERIMENTS = ROOT / "experiments"


def test_the_defaults_are_those_of_the_paper():
    log_mel = ROW.features.log_mel
    assert (log_mel.mel_bins, log_mel.window_seconds, log_mel.hop_seconds) == (64, 0.025, 0.010)
    assert ROW.model.encoder_channels == (64, 128, 256, 512)
    assert (ROW.model.pooling_heads, ROW.model.pooling_dim) == (4, 1024)
    assert (ROW.model.attention_heads, ROW.model.attention_dim) == (8, 2048)


def test_an_override_replaces_the_named_field_alone():
    changes = {"training.epochs": 3, "model": {"encoder_channels": [8, 16]}}
    changed = config.override(ROW, changes)
    assert (changed.training.epochs, changed.model.encoder_channels) == (3, (8, 16))
    back = {"training.epochs": ROW.training.epochs, "model": config.to_dict(ROW.model)}
    assert config.override(changed, back) == ROW


def test_the_order_of_overrides_does_not_matter():
    changes = {"training.validation_share": 0.0, "training.keep": "last", "system": "VEM"}
    changes["strategy"] = "from_scratch"
    backwards = dict(reversed(changes.items()))
    assert config.override(ROW, changes) == config.override(ROW, backwards)


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
    ("text", "expected"),
    [
        ("note='one, two',training.epochs=3", {"note": "one, two", "training.epochs": 3}),
        ('training.epochs=3,note= "a) b" ', {"training.epochs": 3, "note": "a) b"}),
        ('folds=("a,b", "c(")', {"folds": ("a,b", "c(")}),
        (r"note='it\'s, so'", {"note": "it's, so"}),
        # An apostrophe is no quote.
        ("note=it's,training.epochs=3", {"note": "it's", "training.epochs": 3}),
        ("note='tis,training.epochs=3", {"note": "'tis", "training.epochs": 3}),
    ],
)
def test_text_in_quotes_may_contain_commas_and_brackets(text, expected):
    assert config.parse_overrides(text) == expected


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"training.epoch": 3}, ["training.epoch", "'epochs'"]),
        ({"training.epochs": "three"}, ["training.epochs", "'three'", "an integer"]),
        ({"event_model.level": "-26dB"}, ["event_model.level", "a finite number or None"]),
        ({"training.epochs": 2.5}, ["training.epochs", "2.5"]),
        ({"training.epochs": True}, ["training.epochs", "True"]),
        ({"training.learning_rate": float("nan")}, ["training.learning_rate", "nan", "finite"]),
        ({"model.encoder_channels": (8, "16")}, ["model.encoder_channels[1]", "'16'"]),
        # Braces in place of brackets: a set has an order of its own.
        ({"model.encoder_channels": {64, 128, 256}}, ["model.encoder_channels is", "a set"]),
        ({"model.encoder_pools": ((2, 2), {1, 2})}, ["model.encoder_pools[1] is", "a set"]),
        ({"folds": frozenset("12")}, ["folds is", "a frozenset"]),
        ({"model.encoder_pools": ((2, 2, 2),)}, ["model.encoder_pools[0]"]),
        ({"features.log_mel.window": "han"}, ["log_mel.window is 'han'", "'hann'", "hamming"]),
        ({"name.first": 1}, ["name has no fields"]),
        ({"training": 3}, ["training is 3", "TrainingConfig"]),
        ({"system": "CNN"}, ["'CNN'", "FA, VEM, JRM, CMAM"]),
        ({"strategy": "frozen"}, ["'frozen'", "feature_based"]),
        ({"event_model.name": "yamet"}, ["event_model.name is 'yamet'", "'yamnet'"]),
        ({"dataset": "tau2020"}, ["dataset is 'tau2020'", "'tau2019'"]),
    ],
)
def test_a_wrong_override_is_an_error_that_says_where(changes, words):
    with pytest.raises(ConfigError) as error:
        config.override(ROW, changes)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: config.Experiment(), "has no name"),
        (lambda: config.Experiment(3), "name is 3, a int"),
        (lambda: config.Experiment("row", sytem="FA"), "Did you mean 'system'"),
        (lambda: config.TrainingConfig(epochs=0), "training.epochs is 0"),
        (lambda: dataclasses.replace(ROW.model, encoder="vit"), "model.encoder is 'vit'"),
        (lambda: config.LogMelConfig(hop_seconds=0.0), "features.log_mel.hop_seconds is 0.0"),
    ],
)
def test_a_wrong_value_in_python_is_the_same_error(build, words):
    with pytest.raises(ConfigError) as error:
        build()
    assert words in str(error.value)


def test_a_row_survives_the_way_through_json():
    changes = {"features.log_mel.max_hz": 8000.0, "model.encoder_channels": (8, 16)}
    row = config.override(ROW, changes)
    text = json.dumps(config.to_dict(row))
    assert config.from_dict(config.Experiment, json.loads(text)) == row


def test_a_record_of_an_older_version_has_defaults_for_new_fields():
    record = config.to_dict(ROW)
    del record["model"]["pooling_penalty"]
    del record["event_control"]
    assert config.from_dict(config.Experiment, record) == ROW


def changed(entry: reference.Entry) -> object:
    """Returns another valid value of a field."""
    value = entry.default
    if entry.choices:
        return next(choice for choice in entry.choices if choice != value)
    if entry.path in VALID_VALUES:
        return VALID_VALUES[entry.path]
    if value is None:
        return 1.0
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value / 2 if value else 0.5
    if entry.path == "folds":
        # Each fold is named once.
        return (*value, "2")
    return value + value[:1]


# A valid value of fields for which the usual change is none.
VALID_VALUES = {"event_model.level": -26.0, "features.sample_rate_hz": 44100}
# A field that is only valid together with another one.
TOGETHER = {
    "model.first_deltas": {"features.mono": True},
    "model.trunk": {"system": "VEM"},
    "model.trunk_training": {"system": "VEM"},
    "event_control": {"system": "CMAM", "strategy": "feature_based"},
    "features.clip_hop_seconds": {"dataset": "folder"},
    "event_model.precision": {"system": "CMAM", "strategy": "feature_based"},
    "event_model.sample_rate_hz": {"event_model.name": "saved_model"},
    "event_model.embeddings": {"event_model.name": "precomputed"},
    "event_model.output": {"event_model.name": "saved_model"},
    "event_model.window_seconds": {"event_model.name": "saved_model"},
    "training.warmup_epochs": {"training.schedule": "cosine"},
    "training.input_streams": {"training.batch_size": 32},
}


def test_the_digest_changes_with_every_field():
    digests = set()
    entries = [entry for entry in reference.entries() if entry.path != "name"]
    for entry in entries:
        base = config.override(ROW, TOGETHER.get(entry.path, {}))
        other = config.override(base, {entry.path: changed(entry)})
        assert config.digest(other) != config.digest(base), entry.path
        digests.add(config.digest(other))
    assert len(digests) == len(entries)
    assert config.digest(ROW.training) == config.digest(config.TrainingConfig())


def test_rows_are_read_by_path_and_name(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from crossask.config import Experiment\n"
        "ROWS = (Experiment('a'), Experiment('b', system='CMAM'))\n"
    )
    assert [row.name for row in config.read_experiments(str(file))] == ["a", "b"]
    assert config.read_experiments(f"{file}:b")[0].system == "CMAM"
    with pytest.raises(ConfigError, match="no row 'c'"):
        config.read_experiments(f"{file}:c")
    with pytest.raises(ConfigError, match="no experiment file"):
        config.read_experiments(str(tmp_path / "other.py"))


def test_a_wrong_row_is_reported_with_its_line(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from crossask.config import Experiment, TrainingConfig\n"
        "ROWS = (\n"
        "    Experiment('a'),\n"
        "    Experiment('b', training=TrainingConfig(epochs=0)),\n"
        ")\n"
    )
    with pytest.raises(ConfigError, match=r"mine\.py, line 4: training\.epochs is 0"):
        config.read_experiments(str(file))


def test_an_experiment_file_may_define_a_dataclass_with_postponed_annotations(tmp_path):
    file = tmp_path / "rows.py"
    file.write_text(
        "from __future__ import annotations\n"
        "import dataclasses\n"
        "from crossask.config import Experiment\n"
        "@dataclasses.dataclass\n"
        "class Variant:\n"
        "    name: str\n"
        'ROWS = (Experiment(Variant("a").name),)\n'
    )
    assert config.read_experiments(str(file)) == (config.Experiment("a"),)


def test_an_experiment_file_that_was_edited_at_once_is_read_again(tmp_path, monkeypatch):
    # Python's cache takes a file of the same size and second for the one before.
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path / "cache"))
    file = tmp_path / "rows.py"
    for epochs in (3, 4):
        row = f"Experiment('fa', training=TrainingConfig(epochs={epochs}))"
        file.write_text(f"from crossask.config import *\n\nROWS = ({row},)\n")
        os.utime(file, (1e9, 1e9))
        (row,) = config.read_experiments(str(file))
        assert row.training.epochs == epochs
    assert not list(tmp_path.rglob("*.pyc"))


def test_files_come_before_the_override_and_later_files_win(tmp_path):
    for name, epochs in (("a.json", 5), ("b.json", 6)):
        values = {"training": {"epochs": epochs, "batch_size": epochs}}
        (tmp_path / name).write_text(json.dumps(values))
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    row = config.resolve(ROW, files, "training.batch_size=7")
    assert (row.training.epochs, row.training.batch_size) == (6, 7)
    with pytest.raises(ConfigError, match="not a readable JSON"):
        config.resolve(ROW, [tmp_path / "none.json"])
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(ConfigError, match="contains a JSON list"):
        config.resolve(ROW, [tmp_path / "list.json"])


def test_the_strategy_decides_the_input_of_the_event_branch():
    inputs = {}
    for strategy in catalogue.STRATEGIES:
        row = config.Experiment("row", system="CMAM", strategy=strategy)
        inputs[strategy] = row.event_input
    expected = {"from_scratch": "patches", "feature_based": "embedding", "fine_tuning": "patches"}
    assert inputs == expected
    assert config.Experiment("row", system="FA").event_input == ""


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"training.average_from": 0}, "average_from"),
        ({"training.average_from": 61}, "training.average_from is 61"),
        ({"training.keep_from": 61}, "training.keep_from is 61"),
        (
            {"training.schedule": "cosine", "training.warmup_epochs": 61},
            "training.warmup_epochs is 61, but training.epochs is 60",
        ),
        ({"training.average_decay": 1.5}, "from 0 to 1"),
        ({"training.validation_share": 0.0}, "validation part, but training.keep is 'best'"),
        (
            {"training.validation_share": 0, "training.keep": "last", "training.patience": 5},
            "validation part, but training.patience is 5",
        ),
        ({"training.validation_share": -0.1}, "at least 0, below 1"),
        ({"training.validation_share": 1.0}, "at least 0, below 1"),
        ({"distillation.temperature": 0.0}, "temperature"),
        ({"augmentation.time_mask_frames": -1}, "time_mask_frames"),
        ({"training.context_frames": 5, "augmentation.mixup_alpha": 0.2}, "context_frames"),
        ({"system": "VEM", "augmentation.time_roll": True}, "reads no log-mel"),
        ({"system": "DCASE2019", "model.pooling_penalty": 0.1}, "no attention pooling"),
        ({"training.batch_size": 0}, "batch_size"),
        ({"training.batch_size": 10, "training.input_streams": 4}, "4 streams"),
        ({"training.shuffle_buffer": 0}, "shuffle_buffer"),
        ({"system": "VEM", "training.context_frames": 5}, "reads no log-mel"),
        ({"features.clip_hop_seconds": 5.0}, "data set 'tau2019' are clips already"),
        ({"training.epochs": 0}, "Row 'row': training.epochs is 0"),
        ({"training.schedule": "warm_restarts", "training.warmup_epochs": 2}, "'warm_restarts'"),
        (
            {"training.keep_from": 50, "training.patience": 5},
            "could stop after epoch 6, before the first epoch that may be kept",
        ),
        (
            {"system": "JRM", "strategy": "feature_based", "training.context_frames": 5},
            "JRM also reads events",
        ),
        ({"system": "DCASE2019", "model.split_band": True}, "no encoder of the log-mel"),
        ({"event_control": "other_clip"}, "no frozen embeddings"),
        ({"event_control": "other_clip"}, "with one of: VEM, JRM, CMAM, LINEAR."),
        ({"model.first_deltas": True}, "features.mono is false"),
        (
            {"features.mono": True, "model.first_deltas": True, "model.deltas": True},
            "model.deltas and model.first_deltas",
        ),
        (
            {"features.mono": True, "system": "DCASE2019", "model.first_deltas": True},
            "no encoder of the log-mel",
        ),
        ({"system": "CMAM", "event_model.embedding_tap": "vggish_2019"}, "has no gradient"),
        ({"event_model.precision": "mixed_bfloat16"}, "computes no frozen embeddings"),
        (
            {"system": "CMAM", "event_model.precision": "mixed_bfloat16"},
            "has the precision training.precision",
        ),
        (
            {
                "system": "CMAM",
                "strategy": "feature_based",
                "event_model.name": "saved_model",
                "event_model.precision": "mixed_bfloat16",
            },
            "comes from outside and has its own precision",
        ),
        ({"system": "CMAM", "event_model.name": "saved_model"}, "which cannot be trained"),
        ({"features.sample_rate_hz": 12000}, "features.sample_rate_hz is 12000"),
        ({"event_model.sample_rate_hz": 32000}, "'vggish', which has no such choice"),
        ({"event_model.output": 1}, "event_model.output is '1', but event_model.name is 'vggish'"),
        ({"event_model.window_seconds": 1.0}, "event_model.window_seconds is 1.0"),
        ({"event_model.embeddings": "a.npz"}, "or set event_model.name=precomputed"),
        ({"system": "JRM", "event_model.name": "precomputed"}, "which cannot be trained"),
    ],
)
def test_a_value_that_has_no_effect_or_does_harm_is_refused(changes, expected):
    overrides = ",".join(f"{name}={value!r}" for name, value in changes.items())
    with pytest.raises(ConfigError, match=re.escape(expected)):
        config.resolve(ROW, params_override=overrides)


@pytest.mark.parametrize(
    "settings",
    [
        "training.keep_from=6,training.patience=5",
        "training.keep_from=50,training.patience=5,training.patience_from=45",
        "training.keep_from=50,training.patience=5,training.keep=last",
    ],
)
def test_an_epoch_that_may_be_kept_is_always_reached(settings):
    config.resolve(ROW, params_override=settings)


def test_a_row_without_a_validation_part_keeps_the_last_epoch():
    settings = "training.validation_share=0,training.keep=last"
    row = config.resolve(ROW, params_override=settings)
    assert row.training.validation_share == 0
    with pytest.raises(ConfigError, match=r"training\.keep=last and training\.patience=0"):
        config.resolve(ROW, params_override="training.validation_share=0,training.patience=5")


def test_every_choice_of_ours_about_the_papers_systems_says_why_it_is_open():
    # Fields that the paper's systems do not have, and fields that are no choice about a network.
    not_of_the_paper = {
        *("name", "system", "strategy", "dataset", "folds", "paper_score", "note"),
        *("event_model.weights", "distillation.weight", "distillation.temperature"),
    }
    silent = set()
    for entry in reference.entries():
        if entry.facts.source == "ours" and not entry.facts.open_because:
            silent.add(entry.path)
    assert silent == not_of_the_paper


def test_every_field_has_a_description_that_is_a_sentence():
    for entry in reference.entries():
        description = entry.facts.description
        assert description.endswith("."), entry.path
        # "schedule=cosine: ..." names the setting in which the field has an effect
        assert description[0].isupper() or "=" in description.partition(":")[0], entry.path


def test_the_page_of_the_fields_is_up_to_date():
    page = ROOT / "docs" / "configuration.md"
    assert page.read_text() == reference.as_markdown(), "run `make docs`"


def test_a_relative_path_of_a_wrong_row_gives_its_line_too(tmp_path, monkeypatch):
    lines = ["from crossask import config", "ROWS = (", "    config.Experiment(", "        'fa',"]
    lines += ["        features=config.FeatureConfig(clip_seconds=0.0),", "    ),", ")"]
    (tmp_path / "mine.py").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"mine\.py, line 5: features\.clip_seconds is 0"):
        config.read_experiments("mine.py")


def test_two_rows_with_one_name_are_an_error(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("from crossask import config\nROWS = (config.Experiment('a'),) * 2\n")
    with pytest.raises(ConfigError, match="two rows with the name 'a'"):
        config.read_experiments(str(file))


def test_a_folder_of_data_does_not_hide_a_shipped_file_of_its_name(tmp_path, monkeypatch):
    (tmp_path / "esc10").mkdir()
    monkeypatch.chdir(tmp_path)
    assert config.read_experiments("esc10") == config.read_experiments(str(EXPERIMENTS / "esc10"))


def test_an_edited_copy_of_a_shipped_file_is_read_with_and_without_names_of_rows(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "esc10.py").write_text(
        "from crossask.config import Experiment\nROWS = (Experiment('fa', note='mine'),)\n"
    )
    for given in ("esc10.py", "esc10.py:fa", "esc10", "esc10:fa"):
        (row,) = config.read_experiments(given)
        assert row.note == "mine", given


@pytest.mark.parametrize("name", ["features.sample_rate_hz", "event_model.sample_rate_hz"])
def test_a_sample_rate_is_described_with_the_rates_that_the_resampler_has(name):
    (entry,) = (entry for entry in reference.entries() if entry.path == name)
    listed = tuple(int(digits) for digits in re.findall(r"\d{4,}", entry.facts.description))
    assert listed == rates.SAMPLE_RATES_HZ
