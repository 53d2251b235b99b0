"""What the probabilities are worth beyond their largest: log loss, Brier score, calibration."""

import numpy as np

from crossask.evaluation.views import View

BINS = 15


def log_loss(view: View) -> float:
    """Mean over clips of minus the natural logarithm of the true scene's probability, which is held above 2.2e-16."""
    chosen = view.probabilities[np.arange(len(view.truth)), view.truth]
    return float(-np.log(np.clip(chosen, np.finfo(float).eps, 1)).mean())


def brier(view: View) -> float:
    """Brier score of several classes, 0 (best) to 2: mean over clips of sum_k (p_k - y_k)^2 (Brier 1950).

    y is 1 for the true scene and 0 elsewhere. Of two scenes this is twice what is often called the Brier score.
    """
    wanted = np.eye(len(view.scenes))[view.truth]
    return float(((view.probabilities - wanted) ** 2).sum(axis=1).mean())


def calibration(views: list[View]) -> dict:
    """Whether the prediction's probability is as large as it is often right; views over seeds of the same clips.

    A clip's confidence is the probability of its predicted scene. Fifteen bins of equal width cut 0..1; each holds its
    upper edge, the first its lower too. The expected calibration error of one seed is the sum over bins of (share of the
    clips) * |mean correctness - mean confidence| (Naeini et al. 2015, Guo et al. 2017), 0 to 1; of several seeds it is the
    mean, so that one seed's overconfidence does not cancel another's caution.

    Returns:
      expected_calibration_error; bins, each with its edges low and high, its clips (a mean over seeds), and their mean
      confidence and accuracy over all seeds, None where no clip fell into it.
    """
    edges = np.linspace(0, 1, BINS + 1)
    totals = np.array([_totals(view, edges) for view in views])  # [seeds, bins, 3]
    error = np.abs(totals[..., 2] - totals[..., 1]).sum(axis=1) / len(views[0].truth)  # [seeds]
    bins = []
    for index, (clips, confidence, correct) in enumerate(totals.sum(axis=0)):
        bins.append(
            {
                "low": float(edges[index]),
                "high": float(edges[index + 1]),
                "clips": int(clips) if len(views) == 1 else float(clips / len(views)),
                "confidence": float(confidence / clips) if clips else None,
                "accuracy": float(correct / clips) if clips else None,
            }
        )
    return {"expected_calibration_error": float(error.mean()), "bins": bins}


def _totals(view: View, edges) -> np.ndarray:
    """Clips, their confidence and their correctness, summed by bin [bins, 3]."""
    confidence = view.probabilities.max(axis=1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, BINS - 1)
    sums = [
        np.bincount(place, weights=values, minlength=BINS)
        for values in (np.ones_like(confidence), confidence, view.correct)
    ]
    return np.stack(sums, axis=1)
