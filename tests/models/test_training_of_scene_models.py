"""Plain compile and fit, on one device and two, and saving; the eight clips of conftest.py."""

import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from crossask import models
from crossask.config import catalogue
from crossask.models.target import Target

pytestmark = pytest.mark.trains

# the official baselines read other features; tests/test_experiments.py trains them
PAPERS = [name for name in catalogue.SYSTEMS if not name.startswith("DCASE")]


def compiled(model, optimizer=None, eagerly=False):
    model.compile(
        optimizer or keras.optimizers.Adam(3e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=["accuracy"],
        run_eagerly=eagerly,
    )
    return model


def start(system, config, clips, weights=None, **common):
    """A model with its weights made, equal for equal arguments."""
    keras.utils.set_random_seed(1)
    model = models.build(system, 3, config, **common)
    model(clips[0])
    if weights is not None:
        model.set_weights(weights)
    return model


def difference(one, other):
    return max(
        np.abs(a - b).max() for a, b in zip(one.get_weights(), other.get_weights(), strict=True)
    )


def with_patches(clips):
    patches = np.random.default_rng(6).normal(size=(8, 4, 96, 64)).astype(np.float32)
    return {"log_mel": clips[0]["log_mel"], "patches": patches}, clips[1]


@pytest.mark.parametrize("system", PAPERS)
def test_eight_clips_are_learnt_by_heart(narrow, clips, system):
    # A single layer needs longer steps.
    rate = 3e-1 if system == "LINEAR" else 3e-3
    model = compiled(
        start(system, narrow, clips), optimizer=keras.optimizers.Adam(rate), eagerly=True
    )
    model.fit(*clips, batch_size=8, epochs=30, verbose=0)
    loss, accuracy = model.evaluate(*clips, batch_size=8, verbose=0)
    assert accuracy == 1.0
    assert loss < 0.2


@pytest.mark.parametrize("system", PAPERS)
def test_every_trainable_weight_moves(narrow, clips, system):
    model = compiled(start(system, narrow, clips), eagerly=True)
    before = [variable.numpy() for variable in model.trainable_variables]
    model.fit(*clips, batch_size=8, epochs=2, verbose=0)
    still = [
        v.name
        for v, old in zip(model.trainable_variables, before, strict=True)
        if np.array_equal(v, old)
    ]
    assert still == []


@pytest.mark.parametrize("trainable", [True, False])
def test_the_event_model_is_trained_exactly_when_it_is_trainable(
    narrow, clips, mean_of_patch, trainable
):
    clips = with_patches(clips)
    event_model = mean_of_patch(trainable=trainable)
    model = compiled(start("CMAM", narrow, clips, event_model=event_model), eagerly=True)
    before = event_model.kernel.numpy()
    model.fit(*clips, batch_size=8, verbose=0)
    assert np.array_equal(before, event_model.kernel) != trainable


def test_training_is_a_pure_function_of_the_seed_and_goes_on_at_its_step(narrow, clips, tmp_path):
    config = dataclasses.replace(narrow, attention_dropout=0.5)

    def trained(epochs, seed):
        model = compiled(
            start("CMAM", config, clips, seed=seed), keras.optimizers.Adam(1e-3), eagerly=True
        )
        keras.utils.set_random_seed(17 * epochs + seed)  # the global state must not matter
        model.fit(*clips, batch_size=8, epochs=epochs, shuffle=False, verbose=0)
        return model

    two = trained(2, 0)
    one = trained(1, 0)
    other_seed = trained(2, 1)
    one.save(tmp_path / "half.keras")
    resumed = keras.models.load_model(tmp_path / "half.keras")
    assert resumed.optimizer.iterations == 1
    resumed.compile(resumed.optimizer, resumed.loss, run_eagerly=True)
    resumed.fit(*clips, batch_size=8, epochs=1, shuffle=False, verbose=0)
    # CPU kernels may add in another order from run to run; a dropped feature more or less moves
    # weights by 1e-3
    assert difference(resumed, two) < 1e-5
    assert difference(other_seed, two) > 1e-4


def test_every_step_drops_other_features(narrow, clips):
    config = dataclasses.replace(narrow, attention_dropout=0.5)

    def one_step_at(step):
        model = compiled(start("CMAM", config, clips), keras.optimizers.SGD(0.05), eagerly=True)
        model.optimizer.iterations.assign(
            step
        )  # plain gradient descent knows no step: dropout alone can differ
        model.fit(*clips, batch_size=8, shuffle=False, verbose=0)
        return model

    assert difference(one_step_at(3), one_step_at(3)) < 1e-6
    assert difference(one_step_at(3), one_step_at(4)) > 1e-4


def test_clips_of_weight_zero_teach_nothing(narrow, clips):
    model = compiled(start("FA", narrow, clips), keras.optimizers.SGD(0.1), eagerly=True)
    before = [variable.numpy() for variable in model.trainable_variables]
    model.fit(*clips, sample_weight=np.zeros(8), batch_size=8, verbose=0)
    for variable, old in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, old)


