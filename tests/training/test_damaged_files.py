"""A damaged file of a run is one error that names it, or changes nothing."""

import shutil

import damage
import numpy as np
import pandas as pd
import pytest
import renames
import small_corpus
import tensorflow as tf
import tf_keras as keras

from crossask import training
from crossask.errors import CrossaskError
from crossask.features.cache import prepare_features
from crossask.pretraining.claims import claim_folder
from crossask.report.runs import read_runs
from crossask.training import loop, network, run_folder

pytestmark = pytest.mark.trains


@pytest.fixture(scope="module")
def evaluated(corpus, features, trained, tmp_path_factory):
    """Returns the folder of a finished and evaluated run, which tests copy."""
    root = tmp_path_factory.mktemp("evaluated")
    finished = trained(small_corpus.FEATURE_BASED)
    run = run_folder.run_at(root, finished.row, "1", 0)
    shutil.copytree(finished.folder, run.folder)
    cache = prepare_features(corpus, small_corpus.FEATURE_BASED, features)
    training.evaluate_run(run, corpus, cache)
    training.evaluate_swapped(run, corpus, cache)
    shutil.rmtree(run.path("logs"))
    return root


@pytest.fixture
def run(evaluated, tmp_path):
    shutil.copytree(evaluated, tmp_path / "runs")
    return run_folder.run_at(tmp_path / "runs", small_corpus.FEATURE_BASED.name, "1", 0)


def used_for_prediction(run):
    """Returns the numbers of a run that predictions depend on."""
    weights = network.load(run).get_weights()
    return [run.read("result.json"), run.experiment(), *map(np.ndarray.tolist, weights)]


def used_for_reports(run):
    (found,) = read_runs(run.folder.parent.parent.parent)
    tables = []
    for table in (found.predictions, found.history, found.event_scores):
        tables.append(None if table is None else table.to_dict())
    return [found.config, found.result, found.swapped, *tables]


@pytest.fixture(scope="module")
def as_they_were(evaluated):
    """Returns what both uses return for whole files."""
    run = run_folder.run_at(evaluated, small_corpus.FEATURE_BASED.name, "1", 0)
    return {use: use(run) for use in (used_for_prediction, used_for_reports)}


def check(use, run, path, damaging, expected):
    """Damages a file; the use must name it, or return what it returned before."""
    damaging(path)
    found, error = damage.outcome(use, run)
    if error is None:
        assert found == expected[use]
    else:
        assert damage.names(error, path.name, path.parent)


NAMED = {"ids": lambda value: getattr(value, "__name__", value)}


@pytest.mark.parametrize("damaging", damage.ALL, **NAMED)
@pytest.mark.parametrize("name", ["config.json", "result.json", "statistics.npz", "best.npz"])
def test_predictions_do_not_come_from_damaged_files(run, as_they_were, name, damaging):
    check(used_for_prediction, run, run.path(name), damaging, as_they_were)


@pytest.mark.parametrize("damaging", damage.ALL, **NAMED)
@pytest.mark.parametrize(
    "name", ["config.json", "result.json", "history.csv", "predictions.csv", "scores.json"]
)
def test_reports_do_not_show_damaged_files(run, as_they_were, name, damaging):
    check(used_for_reports, run, run.path(name), damaging, as_they_were)


@pytest.mark.parametrize("name", ["swapped.json", "swapped_predictions.csv", "event_scores.csv"])
def test_reports_do_not_show_damaged_controls(run, as_they_were, name):
    if not run.path(name).is_file():
        pytest.skip(f"the run has no {name}")
    check(used_for_reports, run, run.path(name), damage.flip(0.7), as_they_were)


def test_weights_that_are_not_finite_are_an_error(run):
    with np.load(run.path("best.npz")) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["0003"] = arrays["0003"] * np.float32(np.nan)
    np.savez(run.path("best.npz"), **arrays)
    with pytest.raises(CrossaskError, match=r"best\.npz contains values that are not finite"):
        network.restore(run)
    with pytest.raises(CrossaskError, match=r"best\.npz .* has changed since it was written"):
        network.load(run)


def test_files_of_an_earlier_version_have_no_checksum_and_are_read(run, as_they_were):
    from crossask import files

    for name in ("config.json", "result.json", "scores.json", "swapped.json"):
        files.write_json(run.path(name), run.read(name))
    assert "checksum" not in run.path("result.json").read_text()
    assert used_for_prediction(run) == as_they_were[used_for_prediction]
    assert used_for_reports(run) == as_they_were[used_for_reports]


class Killed(Exception):
    pass


