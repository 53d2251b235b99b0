"""Pre-trained trunks: their weights arrive in a row, are frozen or trained at rates of their own,
and another file than the right one is one clear error.
"""

import dataclasses
import json

import numpy as np
import pytest
import small_corpus
import tensorflow as tf
import tf_keras as keras

from crossask import config, events, grid, models, serving, training
from crossask.config import FineTuningConfig, TrainingConfig
from crossask.datasets import read_corpus
from crossask.errors import ConfigError, WeightsError
from crossask.events import weights
from crossask.features.cache import prepare_features
from crossask.training import network, run_folder, trunk
from crossask.training.optimizer import build_optimizer
from crossask.training.run import compile_model

ROW = dataclasses.replace(
    small_corpus.FEATURE_BASED, name="vem", system="VEM", dataset="embeddings", folds=("unseen",)
)
SHAPES = {"embedding": (2, 128)}


def write_trunk(path, row=ROW, seed=5, width=128):
    """Writes a trunk with random weights and moving statistics; returns the path as text."""
    keras.utils.set_random_seed(seed)
    model = models.build("VEM", 7, row.model)
    model({"embedding": tf.zeros([1, 2, width])})
    rng = np.random.default_rng(seed)
    for batch_norm in model.encoder.batch_norms:
        batch_norm.moving_mean.assign(rng.normal(size=batch_norm.moving_mean.shape))
    trunk.save(path, row, model)
    return str(path)


@pytest.fixture
def path(tmp_path):
    return write_trunk(tmp_path / "trunk.npz")


def with_trunk(path, **changes):
    return config.override(ROW, {"model.trunk": path, **changes})


def compiled(row, shapes=SHAPES):
    model = network.build(row, ("a", "b"), 0, {})
    compile_model(model, row, 2, shapes, steps=10)
    return model


def trunk_values(model):
    values = []
    for layers in model.trunk_upward():
        for layer in layers:
            values += [variable.numpy() for variable in layer.variables]
    return values


