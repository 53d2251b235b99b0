"""Learning rates layer by layer: against Adam itself, stage by stage, and on the networks that they
are for.
"""

import dataclasses

import numpy as np
import pytest
import small_corpus
import tensorflow as tf
import tf_keras as keras

from crossask import events
from crossask.audio import notices
from crossask.config import FineTuningConfig, TrainingConfig
from crossask.errors import ConfigError
from crossask.training import network
from crossask.training.drift import drift_from_here, embedding_drift
from crossask.training.optimizer import FusedAdam, LayerwiseAdam, build_optimizer

CONSTANT = TrainingConfig(learning_rate=1e-3)
RANDOM = np.random.default_rng(5)
STARTS = [RANDOM.normal(size=shape).astype(np.float32) for shape in ((4, 3), (3,), (2, 2))]
GRADIENTS = [
    [RANDOM.normal(size=start.shape).astype(np.float32) for start in STARTS] for _ in range(6)
]


def stepped(optimizer, gradients=GRADIENTS, scale=1.0, restart_at=None):
    """Values after each step; with `restart_at`, the optimiser is written down and made anew before
    that step.
    """
    variables = [tf.Variable(start) for start in STARTS]
    path = []
    optimizer.build(variables)
    for number, step in enumerate(gradients):
        if number == restart_at:
            saved = optimizer.variables
            optimizer = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
            optimizer.build(variables)
            for variable, value in zip(optimizer.variables, saved, strict=True):
                variable.assign(value)
        optimizer.apply_gradients(
            [(scale * tf.constant(g), v) for g, v in zip(step, variables, strict=True)]
        )
        path.append([variable.numpy() for variable in variables])
    return path


def layerwise(rates=(1, 1, 1), first_steps=(0, 0, 0), pulls=(0, 0, 0), **averages):
    return LayerwiseAdam(0.01, rates, first_steps, pulls, **averages)


def assert_alike(one, other):
    for left, right in zip(one, other, strict=True):
        for a, b in zip(left, right, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_with_one_rate_it_is_adam():
    assert_alike(stepped(layerwise()), stepped(keras.optimizers.Adam(0.01)))


@pytest.mark.parametrize("restart_at", [None, 3])
def test_the_update_in_one_operation_is_that_of_adam(restart_at):
    fused = stepped(FusedAdam(0.01), restart_at=restart_at)
    assert_alike(fused, stepped(keras.optimizers.Adam(0.01)))


def test_an_embedding_that_is_looked_up_is_updated_as_by_adam():
    values = []
    for optimizer in (FusedAdam(0.01), keras.optimizers.Adam(0.01)):
        table = tf.Variable(STARTS[0])
        for row in (1, 3, 1):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.gather(table, [row]) ** 2)
            optimizer.apply_gradients([(tape.gradient(loss, table), table)])
        values.append(table.numpy())
    np.testing.assert_allclose(*values, rtol=1e-6)


def test_a_rate_scales_the_step_where_a_scaled_gradient_does_nothing():
    plain = stepped(keras.optimizers.Adam(0.01))[0]
    scaled = stepped(keras.optimizers.Adam(0.01), scale=0.1)[0]
    slow = stepped(layerwise(rates=(0.1, 0.1, 0.1)))[0]
    for start, one, by_gradient, by_rate in zip(STARTS, plain, scaled, slow, strict=True):
        np.testing.assert_allclose(
            by_gradient - start, one - start, rtol=5e-3
        )  # epsilon 1e-7 stays what it is
        np.testing.assert_allclose(by_rate - start, 0.1 * (one - start), rtol=1e-3, atol=1e-6)


def test_a_variable_waits_for_its_first_step_and_starts_as_a_new_adam_would():
    path = stepped(layerwise(first_steps=(0, 2, 0)))
    for values in path[:2]:
        np.testing.assert_array_equal(values[1], STARTS[1])
    late = stepped(keras.optimizers.Adam(0.01), GRADIENTS[2:])
    for values, expected in zip(path[2:], late, strict=True):
        np.testing.assert_allclose(values[1], expected[1], rtol=1e-5, atol=1e-6)


