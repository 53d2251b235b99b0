"""A LiteRT file predicts like its run, at every precision, or it is not written."""

import dataclasses
import errno
import functools
import json
import os
import subprocess
import sys
import threading
import time
from concurrent import futures
from pathlib import Path

import numpy as np
import pytest
import small_corpus
import soundfile
import tensorflow as tf
import tf_keras as keras

from crossask import config, events, models, serving, stored, training
from crossask.audio import frontends, sndfile
from crossask.cli import export as cli
from crossask.config import catalogue
from crossask.datasets import read_corpus
from crossask.errors import AudioError, CrossaskError, DataError, WeightsError
from crossask.features.cache import prepare_features
from crossask.serving import calibration, litert, litert_runner, tflite_file
from crossask.training import run_folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return read_corpus("folder", small_corpus.write(tmp_path_factory.mktemp("corpus")))


@pytest.fixture(scope="module")
def recordings(corpus):
    return str(corpus.clips[0].path).rpartition("/")[0]


@pytest.fixture(scope="module")
def finished(corpus, tmp_path_factory):
    """Returns a function: row -> (a run of two epochs, its predictions)."""

    @functools.cache
    def train(row):
        folder = tmp_path_factory.mktemp("runs")
        row = config.override(row, {"training.epochs": 2})
        if row.event_input:
            events.build(row.event_model).save_npz(folder / "events.npz")
            row = config.override(row, {"event_model.weights": str(folder / "events.npz")})
        cache = prepare_features(corpus, row, folder / "features")
        run = run_folder.run_at(folder, row.name, "1", 0)
        training.train(run, row, corpus, cache)
        return run, training.predict(run, corpus, cache)

    return train


@pytest.fixture
def fa(finished):
    return finished(small_corpus.FA)[0]


def interpreter(path):
    # without a delegate, which would hide operators behind one of its own
    plain = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    found = tf.lite.Interpreter(str(path), experimental_op_resolver_type=plain)
    found.allocate_tensors()
    return found


def operators(path):
    """Returns the kind, the first output and the types of each operator of a file."""
    opened = interpreter(path)
    tensors = {tensor["index"]: tensor for tensor in opened.get_tensor_details()}
    found = []
    for operator in opened._get_ops_details():
        # An optional input that is missing has the index -1.
        used = [index for index in (*operator["inputs"], *operator["outputs"]) if index >= 0]
        types = {tf.as_dtype(tensors[index]["dtype"]) for index in used}
        found.append((operator["op_name"], tensors[operator["outputs"][0]]["name"], types))
    return found


