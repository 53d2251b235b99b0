"""Tables with a line for each clip, and the files of a fold, checked against the metadata."""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

from crossask import text_tables
from crossask.errors import DataError


@dataclasses.dataclass(frozen=True)
class ClipLine:
    """A line of a table of clips.

    Attributes:
      name: Name of the clip, see `text_tables.file_name`.
      row: The cells, column -> cell.
      number: Number of the line in its file.
      origin: The place of the line in messages, for `Clip.origin`.
    """

    name: str
    row: dict[str, str]
    number: int
    origin: str


class ClipTable:
    """A checked table with the column `filename`.

    Attributes:
      table: The table.
      line_of: Its lines, name of the clip -> line.
    """

    def __init__(
        self,
        table: text_tables.Table,
        filled: Iterable[str] = (),
        folder: Path | None = None,
    ):
        """Checks a table.

        Args:
          table: The table.
          filled: Further columns in which no cell may be empty.
          folder: Folder where the names start; None is that of the table.

        Raises:
          DataError: A cell is empty, or two lines have one name.
        """
        self.table = table
        self.line_of: dict[str, ClipLine] = {}
        filled = ("filename", *filled)
        for number, row in table.numbered_rows():
            missing = [column for column in filled if not row[column]]
            if missing:
                raise table.line_error(
                    number,
                    f"has no {' and no '.join(missing)}",
                    "Complete the line, or remove it.",
                )
            name = text_tables.file_name(row["filename"], folder or table.path.parent)
            line = ClipLine(name, row, number, f"line {number} of {table.path.name}")
            first = self.line_of.setdefault(name, line)
            if first is not line:
                raise _listed_twice(table, first, line)

    def __iter__(self) -> Iterator[ClipLine]:
        """Yields the lines."""
        return iter(self.line_of.values())

    def __len__(self) -> int:
        """Returns the number of lines."""
        return len(self.line_of)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the clips."""
        return tuple(self.line_of)


def side_of_fold(table: text_tables.Table, metadata: ClipTable) -> tuple[str, ...]:
    """Returns the clips in the file of one side of a fold.

    Args:
      table: The file, with the column `filename`, and perhaps `scene_label`.
      metadata: The metadata of the corpus with both columns.

    Raises:
      DataError: The file lists no clips, a cell is empty, a clip is listed twice or is not in the
        metadata, or it has another scene there.
    """
    has_scenes = "scene_label" in table.columns
    filled = ("scene_label",) if has_scenes else ()
    # Names start in the folder of the corpus, whatever that of the fold's files is.
    side = ClipTable(table, filled, metadata.table.path.parent)
    if not len(side):
        raise DataError(
            f"{table.path} lists no clips.", "Restore the file of the published corpus."
        )
    for line in side:
        known = metadata.line_of.get(line.name)
        if known is None:
            raise table.line_error(
                line.number,
                f"lists {line.name!r}, which is not in the metadata ({metadata.table.path.name})",
                "Use metadata and folds of one release.",
            )
        if has_scenes and _scene(line) != _scene(known):
            raise table.line_error(
                line.number,
                f"has the scene {line.row['scene_label']!r} for {line.name!r}, but line "
                f"{known.number} of {metadata.table.path} has {known.row['scene_label']!r}",
                "Correct the wrong line, or use metadata and folds of one release.",
            )
    return side.names


def _scene(line: ClipLine) -> str:
    # Some files of TUT 2017 write labels with blanks, others with underscores.
    return line.row["scene_label"].replace(" ", "_")


def _listed_twice(table: text_tables.Table, first: ClipLine, second: ClipLine) -> DataError:
    """Returns the error for two lines of one clip; it shows where they differ."""
    differences = []
    for column in table.columns:
        value = first.row[column]
        other = second.row[column]
        if column != "filename" and value != other:
            differences.append(f"{column} {value!r} and {other!r}")
    contradiction = f", with {', '.join(differences)}" if differences else ""
    return DataError(
        f"Lines {first.number} and {second.number} of {table.path} list {first.name!r} "
        f"twice{contradiction}.",
        "Remove the wrong line." if differences else "Remove one of the two lines.",
    )
