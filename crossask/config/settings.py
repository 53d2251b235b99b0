"""How a field of the configuration is declared, and how a wrong value is reported.

A configuration class is a frozen pydantic dataclass that derives from `Settings`. Its fields are
declared with `paper` or `ours`, which record a description and the default's source.
"""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin

import pydantic
from pydantic.dataclasses import dataclass
from pydantic.fields import FieldInfo

from crossask.config import catalogue
from crossask.errors import ConfigError

# Values are not converted: a string is not accepted as a number, nor a boolean as an integer.
STRICT = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

LARGEST_INTEGER = 2**31 - 1
# Characters of a value in a message.
LONGEST_SHOWN = 100


def _without_sets(value: Any) -> Any:
    if isinstance(value, (set, frozenset)):
        raise ValueError("the entries of a set have no order")
    return value


# JSON has no tuples, so a list is converted to one. A set would be, too, in an order of its own.
_LISTS_TOO = pydantic.Strict(False)
_ORDERED = pydantic.BeforeValidator(_without_sets)
Integers = Annotated[tuple[int, ...], _LISTS_TOO, _ORDERED]
Names = Annotated[tuple[str, ...], _LISTS_TOO, _ORDERED]
Pair = Annotated[tuple[int, int], _LISTS_TOO, _ORDERED]
Pairs = Annotated[tuple[Pair, ...], _LISTS_TOO, _ORDERED]


def _text_of_number(value: Any) -> Any:
    return str(value) if type(value) is int else value


# A name or a number; the number is stored as text.
Label = Annotated[str, pydantic.BeforeValidator(_text_of_number)]

Source = Literal["paper", "ours"]

# Systems that a choice may concern.
_SYSTEMS = catalogue.SYSTEMS.values()
PAPER_SYSTEMS = tuple(system.name for system in _SYSTEMS if system.origin == "paper")
EVENT_SYSTEMS = tuple(system.name for system in _SYSTEMS if system.reads_events)
ENCODER_SYSTEMS = tuple(name for name in PAPER_SYSTEMS if catalogue.SYSTEMS[name].has_scene_encoder)


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a field means and where its default comes from.

    Attributes:
      description: One sentence for help texts.
      source: "paper" (the paper states the value, or this is how we read it, or the default
        switches off something that the paper's networks do not have) or "ours" (the paper does not
        state the value).
      open_because: Why the paper leaves the choice open; "" if it settles the choice, or if the
        choice does not concern the paper's networks.
      systems: The systems that the choice concerns.
      limits: Limits on the value as pydantic names them: ge, gt, le, lt.
      known: The catalogue's table whose names are the field's choices, if it is one of those.
    """

    description: str
    source: Source
    open_because: str = ""
    systems: tuple[str, ...] = PAPER_SYSTEMS
    limits: Mapping[str, float] = dataclasses.field(default_factory=dict)
    known: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def is_stated(self) -> bool:
        """Whether the paper settles the choice, so that another value is not the paper's row."""
        return self.source == "paper" and not self.open_because

    @property
    def range_text(self) -> str:
        """The limits in words, "at least 1" or "from 0 to 1"; "" without limits."""
        if set(self.limits) == {"ge", "le"}:
            return f"from {self.limits['ge']:g} to {self.limits['le']:g}"
        words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
        return ", ".join(f"{words[name]} {limit:g}" for name, limit in self.limits.items())


def paper(default: Any, description: str, **others: Any) -> Any:
    """Declares a field whose default is what the paper states, or a reading of it.

    Args:
      default: The field's default.
      description: See `Facts`.
      **others: `open_because`, `systems` and `known` of `Facts`, and limits on the value as
        pydantic names them: ge, gt, le, lt.
    """
    return _field(default, description, "paper", others)


def ours(default: Any, description: str, **others: Any) -> Any:
    """Declares a field whose default is our choice; arguments as `paper`."""
    return _field(default, description, "ours", others)


def required(description: str) -> Any:
    """Declares a field without a default."""
    return _field(..., description, "ours", {})


def part(cls: type, description: str) -> Any:
    """Declares a field whose value is another configuration, by default `cls()`."""
    return pydantic.Field(default_factory=cls, description=description)


def _field(default: Any, description: str, source: Source, others: dict[str, Any]) -> Any:
    limits = {name: others.pop(name) for name in ("ge", "gt", "le", "lt") if name in others}
    facts = Facts(description, source, limits=limits, **others)
    return pydantic.Field(
        default, description=description, json_schema_extra={"facts": facts}, **limits
    )


