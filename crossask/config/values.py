"""Configurations as plain values: dictionaries, digests, overrides."""

import ast
import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from crossask.config.settings import Settings, check_name, fields
from crossask.errors import ConfigError

S = TypeVar("S", bound=Settings)

WORDS = {"true": True, "false": False, "none": None}
# Quoted text that is a whole value, or a whole entry of a value in brackets. An apostrophe within a
# word does not begin one.
QUOTED = re.compile(r"""[=(\[,]\s*('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")(?=\s*(?:[,)\]]|$))""")


def to_dict(settings: Settings) -> dict[str, Any]:
    """Returns a configuration as dictionaries and lists, ready for JSON."""
    return json.loads(json.dumps(dataclasses.asdict(settings)))


def from_dict(cls: type[S], values: Mapping[str, Any]) -> S:
    """Returns the configuration `cls` with fields from `values`; missing ones have their defaults.

    Raises:
      ConfigError: An unknown name, a wrong type or a value out of range; the message says where.
    """
    arguments = {}
    for name, value in values.items():
        check_name(cls, name)
        part = _part_class(cls, name)
        if part is not None and isinstance(value, Mapping):
            value = from_dict(part, value)
        arguments[name] = value
    return cls(**arguments)


def digest(*values: Any) -> str:
    """Returns 16 hexadecimal digits that change with any field of any of `values`.

    Args:
      *values: Configurations or plain JSON values.
    """
    plain = []
    for value in values:
        plain.append(dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value)
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def override(settings: S, changes: Mapping[str, Any]) -> S:
    """Returns a copy of a configuration with some fields replaced.

    Args:
      settings: The configuration.
      changes: {"training.epochs": 3}, nested dictionaries, or both.

    Raises:
      ConfigError: An unknown name, a wrong type or a value out of range; the message says where.
    """
    cls = type(settings)
    # The fields are replaced together, so that rules between them see no state in between.
    replaced = {}
    for path, value in changes.items():
        name, _, deeper = path.partition(".")
        check_name(cls, name)
        current = replaced.get(name, getattr(settings, name))
        if deeper:
            if not isinstance(current, Settings):
                raise ConfigError(
                    f"{cls.prefix}{name} has no fields, but {deeper!r} is one of its path.",
                    f"Set {cls.prefix}{name} itself.",
                )
            value = override(current, {deeper: value})
        elif isinstance(current, Settings) and isinstance(value, Mapping):
            value = override(current, value)
        replaced[name] = value
    return dataclasses.replace(settings, **replaced)


def parse_overrides(text: str) -> dict[str, Any]:
    """Returns `training.epochs=3,model.encoder_channels=(8,16,32,64)` as {name: value}.

    A value that is not a Python literal is text; true, false and none may be lower case. Text with
    commas or brackets is given in quotes.

    Raises:
      ConfigError: A part is not name=value, a name is repeated, or brackets do not match.
    """
    changes = {}
    for part in _split(text):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise ConfigError(
                f"{part.strip()!r} in --params_override has no 'name=value'.",
                "Write --params_override=training.epochs=3.",
            )
        name = name.strip()
        if name in changes:
            raise ConfigError(f"{name} is given twice in --params_override.", "Give it once.")
        changes[name] = _literal(value.strip())
    return changes


def _part_class(cls: type[Settings], name: str) -> type[Settings] | None:
    """Returns the class of a field that is a configuration itself, else None."""
    kind = fields(cls)[name].annotation
    if isinstance(kind, type) and issubclass(kind, Settings):
        return kind
    return None


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (RecursionError, MemoryError) as error:
        raise ConfigError(
            f"{text[:40]!r}... in --params_override is nested too deeply.",
            "Write --params_override=training.epochs=3.",
        ) from error
    except (ValueError, SyntaxError):
        return WORDS.get(text.lower(), text)


def _split(text: str) -> list[str]:
    """Returns the parts of `text` between commas that are not in brackets or quotes."""
    quoted: set[int] = set()
    for match in QUOTED.finditer(text):
        quoted.update(range(*match.span(1)))
    parts = [""]
    depth = 0
    for position, character in enumerate(text):
        if position in quoted:
            parts[-1] += character
            continue
        if character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
        if depth < 0:
            break
    if depth:
        raise ConfigError(
            f"The brackets of {parts[-1].strip()!r} in --params_override do not match.",
            "Close each bracket once, and put the argument in quotes of the shell.",
        )
    return [part for part in parts if part.strip()]
