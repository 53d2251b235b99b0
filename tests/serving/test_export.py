"""An exported model predicts like the run it comes from, without our package, at every rate."""

import dataclasses
import io
import itertools
import json
import logging
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import small_corpus
import soundfile
import soxr
import tensorflow as tf
from tensorflow.python.tools import saved_model_cli
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from crossask import config, events, models, serving, training
from crossask.audio.rates import SAMPLE_RATES_HZ
from crossask.config import catalogue
from crossask.errors import AudioError, CrossaskError
from crossask.features.cache import prepare_features
from crossask.serving import Classifier, graph
from crossask.serving.saved_model import write_model
from crossask.training import network, run_folder

OF_WAVEFORMS = ("serving_default", "embed", "explain")


@dataclasses.dataclass(frozen=True)
class Served:
    """An exported model, loaded, and the run that it comes from."""

    run: run_folder.Run
    features: Path
    folder: Path
    classifier: Classifier


@pytest.fixture(scope="module", params=small_corpus.EXPORTED, ids=lambda row: row.name)
def served(request, exported) -> Served:
    found = exported(request.param)
    return Served(found.run, found.features, found.model, Classifier(found.model))


def probabilities(answer):
    return np.array(list(answer.probabilities.values()))


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, shape).astype(np.float32)


def test_predict_on_files_equals_evaluate_on_the_fold(served, corpus):
    cache = prepare_features(corpus, served.run.experiment(), served.features)
    table = training.predict(served.run, corpus, cache)
    paths = {clip.id: clip.path for clip in corpus.clips}
    answers = served.classifier.predict_each(paths[clip] for clip in table["clip"])
    for (_, row), answer in zip(table.iterrows(), answers, strict=True):
        assert answer.source == paths[row["clip"]]
        np.testing.assert_allclose(probabilities(answer), row[["a", "b"]].astype(float), atol=1e-5)


def test_another_rate_and_mono_change_little(served, corpus):
    classifier = served.classifier
    waveform, rate = soundfile.read(corpus.clips[0].path, always_2d=True)
    expected = probabilities(classifier.predict(waveform, rate))
    resampled = soxr.resample(waveform, rate, 48000, quality="VHQ").astype(np.float32)
    np.testing.assert_allclose(
        probabilities(classifier.predict(resampled, 48000)), expected, atol=0.01
    )
    both = np.repeat(waveform[:, :1], 2, axis=1)
    one = classifier.predict(both[:, 0], rate)
    two = classifier.predict(both, rate)
    np.testing.assert_allclose(probabilities(one), probabilities(two), atol=1e-6)


def test_a_long_recording_is_classified_in_windows_half_a_clip_apart_and_up_to_its_end(served):
    classifier = served.classifier
    waveform = noise(int(4.5 * 16000), 2)
    answer = classifier.predict(waveform, 16000)
    assert [(s.start_seconds, s.end_seconds) for s in answer.timeline] == [
        (0, 2),
        (1, 3),
        (2, 4),
        (2.5, 4.5),
    ]
    alone = [
        probabilities(classifier.predict(waveform[round(16000 * start) :][:32000], 16000))
        for start in (0, 1, 2, 2.5)
    ]
    np.testing.assert_allclose(
        [probabilities(segment) for segment in answer.timeline], alone, atol=1e-6
    )
    np.testing.assert_allclose(probabilities(answer), np.mean(alone, 0), atol=1e-6)
    assert answer.seconds == 4.5
    # The graph itself makes the same windows.
    values = call(classifier, "serving_default", waveform[np.newaxis], 16000)
    np.testing.assert_allclose(values["probabilities"][0], probabilities(answer), atol=1e-6)


