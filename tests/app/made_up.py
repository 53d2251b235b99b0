"""Predictions, explanations and model cards that are made up, for tests of words and files."""

import numpy as np

from crossask.serving.results import Explanation, Prediction, Segment

CARD = {
    "what": "Acoustic scene classifier written by crossask",
    "scenes": ["tram", "bus"],
    "events": [],
    "front_end": {},
    "clip_seconds": 10.0,
    "sample_rate_hz": 48000,
    "fold": "1",
    "seed": 0,
    "experiment": {
        "system": "FA",
        "strategy": "from_scratch",
        "dataset": "tau2019",
        "model": {"cross_attention": "event_queries_scene"},
    },
}


def prediction(source="a.wav", first="tram", second="bus", **values):
    """Returns a prediction for 20 s, of which the second half is the second scene."""
    timeline = (
        Segment(0.0, 10.0, {first: 0.75, second: 0.25}),
        Segment(10.0, 20.0, {first: 0.25, second: 0.75}),
    )
    probabilities = {first: 0.5, second: 0.5}
    return Prediction(source, 20.0, 48000, probabilities, timeline, None, **values)


def explanation(events=()):
    """Returns an explanation of the first window, with attention and with scores of events."""
    scores = None
    if events:
        scores = np.linspace(0, 1, 4 * len(events)).reshape(4, len(events))
    attention = {"pooling": np.full((2, 5), 0.2)}
    return Explanation(0.0, 10.0, None, attention, tuple(events), scores)
