"""Measures the memory and the time of an exported model's graph on long recordings.

  python benchmarks/served_memory.py MODEL [--seconds=10,60,600] [--rate=48000] [--inputs=wav]

Each length is a call of the SavedModel on stereo noise, in a process of its own, with the waveform
and with the bytes of a 16-bit WAV file. The memory of a call is the peak of its process minus what
the process uses just before it, with the loaded model and the recording. It is read from /proc, so
this needs Linux. The time is that of a second call, because the first one prepares the graph.
"""

import argparse
import dataclasses
import subprocess
import sys

# Arguments: folder of the SavedModel, kind of input, length in seconds, sample rate in Hz.
CALL = """
import io, sys, time, wave
import numpy as np
import tensorflow as tf

folder = sys.argv[1]
kind = sys.argv[2]
seconds = float(sys.argv[3])
rate_hz = int(sys.argv[4])

def mebibytes(key):
    for line in open("/proc/self/status"):
        if line.startswith(key + ":"):
            return int(line.split()[1]) / 1024

def input_of(seconds):
    rng = np.random.default_rng(0)
    noise = rng.integers(-9999, 9999, (round(seconds * rate_hz), 2), np.int16)
    if kind == "waveform":
        waveform = (noise / np.float32(32768))[np.newaxis]
        return {"waveform": tf.constant(waveform), "sample_rate_hz": tf.constant(rate_hz)}
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(2)
        writer.setsampwidth(2)
        writer.setframerate(rate_hz)
        writer.writeframes(noise.tobytes())
    return {"wav_bytes": tf.constant([file.getvalue()])}

signatures = tf.saved_model.load(folder).signatures
name = "serving_default" if kind == "waveform" else "classify_wav"
if name not in signatures:
    sys.exit(f"{folder} has no signature {name}: it is of an older version. Export it again.")
function = signatures[name]
inputs = input_of(seconds)
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # Sets the peak to the present use.
before = mebibytes("VmRSS")
function(**inputs)
peak = mebibytes("VmHWM")
start = time.perf_counter()
function(**inputs)["probabilities"].numpy()
duration = time.perf_counter() - start
print(peak - before, peak, duration)
"""


@dataclasses.dataclass(frozen=True)
class Usage:
    """What one call used.

    Attributes:
      call_mebibytes: Peak memory above that of the loaded model and the recording.
      peak_mebibytes: Peak memory of the process.
      seconds: Duration.
    """

    call_mebibytes: float
    peak_mebibytes: float
    seconds: float


def measure(model_dir: str, lengths: list[float], rate_hz: int, kinds: list[str]) -> None:
    """Prints a table with the memory and the time for each kind of input and length.

    Args:
      model_dir: Folder of an exported model.
      lengths: Lengths in seconds.
      rate_hz: Sample rate of the recordings.
      kinds: "waveform" or "wav".
    """
    print("| input | seconds | memory of the call (MiB) | of the process (MiB) | time (s) |")
    print("| --- | --- | --- | --- | --- |")
    for kind in kinds:
        for length in lengths:
            usage = call(model_dir, kind, length, rate_hz)
            print(
                f"| {kind} | {length:g} | {usage.call_mebibytes:.0f} | "
                f"{usage.peak_mebibytes:.0f} | {usage.seconds:.3f} |",
                flush=True,
            )


def main() -> None:
    """Parses the command line and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="folder of an exported model")
    parser.add_argument("--seconds", default="10,60,600", help="lengths, separated by commas")
    parser.add_argument("--rate", type=int, default=48000, help="sample rate in Hz")
    parser.add_argument("--inputs", default="waveform,wav", help="waveform, wav or both")
    arguments = parser.parse_args()
    lengths = [float(word) for word in arguments.seconds.split(",")]
    measure(arguments.model, lengths, arguments.rate, arguments.inputs.split(","))


def call(model_dir: str, kind: str, seconds: float, rate_hz: int) -> Usage:
    """Calls the model on one recording in a process of its own."""
    words = [sys.executable, "-c", CALL, model_dir, kind, str(seconds), str(rate_hz)]
    process = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    numbers = [float(word) for word in process.stdout.split()]
    return Usage(*numbers)


if __name__ == "__main__":
    main()
