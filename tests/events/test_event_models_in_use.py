"""Event models inside other programs: exported, on two devices, in lower precision, serialised; and
weights that are damaged.
"""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from scipy.signal import correlate2d

from crossask import events, precision
from crossask.audio import frontends
from crossask.config import EventModelConfig, catalogue
from crossask.errors import ConfigError, WeightsError
from crossask.events import weights as weight_files
from crossask.events.vggish import VGGish
from crossask.events.yamnet import LAYERS, YAMNet

WIDTH = 1 / 64


def patches(*leading, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(0, 1, (*leading, 96, 64)), tf.float32)


def arrays(layer):
    return {name: v.numpy() for name, v in layer.built_whole().named_variables().items()}


def scatter(layer, seed=0):
    """Assigns random values to every variable of a YAMNet, moving statistics included."""
    rng = np.random.default_rng(seed)
    for name, variable in layer.built_whole().named_variables().items():
        low, high = (0.5, 2.0) if name.endswith("variance") else (-0.5, 0.5)
        variable.assign(rng.uniform(low, high, variable.shape))
    return layer


def same_padding(size, stride):
    """Returns (before, after) of TensorFlow's SAME for a 3-wide kernel."""
    missing = max((-(-size // stride) - 1) * stride + 3 - size, 0)
    return missing // 2, missing - missing // 2


@pytest.mark.parametrize("activation", ["relu", "relu6"])
def test_yamnet_is_what_numpy_makes_of_its_description(activation):
    layer = scatter(YAMNet(width=1 / 32, activation=activation))
    named = {name: value.astype(np.float64) for name, value in arrays(layer).items()}

    def norm(x, name):
        x = (x - named[f"{name}/bn/moving_mean"]) / np.sqrt(
            named[f"{name}/bn/moving_variance"] + 1e-4
        ) + named[f"{name}/bn/beta"]
        return np.clip(x, 0, 6 if activation == "relu6" else None)

    def plane(x, kernel, stride):
        return correlate2d(
            np.pad(x, [same_padding(size, stride) for size in x.shape]), kernel, "valid"
        )[::stride, ::stride]

    x = patches().numpy().astype(np.float64)
    kernel = named["layer1/conv/kernel"]
    x = norm(
        np.stack([plane(x, kernel[:, :, 0, o], 2) for o in range(kernel.shape[3])], -1),
        "layer1/conv",
    )
    for number, (stride, _) in enumerate(LAYERS[1:], start=2):
        depth, point = f"layer{number}/depthwise_conv", f"layer{number}/pointwise_conv"
        kernel = named[f"{depth}/depthwise_kernel"][:, :, :, 0]
        x = norm(
            np.stack([plane(x[:, :, c], kernel[:, :, c], stride) for c in range(x.shape[2])], -1),
            depth,
        )
        x = norm(x @ named[f"{point}/kernel"][0, 0], point)
    assert x.shape == (3, 2, 32)
    np.testing.assert_allclose(layer(patches()), x.mean((0, 1)), atol=1e-4 * np.abs(x).max())


@pytest.mark.parametrize(
    "cls", [events.event_model_class(name) for name in catalogue.trainable_event_models()]
)
def test_an_exported_layer_answers_for_any_number_of_clips_and_patches(cls, tmp_path):
    layer = cls(width=WIDTH, seed=1).built_whole()
    module = tf.Module()
    module.kept = list(layer.variables)
    shapes = []

    @tf.function(input_signature=[tf.TensorSpec([None, None, 96, 64])])
    def embed(x):
        embedding = layer(x)
        shapes.append(embedding.shape.as_list())
        return embedding

    module.embed = embed
    tf.saved_model.save(module, str(tmp_path / "exported"))
    assert shapes[0] == [None, None, layer.embedding_size]
    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    for clips, count in ((1, 10), (3, 2)):
        x = patches(clips, count)
        np.testing.assert_allclose(loaded.embed(x), layer(x), atol=1e-6)


@pytest.mark.trains
@pytest.mark.parametrize("trainable", [False, True])
def test_two_devices_train_vggish_as_one_does(trainable, two_devices):
    x, y = patches(4, 2), np.array([0, 1, 1, 0])

    def trained():
        layer = VGGish(width=1 / 32, trainable=trainable, seed=4).built_whole()
        head = keras.layers.Dense(
            2, "softmax", kernel_initializer=keras.initializers.GlorotUniform(seed=1)
        )
        model = keras.Sequential(
            [keras.Input([2, 96, 64]), layer, keras.layers.GlobalAveragePooling1D(), head]
        )
        model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
        return layer, model

    layer, model = trained()
    before = arrays(layer)
    model.train_on_batch(x, y)
    with two_devices.scope():
        shared, model = trained()
    model.fit(x, y, batch_size=4, epochs=1, shuffle=False, verbose=0)
    for name, value in arrays(shared).items():
        np.testing.assert_allclose(value, arrays(layer)[name], atol=1e-5, err_msg=name)
        assert (value != before[name]).any() == trainable, name


@pytest.mark.trains
@pytest.mark.parametrize("trainable", [False, True])
def test_yamnets_statistics_are_those_of_both_devices(trainable, two_devices):
    halves = [
        patches(3),
        patches(3, seed=1) + 3.0,
    ]  # one device's alone would miss what sets them apart
    alone = YAMNet(width=WIDTH, trainable=trainable, seed=4).built_whole()
    before = arrays(alone)
    alone(tf.concat(halves, 0), training=True)
    with two_devices.scope():
        shared = YAMNet(width=WIDTH, trainable=trainable, seed=4).built_whole()
    x = two_devices.experimental_distribute_values_from_function(
        lambda c: halves[c.replica_id_in_sync_group]
    )
    tf.function(lambda: two_devices.run(lambda part: shared(part, training=True), (x,)))()
    for name, value in arrays(shared).items():
        # One device's variance is corrected by n / (n - 1), n at least 36; several devices' is not.
        # A tenth of it is new, so that a variance of 3 makes a relative difference of 0.007.
        np.testing.assert_allclose(value, arrays(alone)[name], rtol=0.01, atol=1e-5, err_msg=name)
        assert (value != before[name]).any() == (trainable and "moving" in name), name


def assert_close_and_not_equal(rough, exact, least_cosine=0.999):
    """Asserts that embeddings [..., E] are float32, differ, and have at least this cosine."""
    assert rough.dtype == exact.dtype == np.float32
    assert 0 < np.abs(rough - exact).max() < 0.1 * np.abs(exact).max()
    lengths = np.linalg.norm(rough, axis=-1) * np.linalg.norm(exact, axis=-1)
    assert ((rough * exact).sum(-1) > least_cosine * lengths).all()


@pytest.mark.parametrize("tap", ["linear", "pca"])
def test_lower_precision_is_close(tap, tmp_path):
    np.savez(tmp_path / "pca.npz", pca_eigen_vectors=np.eye(128), pca_means=np.zeros(128))
    options = {"width": WIDTH, "seed": 1, "embedding_tap": tap, "pca": tmp_path / "pca.npz"}
    exact = VGGish(**options)(patches(3)).numpy()
    with precision.policy("mixed_bfloat16"):
        rough = VGGish(**options)(patches(3)).numpy()
    assert_close_and_not_equal(rough, exact)


@pytest.mark.parametrize("name", catalogue.trainable_event_models())
def test_a_frozen_event_model_in_bfloat16_returns_embeddings_close_to_those_of_float32(name):
    config = EventModelConfig(name=name, width=1 / 8)
    exact = events.build(config)
    rough = events.build(dataclasses.replace(config, precision="mixed_bfloat16"))
    assert rough.weights_digest() == exact.weights_digest()
    x = patches(2, 5)
    assert_close_and_not_equal(rough(x).numpy(), exact(x).numpy())
    # What is made afterwards is in float32 again.
    assert keras.mixed_precision.global_policy().name == "float32"


def test_the_published_yamnet_in_bfloat16_returns_embeddings_close_to_those_of_float32(real_data):
    config = EventModelConfig(name="yamnet", weights=str(real_data("yamnet_float")))
    half = dataclasses.replace(config, precision="mixed_bfloat16")
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.1, 5 * frontends.EVENT_RATE_HZ).astype(np.float32)
    brown = np.cumsum(noise).astype(np.float32)
    brown *= 0.3 / np.abs(brown).max()
    for waveform in (noise, brown):
        x = frontends.yamnet_patches(waveform)
        rough = events.build(half)(x).numpy()
        assert_close_and_not_equal(rough, events.build(config)(x).numpy(), least_cosine=0.998)


def test_the_first_layer_of_a_frozen_yamnet_in_bfloat16_computes_in_float32():
    config = EventModelConfig(name="yamnet", width=1 / 8, precision="mixed_bfloat16")
    layer = scatter(events.build(config))
    rounded = tf.cast(tf.cast(patches(3), tf.bfloat16), tf.float32)
    assert (layer(patches(3)).numpy() != layer(rounded).numpy()).any()


def test_the_precision_of_the_training_does_not_change_a_frozen_event_model():
    config = EventModelConfig(width=WIDTH)
    expected = events.build(config)(patches(3)).numpy()
    with precision.policy("mixed_bfloat16"):
        frozen = events.build(config)
        trained = events.build(config, trainable=True)
    np.testing.assert_array_equal(frozen(patches(3)).numpy(), expected)
    assert (trained(patches(3)).numpy() != expected).any()


@pytest.mark.parametrize("shape", [(3, 64, 96), (3, 96, 128), (6144,), (2, 48, 64)])
def test_patches_of_another_shape_are_refused_instead_of_reshaped(shape):
    with pytest.raises(ConfigError, match="96 frames of 64"):
        VGGish(width=WIDTH)(tf.zeros(shape))


def test_patches_whose_shape_shows_late_are_refused_too():
    layer = VGGish(width=WIDTH).built_whole()
    late = tf.function(lambda x: layer(x), input_signature=[tf.TensorSpec([None, None, None])])
    assert late(patches(2)).shape == (2, 128)
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError)):
        late(tf.zeros([2, 64, 96]))


