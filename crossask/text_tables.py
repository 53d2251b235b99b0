"""Tables of text: CSV files and tab-separated files. Imports no TensorFlow."""

import codecs
import csv
import dataclasses
import io
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from crossask.errors import DataError

# A whole number as pandas and spreadsheets write it if other cells of its column are empty.
_WHOLE_NUMBER = re.compile(r"(?P<number>\d+)\.0+")
# A first line that names the delimiter. Excel reads it and does not show it.
_EXCELS_DELIMITER = re.compile("sep=.?", re.IGNORECASE)
_DIGITS = re.compile("([0-9]+)")
# A spreadsheet runs a cell that starts with one of these; the apostrophe marks such cells as text.
# The second four are the wide signs, which some spreadsheets of East Asia read like the first four.
FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "'")


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
        """Raises DataError with the remedy `fix` unless the table has all of `columns`."""
        for name in columns:
            if name not in self.columns:
                raise DataError(
                    f"{self.path} has no column {name!r}; its columns are {list(self.columns)}.",
                    fix,
                )

    def check_optional(self, columns: Iterable[str]) -> None:
        """Raises DataError for a column with a name of `columns` in another spelling.

        An optional column that is called "Location" would otherwise be left out without a word.
        """
        name_with = {spelling_key(name): name for name in columns}
        for column in self.columns:
            name = name_with.get(spelling_key(column), column)
            if name != column:
                raise DataError(
                    f"{self.path} has a column {column!r}, which is not read: only {name!r} is.",
                    f"Call the column {name}, or remove it.",
                )

    def line_error(self, line_number: int, problem: str, fix: str) -> DataError:
        """Returns the error for one line; `problem` is the predicate of "Line 3 of table.csv"."""
        return DataError(f"Line {line_number} of {self.path} {problem}.", fix)


def cell_of(name: str) -> str:
    """Returns a cell that a spreadsheet reads as the text `name` and not as a formula.

    A name that starts with one of FORMULA_STARTS is preceded by an apostrophe. That includes the
    apostrophe itself, so that `name_of` returns the name. Numbers stay numbers.
    """
    if not name.startswith(FORMULA_STARTS):
        return name
    try:
        float(name)
    except ValueError:
        return f"'{name}"
    return name


def name_of(cell: str) -> str:
    """Returns the name for which `cell_of` returned this cell."""
    return cell.removeprefix("'")


def read_csv(path: str | Path) -> Table:
    """Returns a CSV file with a header; see `read_csv_lines`.

    Raises:
      DataError: The file is no such CSV, two columns have one name, or a line has more cells than
        the header.
    """
    path = Path(path)
    lines = read_csv_lines(path)
    columns = lines.pop(0)[1] if lines else []
    return _table(path, columns, lines)


def read_csv_lines(path: str | Path) -> list[tuple[int, list[str]]]:
    """Returns (line number, cells) of the header and of each row of a CSV file.

    The delimiter is what the first line with text contains: a tab, else a comma, else a semicolon.
    What spreadsheets and other programs add is removed: a byte order mark, white space around
    cells, blank lines, Excel's first line "sep=;", empty columns after the last one with a name,
    and a first column without a name that numbers the rows.

    Raises:
      DataError: The file cannot be read, is not in UTF-8 or UTF-16, or a quotation mark is not
        closed.
    """
    path = Path(path)
    text = _read_text(path)
    lines = []
    # A quotation mark after "comma, space" begins a quoted cell, too. Without `strict`, one that
    # is not closed would take all further lines into its cell.
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=_delimiter(text),
        skipinitialspace=True,
        strict=True,
    )
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                lines.append((reader.line_num, stripped))
    except csv.Error as error:
        raise DataError(
            f"{path} is no CSV: {error}, in the cell that ends in line {reader.line_num}.",
            "Close each quotation mark; double those within a cell.",
        ) from error
    if lines and _EXCELS_DELIMITER.fullmatch("".join(lines[0][1])):
        del lines[0]
    columns = 0
    for number, (_, cells) in enumerate(lines):
        _remove_empty_end(cells, columns)
        if number == 0:
            columns = len(cells)
    _remove_row_numbers(lines)
    return lines


def read_tab_separated(
    path: str | Path, columns: Sequence[str] | None = None, least_cells: int = 1
) -> Table:
    """Returns a tab-separated file as the official corpora use it: without quotation marks.

    White space around cells is removed. Blank lines are ignored, and so are empty columns after
    the last one with a name. A copy that a spreadsheet saved with commas or semicolons is read as
    by `read_csv_lines`.

    Args:
      path: Path of the file.
      columns: Names of the columns of a file without a header; None reads them from the header.
      least_cells: Cells that every line must have; further cells may be missing at its end.

    Raises:
      DataError: The file is not in UTF-8 or UTF-16, two columns have one name, or a line has too
        few or too many cells.
    """
    path = Path(path)
    text = _read_text(path)
    if _delimiter(text) == "\t":
        lines = []
        # Unlike str.splitlines, this ends a line only where other programs do.
        for number, line in enumerate(io.StringIO(text, newline=None), start=1):
            if line.strip():
                lines.append((number, [cell.strip() for cell in line.split("\t")]))
    else:
        lines = read_csv_lines(path)
    if columns is None:
        columns = lines.pop(0)[1] if lines else []
        _remove_empty_end(columns, 0)
    for _, cells in lines:
        _remove_empty_end(cells, len(columns))
    table = _table(path, columns, lines)
    for number, cells in lines:
        if len(cells) < least_cells:
            raise table.line_error(
                number, f"has {len(cells)} columns", f"Give the columns {', '.join(columns)}."
            )
    return table


