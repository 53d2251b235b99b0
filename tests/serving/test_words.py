"""A prediction in words: the rule of docs/serving.md, with probabilities that are made up."""

import dataclasses
import re
from pathlib import Path

import pytest

from crossask.audio import remarks
from crossask.datasets import tau2019, tut2017
from crossask.errors import CrossaskError
from crossask.serving import starter, words
from crossask.serving.classifier import Classifier
from crossask.serving.results import Prediction, Segment

SERVING_PAGE = Path(__file__).resolve().parents[2] / "docs" / "serving.md"


def prediction(probabilities, is_sure=True, level_dbfs=-30.0, scenes_over_time=("",)):
    """Returns a prediction; `scenes_over_time` are the most probable scenes of windows of 10 s."""
    timeline = []
    for number, scene in enumerate(scenes_over_time):
        window = dict(probabilities)
        if scene:
            window = {name: 1.0 if name == scene else 0.0 for name in probabilities}
        timeline.append(Segment(number * 10.0, number * 10.0 + 10, window))
    return Prediction(
        "x.wav",
        timeline[-1].end_seconds,
        48000,
        dict(probabilities),
        tuple(timeline),
        None,
        is_sure=is_sure,
        level_dbfs=level_dbfs,
    )


@pytest.mark.parametrize(
    ("probabilities", "text"),
    [
        ({"tram": 0.41, "bus": 0.3, "park": 0.09}, "Most likely a tram (41 %), perhaps a bus"),
        (
            {"tram": 0.45, "bus": 0.2, "park": 0.2, "metro": 0.15},
            "Most likely a tram (45 %), perhaps a bus or a park",
        ),
        ({"bus": 0.06, "tram": 0.94}, "Very likely a tram (94 %)"),
        ({"tram": 0.7, "bus": 0.3}, "Likely a tram (70 %), perhaps a bus"),
        (
            {"tram": 0.3, "bus": 0.3, "park": 0.1},
            "Not sure, perhaps a bus (30 %), a tram or a park",
        ),
        ({"tram": 0.05, "bus": 0.04}, "Not sure, perhaps a tram (5 %)"),
        ({"tram": 0.999, "bus": 0.001}, "Very likely a tram (over 99 %)"),
        # A scene without an entry in PHRASES.
        ({"engine_room": 0.7, "b": 0.1}, "Likely engine room (70 %), perhaps b"),
        # The words fit the rounded number that is shown.
        ({"tram": 0.896, "bus": 0.096}, "Very likely a tram (90 %), perhaps a bus"),
        ({"tram": 0.894, "bus": 0.094}, "Likely a tram (89 %)"),
    ],
)
def test_the_words_follow_from_the_probabilities(probabilities, text):
    assert words.in_words(prediction(probabilities)) == text


def test_a_model_with_a_limit_is_not_sure_below_it():
    unsure = prediction({"rain": 0.7, "stream_river": 0.2}, is_sure=False)
    assert words.in_words(unsure) == "Not sure, perhaps rain (70 %) or a stream or river"


def test_silence_is_no_scene():
    probabilities = {"tram": 0.99, "bus": 0.01}
    loud = prediction(probabilities, level_dbfs=-79.9)
    silent = prediction(probabilities, level_dbfs=-96.3, scenes_over_time=("tram", "bus"))
    assert words.in_words(loud).startswith("Very likely a tram")
    text = "Silence: the recording contains no sound (level −96 dBFS)"
    assert words.in_words(silent) == text
    assert f"| {text} |" in SERVING_PAGE.read_text()
    digital_zero = prediction(probabilities, level_dbfs=remarks.LEAST_DBFS)
    assert words.in_words(digital_zero) == "Silence: the recording contains no sound"
    assert words.over_time_in_words(silent) == ""


def test_changes_over_time_are_a_sentence():
    probabilities = {"tram": 0.5, "bus": 0.5}
    one = prediction(probabilities, scenes_over_time=("tram", "tram"))
    two = prediction(probabilities, scenes_over_time=("tram", "tram", "bus"))
    many = prediction(probabilities, scenes_over_time=("tram", "bus") * 4)
    assert words.over_time_in_words(one) == ""
    assert (
        words.over_time_in_words(two)
        == "Over time: a tram (0:00 to 0:20), then a bus (0:20 to 0:30)."
    )
    assert words.over_time_in_words(many) == "The most probable scene changes 7 times."
    timeline = []
    for number, segment in enumerate(many.timeline):
        level_dbfs = -100.0 if number % 2 else -30.0
        timeline.append(dataclasses.replace(segment, level_dbfs=level_dbfs))
    paused = dataclasses.replace(many, timeline=tuple(timeline))
    text = "The most probable scene changes 7 times, from and to silence included."
    assert words.over_time_in_words(paused) == text


def test_every_scene_of_a_data_set_and_of_the_starter_model_has_words():
    scenes = {*tau2019.SCENES, *tut2017.SCENES, *starter.starter_facts()["scenes"]}
    assert scenes == set(words.PHRASES)


def test_the_documentation_has_the_limits_of_the_code():
    section = SERVING_PAGE.read_text().split("## The prediction in words")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\d+) % or more \| (.*?) a tram", section, re.MULTILINE)
    assert [(int(least), word) for least, word in rows] == list(words.LIKELIHOODS)
    assert f"below {words.LIKELIHOODS[-1][0]} % | {words.NOT_SURE}" in section
    assert f"those with {words.LEAST_PERCENT_OF_OTHERS} % or more" in section
    assert f"louder than {remarks.SILENCE_DBFS:.0f} dBFS" in section
    # Every example with a percentage of the first scene alone is what the code says.
    for percent in (95, 70, 41):
        share = percent / 100
        text = words.in_words(prediction({"tram": share, "bus": min(0.2, 1 - share)}))
        assert f"| {text} |" in section


def test_of_equally_probable_scenes_the_first_by_name_is_predicted():
    segment = Segment(0.0, 1.0, {"tram": 0.4, "bus": 0.4, "park": 0.2})
    assert segment.scene == "bus"
    assert segment.top(3) == [("bus", 0.4), ("tram", 0.4), ("park", 0.2)]


@pytest.mark.parametrize("hop", ["2", float("nan"), 0, -1.0, [2.0]])
def test_a_hop_that_is_no_number_above_0_is_an_error_before_a_model_is_read(hop):
    with pytest.raises(CrossaskError, match="The hop is"):
        Classifier("no model", hop_seconds=hop)
