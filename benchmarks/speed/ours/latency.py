"""A clip's waveform to its answer by the SavedModel, as TensorFlow Serving would call it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from crossask.serving import graph, model_card, saved_model
from crossask.training import network, network_size
from speed import rows
from speed.ours import features, networks
from speed.task import Arrays, Task

SCENES = tuple("abcdefghij")


def create(options: Mapping[str, Any]) -> Task:
    """Returns the task.

    It writes the weights, the waveform and the mel filter bank into files, for the peers. `options`
    are those of `rows.options`, "scene" (see `parts.features`) and the "folder" for the files.
    """
    experiment = rows.read(options)
    folder = Path(options["folder"])
    tf.random.set_seed(0)
    model = network.build(experiment, SCENES, 0, {})
    shapes = network_size.row_size(experiment, len(SCENES)).shapes
    model({kind: tf.zeros([1, *shape]) for kind, shape in shapes.items()})
    np.savez(folder / "weights.npz", **networks.scene_weights(model))
    np.save(folder / "scene.npy", features.triangles(options["scene"]))

    rate_hz = experiment.features.sample_rate_hz
    samples = round(experiment.features.clip_seconds * rate_hz)
    waveform = np.random.default_rng(0).normal(0, 0.1, (samples, 2)).astype(np.float32)
    np.save(folder / "waveform.npy", waveform)

    def make(scratch: Path) -> graph.ServedModel:
        card = model_card.facts_of_row(experiment, SCENES) | {"events": []}
        path = saved_model.write_card(card, scratch)
        parts = graph.ModelParts(experiment, model, None, None, SCENES, path)
        return graph.ServedModel(parts)

    saved_model.write_model(make, experiment.features, folder / f"model{options['cores']}")
    loaded = tf.saved_model.load(str(folder / f"model{options['cores']}"))
    signature = loaded.signatures["serving_default"]

    def compute() -> Arrays:
        answer = signature(
            waveform=tf.constant(waveform[np.newaxis]), sample_rate_hz=tf.constant(rate_hz)
        )
        return {"probabilities": answer["probabilities"].numpy()[0]}

    def repeat() -> int:
        compute()
        return 1

    return Task(repeat, compute)
