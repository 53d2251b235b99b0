"""crossask-evaluate writes the event scores of a row whose frozen event model has a head."""

import shutil

import numpy as np
import pandas as pd
import pytest
import small_corpus

from crossask import training
from crossask.events.tagger import read_tagger
from crossask.features import records
from crossask.features.cache import prepare_features
from crossask.training import event_scores, run_folder


def copied(run, tmp_path):
    """Returns a copy of a run, since tests only read the shared one."""
    folder = run_folder.run_at(tmp_path, run.row, run.fold, run.seed).folder
    shutil.copytree(run.folder, folder)
    return run_folder.run_at(tmp_path, run.row, run.fold, run.seed)


def test_the_scores_are_means_over_the_clips_of_a_location(exported, corpus, tmp_path):
    shared = exported(small_corpus.FEATURE_BASED_24_KHZ)
    run = copied(shared.run, tmp_path)
    cache = prepare_features(corpus, run.experiment(), shared.features)
    training.evaluate_run(run, corpus, cache)
    table = pd.read_csv(run.path("event_scores.csv"))
    assert list(table.columns) == ["truth", "location", "clips", "dog", "rain"]
    clips = [clip for clip in corpus.clips if clip.id in corpus.fold("1").evaluation]
    assert table["clips"].sum() == len(clips)
    assert set(table["location"]) == {clip.location for clip in clips}

    first = table.iloc[0]
    of_location = {clip.id for clip in clips if clip.location == first["location"]}
    tagger = read_tagger(run.experiment().event_model)
    scores = []
    for clip_id, embedding in records.read_clips(cache.shards("embedding")):
        if clip_id in of_location:
            scores.append(tagger(embedding).numpy().mean(axis=0))
    assert len(scores) == first["clips"]
    np.testing.assert_allclose(first[["dog", "rain"]].astype(float), np.mean(scores, 0), rtol=1e-3)


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (("dog", "rain"), ""),
        (("dog", "clips"), "An event is called 'clips'"),
        (("dog", "dog"), "Two events are called 'dog'"),
    ],
)
def test_names_of_events_that_cannot_be_columns_are_no_stack_trace(
    exported, corpus, tmp_path, monkeypatch, caplog, names, problem
):
    shared = exported(small_corpus.FEATURE_BASED_24_KHZ)
    run = copied(shared.run, tmp_path)
    cache = prepare_features(corpus, run.experiment(), shared.features)
    tagger = read_tagger(run.experiment().event_model)
    monkeypatch.setattr(tagger, "names", names)
    monkeypatch.setattr(event_scores, "read_tagger", lambda _: tagger)
    # As an earlier evaluation has written it, with a head that is no longer there.
    run.path("event_scores.csv").write_text("truth,location,clips,cat\n")
    event_scores.write_event_scores(run, corpus, cache, corpus.fold("1").evaluation)
    assert run.path("event_scores.csv").is_file() == (not problem)
    assert problem in caplog.text


def test_a_row_without_a_head_has_no_event_scores(trained, corpus, features, tmp_path):
    run = copied(trained(small_corpus.FEATURE_BASED), tmp_path)
    cache = prepare_features(corpus, run.experiment(), features)
    training.evaluate_run(run, corpus, cache)
    assert run.path("scores.json").is_file()
    assert not run.path("event_scores.csv").exists()
