"""Events that stand out in a scene: differences of means, against figures worked by hand."""

import numpy as np
import pandas as pd
import pytest

from crossask.errors import DataError
from crossask.evaluation import outstanding_events, read_event_scores
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


def test_the_largest_differences_come_first():
    found = outstanding_events(
        table(("park", "p1", 1, 0.5, 0.9), ("bus", "b1", 1, 0.3, 0.2)), 2, BOOTSTRAP
    )
    assert [event.event for event in found[2:]] == ["rain, heavy", "dog"]
    assert [event.scene for event in found] == ["bus", "bus", "park", "park"]
    assert found[0].event == "dog"


def test_one_scene_has_nothing_to_be_compared_with():
    assert outstanding_events(table(("park", "p1", 1, 0.5, 0.9)), 2, BOOTSTRAP) == ()


def test_what_is_written_is_read(tmp_path):
    written = table(("1", "NA", 3, 0.8, 0.1), ("2", "", 1, 0.4, 0.1))
    written.to_csv(tmp_path / "scores.csv", index=False)
    pd.testing.assert_frame_equal(read_event_scores(tmp_path / "scores.csv"), written)


@pytest.mark.parametrize(
    "text", ["", "truth,location,dog\na,b,1\n", "truth,location,clips,dog\na,b,1,loud\n"]
)
def test_another_table_is_an_error_with_its_path(tmp_path, text):
    (tmp_path / "scores.csv").write_text(text)
    with pytest.raises(DataError, match=r"scores\.csv"):
        read_event_scores(tmp_path / "scores.csv")


def test_a_missing_score_is_an_error(tmp_path):
    scores = table(("park", "p1", 1, np.nan, 0.9))
    scores.to_csv(tmp_path / "scores.csv", index=False)
    with pytest.raises(DataError, match="no number"):
        read_event_scores(tmp_path / "scores.csv")
