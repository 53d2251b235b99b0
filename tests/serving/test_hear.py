"""The interface of HEAR 2021 on exported models: what its tasks rely on, and the event model itself
as the oracle.
"""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import small_corpus
import tensorflow as tf

from crossask import config, events, files, serving
from crossask.audio import frontends
from crossask.config import EventModelConfig
from crossask.errors import CrossaskError
from crossask.serving import hear
from crossask.serving.model_card import model_card
from crossask.training import network, run_folder

YAMNET = dataclasses.replace(
    small_corpus.FEATURE_BASED, name="yamnet", event_model=EventModelConfig("yamnet", width=0.0625)
)
RATE = 16000  # of the exported models; their windows last 2 s


@pytest.fixture(
    scope="module",
    params=[small_corpus.FA, small_corpus.FEATURE_BASED, YAMNET],
    ids=["windows", "vggish", "yamnet"],
)
def exported(request, tmp_path_factory):
    """Returns a row, and the folder of its untrained SavedModel, which has `embed` alone."""
    row = request.param
    folder = tmp_path_factory.mktemp("hear")
    run = run_folder.run_at(folder, row.name, "1", 0)
    files.write_json(
        run.path("config.json"),
        {"experiment": config.to_dict(row), "scenes": ["a", "b"], "corpus": {}},
    )
    files.write_json(run.path("result.json"), {"epochs": 1, "parameters": 1})
    (folder / "model_card.json").write_text(json.dumps(model_card(run)))
    event_model = events.build(row.event_model) if row.event_input else None
    parts = serving.ModelParts(
        experiment=row,
        scene_model=network.build(row, "ab", 0, {}),
        event_model=event_model,
        tagger=None,
        scenes="ab",
        card=str(folder / "model_card.json"),
    )
    served = serving.ServedModel(parts)
    tf.saved_model.save(served, str(folder / "model"), signatures={"embed": served.embed})
    return row, folder / "model"


@pytest.fixture(scope="module")
def model(exported):
    return hear.load_model(str(exported[1]))


def sounds(count, seconds):
    return (
        np.random.default_rng(5).normal(0, 0.1, (count, round(seconds * RATE))).astype(np.float32)
    )


def test_a_model_has_the_attributes_that_the_benchmark_reads(model):
    assert isinstance(model, tf.Module)  # the benchmark takes nothing else
    assert model.sample_rate == RATE
    assert isinstance(model.scene_embedding_size, int)
    assert isinstance(model.timestamp_embedding_size, int)


@pytest.mark.parametrize("seconds", [0.3, 1.1, 2.0, 5.3])
def test_sounds_of_any_length_have_the_shapes_types_and_times_of_the_benchmark(model, seconds):
    audio = tf.constant(sounds(2, seconds))
    scenes = hear.get_scene_embeddings(audio, model)
    embeddings, timestamps = hear.get_timestamp_embeddings(audio, model)
    assert scenes.shape == (2, model.scene_embedding_size)
    assert embeddings.shape == (*timestamps.shape, model.timestamp_embedding_size)
    assert timestamps.shape[0] == 2
    assert scenes.dtype == embeddings.dtype == timestamps.dtype == tf.float32
    times = timestamps.numpy()
    assert np.array_equal(times[0], times[1])
    assert times.min() > 0
    assert times.max() < 1000 * seconds
    steps = np.diff(times[0])
    assert (steps > 0).all()
    np.testing.assert_allclose(steps, steps.mean() if len(steps) else 0, rtol=1e-5)
    assert np.isfinite(scenes.numpy()).all()
    assert np.isfinite(embeddings.numpy()).all()


