"""A score of ours against a number in print that comes without an interval."""

from math import hypot, sqrt

from scipy.stats import t

from crossask.errors import DataError

# of the half-width: anything wider would agree with each of the paper's rows on TAU 2019 (65.1, 66.5, 68.8 %) and so with none
WIDEST_AGREEMENT = 0.03


def against(summary: dict, published: float, widest_agreement: float = WIDEST_AGREEMENT) -> dict:
    """Whether the score of `summary` (from `summarise` or `score`) contradicts a published macro accuracy, a fraction.

    half_width = sqrt(h^2 + (q s / sqrt(n))^2), at the interval's own confidence c: h is half the length of the interval
    over the locations; s is the deviation over n seeds and q the (1 + c) / 2 quantile of Student's t with n - 1 degrees
    of freedom. For one seed the second term is missing: the chance of training is then not counted at all. For two seeds
    q is 12.7 at 95 %, so a seed more is worth a lot.

    The verdict is
      "cannot tell" where a scene was heard at one location (or, without locations, in one clip) only;
      "differs" where the published number lies further than half_width from our score;
      "agrees" where it lies within, and half_width is at most `widest_agreement`;
      "cannot tell" where it lies within only because half_width is larger than that.
    The published number is taken as exact. It is not: had it been trained again it would differ too, so "differs" says
    that this number was not met, not that the method cannot meet it. Where it is of the very same clips, the locations'
    chance is common to both in part, and half_width is on the wide side.

    Returns:
      difference (ours - published), verdict, half_width; fractions.

    Raises:
      DataError: the published number is no fraction.
    """
    if not 0 <= published <= 1:
        raise DataError(
            f"The published score is {published}.",
            "Give it as a fraction from 0 to 1, not in percent.",
        )
    interval, seeds = summary["interval"], summary.get("seeds", 1)
    half_width = (interval["high"] - interval["low"]) / 2
    if seeds > 1:
        quantile = float(t.ppf((1 + interval["confidence"]) / 2, seeds - 1))
        half_width = hypot(half_width, quantile * summary["seed_deviation"] / sqrt(seeds))
    difference = summary["macro_accuracy"] - published
    single = any(
        (scene["clips"] if scene["locations"] is None else scene["locations"]) == 1
        for scene in summary["per_class"].values()
    )
    if single:
        verdict = "cannot tell"
    elif abs(difference) > half_width:
        verdict = "differs"
    else:
        verdict = "agrees" if half_width <= widest_agreement else "cannot tell"
    return {"difference": difference, "verdict": verdict, "half_width": half_width}
