"""SavedModels of other projects as event models: what they compute, and what is refused."""

import dataclasses
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from crossask import events
from crossask.audio import frontends, read_audio, resample
from crossask.config import EventModelConfig, Experiment
from crossask.errors import ConfigError, WeightsError
from crossask.events.yamnet import YAMNet

WAVEFORM = tf.TensorSpec([None], tf.float32)
BATCH = tf.TensorSpec([None, None], tf.float32)
FRAME = 400


def saved(folder, function, spec=WAVEFORM, scale=2.0):
    """Saves a module whose __call__ is `function` of a variable and `spec`; returns the folder."""

    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            self.scale = tf.Variable(scale)

        @tf.function(input_signature=[spec])
        def __call__(self, waveform):
            return function(self.scale, waveform)

    tf.saved_model.save(Module(), str(folder))
    return folder


def frames(scale, waveform):
    """Frames of 400 samples and their squares: [..., n, 800], in TensorFlow or NumPy."""
    cut = tf.signal.frame(waveform, FRAME, FRAME)
    return scale * tf.concat([cut, cut**2], -1)


def expected(waveform):
    cut = waveform[: len(waveform) // FRAME * FRAME].reshape(-1, FRAME)
    return 2 * np.concatenate([cut, cut**2], 1)


def read(folder, **choices):
    return events.build(EventModelConfig(name="saved_model", weights=str(folder), **choices))


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, shape).astype(np.float32)


def test_the_path_of_a_model_may_have_brackets(tmp_path):
    model = read(saved(tmp_path / "model [1]", frames))
    waveform = noise(4000)
    np.testing.assert_allclose(model(waveform), expected(waveform), rtol=1e-5)


@pytest.mark.parametrize("spec", [WAVEFORM, BATCH, tf.TensorSpec([None, 4000], tf.float32)])
def test_embeddings_are_those_of_each_waveform(tmp_path, spec):
    model = read(saved(tmp_path / "model", frames, spec))
    waveforms = noise(3, 4000)
    embedding = model(tf.constant(waveforms))
    assert embedding.shape == (3, 10, 800)
    assert model.embedding_shape(4000) == (10, 800)
    for found, waveform in zip(embedding, waveforms, strict=True):
        np.testing.assert_allclose(found, expected(waveform), rtol=1e-6)


@pytest.mark.parametrize("spec", [WAVEFORM, BATCH])
def test_a_graph_for_any_number_of_waveforms_computes_the_same(tmp_path, spec):
    model = read(saved(tmp_path / "model", frames, spec))
    graph = tf.function(model, input_signature=[tf.TensorSpec([None, 4000], tf.float32)])
    assert graph.get_concrete_function().output_shapes == [None, 10, 800]
    waveforms = tf.constant(noise(2, 4000))
    np.testing.assert_array_equal(graph(waveforms), model(waveforms))


def test_a_model_of_fixed_length_reads_windows_and_the_last_one_is_filled_with_silence(tmp_path):
    fixed = saved(tmp_path / "model", frames, tf.TensorSpec([None, 1600], tf.float32))
    waveform = noise(4000)
    filled = np.pad(waveform, [0, 800])
    np.testing.assert_allclose(
        read(fixed)(tf.constant(waveform[np.newaxis]))[0], expected(filled), rtol=1e-6
    )
    # 0.1 s are 1600 samples at 16 kHz, but not at 32 kHz.
    assert read(fixed, window_seconds=0.1).embedding_shape(4000) == (12, 800)
    with pytest.raises(ConfigError, match="3200 samples, but the model reads 1600"):
        read(fixed, window_seconds=0.1, sample_rate_hz=32000)


@pytest.mark.parametrize("spec", [WAVEFORM, BATCH])
def test_windows_make_a_sequence_of_a_model_with_one_embedding_of_a_waveform(tmp_path, spec):
    def mean(scale, waveform):
        moments = [tf.reduce_mean(waveform, -1), tf.reduce_max(waveform, -1)]
        return scale * tf.stack(moments, -1)

    folder = saved(tmp_path / "model", mean, spec)
    waveforms = noise(2, 4000)
    assert read(folder)(tf.constant(waveforms)).shape == (2, 1, 2)
    found = read(folder, window_seconds=0.05)(tf.constant(waveforms))
    cut = waveforms.reshape(2, 5, 800)
    np.testing.assert_allclose(found, 2 * np.stack([cut.mean(-1), cut.max(-1)], -1), rtol=1e-4)


