"""crossask-predict on a minute and on an hour of sound: peak memory and how many times faster than the sound.

python benchmarks/long_recording.py MODEL RECORDING [--minutes=1,60]

RECORDING is repeated up to each length, into a 16-bit WAV at its own rate.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import soundfile

CODE = """
import resource, sys, time
from crossask.cli import predict
start = time.perf_counter()
code = predict.main(sys.argv)
print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter() - start)
"""


def main(model_dir: str, recording: str, minutes: list[int]):
    waveform, rate = soundfile.read(recording, dtype="float32", always_2d=True)
    print(
        f"{recording}, {rate} Hz, {waveform.shape[1]} channels\n| minutes | peak memory (MiB) | seconds | times real time |"
    )
    print("| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as scratch:
        for length in minutes:
            path = Path(scratch) / f"{length}.wav"
            with soundfile.SoundFile(path, "w", rate, waveform.shape[1], "PCM_16") as file:
                for _ in range(-(-length * 60 * rate // len(waveform))):
                    file.write(waveform)
                file.truncate(length * 60 * rate)
            asked = [
                f"--model={model_dir}",
                "--timeline",
                "--format=csv",
                f"--out={scratch}/out",
                str(path),
            ]
            done = subprocess.run(
                [sys.executable, "-c", CODE, *asked], check=True, stdout=subprocess.PIPE, text=True
            )
            code, memory, seconds = done.stdout.split()
            assert code == "0"
            print(
                f"| {length} | {int(memory) / 1024:.0f} | {float(seconds):.1f} | {length * 60 / float(seconds):.0f} |",
                flush=True,
            )
            path.unlink()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("recording")
    parser.add_argument("--minutes", default="1,60")
    given = parser.parse_args()
    main(given.model, given.recording, [int(word) for word in given.minutes.split(",")])
