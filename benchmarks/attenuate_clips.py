"""Copies a corpus at the levels of TAU Urban Acoustic Scenes 2019.

  python benchmarks/attenuate_clips.py CLIPS/clips.csv QUIET_CLIPS

Ten real clips of TAU 2019 lie between -57 and -38 dBFS. Each clip of the table is scaled to a level
that is drawn between `--lowest` and `--highest`, dithered with triangular noise of one step and
written with 24 bits, as a quiet recording would be. The level is a function of the file's name. The
new table `clips.csv` has the columns of the old one.
"""

import argparse
import csv
import hashlib
from pathlib import Path

import numpy as np
import soundfile

STEP = 2.0**-23


def attenuated(waveform: np.ndarray, level_dbfs: float, rng: np.random.Generator) -> np.ndarray:
    """Returns a waveform at another level, with dither for 24 bits.

    Args:
      waveform: Waveform [samples, channels].
      level_dbfs: Level of the result, 20 log10 of the standard deviation of its mean channel.
      rng: Generator of the dither.
    """
    deviation = np.std(waveform.mean(axis=1))
    gain = 10 ** (level_dbfs / 20) / max(deviation, STEP)
    dither = rng.triangular(-STEP, 0, STEP, waveform.shape)
    return waveform * gain + dither


def write_corpus(table: Path, out: Path, lowest: float, highest: float) -> None:
    """Writes the clips and their table into a folder.

    Args:
      table: CSV of the clips; its column filename is relative to it.
      out: Folder to write; it is created.
      lowest: Lowest level in dBFS.
      highest: Highest level in dBFS.
    """
    out.mkdir(parents=True, exist_ok=True)
    with open(table, newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    for line in lines:
        _check_target(table, out, line["filename"])
    for line in lines:
        name = line["filename"]
        digest = hashlib.sha256(name.encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        level = rng.uniform(lowest, highest)
        waveform, rate = soundfile.read(table.parent / name, always_2d=True)
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(out / name, attenuated(waveform, level, rng), rate, "PCM_24")
    with open(out / "clips.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, lines[0])
        writer.writeheader()
        writer.writerows(lines)


def _check_target(table: Path, out: Path, name: str) -> None:
    """Ends the program if the copy of a recording would replace a recording."""
    target = (out / name).resolve()
    if out.resolve() not in target.parents:
        # An absolute name, or one that begins with "..".
        raise SystemExit(f"{target} is not below {out}. Give names relative to the table's folder.")
    if target == (table.parent / name).resolve():
        raise SystemExit(f"The copy would replace {target}. Give another folder.")


def main() -> None:
    """Parses the command line and writes the corpus."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path, help="CSV of the clips")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--lowest", type=float, default=-57.0, help="lowest level in dBFS")
    parser.add_argument("--highest", type=float, default=-41.0, help="highest level in dBFS")
    arguments = parser.parse_args()
    write_corpus(arguments.table, arguments.out, arguments.lowest, arguments.highest)


if __name__ == "__main__":
    main()
