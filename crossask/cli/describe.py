"""crossask-describe: prints the size of rows (parameters, multiply-accumulates) or their fields.

crossask-describe --experiment=experiments/dcase2019.py
crossask-describe --fields
"""

import sys
from collections.abc import Sequence

from absl import flags

from crossask.cli import command, shared_flags
from crossask.config import catalogue

FLAGS = flags.FlagValues()
shared_flags.define_experiment_flags(FLAGS, corpus=False)
flags.DEFINE_integer(
    "classes",
    0,
    "Number of scenes; 0: the number in the row's data set, or 10 if that is not known.",
    0,
    flag_values=FLAGS,
)
flags.DEFINE_bool(
    "fields",
    False,
    "Print all fields of a row instead of sizes, each with its default and its source.",
    flag_values=FLAGS,
)
HEADER = (
    "row",
    "system",
    "strategy",
    "parameters",
    "trainable",
    "event parameters",
    "event trainable",
    "MACs",
    "event MACs",
)
# The first columns are text, the others numbers.
TEXT_COLUMNS = 3
DEFAULT_CLASSES = 10


def describe(values: flags.FlagValues, _positional: list[str]) -> None:
    """Prints a table of the rows' sizes, or the reference of all fields."""
    if values.fields:
        # The fields are listed with their defaults, not with the values of a row.
        of_rows = ("experiment", "config_file", "params_override", "classes")
        command.refuse(values, of_rows, "--fields")
        from crossask.config import reference

        print(reference.as_text())
        return
    rows = shared_flags.experiments(values)
    from crossask.training.network_size import row_size

    lines = [HEADER]
    for row in rows:
        classes = values.classes or catalogue.dataset(row.dataset).classes or DEFAULT_CLASSES
        size = row_size(row, classes)
        event_parameters = None
        event_trained = None
        event_macs = None
        if size.event is not None:
            event_parameters = size.event.parameters
            event_trained = size.event.trained
            event_macs = size.event.multiply_accumulates
        numbers = (
            size.scene.parameters,
            size.scene.trained,
            event_parameters,
            event_trained,
            size.scene.multiply_accumulates,
            event_macs,
        )
        cells = [_number(value) for value in numbers]
        lines.append((row.name, row.system, row.strategy, *cells))
    print(_table(lines))
    seconds = sorted({f"{row.features.clip_seconds:g} s" for row in rows})
    print(
        "MACs: multiplications of convolutions and matrix products in inference for a clip of "
        f"{' or '.join(seconds)}."
    )


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _table(lines: list[Sequence[str]]) -> str:
    """Returns lines of cells as a table with aligned columns."""
    widths = []
    for column in range(len(HEADER)):
        widths.append(max(len(line[column]) for line in lines))
    printed = []
    for line in lines:
        cells = []
        for column, cell in enumerate(line):
            is_text = column < TEXT_COLUMNS
            width = widths[column]
            cells.append(cell.ljust(width) if is_text else cell.rjust(width))
        printed.append("  ".join(cells).rstrip())
    return "\n".join(printed)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command.run(__doc__, FLAGS, describe, argv, takes_words=False)


if __name__ == "__main__":
    sys.exit(main())
