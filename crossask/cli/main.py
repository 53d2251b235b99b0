"""crossask: runs one of the verbs of this package.

crossask VERB [FLAGS]     runs a verb; crossask-VERB is the same command
crossask VERB --help      prints the flags of a verb
crossask --version        prints the version
"""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from crossask.cli import command
from crossask.config.catalogue import did_you_mean

# Verbs in the order of their use. Each is a module of this package, whose docstring describes it.
GROUPS = {
    "Use a model": ("predict", "app"),
    "Train and compare": ("prepare", "train", "evaluate", "report", "export"),
    "Look up": ("experiments", "describe", "fields"),
    "More": ("pretrain", "launch", "completion"),
}


def verbs() -> tuple[str, ...]:
    """Returns the names of all verbs."""
    names: list[str] = []
    for group in GROUPS.values():
        names += group
    return tuple(names)


def summary(verb: str) -> str:
    """Returns what a verb does: the first sentence of its module's docstring."""
    # The module is not imported, because the list of verbs has to appear without delay.
    source = Path(__file__).with_name(f"{verb}.py")
    return command.first_line_of_docstring(source).partition(": ")[2]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a verb and returns its exit code."""
    return command.with_errors_in_two_lines(lambda: _run(argv))


def _run(argv: Sequence[str] | None) -> int:
    arguments = list(sys.argv if argv is None else argv)[1:]
    if not arguments or arguments[0] in command.HELP_FLAGS:
        print(_help())
        return 0
    if arguments[0] == command.VERSION_FLAG:
        print(command.version_line())
        return 0
    verb = arguments[0]
    if verb not in verbs():
        return command.complain(
            f"There is no verb {verb!r}.",
            f"{did_you_mean(verb, verbs())}The verbs are: {', '.join(verbs())}.",
        )
    module = importlib.import_module(f"crossask.cli.{verb}")
    return module.main([f"crossask {verb}", *arguments[1:]])


def _help() -> str:
    width = max(len(verb) for verb in verbs())
    parts = [__doc__.strip()]
    for title, group in GROUPS.items():
        lines = [f"{title}:"]
        lines += [f"  {verb.ljust(width)}  {summary(verb)}" for verb in group]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
