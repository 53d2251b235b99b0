"""Events that stand out in a scene: their effects, against figures worked by hand."""

import numpy as np
import pandas as pd
import pytest

from crossask.errors import DataError
from crossask.evaluation import (
    compare_events,
    outstanding_events,
    pool_event_scores,
    read_event_scores,
)
from crossask.evaluation.events import excludes_zero, single_unit_scenes
from crossask.evaluation.intervals import Bootstrap

BOOTSTRAP = Bootstrap(resamples=200)


def table(*rows):
    """Returns a table; a row is scene, location, clips, and the scores of dog and "rain, heavy"."""
    return pd.DataFrame(rows, columns=["truth", "location", "clips", "dog", "rain, heavy"])


def test_a_mean_counts_clips_and_elsewhere_counts_scenes():
    found = outstanding_events(
        table(
            ("park", "p1", 3, 0.8, 0.1),
            ("park", "p2", 1, 0.4, 0.1),
            ("bus", "b1", 10, 0.1, 0.2),
            ("tram", "t1", 1, 0.3, 0.6),
        ),
        1,
        BOOTSTRAP,
    )
    by_scene = {event.scene: event for event in found}
    park = by_scene["park"]
    assert park.event == "dog"
    assert park.mean == pytest.approx(0.7)
    assert park.elsewhere == pytest.approx(0.2)
    assert park.difference == pytest.approx(0.5)
    assert by_scene["tram"].event == "rain, heavy"
    assert by_scene["tram"].difference == pytest.approx(0.6 - 0.15)


def test_the_interval_is_over_the_locations():
    # One of two locations is drawn, so the mean of the park is 0.4 or 0.8.
    found = outstanding_events(
        table(("park", "p1", 5, 0.8, 0), ("park", "p2", 5, 0.4, 0), ("bus", "b1", 5, 0.1, 0)),
        1,
        BOOTSTRAP,
    )
    park = next(event for event in found if event.scene == "park")
    assert (park.low, park.high) == (pytest.approx(0.3), pytest.approx(0.7))


def test_a_location_in_two_folds_is_drawn_as_a_whole():
    whole = (("park", "p1", 4, 0.7, 0.1), ("park", "p2", 5, 0.4, 0), ("bus", "b1", 5, 0.1, 0))
    first = table(("park", "p1", 3, 0.8, 0.1), *whole[1:])
    second = table(("park", "p1", 1, 0.4, 0.1))
    pooled = pool_event_scores([first, second])
    assert list(pooled.columns) == list(first.columns)
    found = outstanding_events(pooled, 1, BOOTSTRAP)
    expected = outstanding_events(table(*whole), 1, BOOTSTRAP)
    assert [(event.scene, event.event) for event in found] == [
        (event.scene, event.event) for event in expected
    ]
    for event, other in zip(found, expected, strict=True):
        assert (event.mean, event.low, event.high) == pytest.approx(
            (other.mean, other.low, other.high)
        )


def test_folds_with_other_locations_or_without_any_are_pooled_as_they_are():
    first = table(("park", "p1", 3, 0.8, 0.1), ("bus", "b1", 2, 0.1, 0.2))
    second = table(("park", "p2", 1, 0.4, 0.1))
    expected = pd.concat([first, second], ignore_index=True)
    pd.testing.assert_frame_equal(pool_event_scores([first, second]), expected)
    for scores in (first, second, expected):
        scores["location"] = ""
    pd.testing.assert_frame_equal(pool_event_scores([first, second]), expected)


def test_folds_with_different_events_are_refused():
    first = table(("park", "p1", 3, 0.8, 0.1))
    second = first.rename(columns={"dog": "cat"})
    with pytest.raises(DataError, match="different events: 'cat'"):
        pool_event_scores([first, second])


def test_the_largest_effects_come_first():
    found = outstanding_events(
        table(("park", "p1", 1, 0.5, 0.9), ("bus", "b1", 1, 0.3, 0.2)), 2, BOOTSTRAP
    )
    assert [event.event for event in found[2:]] == ["rain, heavy", "dog"]
    assert [event.scene for event in found] == ["bus", "bus", "park", "park"]
    assert found[0].event == "dog"