@pytest.mark.parametrize("seconds", [7.3, 2.2])  # windows are 2 s
def test_timestamp_embeddings_of_a_long_sound_are_those_of_the_event_model_in_one_piece(
    exported, model, seconds
):
    row, _ = exported
    audio = sounds(1, seconds)
    found, timestamps = hear.get_timestamp_embeddings(audio, model)
    if not row.event_input:
        windows = round(seconds) - 1
        assert timestamps.numpy()[0].tolist() == [
            1000.0 * number for number in range(1, windows + 1)
        ]
        expected = np.stack(
            [
                model.embed(audio[0, start * RATE : (start + 2) * RATE]).scene[0]
                for start in range(windows)
            ]
        )
    else:
        patches = {"vggish": frontends.vggish_patches, "yamnet": frontends.yamnet_patches}[
            row.event_model.name
        ](np.pad(audio, ((0, 0), (0, RATE))))
        expected = events.build(row.event_model)(patches)[0][: found.shape[1]]
        hop_ms = 960 if row.event_model.name == "vggish" else 480
        np.testing.assert_allclose(
            timestamps[0],
            487.5 + hop_ms * np.arange(1 + int(1000 * seconds - 487.5) // hop_ms),
            rtol=1e-6,
        )
    assert found.shape[1] == timestamps.shape[1]
    scale = np.abs(expected).max()  # the layers of an untrained YAMNet make its embedding small
    np.testing.assert_allclose(found[0] / scale, expected / scale, atol=1e-3)
    if len(expected) > 1:
        assert (
            np.abs(expected[0] - expected[-1]).max() > 0.01 * scale
        )  # so that another patch would be noticed


@pytest.mark.parametrize("clip_seconds", [1.0, 2.0, 4.5, 10.0, 13.0])
@pytest.mark.parametrize(("name", "hop_ms"), [("vggish", 960), ("yamnet", 480)])
def test_every_timestamp_has_the_patch_that_begins_there(clip_seconds, name, hop_ms):
    front_end = {"vggish": frontends.vggish_patches, "yamnet": frontends.yamnet_patches}[name]

    def embed(window):  # of a patch, its first sample: the time at which it begins
        window = np.pad(window, (0, max(0, round(clip_seconds * RATE) - len(window))))
        return SimpleNamespace(
            events=window[:: RATE * hop_ms // 1000][
                np.newaxis, : patches_of(len(window)), np.newaxis
            ]
        )

    def patches_of(samples):
        return front_end(tf.zeros([samples])).shape[0]

    card = {"front_end": {"events": {"patches": name}}}
    heard_by = SimpleNamespace(
        sample_rate=RATE,
        embed_with_silence=embed,
        patches=patches_of(round(clip_seconds * RATE)),
        classifier=SimpleNamespace(clip_seconds=clip_seconds, card=card),
    )
    for seconds in (
        0.6,
        clip_seconds - 0.1,
        clip_seconds,
        clip_seconds + 0.2,
        2 * clip_seconds + 0.7,
    ):
        found, times = hear._embed_patches(np.arange(round(seconds * RATE)) / RATE, heard_by)
        assert len(found) == len(times)
        np.testing.assert_allclose(found[:, 0], np.arange(len(found)) * hop_ms / 1000, atol=1e-9)


def test_two_sounds_at_once_are_what_each_is_alone(model):
    audio = sounds(2, 3.1)
    together = hear.get_scene_embeddings(audio, model)
    embeddings, timestamps = hear.get_timestamp_embeddings(audio, model)
    for number in range(2):
        alone = audio[number : number + 1]
        np.testing.assert_allclose(
            hear.get_scene_embeddings(alone, model)[0], together[number], rtol=1e-4, atol=1e-9
        )
        of_one, times = hear.get_timestamp_embeddings(alone, model)
        np.testing.assert_allclose(of_one[0], embeddings[number], rtol=1e-4)
        np.testing.assert_array_equal(times[0], timestamps[number])
    assert not np.array_equal(embeddings[0], embeddings[1])


def test_the_scene_embedding_of_a_short_sound_is_that_of_the_repeated_sound(model):
    short = sounds(1, 0.3)
    repeated = np.tile(short, 7)[:, : 2 * RATE]
    np.testing.assert_allclose(
        hear.get_scene_embeddings(short, model),
        hear.get_scene_embeddings(repeated, model),
        rtol=1e-4,
        atol=1e-9,
    )


@pytest.mark.parametrize("exported", [small_corpus.FEATURE_BASED], indirect=True, ids=["vggish"])
def test_the_event_embeddings_of_a_short_sound_are_those_of_the_sound_and_silence(model):
    short = sounds(1, 1.1)
    padded = np.pad(short, ((0, 0), (0, round(0.9 * RATE))))
    found, _ = hear.get_timestamp_embeddings(short, model)
    expected, _ = hear.get_timestamp_embeddings(padded, model)
    np.testing.assert_allclose(found[0], expected[0, : found.shape[1]], rtol=1e-4)


def test_a_scene_embedding_is_the_mean_over_windows(exported, model):
    audio = sounds(1, 4.0)
    windows = model.classifier.embed(audio[0], RATE).scene
    assert len(windows) == 3
    np.testing.assert_allclose(
        hear.get_scene_embeddings(audio, model)[0], windows.mean(0), atol=1e-6
    )


@pytest.mark.parametrize("exported", [small_corpus.FA], indirect=True, ids=["windows"])
def test_the_model_may_be_named_by_the_environment(exported, monkeypatch):
    monkeypatch.setenv("CROSSASK_HEAR_MODEL", str(exported[1]))
    assert hear.load_model().sample_rate == RATE


@pytest.mark.parametrize("exported", [small_corpus.FA], indirect=True, ids=["windows"])
@pytest.mark.parametrize("shape", [(RATE,), (0, RATE), (1, 0), (1, 2, RATE)])
def test_audio_of_another_shape_is_refused(model, shape):
    for get_embeddings in (hear.get_scene_embeddings, hear.get_timestamp_embeddings):
        with pytest.raises(CrossaskError, match="n_sounds, n_samples"):
            get_embeddings(np.zeros(shape, np.float32), model)


@pytest.mark.parametrize("exported", [small_corpus.FA], indirect=True, ids=["windows"])
@pytest.mark.parametrize("value", [np.nan, -np.inf, -8.0, 20000.0])
def test_a_sound_with_samples_that_are_no_amplitudes_is_named(model, value):
    audio = sounds(3, 1.0)
    audio[2, 5] = value
    for get_embeddings in (hear.get_scene_embeddings, hear.get_timestamp_embeddings):
        with pytest.raises(CrossaskError, match="Sound 2 "):
            get_embeddings(audio, model)


@pytest.mark.parametrize("exported", [small_corpus.FA], indirect=True, ids=["windows"])
def test_integers_are_refused_however_quiet_they_are(model):
    with pytest.raises(CrossaskError, match="int16"):
        hear.get_scene_embeddings(np.ones((2, RATE), np.int16), model)


def test_no_model_and_a_folder_without_one_are_errors(monkeypatch, tmp_path):
    monkeypatch.delenv("CROSSASK_HEAR_MODEL", raising=False)
    with pytest.raises(CrossaskError, match="CROSSASK_HEAR_MODEL"):
        hear.load_model()
    with pytest.raises(CrossaskError, match="not a model written by crossask-export"):
        hear.load_model(str(tmp_path))
