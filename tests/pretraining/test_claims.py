"""What a pre-training writes replaces no file of somebody else, and it knows what it began with."""

import dataclasses

import pytest

from crossask import config, events
from crossask.cli import pretrain as command
from crossask.errors import CrossaskError
from crossask.pretraining import LabelledClip, PretrainingConfig, training
from crossask.pretraining.claims import claim_folder


def test_a_file_that_was_there_before_is_not_overwritten(tmp_path):
    outputs = [tmp_path / "a.npz", tmp_path / "a.json"]
    outputs[1].write_text("mine")
    with pytest.raises(CrossaskError, match=r"a\.json exists already"):
        claim_folder(tmp_path / "a.npz.training", {"settings": 1}, outputs)
    assert not (tmp_path / "a.npz.training").exists()
    outputs[1].unlink()
    claim_folder(tmp_path / "a.npz.training", {"settings": 1}, outputs)
    # The pre-training writes it, and goes on with it.
    outputs[1].write_text("its report")
    claim_folder(tmp_path / "a.npz.training", {"settings": 1}, outputs)
    # A later version records more.
    claim_folder(tmp_path / "a.npz.training", {"settings": 1, "start": ""}, outputs)
    with pytest.raises(CrossaskError, match="another pre-training"):
        claim_folder(tmp_path / "a.npz.training", {"settings": 2, "start": ""}, outputs)


def test_a_state_without_the_settings_it_belongs_to_is_not_continued(tmp_path):
    state = tmp_path / "checkpoints" / "checkpoint"
    state.parent.mkdir()
    state.touch()
    with pytest.raises(CrossaskError, match=r"is there without the config\.json"):
        claim_folder(tmp_path, {"settings": 1})


def test_a_pre_training_from_other_weights_under_the_same_name_is_another_one(tmp_path):
    path = tmp_path / "start.npz"
    settings = PretrainingConfig(config.EventModelConfig(width=0.03125, weights=str(path)))
    starts = []
    for seed in (0, 1):
        random = dataclasses.replace(settings.event_model, weights="")
        events.build(random, seed=seed).save_npz(path)
        starts.append(training._start(settings))
    assert starts[0] != starts[1]
    assert training._start(PretrainingConfig()) == ""


def test_every_test_fold_must_be_one_of_the_table(tmp_path, monkeypatch):
    clips = tuple(LabelledClip(f"{fold}.wav", ("dog",), str(fold)) for fold in (1, 2, 10))
    monkeypatch.setattr(command, "_read_clips", lambda *_: clips)
    command.FLAGS.unparse_flags()
    command.FLAGS(["pretrain", "--events=events.csv", "--test_folds=2,3"])
    with pytest.raises(CrossaskError, match=r"No clip of events\.csv has the fold '3'"):
        command._labelled_clips(command.FLAGS)
    command.FLAGS(["pretrain", "--test_folds=2"])
    fitted, test = command._labelled_clips(command.FLAGS)
    assert [clip.fold for clip in fitted] == ["1", "10"]
    assert [clip.fold for clip in test] == ["2"]
