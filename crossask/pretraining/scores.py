"""Scores of taggers: mean average precision, mean area under the ROC curve and d'."""

import math

import numpy as np
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score


def tagging_scores(labels: np.ndarray, scores: np.ndarray) -> dict[str, float | None]:
    """Returns the scores of a tagger on some clips.

    The mean is over the events that some of the clips have and others do not. d' is
    sqrt(2) * Phi^-1(AUC) of the mean AUC, as in Hershey et al. (ICASSP 2017) and AudioSet.

    Args:
      labels: 1 for an event of the clip, else 0 [clips, events].
      scores: Logits or probabilities [clips, events].

    Returns:
      "map" (mean average precision, 0 to 1), "auc" (0 to 1) and "d_prime" (None for an AUC of 0 or
      1, where it is infinite); {} if no event can be scored.
    """
    count = labels.astype(bool).sum(axis=0)
    is_scored = (count > 0) & (count < len(labels))
    if not is_scored.any():
        return {}
    labels = labels[:, is_scored]
    scores = scores[:, is_scored]
    auc = float(roc_auc_score(labels, scores))
    d_prime = math.sqrt(2) * float(norm.ppf(auc))
    return {
        "map": float(average_precision_score(labels, scores)),
        "auc": auc,
        # JSON has no infinite numbers.
        "d_prime": d_prime if math.isfinite(d_prime) else None,
    }
