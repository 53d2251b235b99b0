"""Products of large matrices by PyTorch."""

from collections.abc import Mapping
from typing import Any

import torch
from speed.task import Task


def create(options: Mapping[str, Any]) -> Task:
    """Returns the task; `options` has "work": "float32" or "bfloat16", and "size"."""
    torch.set_num_threads(options["cores"])
    size = options["size"]
    a = torch.randn(size, size, dtype=getattr(torch, options["work"]))

    def repeat() -> int:
        torch.matmul(a, a)
        return 1

    return Task(repeat, operations=2 * size**3)
