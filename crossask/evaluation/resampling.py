"""The bootstrap by location: class accuracies under resampling, their percentile intervals, a two-sided p-value.

Clips of one location resemble one another, so locations are drawn, not clips, and within each scene, so that no scene
vanishes. Of n locations n - 1 are drawn (Rao and Wu 1988): drawing n would make the variance too small by (n - 1) / n,
which is a third where a scene has three locations.

How far both can be trusted, counted on 20,000 corpora from the population of tests/evaluation/test_coverage.py (6 to 14 clips
a location, locations mostly very easy or very hard; 2,000 resamples). Shares in %, of the p-value among 10,000:

  scenes x locations | 95 % interval of macro accuracy | of the paired difference | p < 0.05 where there is none
  10 x 12            | 94.4                            | 95.0                     | 4.8
  10 x 5             | 94.4                            | 94.6                     | 5.5
  10 x 3             | 93.8                            | 93.5                     | 6.4
  3 x 12             | 94.1                            | 94.3                     | 5.9
  3 x 5              | 92.8                            | 92.2                     | 8.0

So with few locations in all the intervals are a little short and the p-value a little small: percentiles make no allowance
for a variance that is itself estimated. The locations of the population are independent: where those of one
city resemble one another, the interval speaks of these cities only.
"""

import numpy as np


def class_accuracies(values, truth, cluster, scenes: int, resamples: int, seed: int) -> np.ndarray:
    """Class accuracies under resampling, [resamples, scenes, k], from values [clips, k]; NaN for a scene without clips.

    Per scene, sums and counts by cluster come first; one draw is then a row of multinomial weights, all draws one product.
    """
    rng = np.random.default_rng(seed)
    out = np.full((resamples, scenes, values.shape[1]), np.nan)
    for scene in range(scenes):
        at = truth == scene
        if not at.any():
            continue
        names, inverse = np.unique(cluster[at], return_inverse=True)
        counts = np.bincount(inverse).astype(float)
        sums = np.stack([np.bincount(inverse, weights=column) for column in values[at].T], axis=1)
        weights = rng.multinomial(
            max(len(names) - 1, 1), np.full(len(names), 1 / len(names)), size=resamples
        ).astype(float)
        out[:, scene] = (weights @ sums) / (weights @ counts)[:, None]
    return out


def percentiles(draws, confidence: float) -> list[float]:
    """[low, high] of draws [resamples]."""
    tail = 50 * (1 - confidence)
    return [float(value) for value in np.percentile(draws, [tail, 100 - tail])]


def interval(draws, unit: str, resamples: int, seed: int, confidence: float) -> dict:
    """The percentile interval of draws [resamples], with all that it takes to repeat it."""
    low, high = percentiles(draws, confidence)
    how = f"percentile bootstrap; {unit}s drawn with replacement within each scene, one fewer than there are"
    found = {"low": low, "high": high, "confidence": confidence, "over": unit, "method": how}
    return {**found, "resamples": resamples, "resampling_seed": seed}


def p_value(draws) -> float:
    """Two-sided p of "the difference is zero", from draws [resamples] of the difference.

    p = min(1, 2 * min(1 + #(draws <= 0), 1 + #(draws >= 0)) / (1 + resamples)): twice the smaller tail beyond zero, the
    observed difference counting as one more draw on either side (Davison and Hinkley 1997, Section 4.2), so never zero; a
    draw of exactly zero counts for both tails. It is the percentile interval read the other way: p is below 0.05 about
    where the 95 % interval excludes zero. The smallest that it can be is 2 / (1 + resamples).
    """
    draws = np.asarray(draws)
    smaller = 1 + min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    return float(min(1.0, 2 * smaller / (1 + len(draws))))
