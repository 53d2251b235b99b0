"""Randomly damaged sound files are read, or are one error: no stack trace, no hang, little memory.

CROSSASK_FUZZED_SOUNDS is the number of files; each takes about 10 ms.
"""

import os
import resource
import signal
import sys
import zlib

import mutated_sounds
import numpy as np
import pytest

from crossask.audio import reading
from crossask.errors import AudioError

COUNT = int(os.environ.get("CROSSASK_FUZZED_SOUNDS", "4000"))
# Far more than half a second of sound needs.
MOST_SECONDS = 30
MOST_BYTES = 3 * 2**30


def read_in_every_way(path):
    """Reads a file as training, prediction and explanations do; returns how many ways refused."""
    refused = 0
    for read in (
        lambda: reading.read_audio(path)[0],
        lambda: np.concatenate(list(reading.read_blocks(path, 0.2)[0]) or [np.zeros((0, 1))]),
        lambda: reading.read_part(path, 4000, 6000),
        lambda: reading.facts_of(path),
        lambda: reading.seconds_of(path, decodes=True),
    ):
        try:
            result = read()
        except AudioError as error:
            # Both lines of the error are there.
            refused += bool(error.problem and error.fix)
            continue
        if isinstance(result, np.ndarray):
            assert np.isfinite(result).all()
            assert np.abs(result).max(initial=0) < 8
            assert result.shape[1] in (1, 2)
    return refused


def stop(*_):
    raise TimeoutError(f"Reading took more than {MOST_SECONDS} s.")


@pytest.fixture
def limits():
    """Limits the time of a file, and the memory that can be reserved."""
    if sys.platform != "linux":
        pytest.skip("The memory of a process can be limited on Linux alone.")
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_BYTES, before[1]))
    handler = signal.signal(signal.SIGALRM, stop)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, handler)
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.faults
@pytest.mark.parametrize("kind", mutated_sounds.KINDS)
def test_damaged_files_are_read_or_refused(tmp_path, kind, limits):
    whole = mutated_sounds.write(tmp_path, kind)
    assert read_in_every_way(whole) == 0
    count = -(-COUNT // len(mutated_sounds.KINDS))
    damaged = tmp_path / f"damaged{whole.suffix}"
    refused = 0
    # The same files in each run.
    seed = zlib.crc32(kind.encode())
    for number, content in enumerate(mutated_sounds.mutations(whole.read_bytes(), count, seed)):
        damaged.write_bytes(content)
        signal.alarm(MOST_SECONDS)
        try:
            refused += read_in_every_way(damaged) > 0
        except Exception as error:
            kept = whole.with_name(f"kept{number}{whole.suffix}")
            kept.write_bytes(content)
            raise AssertionError(f"{kept} is neither read nor refused") from error
    # The damage is not harmless.
    assert refused > 0