@pytest.mark.parametrize("samples", [16000, 19201, 23999])
def test_a_short_recording_is_repeated_up_to_the_length_of_a_window(served, samples):
    classifier = served.classifier
    short = noise(samples, 2)
    repeated = np.concatenate([short, short])[:32000]
    answer = classifier.predict(short, 16000)
    expected = classifier.predict(repeated, 16000)
    np.testing.assert_allclose(probabilities(answer), probabilities(expected), atol=1e-6)
    assert (answer.seconds, answer.filled_seconds) == (samples / 16000, (32000 - samples) / 16000)
    assert expected.filled_seconds == 0
    # In a batch with a longer one.
    among_others, _ = classifier.predict_each([short, noise(40000, 1)], 16000)
    np.testing.assert_allclose(probabilities(among_others), probabilities(expected), atol=1e-6)
    # The graph itself does the same in all signatures.
    for signature in OF_WAVEFORMS:
        values = call(classifier, signature, short[np.newaxis], 16000)
        for name, value in call(classifier, signature, repeated[np.newaxis], 16000).items():
            if value.dtype.kind == "f":
                np.testing.assert_allclose(values[name], value, atol=1e-5)


def test_a_recording_as_short_as_a_training_clip_may_be_is_padded_as_in_training(served):
    # max_padding_seconds is 0.5.
    short = noise(24000, 2)
    padded = np.pad(short, ((0, 8000), (0, 0)))
    answer = served.classifier.predict(short, 16000)
    expected = probabilities(served.classifier.predict(padded, 16000))
    np.testing.assert_allclose(probabilities(answer), expected, atol=1e-6)
    assert answer.filled_seconds == 0.5
    values = call(served.classifier, "serving_default", short[np.newaxis], 16000)
    np.testing.assert_allclose(values["probabilities"][0], expected, atol=1e-6)


def test_a_window_has_the_same_samples_in_the_graph_and_outside():
    # With another number, a recording of one clip would be too short for the graph, or two windows.
    rates = tf.constant(SAMPLE_RATES_HZ)
    for tenths in range(1, 600):
        seconds = tenths / 10
        expected = [round(seconds * rate) for rate in SAMPLE_RATES_HZ]
        assert graph._samples_in(seconds, rates).numpy().tolist() == expected, seconds
    # As limits such as features.max_padding_seconds, which may be any number.
    for seconds in (1e5, 1e9, 1e300):
        assert (graph._samples_in(seconds, rates).numpy() >= 2**29).all()


def test_batches_over_recordings_change_nothing_and_errors_keep_their_place(served, tmp_path):
    classifier = served.classifier
    soundfile.write(tmp_path / "long.flac", noise(24000 * 7, 2), 24000)
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    sources = [
        noise(32000, 2),
        tmp_path / "broken.wav",
        tmp_path / "long.flac",
        noise(16000, 1),
        noise(100, 1),
    ]
    answers = list(classifier.predict_each(sources, 16000))
    assert [isinstance(answer, AudioError) for answer in answers] == [
        False,
        True,
        False,
        False,
        True,
    ]
    for source, answer in zip(sources, answers, strict=True):
        if not isinstance(answer, AudioError):
            np.testing.assert_allclose(
                probabilities(answer), probabilities(classifier.predict(source, 16000)), atol=1e-6
            )


def test_waveforms_that_cannot_be_classified_are_errors(served):
    classifier = served.classifier
    for waveform, rate, message in (
        (noise(15992, 2), 16000, "(?s)lasts 1.000 s.*at least 1 s"),
        (noise(32000, 2), 0, "(?s)sample rate of 0 Hz.*Set sample_rate_hz"),
        (noise(32000, 2), None, "without its sample rate"),
        (noise(32000, 2), 3, "sample rate of 3 Hz"),
        (noise(32000, 2), 10**9, "sample rate of 1000000000 Hz"),
        (noise(32000, 2), 16000.5, "sample rate of 16000.5 Hz"),
        (noise(32000, 2), np.nan, "sample rate of nan Hz"),
        (noise(32000, 2), "16000", "sample rate of '16000' Hz"),
        ([0.0] * 32000, 16000, "A recording has the type list"),
        (b"RIFF", None, "A recording has the type bytes"),
        (None, None, "A recording has the type NoneType"),
        ("", None, "The name of a file is empty"),
        (np.ma.masked_array(noise(32000, 2)), 16000, "The array is masked"),
        (noise(32000, 3), 16000, "shape \\(32000, 3\\)"),
        (np.zeros(32000, np.int16), 16000, "int16"),
        (np.full(32000, np.nan), 16000, "(?s)the array.*not finite"),
        (np.full(32000, 20000.0), 16000, "(?s)the array.*20000.*-1..1"),
        (np.full(32000, 7.99999999), 16000, "(?s)the array.*amplitude 8.*-1..1"),
        (np.full(32000, 1e300), 16000, "(?s)the array.*1e.300.*-1..1"),
        (noise(0, 1), 16000, "no samples"),
    ):
        with pytest.raises(AudioError, match=message):
            classifier.predict(waveform, rate)


