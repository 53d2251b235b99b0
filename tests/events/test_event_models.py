"""VGGish and YAMNet have the published sizes, read published weights by name, and are frozen or
trainable by one flag.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from scipy.signal import correlate2d

from crossask import events
from crossask.audio import frontends
from crossask.config import EventModelConfig, catalogue
from crossask.errors import ConfigError, WeightsError
from crossask.events import weights as weight_files
from crossask.events.vggish import CONVOLUTIONS, VGGish
from crossask.events.yamnet import LAYERS, YAMNet

TINY = {"width": 1 / 64}


@pytest.fixture(scope="module")
def modules():
    """Full-size modules: vggish_hub/, vggish_model.ckpt, vggish.npz, yamnet_hub/,
    vggish_expected.npz.
    """
    folder = os.environ.get("CROSSASK_TEST_MODULES", "")
    if not Path(folder, "vggish_hub").is_dir():
        pytest.skip(
            "needs CROSSASK_TEST_MODULES, a folder with full-size stand-ins of published modules"
        )
    return Path(folder)


def tiny(cls=VGGish, **options):
    return cls(**{**TINY, **options}).built_whole()


def patches(count=3, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(0, 1, (count, 96, 64)), tf.float32)


def trainable_count(layer):
    return sum(int(np.prod(v.shape)) for v in layer.trainable_weights)


@pytest.mark.parametrize("width", [1 / 64, 1 / 4])
def test_the_same_rule_of_initialisation_holds_at_every_width(width):
    def kernel(initialisation):
        layer = VGGish(width=width, initialisation=initialisation, seed=0).built_whole()
        return layer.named_variables()["vggish/fc1/fc1_1/weights"].numpy()

    inputs, outputs = kernel("he").shape
    np.testing.assert_allclose(kernel("he").std(), (2 / inputs) ** 0.5, rtol=0.05)
    largest = (6 / (inputs + outputs)) ** 0.5
    np.testing.assert_allclose(np.abs(kernel("glorot")).max(), largest, rtol=0.01)
    # a normal of deviation 0.01, cut off at twice that
    truncated = kernel("truncated_normal")
    np.testing.assert_allclose(
        [truncated.std(), np.abs(truncated).max()], [0.0088, 0.02], rtol=0.05
    )


@pytest.mark.parametrize(
    ("initialisation", "deviation"),
    # He et al. (2015), and Glorot and Bengio (2010) with nine inputs and nine outputs.
    [("he", np.sqrt(2 / 9)), ("glorot", np.sqrt(1 / 9)), ("truncated_normal", 0.0088)],
)
def test_random_depthwise_kernels_are_drawn_for_one_channel(initialisation, deviation):
    named = YAMNet(seed=0, initialisation=initialisation).built_whole().named_variables()
    for number in range(2, len(LAYERS) + 1):
        kernel = named[f"layer{number}/depthwise_conv/depthwise_kernel"].numpy()
        assert kernel.std() == pytest.approx(deviation, rel=0.1)


@pytest.mark.parametrize("cls", [VGGish, YAMNet])
def test_embeddings_of_random_weights_differ_from_patch_to_patch(cls):
    embeddings = cls(seed=0)(patches(8)).numpy()
    deviation = embeddings.std(axis=0).mean()
    assert deviation > 0.05 * np.abs(embeddings).mean()


def test_an_unknown_initialisation_is_an_error():
    with pytest.raises(ConfigError, match="initialisation"):
        VGGish(initialisation="xavier")


def test_parameter_counts_are_the_published_ones():
    full = VGGish(seed=0).built_whole()
    assert full.count_params() == 72_141_184
    whole = YAMNet(trainable=True, classifier=True).built_whole()
    assert (trainable_count(whole), whole.count_params()) == (3_729_481, 3_751_369)
    bare = YAMNet(trainable=True).built_whole()
    assert (trainable_count(bare), bare.count_params()) == (3_195_456, 3_217_344)


@pytest.mark.parametrize(
    "cls", [events.event_model_class(name) for name in catalogue.trainable_event_models()]
)
def test_any_leading_axes_are_kept(cls):
    layer = tiny(cls)
    x = patches(6)
    flat = layer(x)
    assert flat.shape == (6, layer.embedding_size)
    np.testing.assert_allclose(
        layer(tf.reshape(x, [2, 3, 96, 64])), tf.reshape(flat, [2, 3, -1]), atol=1e-6
    )


def test_vggish_is_what_numpy_makes_of_its_description():
    layer = tiny()
    named = {name: v.numpy().astype(np.float64) for name, v in layer.named_variables().items()}
    x = patches(1).numpy()[0].astype(np.float64)[:, :, np.newaxis]
    for name, _, pooled in CONVOLUTIONS:
        kernel, bias = named[f"vggish/{name}/weights"], named[f"vggish/{name}/biases"]
        outputs = [
            sum(correlate2d(x[:, :, i], kernel[:, :, i, o], "same") for i in range(x.shape[2]))
            + bias[o]
            for o in range(kernel.shape[3])
        ]
        x = np.maximum(np.stack(outputs, -1), 0)
        if pooled:
            x = x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2, -1).max((1, 3))
    x = x.reshape(-1)  # time, frequency, channel
    for name in ("fc1/fc1_1", "fc1/fc1_2"):
        x = np.maximum(x @ named[f"vggish/{name}/weights"] + named[f"vggish/{name}/biases"], 0)
    x = x @ named["vggish/fc2/weights"] + named["vggish/fc2/biases"]
    np.testing.assert_allclose(layer(patches(1))[0], x, atol=1e-5 * np.abs(x).max())
    np.testing.assert_allclose(
        tiny(embedding_tap="relu")(patches(1))[0], np.maximum(x, 0), atol=1e-5 * np.abs(x).max()
    )


def test_the_pca_tap_is_the_published_post_processing_without_its_bits(tmp_path):
    rng = np.random.default_rng(0)
    vectors, mean = rng.normal(0, 0.1, (128, 128)), rng.normal(0, 0.01, (128, 1))
    np.savez(tmp_path / "pca.npz", pca_eigen_vectors=vectors, pca_means=mean)
    plain = tiny()(patches()).numpy()
    projected = tiny(embedding_tap="pca", pca=tmp_path / "pca.npz")(patches()).numpy()
    np.testing.assert_allclose(projected, np.clip((plain - mean.T) @ vectors.T, -2, 2), atol=1e-3)
    assert (np.abs(projected) < 2).any()


def test_the_tap_of_2019_is_the_published_post_processing_of_the_relu(tmp_path):
    rng = np.random.default_rng(0)
    vectors = rng.normal(0, 0.1, (128, 128))
    mean = rng.normal(0, 0.01, (128, 1))
    np.savez(tmp_path / "pca.npz", pca_eigen_vectors=vectors, pca_means=mean)
    relu = np.float64(tiny(embedding_tap="relu")(patches()))
    bits = tiny(embedding_tap="vggish_2019", pca=tmp_path / "pca.npz")(patches()).numpy()
    # As vggish_postprocess.py of tensorflow/models: a conversion to uint8 cuts off the fraction.
    clipped = np.clip((relu - mean.T) @ vectors.T, -2, 2)
    wanted = ((clipped + 2) * 255 / 4).astype(np.uint8)
    difference = np.abs(bits - wanted)
    # A value at the edge of two steps may fall on either side in float32.
    assert difference.max() <= 1
    assert (difference == 0).mean() > 0.98
    assert len(np.unique(bits)) > 20
    assert bits.min() >= 0
    assert bits.max() <= 255


@pytest.mark.parametrize("tap", ["pca", "vggish_2019"])
def test_taps_with_a_pca_need_its_file_and_vggish(tap):
    with pytest.raises(WeightsError, match=f"embedding_tap is '{tap}', and no PCA file"):
        tiny(embedding_tap=tap)
    with pytest.raises(ConfigError, match=f"'{tap}', and YAMNet has none"):
        tiny(YAMNet, embedding_tap=tap)


def test_embeddings_of_8_bits_have_no_gradient_so_they_are_not_trained():
    with pytest.raises(ConfigError, match="cannot be trained through"):
        tiny(embedding_tap="vggish_2019", trainable=True)


def train_three_steps(layer):
    model = keras.Sequential(
        [
            keras.Input([2, 96, 64]),
            layer,
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(2),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    x = tf.reshape(patches(8), [4, 2, 96, 64])
    for _ in range(3):
        model.train_on_batch(x, tf.constant([0, 1, 0, 1]))


@pytest.mark.trains
@pytest.mark.parametrize(
    "cls", [events.event_model_class(name) for name in catalogue.trainable_event_models()]
)
@pytest.mark.parametrize("trainable", [False, True])
def test_frozen_is_bit_identical_and_trainable_moves_every_variable(cls, trainable):
    layer = tiny(cls, trainable=trainable, width=1 / 16)
    before = {name: v.numpy() for name, v in layer.named_variables().items()}
    train_three_steps(layer)
    changed = {
        name for name, v in layer.named_variables().items() if (v.numpy() != before[name]).any()
    }
    assert changed == (set(before) if trainable else set())
    assert bool(layer.trainable_weights) == trainable


@pytest.mark.parametrize(
    "cls", [events.event_model_class(name) for name in catalogue.trainable_event_models()]
)
def test_weights_go_through_npz_with_their_record(cls, tmp_path):
    layer = tiny(cls, activation="relu6", seed=3)
    layer.save_npz(tmp_path / "w.npz")
    again = cls.from_npz(tmp_path / "w.npz")
    assert (again.width, again.activation) == (layer.width, "relu6")
    assert again.weights_digest() == layer.weights_digest()
    np.testing.assert_array_equal(again(patches()), layer(patches()))
    with pytest.raises(WeightsError, match="activation"):
        cls.from_npz(tmp_path / "w.npz", activation="relu")
    with pytest.raises(WeightsError, match="width"):
        cls.from_npz(tmp_path / "w.npz", width=0.5)
    with pytest.raises(WeightsError, match="name"):
        (YAMNet if cls is VGGish else VGGish).from_npz(tmp_path / "w.npz")


def write_saved_model(folder, weights, private=True):
    """A module like TF-Hub's: variables in a private list, none trainable."""
    module = tf.Module()
    module._named = [
        tf.Variable(value, name=name, trainable=False) for name, value in weights.items()
    ]
    module.f = (
        tf.function(lambda x: x + module._named[0][0], input_signature=[tf.TensorSpec([])])
        if private
        else None
    )
    tf.saved_model.save(module, str(folder))


