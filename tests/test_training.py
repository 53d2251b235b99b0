"""Training learns, resumes to the same weights, and keeps the best epoch by validation alone."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import small_corpus
import tensorflow as tf
import tf_keras as keras

from crossask import config, evaluation, training
from crossask.config import FineTuningConfig
from crossask.datasets import read_corpus
from crossask.errors import CrossaskError, DataError, WeightsError
from crossask.features.cache import prepare_features
from crossask.models.residual import ResidualEncoder, SplitBand
from crossask.training import loop, network, run_folder
from crossask.training import run as run_module


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return read_corpus("folder", small_corpus.write(tmp_path_factory.mktemp("corpus")))


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    return tmp_path_factory.mktemp("features")


def train(corpus, features, folder, row, seed=0, **changes):
    row = config.override(row, changes)
    cache = prepare_features(corpus, row, features)
    run = run_folder.run_at(folder, row.name, "1", seed)
    result = training.train(run, row, corpus, cache)
    return run, result, cache


def weights_of(run):
    with np.load(run.path("best.npz")) as file:
        return [file[name] for name in sorted(file.files)]


def test_a_row_learns_what_can_be_learnt_and_is_read_back_without_loss(corpus, features, tmp_path):
    run, result, cache = train(
        corpus,
        features,
        tmp_path,
        small_corpus.FA,
        **{"training.epochs": 12, "training.learning_rate": 3e-3},
    )
    assert result["validation_macro_accuracy"] == 1.0
    table = training.predict(run, corpus, cache)
    assert list(table.columns) == ["clip", "location", "city", "truth", "a", "b"]
    assert sorted(table["clip"]) == sorted(corpus.fold("1").evaluation)
    assert (table[["a", "b"]].idxmax(axis=1) == table["truth"]).all()
    again = training.predict(run, corpus, cache)
    np.testing.assert_array_equal(table[["a", "b"]], again[["a", "b"]])


STAGED = dataclasses.replace(
    small_corpus.CMAM,
    name="staged",
    training=dataclasses.replace(
        small_corpus.CMAM.training, schedule="cosine", warmup_epochs=1, average_decay=0.9
    ),
    fine_tuning=FineTuningConfig(
        event_rate=0.5, layer_decay=0.5, probe_epochs=1, unfreeze_epochs=1, l2_to_start=1.0
    ),
)


@pytest.mark.parametrize(
    "row", [small_corpus.FEATURE_BASED, small_corpus.CMAM, STAGED], ids=lambda row: row.name
)
def test_a_run_stopped_after_an_epoch_resumes_to_the_same_bits(
    corpus, features, tmp_path, monkeypatch, row
):
    whole, _, _ = train(corpus, features, tmp_path / "whole", row)

    class Killed(Exception):
        pass

    original = loop._ResumableState.on_epoch_end

    def kill_in_the_second_epoch(self, epoch, logs=None):
        if epoch == 1:
            raise Killed
        original(self, epoch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(loop._ResumableState, "on_epoch_end", kill_in_the_second_epoch)
        with pytest.raises(Killed):
            train(corpus, features, tmp_path / "killed", row)
    resumed, result, _ = train(corpus, features, tmp_path / "killed", row)
    assert result["epochs"] == 3
    latest = [tf.train.latest_checkpoint(str(run.path("checkpoints"))) for run in (whole, resumed)]
    for name, _ in tf.train.list_variables(latest[0]):
        if name != "_CHECKPOINTABLE_OBJECT_GRAPH" and "save_counter" not in name:
            np.testing.assert_array_equal(
                *(tf.train.load_variable(path, name) for path in latest), err_msg=name
            )
    for left, right in zip(weights_of(whole), weights_of(resumed), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("row", [small_corpus.FA, STAGED], ids=lambda row: row.name)
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_trains_and_is_read_back_in_full(corpus, features, tmp_path, row, precision):
    changes = {"training.precision": precision, "training.keep": "last"}
    whole, _, cache = train(corpus, features, tmp_path / "whole", row, **changes)
    assert keras.mixed_precision.global_policy().name == "float32"
    plain, _, _ = train(corpus, features, tmp_path / "plain", row, **{"training.keep": "last"})
    assert {value.dtype for value in weights_of(whole)} == {np.dtype(np.float32)}
    assert any(
        not np.array_equal(a, b) for a, b in zip(weights_of(whole), weights_of(plain), strict=True)
    )
    table = training.predict(whole, corpus, cache)
    assert np.isfinite(table[["a", "b"]].to_numpy()).all()


def test_a_killed_process_is_gone_on_with(tmp_path):
    table = small_corpus.write(tmp_path / "corpus")
    (tmp_path / "rows.py").write_text(
        f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r}); import small_corpus\nROWS = (small_corpus.FA,)\n"
    )
    command = [
        sys.executable,
        "-m",
        "crossask.cli.train",
        f"--experiment={tmp_path}/rows.py:fa",
        f"--data_dir={table}",
        "--params_override=training.epochs=20,training.learning_rate=0.001",
    ]
    history = tmp_path / "killed" / "fa" / "fold1" / "seed0" / "history.csv"
    process = subprocess.Popen(
        [*command, f"--model_dir={tmp_path}/killed"], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not history.is_file() or len(history.read_text().splitlines()) < 4:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (history.parent / "result.json").exists()
    subprocess.run(
        [*command, f"--model_dir={tmp_path}/killed"], check=True, stderr=subprocess.DEVNULL
    )
    subprocess.run(
        [*command, f"--model_dir={tmp_path}/whole"], check=True, stderr=subprocess.DEVNULL
    )
    both = [run_folder.run_at(tmp_path / name, "fa", "1", 0) for name in ("killed", "whole")]
    for left, right in zip(*(weights_of(run) for run in both), strict=True):
        np.testing.assert_array_equal(left, right)
    results = [run.read("result.json") for run in both]
    assert results[0]["validation_macro_accuracy"] == results[1]["validation_macro_accuracy"]


def test_a_finished_run_is_returned_as_it_is(corpus, features, tmp_path):
    run, result, _ = train(corpus, features, tmp_path, small_corpus.FA)
    before = run.path("best.npz").stat().st_mtime_ns
    assert train(corpus, features, tmp_path, small_corpus.FA)[1] == result
    assert run.path("best.npz").stat().st_mtime_ns == before


def test_a_folder_with_another_run_is_refused(corpus, features, tmp_path):
    train(corpus, features, tmp_path, small_corpus.FA)
    with pytest.raises(CrossaskError, match="other values of training"):
        train(corpus, features, tmp_path, small_corpus.FA, **{"training.learning_rate": 0.5})


def test_a_run_holds_to_the_division_it_was_trained_on(corpus, features, tmp_path):
    run, _, cache = train(corpus, features, tmp_path, small_corpus.FA)
    first, second, *rest = corpus.folds
    exchanged = dataclasses.replace(
        corpus,
        folds=(
            dataclasses.replace(second, name=first.name),
            dataclasses.replace(first, name=second.name),
            *rest,
        ),
    )
    assert exchanged.fingerprint == corpus.fingerprint
    with pytest.raises(DataError, match="other training, validation or evaluation clips"):
        train(exchanged, features, tmp_path, small_corpus.FA)
    with pytest.raises(DataError, match="other training, validation or evaluation clips"):
        training.predict(run, exchanged, cache)


def test_cities_that_are_known_of_some_clips_only_are_left_out(corpus, features, tmp_path):
    some = dataclasses.replace(
        corpus,
        clips=tuple(
            dataclasses.replace(clip, city="lyon" if clip.id.endswith("0.wav") else "")
            for clip in corpus.clips
        ),
    )
    run, _, cache = train(some, features, tmp_path, small_corpus.FA, **{"training.epochs": 1})
    training.predict(run, some, cache).to_csv(tmp_path / "predictions.csv", index=False)
    assert "city" not in evaluation.read_predictions(tmp_path / "predictions.csv")


def test_seeds_differ_and_repeat(corpus, features, tmp_path):
    first = weights_of(train(corpus, features, tmp_path / "a", small_corpus.FA, seed=0)[0])
    again = weights_of(train(corpus, features, tmp_path / "b", small_corpus.FA, seed=0)[0])
    other = weights_of(train(corpus, features, tmp_path / "c", small_corpus.FA, seed=1)[0])
    assert all((left == right).all() for left, right in zip(first, again, strict=True))
    assert any((left != right).any() for left, right in zip(first, other, strict=True))


def test_the_evaluation_fold_plays_no_part_in_training(corpus, features, tmp_path, monkeypatch):
    asked = set()
    create = run_module.EvaluationData

    def watch(cache, corpus, clip_ids, *rest):
        asked.update(clip_ids)
        return create(cache, corpus, clip_ids, *rest)

    monkeypatch.setattr(run_module, "EvaluationData", watch)
    train(corpus, features, tmp_path, small_corpus.FA)
    assert asked
    assert not asked & set(corpus.fold("1").evaluation)


def test_a_loss_that_is_no_number_stops_the_run_with_advice(corpus, features, tmp_path):
    with pytest.raises(CrossaskError, match="learning rate"):
        train(corpus, features, tmp_path, small_corpus.FA, **{"training.learning_rate": 1e30})


def test_fine_tuning_without_weights_is_refused(corpus, features, tmp_path):
    with pytest.raises(WeightsError, match="without weights"):
        train(corpus, features, tmp_path, small_corpus.CMAM, strategy="fine_tuning")


def test_two_devices_train_and_validate_every_clip(corpus, features, tmp_path, two_devices):
    row = small_corpus.FEATURE_BASED
    cache = prepare_features(corpus, row, features)
    assert two_devices.num_replicas_in_sync == 2
    run = run_folder.run_at(tmp_path, row.name, "1", 0)
    result = training.train(run, row, corpus, cache, training.Options(two_devices))
    assert result["epochs"] == 3
    assert json.loads(run.path("config.json").read_text())["corpus"]["validation"] == 6
    assert network.load(run).count_params() == result["parameters"]


@pytest.mark.parametrize(
    "changes",
    [{"average_decay": 0.5}, {"average_decay": 1.0, "average_every": "epoch", "average_from": 2}],
)
def test_averaged_weights_are_what_is_validated_and_kept(corpus, features, tmp_path, changes):
    changes = {f"training.{name}": value for name, value in changes.items()} | {
        "training.keep": "last"
    }
    run, result, cache = train(corpus, features, tmp_path / "averaged", small_corpus.FA, **changes)
    plain, _, _ = train(
        corpus, features, tmp_path / "plain", small_corpus.FA, **{"training.keep": "last"}
    )
    # the path of the weights themselves is the plain row's (its Adam is another class: rounding), the kept ones lie off it
    raw = [
        tf.train.load_checkpoint(tf.train.latest_checkpoint(str(one.path("checkpoints"))))
        for one in (run, plain)
    ]
    name = "model/scene/kernel/.ATTRIBUTES/VARIABLE_VALUE"
    np.testing.assert_allclose(*(one.get_tensor(name) for one in raw), atol=1e-5)
    kept = network.load(run)
    assert not np.allclose(kept.scene.kernel, raw[0].get_tensor(name), atol=1e-5)
    validation = training.training_parts(corpus, corpus.fold("1"), 0.3, 0)[1]
    table = training.predict(run, corpus, cache, validation)
    right = table[["a", "b"]].idxmax(axis=1) == table["truth"]
    assert result["validation_accuracy"] == pytest.approx(right.mean())


SOFT = {
    "augmentation.mixup_alpha": 0.4,
    "augmentation.label_smoothing": 0.1,
    "augmentation.time_masks": 1,
    "augmentation.crop_frames": 100,
    "augmentation.time_roll": True,
    "augmentation.swap_channels": True,
    "augmentation.frequency_masks": 1,
}


@pytest.mark.parametrize(
    "row",
    [small_corpus.FA, small_corpus.FEATURE_BASED, small_corpus.CMAM],
    ids=lambda row: row.name,
)
def test_a_varied_row_trains_alike_again(corpus, features, tmp_path, row):
    whole, result, _ = train(corpus, features, tmp_path / "whole", row, **SOFT)
    again, _, _ = train(corpus, features, tmp_path / "again", row, **SOFT)
    plain, _, _ = train(corpus, features, tmp_path / "plain", row)
    for left, right in zip(weights_of(whole), weights_of(again), strict=True):
        np.testing.assert_array_equal(left, right)
    assert any(
        not np.array_equal(a, b) for a, b in zip(weights_of(whole), weights_of(plain), strict=True)
    )
    assert 0 <= result["validation_macro_accuracy"] <= 1


def test_a_student_learns_from_its_teachers_tables(corpus, features, tmp_path):
    strong = {"training.epochs": 12, "training.learning_rate": 3e-3}
    teacher, _, cache = train(corpus, features, tmp_path, small_corpus.FA, **strong)
    table = training.predict(teacher, corpus, cache, corpus.fold("1").train)
    table.to_csv(tmp_path / "teacher.csv", index=False)
    table[["a", "b"]] = table[["b", "a"]].to_numpy()
    table.to_csv(tmp_path / "liar.csv", index=False)
    student = dataclasses.replace(small_corpus.FA, name="student")
    ends = {}
    for name in ("teacher", "liar"):
        changes = strong | {
            "distillation.teacher": f"{tmp_path}/{name}.csv",
            "distillation.weight": 10.0,
            "training.keep": "last",
        }
        run, _, _ = train(corpus, features, tmp_path / name, student, **changes)
        heard = training.predict(run, corpus, cache)
        ends[name] = (heard[["a", "b"]].idxmax(axis=1) == heard["truth"]).mean()
    assert ends == {"teacher": 1.0, "liar": 0.0}
    table.iloc[:3].to_csv(tmp_path / "part.csv", index=False)
    with pytest.raises(CrossaskError, match="lacks 9 of 12 training clips"):
        train(
            corpus,
            features,
            tmp_path / "part",
            student,
            **{"distillation.teacher": f"{tmp_path}/part.csv"},
        )


def test_both_channel_orders_are_heard_alike(corpus, features, tmp_path):
    row = config.override(small_corpus.FA, {"model.both_channel_orders": True})
    run, _, _ = train(corpus, features, tmp_path, row)
    model = network.load(run)
    log_mel = tf.random.stateless_normal([2, 198, 64, 2], [0, 1])
    both = [tf.nn.softmax(model({"log_mel": log_mel[..., ::step]})).numpy() for step in (1, -1)]
    np.testing.assert_allclose(*both, atol=1e-6)
    alone = [
        tf.nn.softmax(model.scene_logits({"log_mel": log_mel[..., ::step]}, False, None)[0]).numpy()
        for step in (1, -1)
    ]
    np.testing.assert_allclose(both[0], np.mean(alone, axis=0), atol=1e-6)


@pytest.mark.parametrize("system", ["FA", "CMAM"])
def test_the_stronger_network_learns_and_is_read_back(corpus, features, tmp_path, system):
    row = config.override(
        small_corpus.FA if system == "FA" else small_corpus.CMAM,
        {
            "model.encoder": "residual",
            "model.split_band": True,
            "model.deltas": True,
            "training.schedule": "warm_restarts",
        },
    )
    run, _, cache = train(
        corpus, features, tmp_path, row, **{"training.epochs": 6, "training.keep": "last"}
    )
    heard = training.predict(run, corpus, cache)
    assert (heard[["a", "b"]].idxmax(axis=1) == heard["truth"]).mean() > 0.8
    encoder = network.load(run).encoder
    assert isinstance(encoder, SplitBand)
    assert isinstance(encoder.upper, ResidualEncoder)


def test_tensorboard_gets_rates_scenes_norms_and_drift(corpus, features, tmp_path):
    run, _, _ = train(corpus, features, tmp_path, STAGED)
    sides = {}
    for side in ("train", "validation"):
        (file,), found = (run.path("logs") / side).glob("events*"), sides.setdefault(side, {})
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                found.setdefault(value.tag.removeprefix("epoch_"), []).append(
                    float(tf.make_ndarray(value.tensor))
                )
    assert {"accuracy/a", "accuracy/b", "loss"} <= set(sides["validation"])
    found = sides["train"]
    assert {"gradient_norm_scene", "gradient_norm_event", "learning_rate/scene"} <= set(found)
    assert sum(name.startswith("learning_rate/event_") for name in found) == 9
    # the topmost layer waits one epoch, the others one more each
    assert [rate > 0 for rate in found["learning_rate/event_9"]] == [False, True, True][
        : len(found["learning_rate/event_9"])
    ]
    assert found["learning_rate/event_1"] == [0, 0, 0]
    drift = found["embedding_drift"]
    assert drift[0] == 0
    assert drift[-1] > 0
    assert all(norm > 0 for norm in found["gradient_norm_event"])


COMPILED = """
import dataclasses, sys
import numpy as np, tensorflow as tf, tf_keras as keras
sys.path.insert(0, {tests!r})
import small_corpus
from crossask import training
from crossask.training import run as run_module
from crossask.training import network

