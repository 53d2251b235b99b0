"""Scores, intervals and comparisons of tables of predictions. No TensorFlow.

A table has one row for each clip: clip, location, city and device (these three are optional),
truth, and one probability for each scene. Nothing here depends on a model, so that predictions of
any program can be scored. All accuracies are fractions from 0 to 1. Results are frozen dataclasses;
`to_json` returns them as plain values.

  predictions.py  reading, checking and pooling tables; their columns as arrays
  intervals.py    the bootstrap over locations: intervals and p-values
  calibration.py  log loss, Brier score and calibration of the probabilities
  scores.py       one row of a results table: score, summarise, spread
  devices.py      the scores of each device, and of devices with and without training clips
  events.py       events that stand out in a scene
  comparison.py   two rows on the same clips, a published number, swapped inputs: compare, holm,
                  against, whose_scene
"""

from crossask.evaluation.comparison import (
    Agreement,
    Comparison,
    SwappedShares,
    against,
    compare,
    holm,
    opposite_verdict,
    reversed_comparison,
    whose_scene,
)
from crossask.evaluation.devices import DeviceScores, score_devices
from crossask.evaluation.events import (
    EventInScene,
    compare_events,
    outstanding_events,
    pool_event_scores,
    read_event_scores,
)
from crossask.evaluation.intervals import Interval
from crossask.evaluation.predictions import pool, read_predictions
from crossask.evaluation.scores import Score, Spread, Summary, score, spread, summarise, to_json

__all__ = [
    "Agreement",
    "Comparison",
    "DeviceScores",
    "EventInScene",
    "Interval",
    "Score",
    "Spread",
    "Summary",
    "SwappedShares",
    "against",
    "compare",
    "compare_events",
    "holm",
    "opposite_verdict",
    "outstanding_events",
    "pool",
    "pool_event_scores",
    "read_event_scores",
    "read_predictions",
    "reversed_comparison",
    "score",
    "score_devices",
    "spread",
    "summarise",
    "to_json",
    "whose_scene",
]
