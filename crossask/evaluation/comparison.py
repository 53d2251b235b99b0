"""Two rows on the same clips: the paired difference, whether it may be called real, and that of many such questions."""

import numpy as np
from scipy.stats import binomtest

from crossask.errors import DataError
from crossask.evaluation import resampling
from crossask.evaluation.views import View, aligned, check_same_clips, deviation


def compare(
    tables_a, tables_b, resamples: int = 2000, seed: int = 0, confidence: float = 0.95
) -> dict:
    """How far macro accuracy of `a` stands above that of `b` on the same clips; lists of tables over training seeds.

    A clip counts with its mean correctness over the seeds; both sides see the same drawn locations, so what makes a
    location easy for both cancels. The verdict is "better" or "worse" only where the interval excludes zero and every
    scene was heard at two locations or more; otherwise "cannot tell". The two may have different numbers of seeds.
    Interval and p-value hold the chance of the locations, not of the training: that stands beside them as each side's
    seed_deviation.

    Returns:
      difference (a - b, fractions), its interval, p_value, verdict, mcnemar, clips, locations, notes, and for each of "a"
      and "b" macro_accuracy, seed_macro_accuracies, seed_deviation. p_value is that of `resampling.p_value`, and 1 where a
      scene was heard at one location only. mcnemar is None unless both sides have one seed.

    Raises:
      DataError: the two do not hold the same clips with the same truth; it names the difference.
    """
    views_a, views_b = aligned(tables_a), aligned(tables_b)
    a, b = views_a[0], views_b[0]
    check_same_clips(a, b, "the first", "the second")
    where = a if a.location is not None else b
    both = np.stack(
        [np.mean([v.correct for v in views], axis=0) for views in (views_a, views_b)], axis=1
    )  # [clips, 2]
    cluster, unit = where.clusters()
    # truth of `a` for both: the sides may order their scenes differently, or know scenes that the other does not
    drawn = resampling.class_accuracies(both, a.truth, cluster, len(a.scenes), resamples, seed)
    present = np.bincount(a.truth, minlength=len(a.scenes)) > 0
    differences = (drawn[..., 0] - drawn[..., 1])[:, present].mean(axis=1)
    interval = resampling.interval(differences, unit, resamples, seed, confidence)
    sides = {name: _side(views) for name, views in (("a", views_a), ("b", views_b))}
    untold = bool(where.single_cluster_scenes())
    verdict = (
        "better" if interval["low"] > 0 else "worse" if interval["high"] < 0 else "cannot tell"
    )
    test = mcnemar(a, b) if len(views_a) == len(views_b) == 1 else None
    caution = "McNemar's test takes clips for independent: clips of one location are not, so its p-value is too small."
    return {
        "difference": sides["a"]["macro_accuracy"] - sides["b"]["macro_accuracy"],
        "interval": interval,
        "p_value": 1.0 if untold else resampling.p_value(differences),
        "verdict": "cannot tell" if untold else verdict,
        "mcnemar": test,
        "clips": len(a.truth),
        "locations": where.location_count(),
        **sides,
        "notes": where.notes() + ([caution] if test and where.location is not None else []),
    }


def mcnemar(a: View, b: View) -> dict:
    """McNemar's exact test (1947) of two single runs on the same clips, in the same order.

    Of the clips that one side alone has right, half are expected on either side; p is the two-sided binomial p of their
    split, 1 where there is no such clip. Differs from the interval: micro, not macro, and clips count as independent,
    so it is here because others report it and not to be relied on.

    Returns:
      only_a, only_b (clips that this side alone has right), p_value.
    """
    only_a = int(((a.correct == 1) & (b.correct == 0)).sum())
    only_b = int(((a.correct == 0) & (b.correct == 1)).sum())
    p_value = float(binomtest(only_a, only_a + only_b, 0.5).pvalue) if only_a + only_b else 1.0
    return {"only_a": only_a, "only_b": only_b, "p_value": p_value}


def holm(p_values: dict) -> dict:
    """p-values adjusted for their number, name -> p, by Holm's step-down (1979): for any dependence between them.

    The i-th smallest of m becomes the largest, over j <= i, of (m - j + 1) times the j-th smallest, at most 1. The chance
    of calling any true zero a difference is then at most the level at which the adjusted values are read.

    Raises:
      DataError: a value outside 0..1.
    """
    for name, value in p_values.items():
        if not 0 <= value <= 1:
            raise DataError(
                f"The p-value of {name!r} is {value}.",
                "Give p-values from 0 to 1, and leave out what was not tested.",
            )
    adjusted, largest = {}, 0.0
    for rank, name in enumerate(sorted(p_values, key=p_values.get)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * float(p_values[name])))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def _side(views: list[View]) -> dict:
    per_seed = [view.macro_accuracy for view in views]
    return {
        "macro_accuracy": float(np.mean(per_seed)),
        "seed_macro_accuracies": per_seed,
        "seed_deviation": deviation(per_seed),
    }
