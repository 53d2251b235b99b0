"""crossask's embeddings of patches, as `prepare` computes them: several clips a call."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from crossask import config, events
from crossask.events import yamnet
from crossask.events.layer import EventModel
from crossask.training import network_size
from speed.ours import networks
from speed.task import Arrays, Task

# Steps after which moving statistics have forgotten their start.
STATISTICS_STEPS = 30
# Shift of the normalised activations of YAMNet.
SHIFT = 1.0


def create(options: Mapping[str, Any]) -> Task:
    """Returns the task.

    It writes the weights and the patches into files, for the peers. `options` has "event_model",
    its "precision", the number of "clips" of a call, that of "patches" of a clip, and the "folder"
    for the files.
    """
    name = options["event_model"]
    settings = config.EventModelConfig(
        name=name, embedding_tap="linear", precision=options["precision"]
    )
    model = events.build(settings)
    rng = np.random.default_rng(0)
    clips = options["clips"]
    shape = (clips, options["patches"], 96, 64)
    patches = rng.normal(-2, 1, shape).astype(np.float32)
    folder = Path(options["folder"])
    if name == "vggish":
        weights = networks.vggish_weights(model)
    else:
        _shift_activations(model)
        _learn_statistics(model, patches)
        weights = networks.yamnet_weights(model, yamnet.BATCH_NORM_EPSILON)
    np.savez(folder / "weights.npz", **weights)
    np.save(folder / "patches.npy", patches.reshape(-1, 96, 64))
    compute = tf.function(model, input_signature=[tf.TensorSpec(shape, tf.float32)])
    call = compute.get_concrete_function()

    def repeat() -> int:
        call(tf.constant(patches)).numpy()
        return clips

    def outputs() -> Arrays:
        embedding = call(tf.constant(patches)).numpy()
        return {"embedding": embedding.reshape(-1, embedding.shape[-1])}

    products = network_size.multiply_accumulates(model, tf.TensorSpec(shape, tf.float32))
    return Task(repeat, outputs, operations=2 * products // clips)


def _shift_activations(model: EventModel) -> None:
    """Adds `SHIFT` to the normalised activations of all layers.

    With random weights and no shift, half of the activations are negative, and each layer increases
    the rounding errors of the layers before it: in bfloat16 to 20 % of the embeddings.
    """
    for name, variable in model.named_variables().items():
        if name.endswith("/beta"):
            variable.assign(tf.fill(variable.shape, SHIFT))


def _learn_statistics(model: EventModel, patches: np.ndarray) -> None:
    """Sets the moving statistics of batch normalisation to those of the patches.

    With the initial statistics, random weights shrink the activations to 1e-17.
    """
    model.trainable = True
    for _ in range(STATISTICS_STEPS):
        model(patches, training=True)
    model.trainable = False
