"""Weight files with more variables than the network's, or with its variables by other names."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from events.keras_models import model_of

from crossask import events
from crossask.audio import frontends, notices
from crossask.config import EventModelConfig
from crossask.errors import WeightsError
from crossask.events import weights
from crossask.events.tagger import read_tagger
from crossask.events.vggish import VGGish
from crossask.events.yamnet import YAMNet

WIDTH = 1 / 64


def arrays_of(layer):
    variables = layer.built_whole().named_variables()
    return {name: variable.numpy() for name, variable in variables.items()}


# ---- State of training


def scaled(optimizer):
    return keras.mixed_precision.LossScaleOptimizer(optimizer)


@pytest.mark.trains
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.Adam(0.0, amsgrad=True),
        lambda: keras.optimizers.SGD(0.0, momentum=0.9),
        lambda: keras.optimizers.RMSprop(0.0, momentum=0.9, centered=True),
        lambda: keras.optimizers.Adagrad(0.0),
        lambda: keras.optimizers.Nadam(0.0),
        lambda: keras.optimizers.legacy.Adam(0.0, amsgrad=True),
        lambda: keras.optimizers.legacy.SGD(0.0, momentum=0.9),
        lambda: keras.optimizers.legacy.RMSprop(0.0, momentum=0.9, centered=True),
        lambda: scaled(keras.optimizers.Adam(0.0)),
    ],
    ids=[
        "Adam",
        "SGD",
        "RMSprop",
        "Adagrad",
        "Nadam",
        "legacy Adam",
        "legacy SGD",
        "legacy RMSprop",
        "scaled loss",
    ],
)
def test_a_trained_keras_model_is_read_without_its_metrics_and_optimiser(optimizer, tmp_path):
    layer = YAMNet(width=WIDTH, classifier=True, seed=1)
    model = model_of(layer)
    metrics = ["mae", "mse", keras.metrics.AUC(), keras.metrics.Precision()]
    model.compile(optimizer(), "mse", metrics=metrics)
    model.train_on_batch(np.zeros((2, 1)), np.ones((2, 1)))
    model.save(tmp_path / "module")
    read = YAMNet.from_hub(tmp_path / "module", width=WIDTH, classifier=True)
    assert read.weights_digest() == layer.weights_digest()


def test_the_state_of_a_metric_is_no_unknown_variable_of_a_module(tmp_path):
    layer = VGGish(width=WIDTH, seed=1)
    module = tf.Module()
    named = [tf.Variable(value, name=name) for name, value in arrays_of(layer).items()]
    # Two metrics have variables of the same names.
    for name in ("total", "count", "total", "count", "Adam/iter", "learning_rate"):
        named.append(tf.Variable(1.0, name=name))
    module.variables_by_name = named
    tf.saved_model.save(module, str(tmp_path / "module"))
    read = VGGish.from_hub(tmp_path / "module", width=WIDTH)
    assert read.weights_digest() == layer.weights_digest()


def test_the_state_of_an_optimiser_is_no_unknown_variable_of_an_npz(tmp_path):
    layer = VGGish(width=WIDTH, seed=1)
    arrays = arrays_of(layer)
    state = {"global_step": np.int64(3), "beta1_power": 0.9, "beta2_power": 0.99}
    for name, value in arrays.items():
        state |= {f"{name}/Adam": value, f"{name}/Adam_1": value, f"{name}/Momentum": value}
    np.savez(tmp_path / "w.npz", **arrays, **state)
    read = VGGish.from_npz(tmp_path / "w.npz", width=WIDTH)
    assert read.weights_digest() == layer.weights_digest()


def test_an_npz_may_name_variables_as_tensorflow_does_with_the_number_of_an_output(tmp_path):
    layer = VGGish(width=WIDTH, seed=1)
    named = {f"{name}:0": value for name, value in arrays_of(layer).items()}
    np.savez(tmp_path / "w.npz", **named, **{"vggish/fc2/weights/Adam:0": np.zeros(3)})
    read = VGGish.from_npz(tmp_path / "w.npz", width=WIDTH)
    assert read.weights_digest() == layer.weights_digest()


@pytest.mark.parametrize("cls", [VGGish, YAMNet])
def test_no_variable_of_a_network_counts_as_state_of_training(cls):
    for name, array in arrays_of(cls(width=WIDTH)).items():
        assert not weights.is_training_state(name, array.shape)


def test_the_float_weights_of_yamnet_are_read_as_they_are(real_data):
    folder = real_data("yamnet_float")
    layer = YAMNet.from_hub(folder, classifier=True)
    silence = np.zeros(3 * frontends.EVENT_RATE_HZ, np.float32)
    scores = layer.scores(frontends.yamnet_patches(silence)).numpy().mean(0)
    config = EventModelConfig(name="yamnet", weights=str(folder))
    tagger = read_tagger(config)
    assert tagger.names[int(scores.argmax())] == "Silence"
    assert len(tagger.names) == 521
    assert events.build(config).count_params() == 3_217_344


def save_with_activation(folder, activation):
    """Writes a narrow VGGish whose SavedModel has a graph with an activation, and another graph."""
    module = tf.Module()
    variables = VGGish(width=WIDTH).built_whole().named_variables()
    module.by_name = [tf.Variable(value, name=name) for name, value in variables.items()]
    module.activate = tf.function(activation, [tf.TensorSpec([None])])
    module.magnitude = tf.function(tf.abs, [tf.TensorSpec([None])])
    tf.saved_model.save(module, str(folder))


@pytest.mark.parametrize(
    ("activation", "published"),
    [
        (tf.nn.relu, "relu"),
        (tf.nn.relu6, "relu6"),
        (tf.nn.elu, ""),
        (lambda x: tf.nn.relu(x) + tf.nn.relu6(x), ""),
    ],
)
def test_another_activation_than_the_modules_is_logged(tmp_path, caplog, activation, published):
    save_with_activation(tmp_path / "module", activation)
    _, found = weights.from_saved_model(tmp_path / "module")
    assert found == published
    for chosen in ("relu", "relu6"):
        notices.forget()
        caplog.clear()
        VGGish.from_hub(tmp_path / "module", width=WIDTH, activation=chosen)
        is_logged = f"computes with {published}, but event_model.activation" in caplog.text
        assert is_logged == (published not in ("", chosen))


def test_the_float_module_of_yamnet_computes_with_relu(real_data):
    _, activation = weights.from_saved_model(real_data("yamnet_float"))
    assert activation == "relu"


# ---- Other names


def save_npz(folder, arrays):
    np.savez(folder / "w.npz", **arrays)
    return VGGish.from_npz, folder / "w.npz"


def save_module(folder, arrays):
    module = tf.Module()
    module.by_name = [tf.Variable(value, name=name) for name, value in arrays.items()]
    tf.saved_model.save(module, str(folder / "module"))
    return VGGish.from_hub, folder / "module"


def save_checkpoint(folder, arrays):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for name, value in arrays.items():
            tf.compat.v1.Variable(value, name=name, use_resource=False)
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver(write_version=1)
        saver.save(session, str(folder / "model.ckpt"), write_meta_graph=False)
    return VGGish.from_checkpoint, folder / "model.ckpt"


def save_keras_file(folder, arrays):
    renamed = {f"vggish/{name}": name.replace("/", "_") for name in ("fc2", "conv1")}
    model_of(VGGish(width=WIDTH), **renamed).save_weights(folder / "model.h5")
    return VGGish.from_checkpoint, folder / "model.h5"


@pytest.mark.parametrize("save", [save_npz, save_module, save_checkpoint])
def test_other_names_are_an_error_that_lists_both_sides(save, tmp_path):
    given = {}
    for name, value in arrays_of(VGGish(width=WIDTH)).items():
        given[name.replace("vggish/", "features/").replace("weights", "kernel")] = value
    read, path = save(tmp_path, given)
    with pytest.raises(WeightsError) as error:
        read(path, width=WIDTH)
    problem = error.value.problem
    assert str(path) in problem
    assert "18 of the 18 variables" in problem
    expected, found = problem.split("\n")[1:]
    assert "'vggish/conv1/weights' (3, 3, 1, 1)" in expected
    assert "'features/conv1/kernel' (3, 3, 1, 1)" in found
    for line in (expected, found):
        assert line.endswith("and 13 more.")
    assert "only the names differ" in error.value.fix


def test_only_the_names_that_differ_are_listed(tmp_path):
    read, path = save_keras_file(tmp_path, {})
    with pytest.raises(WeightsError) as error:
        read(path, width=WIDTH)
    problem = error.value.problem
    assert "4 of the 18 variables" in problem
    for name in ("vggish/conv1/weights", "vggish/fc2/biases", "conv1/weights", "fc2/biases"):
        assert f"'{name}'" in problem
    assert "conv2" not in problem
    assert "more" not in problem


def test_names_and_shapes_that_differ_are_not_called_a_question_of_names(tmp_path):
    arrays = arrays_of(VGGish(width=WIDTH))
    del arrays["vggish/fc2/weights"]
    arrays["other"] = np.zeros(3, np.float32)
    read, path = save_npz(tmp_path, arrays)
    with pytest.raises(WeightsError) as error:
        read(path, width=WIDTH)
    assert "'vggish/fc2/weights'" in error.value.problem
    assert "'other' (3,)" in error.value.problem
    assert "only the names" not in error.value.fix