@dataclass(frozen=True, config=STRICT)
class Settings:
    """Base of the configuration classes: checks every value and reports the first wrong one."""

    # The path of the class in an Experiment, for example "features.log_mel."
    prefix: ClassVar[str] = ""

    @pydantic.model_validator(mode="wrap")
    @classmethod
    def _checked(cls, values: Any, handler: pydantic.ModelWrapValidatorHandler) -> Any:
        try:
            settings = handler(values)
        except pydantic.ValidationError as error:
            raise _config_error(cls, error.errors()[0]) from None
        for name, field in fields(cls).items():
            known = facts_of(field).known
            value = getattr(settings, name)
            if known and value not in known:
                raise _no_choice(f"{cls.prefix}{name}", value, tuple(known))
            _check_size(f"{cls.prefix}{name}", value)
        return settings


def fields(cls: type) -> dict[str, FieldInfo]:
    """Returns the fields of a configuration class by name, in their order."""
    return cls.__pydantic_fields__


def facts_of(field: FieldInfo) -> Facts:
    """Returns what was declared of a field; of a `part`, its description alone."""
    if field.json_schema_extra is None:
        return Facts(field.description or "", "ours")
    return field.json_schema_extra["facts"]


def choices_of(field: FieldInfo) -> tuple[str, ...]:
    """Returns the values that a field may have where there is a list of them, else ()."""
    if get_origin(field.annotation) is Literal:
        return get_args(field.annotation)
    return tuple(facts_of(field).known)


def check_name(cls: type, name: str) -> None:
    """Raises ConfigError unless `cls` has a field `name`; the message names the nearest one."""
    if name not in fields(cls):
        raise _no_field(cls, name)


def _check_size(path: str, value: Any) -> None:
    """Raises ConfigError for an integer that TensorFlow could not store in 32 bits."""
    if isinstance(value, tuple):
        for index, entry in enumerate(value):
            _check_size(f"{path}[{index}]", entry)
    elif isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        raise ConfigError(f"{path} is {_shown(value)}.", f"Give a value up to {LARGEST_INTEGER}.")


def _shown(value: Any) -> str:
    """Returns a value for a message, cut if it is long."""
    try:
        text = repr(value)
    except ValueError:
        # Python refuses to write integers of more than 4300 digits.
        return f"an integer of {value.bit_length()} bits"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def _config_error(cls: type, error: dict[str, Any]) -> ConfigError:
    """Returns the message for one error of pydantic: the field, its value and what to do."""
    value = error["input"]
    location = list(error["loc"])
    if not location:
        name = cls.prefix.removesuffix(".") or "The experiment"
        first = cls.prefix + next(iter(fields(cls)))
        return ConfigError(
            f"{name} is {_shown(value)}.",
            f"Give a {cls.__name__}, or set its fields ({first}=...).",
        )
    if isinstance(location[0], int):
        # pydantic reports the position of an argument that was passed without its name.
        location[0] = list(fields(cls))[location[0]]
    name = location[0]
    if error["type"] == "unexpected_keyword_argument":
        return _no_field(cls, name)
    if error["type"] == "missing":
        return ConfigError(f"{cls.__name__} has no {name}.", f"Give {name}=...")
    path = cls.prefix + name + "".join(f"[{index}]" for index in location[1:])
    field = fields(cls)[name]
    if error["type"] == "literal_error":
        return _no_choice(path, value, choices_of(field))
    if set(error.get("ctx", {})) & {"ge", "gt", "le", "lt"}:
        return ConfigError(
            f"{path} is {_shown(value)}.", f"Give a value {facts_of(field).range_text}."
        )
    kind = type(value).__name__
    return ConfigError(f"{path} is {_shown(value)}, a {kind}.", f"Give {_wanted(field)}.")


def _no_field(cls: type, name: str) -> ConfigError:
    known = fields(cls)
    nearest = catalogue.did_you_mean(name, known)
    return ConfigError(
        f"There is no field {cls.prefix}{name}.", f"{nearest}Fields: {', '.join(known)}."
    )


def _no_choice(path: str, value: Any, known: tuple[str, ...]) -> ConfigError:
    nearest = catalogue.did_you_mean(str(value), known)
    listed = ", ".join(repr(choice) if choice == "" else choice for choice in known)
    return ConfigError(f"{path} is {_shown(value)}.", f"{nearest}Use one of: {listed}.")


def _wanted(field: FieldInfo) -> str:
    """Returns the kind of value that a field takes, in words."""
    words = {int: "an integer", float: "a finite number", bool: "True or False", str: "text"}
    if field.annotation in words:
        return words[field.annotation]
    if field.annotation == (float | None):
        return "a finite number or None"
    return f"a value such as {field.get_default()!r}"
