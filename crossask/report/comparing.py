"""Paired differences between the rows of one corpus, each computed once, and their p-values adjusted for their number."""

import dataclasses

from crossask import evaluation
from crossask.errors import DataError
from crossask.report.collecting import Row

LEVEL = 0.05  # below it an adjusted p counts
OPPOSITE = {"better": "worse", "worse": "better"}


class Comparisons:
    """Every comparison that a corpus's part of the report shows.

    Adjusted values are complete only when the last has been asked for.
    """

    def __init__(self, resamples: int):
        self.resamples = resamples
        self._pooled = {}  # row key -> one table of predictions a seed
        self._found = {}  # (row key, row key) -> evaluation.compare, or the problem in words

    def __len__(self) -> int:
        return len(self._compared())

    def pooled(self, row: Row) -> list:
        if row.key not in self._pooled:
            self._pooled[row.key] = row.pooled()
        return self._pooled[row.key]

    def between(self, first: Row, second: Row) -> tuple[dict | None, str]:
        """(evaluation.compare of the two, why there is none)."""
        pair = first.key, second.key
        if pair[::-1] in self._found:
            found = self._found[pair[::-1]]
            return (None, found) if isinstance(found, str) else (turned(found), "")
        if pair not in self._found:
            try:
                self._found[pair] = evaluation.compare(
                    self.pooled(first), self.pooled(second), self.resamples
                )
            except DataError as error:
                self._found[pair] = f"not comparable: {error.problem}"
        found = self._found[pair]
        return (None, found) if isinstance(found, str) else (found, "")

    def adjusted(self) -> dict:
        """Holm's p over all pairs compared: (row key, row key) in either order -> p."""
        once = evaluation.holm({pair: found["p_value"] for pair, found in self._compared().items()})
        return once | {pair[::-1]: p for pair, p in once.items()}

    @property
    def out_of_reach(self) -> bool:
        """Whether there are so many comparisons that none could pass: the smallest p is 2 / (1 + draws)."""
        return len(self) * 2 / (1 + self.resamples) >= LEVEL

    def _compared(self) -> dict:
        return {pair: found for pair, found in self._found.items() if not isinstance(found, str)}


def verdict(found: dict, adjusted_p: float) -> str:
    """ "better" or "worse" where the interval says so and the adjusted p does; else "cannot tell"."""
    return found["verdict"] if adjusted_p < LEVEL else "cannot tell"


def judged(compared, adjusted: dict, pair) -> tuple:
    """What was compared (dataclasses with found, adjusted_p, verdict), with its adjusted p and the verdict that this leaves.

    `pair`: what was compared -> the two row keys.
    """
    out = []
    for one in compared:
        if one.found:
            p = adjusted[pair(one)]
            one = dataclasses.replace(one, adjusted_p=p, verdict=verdict(one.found, p))
        out.append(one)
    return tuple(out)


def turned(found: dict) -> dict:
    """The comparison of b with a from that of a with b."""
    interval = found["interval"]
    test = found["mcnemar"]
    return found | {
        "difference": -found["difference"],
        "interval": interval | {"low": -interval["high"], "high": -interval["low"]},
        "verdict": OPPOSITE.get(found["verdict"], found["verdict"]),
        "mcnemar": test and test | {"only_a": test["only_b"], "only_b": test["only_a"]},
        "a": found["b"],
        "b": found["a"],
    }
