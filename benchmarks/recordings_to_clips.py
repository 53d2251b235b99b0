"""Cuts recordings into clips, and writes their table for the data set `folder`.

  python benchmarks/recordings_to_clips.py recordings.csv CLIPS_FOLDER --seconds=10

`recordings.csv` has the columns filename (relative to the table), scene and location. All clips of
a recording keep its location, so that no fold trains on one part of a recording and is evaluated on
another. What remains at the end of a recording is left out, and so are recordings that are shorter
than one clip; their names are printed. The clips are WAV files with 24 bits.
"""

import argparse
import csv
from pathlib import Path

import soundfile


def cut(table: Path, out: Path, seconds: float) -> int:
    """Writes the clips and `clips.csv` into a folder.

    Args:
      table: CSV of the recordings.
      out: Folder to write; it is created.
      seconds: Length of a clip.

    Returns:
      Number of clips.
    """
    out.mkdir(parents=True, exist_ok=True)
    with open(table, newline="") as file:
        recordings = list(csv.DictReader(file))
    lines = []
    for recording in recordings:
        path = table.parent / recording["filename"]
        waveform, rate = soundfile.read(path, always_2d=True)
        length = round(seconds * rate)
        count = len(waveform) // length
        if not count:
            print(f"{path.name} is shorter than {seconds:g} s and is left out.")
        for number in range(count):
            name = f"{path.stem}_{number:02d}.wav"
            part = waveform[number * length : (number + 1) * length]
            soundfile.write(out / name, part, rate, "PCM_24")
            lines.append([name, recording["scene"], recording["location"]])
    with open(out / "clips.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", "scene", "location"])
        writer.writerows(lines)
    return len(lines)


def main() -> None:
    """Parses the command line, cuts the recordings and prints the number of clips."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path, help="CSV of the recordings")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a clip")
    arguments = parser.parse_args()
    count = cut(arguments.table, arguments.out, arguments.seconds)
    print(f"{count} clips")


if __name__ == "__main__":
    main()
