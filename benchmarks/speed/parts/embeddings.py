"""Patches of clips of 10 s to the embeddings of VGGish and of YAMNet."""

from collections.abc import Iterator
from typing import Any

from crossask.features import cache
from speed import tables
from speed.setup import Setup

UNIT = "clip"
PATCHES = {"vggish": 10, "yamnet": 20}
TOLERANCES = {"embedding": 1e-4}


def measure(setup: Setup) -> Iterator[tuple[str, Any]]:
    """Yields each work with its figures on one core and on all cores."""
    for name, patches in PATCHES.items():
        folder = setup.folder(f"embeddings_{name}")
        options = {
            "event_model": name,
            "clips": 1 if setup.short else cache.CLIPS_PER_CALL,
            "patches": patches,
            "folder": str(folder),
        }
        sides = [
            setup.ours("embeddings", options),
            setup.peer("PyTorch", "torch_embeddings", options),
            setup.peer("ONNX Runtime", "onnx_embeddings", options),
        ]
        yield f"embeddings of {name}", setup.compare(sides, TOLERANCES)


def section(figures: tables.Figures) -> str:
    """Returns the table of the figures."""
    return tables.comparisons(figures, UNIT)
