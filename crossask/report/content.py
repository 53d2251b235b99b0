"""The content of a report as text: what sections.py writes and renderers.py lay out."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from crossask.report import formatting
from crossask.report.formatting import NONE

VERDICTS = ("agrees", "differs", "better", "worse", "cannot tell", "one seed")
# Columns that contain words. The others contain numbers, which are aligned on the right.
WORD_COLUMNS = (
    "Choice",
    "Event",
    "The paper says",
    "Value",
    "Value here",
    "Verdict",
    "The control has",
    "Why it is open",
)


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture as a file beside the report.

    Attributes:
      file: Name of the file.
      description: What it shows, for readers who cannot see it.
      png: Content of the file.
    """

    file: str
    description: str
    png: bytes


@dataclasses.dataclass(frozen=True)
class Section:
    """A titled table with its notes and pictures; each part may be missing.

    Attributes:
      title: The heading.
      intro: Sentences before the table.
      header: Titles of the table's columns; the first one contains the names of the lines.
      lines: Lines of the table, with one cell for each column.
      shares: For a matrix, the fractions by which its cells are shaded, from the third column on.
      notes: Sentences after the table.
      pictures: Pictures after the notes.
      style: "cards" (text, one card for each line on a phone), "matrix" (shaded cells), "fields"
        (values of fields), "shared" (the same, collapsed) or "gallery" (the pictures of one row).
    """

    title: str
    intro: str = ""
    header: Sequence[str] = ()
    lines: Sequence[Sequence[str]] = ()
    shares: Sequence[Sequence[float | None]] = ()
    notes: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    style: Literal["cards", "matrix", "fields", "shared", "gallery"] = "cards"


@dataclasses.dataclass(frozen=True)
class Bar:
    """An interval to draw, in fractions."""

    low: float
    value: float
    high: float


@dataclasses.dataclass(frozen=True)
class ResultLine:
    """A line of the table of results: the numbers of one row as text.

    Attributes:
      verdict: The verdict, or why there is no difference from the baseline.
      bar: Interval of the macro accuracy.
      difference_bar: Interval of the difference; None without a difference.
      scope: What the macro accuracy describes.
    """

    title: str
    name: str
    seeds: int
    runs: str
    validation: str
    accuracy: str
    interval: str
    mean_of_folds: str
    seed_deviation: str
    difference: str
    difference_interval: str
    adjusted_p: str
    verdict: str
    paper: str
    parameters: str
    trainable_parameters: str
    bar: Bar
    difference_bar: Bar | None
    scope: str
    is_baseline: bool

    @property
    def accuracy_and_interval(self) -> str:
        """Macro accuracy, with its interval in brackets."""
        return formatting.with_range(self.accuracy, self.interval)

    @property
    def difference_and_interval(self) -> str:
        """Difference from the baseline, with its interval in brackets."""
        return formatting.with_range(self.difference, self.difference_interval)


@dataclasses.dataclass(frozen=True)
class Results:
    """The table of results of one corpus.

    Attributes:
      lines: A line for each row.
      scope: The corpus, folds, clips and locations to which the scores refer.
      confidence: Confidence of the intervals, "95 %".
      drawn: What the intervals draw: "location" or "clip".
      chance: Macro accuracy of guessing.
      baseline: Title of the baseline; None without one.
      comparisons: Number of comparisons for which the p-values are adjusted.
    """

    lines: Sequence[ResultLine]
    scope: str
    confidence: str
    drawn: str
    chance: str
    baseline: str | None
    comparisons: int

    @property
    def baseline_name(self) -> str | None:
        """Name of the baseline; None without one."""
        return next((line.name for line in self.lines if line.is_baseline), None)

    def has(self, name: str) -> bool:
        """Returns whether any line has a value for the attribute `name`."""
        return any(getattr(line, name) != NONE for line in self.lines)


@dataclasses.dataclass(frozen=True)
class CorpusReport:
    """The report on one corpus; `file_ending` ends the names of its files."""

    title: str
    file_ending: str
    conclusion: str
    results: Results
    notes: Sequence[str]
    sections: Sequence[Section]


@dataclasses.dataclass(frozen=True)
class Report:
    """The content of a report.

    Attributes:
      corpora: A report on each corpus.
      errata: Errors of the paper; empty for own recordings.
      how_to_read: Terms and their explanations.
      versions: Package -> its versions in the runs.
    """

    corpora: Sequence[CorpusReport]
    errata: Sequence[str]
    how_to_read: Sequence[tuple[str, str]]
    versions: dict[str, list[str]]
