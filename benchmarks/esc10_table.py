"""Writes ESC-10's table of clips for the data set `folder`: filename, scene, location (the recording's id), fold.

  python benchmarks/esc10_table.py ESC10_FOLDER clips.csv

ESC-10 (Piczak 2015) holds one folder a class, `NNN - Name/fold-recording-take.ogg`. Takes of one recording share its id, so
intervals are clustered by it.
"""

import csv
import sys
from pathlib import Path


def main(folder: str, out: str):
    with open(out, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["filename", "scene", "category", "location", "fold"])
        for path in sorted(Path(folder).resolve().glob("*/*.ogg")):
            fold, recording, _ = path.stem.split("-")
            kind = path.parent.name.split(" - ")[1].lower().replace(" ", "_")
            table.writerow([path, kind, kind, recording, fold])


if __name__ == "__main__":
    main(*sys.argv[1:])