@pytest.mark.parametrize("name", catalogue.trainable_event_models())
def test_random_weights_are_a_function_of_the_seed(name):
    config = EventModelConfig(name=name, width=WIDTH)
    first, again, other = (events.build(config, seed=seed) for seed in (1, 1, 2))
    assert first.weights_digest() == again.weights_digest() != other.weights_digest()
    drawn = [
        v.tobytes()
        for key, v in arrays(first).items()
        if key.endswith(("kernel", "weights")) and v.size > 1
    ]
    assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize("name", catalogue.trainable_event_models())
def test_what_the_table_says_without_tensorflow_is_what_the_layers_say(name):
    cls = events.event_model_class(name)
    assert cls.model_name == name
    assert events.build(EventModelConfig(name=name, width=WIDTH), trainable=True).trainable
    assert not events.build(EventModelConfig(name=name, width=WIDTH)).trainable
    with pytest.raises(ConfigError, match="vggish, yamnet"):
        events.event_model_class("panns")


@pytest.mark.parametrize(
    ("cls", "options"),
    [(VGGish, {"embedding_tap": "relu"}), (YAMNet, {"classifier": True, "activation": "relu6"})],
)
def test_a_serialised_layer_is_restored_with_its_weights(cls, options, tmp_path):
    layer = cls(width=WIDTH, trainable=True, seed=3, **options).built_whole()
    tf.train.Checkpoint(layer=layer).write(str(tmp_path / "checkpoint"))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
    for variable in again.built_whole().named_variables().values():
        variable.assign(tf.zeros_like(variable))
    tf.train.Checkpoint(layer=again).read(str(tmp_path / "checkpoint")).assert_consumed()
    assert again.weights_digest() == layer.weights_digest()


