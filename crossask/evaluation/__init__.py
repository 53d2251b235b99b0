"""From tables of predictions to scores, intervals, paired differences and what may be said of them.

A table has one row a clip: clip, location and city (both optional), truth, then one probability column a scene. Nothing
here knows a model, so anybody's predictions can be scored. All accuracies are fractions between 0 and 1. NumPy and SciPy
alone; pandas only holds the tables.

  predictions.py  a table, read and checked
  views.py        a checked table as arrays; what a reader has to know of its clips
  resampling.py   the bootstrap by location: intervals, its p-value, and how far both can be trusted
  scoring.py      one row of a results table: score, summarise
  probabilities.py  what the probabilities are worth: log loss, Brier score, calibration
  comparison.py   two rows on the same clips: compare, McNemar's test, Holm's adjustment
  swapped.py      whose scene is named when a model's inputs are of two clips: whose_scene
  folds.py        several folds: pool, spread
  published.py    a score against a number in print: against
"""

from crossask.evaluation.comparison import compare, holm
from crossask.evaluation.folds import pool, spread
from crossask.evaluation.predictions import read_predictions
from crossask.evaluation.published import against
from crossask.evaluation.scoring import score, summarise
from crossask.evaluation.swapped import whose_scene

__all__ = [
    "against",
    "compare",
    "holm",
    "pool",
    "read_predictions",
    "score",
    "spread",
    "summarise",
    "whose_scene",
]
