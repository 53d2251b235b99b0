"""A run is found, evaluated and exported from another folder than the one it was trained in."""

import dataclasses
import json
from pathlib import Path

import pytest
import small_corpus

from crossask import config, events
from crossask.cli import evaluate as evaluate_command
from crossask.cli import export as export_command
from crossask.config import catalogue
from crossask.errors import CrossaskError, DataError
from crossask.grid import trainer
from crossask.grid.runs import Grid
from crossask.training import network, run_folder
from crossask.training import run as run_module

WEIGHTS = config.override(small_corpus.FEATURE_BASED, {"event_model.weights": "weights.npz"})
EMBEDDINGS = config.override(
    small_corpus.FEATURE_BASED,
    {"event_model.name": "precomputed", "event_model.embeddings": "embeddings.npz"},
)


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """Returns the current folder, which has some files."""
    monkeypatch.chdir(tmp_path)
    for name in ("weights.npz", "pca.npz", "embeddings.npz", "trunk.npz", "one.csv", "two.csv"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def recorded(root: Path, row: config.Experiment) -> run_folder.Run:
    """Returns a run that was trained on a row, of which only config.json was written."""
    run = run_folder.run_at(root, row.name, "1", 0)
    run.folder.mkdir(parents=True)
    content = {"experiment": config.to_dict(row), "paths": {}}
    run.path("config.json").write_text(json.dumps(content))
    return run


@pytest.mark.parametrize(
    ("field", "value", "names"),
    [
        ("event_model.weights", "weights.npz", ["weights.npz"]),
        ("event_model.weights", "./weights.npz", ["weights.npz"]),
        ("event_model.pca", "pca.npz", ["pca.npz"]),
        ("event_model.embeddings", "embeddings.npz", ["embeddings.npz"]),
        ("distillation.teacher", "one.csv; two.csv", ["one.csv", "two.csv"]),
    ],
)
def test_files_of_a_row_are_recorded_with_absolute_paths(here, field, value, names):
    row = small_corpus.FEATURE_BASED
    if field.endswith("embeddings"):
        row = EMBEDDINGS
    row = config.with_absolute_paths(config.override(row, {field: value}))
    part, name = field.split(".")
    assert getattr(getattr(row, part), name) == ";".join(str(here / found) for found in names)
    # A second time changes nothing.
    assert config.with_absolute_paths(row) == row


def test_a_path_of_a_field_may_begin_with_the_home_folder(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here))
    for field, value, expected in (
        ("event_model.weights", "~/weights.npz", f"{here}/weights.npz"),
        ("distillation.teacher", "one.csv;~/two.csv", f"{here}/one.csv;{here}/two.csv"),
        # The files of the seeds.
        ("model.trunk", "~/trunk_{seed}.npz", f"{here}/trunk_{{seed}}.npz"),
    ):
        row = config.with_absolute_paths(config.override(WEIGHTS, {"system": "VEM", field: value}))
        part, name = field.split(".")
        assert getattr(getattr(row, part), name) == expected


def test_trunks_of_several_seeds_are_recorded_with_an_absolute_path(here):
    row = config.override(small_corpus.VEM, {"model.trunk": "trunk_{seed}.npz"})
    assert config.with_absolute_paths(row) == row
    (here / "trunk_3.npz").touch()
    assert config.with_absolute_paths(row).model.trunk == str(here / "trunk_{seed}.npz")


def test_what_is_no_file_here_remains(here):
    for handle in ("https://tfhub.dev/google/yamnet/1", "gs://bucket/weights", "none.npz", ""):
        row = config.override(WEIGHTS, {"event_model.weights": handle})
        assert config.with_absolute_paths(row) == row


def test_the_folders_of_a_grid_are_recorded_with_absolute_paths(here, monkeypatch):
    monkeypatch.setattr(trainer, "prepare_features", lambda *_arguments: None)
    monkeypatch.setattr(Grid, "corpora", lambda _grid, _row: None)
    grid = Grid((small_corpus.FA,), (0,), "data", "data/features", "runs")
    tasks = trainer._tasks(grid, trainer.Execution(), lambda *_: None)
    assert [dict(task.paths) for task in tasks] == [
        {"data_dir": str(here / "data"), "features_dir": str(here / "data" / "features")}
    ]


@pytest.mark.parametrize("row", [WEIGHTS, EMBEDDINGS])
def test_a_run_reads_weights_that_were_moved(here, row):
    run = run_folder.with_weights(recorded(here, row), "moved.npz")
    event_model = run.experiment().event_model
    assert (event_model.embeddings or event_model.weights) == str(here / "moved.npz")
    # Everything else is as it was recorded.
    assert (
        config.override(run.experiment(), {"event_model": config.to_dict(row.event_model)}) == row
    )


@pytest.mark.parametrize("row", [small_corpus.FA, small_corpus.FEATURE_BASED])
def test_a_run_without_weights_remains(here, row):
    run = recorded(here, row)
    assert run_folder.with_weights(run, "moved.npz") == run


@pytest.mark.parametrize("name", ["result.json", "checkpoints/checkpoint"])
def test_what_a_removed_configuration_left_is_not_taken_for_another(tmp_path, name):
    run = run_folder.run_at(tmp_path, "fa", "1", 0)
    run.path(name).parent.mkdir(parents=True)
    run.path(name).write_text("{}")
    with pytest.raises(CrossaskError, match=f"{name} is there without the config"):
        run_module._claim_folder(run, {}, None, None, writes=True)
    assert not run.path("config.json").exists()


