"""Patches of clips of 10 s to the embeddings of VGGish and of YAMNet, in float32 and in bfloat16.

ONNX Runtime has no convolutions in bfloat16 for a CPU, so it always computes in float32.
"""

from collections.abc import Iterator
from typing import Any

from crossask.features import computation
from speed import tables
from speed.setup import Setup

UNIT = "clip"
PATCHES = {"vggish": 10, "yamnet": 20}
# Precision -> the largest difference of the embeddings.
TOLERANCES = {"float32": 1e-4, "mixed_bfloat16": 3e-2}


def measure(setup: Setup) -> Iterator[tuple[str, Any]]:
    """Yields each work with its figures on one core and on all cores."""
    for name, patches in PATCHES.items():
        for precision, tolerance in TOLERANCES.items():
            options = {
                "event_model": name,
                "precision": precision,
                "clips": 1 if setup.short else computation.CLIPS_PER_CALL,
                "patches": patches,
                "folder": str(setup.folder(f"embeddings_{name}_{precision}")),
            }
            sides = [
                setup.ours("embeddings", options),
                setup.peer("PyTorch", "torch_embeddings", options),
                setup.peer("ONNX Runtime", "onnx_embeddings", options),
            ]
            work = f"embeddings of {name}"
            if precision != "float32":
                work += f", {precision}"
            yield work, setup.compare(sides, {"embedding": tolerance})


def section(figures: tables.Figures) -> str:
    """Returns the table of the figures."""
    return tables.comparisons(figures, UNIT)