def write_checkpoint(path, weights):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variables = [
            tf.compat.v1.Variable(value, name=name, use_resource=False)
            for name, value in weights.items()
        ]
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver(variables, write_version=1).save(
            session, str(path), write_meta_graph=False
        )


@pytest.fixture(scope="module")
def tiny_weights():
    layer = tiny(seed=5)
    return {name: v.numpy() for name, v in layer.named_variables().items()}, layer.weights_digest()


def test_a_module_and_a_checkpoint_give_the_same_layer(tiny_weights, tmp_path):
    weights, digest = tiny_weights
    write_saved_model(tmp_path / "module", weights)
    write_checkpoint(tmp_path / "model.ckpt", weights)
    assert VGGish.from_hub(tmp_path / "module", **TINY).weights_digest() == digest
    assert VGGish.from_checkpoint(tmp_path / "model.ckpt", **TINY).weights_digest() == digest
    for weights_path in ("module", "model.ckpt"):
        config = EventModelConfig(width=TINY["width"], weights=str(tmp_path / weights_path))
        assert events.build(config).weights_digest() == digest


@pytest.mark.parametrize("name", ["[1]", "*", "\\"])
def test_the_path_of_weights_may_be_a_pattern(tiny_weights, tmp_path, name):
    weights, digest = tiny_weights
    folder = tmp_path / name
    folder.mkdir()
    write_saved_model(folder / "module", weights)
    write_checkpoint(folder / "model.ckpt", weights)
    assert VGGish.from_hub(str(folder / "module"), **TINY).weights_digest() == digest
    assert VGGish.from_checkpoint(folder / "model.ckpt", **TINY).weights_digest() == digest