def test_the_output_is_chosen_by_position_or_name(tmp_path):
    def both(scale, waveform):
        embedding = frames(scale, waveform)
        return embedding[:, :3], embedding

    def named(scale, waveform):
        scores, embedding = both(scale, waveform)
        return {"scores": scores, "embedding": embedding}

    by_position = saved(tmp_path / "tuple", both)
    by_name = saved(tmp_path / "dictionary", named)
    waveform = noise(4000)
    for folder, choice in ((by_position, "1"), (by_name, "embedding")):
        model = read(folder, output=choice)
        np.testing.assert_allclose(
            model(tf.constant(waveform[np.newaxis]))[0], expected(waveform), rtol=1e-6
        )
    # A number is taken as text, so that --params_override=event_model.output=1 means the same.
    assert EventModelConfig(name="saved_model", output=1).output == "1"
    with pytest.raises(WeightsError, match="2 outputs") as caught:
        read(by_position).embedding_shape(4000)
    assert "0 [10, 3], 1 [10, 800]" in caught.value.fix
    with pytest.raises(WeightsError, match="no output 'embeddings'") as caught:
        read(by_name, output="embeddings").embedding_shape(4000)
    assert "embedding [10, 800]" in caught.value.fix


def test_a_signature_is_read_where_the_model_is_no_function(tmp_path):
    module = tf.Module()
    module.scale = tf.Variable(2.0)

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, name="audio")])
    def infer(audio):
        return {"embedding": frames(module.scale, audio)}

    tf.saved_model.save(module, str(tmp_path / "model"), signatures={"infer": infer})
    waveform = noise(4000)
    model = read(tmp_path / "model")
    np.testing.assert_allclose(
        model(tf.constant(waveform[np.newaxis]))[0], expected(waveform), rtol=1e-6
    )
    assert len(model.weights) == 1


def test_a_keras_model_is_read_in_inference(tmp_path):
    inputs = keras.Input([4000])
    x = keras.layers.Reshape([10, 400])(inputs)
    outputs = keras.layers.Dropout(0.5)(keras.layers.Dense(8)(x))
    network = keras.Model(inputs, outputs)
    network.save(tmp_path / "model", save_format="tf")
    waveforms = noise(3, 4000)
    model = read(tmp_path / "model")
    np.testing.assert_allclose(model(tf.constant(waveforms)), network(waveforms), atol=1e-6)
    assert sum(variable.shape.num_elements() for variable in model.weights) == 400 * 8 + 8


def test_the_published_graph_of_yamnet_computes_what_the_layer_computes(real_data, tmp_path):
    folder = real_data("yamnet_float")
    clip = real_data("scene_samples") / "metro_station-paris.wav"
    # The module of TF-Hub is the second layer of a network for bicycle bells. Of its outputs
    # (scores, embeddings, log-mel), it kept the scores.
    loaded = tf.saved_model.load(str(folder))
    module = tf.Module()
    module.network = loaded
    yamnet = getattr(loaded, "layer-1")
    embed = tf.function(lambda waveform: yamnet(waveform), input_signature=[BATCH])
    tf.saved_model.save(module, str(tmp_path / "model"), signatures={"serving_default": embed})
    model = read(tmp_path / "model", output="scores")
    layer = YAMNet.from_hub(folder, classifier=True)
    waveform, rate = read_audio(clip)
    mono = resample(waveform.mean(1)[: 10 * rate], rate, 16000).numpy()
    # Both fill the end with silence up to a whole patch, so there are as many patches.
    for samples, patches in ((15600, 1), (16000, 2), (48100, 6), (160000, 20)):
        scores = layer.scores(frontends.yamnet_patches(mono[:samples]))
        assert model.embedding_shape(samples) == scores.shape == (patches, 521)
        np.testing.assert_allclose(model(mono[np.newaxis, :samples])[0], scores, atol=2e-5)


def test_it_is_frozen(tmp_path):
    model = read(saved(tmp_path / "model", frames))
    waveform = tf.Variable(noise(1, 4000))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(model(waveform))
    assert tape.gradient(total, [waveform, *model.weights]) == [None, None]
    with pytest.raises(ConfigError, match="cannot be trained"):
        events.build(EventModelConfig(name="saved_model", weights="x"), trainable=True)
    row = Experiment(
        "row", system="VEM", strategy="feature_based", event_model=EventModelConfig("saved_model")
    )
    for strategy in ("from_scratch", "fine_tuning"):
        with pytest.raises(ConfigError, match="Set strategy=feature_based"):
            dataclasses.replace(row, strategy=strategy)