def fit(folder, epochs=3, killed_after=None):
    """Trains a tiny network, from what the folder contains; returns its weights and history."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Dense(3, input_shape=(4,)), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss, weighted_metrics=["accuracy"])
    model.optimizer.build(model.trainable_variables)
    values = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    clips = tf.data.Dataset.from_tensor_slices((values, np.arange(8) % 2))

    def training_batches(_epoch, step):
        return clips.batch(4).repeat().skip(step)

    def progress(done, _epochs, _note):
        if done == killed_after:
            raise Killed

    plan = loop.Plan("tiny", epochs, loop.Selection("accuracy"), ("accuracy",))
    batches = loop.Batches(training_batches, steps=2, validation=clips.batch(4))
    loop.fit(folder, model, batches, plan, progress)
    history = pd.read_csv(folder / "history.csv").drop(columns="seconds")
    loop.load_weights(folder / "best.npz", model)
    return [value.tolist() for value in model.get_weights()], history.to_dict()


@pytest.fixture(scope="module")
def half_trained(tmp_path_factory):
    """Returns a folder after two of three epochs, and what the whole training ends with."""
    root = tmp_path_factory.mktemp("half_trained")
    with small_corpus.without_graphs():
        whole = fit(root / "whole")
        with pytest.raises(Killed):
            fit(root / "half", killed_after=2)
        assert fit(shutil.copytree(root / "half", root / "resumed")) == whole
    return root / "half", whole


@pytest.mark.parametrize("damaging", damage.ALL, **NAMED)
@pytest.mark.parametrize(
    "name",
    [
        "checkpoints/checkpoint",
        "checkpoints/ckpt-2.index",
        "checkpoints/ckpt-2.data-00000-of-00001",
        "history.csv",
    ],
)
def test_training_goes_on_from_whole_checkpoints_alone(
    half_trained, tmp_path, eagerly, name, damaging
):
    half, whole = half_trained
    folder = shutil.copytree(half, tmp_path / "run")
    damaging(folder / name)
    found, error = damage.outcome(fit, folder)
    if error is None:
        assert found == whole
    else:
        assert damage.names(error, folder)


@pytest.mark.parametrize("name", ["fa[1]", "fa*", "fa?", "fa\\", "{fa}"])
def test_a_folder_whose_name_is_a_pattern_is_a_folder(half_trained, tmp_path, eagerly, name):
    half, whole = half_trained
    for matching in ("fa1", "fab"):
        # Their only checkpoint is the first one, which the training beside them removes.
        checkpoints = tmp_path / matching / "run" / "checkpoints"
        shutil.copytree(half / "checkpoints", checkpoints)
        for path in checkpoints.glob("ckpt-2.*"):
            path.rename(path.with_name(path.name.replace("-2", "-1")))
    folder = tmp_path / name / "run"
    with pytest.raises(Killed):
        fit(folder, killed_after=2)
    assert fit(folder) == whole
    left = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert left == ["checkpoint", "ckpt-3.data-00000-of-00001", "ckpt-3.index"]
    for matching in ("fa1", "fab"):
        assert len(list((tmp_path / matching).rglob("ckpt-1.*"))) == 2


@pytest.mark.parametrize("lines", [0, 1, 2, 9])
def test_a_history_that_lost_epochs_is_written_anew(half_trained, tmp_path, eagerly, lines):
    half, whole = half_trained
    folder = shutil.copytree(half, tmp_path / "run")
    content = (folder / "history.csv").read_text().splitlines(keepends=True)
    (folder / "history.csv").write_text("".join(content[:lines]))
    assert fit(folder) == whole


def test_training_that_is_killed_before_any_rename_goes_on_to_the_same_weights(
    half_trained, tmp_path, eagerly
):
    _, whole = half_trained
    kills = renames.kill_before_each(lambda folder: fit(folder), tmp_path)
    # The best weights of the first epoch, and the history of each of the three.
    assert len(kills) >= 4
    for folder in kills:
        assert fit(folder) == whole
        assert not list(folder.rglob("*.part"))


@pytest.mark.parametrize("damaging", damage.ALL, **NAMED)
def test_a_pretraining_does_not_go_on_in_a_damaged_folder(tmp_path, damaging):
    record = {"seed": 0, "clips": "0123456789abcdef", "event_model": {"name": "vggish"}}
    claim_folder(tmp_path, record)
    claim_folder(tmp_path, record)
    damaging(tmp_path / "config.json")
    _, error = damage.outcome(claim_folder, tmp_path, record)
    assert error is None or damage.names(error, "config.json", tmp_path)
