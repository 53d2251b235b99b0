"""Loads the page with hour-long and short sounds at once, and checks each prediction.

  python benchmarks/page_load.py [--model=MODEL] [--requests=1000] [--visitors=4] [--minutes=60]

The page runs in a process of its own. Four visitors send sounds of an hour all the time, the others
short sounds, one after the other. The prediction of each sound differs from those of the others and
is computed before, by `crossask.load`. The script prints the times of the short requests, the wrong
predictions, and the memory of the server over time. The memory is read from /proc, so this needs
Linux.
"""

import argparse
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile
from gradio_client import Client, handle_file

import crossask

RATE_HZ = 16000
# Seconds of the short sounds, which are all of one window.
SHORT_SECONDS = (1.5, 3.0, 6.0, 10.0)
SOUNDS = 40
LONG_VISITORS = 4
# Largest difference of a probability from that of crossask.load.
TOLERANCE = 1e-4
MEBIBYTE = 2**20


@dataclasses.dataclass
class Outcomes:
    """What was measured, and what was wrong.

    Attributes:
      short_seconds: Time of each request with a short sound.
      long_seconds: Time of each request with a sound of an hour.
      problems: A line for each request that failed or had a wrong probability.
      memory: Memory of the server in MiB, once a second.
    """

    short_seconds: list[float] = dataclasses.field(default_factory=list)
    long_seconds: list[float] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)
    memory: list[float] = dataclasses.field(default_factory=list)


def write_sound(path: Path, seed: int, seconds: float) -> Path:
    """Writes noise whose colour and level vary with the seed, so that the predictions do, too."""
    rng = np.random.default_rng(seed)
    level = rng.uniform(0.02, 0.2)
    share = rng.uniform(0, 0.95)
    with soundfile.SoundFile(path, "w", RATE_HZ, 1, "PCM_16") as file:
        remaining = round(seconds * RATE_HZ)
        while remaining:
            samples = min(remaining, 60 * RATE_HZ)
            noise = rng.normal(0, level, samples)
            smooth = np.convolve(noise, np.ones(32) / 8, "same")
            file.write(np.clip((1 - share) * noise + share * smooth, -1, 1))
            remaining -= samples
    return path


@contextmanager
def page(model: str | None, minutes: float) -> Iterator[tuple[str, int]]:
    """Serves the page in another process; yields its address and its process."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "crossask.cli.app", f"--port={port}"]
    command += [f"--max_minutes={minutes}", "--request_timeout=3600"]
    if model:
        command.append(f"--model={model}")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        if not line.startswith("Serving"):
            sys.exit("The page has not started. Its error is above.")
        yield f"http://127.0.0.1:{port}/", process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def visitor(address: str) -> Client:
    """Returns a client of the page that waits up to an hour for a prediction."""
    return Client(address, verbose=False, httpx_kwargs={"timeout": 3600})


def request(client: Client, sound: Path, expected: dict[str, float], outcomes: Outcomes) -> float:
    """Requests the prediction of a sound, and records a failure or a wrong probability.

    Args:
      client: A client of the page.
      sound: The sound file.
      expected: Scene -> its probability.
      outcomes: Its problems are extended.

    Returns:
      Seconds that the request took.
    """
    start = time.perf_counter()
    try:
        (prediction,) = client.predict(handle_file(sound), api_name="/listen")
    except Exception as error:  # The client raises many kinds of errors.
        outcomes.problems.append(f"{sound.name}: {type(error).__name__}: {error}")
        return time.perf_counter() - start
    seconds = time.perf_counter() - start
    for scene, probability in expected.items():
        found = prediction["probabilities"][scene]
        if abs(found - probability) > TOLERANCE:
            outcomes.problems.append(f"{sound.name}: {scene} is {found}")
    return seconds


def watch_memory(process: int, outcomes: Outcomes, is_over: threading.Event) -> None:
    """Records the memory of a process once a second until `is_over` is set."""
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    while not is_over.wait(1):
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        outcomes.memory.append(pages * page_bytes / MEBIBYTE)


def main() -> int:
    """Runs the test and prints its figures; returns 1 if a request failed or was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", help="exported model; default: the starter model")
    parser.add_argument("--requests", type=int, default=1000, help="requests with short sounds")
    parser.add_argument("--visitors", type=int, default=4, help="visitors with short sounds")
    parser.add_argument("--minutes", type=float, default=60, help="length of the long sounds")
    arguments = parser.parse_args()
    outcomes = Outcomes()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        short = []
        for number in range(SOUNDS):
            seconds = SHORT_SECONDS[number % len(SHORT_SECONDS)]
            short.append(write_sound(folder / f"{number}.wav", number, seconds))
        long = write_sound(folder / "hour.wav", SOUNDS, 60 * arguments.minutes)
        model = crossask.load(arguments.model)
        expected = {path: model.predict(path).probabilities for path in [*short, long]}
        with page(arguments.model, 2 * arguments.minutes) as (address, process):
            run(address, process, (short, long), expected, arguments, outcomes)
    print_figures(outcomes)
    return 1 if outcomes.problems else 0


def run(
    address: str,
    process: int,
    sounds: tuple[list[Path], Path],
    expected: dict[Path, dict[str, float]],
    arguments: argparse.Namespace,
    outcomes: Outcomes,
) -> None:
    """Sends all requests to the page."""
    short, long = sounds
    is_over = threading.Event()
    numbers = iter(range(arguments.requests))
    lock = threading.Lock()

    def visit_with_long_sounds() -> None:
        client = visitor(address)
        while not is_over.is_set():
            outcomes.long_seconds.append(request(client, long, expected[long], outcomes))

    def visit_with_short_sounds() -> None:
        client = visitor(address)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            sound = short[number % len(short)]
            outcomes.short_seconds.append(request(client, sound, expected[sound], outcomes))

    watcher = threading.Thread(target=watch_memory, args=(process, outcomes, is_over))
    watcher.start()
    long_visitors = [threading.Thread(target=visit_with_long_sounds) for _ in range(LONG_VISITORS)]
    short_visitors = []
    for _ in range(arguments.visitors):
        short_visitors.append(threading.Thread(target=visit_with_short_sounds))
    for thread in [*long_visitors, *short_visitors]:
        thread.start()
    for thread in short_visitors:
        thread.join()
    is_over.set()
    for thread in [*long_visitors, watcher]:
        thread.join()


def print_figures(outcomes: Outcomes) -> None:
    """Prints the times, the memory and the problems."""
    seconds = np.array(outcomes.short_seconds)
    median, most = np.percentile(seconds, (50, 99))
    print(
        f"{len(seconds)} short requests: median {median:.2f} s, 99 % within {most:.2f} s, longest "
        f"{seconds.max():.2f} s, {np.sum(seconds > 3)} above 3 s"
    )
    print(
        f"{len(outcomes.long_seconds)} long requests: {np.mean(outcomes.long_seconds):.0f} s each"
    )
    memory = np.array(outcomes.memory)
    tenth = max(len(memory) // 10, 1)
    print(
        f"memory: {memory[tenth : 2 * tenth].max():.0f} MiB in the second tenth of the time, "
        f"{memory[-tenth:].max():.0f} MiB in the last, at most {memory.max():.0f} MiB"
    )
    print(f"{len(outcomes.problems)} wrong or failed")
    for problem in outcomes.problems[:10]:
        print(f"  {problem}")


if __name__ == "__main__":
    sys.exit(main())