@pytest.mark.trains
@pytest.mark.parametrize(
    "row", [small_corpus.FA, small_corpus.FEATURE_BASED], ids=lambda row: row.name
)
@pytest.mark.parametrize(
    ("precision", "tolerance"), [("float32", 1e-4), ("float16", 1e-2), ("int8", 0.1)]
)
def test_the_file_predicts_the_fold_as_evaluate_does(
    finished, corpus, recordings, tmp_path, row, precision, tolerance
):
    run, table = finished(row)
    out = tmp_path / "model.tflite"
    card = serving.export_litert(run, out, precision, recordings if precision == "int8" else None)
    answer = interpreter(out).get_signature_runner("serving_default")
    paths = {clip.id: clip.path for clip in corpus.clips}
    for _, row in table.iterrows():
        waveform, _ = soundfile.read(paths[row["clip"]], dtype="float32")
        found = answer(waveform=waveform[np.newaxis])["probabilities"]
        assert found.shape == (1, 2)
        np.testing.assert_allclose(found[0], row[["a", "b"]].astype(float), atol=tolerance)
    assert card == stored.read_json(tmp_path / "model.json", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.tflite"]
    assert (card["scenes"], card["precision"], card["file_bytes"]) == (
        ["a", "b"],
        precision,
        out.stat().st_size,
    )
    assert (card["sample_rate_hz"], card["samples"], card["channels"]) == (16000, 32000, 2)
    assert "check that all samples are finite and below 8" in card["input_check"]
    for value in (np.nan, np.inf, -8.0):
        unusable = np.zeros((32000, 2), np.float32)
        unusable[31999, 1] = value
        with pytest.raises(AudioError, match="Clip 1 "):
            litert.Interpreter(out).predict([np.zeros((32000, 2), np.float32), unusable])
    assert card["agreement"]["clips"] == (24 if precision == "int8" else 10)
    assert (
        0
        < card["agreement"]["mean_difference"]
        <= card["agreement"]["largest_difference"]
        <= tolerance
    )
    found = operators(out)
    assert (tf.float16 in set().union(*(types for _, _, types in found))) == (
        precision == "float16"
    )
    front_end = [
        types for kind, name, types in found if name.startswith("front_end/") and kind != "QUANTIZE"
    ]
    assert front_end
    assert set().union(*front_end) <= {tf.float32, tf.complex64, tf.int32}  # the waveform, too
    heavy = [
        types
        for kind, name, types in found
        if kind in ("CONV_2D", "FULLY_CONNECTED") and not name.startswith("front_end/")
    ]
    assert heavy
    assert all(
        (tf.int8 in types, tf.float32 in types)
        == ((True, False) if precision == "int8" else (False, True))
        for types in heavy
    )


@pytest.mark.trains
@pytest.mark.parametrize(
    "system", sorted(set(catalogue.SYSTEMS) - {"FA"})
)  # which is trained above
def test_every_other_system_converts(system, tmp_path):
    features = dataclasses.replace(small_corpus.FEATURES, clip_seconds=2.0)
    if system.startswith("DCASE"):
        log_mel = config.LogMelConfig(
            mel_bins=40, hop_seconds=0.02, centred=True, window="hamming", mel_scale="slaney"
        )
        features = dataclasses.replace(features, clip_seconds=10.0, mono=True, log_mel=log_mel)
    row = dataclasses.replace(small_corpus.CMAM, system=system, features=features)
    event_model = events.build(row.event_model, trainable=True) if row.event_input else None
    model = litert.ClipModel(
        row, models.build(system, 3, small_corpus.NARROW, event_model=event_model), None
    )
    (tmp_path / "x.tflite").write_bytes(litert._convert(model, system, "float32", []))
    clips = litert._test_clips(model.shape[1:])
    np.testing.assert_allclose(
        litert.Interpreter(tmp_path / "x.tflite").predict(clips), model.predict(clips), atol=1e-4
    )


def test_votes_of_frames_are_counted_at_int8_as_in_float(tmp_path):
    log_mel = config.LogMelConfig(
        mel_bins=40, hop_seconds=0.02, centred=True, window="hamming", mel_scale="slaney"
    )
    features = dataclasses.replace(
        small_corpus.FEATURES, clip_seconds=2.0, mono=True, log_mel=log_mel
    )
    row = dataclasses.replace(small_corpus.FA, system="DCASE2017", features=features)
    keras.utils.set_random_seed(0)
    model = litert.ClipModel(row, models.build("DCASE2017", 15, small_corpus.NARROW), None)
    clips = litert._test_clips(model.shape[1:])
    (tmp_path / "x.tflite").write_bytes(litert._convert(model, "baseline", "int8", clips))
    expected = model.predict(clips)
    assert expected.max() > 0.5  # votes of many frames for one scene
    assert (
        litert._check_agreement(model, tmp_path / "x.tflite", "int8", clips)["mean_difference"]
        < 0.02
    )


@pytest.mark.parametrize(
    ("name", "precision", "given", "problem"),
    [
        ("model", "float32", False, "does not end in .tflite"),
        ("model.tflite", "float8", False, "no precision 'float8'"),
        ("model.tflite", "int8", False, "needs recordings"),
        ("model.tflite", "float16", True, "is not calibrated"),
        ("there.tflite", "float32", False, "exists already"),
        ("card.tflite", "float32", False, "card.json' exists already"),
    ],
)
def test_arguments_that_do_not_fit_each_other_are_an_error_before_any_work(
    tmp_path, name, precision, given, problem
):
    (tmp_path / "there.tflite").touch()
    (tmp_path / "card.json").touch()
    with pytest.raises(CrossaskError, match=problem):
        serving.export_litert(None, tmp_path / name, precision, "recordings" if given else None)


@pytest.mark.trains
def test_a_file_with_other_predictions_than_the_run_is_not_kept(
    fa, recordings, tmp_path, monkeypatch
):
    monkeypatch.setitem(litert.TOLERANCES, "float32", -1.0)
    with pytest.raises(CrossaskError, match=r"differs from the run's model by"):
        serving.export_litert(fa, tmp_path / "model.tflite", "float32")
    monkeypatch.setattr(litert, "LEAST_AGREEMENT", 1.01)
    with pytest.raises(CrossaskError, match=r"top scene for .* of 24 clips"):
        serving.export_litert(fa, tmp_path / "model.tflite", "int8", recordings)
    monkeypatch.undo()
    monkeypatch.setattr(litert, "MOST_MEAN_DIFFERENCE", 0.0)
    with pytest.raises(CrossaskError, match=r"on average; at least 80% and at most 0"):
        serving.export_litert(fa, tmp_path / "model.tflite", "int8", recordings)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_error_before_any_work(fa, tmp_path):
    (tmp_path / "file").touch()
    for write in (serving.export_run, serving.export_litert):
        with pytest.raises(CrossaskError, match="cannot be written"):
            write(fa, tmp_path / "file" / "below" / "model.tflite")


def test_an_event_model_with_other_weights_than_at_training_is_refused(finished, corpus, tmp_path):
    run, _ = finished(small_corpus.FEATURE_BASED)
    path = Path(run.experiment().event_model.weights)
    row = run.experiment()
    before = path.read_bytes()
    events.build(dataclasses.replace(row.event_model, weights=""), seed=1).save_npz(path)
    cache = prepare_features(corpus, row, tmp_path / "features")
    for use in (
        lambda: serving.export_run(run, tmp_path / "model"),
        lambda: serving.export_litert(run, tmp_path / "model.tflite"),
        lambda: training.predict(run, corpus, cache),
        lambda: training.train(run, row, corpus, cache),
    ):
        with pytest.raises(WeightsError, match="trained on the embeddings of other weights"):
            use()
    path.write_bytes(before)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["features"]


@pytest.mark.trains
def test_a_model_with_an_operator_that_litert_lacks_is_an_error(fa, tmp_path, monkeypatch):
    clip_features = litert.clip_features.clip_features

    def odd(*arguments):
        values = clip_features(*arguments)
        return {
            name: tf.math.betainc(2.0, 3.0, tf.sigmoid(value)) for name, value in values.items()
        }

    monkeypatch.setattr(litert.clip_features, "clip_features", odd)
    with pytest.raises(
        CrossaskError, match=r"(?s)Row 'fa' cannot be converted to LiteRT.*Betainc.*saved_model"
    ):
        serving.export_litert(fa, tmp_path / "model.tflite")
    assert list(tmp_path.iterdir()) == []


def test_calibration_reads_any_rate_length_and_number_of_channels(tmp_path):
    features = dataclasses.replace(small_corpus.FEATURES, sample_rate_hz=24000)
    tone = np.sin(2 * np.pi * 440 * np.arange(3 * 16000) / 16000) / 2
    stereo = np.stack([tone, -tone], 1)
    parts = (tone, tone[:16000], stereo, tone / 2, tone / 3, tone / 4)
    for number, part in enumerate(parts):
        soundfile.write(tmp_path / f"{number}.wav", part, 16000, "FLOAT")
    long, short, stereo, *_ = clips = calibration.calibration_clips(tmp_path, features)
    assert {clip.shape for clip in clips} == {(48000, 2)}
    np.testing.assert_array_equal(long[:, 0], long[:, 1])
    np.testing.assert_allclose(
        long[1000:40000, 0], np.sin(2 * np.pi * 440 * np.arange(1000, 40000) / 24000) / 2, atol=1e-4
    )
    assert np.abs(short[23000:23900]).max() > 0.4
    # Only 0.5 s may be filled with silence, as in training.
    assert np.abs(short[25000:]).max() > 0.4
    np.testing.assert_allclose(stereo[:, 0], -stereo[:, 1], atol=1e-6)
    (mono, *_) = calibration.calibration_clips(tmp_path, dataclasses.replace(features, mono=True))
    np.testing.assert_allclose(mono, long[:, :1], atol=1e-6)


def test_calibration_reads_a_whole_clip_of_a_file_with_many_channels(tmp_path, monkeypatch):
    samples = np.linspace(-0.5, 0.5, 3 * 16000)
    soundfile.write(tmp_path / "a.wav", np.stack([samples] * 4, axis=1), 16000, "FLOAT")
    expected = calibration.first_clip(tmp_path / "a.wav", small_corpus.FEATURES)
    # Its blocks are then shorter than a clip.
    monkeypatch.setattr(sndfile, "_MOST_VALUES", 4 * 5000)
    found = calibration.first_clip(tmp_path / "a.wav", small_corpus.FEATURES)
    np.testing.assert_array_equal(found, expected)
    assert len(np.unique(found[:, 0])) > 0.9 * len(found)


def test_threads_that_load_files_at_once_leave_standard_error_as_it_was(tmp_path):
    with open(tmp_path / "stderr", "wb") as file:
        before = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:

            def load(seconds):
                with litert_runner._without_notices():
                    time.sleep(seconds)

            # The second one would begin within the block of the first, and end after it.
            threads = [threading.Thread(target=load, args=[0.2]) for _ in range(2)]
            for thread in threads:
                thread.start()
                time.sleep(0.1)
            for thread in threads:
                thread.join()
            os.write(2, b"seen")
        finally:
            os.dup2(before, 2)
            os.close(before)
    assert (tmp_path / "stderr").read_bytes() == b"seen"


def test_threads_that_share_a_file_get_their_own_predictions(tmp_path, monkeypatch):
    pytest.importorskip("ai_edge_litert")
    samples = 20000

    @tf.function(input_signature=[tf.TensorSpec([1, samples, 2], tf.float32, name="waveform")])
    def probabilities(waveform):
        values = waveform
        for _ in range(30):
            values = tf.sin(values) + waveform
        mean = tf.reduce_mean(values, axis=[1, 2])
        return {"probabilities": tf.stack([mean, 1 - mean], axis=1)}

    module = tf.Module()
    module.probabilities = probabilities
    functions = [probabilities.get_concrete_function()]
    converter = tf.lite.TFLiteConverter.from_concrete_functions(functions, module)
    (tmp_path / "x.tflite").write_bytes(converter.convert())
    card = {"sample_rate_hz": 16000, "channels": 2}
    monkeypatch.setattr(litert_runner, "_read_card", lambda _path: card)
    model = litert_runner.LiteRTModel(tmp_path / "x.tflite")

    def predict(level):
        waveform = np.full((1, samples, 2), level, np.float32)
        return model.run("serving_default", waveform, 16000)["probabilities"]

    levels = np.linspace(0, 0.9, 10)
    expected = [predict(level) for level in levels]
    with futures.ThreadPoolExecutor(4) as threads:
        found = list(threads.map(predict, np.tile(levels, 20)))
    np.testing.assert_array_equal(found, expected * 20)


def test_a_process_without_standard_error_loads_files(monkeypatch):
    def closed(_descriptor):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    monkeypatch.setattr(os, "dup", closed)
    with litert_runner._without_notices():
        pass


def test_calibration_takes_a_seeded_choice_of_a_table(tmp_path, monkeypatch):
    for number in range(8):
        soundfile.write(tmp_path / f"{number}.wav", np.full(16000, number / 10), 16000, "FLOAT")
    (tmp_path / "clips.csv").write_text(
        "filename,scene\n" + "".join(f"{number}.wav,a\n" for number in range(8))
    )
    monkeypatch.setattr(calibration, "MOST_CLIPS", 6)
    first, again = (
        [
            clip[0, 0]
            for clip in calibration.calibration_clips(tmp_path / "clips.csv", small_corpus.FEATURES)
        ]
        for _ in "ab"
    )
    assert first == again
    assert len(set(first)) == 6


def test_recordings_that_cannot_calibrate_are_an_error(tmp_path):
    with pytest.raises(DataError, match="no folder or CSV"):
        calibration.calibration_clips(tmp_path / "nowhere", small_corpus.FEATURES)
    with pytest.raises(DataError, match="contains 0 sound files"):
        calibration.calibration_clips(tmp_path, small_corpus.FEATURES)
    (tmp_path / "clips.csv").write_text("file\na.wav\n")
    with pytest.raises(DataError, match="no column 'filename'"):
        calibration.calibration_clips(tmp_path / "clips.csv", small_corpus.FEATURES)
    (tmp_path / "clips.csv").write_text("filename,scene\na.wav,x\n\n,x\n")
    with pytest.raises(DataError, match=r"Line 4 of .* has no file"):
        calibration.calibration_clips(tmp_path / "clips.csv", small_corpus.FEATURES)
    (tmp_path / "clips.csv").write_text("scene\tfilename\n" + "x\ta.wav\n" * 5)
    with pytest.raises(AudioError, match=r"a\.wav"):
        calibration.calibration_clips(tmp_path / "clips.csv", small_corpus.FEATURES)


@pytest.mark.parametrize(
    ("silent", "repeated", "different"), [(6, 0, 0), (0, 5, 1), (2, 0, 4), (1, 1, 4), (3, 2, 5)]
)
def test_calibration_needs_different_clips_with_sound(tmp_path, silent, repeated, different):
    noises = np.random.default_rng(0).normal(0, 0.1, (different, 16000)).tolist()
    # Dither of 16 bits is silent, too.
    dither = np.random.default_rng(1).normal(0, 2.0**-16, (silent, 16000)).tolist()
    for number, waveform in enumerate(noises + noises[:1] * repeated + dither):
        soundfile.write(tmp_path / f"{number}.wav", waveform, 16000, "FLOAT")
    if different >= calibration.LEAST_CLIPS:
        clips = calibration.calibration_clips(tmp_path, small_corpus.FEATURES)
        assert len(clips) == silent + repeated + different
        return
    with pytest.raises(
        DataError, match=f"silent: {silent}, repetitions of another one: {repeated}"
    ):
        calibration.calibration_clips(tmp_path, small_corpus.FEATURES)


def test_peak_memory_against_a_sum_by_hand():
    @tf.function(input_signature=[tf.TensorSpec([1, 100], tf.float32)])
    def function(x):
        with tf.name_scope("front_end"):
            wide = tf.sin(tf.tile(x, [1, 10]))  # 4000 bytes
        narrow = tf.cos(wide[:, :50])  # 200 bytes
        return tf.exp(narrow)

    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    # the tile beside its sine; the sine beside its slice
    assert tflite_file.peak_bytes(converter.convert(), "front_end/") == (8000, 4200)


@pytest.mark.parametrize(
    ("samples", "window", "hop"),
    [(32000, 400, 160), (22050, 1102, 882), (1102, 1102, 441), (399, 400, 160)],
)
def test_frames_are_those_of_tensorflow(samples, window, hop):
    waveform = tf.random.stateless_normal([2, samples], [0, 1])
    expected = tf.signal.frame(waveform, window, hop)
    np.testing.assert_array_equal(frontends._frames(waveform, window, hop), expected)
    unknown = tf.function(
        lambda x: frontends._frames(x, window, hop), input_signature=[tf.TensorSpec([None, None])]
    )
    np.testing.assert_array_equal(unknown(waveform), expected)


def call(*arguments):
    return cli.main(["crossask-export", *map(str, arguments)])


@pytest.mark.trains
def test_the_command_prints_agreement_and_size_beside_the_limits_of_dcase(
    fa, recordings, tmp_path, capsys
):
    out = tmp_path / "made" / "model.tflite"
    assert (
        call(
            f"--model_dir={fa.folder}",
            f"--out={out}",
            "--format=litert",
            "--precision=int8",
            f"--calibration={recordings}",
        )
        == 0
    )
    printed = capsys.readouterr().out
    card = json.loads(out.with_suffix(".json").read_text())
    assert f"Wrote {out}\n" in printed
    assert "24 clips (calibration clips)" in printed
    assert (
        f"Parameters: {card['parameters']:,}. Limit of DCASE 2022: 128,000 at int8 (satisfied)."
        in printed
    )
    assert f"{card['file_bytes'] / 1000:,.1f} kB" in printed
    assert "Limit of DCASE since 2022: 30 M (satisfied)." in printed
    card |= {"parameters": 40000, "precision": "float32"}
    size = dataclasses.replace(
        cli_size(fa), scene=dataclasses.replace(cli_size(fa).scene, multiply_accumulates=30_000_001)
    )
    few, memory, macs = cli.litert_summary(card, size)[1:4]
    assert few.endswith("at int8 (not satisfied: the file is float32).")
    assert memory.startswith("Memory of the parameters: 160.0 kB")
    assert memory.endswith("(not satisfied).")
    assert macs.endswith("(not satisfied).")


def cli_size(run):
    from crossask.training import network_size

    return network_size.row_size(run.experiment(), 2)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--format=onnx"], "--format is 'onnx'"),
        (["--precision=int8"], "--precision has no effect with --format=saved_model"),
        (["--calibration=x"], "--calibration has no effect with --format=saved_model"),
        (["--format=litert", "--precision=int8"], "int8 needs recordings"),
        (["--format=litert", "--calibration=x"], "float32 is not calibrated"),
    ],
)
def test_a_users_mistake_is_two_lines_and_exit_code_2(fa, tmp_path, capsys, arguments, problem):
    assert call(f"--model_dir={fa.folder}", f"--out={tmp_path}/x.tflite", *arguments) == 2
    first, _ = capsys.readouterr().err.splitlines()[-2:]
    assert problem in first
    assert {path.name for path in tmp_path.iterdir()} <= {".x.tflite.lock"}


