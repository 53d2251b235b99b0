"""The embeddings of VGGish and YAMNet by PyTorch, float32 or bfloat16."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from speed.task import Arrays, Task

from peers import networks

NETWORKS = {"vggish": lambda: networks.VGGish(has_relu=False), "yamnet": networks.YAMNet}


def create(options: Mapping[str, Any]) -> Task:
    """Returns the task; `options` as in `speed.ours.embeddings`, and "precision"."""
    torch.set_num_threads(options["cores"])
    folder = Path(options["folder"])
    network = network_of(options["event_model"], folder)
    patches = torch.from_numpy(np.load(folder / "patches.npy"))
    uses_bfloat16 = options.get("precision") == "mixed_bfloat16"

    @torch.inference_mode()
    @torch.autocast("cpu", torch.bfloat16, enabled=uses_bfloat16)
    def compute() -> Arrays:
        return {"embedding": network(patches).float().numpy()}

    def repeat() -> int:
        compute()
        return options["clips"]

    return Task(repeat, compute)


def network_of(name: str, folder: Path) -> torch.nn.Module:
    """Returns the network of an event model with the weights in `folder`."""
    network = networks.load(NETWORKS[name](), str(folder / "weights.npz"))
    return network.train(False)