@pytest.mark.parametrize("writer", ["module", "checkpoint", "npz"])
@pytest.mark.parametrize("fault", ["missing", "extra", "misshapen", "not finite"])
def test_a_variable_that_does_not_fit_is_named(tiny_weights, tmp_path, writer, fault):
    weights = dict(tiny_weights[0])
    if fault == "missing":
        del weights["vggish/fc2/biases"]
    elif fault == "extra":
        weights["vggish/fc3/biases"] = np.zeros(3, np.float32)
    elif fault == "not finite":
        weights["vggish/fc2/biases"] = np.where(np.arange(128) == 5, np.nan, 0).astype(np.float32)
    else:
        weights["vggish/fc2/biases"] = np.zeros(7, np.float32)
    named = "fc3/biases" if fault == "extra" else "fc2/biases"
    path = tmp_path / ("m.npz" if writer == "npz" else "m")
    if writer == "npz":
        np.savez(path, **weights)
    else:
        {"module": write_saved_model, "checkpoint": write_checkpoint}[writer](path, weights)
    read = {
        "module": VGGish.from_hub,
        "checkpoint": VGGish.from_checkpoint,
        "npz": VGGish.from_npz,
    }[writer]
    with pytest.raises(WeightsError, match=named):
        read(path, **TINY)


