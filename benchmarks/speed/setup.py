"""What every part of the benchmark is given: Pythons, cores, lengths and a scratch folder."""

import dataclasses
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from speed import rounds


@dataclasses.dataclass(frozen=True)
class Setup:
    """How a part is measured.

    Attributes:
      peers_python: Python of the peers' environment.
      scratch: Folder for recordings, models and features; removed afterwards.
      short: Whether a quick run is wanted whose figures mean nothing.
      clips: Largest number of clips of the part `growth`.
    """

    peers_python: str
    scratch: Path
    short: bool = False
    clips: int = 1000

    @property
    def length(self) -> rounds.Length:
        """How long the sides of a comparison are measured."""
        return rounds.SHORT if self.short else rounds.FULL

    @property
    def cores(self) -> dict[str, tuple[int, ...]]:
        """The cores of a measurement: "one core", and "all cores" if there are several.

        A quick run has only the last of them.
        """
        one = {"one core": self.all_cores[-1:]}
        if len(self.all_cores) == 1:
            return one
        several = {"all cores": self.all_cores}
        return several if self.short else one | several

    @property
    def all_cores(self) -> tuple[int, ...]:
        """Numbers of the cores that this process may use."""
        return tuple(sorted(os.sched_getaffinity(0)))

    def folder(self, name: str) -> Path:
        """Returns a new folder in the scratch folder."""
        folder = self.scratch / name
        folder.mkdir(parents=True)
        return folder

    def ours(self, module: str, options: Mapping[str, Any], name: str = "crossask") -> rounds.Side:
        """Returns a side that this environment runs."""
        return rounds.Side(name, sys.executable, f"speed.ours.{module}", options)

    def peer(self, name: str, module: str, options: Mapping[str, Any]) -> rounds.Side:
        """Returns a side that the peers' environment runs."""
        return rounds.Side(name, self.peers_python, f"peers.{module}", options)

    def compare(
        self, sides: list[rounds.Side], tolerances: Mapping[str, float]
    ) -> dict[str, rounds.Figures]:
        """Returns the figures of `rounds.compare` on one core and on all cores."""
        found = {}
        for name, cores in self.cores.items():
            found[name] = rounds.compare(sides, tolerances, self.length, cores)
        return found
