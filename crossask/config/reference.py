"""The reference of all fields of a row: name, default, source, description, choices and limits.

`crossask-fields` prints it, and `docs/configuration.md` is its Markdown.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from crossask.config.schema import Experiment
from crossask.config.settings import Facts, Settings, choices_of, facts_of, fields

# Shown as the default of a field that has none.
REQUIRED = "(required)"


@dataclasses.dataclass(frozen=True)
class Entry:
    """One field of a row.

    Attributes:
      path: Name with the parts it is in, "training.epochs".
      default: Default value; `REQUIRED` for a field without one.
      choices: The values that it may have where there is a list of them, else ().
      facts: Description, source and limits.
    """

    path: str
    default: Any
    choices: tuple[str, ...]
    facts: Facts


def entries(cls: type[Settings] = Experiment) -> Iterator[Entry]:
    """Yields every field of a configuration class, those of its parts too, in their order."""
    for name, field in fields(cls).items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
            yield from entries(field.annotation)
        else:
            default = REQUIRED if field.is_required() else field.get_default()
            yield Entry(f"{cls.prefix}{name}", default, choices_of(field), facts_of(field))


def open_choices() -> list[Entry]:
    """Returns the fields that the paper leaves open."""
    return [entry for entry in entries() if entry.facts.open_because]


def stated_choices() -> list[Entry]:
    """Returns the fields whose default the paper states, so that it leaves no other reading."""
    return [entry for entry in entries() if entry.facts.is_stated]


def as_text(words: Sequence[str] = ()) -> str:
    """Returns the reference for a terminal, one field a paragraph.

    Args:
      words: Only fields whose names contain all of these are included.
    """
    paragraphs = []
    for entry in entries():
        if not all(word in entry.path for word in words):
            continue
        source = entry.facts.source
        paragraphs.append(
            f"  {entry.path}={_shown(entry.default)}  ({source})\n    {_explained(entry)}"
        )
    return "\n".join(paragraphs)


def as_markdown() -> str:
    """Returns the reference as the content of docs/configuration.md."""
    lines = [
        "# Configuration",
        "",
        "Every field of a row. Set it in an experiment file, in a JSON `--config_file`, or with",
        "`--params_override=training.epochs=3,model.encoder_channels='(8,16,32,64)'`.",
        "",
        "- Source *paper*: the paper states the value (or this is how we read it), or the default",
        "  switches off something that the paper's networks do not have.",
        "- Source *ours*: the paper does not state the value.",
        "- *Limits* are the values that are allowed.",
        "- *Open* explains why the paper does not settle a choice; reports list these choices.",
        "",
        "This page is generated from `crossask/config/schema.py` by `make docs`.",
    ]
    part = None
    titles = set()
    for entry in entries():
        found = entry.path.rpartition(".")[0]
        if found != part:
            part = found
            title = part or "Row"
            if title in titles:
                # The fields of the row itself are before and after its parts.
                title += ", continued"
            titles.add(title)
            lines += ["", f"## {title}", "", _row("field", "default", "source", "meaning")]
            lines.append(_row("---", "---", "---", "---"))
        name = entry.path.rpartition(".")[2]
        default = entry.default if entry.default == REQUIRED else f"`{_shown(entry.default)}`"
        lines.append(_row(f"`{name}`", default, entry.facts.source, _explained(entry)))
    return "\n".join(lines) + "\n"


def _row(*cells: str) -> str:
    """Returns a line of a table in Markdown."""
    escaped = [cell.replace("|", r"\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"


def _shown(default: Any) -> str:
    if default == "":
        return "''"
    return str(default)


def _explained(entry: Entry) -> str:
    """Returns the description, the choices or limits, and why the choice is open."""
    parts = [entry.facts.description]
    if entry.choices:
        listed = ", ".join(choice or "(empty)" for choice in entry.choices)
        parts.append(f"One of: {listed}.")
    if entry.facts.range_text:
        parts.append(f"Limits: {entry.facts.range_text}.")
    if entry.facts.open_because:
        parts.append(f"Open: {entry.facts.open_because}")
    return " ".join(parts)
