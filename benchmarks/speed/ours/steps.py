"""crossask's training steps of a row of the paper on random features, as `train` computes them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from crossask import precision, training
from crossask.models.layers import MultiHeadAttention
from crossask.models.scene_model import SceneModel
from crossask.training import devices, network, network_size
from speed import rows
from speed.ours import networks
from speed.task import Arrays, Task

CLASSES = 10
COMPARED_STEPS = 3


def create(options: Mapping[str, Any]) -> Task:
    """Returns the task.

    It writes the initial weights and the batch into files, for the peers. `options` are
    those of `rows.options`, "batch", "precision" and the "folder" for the files.
    """
    experiment = rows.read(options)
    distribution = devices.make_distribution("one_device")
    devices.set_seeds(0)
    size = network_size.row_size(experiment, CLASSES)
    shapes = size.shapes
    batch = random_batch(shapes, options["batch"])
    with distribution.scope(), precision.policy(options["precision"]):
        model = network.build(experiment, [""] * CLASSES, 0, {})
        training.compile_model(model, experiment, CLASSES, shapes)
    folder = Path(options["folder"])
    np.savez(folder / "weights.npz", **networks.scene_weights(model))
    inputs, targets = batch
    np.savez(folder / "batch.npz", targets=targets, **inputs)
    elements = (inputs, targets, np.ones(len(targets), np.float32))
    batches = iter(tf.data.Dataset.from_tensors(elements).repeat())
    compared = _first_steps(model, batches)
    train = model.make_train_function(force=True)

    def repeat() -> int:
        # Reading the loss waits for the end of the step.
        train(batches)["loss"].numpy()
        return 1

    # A gradient needs two products for each product of the forward pass.
    operations = 3 * 2 * options["batch"] * size.training_cost
    return Task(repeat, lambda: compared, operations=operations)


def random_batch(shapes: Mapping[str, tuple[int, ...]], size: int) -> tuple[Arrays, np.ndarray]:
    """Returns random features and scenes of `size` clips."""
    rng = np.random.default_rng(0)
    inputs = {}
    for kind, shape in shapes.items():
        inputs[kind] = rng.normal(size=(size, *shape)).astype(np.float32)
    return inputs, rng.integers(0, CLASSES, size).astype(np.int32)


def _first_steps(model: SceneModel, batches: Iterator) -> Arrays:
    """Returns losses and gradient norms of the first steps without dropout, and undoes them.

    The random numbers of dropout are other ones in each program.
    """
    variables = (*model.variables, *model.optimizer.variables)
    starts = [variable.numpy() for variable in variables]
    blocks = [layer for layer in model.layers if isinstance(layer, MultiHeadAttention)]
    rates = [block.dropout for block in blocks]
    for block in blocks:
        block.dropout = 0.0
    train = model.make_train_function(force=True)
    losses = []
    norms = []
    for _ in range(COMPARED_STEPS):
        values = train(batches)
        # Keras returns the mean of the losses since the metrics were reset.
        model.reset_metrics()
        losses.append(float(values["loss"]))
        norms.append(float(values["gradient_norm_scene"]))
    for block, rate in zip(blocks, rates, strict=True):
        block.dropout = rate
    for variable, start in zip(variables, starts, strict=True):
        variable.assign(start)
    return {"losses": np.array(losses), "gradient norms": np.array(norms)}
