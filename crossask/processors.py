"""What Linux states about the processor of this machine."""

from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")


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
