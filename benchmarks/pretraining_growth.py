"""Measures the time and the memory of event pre-training on collections of several sizes.

  python benchmarks/pretraining_growth.py OUT [--clips=1000,20000] [--clip_seconds=1] [--labels=50]

Each collection is noise of its own in WAV files, with one to three random labels a clip. For each
size, crossask-pretrain runs twice in processes of its own: the first run computes the patches and
trains for one epoch, the second trains for one more epoch from the stored patches. The peak memory
is the largest resident size of the process (Linux and macOS).
"""

import argparse
import csv
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import soundfile

from crossask import files

RATE_HZ = 16000
COMMAND = [sys.executable, "-m", "crossask.cli.main", "pretrain"]


def write_collection(folder: Path, clips: int, seconds: float, labels: int) -> Path:
    """Writes noise and its labels, unless they are there, and returns the path of the CSV."""
    table = folder / "events.csv"
    if table.is_file():
        return table
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    lines = [["filename", "labels"]]
    for number in range(clips):
        name = f"{number:06d}.wav"
        noise = rng.normal(0, 0.1, round(seconds * RATE_HZ)).astype(np.float32)
        soundfile.write(folder / "audio" / name, noise, RATE_HZ)
        chosen = rng.choice(labels, rng.integers(1, 4), replace=False)
        lines.append([name, ";".join(f"event {label}" for label in chosen)])
    with open(table, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)
    return table


def measure(arguments: list[str]) -> tuple[float, float]:
    """Runs crossask-pretrain and returns its seconds and its peak memory in MiB."""
    before = time.perf_counter()
    process = subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(
            f"crossask-pretrain {' '.join(arguments)} failed. Run it alone to see why."
        )
    return time.perf_counter() - before, peak_mebibytes(usage)


def peak_mebibytes(usage: resource.struct_rusage) -> float:
    """Returns the largest resident size, which Linux counts in KiB and macOS in bytes."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return usage.ru_maxrss / unit


def main() -> None:
    """Parses the command line and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder of the collections and the results")
    parser.add_argument("--clips", default="1000,20000", help="sizes, separated by commas")
    parser.add_argument("--clip_seconds", type=float, default=1.0, help="length of a clip")
    parser.add_argument("--labels", type=int, default=50, help="number of labels")
    arguments = parser.parse_args()
    print("| clips | run | seconds | peak memory (MiB) |")
    print("| --- | --- | --- | --- |")
    sizes = [int(word) for word in arguments.clips.split(",")]
    for clips in sizes:
        folder = arguments.out / f"{clips}_of_{arguments.clip_seconds:g}s"
        table = write_collection(folder, clips, arguments.clip_seconds, arguments.labels)
        shutil.rmtree(folder / "features", ignore_errors=True)
        for number, name in enumerate(("patches and an epoch", "an epoch")):
            words = [
                f"--events={table}",
                f"--out={folder}/run{number}.npz",
                f"--features_dir={folder}/features",
                f"--clip_seconds={arguments.clip_seconds:g}",
                "--width=0.0625",
                "--epochs=1",
                "--balanced",
            ]
            # crossask-pretrain does not overwrite the weights of an earlier call.
            for path in folder.glob(f"run{number}*"):
                files.remove(path)
            seconds, mebibytes = measure(words)
            print(f"| {clips} | {name} | {seconds:.0f} | {mebibytes:.0f} |", flush=True)


if __name__ == "__main__":
    main()