@pytest.mark.parametrize("devices", [1, 2])
def test_the_loss_of_a_student_is_shown_with_its_teachers_term(narrow, clips, request, devices):
    strategy = tf.distribute.get_strategy()
    if devices == 2:
        strategy = request.getfixturevalue("two_devices")
    inputs = {"log_mel": clips[0]["log_mel"]}
    random = np.random.default_rng(4)
    teacher = random.dirichlet([1, 1, 1], 8).astype(np.float32)
    weight = 0.7
    temperature = 2.0
    with strategy.scope():
        model = compiled(start("FA", narrow, (inputs,)), keras.optimizers.SGD(0.0))
    model.distillation = (weight, temperature)
    batch = inputs, Target(clips[1], teacher), np.ones(8, np.float32)
    batches = tf.data.Dataset.from_tensors(batch).unbatch().batch(8)
    found = model.fit(batches, verbose=0).history["loss"][0]

    def log_softmax(x):
        return x - np.log(np.exp(x).sum(axis=1, keepdims=True))

    logits = model(inputs, training=True).numpy().astype(np.float64)
    of_labels = -log_softmax(logits)[np.arange(8), clips[1]].mean()
    softened = teacher ** (1 / temperature)
    softened /= softened.sum(axis=1, keepdims=True)
    of_teacher = -(softened * log_softmax(logits / temperature)).sum(axis=1).mean()
    assert found == pytest.approx(of_labels + weight * temperature**2 * of_teacher, rel=1e-4)


@pytest.mark.parametrize("system", PAPERS)
def test_two_devices_end_with_the_weights_of_one(narrow, clips, two_devices, system):
    # no dropout: each device drops features of its own
    config = dataclasses.replace(
        narrow,
        encoder_channels=(4,),
        encoder_pools=((16, 8),),
        vem_pools=((2, 2),),
        event_encoder_channels=(4,),
        event_encoder_pools=((2, 2),),
        attention_dropout=0.0,
    )
    ends = []
    for strategy in (tf.distribute.get_strategy(), two_devices):
        with strategy.scope():
            model = compiled(start(system, config, clips), keras.optimizers.SGD(0.05))
        weights = np.linspace(0.5, 1.5, 8).astype(np.float32)
        batches = tf.data.Dataset.from_tensor_slices((*clips, weights)).batch(
            4, drop_remainder=True
        )
        model.fit(batches, epochs=2, verbose=0)
        ends.append(model)
    # A system may have no encoder, and so no batch normalisation.
    if hasattr(ends[0], "encoder"):
        assert [norm.synchronized for norm in ends[0].encoder.batch_norms] == [False]
        assert [norm.synchronized for norm in ends[1].encoder.batch_norms] == [True]
    begun = start(system, config, clips).get_weights()
    # rounding tips a ReLU here and there, and one device's norm keeps the variance times n / (n -
    # 1); a clip that is left out, or counted twice, moves weights as far as training does
    for variable, first, one, other in zip(
        ends[0].weights, begun, *(end.get_weights() for end in ends), strict=True
    ):
        assert np.linalg.norm(one - other) <= 0.01 * np.linalg.norm(one - first) + 1e-6, (
            variable.name
        )


def test_two_devices_show_the_norms_of_one(narrow, clips, mean_of_patch, two_devices):
    clips = with_patches(clips)
    config = dataclasses.replace(narrow, attention_dropout=0.0)
    norms = []
    for strategy in (tf.distribute.get_strategy(), two_devices):
        with strategy.scope():
            event_model = mean_of_patch(trainable=True)
            model = start("CMAM", config, clips, event_model=event_model)
            compiled(model, keras.optimizers.SGD(0.0))
        # As in training; Keras would add up the values of the devices.
        model.distribute_reduction_method = "first"
        history = model.fit(*clips, batch_size=8, shuffle=False, verbose=0).history
        norms.append([history[f"gradient_norm_{part}"][0] for part in ("scene", "event")])
    np.testing.assert_allclose(norms[1], norms[0], rtol=0.01)


@pytest.mark.parametrize("system", PAPERS)
@pytest.mark.parametrize("suffix", ["", ".keras"])
def test_a_saved_model_answers_alike_after_reloading(
    narrow, clips, mean_of_patch, tmp_path, system, suffix
):
    common = {"log_mel_mean": [-4.0] * 64, "log_mel_deviation": [2.0] * 64, "seed": 5}
    if system == "CMAM":
        clips = with_patches(clips)
        common["event_model"] = mean_of_patch(trainable=False)
    keras.utils.set_random_seed(2)
    model = compiled(models.build(system, 3, narrow, **common), eagerly=True)
    model.fit(*clips, batch_size=8, verbose=0)
    path = tmp_path / f"model{suffix}"
    model.save(path)
    again = keras.models.load_model(path)
    assert type(again) is type(model)
    assert {**again.get_config(), "event_model": 0} == {**model.get_config(), "event_model": 0}
    assert len(again.trainable_variables) == len(model.trainable_variables)
    np.testing.assert_array_equal(again(clips[0]), model(clips[0]))
    for one, other in itertools.zip_longest(
        model.explain(clips[0])[1].values(), again.explain(clips[0])[1].values()
    ):
        np.testing.assert_array_equal(one, other)
    if not suffix:  # what was trained with a seed is served without one
        served = tf.saved_model.load(str(path)).signatures["serving_default"]
        assert set(served.structured_input_signature[1]) == set(clips[0])
        (logits,) = served(
            **{name: tf.constant(value) for name, value in clips[0].items()}
        ).values()
        np.testing.assert_allclose(logits, model(clips[0]), atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_answers_in_float32_and_close_to_float32(narrow, clips, policy):
    full = start("CMAM", narrow, clips)
    keras.mixed_precision.set_global_policy(policy)
    try:
        half = compiled(start("CMAM", narrow, clips, full.get_weights()), eagerly=True)
        logits = half(clips[0])
        assert logits.dtype == tf.float32
        assert half.encoder.compute_dtype != "float32"
        tolerance = 0.02 if policy == "mixed_float16" else 0.15
        np.testing.assert_allclose(logits, full(clips[0]), atol=tolerance)
        half.fit(*clips, batch_size=8, verbose=0)
        assert difference(half, full) > 0
    finally:
        keras.mixed_precision.set_global_policy("float32")
