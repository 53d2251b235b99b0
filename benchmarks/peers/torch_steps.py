"""Training steps by PyTorch: the same network, loss and optimiser, float32 or bfloat16."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from speed.task import Arrays, Task
from torch import nn
from torch.nn import functional

from peers import networks

CLASSES = 10
COMPARED_STEPS = 3
# As in Keras; PyTorch's own is 1e-8.
EPSILON = 1e-7


def create(options: Mapping[str, Any]) -> Task:
    """Returns the task.

    `options` are those of `speed.ours.steps`, and "system", "model", "learning_rate" and
    "trains_events" of the row.
    """
    torch.set_num_threads(options["cores"])
    torch.manual_seed(0)
    folder = Path(options["folder"])
    network = networks.load(_network(options), str(folder / "weights.npz")).train()
    with np.load(folder / "batch.npz") as arrays:
        targets = torch.from_numpy(arrays["targets"]).long()
        kinds = ("log_mel", "embedding", "patches")
        inputs = [torch.from_numpy(arrays[kind]) for kind in kinds if kind in arrays.files]
    optimizer = torch.optim.Adam(
        network.parameters(), options["learning_rate"], eps=EPSILON, fused=True
    )
    uses_bfloat16 = options["precision"] == "mixed_bfloat16"

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=uses_bfloat16):
            logits = network(*inputs)
        loss = functional.cross_entropy(logits.float(), targets)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    def first_steps() -> Arrays:
        """Returns losses and gradient norms of the first steps without dropout; undoes them."""
        state = copy.deepcopy((network.state_dict(), optimizer.state_dict()))
        dropouts = [layer for layer in network.modules() if isinstance(layer, nn.Dropout)]
        rates = [dropout.p for dropout in dropouts]
        for dropout in dropouts:
            dropout.p = 0.0
        losses = []
        norms = []
        for _ in range(COMPARED_STEPS):
            losses.append(step())
            norms.append(_scene_norm(network))
        for dropout, rate in zip(dropouts, rates, strict=True):
            dropout.p = rate
        network.load_state_dict(state[0])
        optimizer.load_state_dict(state[1])
        return {"losses": np.array(losses), "gradient norms": np.array(norms)}

    compared = first_steps()

    def repeat() -> int:
        step()
        return 1

    return Task(repeat, lambda: compared)


def _network(options: Mapping[str, Any]) -> nn.Module:
    model = options["model"]
    if options["system"] == "FA":
        return networks.FA(model, CLASSES)
    if options["system"] == "JRM":
        return networks.JRM(model, CLASSES)
    event_model = networks.VGGish() if options["trains_events"] else None
    return networks.CMAM(model, CLASSES, event_model)


def _scene_norm(network: nn.Module) -> float:
    """Returns the length of the gradients, those of an event model left out."""
    gradients = []
    for name, parameter in network.named_parameters():
        if not name.startswith("event_model."):
            gradients.append(parameter.grad)
    return float(nn.utils.get_total_norm(gradients))
