"""Training learns, repeats to the same weights, and keeps the best epoch by validation alone."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import small_corpus
import tensorflow as tf
import tf_keras as keras

from crossask import config, evaluation, processors, stored, training
from crossask.audio import notices
from crossask.config import FineTuningConfig
from crossask.datasets import read_corpus, training_parts
from crossask.errors import CrossaskError, DataError, WeightsError
from crossask.features.batches import EvaluationData
from crossask.features.cache import prepare_features
from crossask.models.residual import ResidualEncoder, SplitBand
from crossask.training import loop, network, run_folder
from crossask.training import run as run_module
from crossask.training.parts import check_same_data, parts_of

pytestmark = pytest.mark.trains

LEARNS_ALL = config.override(
    small_corpus.FA,
    {"name": "learns_all", "training.epochs": 5, "training.learning_rate": 1e-2},
)
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


def train(corpus, features, folder, row, seed=0, **changes):
    row = config.override(row, changes)
    cache = prepare_features(corpus, row, features)
    run = run_folder.run_at(folder, row.name, "1", seed)
    return run, training.train(run, row, corpus, cache)


def weights_of(run):
    with np.load(run.path("best.npz")) as file:
        return [file[name] for name in sorted(file.files)]


def last_checkpoint(run):
    return tf.train.latest_checkpoint(str(run.path("checkpoints")))


def right_predictions(table):
    return table[["a", "b"]].idxmax(axis=1) == table["truth"]


def assert_equal_weights(one, other):
    for left, right in zip(weights_of(one), weights_of(other), strict=True):
        np.testing.assert_array_equal(left, right)


def assert_other_weights(one, other):
    pairs = zip(weights_of(one), weights_of(other), strict=True)
    assert any(not np.array_equal(left, right) for left, right in pairs)


def test_a_row_learns_what_can_be_learnt_and_predicts_it(corpus, features, trained):
    run = trained(LEARNS_ALL)
    assert run.read("result.json")["validation_macro_accuracy"] == 1.0
    cache = prepare_features(corpus, LEARNS_ALL, features)
    table = training.predict(run, corpus, cache)
    assert list(table.columns) == ["clip", "location", "city", "truth", "a", "b"]
    assert sorted(table["clip"]) == sorted(corpus.fold("1").evaluation)
    assert right_predictions(table).all()
    again = training.predict(run, corpus, cache)
    np.testing.assert_array_equal(table[["a", "b"]], again[["a", "b"]])


@pytest.mark.parametrize("row", [small_corpus.FEATURE_BASED, STAGED], ids=lambda row: row.name)
def test_a_run_stopped_after_an_epoch_resumes_to_the_same_bits(
    corpus, features, trained, tmp_path, monkeypatch, row
):
    whole = trained(row)

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
            train(corpus, features, tmp_path, row)
    resumed, result = train(corpus, features, tmp_path, row)
    assert result["epochs"] == 3
    one = last_checkpoint(whole)
    other = last_checkpoint(resumed)
    # The state in Python contains the history, with the seconds of each epoch.
    differing = ("_CHECKPOINTABLE_OBJECT_GRAPH", "save_counter", "sums/.ATTRIBUTES/py_state")
    for name, _ in tf.train.list_variables(one):
        if not any(part in name for part in differing):
            np.testing.assert_array_equal(
                tf.train.load_variable(one, name),
                tf.train.load_variable(other, name),
                err_msg=name,
            )
    assert_equal_weights(whole, resumed)


def first_loss(run):
    return pd.read_csv(run.path("history.csv"))["loss"][0]


def assert_trained_in_half_precision(half, full):
    assert keras.mixed_precision.global_policy().name == "float32"
    assert {value.dtype for value in weights_of(half)} == {np.dtype(np.float32)}
    # Graphs and operations one by one differ by about 1e-7, half precision by about 1e-3.
    assert first_loss(half) != pytest.approx(first_loss(full), rel=1e-5)
    assert first_loss(half) == pytest.approx(first_loss(full), rel=0.2)


@pytest.mark.parametrize(
    "changes",
    [{}, {"augmentation.mixup_alpha": 0.2}],
    ids=["scenes", "probabilities"],
)
def test_the_validation_loss_is_the_mean_over_clips_though_the_last_batch_is_not_full(
    corpus, features, tmp_path, changes
):
    row = small_corpus.FA
    run, result = train(corpus, features, tmp_path, row, **{"training.batch_size": 5, **changes})
    cache = prepare_features(corpus, row, features)
    validation = parts_of(corpus, "1", row.training).validation
    assert len(validation) % 5
    model = network.restore(run)
    losses = []
    batches = EvaluationData(cache, corpus, validation, batch_size=1).batches()
    for inputs, scenes, _ in batches:
        probabilities = tf.nn.softmax(model(inputs)).numpy()[0].astype(np.float64)
        losses.append(-np.log(probabilities[int(scenes[0])]))
    assert len(losses) == len(validation)
    expected = pytest.approx(np.mean(losses), rel=1e-5)
    assert result["validation_loss"] == expected
    history = pd.read_csv(run.path("history.csv")).set_index("epoch")
    assert history["val_loss"][result["best_epoch"]] == expected


def test_half_precision_trains_and_predicts_in_full_precision(corpus, features, trained):
    half = trained(small_corpus.HALF)
    assert_trained_in_half_precision(half, trained(small_corpus.FA))
    assert_other_weights(half, trained(small_corpus.FA))
    table = training.predict(half, corpus, prepare_features(corpus, small_corpus.HALF, features))
    assert np.isfinite(table[["a", "b"]].to_numpy()).all()


@pytest.mark.parametrize(
    ("row", "precision"),
    [(small_corpus.FA, "mixed_bfloat16"), (STAGED, "mixed_bfloat16"), (STAGED, "mixed_float16")],
    ids=lambda value: getattr(value, "name", value),
)
def test_an_epoch_in_half_precision_trains_every_kind_of_row(
    corpus, features, trained, tmp_path, monkeypatch, caplog, row, precision
):
    full = trained(row)
    notices.forget()
    (tmp_path / "cpuinfo").write_text("flags : avx2 avx512f\n")
    monkeypatch.setattr(processors, "CPU_INFO", tmp_path / "cpuinfo")
    changes = {"training.precision": precision, "training.epochs": 1}
    with small_corpus.without_graphs():
        half, _ = train(corpus, features, tmp_path, row, **changes)
    lines = [line for line in caplog.messages if "so training.precision=mixed_bfloat16" in line]
    assert len(lines) == (precision == "mixed_bfloat16")
    assert_trained_in_half_precision(half, full)
    table = training.predict(half, corpus, prepare_features(corpus, row, features))
    assert np.isfinite(table[["a", "b"]].to_numpy()).all()


def test_a_run_records_the_machine_without_its_name(trained):
    machine = trained(small_corpus.FA).read("config.json")["machine"]
    assert set(machine) == {"cores", "cpu", "memory_gib"}
    assert machine["cores"] >= 1
    assert machine["memory_gib"] > 0


def test_a_finished_run_is_returned_as_it_is(corpus, features, trained):
    run = trained(small_corpus.FA)
    before = run.path("best.npz").stat().st_mtime_ns
    cache = prepare_features(corpus, small_corpus.FA, features)
    assert training.train(run, small_corpus.FA, corpus, cache) == run.read("result.json")
    assert run.path("best.npz").stat().st_mtime_ns == before


def copied(run, folder):
    """Returns a copy of a run that a test may change."""
    copy = run_folder.run_at(folder, run.row, run.fold, run.seed)
    shutil.copytree(run.folder, copy.folder)
    return copy


def test_a_run_from_before_a_field_existed_goes_on_if_the_field_has_its_default(
    corpus, features, trained, tmp_path
):
    run = copied(trained(small_corpus.FA), tmp_path)
    stored = run.read("config.json")
    for name in ("positions", "first_deltas", "vem_pool_padding"):
        del stored["experiment"]["model"][name]
    run.path("config.json").write_text(json.dumps(stored))
    cache = prepare_features(corpus, small_corpus.FA, features)
    assert training.train(run, small_corpus.FA, corpus, cache) == run.read("result.json")
    other = config.override(small_corpus.FA, {"model.vem_pool_padding": "same"})
    with pytest.raises(CrossaskError, match=r"other values of model\.vem_pool_padding"):
        training.train(run, other, corpus, cache)


def test_a_folder_with_another_run_is_refused(corpus, features, trained):
    run = trained(small_corpus.FA)
    row = config.override(small_corpus.FA, {"training.learning_rate": 0.5})
    with pytest.raises(CrossaskError, match=r"other values of training\.learning_rate"):
        training.train(run, row, corpus, prepare_features(corpus, row, features))


def test_a_row_may_have_more_folds_after_some_of_its_runs(corpus, features, trained):
    run = trained(small_corpus.FA)
    row = dataclasses.replace(small_corpus.FA, folds=("1", "2"))
    assert row.folds != small_corpus.FA.folds
    cache = prepare_features(corpus, row, features)
    assert training.train(run, row, corpus, cache) == run.read("result.json")


def test_a_run_refuses_another_division_than_the_one_it_was_trained_on(corpus, features, trained):
    run = trained(small_corpus.FA)
    cache = prepare_features(corpus, small_corpus.FA, features)
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
        training.train(run, small_corpus.FA, exchanged, cache)
    with pytest.raises(DataError, match="other training, validation or evaluation clips"):
        training.predict(run, exchanged, cache)


@pytest.mark.parametrize("kind", ["city", "device"])
def test_a_run_refuses_other_names_of_cities_and_devices(corpus, tmp_path, kind):
    def named(name):
        clips = [dataclasses.replace(clip, **{kind: name}) for clip in corpus.clips]
        return dataclasses.replace(corpus, clips=tuple(clips))

    before = named("Lyon")
    kinds = {"city": "cities", "device": "devices"}
    record = {
        "name": before.name,
        "fingerprint": before.fingerprint,
        f"training_{kinds[kind]}": ["Lyon"],
    }
    run = run_folder.run_at(tmp_path, "fa", "1", 0)
    stored.write_json(run.path("config.json"), {"corpus": record})
    parts = parts_of(before, "1", small_corpus.FA.training)
    # Cities and devices that are not known any more change no score.
    for same in (before, corpus):
        check_same_data(run, same, parts)
    problem = rf"was trained on the {kinds[kind]} Lyon, but .* now have Paris"
    with pytest.raises(DataError, match=problem):
        check_same_data(run, named("Paris"), parts)


def test_statistics_without_the_configuration_of_their_run_are_not_read(tmp_path):
    run = run_folder.run_at(tmp_path, "fa", "1", 0)
    stored.write_arrays(run.path("statistics.npz"), {"log_mel_mean": np.zeros(64)})
    run_module._claim_folder(run, {"fold": "1"}, corpus=None, parts=None, writes=True)
    assert run.path("config.json").is_file()
    assert not run.path("statistics.npz").exists()


def test_a_run_refuses_recordings_that_were_changed_in_their_middle_after_its_training(
    corpus, table, features, trained, tmp_path
):
    run = trained(small_corpus.FA)
    cache = prepare_features(corpus, small_corpus.FA, features)
    shutil.copytree(table.parent, tmp_path / "copy")
    copied = read_corpus("folder", tmp_path / "copy" / table.name)
    same = training.predict(run, copied, cache)
    pd.testing.assert_frame_equal(same, training.predict(run, corpus, cache))

    path = tmp_path / "copy" / "a00.wav"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    changed = read_corpus("folder", tmp_path / "copy" / table.name)
    with pytest.raises(DataError, match="was trained with other recordings"):
        training.predict(run, changed, cache)
    with pytest.raises(DataError, match="was trained with other recordings"):
        training.train(run, small_corpus.FA, changed, cache)


def test_a_run_of_an_earlier_version_goes_on_with_the_fingerprint_that_it_recorded(
    corpus, features, trained, tmp_path
):
    run = copied(trained(small_corpus.FA), tmp_path)
    stored = run.read("config.json")
    cache = prepare_features(corpus, small_corpus.FA, features)
    stored["corpus"]["fingerprint"] = corpus.fingerprint_of_ends
    run.path("config.json").write_text(json.dumps(stored))
    assert training.train(run, small_corpus.FA, corpus, cache) == run.read("result.json")
    stored["corpus"]["fingerprint"] = "0" * 16
    run.path("config.json").write_text(json.dumps(stored))
    with pytest.raises(DataError, match="was trained with other recordings"):
        training.train(run, small_corpus.FA, corpus, cache)


def test_cities_that_are_known_for_some_clips_only_are_left_out(
    corpus, features, tmp_path, eagerly
):
    some = dataclasses.replace(
        corpus,
        clips=tuple(
            dataclasses.replace(clip, city="lyon" if clip.id.endswith("0.wav") else "")
            for clip in corpus.clips
        ),
    )
    run, _ = train(some, features, tmp_path, small_corpus.FA, **{"training.epochs": 1})
    cache = prepare_features(some, small_corpus.FA, features)
    training.predict(run, some, cache).to_csv(tmp_path / "predictions.csv", index=False)
    assert "city" not in evaluation.read_predictions(tmp_path / "predictions.csv")


def with_devices(corpus, device_of):
    """Returns the corpus, in which the device of a clip is what `device_of` returns for its id."""
    clips = tuple(dataclasses.replace(clip, device=device_of(clip.id)) for clip in corpus.clips)
    return dataclasses.replace(corpus, clips=clips)


def test_a_run_records_the_devices_of_its_clips_and_is_scored_by_device(
    corpus, features, tmp_path, eagerly
):
    train_ids = corpus.fold("1").train

    def device_of(clip_id):
        # Of three clips at a location, the evaluation fold has one of a device that is unseen.
        number = clip_id.removesuffix(".wav")[-1]
        unseen = "s4" if number == "2" else "a"
        return "a" if clip_id in train_ids else unseen

    recorded = with_devices(corpus, device_of)
    run, _ = train(recorded, features, tmp_path, small_corpus.FA, **{"training.epochs": 1})
    assert run.read("config.json")["corpus"]["training_devices"] == ["a"]
    cache = prepare_features(recorded, small_corpus.FA, features)
    training.evaluate_run(run, recorded, cache)
    table = evaluation.read_predictions(run.path("predictions.csv"))
    assert list(table["device"]) == [device_of(clip_id) for clip_id in table["clip"]]
    scores = run.read("scores.json")["devices"]
    seen = evaluation.score(table[table["device"] == "a"]).macro_accuracy
    unseen = evaluation.score(table[table["device"] == "s4"]).macro_accuracy
    assert scores["training_devices"] == ["a"]
    assert scores["seen"]["macro_accuracy"] == pytest.approx(seen)
    assert scores["unseen"]["macro_accuracy"] == pytest.approx(unseen)
    # Scores by device would mislead if the device of one clip were unknown.
    some = with_devices(recorded, lambda clip_id: "" if clip_id == table["clip"][0] else "a")
    assert "device" not in training.predict(run, some, cache)


def test_seeds_differ_and_repeat(corpus, features, trained, tmp_path):
    again, _ = train(corpus, features, tmp_path, small_corpus.FA)
    assert_equal_weights(trained(small_corpus.FA), again)
    other, _ = train(corpus, features, tmp_path, small_corpus.FA, seed=1, **{"training.epochs": 1})
    assert_other_weights(trained(small_corpus.FA), other)


def test_the_evaluation_fold_plays_no_part_in_training(
    corpus, features, tmp_path, monkeypatch, eagerly
):
    read = set()
    create = run_module.EvaluationData

    def watch(cache, corpus, clip_ids, *rest):
        read.update(clip_ids)
        return create(cache, corpus, clip_ids, *rest)

    monkeypatch.setattr(run_module, "EvaluationData", watch)
    train(corpus, features, tmp_path, small_corpus.FA, **{"training.epochs": 1})
    assert read
    assert not read & set(corpus.fold("1").evaluation)


def test_a_loss_that_is_not_a_number_stops_the_run_with_advice(corpus, features, tmp_path, eagerly):
    with pytest.raises(CrossaskError, match="learning rate"):
        train(corpus, features, tmp_path, small_corpus.FA, **{"training.learning_rate": 1e30})


@pytest.mark.parametrize("row", [small_corpus.FA, small_corpus.FA_ON_ALL], ids=lambda row: row.name)
def test_a_last_step_that_ruins_the_weights_stops_the_run_with_advice(
    corpus, features, tmp_path, eagerly, row
):
    # One batch: the loss of the only step is that of the initial weights.
    clips = len(parts_of(corpus, "1", row.training).training)
    changes = {"training.epochs": 1, "training.batch_size": clips, "training.learning_rate": 1e39}
    with pytest.raises(CrossaskError, match="are not finite after epoch 1") as error:
        train(corpus, features, tmp_path, row, **changes)
    assert "learning rate" in error.value.fix


def test_without_a_validation_part_every_clip_is_trained_on_and_the_last_epoch_kept(
    corpus, trained
):
    run = trained(small_corpus.FA_ON_ALL)
    sizes = run.read("config.json")["corpus"]
    assert (sizes["training"], sizes["validation"]) == (len(corpus.fold("1").train), 0)
    result = run.read("result.json")
    assert (result["best_epoch"], result["epochs"], result["steps"]) == (3, 3, 3 * (18 // 4))
    history = pd.read_csv(run.path("history.csv"))
    assert list(history) == [
        *("epoch", "loss", "macro_accuracy", "accuracy", "learning_rate", "seconds")
    ]
    assert not any(name.startswith("validation") for name in result)
    assert not run.path("logs/validation").exists()
    assert not any("accuracy/" in name for name in logged_scalars(run.path("logs/train")))


def test_without_a_validation_part_events_are_examined_on_training_clips(
    corpus, features, tmp_path, monkeypatch, eagerly
):
    read = []
    measure = run_module.event_use

    def watch(model, batches):
        read.append(sum(int(tf.math.count_nonzero(weight)) for _, _, weight in batches))
        return measure(model, batches)

    monkeypatch.setattr(run_module, "event_use", watch)
    row = small_corpus.CMAM_ON_ALL
    changes = {"training.epochs": 1}
    _, result = train(corpus, features, tmp_path / "all", row, **changes)
    assert result["embedding_drift"] > 0
    assert result["uses_events"] in (True, False)
    monkeypatch.setattr(run_module, "MOST_EXAMINED_CLIPS", 7)
    run, first = train(corpus, features, tmp_path / "some", row, **changes)
    _, second = train(corpus, features, tmp_path / "again", row, **changes)
    assert read == [18, 7, 7]
    assert first["event_effect"] == second["event_effect"]
    assert logged_scalars(run.path("logs/train"))["embedding_drift"][0] > 0


def test_without_a_validation_part_the_progress_shows_the_loss_alone(
    corpus, features, tmp_path, eagerly
):
    notes = []

    def progress(_done, _total, note):
        notes.append(note)

    row = config.override(small_corpus.FA_ON_ALL, {"training.epochs": 1})
    cache = prepare_features(corpus, row, features)
    run = run_folder.run_at(tmp_path, row.name, "1", 0)
    training.train(run, row, corpus, cache, training.Options(progress=progress))
    assert notes[0] == "starts"
    assert notes[1] == f"loss {first_loss(run):.3f}"


def test_fine_tuning_without_weights_is_refused(corpus, features, tmp_path):
    with pytest.raises(WeightsError, match="without weights"):
        train(corpus, features, tmp_path, small_corpus.CMAM, strategy="fine_tuning")


def test_two_devices_train_and_validate_every_clip(corpus, features, tmp_path, two_devices):
    row = config.override(small_corpus.FEATURE_BASED, {"training.epochs": 1})
    cache = prepare_features(corpus, row, features)
    assert two_devices.num_replicas_in_sync == 2
    run = run_folder.run_at(tmp_path, row.name, "1", 0)
    result = training.train(run, row, corpus, cache, training.Options(two_devices))
    assert result["epochs"] == 1
    assert json.loads(run.path("config.json").read_text())["corpus"]["validation"] == 6
    assert network.load(run).count_params() == result["parameters"]


def test_two_devices_train_without_a_validation_part(corpus, features, tmp_path, two_devices):
    row = config.override(small_corpus.FA_ON_ALL, {"training.epochs": 1})
    cache = prepare_features(corpus, row, features)
    run = run_folder.run_at(tmp_path, row.name, "1", 0)
    result = training.train(run, row, corpus, cache, training.Options(two_devices))
    assert (result["epochs"], result["steps"]) == (1, 18 // 4)
    assert "validation_loss" not in result


@pytest.mark.parametrize(
    "changes",
    [{"average_decay": 0.5}, {"average_decay": 1.0, "average_every": "epoch", "average_from": 2}],
    ids=["exponential", "mean"],
)
def test_averaged_weights_are_validated_and_kept(corpus, features, trained, tmp_path, changes):
    changes = {f"training.{name}": value for name, value in changes.items()}
    run, result = train(
        corpus, features, tmp_path, small_corpus.FA, **changes, **{"training.keep": "last"}
    )
    # The weights that are trained follow the same path as without averages, except for rounding:
    # the optimizer is another class. The weights that are kept lie off it.
    name = "model/scene/kernel/.ATTRIBUTES/VARIABLE_VALUE"
    raw = tf.train.load_variable(last_checkpoint(run), name)
    plain = tf.train.load_variable(last_checkpoint(trained(small_corpus.FA)), name)
    np.testing.assert_allclose(raw, plain, atol=1e-5)
    kept = network.load(run)
    assert not np.allclose(kept.scene.kernel, raw, atol=1e-5)
    _, validation = training_parts(corpus, corpus.fold("1"), 0.3, 0)
    cache = prepare_features(corpus, small_corpus.FA, features)
    table = training.predict(run, corpus, cache, validation)
    assert result["validation_accuracy"] == pytest.approx(right_predictions(table).mean())


def test_averaged_weights_are_kept_without_a_validation_part(corpus, features, trained, tmp_path):
    averages = {"training.average_decay": 0.5}
    run, _ = train(corpus, features, tmp_path, small_corpus.FA_ON_ALL, **averages)
    name = "model/scene/kernel/.ATTRIBUTES/VARIABLE_VALUE"
    raw = tf.train.load_variable(last_checkpoint(run), name)
    plain = tf.train.load_variable(last_checkpoint(trained(small_corpus.FA_ON_ALL)), name)
    np.testing.assert_allclose(raw, plain, atol=1e-5)
    assert not np.allclose(network.load(run).scene.kernel, raw, atol=1e-5)


VARIATIONS = {
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
def test_a_varied_row_repeats_to_the_same_weights(corpus, features, tmp_path, eagerly, row):
    short = {"training.epochs": 1}
    one, result = train(corpus, features, tmp_path / "one", row, **VARIATIONS, **short)
    again, _ = train(corpus, features, tmp_path / "again", row, **VARIATIONS, **short)
    assert_equal_weights(one, again)
    assert 0 <= result["validation_macro_accuracy"] <= 1
    if row is small_corpus.FA:
        plain, _ = train(corpus, features, tmp_path / "plain", row, **short)
        assert_other_weights(one, plain)


def test_a_crop_as_long_as_the_clip_is_refused(corpus, features):
    row = config.override(small_corpus.FA, {"augmentation.crop_frames": 198})
    cache = prepare_features(corpus, row, features)
    with pytest.raises(DataError, match=r"crop_frames=198 crops nothing: .* has 198 frames"):
        training.training_data(row, corpus, cache, corpus.fold("1").train, seed=0)


def test_a_student_learns_from_its_teachers_tables(corpus, features, trained, tmp_path):
    cache = prepare_features(corpus, LEARNS_ALL, features)
    table = training.predict(trained(LEARNS_ALL), corpus, cache, corpus.fold("1").train)
    table.to_csv(tmp_path / "teacher.csv", index=False)
    table[["a", "b"]] = table[["b", "a"]].to_numpy()
    table.to_csv(tmp_path / "liar.csv", index=False)
    student = dataclasses.replace(LEARNS_ALL, name="student")
    accuracies = {}
    for name in ("teacher", "liar"):
        changes = {
            "distillation.teacher": f"{tmp_path}/{name}.csv",
            "distillation.weight": 10.0,
            "training.keep": "last",
        }
        run, _ = train(corpus, features, tmp_path / name, student, **changes)
        accuracies[name] = right_predictions(training.predict(run, corpus, cache)).mean()
    assert accuracies == {"teacher": 1.0, "liar": 0.0}


def test_a_teachers_table_must_contain_every_training_clip(corpus, features, tmp_path):
    table = pd.DataFrame(
        {"clip": corpus.fold("1").train[:3], "truth": "a", "location": "", "a": 0.5, "b": 0.5}
    )
    table.to_csv(tmp_path / "part.csv", index=False)
    teacher = {"distillation.teacher": f"{tmp_path}/part.csv"}
    with pytest.raises(CrossaskError, match=r"lacks \d+ of 12 training clips"):
        train(corpus, features, tmp_path, small_corpus.FA, **teacher)


def test_the_stronger_network_learns_and_predicts(corpus, features, tmp_path):
    row = config.override(
        small_corpus.FEATURE_BASED,
        {
            "model.encoder": "residual",
            "model.split_band": True,
            "model.deltas": True,
            "training.schedule": "warm_restarts",
            "training.learning_rate": 3e-3,
            "training.keep": "last",
        },
    )
    run, _ = train(corpus, features, tmp_path, row)
    table = training.predict(run, corpus, prepare_features(corpus, row, features))
    assert right_predictions(table).mean() > 0.8
    encoder = network.load(run).encoder
    assert isinstance(encoder, SplitBand)
    assert isinstance(encoder.upper, ResidualEncoder)


def logged_scalars(folder) -> dict[str, list[float]]:
    """Returns the scalars in the only TensorBoard file of `folder`: name -> a value an epoch."""
    (file,) = folder.glob("events*")
    found = {}
    for event in tf.compat.v1.train.summary_iterator(str(file)):
        for value in event.summary.value:
            name = value.tag.removeprefix("epoch_")
            found.setdefault(name, []).append(float(tf.make_ndarray(value.tensor)))
    return found


def test_tensorboard_gets_rates_scenes_norms_and_drift(trained):
    logs = trained(STAGED).path("logs")
    assert {"accuracy/a", "accuracy/b", "loss"} <= set(logged_scalars(logs / "validation"))
    found = logged_scalars(logs / "train")
    assert {"gradient_norm_scene", "gradient_norm_event", "learning_rate/scene"} <= set(found)
    assert sum(name.startswith("learning_rate/event_") for name in found) == 9
    # The topmost layer waits one epoch, each layer below it one more.
    assert [rate > 0 for rate in found["learning_rate/event_9"]] == [False, True, True]
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
from crossask.training import network

for system, dropout in (("FA", 0.0), ("VEM", 0.0), ("JRM", 0.0), ("CMAM", 0.0), ("CMAM", 0.1)):
    size = dataclasses.replace(small_corpus.NARROW, attention_dropout=dropout)
    row = dataclasses.replace(small_corpus.CMAM, system=system, model=size)
    inputs = {{"log_mel": [2, 64, 64, 2], "patches": [2, 2, 96, 64]}}
    inputs.pop({{"VEM": "log_mel", "FA": "patches"}}.get(system), None)
    inputs = {{name: tf.random.stateless_normal(shape, [0, 1]) for name, shape in inputs.items()}}
    batch = inputs, tf.constant([0, 1]), tf.ones([2])
    losses = []
    for compiled in (False, True):
        keras.utils.set_random_seed(0)
        model = network.build(row, ("a", "b"), 0, {{}})
        training.compile_model(model, row, 2, {{kind: x.shape[1:] for kind, x in inputs.items()}})
        step = tf.function(model.train_step, jit_compile=True) if compiled else model.train_step
        losses.append([float(step(batch)["loss"]) for _ in range(3)])
    print(system, *losses)
    # XLA draws other random numbers from a seed.
    np.testing.assert_allclose(*losses, rtol=1 if dropout else 2e-3)
"""
# Whether XLA accepts the program is the point, not how fast the program becomes: without
# optimization XLA is done in half the time.
QUICK_XLA = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"


@pytest.mark.processes
def test_a_step_of_training_is_one_compiled_program_of_constant_shapes():
    """XLA compiles the whole step, the event model's too, as a TPU requires.

    There is no operation of the host and no unknown size.

    It needs a process of its own: XLA does not compile the step once operations were set to be
    deterministic, as training sets them.
    """
    script = COMPILED.format(tests=str(small_corpus.FOLDER))
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "XLA_FLAGS": QUICK_XLA},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    systems = [line.split()[0] for line in done.stdout.splitlines()]
    assert systems == ["FA", "VEM", "JRM", "CMAM", "CMAM"]
