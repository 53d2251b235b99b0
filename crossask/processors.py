"""The processor of this machine: its name, and the cores that this process may use."""

import os
from pathlib import Path

# Linux only
CPU_INFO = Path("/proc/cpuinfo")


def cores() -> int:
    """Returns the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        # A container or `taskset` may allow fewer cores than the machine has.
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_info(name: str) -> str | None:
    """Returns what the first processor has under a name, such as "flags"; None if it has nothing.

    Raises:
      OSError: The system has no such file, or it cannot be read.
    """
    for line in CPU_INFO.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None
