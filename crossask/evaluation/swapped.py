"""Whose scene is named when a model's two inputs are of clips of different scenes."""

import numpy as np
import pandas as pd

from crossask.evaluation import resampling
from crossask.evaluation.views import View


def whose_scene(
    table: pd.DataFrame, resamples: int = 2000, seed: int = 0, confidence: float = 0.95
) -> dict:
    """Shares of clips named by each input; means over the scenes of the log-mel, like macro accuracy.

    Args:
      table: predictions with two more columns, events_of (the clip whose embedding was heard) and events_truth (its scene); the
        other columns are of the clip whose log-mel was heard.

    Returns:
      log_mel, embedding, neither (shares that add up to 1), difference {low, high, ...}: the interval of log_mel - embedding, over
      the locations of the log-mel; clips.
    """
    view = View(table.drop(columns=["events_of", "events_truth"]))
    events = table.sort_values("clip", kind="stable")["events_truth"].to_numpy(str)
    named = np.array(view.scenes)[view.predicted]
    hits = np.stack([named == view.labels, named == events], axis=1).astype(float)  # [clips, 2]
    present = np.unique(view.truth)
    shares = np.mean([hits[view.truth == scene].mean(0) for scene in present], axis=0)
    cluster, unit = view.clusters()
    drawn = resampling.class_accuracies(
        hits, view.truth, cluster, len(view.scenes), resamples, seed
    )[:, present].mean(1)  # [resamples, 2]
    interval = resampling.interval(drawn[:, 0] - drawn[:, 1], unit, resamples, seed, confidence)
    log_mel, embedding = map(float, shares)
    return {
        "log_mel": log_mel,
        "embedding": embedding,
        "neither": 1 - log_mel - embedding,
        "difference": interval,
        "clips": len(hits),
    }
