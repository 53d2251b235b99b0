"""The waveform of one clip of 10 s, 48 kHz, stereo, to the probabilities of FA."""

from collections.abc import Iterator
from typing import Any

from crossask import config
from speed import rows, tables
from speed.parts import features
from speed.setup import Setup

UNIT = "clip"
TOLERANCES = {"probabilities": 1e-5}


def measure(setup: Setup) -> Iterator[tuple[str, Any]]:
    """Yields each work with its figures on one core and on all cores."""
    row = rows.options("fa", setup.short)
    options = features.peer_options() | {
        **row,
        "model": config.to_dict(rows.read(row))["model"],
        "folder": str(setup.folder("latency")),
    }
    sides = [
        setup.ours("latency", options),
        setup.peer("PyTorch", "torch_latency", options | {"uses_onnx": False}),
        setup.peer("ONNX Runtime", "torch_latency", options | {"uses_onnx": True}),
    ]
    yield "waveform to answer", setup.compare(sides, TOLERANCES)


def section(figures: tables.Figures) -> str:
    """Returns the table of the figures."""
    return tables.comparisons(figures, UNIT)