def test_the_effect_is_that_of_the_literature():
    # Cohen (1988), table 6.2.2: phi is 0.927 for 0.20 and 1.369 for 0.40.
    found = outstanding_events(
        table(("park", "p1", 1, 0.4, 0), ("bus", "b1", 1, 0.2, 0)), 1, BOOTSTRAP
    )
    assert found[1].effect == pytest.approx(1.369 - 0.927, abs=1e-3)


def test_a_rare_event_outranks_a_smaller_change_of_a_frequent_one():
    scores = (("park", "p1", 1, 0.04, 0.53), ("bus", "b1", 1, 0.01, 0.499))
    (park,) = outstanding_events(table(*scores), 1, BOOTSTRAP)[1:]
    assert park.event == "dog"
    assert park.difference < 0.031


def test_the_interval_of_the_effect_is_over_the_locations():
    scores = (("park", "p1", 5, 0.4, 0), ("park", "p2", 5, 0.2, 0), ("bus", "b1", 5, 0.2, 0))
    park = outstanding_events(table(*scores), 1, BOOTSTRAP)[1]
    assert park.effect_low == pytest.approx(0, abs=1e-9)
    assert park.effect_high == pytest.approx(1.369 - 0.927, abs=1e-3)
    assert not park.excludes_zero


def test_events_of_any_scene_are_compared_in_every_scene():
    scores = (("park", "p1", 1, 0.8, 0.1), ("bus", "b1", 1, 0.1, 0.6))
    found = compare_events(table(*scores), 1, BOOTSTRAP)
    ranks = {(event.scene, event.event): event.rank for event in found}
    assert ranks == {
        ("bus", "dog"): 2,
        ("bus", "rain, heavy"): 1,
        ("park", "dog"): 1,
        ("park", "rain, heavy"): 2,
    }
    effects = {(event.scene, event.event): event.effect for event in found}
    assert effects["bus", "dog"] == pytest.approx(-effects["park", "dog"])
    # With one location a scene, the intervals have no width and show nothing.
    assert not any(event.excludes_zero for event in found)


def test_an_interval_excludes_zero_if_it_has_a_width_on_one_side_of_it():
    low = np.array([0.1, 0.1, -0.2, -0.2, 0.0])
    high = np.array([0.3, 0.1, -0.1, 0.1, 0.0])
    assert excludes_zero(low, high).tolist() == [True, False, True, False, False]


def test_scenes_of_one_location_are_listed():
    scores = (("park", "p1", 1, 0.8, 0.1), ("bus", "b1", 1, 0.1, 0.6), ("bus", "b2", 1, 0.1, 0.6))
    assert single_unit_scenes(table(*scores)) == ["park"]


def test_one_scene_has_nothing_to_be_compared_with():
    assert outstanding_events(table(("park", "p1", 1, 0.5, 0.9)), 2, BOOTSTRAP) == ()


def test_what_is_written_is_read(tmp_path):
    for locations in (("NA", ""), ("001", "02")):
        written = table(("1", locations[0], 3, 0.8, 0.1), ("2", locations[1], 1, 0.4, 0.1))
        written.to_csv(tmp_path / "scores.csv", index=False)
        pd.testing.assert_frame_equal(read_event_scores(tmp_path / "scores.csv"), written)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "truth,location,dog\na,b,1\n",
        "truth,location,clips,dog\na,b,1,loud\n",
        "truth,location,clips,dog\na,b,many,1\n",
        "truth,location,clips,dog\na,b,0,1\n",
        "truth,location,clips,dog\na,b,1.5,1\n",
    ],
)
def test_another_table_is_an_error_with_its_path(tmp_path, text):
    (tmp_path / "scores.csv").write_text(text)
    with pytest.raises(DataError, match=r"scores\.csv") as error:
        read_event_scores(tmp_path / "scores.csv")
    assert "--again" in error.value.fix


def test_a_missing_score_is_an_error(tmp_path):
    scores = table(("park", "p1", 1, np.nan, 0.9))
    scores.to_csv(tmp_path / "scores.csv", index=False)
    with pytest.raises(DataError, match=r"scores\.csv contains a score that is no number") as error:
        read_event_scores(tmp_path / "scores.csv")
    assert "--again" in error.value.fix
