"""The content of a report as text: what sections.py writes and renderers.py lay out."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Literal

from crossask.report import formatting
from crossask.report.figures import Drawing
from crossask.report.formatting import NONE

VERDICTS = ("agrees", "differs", "better", "worse", "cannot tell", "one seed")
# Columns that contain words. The others contain numbers, which are aligned on the right.
WORD_COLUMNS = (
    "Choice",
    "Event",
    "Location",
    "Predicted as",
    "The paper says",
    "True scene",
    "Value",
    "Value here",
    "Verdict",
    "The control has",
    "Why it is open",
)


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture as files beside the report.

    Attributes:
      name: Name of the files, without their endings.
      description: What it shows, for readers who cannot see it.
      drawing: Its files.
    """

    name: str
    description: str
    drawing: Drawing

    @property
    def contents(self) -> Mapping[str, bytes]:
        """Ending of each file -> its content."""
        return self.drawing.contents

    @property
    def files(self) -> dict[str, bytes]:
        """Name of each file -> its content."""
        return {f"{self.name}.{ending}": content for ending, content in self.contents.items()}


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
      sounds: Addresses of sound files relative to the report, for a player in each line; "" for a
        line without one.
      style: "text", "matrix" (shaded cells), "fields" (values of fields), "gallery" (the pictures
        of one row) or "clips" (a list of clips, of which Markdown has the title alone).
      fold: Whether the page shows the section ("no"), or its title, which can be opened ("closed")
        or closed ("open").
      is_part: Whether it belongs to the section before it. It is then not in the contents.
    """

    title: str
    intro: str = ""
    header: Sequence[str] = ()
    lines: Sequence[Sequence[str]] = ()
    shares: Sequence[Sequence[float | None]] = ()
    notes: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    sounds: Sequence[str] = ()
    style: Literal["text", "matrix", "fields", "gallery", "clips"] = "text"
    fold: Literal["no", "open", "closed"] = "no"
    is_part: bool = False


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
    """The report on one corpus.

    Attributes:
      title: Title of the corpus.
      file_ending: End of the names of its files.
      conclusion: What the results show, in a sentence or two.
      results: The table of results.
      notes: Sentences after the table.
      sections: The sections after the table.
      has_devices: Whether there is a file with the scores by device.
    """

    title: str
    file_ending: str
    conclusion: str
    results: Results
    notes: Sequence[str]
    sections: Sequence[Section]
    has_devices: bool

    @property
    def tables(self) -> dict[str, str]:
        """Name of each file with a table -> what it contains."""
        tables = {
            f"table{self.file_ending}.csv": "the table of results as CSV",
            f"table{self.file_ending}.tex": "the table of results as LaTeX",
            f"misclassified{self.file_ending}.csv": "all misclassified clips of each row",
        }
        if self.has_devices:
            tables[f"devices{self.file_ending}.csv"] = "the scores by device of each row"
        return tables


@dataclasses.dataclass(frozen=True)
class Provenance:
    """How and when a report was written; it differs between two reports on the same runs.

    Attributes:
      written: Date and time.
      command: The command that wrote it.
      version: Version and commit of the package that wrote it.
      data_dir: Folder (or CSV) of the data set whose sounds it plays; "": that on which each row
        was trained.
    """

    written: str
    command: str
    version: str
    data_dir: str = ""


@dataclasses.dataclass(frozen=True)
class Report:
    """The content of a report.

    Attributes:
      facts: How and when it was written, and how and where the runs were trained: names and values.
      corpora: A report on each corpus.
      errata: Errors of the paper; empty for own recordings.
      how_to_read: Terms and their explanations.
      versions: Package -> its versions in the runs.
    """

    facts: Sequence[tuple[str, str]]
    corpora: Sequence[CorpusReport]
    errata: Sequence[str]
    how_to_read: Sequence[tuple[str, str]]
    versions: dict[str, list[str]]

    @property
    def pictures(self) -> list[Picture]:
        """The pictures of all corpora."""
        pictures = []
        for corpus in self.corpora:
            for section in corpus.sections:
                pictures += section.pictures
        return pictures


class Slugs:
    """Makes parts of file names and anchors, each of them only once."""

    def __init__(self, *taken: str) -> None:
        """Reserves names.

        Args:
          *taken: Names that are never returned.
        """
        self._taken = set(taken)

    def of(self, text: str) -> str:
        """Returns `text` with underscores for other characters, and a number if it was taken."""
        wanted = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_") or "row"
        slug = wanted
        number = 1
        while slug in self._taken:
            number += 1
            slug = f"{wanted}_{number}"
        self._taken.add(slug)
        return slug
