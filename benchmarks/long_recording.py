"""Measures crossask-predict on long recordings: peak memory and speed.

  python benchmarks/long_recording.py MODEL RECORDING [--minutes=1,60]

RECORDING is repeated up to each length and written as a 16-bit WAV at its own sample rate.
"""

import argparse
import dataclasses
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

# A program that runs crossask-predict and prints its exit code, peak memory in KiB and seconds.
PREDICT = """
import resource, sys, time
from crossask.cli import predict
start = time.perf_counter()
code = predict.main(sys.argv)
print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter() - start)
"""


@dataclasses.dataclass(frozen=True)
class Usage:
    """What one call of crossask-predict used.

    Attributes:
      peak_mebibytes: Peak memory of its process.
      seconds: Duration, with the loading of the model.
    """

    peak_mebibytes: float
    seconds: float


def measure(model_dir: str, recording: str, minutes: list[int]) -> None:
    """Prints a table with peak memory and speed for each length.

    Args:
      model_dir: Folder of an exported model.
      recording: Path of a sound file.
      minutes: Lengths in minutes.
    """
    waveform, rate_hz = soundfile.read(recording, dtype="float32", always_2d=True)
    print(f"{recording}, {rate_hz} Hz, {waveform.shape[1]} channels")
    print("| minutes | peak memory (MiB) | seconds | times real time |")
    print("| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as scratch:
        for length in minutes:
            path = Path(scratch) / f"{length}.wav"
            _write_repeated(path, waveform, rate_hz, 60 * length)
            usage = _predict(model_dir, path, Path(scratch) / "out")
            speed = 60 * length / usage.seconds
            print(
                f"| {length} | {usage.peak_mebibytes:.0f} | {usage.seconds:.1f} | {speed:.0f} |",
                flush=True,
            )
            path.unlink()


def main() -> None:
    """Parses the command line and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="folder of an exported model")
    parser.add_argument("recording", help="sound file that is repeated")
    parser.add_argument("--minutes", default="1,60", help="lengths, separated by commas")
    arguments = parser.parse_args()
    minutes = [int(word) for word in arguments.minutes.split(",")]
    measure(arguments.model, arguments.recording, minutes)


def _write_repeated(path: Path, waveform: np.ndarray, rate_hz: int, seconds: int) -> None:
    """Writes `seconds` of the waveform [samples, channels], repeated as often as needed."""
    samples = seconds * rate_hz
    written = 0
    with soundfile.SoundFile(path, "w", rate_hz, waveform.shape[1], "PCM_16") as file:
        while written < samples:
            piece = waveform[: samples - written]
            file.write(piece)
            written += len(piece)


def _predict(model_dir: str, recording: Path, out: Path) -> Usage:
    flags = [f"--model={model_dir}", "--timeline", "--format=csv", f"--out={out}"]
    process = subprocess.run(
        [sys.executable, "-c", PREDICT, *flags, str(recording)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    code, kibibytes, seconds = process.stdout.split()
    if code != "0":
        sys.exit(f"crossask-predict ended with exit code {code}. Its error is above.")
    return Usage(int(kibibytes) / 1024, float(seconds))


if __name__ == "__main__":
    main()
