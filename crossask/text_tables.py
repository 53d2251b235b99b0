"""Tables of text: CSV files and tab-separated files. Imports no TensorFlow."""

import csv
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from crossask.errors import DataError


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
      path: Path of the file.
      columns: Names of the columns.
      rows: The rows, column -> cell. A cell that is missing at the end of a line is "".
      line_numbers: Number of the line in which each row ends; the first line of the file is 1.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    line_numbers: tuple[int, ...]

    def numbered_rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Yields (line number, row) for every row."""
        return zip(self.line_numbers, self.rows, strict=True)

    def column(self, name: str) -> tuple[str, ...]:
        """Returns the cells of one column."""
        return tuple(row[name] for row in self.rows)

    def require(self, columns: Iterable[str], fix: str) -> None:
        """Raises DataError unless the table has all of `columns`.

        The remedy is `fix`; for a table with semicolons it also says that they are not read.
        """
        if len(self.columns) == 1 and ";" in self.columns[0]:
            # Spreadsheets of countries with a decimal comma write this.
            fix = f"Save it with commas or tabs between the columns, not semicolons. {fix}"
        for name in columns:
            if name not in self.columns:
                raise DataError(
                    f"{self.path} has no column {name!r}; its columns are {list(self.columns)}.",
                    fix,
                )

    def line_error(self, line_number: int, problem: str, fix: str) -> DataError:
        """Returns the error for one line; `problem` is the predicate of "Line 3 of table.csv"."""
        return DataError(f"Line {line_number} of {self.path} {problem}.", fix)


def read_csv(path: str | Path) -> Table:
    """Returns a CSV file with a header; see `read_csv_lines`.

    Cells beyond the last column are ignored.

    Raises:
      DataError: The file is no CSV in UTF-8.
    """
    path = Path(path)
    lines = read_csv_lines(path)
    columns = lines.pop(0)[1] if lines else []
    return _table(path, columns, lines)


def read_csv_lines(path: str | Path) -> list[tuple[int, list[str]]]:
    """Returns (line number, cells) of the header and of each row of a CSV file.

    The delimiter is a tab if the first line with text contains one, and a comma otherwise. What
    spreadsheets and other programs add is removed: a byte order mark, white space around cells,
    blank lines, and empty columns after the last one with a name.

    Raises:
      DataError: The file is no CSV in UTF-8.
    """
    lines = []
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            header = next((line for line in file if line.strip()), "")
            delimiter = "\t" if "\t" in header else ","
            file.seek(0)
            # A quotation mark after "comma, space" begins a quoted cell, too.
            reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
            for cells in reader:
                stripped = [cell.strip() for cell in cells]
                if any(stripped):
                    lines.append((reader.line_num, stripped))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no CSV in UTF-8 ({error}).", "Save it as such.") from error
    columns = 0
    for number, (_, cells) in enumerate(lines):
        _remove_empty_end(cells, columns)
        if number == 0:
            columns = len(cells)
    return lines


def read_tab_separated(
    path: str | Path, columns: Sequence[str] | None = None, least_cells: int = 1
) -> Table:
    """Returns a tab-separated file as the official corpora use it: without quotation marks.

    White space around cells is removed. Blank lines are ignored, and so are empty columns after
    the last one with a name.

    Args:
      path: Path of the file.
      columns: Names of the columns of a file without a header; None reads them from the header.
      least_cells: Cells that every line must have; further cells may be missing at its end.

    Raises:
      DataError: The file is not in UTF-8, or a line has too few or too many cells.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no table in UTF-8 ({error}).", "Save it as such.") from error
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            lines.append((number, [cell.strip() for cell in line.split("\t")]))
    if columns is None:
        columns = lines.pop(0)[1] if lines else []
        _remove_empty_end(columns, 0)
    table = _table(path, columns, lines)
    for number, cells in lines:
        _remove_empty_end(cells, len(columns))
        if not least_cells <= len(cells) <= len(columns):
            raise table.line_error(
                number,
                f"has {len(cells)} columns",
                f"Give the tab-separated columns {', '.join(columns)}.",
            )
    return table


def _remove_empty_end(cells: list[str], columns: int) -> None:
    """Removes empty cells from the end of a line as long as it has more than `columns` cells."""
    while len(cells) > columns and not cells[-1]:
        cells.pop()


def _table(path: Path, columns: Sequence[str], lines: list[tuple[int, list[str]]]) -> Table:
    """Returns the table of `lines`, (line number, cells) each."""
    rows = []
    for _, cells in lines:
        row = dict.fromkeys(columns, "")
        row.update(zip(columns, cells, strict=False))
        rows.append(row)
    line_numbers = tuple(number for number, _ in lines)
    return Table(path, tuple(columns), tuple(rows), line_numbers)
