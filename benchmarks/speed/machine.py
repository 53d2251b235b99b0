"""The machine and the versions of what was measured, and the rates that its cores reach."""

import json
import os
import platform
import subprocess
from importlib import metadata
from typing import Any

from crossask import processors

OURS = ("tensorflow-cpu", "tensorflow", "tf-keras", "numpy", "ai-edge-litert", "soxr")
PEERS = ("torch", "onnxruntime", "librosa", "soxr", "numpy")
PROGRAM = """
import json, sys
from importlib import metadata
print(json.dumps({name: metadata.version(name) for name in sys.argv[1:]}))
"""


def facts() -> dict[str, Any]:
    """Returns processor, cores, memory and Python."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(pages / 2**30, 1),
        "python": platform.python_version(),
    }


def versions(peers_python: str) -> dict[str, dict[str, str]]:
    """Returns the versions of crossask's and the peers' packages."""
    ours = {}
    for name in OURS:
        try:
            ours[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    process = subprocess.run(
        [peers_python, "-c", PROGRAM, *PEERS], check=True, stdout=subprocess.PIPE, text=True
    )
    return {"crossask": ours, "peers": json.loads(process.stdout)}


def _processor() -> str:
    """Returns the name of the processor and the instructions for half precision."""
    name = platform.processor() or platform.machine()
    if not processors.CPU_INFO.exists():
        return name
    name = processors.cpu_info("model name") or name
    flags = (processors.cpu_info("flags") or "").split()
    units = [flag for flag in ("avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    return f"{name} ({', '.join(units)})" if units else name