def file_name(cell: str, folder: str | Path) -> str:
    """Returns the name of a file in a table in one form: with slashes, and without "./".

    Tables that were written on Windows have backslashes. They remain if there is such a file. An
    accent is a character of its own in names from macOS, and in few tables: if only the other form
    is there, its name is returned.

    Args:
      cell: The cell of the table.
      folder: Folder where the name starts.
    """
    if "\\" in cell and not os.path.exists(Path(folder, cell)):
        cell = cell.replace("\\", "/")
    # Most names are in this form already, and a corpus may have hundreds of thousands.
    if cell.startswith("./") or "//" in cell or "/./" in cell:
        cell = PurePosixPath(cell).as_posix()
    if not cell.isascii() and not os.path.exists(Path(folder, cell)):
        for form in ("NFC", "NFD"):
            other = unicodedata.normalize(form, cell)
            if os.path.exists(Path(folder, other)):
                return other
    return cell


def spelling_key(name: str) -> str:
    """Returns a key that is equal for names which differ only in blanks, case or Unicode's form.

    The key of 1.0 is that of 1.
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    visible = [character for character in folded if unicodedata.category(character) != "Cf"]
    key = "".join("".join(visible).split())
    return without_fraction(key)


def natural_key(name: str) -> list[str | int]:
    """Returns a key that sorts names by the numbers in them, so that fold 10 follows fold 9."""
    # Text and numbers alternate, beginning with a text, so that all keys can be compared.
    parts: list[str | int] = []
    for position, part in enumerate(_DIGITS.split(name)):
        is_number = position % 2 == 1
        parts.append(int(part) if is_number else part)
    return parts


def without_fraction(cell: str) -> str:
    """Returns 1 for 1.0, which pandas and spreadsheets write for it; other cells as they are."""
    whole = _WHOLE_NUMBER.fullmatch(cell)
    return whole["number"] if whole else cell


def difference_of(name: str, other: str) -> str:
    """Returns in which way two names differ that have one `spelling_key`, as part of a sentence."""
    visible = []
    for each in (name, other):
        words = each.replace("_", " ").replace("-", " ").casefold().split()
        visible.append("".join(words))
    if visible[0] == visible[1]:
        return "differ only in blanks or in capital letters"
    if any(map(_WHOLE_NUMBER.fullmatch, visible)):
        return "are one number"
    return f"look alike, but have different characters: {name!a} and {other!a}"


def is_name_of_file(name: str, clip: str) -> bool:
    """Returns whether a name is that of a clip's file, with or without its suffix.

    The name of a clip that was cut from a recording starts with the recording, such as
    "park/a.wav@10.0s".
    """
    next_character = clip[len(name) : len(name) + 1]
    return clip.startswith(name) and next_character in ("", ".", "@")


def is_made_from_file(name: str, clip: str) -> bool:
    """Returns whether a name is that of a clip's file, see `is_name_of_file`, or the path's end.

    The table that is written for a folder of recordings has whole paths in place of the paths below
    the folder: "/sounds/park/a.wav" has the location "park/a".
    """
    path = clip.replace("\\", "/")
    end = path[path.rfind(f"/{name}") + 1 :]
    is_end = "/" not in end[len(name) :] and is_name_of_file(name, end)
    return is_end or is_name_of_file(name, clip)


def _read_text(path: Path) -> str:
    """Returns the text of a file in UTF-8, or in UTF-16 with a byte order mark."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}).", "Give a table that can be read."
        ) from error
    encoding = "utf-8-sig"
    # As spreadsheets save "Unicode text".
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path} is no table in UTF-8 (line {line}: {error.reason}).", "Save it as UTF-8."
        ) from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise DataError(
            f"{path} is no table in UTF-8 (line {line}: a zero byte).", "Save it as UTF-8."
        )
    return text


def _delimiter(text: str) -> str:
    """Returns the delimiter that the first line with text contains."""
    header = ""
    for line in io.StringIO(text, newline=None):
        if line.strip():
            header = line
            break
    # Spreadsheets of countries with a decimal comma write semicolons.
    for delimiter in "\t,;":
        if delimiter in header:
            return delimiter
    return ","


def _remove_row_numbers(lines: list[tuple[int, list[str]]]) -> None:
    """Removes a first column without a name that contains 0, 1, 2, ..., as pandas writes it."""
    if len(lines) < 2 or len(lines[0][1]) < 2 or lines[0][1][0]:
        return
    for number, (_, cells) in enumerate(lines[1:]):
        if not cells or cells[0] != str(number):
            return
    for _, cells in lines:
        del cells[0]


def _remove_empty_end(cells: list[str], columns: int) -> None:
    """Removes empty cells from the end of a line as long as it has more than `columns` cells."""
    while len(cells) > columns and not cells[-1]:
        cells.pop()


def _table(path: Path, columns: Sequence[str], lines: list[tuple[int, list[str]]]) -> Table:
    """Returns the table of `lines`, (line number, cells) each; raises DataError as its callers."""
    for name in columns:
        if name and columns.count(name) > 1:
            raise DataError(
                f"{path} has two columns called {name!r}.", "Remove one of them, or rename it."
            )
    rows = []
    for _, cells in lines:
        row = dict.fromkeys(columns, "")
        row.update(zip(columns, cells, strict=False))
        rows.append(row)
    line_numbers = tuple(number for number, _ in lines)
    table = Table(path, tuple(columns), tuple(rows), line_numbers)
    for number, cells in lines:
        if len(cells) > len(columns):
            # For example a file name with a comma that is not in quotation marks.
            raise table.line_error(
                number,
                f"has {len(cells)} columns, but there are {len(columns)}",
                f"Give the columns {', '.join(columns)}; put cells that contain a delimiter into "
                "quotation marks.",
            )
    return table
