"""Whose scene is named when log-mel and embedding are of two clips, worked by hand."""

import pandas as pd
import pytest

from crossask.evaluation import whose_scene


def test_shares_are_means_over_the_scenes_of_the_log_mel():
    # scene, scene of the embedding, scene named
    heard = ["aba", "abb", "acb", "acc", "bab", "bcb", "caa", "cba"]
    rows = [
        {
            "clip": f"{number}",
            "location": f"{truth}{number % 2}",
            "city": "x",
            "truth": truth,
            **{scene: 0.8 if scene == named else 0.1 for scene in "abc"},
            "events_of": "?",
            "events_truth": events,
        }
        for number, (truth, events, named) in enumerate(heard)
    ]
    found = whose_scene(pd.DataFrame(rows[::-1]), resamples=200)
    # log-mel: a 1/4, b 2/2, c 0/2; embedding: a 2/4, b 0/2, c 1/2
    assert found["log_mel"] == pytest.approx((0.25 + 1 + 0) / 3)
    assert found["embedding"] == pytest.approx((0.5 + 0 + 0.5) / 3)
    assert found["log_mel"] + found["embedding"] + found["neither"] == pytest.approx(1)
    assert (
        found["difference"]["low"]
        <= found["log_mel"] - found["embedding"]
        <= found["difference"]["high"]
    )
    assert found["clips"] == 8
