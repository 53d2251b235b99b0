"""How figures are written out, and what a reader should know of them; shared by the Markdown and the page."""

import math

METRIC = "macro accuracy"

HOW_TO_READ = (
    (
        "Macro accuracy",
        "is the mean of the class-wise accuracies: every scene counts alike, however many clips it has. "
        "Chance is one in the number of scenes.",
    ),
    (
        "The interval",
        "says how far the score could move had other locations been recorded. Clips of one place resemble one another, so it "
        "draws locations (within each scene), not clips. It holds the chance of the places, not that of the training.",
    ),
    (
        "Seed deviation",
        "is that other chance: the standard deviation of the score over trainings that differ in nothing but their random numbers.",
    ),
    (
        "Against the baseline",
        "both rows are asked the same clips and see the same drawn locations. “Better” or “worse” stands only where the interval "
        "of the difference excludes zero and the adjusted p is below 0.05; “cannot tell” does not mean equal.",
    ),
    (
        "p and p adjusted",
        "p is how often chance alone would show such a difference between rows that are equal. The more comparisons a table holds, the "
        "surer one of them is to be a chance find; the adjusted p (Holm's method) makes up for their number.",
    ),
    (
        "The validation part",
        "is cut from the training fold. It chose the epoch, and it alone may choose between rows; the evaluation fold chose nothing.",
    ),
    (
        "Corpora",
        "are never mixed: scores of different corpora or folds differ by tens of points and say nothing of each other.",
    ),
)


def number(value: float, sign: str = "") -> str:
    """A fraction in per cent with one decimal and no unit; ties, which counts of clips make often, go away from zero."""
    return f"{100 * value + math.copysign(1e-9, value):{sign}.1f}"


def percent(value: float | None) -> str:
    """A fraction as per cent, one decimal; a dash where there is none."""
    return "–" if value is None else f"{number(value)} %"


def span(interval: dict) -> str:
    """An interval of fractions in per cent."""
    return f"{number(interval['low'])} to {number(interval['high'])}"


def points_span(interval: dict) -> str:
    """An interval of a difference in percentage points."""
    return f"{points(interval['low'])} to {points(interval['high'])}"


def points(value: float) -> str:
    """A difference of fractions in percentage points with its sign: a true minus, and no sign on a zero."""
    text = number(value, "+").replace("-", "−")
    return "0.0" if text in ("+0.0", "−0.0") else text


def p_value(value: float | None) -> str:
    """A p-value with three decimals; none is ever 0."""
    return "–" if value is None else "< 0.001" if value < 0.0005 else f"{value:.3f}"


def deviation(value: float | None) -> str:
    return "–" if value is None else number(value)


def count(number: int | None) -> str:
    """An integer with thin spaces between thousands."""
    return "–" if number is None else f"{number:,}".replace(",", "\u202f")


def several(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def plain(value) -> str:
    """A field of a configuration as a reader writes it."""
    if isinstance(value, list):
        return "(" + ", ".join(plain(item) for item in value) + ")"
    if value is None or value == "":
        return "none" if value is None else "(empty)"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