def test_a_sample_rate_that_is_a_whole_float_is_that_integer(served):
    waveform = noise(3 * 17000, 2)
    expected = served.classifier.predict(waveform, 17000)
    answer = served.classifier.predict(waveform, np.float32(17000))
    assert answer.sample_rate_hz == 17000
    assert answer.probabilities == pytest.approx(expected.probabilities)
    # It reads samples by their number.
    assert answer.explain().end_seconds == expected.explain().end_seconds


def test_one_path_is_no_list_of_recordings(served, tmp_path):
    for path in ("a.wav", tmp_path):
        with pytest.raises(CrossaskError, match="The recordings are one path"):
            next(served.classifier.predict_each(path))


def test_embeddings_are_what_the_last_layer_reads(served):
    run = served.run
    classifier = served.classifier
    model = network.load(run)
    waveform = noise(64000, 2)
    found = classifier.embed(waveform, 16000)
    np.testing.assert_allclose(found.start_seconds, [0, 1, 2])
    logits = found.scene @ model.scene.kernel.numpy() + model.scene.bias.numpy()
    answer = classifier.predict(waveform, 16000)
    np.testing.assert_allclose(
        tf.nn.softmax(logits), [probabilities(segment) for segment in answer.timeline], atol=1e-5
    )
    events = run.experiment().event_input
    assert (found.events is None) == (not events)
    values = call(classifier, "embed", waveform[np.newaxis], 16000)
    np.testing.assert_allclose(values["scene_embedding"][0], found.scene, atol=1e-5)
    if events:
        assert values["event_embedding"].shape == (1, 3, 2, 128)
        np.testing.assert_allclose(values["event_embedding"][0], found.events, atol=1e-5)


def test_an_explanation_shows_the_attention_of_the_window_with_the_highest_probability(served):
    run = served.run
    classifier = served.classifier
    answer = classifier.predict(noise(64000, 2), 16000)
    best = max(answer.timeline, key=lambda segment: segment.probabilities[answer.scene])
    why = answer.explain()
    assert (why.start_seconds, why.end_seconds) == (best.start_seconds, best.end_seconds)
    assert why.log_mel.shape == (198, 64, 2)
    assert set(why.attention) == (
        {"pooling", "self", "cross"} if run.experiment().system == "CMAM" else {"pooling"}
    )
    for weights in why.attention.values():
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
    assert why.attended().sum() == pytest.approx(1, abs=1e-5)
    with pytest.raises(CrossaskError, match="The time is nan s"):
        answer.explain(at_seconds=float("nan"))
    first = answer.explain(at_seconds=0.2)
    if why.event_scores is None:
        assert why.top_events() == []
        assert run.experiment().event_input != "embedding"
    else:
        top = why.top_events()
        assert {name for name, _ in top} == {"dog", "rain"}
        (_, high), (_, low) = top
        assert high >= low
        assert high + low == pytest.approx(1, abs=1e-5)  # kinds that exclude each other
        np.testing.assert_allclose(why.event_scores.sum(-1), 1, atol=1e-5)
    assert first.start_seconds == 0
    alone = classifier.predict(noise(64000, 2)[:32000], 16000).explain()
    np.testing.assert_allclose(first.attended(), alone.attended(), atol=1e-6)


def channels_of(wav: bytes) -> int:
    with wave.open(io.BytesIO(wav)) as file:
        return file.getnchannels()


def call(classifier, signature, waveform, rate):
    answer = classifier._model.loaded.signatures[signature](
        waveform=tf.constant(waveform), sample_rate_hz=tf.constant(rate)
    )
    return {name: value.numpy() for name, value in answer.items()}


