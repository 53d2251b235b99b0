"""Whether training uses the events of a row: measured, warned of, and learned at full width."""

import dataclasses
import logging

import numpy as np
import pytest
import small_corpus
import tensorflow as tf
import tf_keras as keras

from crossask import config, models, training
from crossask.events.vggish import VGGish
from crossask.features.cache import prepare_features
from crossask.training import run_folder
from crossask.training.event_use import event_use

EVENT_SYSTEMS = ["VEM", "JRM", "CMAM"]


def clips_that_differ_in_their_events_alone(patches_of_clip=1, frames=48):
    """Returns the inputs of four clips with the same log-mel, and their scenes."""
    rng = np.random.default_rng(0)
    log_mel = np.repeat(rng.normal(size=(1, frames, 64, 2)), 4, axis=0)
    patches = np.repeat(rng.normal(-2.5, 1, (1, patches_of_clip, 96, 64)), 4, axis=0)
    for clip in range(4):
        # Each clip has an event in a quarter of the mel bins.
        patches[clip, :, :, 16 * clip : 16 * (clip + 1)] += 3
    inputs = {"log_mel": log_mel.astype(np.float32), "patches": patches.astype(np.float32)}
    return inputs, np.arange(4)


def built(system, sizes, event_model):
    keras.utils.set_random_seed(0)
    model = models.build(system, 4, sizes, event_model=event_model)
    inputs, _ = clips_that_differ_in_their_events_alone()
    model(inputs)
    return model


class Constant(keras.layers.Layer):
    """An event model that is the same for every patch."""

    embedding_size = 16

    def call(self, patches, training=False):
        return tf.ones([*patches.shape[:-2], 16])


@pytest.mark.parametrize("system", EVENT_SYSTEMS)
def test_constant_embeddings_are_not_used_and_others_are(system):
    inputs, scenes = clips_that_differ_in_their_events_alone()
    batches = [(inputs, scenes, tf.constant([1.0, 1.0, 1.0, 0.0]))]
    batches = [({name: tf.constant(x) for name, x in inputs.items()}, scenes, batches[0][2])]
    constant = event_use(built(system, small_corpus.NARROW, Constant()), batches)
    assert (constant.deviation, constant.effect, constant.is_used) == (0, 0, False)
    event_model = VGGish(trainable=True, width=1 / 32, seed=0)
    varied = event_use(built(system, small_corpus.NARROW, event_model), batches)
    assert varied.deviation > 0.01
    assert varied.is_used


@pytest.mark.trains
def test_a_run_that_does_not_use_its_events_warns_and_records_it(tmp_path, corpus, caplog):
    row = config.override(
        small_corpus.CMAM,
        {
            "name": "constant",
            # The embeddings stay near zero beside the positions, and hardly train.
            "event_model.initialisation": "truncated_normal",
            "training.learning_rate": 1e-7,
            "training.epochs": 1,
        },
    )
    cache = prepare_features(corpus, row, tmp_path / "features")
    with caplog.at_level(logging.WARNING, "crossask"), small_corpus.without_graphs():
        run = run_folder.run_at(tmp_path, row.name, "1", 0)
        result = training.train(run, row, corpus, cache)
    assert result["uses_events"] is False
    assert result["embedding_deviation"] < 1e-3
    assert "training did not use the events" in caplog.text


@pytest.mark.trains
def test_the_full_size_vggish_learns_from_scratch_inside_cmam():
    """The control "it is the events, not the larger network" must be able to use the events."""
    inputs, scenes = clips_that_differ_in_their_events_alone()
    # VGGish at its full width; the scene network may be narrow.
    sizes = dataclasses.replace(small_corpus.NARROW, attention_dim=64)
    event_model = VGGish(trainable=True, seed=0)
    model = built("CMAM", sizes, event_model)
    model.compile(
        keras.optimizers.Adam(1e-4), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    assert event_model(inputs["patches"]).numpy().std(axis=(0, 1)).mean() > 0.1
    losses = []
    for _ in range(60):
        losses.append(float(np.ravel(model.train_on_batch(inputs, scenes))[0]))
        if losses[-1] < 0.1:
            break
    # Without the events the loss cannot be below ln 4 = 1.386.
    assert losses[-1] < 0.1
    weight = tf.ones([4])
    inputs = {name: tf.constant(x) for name, x in inputs.items()}
    assert event_use(model, [(inputs, scenes, weight)]).is_used
