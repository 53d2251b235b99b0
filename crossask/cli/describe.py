"""crossask-describe: parameters and multiply-accumulates of the rows of an experiment file, for one clip.

crossask-describe --experiment=experiments/dcase2019.py
"""

import sys

from absl import flags

from crossask.cli import command
from crossask.config import catalogue

FLAGS = flags.FlagValues()
command.define_experiment_flags(FLAGS, corpus=False)
flags.DEFINE_integer(
    "classes", 0, "Scenes; default: 15 for tut2017, else 10.", 0, flag_values=FLAGS
)
HEADER = (
    "row",
    "system",
    "strategy",
    "parameters",
    "trained",
    "event model",
    "trained",
    "MACs",
    "event MACs",
)


def describe(values, _rest):
    rows = command.experiments(values)
    from crossask.training import network_size

    lines = [HEADER]
    for row in rows:
        found = network_size.describe(
            row, values.classes or catalogue.dataset(row.dataset).classes or 10
        )
        sizes = [found.scene.parameters, found.scene.trained]
        sizes += [found.event.parameters, found.event.trained] if found.event else ["", ""]
        sizes += [
            found.scene.multiply_accumulates,
            found.event.multiply_accumulates if found.event else "",
        ]
        lines.append(
            (
                row.name,
                row.system,
                row.strategy,
                *[f"{size:,}" if size != "" else "-" for size in sizes],
            )
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    for line in lines:
        cells = [
            cell.ljust(width) if i < 3 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
    seconds = {f"{row.features.clip_seconds:g} s" for row in rows}
    print(
        f"MACs: multiplications of convolutions and matrix products in inference, a clip of {' or '.join(sorted(seconds))}."
    )


def main(argv=None) -> int:
    return command.run(__doc__, FLAGS, describe, argv)


if __name__ == "__main__":
    sys.exit(main())