def test_a_recorded_tap_is_used_where_none_is_asked_for(tmp_path):
    VGGish(width=WIDTH, embedding_tap="relu", seed=1).save_npz(tmp_path / "w.npz")
    assert VGGish.from_npz(tmp_path / "w.npz").embedding_tap == "relu"
    assert VGGish.from_npz(tmp_path / "w.npz", embedding_tap="linear").embedding_tap == "linear"
    record = weight_files.from_npz(tmp_path / "w.npz")[1]
    assert record["sha256"] == VGGish.from_npz(tmp_path / "w.npz").weights_digest()


@pytest.mark.parametrize(
    "damage", ["cut", "flip", "empty", "other weights", "broken record", "one array"]
)
def test_a_damaged_npz_is_refused(damage, tmp_path):
    path = tmp_path / "w.npz"
    VGGish(width=WIDTH, seed=1).save_npz(path)
    content = path.read_bytes()
    weights, record = weight_files.from_npz(path)
    if damage == "other weights":
        weights["vggish/fc2/biases"][3] += 1e-6
    damaged = {
        "cut": content[:-200],
        "flip": content[:4000] + bytes([content[4000] ^ 1]) + content[4001:],
        "empty": b"",
    }
    if damage in damaged:
        path.write_bytes(damaged[damage])
    elif damage == "one array":
        with open(path, "wb") as file:
            np.save(file, np.zeros(3))
    else:
        np.savez(
            path,
            **weights,
            __record__=np.array("{" if damage == "broken record" else json.dumps(record)),
        )
    with pytest.raises(WeightsError, match=r"w\.npz"):
        VGGish.from_npz(path)


