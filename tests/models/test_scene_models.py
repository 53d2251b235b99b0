"""Sizes, values and errors of the scene models."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from crossask import models
from crossask.config import ModelConfig
from crossask.errors import ConfigError, DataError

EVENT_FIRST, SCENE_FIRST = "event_queries_scene", "scene_queries_event"


def size(variables):
    return sum(int(np.prod(variable.shape)) for variable in variables)


def doubles(variables):
    return [np.float64(variable.numpy()) for variable in variables]


def noise(*shape):
    return np.random.default_rng(5).normal(size=shape).astype(np.float32)


@pytest.fixture(scope="module")
def paper_fa():
    model = models.build("FA", 10)
    return model, model({"log_mel": noise(1, 998, 64, 2)})


@pytest.fixture(scope="module")
def paper_cmam():
    model = models.build("CMAM", 10)
    return model, model({"log_mel": noise(1, 998, 64, 2), "embedding": noise(1, 10, 128)})


def test_fa_has_exactly_the_papers_parameters(paper_fa):
    model, logits = paper_fa
    assert (model.count_params(), size(model.trainable_variables)) == (3_736_458, 3_734_538)
    assert (
        size(layer.kernel for layer in model.encoder.convolutions) == 1_549_440
    )  # ~1.47 x 2^20, Table 2
    assert size(model.pooling.weights) == 2_101_248
    assert size(model.scene.weights) == 81_930
    assert logits.shape == (1, 10)
    assert logits.dtype == tf.float32


def test_cmam_has_exactly_the_papers_parameters(paper_cmam):
    model, logits = paper_cmam
    assert (model.count_params(), size(model.trainable_variables)) == (37_563_274, 37_561_354)
    blocks = [model.self_attention, model.cross_attention]
    assert (
        size(w for block in blocks for w in block.weights if "layer_norm" not in w.name)
        == 33_554_432
    )  # ~33M, Table 2
    assert size(model.widening.weights) == 264_192
    assert size(model.pooling.weights) == 2_101_248
    assert size(model.scene.weights) == 81_930
    assert logits.shape == (1, 10)


@pytest.fixture(scope="module")
def paper_vem():
    model = models.build("VEM", 10)
    return model, model({"embedding": noise(1, 10, 128)})


@pytest.fixture(scope="module")
def paper_jrm():
    model = models.build("JRM", 10)
    return model, model({"log_mel": noise(1, 998, 64, 2), "embedding": noise(1, 10, 128)})


def test_jrm_has_exactly_the_papers_parameters(paper_jrm):
    model, logits = paper_jrm
    assert (model.count_params(), size(model.trainable_variables)) == (40_518_858, 40_506_826)
    assert (
        size(layer.kernel for layer in model.event_encoder.convolutions) == 34_579_008
    )  # ~33M = 32.98 x 2^20, Table 2
    assert size(model.encoder.weights) == 1_549_440 + 4 * 960
    assert size(model.event_pooling.weights) == 2_101_248
    assert size(model.scene.weights) == 163_850
    assert size(model.narrowing.weights) == 0  # 128 wide already
    assert logits.shape == (1, 10)


def test_vem_with_four_pools_as_printed_keeps_one_step_if_their_edges_are_padded(
    paper, narrow, scramble
):
    config = dataclasses.replace(
        narrow,
        encoder_channels=(2, 3, 2, 3),
        vem_pools=((2, 2),) * 4,
        vem_pool_padding="same",
    )
    model = models.build("VEM", 3, config)
    embedding = noise(2, 10, 12)
    model({"embedding": embedding})
    scramble(model)
    logits, attention = model.explain({"embedding": embedding})
    assert attention["pooling"].shape == (2, 2, 1)  # 10, 5, 3, 2, 1
    assert model.encoder(np.zeros((1, 10, 128, 1), "f")).shape == (1, 1, 8 * 3)
    for i in range(2):
        x = np.float64(embedding[i])[:, :, np.newaxis]
        for convolution, norm in zip(
            model.encoder.convolutions, model.encoder.batch_norms, strict=True
        ):
            moments = doubles([norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance])
            kernels = doubles([convolution.kernel])
            x = paper.conv_block(x, *kernels, *moments, norm.epsilon, (1, 1))
            # An odd size ends with a pool of one.
            frames = range(0, x.shape[0], 2)
            x = np.stack([x[t : t + 2].max(0) for t in frames])
            bins = range(0, x.shape[1], 2)
            x = np.stack([x[:, f : f + 2].max(1) for f in bins], axis=1)
        wanted, _ = answered(paper, model, x.reshape(1, -1))
        np.testing.assert_allclose(logits[i], wanted, rtol=1e-4, atol=1e-4)


def test_vem_with_four_pools_as_printed_has_no_step_left_without_padding(narrow):
    config = dataclasses.replace(narrow, encoder_channels=(2, 3, 2, 3), vem_pools=((2, 2),) * 4)
    with pytest.raises(DataError, match=r"10 frames.*at least 16[^$]*vem_pool_padding=same"):
        models.build("VEM", 3, config)({"embedding": noise(2, 10, 128)})


def test_vem_pools_ten_patches_to_two_steps(paper_vem):
    model, logits = paper_vem
    # kernels 3x3: 1-64-128-256-512, batch norms 4 x 960; pooling over 4096; one layer to 10 scenes
    assert (
        model.count_params()
        == 9 * (64 + 64 * 128 + 128 * 256 + 256 * 512)
        + 4 * 960
        + 4096 * 1024
        + 1024 * 4
        + 4 * 4096 * 10
        + 10
    )
    assert model.explain({"embedding": noise(1, 10, 128)})[1]["pooling"].shape == (1, 4, 2)
    assert logits.shape == (1, 10)


@pytest.mark.parametrize(
    ("system", "classes", "frames", "total", "trained"),
    [
        ("DCASE2017", 15, 500, 13_365, 13_365),
        ("DCASE2019", 10, 501, 116_310, 116_118),
    ],
)
def test_official_baselines_have_their_published_parameters(
    system, classes, frames, total, trained
):
    model = models.build(system, classes)
    assert model({"log_mel": noise(1, frames, 40, 1)}).shape == (1, classes)
    assert (model.count_params(), size(model.trainable_variables)) == (total, trained)


def test_the_2017_baseline_counts_its_frames_votes():
    model = models.build("DCASE2017", 3)
    log_mel = noise(2, 40, 40, 1)
    probabilities = tf.nn.softmax(model({"log_mel": log_mel})).numpy()
    votes = np.zeros((2, 3))
    for clip in range(2):
        for t in range(40):
            # The official aggregator: frames t - 2 to t + 2, beyond the ends the first or the last.
            context = np.clip(np.arange(t - 2, t + 3), 0, 39)
            logits = model({"log_mel": log_mel[clip : clip + 1, context]}).numpy()
            votes[clip, logits.argmax()] += 1
    np.testing.assert_allclose(probabilities, votes / 40, atol=1e-6)


def test_the_2019_baseline_reads_500_frames_and_asks_for_them():
    model = models.build("DCASE2019", 3)
    log_mel = noise(1, 501, 40, 1)
    np.testing.assert_array_equal(model({"log_mel": log_mel}), model({"log_mel": log_mel[:, :500]}))
    with pytest.raises(DataError, match="got 499 frames"):
        model({"log_mel": log_mel[:, :499]})


@pytest.mark.parametrize(("system", "needed"), [("DCASE2017", 5), ("DCASE2019", 500)])
def test_a_graph_of_a_baseline_takes_clips_of_unknown_length(system, needed):
    model = models.build(system, 3)
    log_mel = noise(2, needed + 1, 40, 1)
    graph = tf.function(model, input_signature=[{"log_mel": tf.TensorSpec([None, None, 40, 1])}])
    np.testing.assert_allclose(graph({"log_mel": log_mel}), model({"log_mel": log_mel}), atol=1e-5)
    with pytest.raises(DataError, match=f"got {needed - 1} frames"):
        model({"log_mel": log_mel[:, : needed - 1]})


def test_linear_is_one_layer_of_mean_and_deviation_in_numpy():
    model = models.build("LINEAR", 3)
    embedding = noise(2, 5, 7)
    logits = model({"embedding": embedding})
    x = np.concatenate([embedding.mean(1), embedding.std(1)], axis=1)
    kernel, bias = model.get_weights()
    assert kernel.shape == (14, 3)
    np.testing.assert_allclose(logits, x @ kernel + bias, atol=1e-5)


def test_the_penalty_of_linear_is_in_the_training_loss_alone():
    model = models.build("LINEAR", 3, ModelConfig(linear_penalty=0.5))
    embedding = noise(2, 5, 7)
    model({"embedding": embedding}, training=False)
    assert model.losses == []
    model({"embedding": embedding}, training=True)
    (loss,) = model.losses
    np.testing.assert_allclose(loss, 0.5 * np.square(model.get_weights()[0]).sum(), rtol=1e-5)


def test_linear_has_a_finite_gradient_where_embeddings_are_constant():
    model = models.build("LINEAR", 3)
    embedding = tf.ones([1, 5, 7])
    with tf.GradientTape() as tape:
        tape.watch(embedding)
        logits = model({"embedding": embedding})
    assert np.isfinite(tape.gradient(logits, embedding)).all()


def test_jrm_is_section_2_3_in_numpy(paper, narrow, clips, scramble):
    config = dataclasses.replace(
        narrow, event_encoder_channels=(4, 8), event_encoder_pools=((2, 2), (1, 2)), event_width=16
    )
    inputs = {"log_mel": clips[0]["log_mel"][:2, :40], "embedding": clips[0]["embedding"][:2]}
    model = models.build("JRM", 3, config)
    model(inputs)
    scramble(model)
    logits, attention = model.explain(inputs)
    for i in range(2):
        r = encoded(paper, model, np.float64(inputs["log_mel"][i]))
        narrowed = (
            np.float64(inputs["embedding"][i]) @ doubles([model.narrowing.kernel])[0]
            + doubles([model.narrowing.bias])[0]
        )
        e = encoded_by(paper, model.event_encoder, narrowed[:, :, np.newaxis])
        parts = []
        for pooling, x, name in (
            (model.pooling, r, "pooling"),
            (model.event_pooling, e, "event_pooling"),
        ):
            pooled, weights = paper.attention_pooling(
                x, *doubles(pooling.weights), lambda values: np.maximum(values, 0)
            )
            parts.append(pooled)
            np.testing.assert_allclose(attention[name][i], weights, atol=1e-4)
        kernel, bias = doubles([model.scene.kernel, model.scene.bias])
        np.testing.assert_allclose(
            logits[i], np.concatenate(parts) @ kernel + bias, rtol=1e-3, atol=1e-3
        )


def test_vem_is_fas_network_on_the_embedding_in_numpy(paper, narrow, clips, scramble):
    model = models.build("VEM", 3, narrow)
    embedding = clips[0]["embedding"][:2]
    model({"embedding": embedding})
    scramble(model)
    logits, attention = model.explain({"embedding": embedding})
    for i in range(2):
        wanted, weights = answered(
            paper,
            model,
            encoded_by(paper, model.encoder, np.float64(embedding[i])[:, :, np.newaxis]),
        )
        np.testing.assert_allclose(logits[i], wanted, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(attention["pooling"][i], weights, atol=1e-4)


def test_the_pooling_penalty_is_the_heads_redundancy_and_counts_in_training_alone(narrow, clips):
    model = models.build("FA", 3, dataclasses.replace(narrow, pooling_penalty=0.5))
    inputs = {"log_mel": clips[0]["log_mel"]}
    model(inputs)
    assert model.losses == []
    model(inputs, training=True)
    _, attention = model.scene_logits(inputs, True, None)
    grams = [
        np.sum((a @ a.T - np.eye(len(a))) ** 2) for a in attention["pooling"].numpy().astype(float)
    ]
    np.testing.assert_allclose(model.losses[0], 0.5 * np.mean(grams), rtol=1e-4)


@pytest.mark.parametrize(("frames", "steps"), [(998, 62), (498, 31)])
def test_fa_pools_62_steps_of_10_seconds_and_31_of_5(paper_fa, frames, steps):
    model, _ = paper_fa
    assert model.encoder(noise(1, frames, 64, 2)).shape == (1, steps, 2048)
    logits, attention = model.explain({"log_mel": noise(1, frames, 64, 2)})
    assert logits.shape == (1, 10)
    assert attention["pooling"].shape == (1, 4, steps)


def test_cmam_pools_the_patches_and_looks_at_the_scenes_steps(paper_cmam):
    model, _ = paper_cmam
    _, attention = model.explain({"log_mel": noise(1, 998, 64, 2), "embedding": noise(1, 10, 128)})
    shapes = {name: weights.shape.as_list() for name, weights in attention.items()}
    assert shapes == {"pooling": [1, 4, 10], "self": [1, 8, 10, 10], "cross": [1, 8, 10, 62]}
    for weights in attention.values():
        np.testing.assert_allclose(tf.reduce_sum(weights, -1), 1, atol=1e-5)


def encoded(paper, model, log_mel):
    """R of one clip, [T', F' * C'], by the oracle of the encoder."""
    return encoded_by(paper, model.encoder, log_mel)


def encoded_by(paper, encoder, log_mel):
    for convolution, norm, pool in zip(
        encoder.convolutions, encoder.batch_norms, encoder.pools, strict=True
    ):
        moments = doubles([norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance])
        log_mel = paper.conv_block(
            log_mel, *doubles([convolution.kernel]), *moments, norm.epsilon, pool
        )
    return log_mel.reshape(len(log_mel), -1)


@pytest.mark.parametrize("place", ["after_widening", "before_widening"])
@pytest.mark.parametrize("scales", [False, True])
def test_cmam_adds_positions_before_or_after_the_widening(
    paper, narrow, clips, scramble, place, scales
):
    inputs = {"log_mel": clips[0]["log_mel"][:2, :40], "embedding": clips[0]["embedding"][:2]}
    config = dataclasses.replace(narrow, positions=place, scale_embedding=scales)
    model = models.build("CMAM", 3, config)
    model(inputs)
    scramble(model, seed=1)
    logits, _ = model.explain(inputs)
    for i in range(2):
        r = encoded(paper, model, np.float64(inputs["log_mel"][i]))
        kernel, bias = doubles([model.widening.kernel, model.widening.bias])
        embedding = np.float64(inputs["embedding"][i])  # [10, 12], widened to 64
        if place == "before_widening":
            factor = np.sqrt(12) if scales else 1
            h = (factor * embedding + paper.positions(10, 12)) @ kernel + bias
        else:
            factor = np.sqrt(64) if scales else 1
            h = factor * (embedding @ kernel + bias) + paper.positions(10, 64)
        o, _ = attended(paper, model.self_attention, h, h, 16)
        x, _ = attended(paper, model.cross_attention, o, r, 16)
        wanted, _ = answered(paper, model, x)
        np.testing.assert_allclose(logits[i], wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("direction", [EVENT_FIRST, SCENE_FIRST])
def test_cmams_second_block_may_end_with_equation_5(paper, narrow, clips, scramble, direction):
    inputs = {"log_mel": clips[0]["log_mel"][:2, :40], "embedding": clips[0]["embedding"][:2]}
    config = dataclasses.replace(narrow, cross_residual=False, cross_attention=direction)
    model = models.build("CMAM", 3, config)
    model(inputs)
    scramble(model, seed=1)
    logits, _ = model.explain(inputs)
    block = model.cross_attention
    matrices = doubles([block.query.kernel, block.key.kernel, block.value.kernel])
    (w_o,) = doubles([block.output_projection.kernel])
    for i in range(2):
        r = encoded(paper, model, np.float64(inputs["log_mel"][i]))
        kernel, bias = doubles([model.widening.kernel, model.widening.bias])
        h = np.float64(inputs["embedding"][i]) @ kernel + bias + paper.positions(10, 64)
        o, _ = attended(paper, model.self_attention, h, h, 16)
        query, key_value = (o, r) if direction == EVENT_FIRST else (r, o)
        outputs, _ = paper.attention_heads(query, key_value, *matrices, heads=4, d=16)
        wanted, _ = answered(paper, model, np.concatenate(outputs, axis=1) @ w_o)
        np.testing.assert_allclose(logits[i], wanted, rtol=1e-3, atol=1e-3)


def test_equation_5_word_by_word_has_no_33_million_parameters():
    config = ModelConfig(attention_projection="each_head")
    model = models.build("CMAM", 10, config)
    model({"log_mel": noise(1, 64, 64, 2), "embedding": noise(1, 10, 128)})
    kernels = []
    for block in (model.self_attention, model.cross_attention):
        layers = (block.query, block.key, block.value, block.output_projection)
        kernels += [layer.kernel for layer in layers]
    assert size(kernels) == 2 * (3 * 2048**2 + 256**2)


def attended(paper, block, query, key_value, d):
    weights = [
        block.query.kernel,
        block.key.kernel,
        block.value.kernel,
        block.output_projection.kernel,
    ]
    weights += [block.layer_norm.gamma, block.layer_norm.beta]
    return paper.attention_block(
        query, key_value, *doubles(weights), heads=block.heads, d=d, epsilon=1e-6
    )


def answered(paper, model, x):
    """Logits of one clip from what is pooled, and the pooling's weights."""
    pooled, weights = paper.attention_pooling(
        x, *doubles(model.pooling.weights), lambda values: np.maximum(values, 0)
    )
    kernel, bias = doubles([model.scene.kernel, model.scene.bias])
    return pooled @ kernel + bias, weights


def test_fa_is_section_2_1_in_numpy(paper, narrow, clips, scramble):
    inputs = {"log_mel": clips[0]["log_mel"][:2, :40]}
    mean, deviation = np.linspace(-6, -2, 64), np.linspace(0.5, 3, 64)
    model = models.build("FA", 3, narrow, log_mel_mean=mean, log_mel_deviation=deviation)
    model(inputs)
    scramble(model)
    logits, attention = model.explain(inputs)
    np.testing.assert_array_equal(logits, model(inputs))
    for i in range(2):
        log_mel = (np.float64(inputs["log_mel"][i]) - mean[:, None]) / deviation[:, None]
        wanted, weights = answered(paper, model, encoded(paper, model, log_mel))
        np.testing.assert_allclose(logits[i], wanted, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(attention["pooling"][i], weights, atol=1e-4)


@pytest.mark.parametrize(
    ("direction", "scale", "d"), [(EVENT_FIRST, "head_dim", 16), (SCENE_FIRST, "query_dim", 64)]
)
def test_cmam_is_section_2_4_in_numpy(paper, narrow, clips, scramble, direction, scale, d):
    inputs = {"log_mel": clips[0]["log_mel"][:2, :40], "embedding": clips[0]["embedding"][:2]}
    config = dataclasses.replace(narrow, cross_attention=direction, attention_scale=scale)
    model = models.build("CMAM", 3, config)
    model(inputs)
    scramble(model, seed=1)
    logits, attention = model.explain(inputs)
    np.testing.assert_array_equal(logits, model(inputs))
    for i in range(2):
        r = encoded(paper, model, np.float64(inputs["log_mel"][i]))
        kernel, bias = doubles([model.widening.kernel, model.widening.bias])
        h = np.float64(inputs["embedding"][i]) @ kernel + bias + paper.positions(10, 64)
        o, own = attended(paper, model.self_attention, h, h, d)
        x, cross = attended(
            paper, model.cross_attention, *((o, r) if direction == EVENT_FIRST else (r, o)), d
        )
        wanted, weights = answered(paper, model, x)
        np.testing.assert_allclose(logits[i], wanted, rtol=1e-3, atol=1e-3)
        for name, wanted in (("self", own), ("cross", cross), ("pooling", weights)):
            np.testing.assert_allclose(attention[name][i], wanted, atol=1e-4)


def test_cmam_works_when_the_scenes_features_have_another_width_than_the_attention(narrow, clips):
    config = dataclasses.replace(narrow, attention_dim=24)
    assert models.build("CMAM", 3, config)(clips[0]).shape == (8, 3)
    with pytest.raises(ConfigError, match=r"queries 64 wide.*attention_dim is 24"):
        models.build("CMAM", 3, dataclasses.replace(config, cross_attention=SCENE_FIRST))(clips[0])


@pytest.mark.parametrize("system", ["VEM", "JRM", "CMAM"])
@pytest.mark.parametrize(
    ("built", "given"), [(12, 20), (20, 12)]
)  # config.event_width is 12: no layer narrows it
def test_embeddings_of_another_width_than_learnt_are_an_error(narrow, clips, system, built, given):
    model = models.build(system, 3, narrow)
    model({**clips[0], "embedding": np.zeros((8, 10, built), np.float32)})
    count = len(model.weights)
    with pytest.raises((DataError, ValueError), match=f"{given}"):
        model({**clips[0], "embedding": np.zeros((8, 10, given), np.float32)})
    assert len(model.weights) == count
    assert model({**clips[0], "embedding": np.zeros((8, 10, built), np.float32)}).shape == (8, 3)


def test_the_order_of_the_embeddings_matters_to_cmam(narrow, clips):
    model = models.build("CMAM", 3, narrow)
    turned = {**clips[0], "embedding": clips[0]["embedding"][:, ::-1]}
    assert np.abs(model(clips[0]) - model(turned)).max() > 1e-3


def test_the_embedding_is_standardised_only_if_the_field_is_set(narrow, clips):
    mean, deviation = np.linspace(-1, 1, 12), np.linspace(0.1, 2, 12)
    statistics = {"embedding_mean": mean, "embedding_deviation": deviation}
    plain = models.build("CMAM", 3, narrow, **statistics)
    standardised = models.build(
        "CMAM", 3, dataclasses.replace(narrow, standardise_embedding=True), **statistics
    )
    by_hand = {
        **clips[0],
        "embedding": ((clips[0]["embedding"] - mean) / deviation).astype(np.float32),
    }
    plain(clips[0]), standardised(clips[0])
    standardised.set_weights(plain.get_weights())
    np.testing.assert_allclose(standardised(clips[0]), plain(by_hand), atol=1e-4)
    assert np.abs(standardised(clips[0]) - plain(clips[0])).max() > 1e-3


def test_patches_pass_through_the_event_model_and_a_ready_embedding_does_not(
    narrow, clips, mean_of_patch
):
    event_model = mean_of_patch()
    model = models.build("CMAM", 3, narrow, event_model=event_model)
    log_mel = clips[0]["log_mel"]
    patches = noise(8, 10, 96, 64)
    logits = model({"log_mel": log_mel, "patches": patches})
    embedding = event_model(patches)
    np.testing.assert_allclose(
        model({"log_mel": log_mel, "embedding": embedding}), logits, atol=1e-5
    )
    np.testing.assert_allclose(
        model({"log_mel": log_mel, "embedding": embedding, "patches": 0 * patches}),
        logits,
        atol=1e-5,
    )
    assert any(variable is event_model.kernel for variable in model.trainable_variables)


@pytest.mark.parametrize("inside_fit", [False, True])
@pytest.mark.parametrize(
    ("system", "keys", "problem"),
    [
        ("FA", ["embedding"], "FA needs log_mel, but was given the keys embedding"),
        ("CMAM", ["log_mel"], "CMAM needs embedding, but was given the keys log_mel"),
    ],
)
def test_a_missing_input_is_named_with_the_inputs_that_were_given(
    narrow, clips, system, keys, problem, inside_fit
):
    model = models.build(system, 3, narrow)
    inputs = {name: clips[0][name] for name in keys}
    model.compile("adam", "mse")
    with pytest.raises(DataError, match=problem):
        model.fit(inputs, clips[1], verbose=0) if inside_fit else model(inputs)


def test_patches_without_an_event_model_say_what_is_missing(narrow, clips):
    with pytest.raises(DataError, match="event_model that turns patches into embeddings"):
        models.build("CMAM", 3, narrow)(
            {"log_mel": clips[0]["log_mel"], "patches": noise(8, 10, 96, 64)}
        )


def test_an_input_that_is_no_dictionary_is_named(narrow, clips):
    with pytest.raises(DataError, match="was given a"):
        models.build("FA", 3, narrow)(clips[0]["log_mel"])


@pytest.mark.parametrize(
    ("system", "changes", "common", "problem"),
    [
        ("CMAM", {"cross_attention": "both"}, {}, "cross_attention is 'both'"),
        ("CMAM", {"attention_scale": "none"}, {}, "attention_scale is 'none'"),
        ("CMAM", {"attention_heads": 5}, {}, r"multiple of attention_heads \(5\)"),
        ("VEM", {"vem_pool_padding": "zeros"}, {}, "vem_pool_padding is 'zeros'"),
        ("CMAM", {"standardise_embedding": True}, {}, "no embedding_mean"),
        ("FA", {"encoder_pools": ((2, 2),)}, {}, "channels and 1 pools"),
        ("FA", {}, {"log_mel_mean": [0.0] * 64}, "Only one of log_mel_mean"),
        (
            "FA",
            {},
            {"log_mel_mean": [0.0] * 64, "log_mel_deviation": [1.0] * 63 + [0.0]},
            "the least 0.0",
        ),
        ("FA", {}, {"event_model": object()}, "FA reads no events"),
        ("VGG", {}, {}, r"no system 'VGG'"),
    ],
)
def test_choices_that_do_not_fit_are_errors_before_any_data(
    narrow, system, changes, common, problem
):
    with pytest.raises(ConfigError, match=problem):
        models.build(system, 3, dataclasses.replace(narrow, **changes), **common)


def test_statistics_of_other_features_are_an_error(narrow, clips):
    model = models.build("FA", 3, narrow, log_mel_mean=[0.0] * 40, log_mel_deviation=[1.0] * 40)
    with pytest.raises(DataError, match="log_mel is 64 wide, and log_mel_mean has 40 values"):
        model(clips[0])


def test_the_default_configuration_is_the_papers(narrow):
    assert models.build("FA", 3).model_config == ModelConfig()
    assert models.build("FA", 3, narrow).model_config == narrow


def test_models_are_loaded_late_and_by_name():
    code = (
        "import sys, crossask.models as m; assert 'tensorflow' not in sys.modules; "
        "assert {'FA', 'CMAM'} <= set(dir(m))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert models.CMAM is type(models.build("CMAM", 2))
    with pytest.raises(AttributeError, match="no attribute 'RESNET'"):
        models.RESNET  # noqa: B018
