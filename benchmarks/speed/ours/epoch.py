"""Training steps with the batches of the feature cache, or with one batch that is repeated."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from crossask import training
from crossask.datasets import read_corpus
from crossask.features.cache import FeatureCache, prepare_features
from crossask.training import devices, network
from speed import rows
from speed.task import Task


def create(options: Mapping[str, Any]) -> Task:
    """Returns the task, whose unit is a step.

    `options` are those of `rows.options`, the table of clips ("data_dir"), "features_dir", and
    "reads_cache".
    """
    experiment = rows.read(options)
    corpus = read_corpus("folder", options["data_dir"])
    cache = prepare_features(corpus, experiment, options["features_dir"])
    clip_ids = [clip.id for clip in corpus.clips]
    devices.set_seeds(0)
    model = network.build(experiment, corpus.scenes, 0, {})
    training.compile_model(model, experiment, len(corpus.scenes), cache.shapes)
    if options["reads_cache"]:
        data = training.training_data(experiment, corpus, cache, clip_ids, seed=0)
        batches = data.batches()
    else:
        batches = _repeated(cache, experiment.training.batch_size)
    elements = iter(batches)
    train = model.make_train_function()

    def repeat() -> int:
        train(elements)["loss"].numpy()
        return 1

    return Task(repeat)


def _repeated(cache: FeatureCache, size: int) -> tf.data.Dataset:
    """Returns one random batch, again and again."""
    rng = np.random.default_rng(0)
    inputs = {}
    for kind, shape in cache.shapes.items():
        inputs[kind] = rng.normal(size=(size, *shape)).astype(np.float32)
    batch = (inputs, np.zeros(size, np.int32), np.ones(size, np.float32))
    return tf.data.Dataset.from_tensors(batch).repeat()