def test_recordings_are_predicted_from_the_file_as_from_the_saved_model(fa, recordings, tmp_path):
    serving.export_litert(fa, tmp_path / "fa.tflite")
    saved_model = serving.Classifier(serving.export_run(fa, tmp_path / "saved_model"))
    file = serving.Classifier(tmp_path / "fa.tflite")
    assert file.scenes == saved_model.scenes
    sounds = sorted(Path(recordings).glob("*.wav"))[:3]
    # Long enough for several windows, and, with one channel, shorter than one window.
    long, rate = soundfile.read(sounds[0])
    soundfile.write(tmp_path / "long.wav", np.tile(long, (4, 1)), rate)
    soundfile.write(tmp_path / "short.wav", long[: round(1.2 * rate), 0], rate)
    sounds += [tmp_path / "long.wav", tmp_path / "short.wav"]
    for expected, found in zip(
        saved_model.predict_each(sounds), file.predict_each(sounds), strict=True
    ):
        assert len(found.timeline) == len(expected.timeline)
        for scene, probability in expected.probabilities.items():
            assert found.probabilities[scene] == pytest.approx(probability, abs=1e-4)
        assert found.filled_seconds == pytest.approx(expected.filled_seconds)
    # The array has 64-bit floats.
    expected = saved_model.predict(long, rate)
    assert file.predict(long, rate).probabilities == pytest.approx(expected.probabilities, abs=1e-4)
    for ask in (file.embed, lambda path: file.predict(path).explain()):
        with pytest.raises(CrossaskError, match="computes probabilities alone"):
            ask(sounds[0])