def one_step(model, count=8):
    rng = np.random.default_rng(0)
    embedding = tf.constant(rng.normal(size=(count, 2, 128)), tf.float32)
    model.train_on_batch({"embedding": embedding}, tf.constant([0, 1] * (count // 2)))


def test_the_row_starts_with_the_weights_of_the_file(path):
    model = compiled(with_trunk(path))
    arrays, _ = weights.from_npz(path)
    assert len(arrays) == len(trunk_values(model)) == 4 * 5 + 2
    names = {v.name.removeprefix(f"{model.name}/").removesuffix(":0"): v for v in model.weights}
    for name, array in arrays.items():
        np.testing.assert_array_equal(names.pop(name).numpy(), array)
    assert sorted(names) == ["scene/bias", "scene/kernel"]


def test_the_last_layer_does_not_depend_on_the_trunk(path):
    def last(row):
        keras.utils.set_random_seed(0)
        return compiled(row).scene.kernel.numpy()

    np.testing.assert_array_equal(last(ROW), last(with_trunk(path)))


@pytest.mark.parametrize("has_file", [True, False])
def test_a_frozen_trunk_does_not_move_and_the_last_layer_does(path, has_file):
    changes = {"model.trunk_training": "frozen"}
    if has_file:
        changes["model.trunk"] = path
    model = compiled(config.override(ROW, changes))
    before = trunk_values(model)
    kernel = model.scene.kernel.numpy()
    assert [v.name.split("/")[-2] for v in model.trainable_variables] == ["scene", "scene"]
    one_step(model)
    for old, new in zip(before, trunk_values(model), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not np.array_equal(kernel, model.scene.kernel.numpy())


def test_a_trained_trunk_moves_with_its_moving_statistics(path):
    model = compiled(with_trunk(path))
    before = trunk_values(model)
    one_step(model)
    for old, new in zip(before, trunk_values(model), strict=True):
        assert not np.array_equal(old, new)


def test_batch_normalisation_of_a_frozen_trunk_infers_while_the_row_trains(path):
    model = compiled(with_trunk(path, **{"model.trunk_training": "frozen"}))
    inputs = {"embedding": tf.random.stateless_normal([4, 2, 128], [0, 1])}
    np.testing.assert_array_equal(model(inputs, training=True), model(inputs, training=False))


def test_setting_the_flag_of_the_model_leaves_a_frozen_trunk_frozen():
    model = compiled(config.override(ROW, {"model.trunk_training": "frozen"}))
    model.trainable = True
    assert len(model.trainable_variables) == 2


def test_remedies_concern_the_trunk_layer_by_layer(path):
    model = compiled(with_trunk(path))
    tuning = FineTuningConfig(
        event_rate=0.5, layer_decay=0.8, probe_epochs=2, unfreeze_epochs=1, l2_to_start=7.0
    )
    made = build_optimizer(model, TrainingConfig(), tuning, steps=10)
    plan = {}
    values = zip(made.rates, made.first_steps, made.pulls, strict=True)
    for variable, value in zip(model.trainable_variables, values, strict=True):
        plan[variable.name.removeprefix(f"{model.name}/")] = value
    assert plan["scene/kernel:0"] == (1.0, 0, 0.0)
    # From the top down: the pooling, then the four blocks of the encoder.
    assert plan["pooling/hidden/kernel:0"] == plan["pooling/score/kernel:0"] == (0.5, 20, 7.0)
    for height, number in enumerate((4, 3, 2, 1), start=1):
        expected = (pytest.approx(0.5 * 0.8**height), 20 + 10 * height, 7.0)
        assert plan[f"encoder/conv{number}/kernel:0"] == expected
        assert plan[f"encoder/batch_norm{number}/gamma:0"] == expected


def test_remedies_concern_no_trunk_with_random_weights(path):
    tuning = {"fine_tuning.event_rate": 0.1}
    assert "Layerwise" not in type(compiled(config.override(ROW, tuning)).optimizer).__name__
    assert "Layerwise" in type(compiled(with_trunk(path, **tuning)).optimizer).__name__


def test_the_pull_is_to_the_weights_of_the_file(path):
    """Without a gradient, a step moves a weight back to the weights of the file."""
    row = with_trunk(path, **{"fine_tuning.l2_to_start": 10.0, "training.learning_rate": 0.1})
    model = compiled(row)
    kernel = model.encoder.convolutions[0].kernel
    start = kernel.numpy()
    kernel.assign_add(tf.ones_like(kernel))
    zeros = [tf.zeros_like(variable) for variable in model.trainable_variables]
    model.optimizer.apply_gradients(zip(zeros, model.trainable_variables, strict=True))
    # learning rate x pull = 1: the whole way.
    np.testing.assert_allclose(kernel.numpy(), start, atol=1e-6)


def damaged(path, name="encoder/conv1/kernel"):
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    arrays[name] = arrays[name] + 1
    np.savez(path, **arrays)


def test_a_file_that_is_missing_or_damaged_or_no_trunk_is_an_error(path, tmp_path):
    with pytest.raises(WeightsError, match=r"nowhere\.npz cannot be read"):
        trunk.digest(with_trunk(str(tmp_path / "nowhere.npz")))
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(WeightsError, match="contains no trunk"):
        compiled(with_trunk(str(tmp_path / "other.npz")))
    damaged(path)
    with pytest.raises(WeightsError, match="are not those of its record"):
        compiled(with_trunk(path))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "trunk.npz").read_bytes()[:500])
    with pytest.raises(WeightsError, match="cannot be read"):
        compiled(with_trunk(str(tmp_path / "cut.npz")))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model.encoder_channels": (4, 4, 8, 16)}, r"model\.encoder_channels=\[4, 4, 8, 8\] "),
        ({"model.pooling_activation": "tanh"}, r"model\.pooling_activation=relu \(row: tanh\)"),
        ({"event_model.embedding_tap": "relu"}, r"embedding_tap=linear \(row: relu\)"),
    ],
)
def test_a_trunk_of_another_network_does_not_fit(path, changes, words):
    with pytest.raises(WeightsError, match=f"does not fit row 'vem'.*{words}"):
        compiled(with_trunk(path, **changes))


def test_choices_of_the_training_are_not_compared(path):
    compiled(with_trunk(path, **{"model.pooling_penalty": 1.0, "model.batch_norm_momentum": 0.5}))


def test_a_trunk_for_embeddings_of_another_width_does_not_fit(path):
    with pytest.raises(WeightsError, match="has no weights 'narrowing/kernel'"):
        compiled(with_trunk(path), {"embedding": (2, 100)})


def test_only_vem_has_a_trunk():
    for changes in ({"model.trunk": "trunk.npz"}, {"model.trunk_training": "frozen"}):
        with pytest.raises(ConfigError, match="trunk of CMAM cannot be pre-trained"):
            config.override(small_corpus.CMAM, changes)


# A whole run.