WITHOUT_OUR_PACKAGE = """
import json, sys
# An import of a module that is None fails, whatever the environment contains.
sys.modules.update(dict.fromkeys(("crossask", "tf_keras", "tensorflow_hub", "official")))
import numpy as np, tensorflow as tf
waveform = np.load(sys.argv[1])
unusable = np.concatenate([waveform, waveform])
unusable[1, 5] = np.nan
for folder in sys.argv[2:]:
    signatures = tf.saved_model.load(folder).signatures
    found = signatures["serving_default"](waveform=waveform, sample_rate_hz=tf.constant(16000))
    print(json.dumps(found["probabilities"].numpy()[0].tolist()))
    for name in ("serving_default", "embed", "explain"):
        try:
            signatures[name](waveform=tf.constant(unusable), sample_rate_hz=tf.constant(16000))
        except tf.errors.InvalidArgumentError as error:
            assert "Entries of the batch, counted from 0:] [1]" in str(error), error
        else:
            raise AssertionError("A sample that is NaN was accepted.")
"""


@pytest.mark.processes
def test_it_predicts_the_same_without_our_package(exported, corpus, tmp_path):
    waveform, rate = soundfile.read(corpus.clips[3].path, always_2d=True, dtype="float32")
    assert rate == 16000
    np.save(tmp_path / "waveform.npy", waveform[np.newaxis])
    folders = [str(exported(row).model) for row in small_corpus.EXPORTED]
    done = subprocess.run(
        [sys.executable, "-I", "-c", WITHOUT_OUR_PACKAGE, tmp_path / "waveform.npy", *folders],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    for folder, line in zip(folders, done.stdout.splitlines(), strict=True):
        expected = probabilities(Classifier(folder).predict(waveform, rate))
        np.testing.assert_allclose(json.loads(line), expected, atol=1e-6)


def test_class_names_and_the_model_card_are_part_of_it(served):
    run = served.run
    classifier = served.classifier
    assert classifier.scenes == ("a", "b")
    assert classifier.card["experiment"] == run.read("config.json")["experiment"]
    assert classifier.card["training"] == run.read("result.json")


@pytest.mark.trains
@pytest.mark.parametrize("system", sorted(catalogue.SYSTEMS))
def test_every_system_has_its_signatures(system, tmp_path):
    features = small_corpus.FEATURES
    if system.startswith("DCASE"):
        # The baselines' pools need the number of frames of ten seconds.
        features = dataclasses.replace(
            features,
            clip_seconds=10.0,
            mono=True,
            log_mel=config.LogMelConfig(mel_bins=40, hop_seconds=0.02, centred=True),
        )
    row = dataclasses.replace(small_corpus.CMAM, system=system, features=features)
    event_model = events.build(row.event_model, trainable=True) if row.event_input else None
    model = models.build(system, 3, small_corpus.NARROW, event_model=event_model)
    (tmp_path / "card").write_text("{}")
    parts = serving.ModelParts(row, model, event_model, None, "abc", str(tmp_path / "card"))
    served = serving.ServedModel(parts)
    # One sample more than the clip length makes two windows.
    waveform = tf.constant(noise(2, round(features.clip_seconds * 16000) + 1, 1))
    answer, embedding, why = (
        served.signatures()[name](waveform, tf.constant(16000)) for name in OF_WAVEFORMS
    )
    assert (
        answer["probabilities"].shape
        == answer["scenes"].shape
        == answer["top_scenes"].shape
        == (2, 3)
    )
    np.testing.assert_allclose(tf.reduce_sum(answer["probabilities"], 1), 1, atol=1e-5)
    np.testing.assert_allclose(
        answer["top_probabilities"][:, 0], tf.reduce_max(answer["probabilities"], 1)
    )
    assert answer["top_scene"].numpy().tolist() == answer["top_scenes"][:, 0].numpy().tolist()
    assert embedding["scene_embedding"].shape[:2] == (2, 2)
    assert ("event_embedding" in embedding) == ("embedding" in model.reads)
    assert ("log_mel" in why) == ("log_mel" in model.reads)
    assert ("attention_pooling" in why) == catalogue.system(system).has_attention_pooling
    assert all(
        value.shape[:2] == (2, 2) for name, value in why.items() if name != "window_start_seconds"
    )
    np.testing.assert_allclose(why["window_start_seconds"], [0, 1 / 16000])


def test_recordings_of_more_windows_than_are_computed_at_once_are_classified_alike(served):
    # 11 windows of each recording, 22 in all; 8 are computed at once.
    waveforms = noise(2, 12 * 16000, 2)
    for name in OF_WAVEFORMS:
        both = call(served.classifier, name, waveforms, 16000)
        for number, waveform in enumerate(waveforms):
            for key, value in call(served.classifier, name, waveform[np.newaxis], 16000).items():
                if key == "window_start_seconds":
                    np.testing.assert_array_equal(value, np.arange(11))
                elif value.dtype.kind == "f":
                    np.testing.assert_allclose(both[key][number], value[0], atol=1e-5)
    alone = []
    for start in range(11):
        window = waveforms[:1, 16000 * start :][:, :32000]
        alone.append(call(served.classifier, "serving_default", window, 16000)["probabilities"][0])
    expected = np.mean(alone, axis=0)
    found = call(served.classifier, "serving_default", waveforms, 16000)
    np.testing.assert_allclose(found["probabilities"][0], expected, atol=1e-6)


def test_a_sample_that_is_no_amplitude_is_found_in_any_window(served):
    waveforms = noise(3, 12 * 16000, 1)
    waveforms[2, -1] = np.nan
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"from 0:\] \[2\]"):
        call(served.classifier, "serving_default", waveforms, 16000)