for system, dropout in (("FA", 0.0), ("VEM", 0.0), ("JRM", 0.0), ("CMAM", 0.0), ("CMAM", 0.1)):
    row = dataclasses.replace(small_corpus.CMAM, system=system, model=dataclasses.replace(small_corpus.NARROW, attention_dropout=dropout))
    inputs = {{"log_mel": [4, 198, 64, 2], "patches": [4, 2, 96, 64]}}
    inputs.pop({{"VEM": "log_mel", "FA": "patches"}}.get(system), None)
    inputs = {{name: tf.random.stateless_normal(shape, [0, 1]) for name, shape in inputs.items()}}
    batch, ends = (inputs, tf.constant([0, 1, 0, 1]), tf.ones([4])), []
    for jit in (False, True):
        keras.utils.set_random_seed(0)
        model = network.build(row, ("a", "b"), 0, {{}})
        training.compile_model(model, row, 2, {{kind: x.shape[1:] for kind, x in inputs.items()}})
        step = tf.function(model.train_step, jit_compile=jit)
        ends.append([float(step(batch)["loss"]) for _ in range(3)])
    print(system, *ends)
    # XLA draws other random numbers from a seed
    np.testing.assert_allclose(*ends, rtol=1 if dropout else 2e-3)
"""


def test_a_step_of_training_is_one_compiled_program_of_constant_shapes():
    """What a TPU asks for: XLA takes the whole step, the event model's too; no operation of the host, no unknown size.

    In a process of its own: XLA does not compile it where operations were asked to be deterministic, as they are in training.
    """
    script = COMPILED.format(tests=os.path.dirname(__file__))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "FA",
        "VEM",
        "JRM",
        "CMAM",
        "CMAM",
    ]


def test_macro_accuracy_is_the_mean_over_classes():
    metric = training.MacroAccuracy(3)
    # hand-worked: class 0 2 of 3, class 1 0 of 1, class 2 unseen, one clip of weight 0
    logits = tf.one_hot([0, 0, 1, 2, 0], 3)
    metric.update_state([0, 0, 0, 1, 1], logits, [1.0, 1.0, 1.0, 1.0, 0.0])
    assert float(metric.result()) == pytest.approx((2 / 3 + 0) / 2)
    assert metric.by_class() == pytest.approx([2 / 3, 0, 0])
    soft = training.MacroAccuracy(3)
    soft.update_state(tf.one_hot([0, 0, 0, 1, 1], 3) * 0.9, logits, [1.0, 1.0, 1.0, 1.0, 0.0])
    assert float(soft.result()) == float(metric.result())
