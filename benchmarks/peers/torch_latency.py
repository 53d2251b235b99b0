"""A clip's waveform to its answer by PyTorch, or by PyTorch's log-mel and ONNX Runtime."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from speed.task import Arrays, Task
from torch import Tensor, nn

from peers import networks, onnx_embeddings

CLASSES = 10


def create(options: Mapping[str, Any]) -> Task:
    """Returns the task; `options` as in `speed.ours.latency`, "model" and "uses_onnx"."""
    torch.set_num_threads(options["cores"])
    folder = Path(options["folder"])
    log_mel = networks.LogMel(options["scene"], folder / "scene.npy")
    network = networks.FA(options["model"], CLASSES)
    networks.load(network, str(folder / "weights.npz")).train(False)
    network.encoder.fold()
    waveform = np.load(folder / "waveform.npy")

    def front_end() -> Tensor:
        return log_mel(torch.from_numpy(waveform).T).permute(1, 2, 0).unsqueeze(0)

    logits = network
    if options["uses_onnx"]:
        logits = _onnx(network, front_end(), options)

    @torch.inference_mode()
    def compute() -> Arrays:
        return {"probabilities": logits(front_end()).softmax(-1).numpy()[0]}

    def repeat() -> int:
        compute()
        return 1

    return Task(repeat, compute)


def _onnx(
    network: nn.Module, log_mel: Tensor, options: Mapping[str, Any]
) -> Callable[[Tensor], Tensor]:
    """Returns the network as a function that ONNX Runtime computes."""
    path = Path(options["folder"]) / "fa.onnx"
    session = onnx_embeddings.session_of(network, (log_mel,), path, options)
    name = session.get_inputs()[0].name
    return lambda x: torch.from_numpy(session.run(None, {name: x.contiguous().numpy()})[0])
