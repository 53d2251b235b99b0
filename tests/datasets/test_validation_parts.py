"""The validation part of a training fold: disjoint by location, with every scene, by seed."""

import pytest

from crossask.datasets import Clip, Corpus, Fold, training_parts, validation_split
from crossask.errors import DataError


def make_corpus(locations_per_city, cities=("p", "q")):
    """Returns two scenes with two clips at each location, and one clip to evaluate."""
    clips = []
    for scene in ("a", "b"):
        for city in cities:
            for place in range(locations_per_city):
                location = f"{scene}-{city}-{place}"
                clips.append(Clip(f"{location}-0", "", scene, location, city))
                clips.append(Clip(f"{location}-1", "", scene, location, city))
    train = tuple(clip.id for clip in clips)
    clips.append(Clip("evaluated", "", "a", "elsewhere", "r"))
    return Corpus("made", ("a", "b"), tuple(clips), (Fold("1", train, ("evaluated",)),))


@pytest.mark.parametrize("locations_per_city", [1, 2, 3, 5])
def test_both_parts_have_every_scene_and_share_no_location(locations_per_city):
    corpus = make_corpus(locations_per_city)
    train = corpus.fold("1").train
    training, validation = validation_split(corpus, train, 0.3, 0)
    location = {clip.id: clip.location for clip in corpus.clips}
    scene = {clip.id: clip.scene for clip in corpus.clips}
    assert {*training, *validation} == set(train)
    assert {location[i] for i in training}.isdisjoint(location[i] for i in validation)
    assert {scene[i] for i in training} == {"a", "b"}
    assert {scene[i] for i in validation} == {"a", "b"}


def test_the_validation_part_depends_on_the_seed_alone():
    corpus = make_corpus(5)
    train = corpus.fold("1").train
    assert validation_split(corpus, train, 0.3, 0) == validation_split(corpus, train, 0.3, 0)
    parts = {validation_split(corpus, train, 0.3, seed)[1] for seed in range(5)}
    assert len(parts) > 1


def test_a_validation_part_of_the_corpus_itself_is_used():
    clips = tuple(Clip(name, "", "a", name) for name in ("one", "two", "three"))
    fold = Fold("1", ("one", "two"), ("three",), validation=("two",))
    corpus = Corpus("made", ("a",), clips, (fold,))
    assert training_parts(corpus, fold, 0.3, 0) == (("one",), ("two",))


def test_a_share_of_zero_trains_on_the_whole_training_fold():
    corpus = make_corpus(1, cities=("p",))
    fold = corpus.fold("1")
    assert training_parts(corpus, fold, 0.0, 0) == (fold.train, ())


def test_a_share_of_zero_trains_on_the_validation_part_of_the_corpus_itself_too():
    clips = tuple(Clip(name, "", "a", name) for name in ("one", "two", "three"))
    fold = Fold("1", ("one", "two"), ("three",), validation=("two",))
    corpus = Corpus("made", ("a",), clips, (fold,))
    assert training_parts(corpus, fold, 0.0, 0) == (("one", "two"), ())


def test_a_clip_on_both_sides_is_an_error_also_without_locations():
    clips = tuple(Clip(name, "", "a", "") for name in ("one", "two"))
    with pytest.raises(DataError, match="Clip 'two' is on both sides of fold '1'"):
        Corpus("made", ("a",), clips, (Fold("1", ("one", "two"), ("two",)),))


def test_one_location_cannot_be_split():
    corpus = make_corpus(1, cities=("p",))
    with pytest.raises(DataError, match="'a' has one location"):
        validation_split(corpus, corpus.fold("1").train, 0.3, 0)


@pytest.mark.parametrize("share", [0, 1, -0.1])
def test_a_share_outside_of_its_range_is_an_error(share):
    corpus = make_corpus(2)
    with pytest.raises(DataError, match=f"share is {share}"):
        validation_split(corpus, corpus.fold("1").train, share, 0)
