"""crossask-fields: lists the fields of a row, each with its default, source and meaning.

crossask-fields                      all fields
crossask-fields training             fields whose name contains a word
"""

import sys
from collections.abc import Sequence

from absl import flags

from crossask.cli import command
from crossask.errors import CrossaskError

FLAGS = flags.FlagValues()


def fields(_values: flags.FlagValues, words: list[str]) -> None:
    """Prints the fields whose names contain all words."""
    from crossask.config import reference

    text = reference.as_text(words)
    if not text:
        raise CrossaskError(
            f"No field contains {' and '.join(words)!r} in its name.",
            "crossask-fields without a word lists all fields.",
        )
    print(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command.run(__doc__, FLAGS, fields, argv)


if __name__ == "__main__":
    sys.exit(main())