def test_a_killed_writing_leaves_the_old_file(tmp_path, monkeypatch):
    layer = VGGish(width=WIDTH, seed=1)
    layer.save_npz(tmp_path / "w.npz")
    before = (tmp_path / "w.npz").read_bytes()

    def fail(file, **_):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="disk full"):
        layer.save_npz(tmp_path / "w.npz")
    assert [p.name for p in tmp_path.iterdir()] == ["w.npz"]
    assert (tmp_path / "w.npz").read_bytes() == before


def module_of(weights, **more):
    module = tf.Module()
    module.by_name = {
        name: tf.Variable(value, name=name, trainable=False) for name, value in weights.items()
    }
    for name, value in more.items():
        setattr(module, name, value)
    return module


def test_a_module_whose_variables_hang_on_several_paths_is_read(tmp_path):
    layer = VGGish(width=WIDTH, seed=5)
    module = module_of(arrays(layer))
    # the same variables deeper down and again in a list, as Keras models have them; names of paths
    # hold slashes
    module.a = tf.Module()
    module.a.b = tf.Module()
    module.a.b.c = list(module.by_name.values())
    module.z = module.a.b.c[::-1]
    tf.saved_model.save(module, str(tmp_path / "module"))
    assert (
        VGGish.from_hub(tmp_path / "module", width=WIDTH).weights_digest() == layer.weights_digest()
    )


def test_two_variables_of_one_name_are_refused(tmp_path):
    module = module_of(
        arrays(VGGish(width=WIDTH)), again=tf.Variable([1.0], name="vggish/fc2/biases")
    )
    tf.saved_model.save(module, str(tmp_path / "module"))
    with pytest.raises(WeightsError, match="two variables named 'vggish/fc2/biases'"):
        VGGish.from_hub(tmp_path / "module", width=WIDTH)


@pytest.mark.parametrize(
    "part",
    ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"],
)
def test_a_module_that_is_cut_off_is_refused(part, tmp_path):
    tf.saved_model.save(module_of(arrays(VGGish(width=WIDTH, seed=1))), str(tmp_path / "module"))
    path = tmp_path / "module" / part
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(WeightsError, match="not a readable SavedModel"):
        VGGish.from_hub(tmp_path / "module", width=WIDTH)


def test_a_checkpoint_of_several_files_is_read_by_its_prefix(tmp_path):
    layer = VGGish(width=WIDTH, seed=5)
    weights = arrays(layer)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variables = [
            tf.compat.v1.Variable(value, name=name, use_resource=False)
            for name, value in weights.items()
        ]
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver(variables).save(
            session, str(tmp_path / "model.ckpt"), write_meta_graph=False
        )
    built = events.build(EventModelConfig(width=WIDTH, weights=str(tmp_path / "model.ckpt")))
    assert built.weights_digest() == layer.weights_digest()


def test_yamnets_classifier_is_known_by_its_older_name(tmp_path):
    layer = YAMNet(width=WIDTH, classifier=True, seed=2)
    old = {name.replace("dense/", "logits/"): value for name, value in arrays(layer).items()}
    assert "logits/kernel" in old
    np.savez(tmp_path / "old.npz", **old)
    read = YAMNet.from_npz(tmp_path / "old.npz", width=WIDTH, classifier=True)
    assert read.weights_digest() == layer.weights_digest()


def test_yamnets_statistics_follow_within_tens_of_steps():
    layer = YAMNet(width=WIDTH, trainable=True, seed=1)
    layer.built_whole()
    x = patches(4) + 3.0
    for _ in range(30):
        layer(x, training=True)
    kernel = layer.named_variables()["layer1/conv/kernel"]
    mean = tf.reduce_mean(tf.nn.conv2d(x[..., tf.newaxis], kernel, 2, "SAME"), [0, 1, 2]).numpy()
    np.testing.assert_allclose(
        layer.named_variables()["layer1/conv/bn/moving_mean"], mean, rtol=0.1
    )
