"""JSON files of fields that people write: every mistake is reported with its line."""

import codecs
import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from crossask.errors import ConfigError

FIX = "Give a JSON object of fields, as in a run's config.json."
# The largest config.json of a run has some kilobytes.
MOST_BYTES = 10_000_000
TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:]', re.DOTALL)
# The longer marks come first: that of UTF-32 begins as that of UTF-16 does.
MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


@dataclasses.dataclass(frozen=True)
class JsonFile:
    """The object of a JSON file, with the lines of its names.

    Attributes:
      path: The file.
      content: The object.
      lines: Path of a name, "training.epochs" -> its line.
    """

    path: Path
    content: Mapping[str, Any]
    lines: Mapping[str, int]

    def values(self, name: str) -> Mapping[str, Any]:
        """Returns the object under `name`, or the whole object if it has no such name.

        Raises:
          ConfigError: The value is no object.
        """
        found = self.content.get(name, self.content)
        if not isinstance(found, dict):
            raise _no_object(f"{self.path}, line {self.lines[name]}: {name!r}", found)
        return found

    def located(self, error: ConfigError) -> ConfigError:
        """Returns an error about one of the fields, with its line in the file."""
        named = ""
        for path in self.lines:
            field = path.removeprefix("experiment.")
            is_named = re.search(rf"(?<![\w.]){re.escape(field)}(?![\w.]*\w)", error.problem)
            if is_named and len(path) > len(named):
                named = path
        place = f"{self.path}, line {self.lines[named]}" if named else str(self.path)
        return ConfigError(f"{place}: {error.problem}", error.fix)


def read(path: Path) -> JsonFile:
    """Reads a JSON file.

    Raises:
      ConfigError: The file cannot be read, is no object, or has a name twice.
    """
    text = _text(path)
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
        lines: dict[str, int] = {}
        for name, line in _names(text):
            if name in lines:
                raise ConfigError(
                    f"{path}, line {line}: {name!r} is also in line {lines[name]}.",
                    "Remove one of the two lines.",
                )
            lines[name] = line
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{path}, line {error.lineno}, column {error.colno}: {_in_words(error)}.",
            _fix_of(error),
        ) from error
    except RecursionError as error:
        raise ConfigError(f"{path} is nested too deeply.", FIX) from error
    except ValueError as error:
        # Python refuses integers of more than 4300 digits.
        raise ConfigError(f"{path} is not a readable JSON file ({error}).", FIX) from error
    if not isinstance(content, dict):
        raise _no_object(str(path), content)
    return JsonFile(path, content, lines)


def other_encoding(data: bytes) -> str:
    """Returns in words why a file is not UTF-8 or another encoding of single bytes, else "".

    Args:
      data: Content of the file, or its start.

    Returns:
      What follows "is encoded as" in a message: "UTF-16" or "UTF-32".
    """
    for mark, encoding in MARKS.items():
        if data.startswith(mark):
            return encoding
    # Editors of Windows may leave out the mark.
    if b"\0" in data:
        return "UTF-16, or is no text: it contains bytes of zero"
    return ""


def _text(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path} is not a readable JSON file ({error.strerror}).", FIX) from error
    if len(data) > MOST_BYTES:
        raise ConfigError(f"{path} is larger than {MOST_BYTES / 1e6:.0f} MB.", FIX)
    encoding = other_encoding(data)
    if encoding:
        raise ConfigError(f"{path} is encoded as {encoding}.", "Save it as UTF-8.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}, line {line}: byte {data[error.start]:#04x} is not UTF-8.", "Save it as UTF-8."
        ) from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _names(text: str) -> Iterator[tuple[str, int]]:
    """Yields the path of each name in a text that is JSON, "training.epochs", and its line."""
    above: list[str] = []
    name = ""
    last_string = ""
    line = 1
    counted = 0
    for token in TOKENS.finditer(text):
        line += text.count("\n", counted, token.start())
        counted = token.start()
        if token.group() in "{[":
            # Objects in a list have no name, and each has names of its own.
            above.append(name or f"#{token.start()}")
            name = ""
        elif token.group() in "}]":
            above.pop()
        elif token.group() == ":":
            name = json.loads(last_string)
            # The first is the whole object.
            yield ".".join([*above[1:], name]), line
            continue
        else:
            last_string = token.group()
            name = ""


def _in_words(error: json.JSONDecodeError) -> str:
    return error.msg[0].lower() + error.msg[1:]


def _fix_of(error: json.JSONDecodeError) -> str:
    """Returns what to do about the usual mistakes."""
    rest = error.doc[error.pos : error.pos + 2]
    before = error.doc[: error.pos].rstrip()
    if not error.doc.strip():
        return FIX
    if rest.startswith("'"):
        return "Write names and text in double quotes."
    if rest in ("//", "/*") or rest.startswith("#"):
        return "Remove the comment: JSON has none."
    if rest[:1] in ("}", "]") and before.endswith(","):
        return "Remove the comma before the bracket."
    if rest[:1] in ("T", "F", "N"):
        return "Write true, false and null."
    if "delimiter" in error.msg:
        return "Add what is missing before this place."
    return FIX


def _no_object(place: str, value: Any) -> ConfigError:
    kind = type(value).__name__
    return ConfigError(f"{place} contains a JSON {kind}, not a JSON object.", FIX)