@pytest.mark.processes
def test_a_file_predicts_without_tensorflow_and_without_notices(fa, recordings, tmp_path):
    serving.export_litert(fa, tmp_path / "fa.tflite")
    sound = sorted(Path(recordings).glob("*.wav"))[0]
    words = ["crossask", "predict", f"--model={tmp_path / 'fa.tflite'}", str(sound)]
    code = (
        "import sys\n"
        "from crossask.cli import main\n"
        f"assert main.main({words!r}) == 0\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{sound}: ")


def test_a_file_without_its_card_or_with_other_content_is_an_error(tmp_path):
    path = tmp_path / "fa.tflite"
    with pytest.raises(CrossaskError, match=r"There is no file .*fa\.tflite"):
        serving.Classifier(path)
    path.write_bytes(b"no model")
    with pytest.raises(CrossaskError, match=r"There is no file .*fa\.json"):
        serving.Classifier(path)
    path.with_suffix(".json").write_text("[]")
    with pytest.raises(CrossaskError, match="not the model card"):
        serving.Classifier(path)
    facts = {"scenes": ["a"], "channels": 1}
    card = {"clip_seconds": 2.0, "sample_rate_hz": 16000, **facts}
    for name, value in (
        ("clip_seconds", 1e999),
        ("clip_seconds", 0),
        ("sample_rate_hz", None),
        ("sample_rate_hz", -16000),
        ("scenes", 3),
        ("channels", "two"),
    ):
        path.with_suffix(".json").write_text(json.dumps(card | {name: value}))
        with pytest.raises(CrossaskError, match=f"model card .*'{name}'"):
            serving.Classifier(path)
    path.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(CrossaskError, match="not a LiteRT model that can be run"):
        serving.Classifier(path)


@pytest.mark.parametrize(("dtype", "size"), [("float64", 8), ("uint32", 4), ("uint16", 2)])
def test_memory_is_estimated_for_every_type_of_numbers(dtype, size):
    def forward(x):
        return {"y": tf.cast(tf.cast(tf.abs(x), dtype), tf.float32)}

    spec = tf.TensorSpec([1, 8], tf.float32)
    function = tf.function(forward, input_signature=[spec]).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    # x beside |x|, or |x| beside the cast numbers.
    expected = 8 * max(4 + 4, 4 + size)
    assert tflite_file.peak_bytes(converter.convert(), "front_end/")[1] == expected