def test_yamnets_classifier_is_known_and_optional(tmp_path):
    layer = tiny(YAMNet, classifier=True)
    layer.save_npz(tmp_path / "whole.npz")
    bare = YAMNet.from_npz(tmp_path / "whole.npz")
    np.testing.assert_array_equal(bare(patches()), layer(patches()))
    again = YAMNet.from_npz(tmp_path / "whole.npz", classifier=True)
    assert again.scores(patches()).shape == (3, 521)
    np.testing.assert_array_equal(again.scores(patches()), layer.scores(patches()))
    with pytest.raises(ConfigError, match="no classifier"):
        bare.scores(patches())


def test_the_digest_follows_tap_activation_and_every_weight(tiny_weights):
    _, digest = tiny_weights
    assert tiny(seed=5, embedding_tap="relu").weights_digest() != digest
    assert tiny(seed=5, activation="relu6").weights_digest() != digest
    layer = tiny(seed=5)
    for name, variable in layer.named_variables().items():
        value = variable.numpy()
        variable.assign(
            value + np.eye(1, value.size, value.size - 1).reshape(value.shape).astype(np.float32)
        )
        assert layer.weights_digest() != digest, name
        variable.assign(value)
    assert layer.weights_digest() == digest


@pytest.mark.parametrize("source", ["nowhere.npz", "folder/", "checkpoint"])
def test_what_is_no_weights_is_an_error_that_says_so(tmp_path, source):
    (tmp_path / "folder").mkdir()
    (tmp_path / "checkpoint").write_bytes(b"nothing")
    with pytest.raises(WeightsError):
        events.build(EventModelConfig(weights=str(tmp_path / source)))


def test_a_handle_that_cannot_be_fetched_says_what_to_do_instead(monkeypatch, tmp_path):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    with pytest.raises(WeightsError, match="by hand"):
        weight_files.from_saved_model("http://127.0.0.1:9/vggish/1")
    assert list(tmp_path.rglob("*.pb")) == []


@pytest.mark.parametrize(
    "options", [{"embedding_tap": "last"}, {"activation": "gelu"}, {"width": 0.0}, {"width": 2.0}]
)
def test_an_unknown_choice_is_refused(options):
    with pytest.raises(ConfigError):
        VGGish(**options)


def test_the_layer_survives_its_configuration():
    layer = VGGish(trainable=True, width=1 / 32, embedding_tap="relu", activation="relu6", seed=4)
    again = VGGish.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize("source", ["vggish_hub", "vggish_model.ckpt", "vggish.npz"])
def test_full_size_vggish_equals_calling_the_module(modules, source):
    expected = np.load(modules / "vggish_expected.npz")
    layer = events.build(EventModelConfig(weights=str(modules / source)))
    called = tf.saved_model.load(str(modules / "vggish_hub"))(expected["waveform"]).numpy()
    ours = layer(frontends.vggish_patches(expected["waveform"])).numpy()
    assert np.abs(ours - called).max() < 1e-4 * called.std()


def test_real_yamnet_equals_calling_the_module(modules):
    waveform = np.load(modules / "vggish_expected.npz")["waveform"]
    layer = events.build(
        EventModelConfig(name="yamnet", activation="relu6", weights=str(modules / "yamnet_hub"))
    )
    _, called, _ = tf.saved_model.load(str(modules / "yamnet_hub"))(waveform)
    ours = layer(frontends.yamnet_patches(waveform)).numpy()
    assert np.abs(ours - called.numpy()).max() < 1e-4 * called.numpy().std()


def test_real_yamnet_recognises_silence_and_a_sine(real_data):
    folder = real_data("yamnet")
    layer = YAMNet.from_npz(folder / "yamnet.npz", classifier=True, activation="relu6")
    lines = (folder / "yamnet_class_map.csv").read_text().splitlines()[1:]
    class_names = [line.split(",", 2)[2].strip('"') for line in lines]
    sine = np.sin(2 * np.pi * 440 * np.arange(0, 3, 1 / 16000)).astype(np.float32)
    for waveform, name in ((np.zeros(48000, np.float32), "Silence"), (sine, "Sine wave")):
        mean = layer.scores(frontends.yamnet_patches(waveform)).numpy().mean(0)
        assert name in [class_names[i] for i in np.argsort(mean)[-10:]]
