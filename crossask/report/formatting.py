"""Text of the numbers of a report: percent, points, intervals, p-values and counts."""

import math

from crossask.evaluation import EventInScene, Interval
from crossask.evaluation.intervals import has_width
from crossask.evaluation.scores import PartScore

METRIC = "macro accuracy"
NONE = "–"


def number(value: float, sign: str = "") -> str:
    """Returns a fraction in percent with one decimal and without a unit.

    Ties are frequent with shares of a few clips; they are rounded away from zero.

    Args:
      value: The fraction.
      sign: "+" to show the sign of positive numbers, too.
    """
    return f"{100 * value + math.copysign(1e-9, value):{sign}.1f}"


def percent(value: float | None) -> str:
    """Returns a fraction in percent; a dash for None."""
    return NONE if value is None else f"{number(value)} %"


def points(value: float) -> str:
    """Returns a difference of fractions in percentage points, with a sign unless it is zero."""
    text = number(value, "+").replace("-", "−")
    return "0.0" if text in ("+0.0", "−0.0") else text


def deviation(value: float | None) -> str:
    """Returns a standard deviation of fractions in percentage points; a dash for None."""
    return NONE if value is None else number(value)


def printed(value: float | None) -> str:
    """Returns a score that is printed in percent; a dash for None."""
    return NONE if value is None else f"{value:.1f} %"


def percent_range(interval: Interval) -> str:
    """Returns an interval of fractions in percent, without a unit; a dash if it has no width."""
    if not has_width(interval.low, interval.high):
        return NONE
    return f"{number(interval.low)} to {number(interval.high)}"


def part_score(score: PartScore | None) -> str:
    """Returns the macro accuracy of a part of the clips with its interval; a dash for None."""
    if score is None:
        return NONE
    return with_range(percent(score.macro_accuracy), percent_range(score.interval))


def with_range(value: str, interval: str) -> str:
    """Returns "value (low to high)" for the texts of both; the value alone without an interval."""
    return value if interval == NONE else f"{value} ({interval})"


def effect(value: float) -> str:
    """Returns an effect with two decimals, and with a sign unless it is zero."""
    text = f"{value:+.2f}".replace("-", "−")
    return "0.00" if text in ("+0.00", "−0.00") else text


def effect_range(event: EventInScene) -> str:
    """Returns the interval of the effect of a scene on an event; a dash if it has no width."""
    if not has_width(event.effect_low, event.effect_high):
        return NONE
    return f"{effect(event.effect_low)} to {effect(event.effect_high)}"


def points_range(interval: Interval) -> str:
    """Returns an interval of a difference in percentage points; a dash if it has no width."""
    if not has_width(interval.low, interval.high):
        return NONE
    return f"{points(interval.low)} to {points(interval.high)}"


def confidence(interval: Interval) -> str:
    """Returns the confidence of an interval, "95 %"."""
    return f"{100 * interval.confidence:.0f} %"


def p_value(value: float | None) -> str:
    """Returns a p-value with three decimals, but never 0; a dash for None."""
    if value is None:
        return NONE
    return "< 0.001" if value < 0.0005 else f"{value:.3f}"


def count(value: int | None) -> str:
    """Returns an integer with thin spaces between thousands; a dash for None."""
    return NONE if value is None else f"{value:,}".replace(",", "\u202f")


def several(value: int, noun: str) -> str:
    """Returns "1 seed" or "2 seeds"."""
    return f"{value} {noun}{'' if value == 1 else 's'}"


def listed(words: list[str], conjunction: str) -> str:
    """Returns "a, b and c" with the conjunction "and"."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {conjunction} {words[-1]}"


def plain(value: object) -> str:
    """Returns the value of a field of the configuration."""
    if value is None:
        return "none"
    if value == "":
        return "(empty)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "(" + ", ".join(plain(item) for item in value) + ")"
    return str(value)


def scene(name: str) -> str:
    """Returns the name of a scene with spaces."""
    return name.replace("_", " ")