def test_a_relative_path_of_an_older_version_is_the_same_path(here, monkeypatch):
    run = recorded(here / "runs", WEIGHTS)
    for name in ("check_same_data", "network", "trunk"):
        monkeypatch.setattr(run_module, name, Anything())
    record = {
        "experiment": config.to_dict(config.with_absolute_paths(WEIGHTS)),
        "event_digest": "",
        "start_digest": "",
        "trunk_digest": "",
        "teacher_digest": "",
    }
    run_module._check_same_run(run, record, None, None)
    other = config.override(WEIGHTS, {"event_model.weights": str(here / "embeddings.npz")})
    record["experiment"] = config.to_dict(other)
    with pytest.raises(CrossaskError, match=r"other values of event_model\.weights"):
        run_module._check_same_run(run, record, None, None)


def test_a_run_that_fine_tunes_does_not_go_on_from_other_weights(here):
    path = here / "weights.npz"
    row = config.override(
        small_corpus.CMAM, {"strategy": "fine_tuning", "event_model.weights": str(path)}
    )
    run = recorded(here / "runs", row)
    digests = []
    for seed in (0, 1):
        events.build(small_corpus.CMAM.event_model, seed=seed).save_npz(path)
        digests.append(network.start_digest(row, seed=0))
    values = json.loads(run.path("config.json").read_text())
    # An older version recorded none.
    network.check_start(run, digests[0])
    run.path("config.json").write_text(json.dumps({**values, "start_digest": digests[0]}))
    network.check_start(run, digests[0])
    with pytest.raises(CrossaskError, match="began with other weights"):
        network.check_start(run, digests[1])
    assert network.start_digest(small_corpus.CMAM, seed=0) == ""


def test_code_of_a_system_that_was_edited_is_warned_of(here, monkeypatch, caplog):
    module = here / "own_system_of_a_user.py"
    module.write_text("FACTOR = 1")
    monkeypatch.syspath_prepend(here)
    entry = dataclasses.replace(catalogue.system("FA"), model="own_system_of_a_user:Model")
    monkeypatch.setitem(catalogue._TABLES[catalogue.System], "FA", entry)
    run = recorded(here / "runs", small_corpus.FA)
    values = json.loads(run.path("config.json").read_text())
    code = network.code_of(small_corpus.FA)
    run.path("config.json").write_text(json.dumps({**values, "system_code": code}))
    network.warn_of_other_code(run)
    assert not caplog.records
    module.write_text("FACTOR = 2")
    network.warn_of_other_code(run)
    assert "The code of own_system_of_a_user has changed" in caplog.text


class Anything:
    """An object that can be called and has every attribute."""

    def __call__(self, *_arguments) -> None:
        pass

    def __getattr__(self, _name: str) -> "Anything":
        return Anything()


@pytest.mark.parametrize(("fold", "seed", "words"), [("1", 1, "seed 0"), ("2", 0, "fold '1'")])
def test_a_copy_of_a_run_is_not_a_run_of_another_fold_or_seed(here, fold, seed, words):
    run = recorded(here / "runs", small_corpus.FA)
    values = json.loads(run.path("config.json").read_text())
    run.path("config.json").write_text(json.dumps({**values, "fold": "1", "seed": 0}))
    assert run.experiment() == small_corpus.FA
    copy = run_folder.run_at(here / "runs", run.row, fold, seed)
    copy.folder.mkdir(parents=True)
    copy.path("config.json").write_text(run.path("config.json").read_text())
    with pytest.raises(DataError, match=f"contains a run with {words}"):
        copy.read("config.json")


@pytest.mark.parametrize("fold", ["day/1", "..", "", "a,b", "x" * 200])
def test_a_fold_of_a_flag_must_be_the_name_of_a_folder_where_its_runs_are_found(fold):
    # A table of own recordings may call its folds as it likes.
    with pytest.raises(CrossaskError, match="cannot be the name of a folder of runs"):
        Grid((small_corpus.FA,), (0,), "data", "features", "runs", folds=("1", fold))


def test_features_that_were_moved_with_the_data_set_are_found(here):
    run = recorded(here / "runs", small_corpus.FA)
    values = json.loads(run.path("config.json").read_text())
    old = {"data_dir": str(here / "old"), "features_dir": str(here / "old" / "features")}
    run.path("config.json").write_text(json.dumps({**values, "paths": old}))

    def folders(*arguments):
        evaluate_command.FLAGS.unparse_flags()
        evaluate_command.FLAGS(["evaluate", *arguments])
        return evaluate_command._data_of(
            run, evaluate_command.FLAGS, lambda _, data, features: (data, features)
        )

    moved = here / "new"
    (moved / "features").mkdir(parents=True)
    assert folders() == (old["data_dir"], old["features_dir"])
    found = folders(f"--data_dir={moved}")
    assert found == (str(moved), str(moved / "features"))
    # Features that were not moved are used where they are.
    (here / "old" / "features").mkdir(parents=True)
    assert folders(f"--data_dir={moved}") == (str(moved), old["features_dir"])
    other = here / "other"
    assert folders(f"--data_dir={moved}", f"--features_dir={other}") == (str(moved), str(other))


def test_the_commands_have_a_flag_for_moved_weights(here, monkeypatch):
    run = recorded(here / "runs", WEIGHTS)
    run.path("result.json").write_text("{}")
    seen = []

    def note(found: run_folder.Run, *_arguments) -> None:
        seen.append(found.experiment().event_model.weights)
        raise CrossaskError("Seen.", "Nothing.")

    monkeypatch.setattr(evaluate_command, "_evaluate", note)
    monkeypatch.setattr(export_command, "_write_saved_model", note)
    moved = f"--weights={here}/moved.npz"
    assert evaluate_command.main(["evaluate", f"--model_dir={run.folder}", moved]) == 2
    flags = [f"--model_dir={run.folder}", f"--out={here}/model", moved]
    assert export_command.main(["export", *flags]) == 2
    assert seen == [f"{here}/moved.npz"] * 2
