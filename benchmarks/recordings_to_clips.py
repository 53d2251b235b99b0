"""Cuts recordings into clips, and writes their table for the data set `folder`.

  python benchmarks/recordings_to_clips.py recordings.csv CLIPS_FOLDER --seconds=10 --folds=5

`recordings.csv` has the columns filename (relative to the table), scene and location. All clips of
a location are in the same fold, so that no fold trains on one part of a recording and is evaluated
on another. The locations of each scene are distributed over the folds in the order of a hash. A
scene with fewer locations than folds is missing in the evaluation part of some of them. What
remains at the end of a recording is left out, and so are recordings that are shorter than one clip;
their names are printed. The clips are WAV files with 24 bits.
"""

import argparse
import csv
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import soundfile


def folds_of_locations(recordings: Iterable[Mapping[str, str]], folds: int) -> dict[str, int]:
    """Returns the fold of each location, from 1.

    The next scene goes on with the fold after the last one, so that the folds have equal sizes.

    Args:
      recordings: Lines of the table, with scene and location.
      folds: Number of folds.
    """
    locations = {(line["scene"], line["location"]) for line in recordings}

    def key(scene_and_location: tuple[str, str]) -> tuple[str, str]:
        scene, location = scene_and_location
        return scene, hashlib.sha256(location.encode()).hexdigest()

    fold_of = {}
    for number, (_scene, location) in enumerate(sorted(locations, key=key)):
        fold_of.setdefault(location, 1 + number % folds)
    return fold_of


def cut(table: Path, out: Path, seconds: float, folds: int) -> int:
    """Writes the clips and `clips.csv` into a folder.

    Args:
      table: CSV of the recordings.
      out: Folder to write; it is created.
      seconds: Length of a clip.
      folds: Number of folds.

    Returns:
      Number of clips.
    """
    written = out / "clips.csv"
    if written.resolve() == table.resolve():
        raise SystemExit(f"{written} is the table of the recordings. Give another folder.")
    out.mkdir(parents=True, exist_ok=True)
    recordings = []
    with open(table, newline="", encoding="utf-8") as file:
        for recording in csv.DictReader(file):
            path = table.parent / recording["filename"]
            if soundfile.info(path).duration >= seconds:
                recordings.append(recording)
            else:
                print(f"{path.name} is shorter than {seconds:g} s and is left out.")
    _check_names(recordings)
    fold_of = folds_of_locations(recordings, folds)
    sources = {(table.parent / recording["filename"]).resolve() for recording in recordings}
    lines = []
    for recording in recordings:
        path = table.parent / recording["filename"]
        waveform, rate = soundfile.read(path, always_2d=True)
        length = round(seconds * rate)
        for number in range(len(waveform) // length):
            name = f"{path.stem}_{number:02d}.wav"
            if (out / name).resolve() in sources:
                raise SystemExit(f"{out / name} is a recording. Give another folder.")
            part = waveform[number * length : (number + 1) * length]
            soundfile.write(out / name, part, rate, "PCM_24")
            location = recording["location"]
            lines.append([name, recording["scene"], location, fold_of[location]])
    with open(written, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", "scene", "location", "fold"])
        writer.writerows(lines)
    return len(lines)


def _check_names(recordings: Iterable[Mapping[str, str]]) -> None:
    """Ends the program if the clips of two recordings would have the same names."""
    first_of: dict[str, str] = {}
    for recording in recordings:
        name = recording["filename"]
        first = first_of.setdefault(Path(name).stem, name)
        if first != name:
            raise SystemExit(
                f"The clips of {first} and {name} would have the same names. Rename one of them."
            )


def main() -> None:
    """Parses the command line, cuts the recordings and prints the number of clips."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path, help="CSV of the recordings")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a clip")
    parser.add_argument("--folds", type=int, default=5, help="number of folds")
    arguments = parser.parse_args()
    count = cut(arguments.table, arguments.out, arguments.seconds, arguments.folds)
    print(f"{count} clips")


if __name__ == "__main__":
    main()
