"""Quality of the probabilities: log loss, Brier score and calibration."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from crossask.evaluation.predictions import Predictions

BINS = 15


@dataclasses.dataclass(frozen=True)
class Bin:
    """Predictions whose confidence is in one range.

    Attributes:
      low: Lower end of the range.
      high: Upper end of the range.
      clips: Number of clips; the mean over several seeds.
      confidence: Mean confidence; None without clips.
      accuracy: Share of correct predictions; None without clips.
    """

    low: float
    high: float
    clips: float
    confidence: float | None
    accuracy: float | None


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Agreement of confidence and accuracy; see `calibration`.

    Attributes:
      expected_calibration_error: Mean over seeds, 0 to 1.
      bins: The bins in ascending order, [15].
    """

    expected_calibration_error: float
    bins: tuple[Bin, ...]


def log_loss(predictions: Predictions) -> float:
    """Computes the log loss: the mean over clips of -ln(probability of the true scene).

    Probabilities below 2.2e-16 are raised to it, so that the result is finite.
    """
    clips = np.arange(len(predictions.truth))
    of_truth = predictions.probabilities[clips, predictions.truth]
    return float(-np.log(np.clip(of_truth, np.finfo(float).eps, 1)).mean())


def brier(predictions: Predictions) -> float:
    """Computes the Brier score of several classes, 0 (best) to 2 (Brier 1950).

    It is the mean over clips of sum_k (p_k - y_k)^2, where y is 1 for the true scene and 0 for the
    others. With two scenes this is twice the value that is often called the Brier score.
    """
    one_hot = np.eye(len(predictions.scenes))[predictions.truth]
    return float(((predictions.probabilities - one_hot) ** 2).sum(axis=1).mean())


def calibration(seeds: Sequence[Predictions]) -> Calibration:
    """Compares the confidence of predictions with their accuracy.

    The confidence of a prediction is the probability of its scene. It is assigned to one of 15 bins
    of equal width over 0..1, which include their upper end (the first one also its lower end).
    The expected calibration error of one seed is the sum over bins of (share of the clips) *
    |accuracy - mean confidence| (Naeini et al. 2015, Guo et al. 2017), 0 to 1. That of several
    seeds is their mean, so that overconfidence of one seed and underconfidence of another do not
    cancel.

    Args:
      seeds: Predictions of the same clips by one or more seeds.
    """
    edges = np.linspace(0, 1, BINS + 1)
    sums = np.array([_sums_by_bin(predictions, edges) for predictions in seeds])  # [seeds, bins, 3]
    confidences = sums[..., 1]
    correct_clips = sums[..., 2]
    # Accuracy and mean confidence of a bin are sums over its clips, divided by their number; the
    # weight of the bin is that number over all clips. The number cancels.
    errors = np.abs(correct_clips - confidences).sum(axis=1) / len(seeds[0].truth)  # [seeds]
    bins = []
    for number, (clips, confidence, correct) in enumerate(sums.sum(axis=0)):
        bins.append(
            Bin(
                low=float(edges[number]),
                high=float(edges[number + 1]),
                clips=int(clips) if len(seeds) == 1 else float(clips / len(seeds)),
                confidence=float(confidence / clips) if clips else None,
                accuracy=float(correct / clips) if clips else None,
            )
        )
    return Calibration(float(errors.mean()), tuple(bins))


def _sums_by_bin(predictions: Predictions, edges: np.ndarray) -> np.ndarray:
    """Returns the sums of clips, confidence and correctness [bins, 3]."""
    confidence = predictions.probabilities.max(axis=1)
    position = np.searchsorted(edges, confidence, side="left") - 1
    bin_of_clip = np.clip(position, 0, BINS - 1)
    sums = []
    for values in (np.ones_like(confidence), confidence, predictions.correct):
        sums.append(np.bincount(bin_of_clip, weights=values, minlength=BINS))
    return np.stack(sums, axis=1)