def test_the_graph_itself_refuses_what_it_cannot_classify(served):
    for shape, rate, message in (
        ((0, 32000, 2), 16000, "The batch is empty"),
        ((1, 0, 2), 16000, "at least 1 s"),
        ((1, 32000, 2), 0, "8000, 11025"),
        ((1, 32000, 2), 12345, "8000, 11025"),
        ((1, 32000, 3), 16000, "1 or 2 channels"),
        ((1, 15999, 2), 16000, "at least 1 s"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            call(served.classifier, "serving_default", np.zeros(shape, np.float32), rate)


@pytest.mark.parametrize("signature", OF_WAVEFORMS)
def test_the_graph_itself_refuses_samples_that_are_no_amplitudes(served, signature):
    for value in (np.nan, np.inf, -np.inf, 8.0, -20000.0):
        waveforms = noise(4, 32000, 2)
        # One sample of one channel: the pooling over time would hide a NaN that is not checked.
        waveforms[1, 31999, 1] = value
        waveforms[3, 0, 0] = value
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"from 0:\] \[1 3\]"):
            call(served.classifier, signature, waveforms, 16000)


def test_a_clipped_or_loud_recording_is_accepted(served):
    loud = np.clip(noise(1, 32000, 2) * 1000, -7.99, 7.99)
    assert np.isfinite(
        call(served.classifier, "serving_default", loud, 16000)["probabilities"]
    ).all()


def test_a_recording_with_samples_that_are_no_amplitudes_is_named_among_others(served, tmp_path):
    integers = noise(32000, 2) * 32768
    no_number = noise(32000, 2)
    no_number[7] = np.nan
    waveforms = {"integers": integers, "no_number": no_number, "usable": noise(32000, 2)}
    for name, waveform in waveforms.items():
        soundfile.write(tmp_path / f"{name}.wav", waveform, 16000, subtype="FLOAT")
    paths = [tmp_path / f"{name}.wav" for name in waveforms]
    first, second, third = served.classifier.predict_each(paths)
    assert "integers.wav has a sample of " in first.problem
    assert "no_number.wav contains samples that are not finite" in second.problem
    np.testing.assert_array_equal(
        probabilities(third), probabilities(served.classifier.predict(paths[2]))
    )
    with pytest.raises(AudioError, match=r"integers\.wav has a sample of"):
        served.classifier.embed(paths[0])


def test_the_model_accepts_the_warm_up_requests_for_the_server(served):
    classifier = served.classifier
    requested = set()
    for record in tf.data.TFRecordDataset(str(served.folder / serving.WARM_UP)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = predict_pb2.PredictRequest.FromString(
            log.predict_log.request.SerializeToString()
        )  # as it comes over the wire
        values = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
        signature = request.model_spec.signature_name
        answer = classifier._model.loaded.signatures[signature](
            **{name: tf.constant(value) for name, value in values.items()}
        )
        if signature == "classify_wav":
            channels = channels_of(values["wav_bytes"][0])
        else:
            channels = values["waveform"].shape[2]
        requested.add((signature, channels))
        assert all(
            np.isfinite(value.numpy()).all() for value in answer.values() if value.dtype.is_floating
        )
        response = predict_pb2.PredictResponse()
        for name, value in answer.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        for name, proto in response.outputs.items():
            np.testing.assert_array_equal(tf.make_ndarray(proto), answer[name].numpy())
    assert requested == set(itertools.product(served.classifier._model.loaded.signatures, (1, 2)))
    assert {name for name, _ in requested} == {*OF_WAVEFORMS, "classify_wav"}


def call_tool(monkeypatch, *words) -> None:
    """Runs saved_model_cli in this process, which is quicker than one that imports TensorFlow."""
    monkeypatch.setattr(sys, "argv", ["saved_model_cli", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        saved_model_cli.main()
    assert not ended.value.code


def test_tensorflows_own_tool_shows_the_signatures_and_predicts(
    exported, tmp_path, monkeypatch, capsys
):
    folder = exported(small_corpus.FEATURE_BASED_24_KHZ).model
    np.savez(tmp_path / "request.npz", waveform=noise(2, 16000, 1), rate=np.int32(16000))
    signature = ("--dir", folder, "--tag_set", "serve", "--signature_def", "serving_default")
    call_tool(monkeypatch, "show", *signature)
    shown = " ".join(capsys.readouterr().out.split())
    assert "inputs['waveform'] tensor_info: dtype: DT_FLOAT shape: (-1, -1, -1)" in shown
    assert "inputs['sample_rate_hz'] tensor_info: dtype: DT_INT32 shape: ()" in shown
    request = f"{tmp_path}/request.npz"
    inputs = f"waveform={request}[waveform];sample_rate_hz={request}[rate]"
    call_tool(monkeypatch, "run", *signature, "--inputs", inputs, "--outdir", tmp_path)
    np.testing.assert_allclose(np.load(tmp_path / "probabilities.npy").sum(1), [1, 1], atol=1e-5)
    assert np.load(tmp_path / "top_scenes.npy", allow_pickle=True).shape == (2, 2)


@pytest.mark.trains
def test_the_log_has_no_temporary_folders(trained, tmp_path):
    # Training may log that functions are traced again.
    run = trained(small_corpus.FA)
    records = []
    logger = logging.getLogger("tensorflow")
    handler = logging.Handler()
    handler.emit = records.append
    logger.addHandler(handler)
    try:
        serving.export_run(run, tmp_path / "model")
    finally:
        logger.removeHandler(handler)
    assert [record.getMessage() for record in records] == []


def test_an_existing_folder_is_not_overwritten(served):
    with pytest.raises(CrossaskError, match="exists already"):
        serving.export_run(served.run, served.folder)


def test_a_link_that_leads_nowhere_is_not_overwritten(tmp_path):
    link = tmp_path / "model"
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(CrossaskError, match="exists already"):
        write_model(None, None, link)
    assert link.is_symlink()


def test_the_path_of_a_model_may_have_brackets(exported, tmp_path):
    shared = exported(small_corpus.FA_24_KHZ)
    folder = serving.export_run(shared.run, tmp_path / "models [1]" / "model")
    noise = np.random.default_rng(0).normal(0, 0.1, 24000).astype(np.float32)
    expected = Classifier(shared.model).predict(noise, 24000)
    assert Classifier(folder).predict(noise, 24000) == expected


def test_a_folder_that_is_no_export_is_refused(tmp_path):
    with pytest.raises(CrossaskError, match="not a model"):
        Classifier(tmp_path)