def write_embeddings(path):
    rng = np.random.default_rng(0)
    arrays = {"class_names": np.array(["a", "b"])}
    for part, clips in (("train", 24), ("val", 8), ("unseen", 12)):
        labels = np.arange(clips) % 2
        noise = rng.normal(0, 0.2, (clips, 2, 128))
        arrays[f"{part}_y"] = labels
        arrays[f"{part}_x"] = (noise + (2 * labels - 1)[:, np.newaxis, np.newaxis]).astype("f4")
    np.savez(path, **arrays)
    return read_corpus("embeddings", path)


@pytest.mark.trains
def test_a_run_records_its_trunk_and_does_not_go_on_with_another(path, tmp_path):
    corpus = write_embeddings(tmp_path / "made.npz")
    row = with_trunk(path, **{"training.epochs": 1, "model.trunk_training": "frozen"})
    cache = prepare_features(corpus, row, tmp_path / "features")
    run = run_folder.run_at(tmp_path / "runs", "vem", "unseen", 0)
    training.train(run, row, corpus, cache)
    assert run.read("config.json")["trunk_digest"] == trunk.digest(row)
    again = trunk_values(network.restore(run))
    arrays, _ = weights.from_npz(path)
    assert sum(value.sum() for value in again) == pytest.approx(
        sum(value.sum() for value in arrays.values()), rel=1e-4
    )
    write_trunk(path, seed=6)
    with pytest.raises(WeightsError, match="began with another trunk"):
        training.train(run, row, corpus, cache)
    # The run has its own weights: predictions need no file.
    (tmp_path / "trunk.npz").unlink()
    assert len(training.predict(run, corpus, cache)) == 12


@pytest.mark.trains
def test_each_seed_begins_with_its_own_trunk(tmp_path):
    corpus = write_embeddings(tmp_path / "made.npz")
    changes = {"training.epochs": 1, "model.trunk_training": "frozen"}
    row = with_trunk(str(tmp_path / "trunk_{seed}.npz"), **changes)
    cache = prepare_features(corpus, row, tmp_path / "features")
    values = []
    for seed in (3, 4):
        one = write_trunk(tmp_path / f"trunk_{seed}.npz", seed=seed)
        run = run_folder.run_at(tmp_path / "runs", "vem", "unseen", seed)
        training.train(run, row, corpus, cache)
        assert run.read("config.json")["trunk_digest"] == trunk.digest(with_trunk(one))
        # The row is the same for all seeds.
        assert run.experiment() == row
        values.append(trunk_values(network.restore(run)))
    assert not np.allclose(values[0][0], values[1][0])
    # Every seed's file is required before any run begins.
    places = [str(tmp_path / name) for name in ("made.npz", "features", "new_runs")]
    with pytest.raises(WeightsError, match=r"trunk_5\.npz"):
        list(grid.train(grid.Grid((row,), (4, 5), *places)))
    assert not (tmp_path / "new_runs").exists()


@pytest.mark.trains
def test_a_run_from_before_there_were_trunks_goes_on(tmp_path):
    corpus = write_embeddings(tmp_path / "made.npz")
    row = config.override(ROW, {"training.epochs": 1})
    cache = prepare_features(corpus, row, tmp_path / "features")
    run = run_folder.run_at(tmp_path / "runs", "vem", "unseen", 0)
    result = training.train(run, row, corpus, cache)
    old = run.read("config.json")
    for name in ("trunk", "trunk_training"):
        del old["experiment"]["model"][name]
    del old["trunk_digest"]
    run.path("config.json").write_text(json.dumps(old))
    assert training.train(run, row, corpus, cache) == result


@pytest.mark.trains
def test_a_run_with_a_trunk_is_exported_without_its_file(corpus, features, tmp_path):
    row = config.override(small_corpus.FEATURE_BASED, {"name": "vem", "system": "VEM"})
    changes = {
        "event_model.weights": str(tmp_path / "events.npz"),
        "model.trunk": write_trunk(tmp_path / "trunk.npz", row),
        "model.trunk_training": "frozen",
        "training.epochs": 1,
    }
    events.build(row.event_model).save_npz(tmp_path / "events.npz")
    row = config.override(row, changes)
    cache = prepare_features(corpus, row, features)
    run = run_folder.run_at(tmp_path / "runs", "vem", "1", 0)
    with small_corpus.without_graphs():
        training.train(run, row, corpus, cache)
    (tmp_path / "trunk.npz").unlink()
    serving.export_run(run, tmp_path / "model")
    assert (tmp_path / "model" / "saved_model.pb").is_file()
