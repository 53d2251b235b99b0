"""Writes the table of ESC-10's clips for the data set `folder`.

  python benchmarks/esc10_table.py ESC10_FOLDER clips.csv

ESC-10 (Piczak 2015) has one folder for each class, with files `NNN - Name/fold-recording-take.ogg`.
The takes of one source recording share its id. The table contains this id as the location, so that
intervals resample source recordings.
"""

import argparse
import csv
from pathlib import Path


def write_table(folder: Path, out: Path) -> None:
    """Writes a CSV with the columns filename, scene, category, location and fold.

    Args:
      folder: The folder of ESC-10.
      out: The CSV to write.
    """
    with open(out, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["filename", "scene", "category", "location", "fold"])
        for path in sorted(folder.resolve().glob("*/*.ogg")):
            fold, recording, _take = path.stem.split("-")
            _number, title = path.parent.name.split(" - ")
            name = title.lower().replace(" ", "_")
            table.writerow([path, name, name, recording, fold])


def main() -> None:
    """Parses the command line and writes the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of ESC-10")
    parser.add_argument("out", type=Path, help="CSV to write")
    arguments = parser.parse_args()
    write_table(arguments.folder, arguments.out)


if __name__ == "__main__":
    main()
