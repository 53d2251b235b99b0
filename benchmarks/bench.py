r"""Measures the speed of crossask beside its peers, and writes the figures.

  python benchmarks/bench.py PEERS_PYTHON [--only=features,steps] [--short] [--clips=1000] \
      [--out=FOLDER]

PEERS_PYTHON is the Python of an environment with the packages of peers.txt; `make bench` makes it.
The figures are written into FOLDER/bench.json, in which those of other parts stay as they are, and
from it the page FOLDER/speed.md. Without --out they are benchmarks/results/bench.json and
docs/speed.md. README.md says how each number is measured.
"""

import argparse
import datetime
import importlib
import json
import logging
import sys
import tempfile
from pathlib import Path

from speed import machine, page
from speed.setup import Setup

from crossask import files
from crossask.errors import CrossaskError

LOG = logging.getLogger("bench")


def main() -> int:
    """Parses the command line, measures and writes; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("peers_python", help="Python of the peers' environment")
    parser.add_argument("--only", default="", help="parts, separated by commas; empty: all")
    parser.add_argument(
        "--short", action="store_true", help="a quick run; its figures mean nothing"
    )
    parser.add_argument("--clips", type=int, default=1000, help="most clips of the part growth")
    parser.add_argument("--out", type=Path, help="folder for bench.json and speed.md")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        _run(arguments)
    except CrossaskError as error:
        print(f"{error.problem}\n{error.fix}", file=sys.stderr)
        return 2
    return 0


def _run(arguments: argparse.Namespace) -> None:
    """Measures the parts one after the other; writes figures and page after each work."""
    if not sys.platform.startswith("linux"):
        raise CrossaskError("This is no Linux, whose cores and /proc are used.", "Use Linux.")
    names = _names(arguments.only)
    results_path = page.RESULTS
    page_path = page.PAGE
    if arguments.out is not None:
        results_path = arguments.out / "bench.json"
        page_path = arguments.out / "speed.md"
    elif arguments.short:
        raise CrossaskError(
            "The figures of a quick run are none to keep.",
            "Add --out=FOLDER (make bench OUT=FOLDER).",
        )
    for name in names:
        part = importlib.import_module(f"speed.parts.{name}")
        stored = json.loads(results_path.read_text()) if results_path.is_file() else {}
        stored[name] = {
            "figures": {},
            "date": datetime.date.today().isoformat(),
            "machine": machine.facts(),
            "versions": machine.versions(arguments.peers_python),
        }
        with tempfile.TemporaryDirectory() as scratch:
            setup = Setup(arguments.peers_python, Path(scratch), arguments.short, arguments.clips)
            for work, figures in part.measure(setup):
                stored[name]["figures"][work] = figures
                LOG.info("%s: %s", name, work)
                # After each work, so that an error in the next one loses nothing.
                with files.writing(results_path) as temporary:
                    temporary.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")
                page_path.write_text(page.as_markdown(stored), encoding="utf-8")
        LOG.info("%s", page.section(name, stored[name]))


def _names(only: str) -> list[str]:
    """Returns the parts to measure."""
    if not only:
        return list(page.PARTS)
    names = only.split(",")
    for name in names:
        if name not in page.PARTS:
            raise CrossaskError(
                f"There is no part {name!r}.", f"Use some of: {', '.join(page.PARTS)}."
            )
    return names


if __name__ == "__main__":
    sys.exit(main())