def test_the_pull_takes_its_share_of_the_way_back():
    """theta' = Adam's theta' - l r p (theta - theta_0), Loshchilov and Hutter's decay with the
    start in place of zero.
    """
    path = stepped(layerwise(rates=(1, 0.5, 1), pulls=(0, 3.0, 0)))
    beta_1 = 0.9
    beta_2 = 0.999
    m = 0.0
    v = 0.0
    theta = STARTS[1].astype(np.float64)
    for t, (step, values) in enumerate(zip(GRADIENTS, path, strict=True), start=1):
        m, v = (
            beta_1 * m + (1 - beta_1) * step[1],
            beta_2 * v + (1 - beta_2) * np.square(step[1], dtype=np.float64),
        )
        adam = m * np.sqrt(1 - beta_2**t) / (1 - beta_1**t) / (np.sqrt(v) + 1e-7)
        theta = theta - 0.005 * (adam + 3.0 * (theta - STARTS[1]))
        np.testing.assert_allclose(values[1], theta, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("decay", "every", "start"), [(1.0, 1, 0), (0.7, 1, 0), (1.0, 2, 1), (0.6, 2, 2)]
)
def test_averages_are_the_mean_or_the_exponential_average_of_the_path(decay, every, start):
    variables = [tf.Variable(value) for value in STARTS]
    optimizer = layerwise(average_decay=decay, average_every=every, average_from=start)
    optimizer.build(variables)
    average = [value.astype(np.float64) for value in STARTS]
    count = 0
    for number, gradients in enumerate(GRADIENTS, start=1):
        optimizer.apply_gradients(zip([tf.constant(g) for g in gradients], variables, strict=True))
        if number <= start:
            average = [v.numpy().astype(np.float64) for v in variables]
        elif (number - start) % every == 0:
            count += 1
            keep = min(decay, (count - 1) / count)
            average = [
                keep * a + (1 - keep) * v.numpy() for a, v in zip(average, variables, strict=True)
            ]
    path = [v.numpy() for v in variables]
    optimizer.swap_averages(variables)
    for found, expected in zip(variables, average, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    optimizer.swap_averages(variables)
    for found, expected in zip(variables, path, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_written_down_and_made_anew_it_goes_on():
    choices = {
        "rates": (1, 0.3, 0.1),
        "first_steps": (0, 1, 4),
        "pulls": (0, 1.0, 2.0),
        "average_decay": 0.9,
    }
    assert_alike(stepped(layerwise(**choices)), stepped(layerwise(**choices), restart_at=3))


def test_a_list_of_rates_must_have_one_entry_for_every_variable():
    with pytest.raises(ConfigError, match="2 rates"):
        stepped(layerwise(rates=(1, 1)))


@pytest.mark.parametrize(("name", "layers"), [("vggish", 9), ("yamnet", 14)])
def test_an_event_model_is_split_into_its_layers(name, layers):
    event_model = events.event_model_class(name)(width=1 / 32, trainable=True).built_whole()
    found = event_model.layers_upward()
    assert len(found) == layers
    assert sorted(v.name for layer in found for v in layer) == sorted(
        v.name for v in event_model.trainable_variables
    )
    assert not events.event_model_class(name)(width=1 / 32).built_whole().layers_upward()


def built(row=small_corpus.CMAM):
    model = network.build(row, ("a", "b"), 0, {})
    model({"log_mel": tf.zeros([1, 198, 64, 2]), "patches": tf.zeros([1, 2, 96, 64])})
    return model


def test_rates_fall_and_first_steps_rise_from_the_top_of_the_event_model_down():
    model = built()
    tuning = FineTuningConfig(
        event_rate=0.5, layer_decay=0.8, probe_epochs=2, unfreeze_epochs=1, l2_to_start=7.0
    )
    made = build_optimizer(model, CONSTANT, tuning, steps=10)
    plan = {
        v.name: p
        for v, *p in zip(
            model.trainable_variables, made.rates, made.first_steps, made.pulls, strict=True
        )
    }
    assert plan[model.scene.kernel.name] == [1.0, 0, 0.0]
    event = [plan[layer[0].name] for layer in model.event_model.layers_upward()]
    np.testing.assert_allclose(
        [rate for rate, _, _ in event], [0.5 * 0.8**height for height in range(8, -1, -1)]
    )
    assert [first for _, first, _ in event] == [20 + 10 * height for height in range(8, -1, -1)]
    assert {pull for _, _, pull in event} == {7.0}


@pytest.mark.parametrize(("probe", "epochs", "layers"), [(5, 5, 9), (4, 5, 0), (3, 5, 7)])
def test_layers_that_would_start_after_the_last_epoch_are_named(caplog, probe, epochs, layers):
    notices.forget()
    tuning = FineTuningConfig(probe_epochs=probe, unfreeze_epochs=int(layers == 7))
    training = dataclasses.replace(CONSTANT, epochs=epochs)
    build_optimizer(built(), training, tuning, steps=10)
    found = [text for text in caplog.messages if "after the last epoch, 5" in text]
    assert len(found) == bool(layers)
    assert all(text.startswith(f"{layers} of 9 pre-trained layers") for text in found)


def test_the_papers_row_has_one_rate(caplog):
    notices.forget()
    assert type(build_optimizer(built(), CONSTANT, FineTuningConfig(), 10)) is FusedAdam
    assert not caplog.messages
    frozen = built(small_corpus.FA)
    assert (
        type(build_optimizer(frozen, CONSTANT, FineTuningConfig(event_rate=0.1), 10)) is FusedAdam
    )
    assert "fine_tuning have no effect" in caplog.text


def test_the_cosine_schedule_rises_and_falls_to_zero():
    schedule = TrainingConfig(epochs=10, learning_rate=0.02, schedule="cosine", warmup_epochs=2)
    rate = build_optimizer(
        built(), schedule, FineTuningConfig(event_rate=0.1), steps=5
    )._learning_rate
    assert [float(rate(step)) for step in (0, 5, 10, 30, 50)] == pytest.approx(
        [0, 0.01, 0.02, 0.01, 0], abs=1e-7
    )
    rate = build_optimizer(
        built(), dataclasses.replace(schedule, warmup_epochs=0), FineTuningConfig(), steps=5
    )._learning_rate
    assert [float(rate(step)) for step in (0, 25, 50)] == pytest.approx([0.02, 0.01, 0], abs=1e-7)


def test_warm_restarts_fall_again_and_again_each_time_twice_as_long():
    schedule = TrainingConfig(
        epochs=14, learning_rate=0.02, schedule="warm_restarts", restart_epochs=2
    )
    rate = build_optimizer(built(), schedule, FineTuningConfig(), steps=10)._learning_rate
    # falls of 20, 40 and 80 steps: each just after its start, in its middle, near its end
    wanted = [
        0.01 * (1 + np.cos(np.pi * step / length))
        for length in (20, 40, 80)
        for step in (1, length // 2, length - 1)
    ]
    steps = [
        start + step
        for start, length in ((0, 20), (20, 40), (60, 80))
        for step in (1, length // 2, length - 1)
    ]
    assert [float(rate(step)) for step in steps] == pytest.approx(wanted, abs=1e-6)
    with pytest.raises(ConfigError, match="restart_epochs"):
        dataclasses.replace(
            small_corpus.CMAM, training=TrainingConfig(schedule="warm_restarts", restart_epochs=0)
        )


def test_a_warm_up_needs_its_schedule():
    with pytest.raises(
        ConfigError, match=r"warmup_epochs is 1, but training\.schedule is 'constant'"
    ):
        dataclasses.replace(small_corpus.CMAM, training=TrainingConfig(warmup_epochs=1))


def test_drift_is_the_length_of_the_way_over_that_of_the_start():
    def batches(factor):
        patches = factor * np.ones((2, 2, 96, 64), np.float32)
        return [({"patches": tf.constant(patches)}, None, tf.constant([1.0, 0.0]))]

    start = events.VGGish(width=1 / 32, seed=0).built_whole()
    moved = events.VGGish(width=1 / 32, seed=0).built_whole()
    assert embedding_drift(start, moved, batches(1.0)) == 0
    last = moved.named_variables()["vggish/fc2/weights"]
    last.assign(1.25 * last)
    moved.named_variables()["vggish/fc2/biases"].assign(
        1.25 * moved.named_variables()["vggish/fc2/biases"]
    )
    assert embedding_drift(start, moved, batches(1.0)) == pytest.approx(0.25, rel=1e-4)


def test_embeddings_that_are_zero_and_stay_so_have_no_drift():
    def embed_as_zeros(patches, training):
        return tf.zeros([*patches.shape[:2], 4])

    batches = [({"patches": tf.ones((2, 3, 96, 64))}, None, tf.ones([2]))]
    assert embedding_drift(embed_as_zeros, embed_as_zeros, batches) == 0
    assert drift_from_here(embed_as_zeros, batches)() == 0


@pytest.mark.trains
def test_two_devices_step_as_one(two_devices):
    x = RANDOM.normal(size=(8, 3)).astype(np.float32)
    ends = []
    for strategy in (tf.distribute.get_strategy(), two_devices):
        with strategy.scope():
            keras.utils.set_random_seed(3)
            model = keras.Sequential(
                [keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(1)]
            )
            model.build([None, 3])
            model.compile(
                LayerwiseAdam(0.01, (0.1, 0.1, 1, 1), (2, 2, 0, 0), (5.0, 5.0, 0, 0)), "mse"
            )
        model.fit(tf.data.Dataset.from_tensor_slices((x, x[:, :1])).batch(4), epochs=3, verbose=0)
        ends.append(model.get_weights())
    for one, other in zip(*ends, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_keeps_full_variables(policy):
    keras.mixed_precision.set_global_policy(policy)
    try:
        model = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(1, dtype="float32")])
        model.build([None, 3])
        optimizer = LayerwiseAdam(0.01, (0.1, 0.1, 1, 1), (0,) * 4, (1.0, 1.0, 0, 0))
        if policy == "mixed_float16":
            optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer, initial_scale=16)
        model.compile(optimizer, "mse")
        before = model.get_weights()
        model.fit(np.ones((4, 3)), np.ones((4, 1)), epochs=2, verbose=0)
        after = model.get_weights()
        assert all(value.dtype == np.float32 for value in after)
        assert all(
            np.isfinite(value).all() and not np.array_equal(value, old)
            for value, old in zip(after, before, strict=True)
        )
    finally:
        keras.mixed_precision.set_global_policy("float32")
