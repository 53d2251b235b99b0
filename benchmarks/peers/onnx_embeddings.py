"""The embeddings of VGGish and YAMNet by ONNX Runtime; PyTorch writes the file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from speed.task import Arrays, Task

from peers import torch_embeddings


def create(options: Mapping[str, Any]) -> Task:
    """Returns the task; `options` as in `speed.ours.embeddings`."""
    folder = Path(options["folder"])
    patches = np.load(folder / "patches.npy")
    network = torch_embeddings.network_of(options["event_model"], folder)
    session = session_of(network, (torch.from_numpy(patches),), folder / "model.onnx", options)
    name = session.get_inputs()[0].name

    def compute() -> Arrays:
        return {"embedding": session.run(None, {name: patches})[0]}

    def repeat() -> int:
        compute()
        return options["clips"]

    return Task(repeat, compute)


def session_of(
    network: torch.nn.Module,
    inputs: tuple[torch.Tensor, ...],
    path: Path,
    options: Mapping[str, Any],
) -> onnxruntime.InferenceSession:
    """Writes a network as an ONNX file and returns a session on as many threads as cores."""
    torch.onnx.export(network, inputs, str(path), dynamo=False)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options["cores"]
    settings.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
