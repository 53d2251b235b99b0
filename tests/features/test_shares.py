"""The batches of several machines are the rows of the whole batches."""

import dataclasses
import itertools

import numpy as np
import pytest
import small_corpus
import tensorflow as tf

from crossask import config
from crossask.config import TrainingConfig
from crossask.errors import CrossaskError
from crossask.features.batches import EvaluationData, Share, TrainingData, ordered
from crossask.features.cache import prepare_features


@pytest.fixture(scope="module")
def cache(corpus, tmp_path_factory):
    """Returns features in shards of three clips."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crossask.features.records.CLIPS_PER_SHARD", 3)
        yield prepare_features(corpus, small_corpus.FA, tmp_path_factory.mktemp("features"))


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr("crossask.features.records.CLIPS_PER_SHARD", 3)


def parts(data, share, steps):
    batches = data.batches(1, 1, share).take(steps)
    return [(inputs["log_mel"].numpy(), scene.numpy()) for inputs, scene, _ in batches]


@pytest.mark.parametrize("streams", [1, 2, 4])
def test_shares_of_two_machines_are_the_rows_of_the_whole_batches(corpus, cache, streams):
    settings = TrainingConfig(batch_size=4, input_streams=streams)
    data = TrainingData(cache, corpus, corpus.folds[0].train, settings, seed=0)
    assert data.steps >= 3
    steps = 2 * data.steps - 1  # to the end of the second epoch from here
    whole, left, right = (
        parts(data, share, steps) for share in (Share(), Share(0, 2), Share(1, 2))
    )
    for batch, *halves in zip(whole, left, right, strict=True):
        for expected, *values in zip(batch, *halves, strict=True):
            np.testing.assert_array_equal(np.concatenate(values), expected)
    if streams % 2 == 0:  # each machine opens its own files only
        half = streams // 2
        first = set(itertools.chain(*data._streams[:half]))
        second = set(itertools.chain(*data._streams[half:]))
        assert not first & second
    one_epoch = []
    for batch, _ in parts(dataclasses.replace(data), Share(), data.steps - 1):
        one_epoch += [clip.sum() for clip in batch]
    assert len(set(one_epoch)) == len(one_epoch)


def test_streams_must_divide_the_batch():
    with pytest.raises(CrossaskError, match="from 3 streams"):
        config.override(small_corpus.FA, {"training.input_streams": 3})


def test_evaluation_gives_every_clip_to_one_machine(corpus, cache):
    ids = ordered(cache, [clip.id for clip in corpus.clips])[:13]
    seen = []
    for number in (0, 1):
        for inputs, _, weight in EvaluationData(cache, corpus, ids, 4).batches(Share(number, 2)):
            assert inputs["log_mel"].shape[0] == 2
            seen += [
                float(tf.reduce_sum(clip))
                for clip, kept in zip(inputs["log_mel"], weight, strict=True)
                if kept
            ]
    assert len(seen) == len(set(seen)) == 13