def test_the_digest_is_that_of_the_content_and_the_choices(tmp_path):
    first = saved(tmp_path / "first", frames)
    digest = read(first).weights_digest()
    moved = tmp_path / "elsewhere" / "moved"
    moved.parent.mkdir()
    first.rename(moved)
    assert read(moved).weights_digest() == digest
    assert read(moved, sample_rate_hz=32000).weights_digest() != digest
    assert read(moved, window_seconds=1.0).weights_digest() != digest
    assert read(moved, output="0").weights_digest() != digest
    other = saved(tmp_path / "other", lambda scale, x: 3 * frames(scale, x))
    assert read(other).weights_digest() != digest
    # Only the values of the variables differ here.
    trained = saved(tmp_path / "trained", frames, scale=3.0)
    shutil.rmtree(moved / "variables")
    shutil.copytree(trained / "variables", moved / "variables")
    assert read(moved).weights_digest() != digest


def two_inputs(folder):
    module = tf.Module()
    specs = [WAVEFORM, tf.TensorSpec([], tf.int32)]
    module.embed = tf.function(lambda samples, rate: samples, input_signature=specs)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.embed})


def no_function(folder):
    tf.saved_model.save(tf.Module(), str(folder))


def whole_numbers(folder):
    saved(folder, lambda _, x: x[tf.newaxis], tf.TensorSpec([None], tf.int16))


def damaged(folder):
    saved(folder, frames)
    (folder / "saved_model.pb").write_bytes(b"no protocol buffer")


@pytest.mark.parametrize(
    ("write", "problem"),
    [
        (two_inputs, "takes float32 .None., int32 .., which is not one waveform"),
        (no_function, "can neither be called nor has it a signature"),
        (whole_numbers, "takes int16 .None., which is not one waveform"),
        (damaged, "cannot be loaded"),
        (lambda folder: folder.mkdir(), "contains no saved_model.pb"),
        (lambda folder: None, "There are no weights at"),
    ],
)
def test_what_is_no_function_of_a_waveform_is_refused(tmp_path, write, problem):
    write(tmp_path / "model")
    with pytest.raises(WeightsError, match=problem):
        read(tmp_path / "model")


@pytest.mark.parametrize(
    ("function", "spec", "problem"),
    [
        (lambda scale, x: tf.reduce_sum(x), WAVEFORM, r"float32 \[\] for a waveform \[4000\]"),
        (lambda scale, x: tf.zeros([2, 3, 4, 5]), WAVEFORM, r"float32 \[2, 3, 4, 5\]"),
        # The axis of the batch is gone.
        (lambda scale, x: tf.reshape(frames(scale, x), [-1, 800]), BATCH, r"\[20, 800\] for wave"),
        (lambda scale, x: tf.cast(frames(scale, x), tf.int32), WAVEFORM, r"int32 \[10, 800\]"),
        (lambda scale, x: tf.zeros([0, 8]), WAVEFORM, r"float32 \[0, 8\]"),
        (lambda scale, x: frames(scale, x) / 0.0, WAVEFORM, "not finite"),
        (lambda scale, x: tf.ensure_shape(x, [3])[None], WAVEFORM, r"cannot read a waveform of 40"),
    ],
)
def test_what_gives_no_embeddings_is_refused(tmp_path, function, spec, problem):
    model = read(saved(tmp_path / "model", function, spec))
    with pytest.raises(WeightsError, match=problem):
        model.embedding_shape(4000)
    # The same error leaves a graph.
    graph = tf.function(model, input_signature=[tf.TensorSpec([None, 4000], tf.float32)])
    with pytest.raises(WeightsError, match=problem):
        graph.get_concrete_function()


def test_wrong_choices_are_refused():
    with pytest.raises(WeightsError, match=r"event_model\.weights is empty"):
        read("")
    with pytest.raises(ConfigError, match="sample_rate_hz is 12345") as caught:
        read("anything", sample_rate_hz=12345)
    assert "16000" in caught.value.fix
    for choice in ({"sample_rate_hz": 32000}, {"output": "1"}, {"window_seconds": 1.0}):
        with pytest.raises(ConfigError, match="which has no such choice"):
            Experiment("row", system="CMAM", event_model=EventModelConfig("yamnet", **choice))
