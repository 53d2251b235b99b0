"""What would fail after hours is reported before the first run, all at once; no files remain."""

import csv
import dataclasses
import os
import re
import signal
import tempfile
import types

import numpy as np
import pytest
import small_corpus
import tensorflow as tf

from crossask import config, grid
from crossask.cli import command
from crossask.cli import train as train_command
from crossask.datasets import read_corpus
from crossask.errors import CrossaskError
from crossask.grid import plan, preflight, row_check, runs

pytestmark = pytest.mark.processes
ROWS = """
import sys
sys.path.insert(0, {tests!r})
import small_corpus
ROWS = (small_corpus.FA,)
"""
GIB = 2**30
SHORTEST_CHECKED_SECONDS = preflight.SHORTEST_CHECKED_SECONDS


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return small_corpus.write(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """The folder for temporary files."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture(autouse=True)
def short_training_is_checked(monkeypatch):
    """Makes small grids be checked as large ones are."""
    monkeypatch.setattr(preflight, "SHORTEST_CHECKED_SECONDS", 0)


def a_grid(data, folder, *rows, **changes):
    return grid.Grid(
        **{
            "rows": rows or (small_corpus.FA,),
            "seeds": (0, 1),
            "data_dir": str(data),
            "features_dir": str(folder / "features"),
            "model_dir": str(folder / "runs"),
            **changes,
        }
    )


def checked(wanted, **options):
    return list(preflight.check(wanted, preflight.rows_to_check(wanted), **options))


def train(data, folder, *words) -> int:
    (folder / "rows.py").write_text(
        ROWS.format(tests=str(small_corpus.__file__.rpartition("/")[0]))
    )
    return train_command.main(
        [
            "crossask-train",
            f"--experiment={folder}/rows.py",
            f"--data_dir={data}",
            f"--features_dir={folder}/features",
            "--params_override=training.epochs=1",
            f"--model_dir={folder}/runs",
            *words,
        ]
    )


def test_a_good_grid_is_logged_row_by_row_starts_and_is_not_checked_again(
    data, tmp_path, scratch, monkeypatch
):
    lines = []
    monkeypatch.setattr(command.LOG, "info", lambda text, *values: lines.append(text % values))
    before = []

    def first_run(*arguments, **options):
        # Python's own copy of rows.py may lie beside it, and TensorFlow's of functions that this
        # process has traced are in the folder for temporary files until it ends.
        for path in sorted(tmp_path.rglob("*")):
            is_of_tensorflow = path.name.startswith("__autograph_generated_file")
            if "__pycache__" not in path.parts and not is_of_tensorflow:
                before.append(path.name)
        return original(*arguments, **options)

    original = grid.train
    monkeypatch.setattr(grid, "train", first_run)
    assert train(data, tmp_path, "--seeds=0,1") == 0
    assert before == ["rows.py", "scratch"]  # all that there is when the grid starts
    # Without a terminal, progress is logged, too.
    outcomes = [line for line in lines if " % (" not in line]
    assert outcomes[0].startswith("preflight: fa: features, training step, evaluation, export: ")
    assert re.fullmatch(r"Training takes at most about \d+ s, after the features\.", outcomes[1])
    assert [line.partition(":")[0] for line in outcomes if "about" not in line] == [
        "preflight",
        "fa fold 1 seed 0",
        "fa fold 1 seed 1",
    ]
    lines.clear()
    assert train(data, tmp_path, "--seeds=0,1") == 0
    assert not any(line.startswith("preflight") for line in lines)


def test_rows_are_checked_that_have_not_begun_where_more_than_one_run_is_left(data, tmp_path):
    wanted = a_grid(data, tmp_path, small_corpus.FA, small_corpus.CMAM)

    def names(mode="auto"):
        return [row.name for row in preflight.rows_to_check(wanted, mode)]

    def write(name, row, *seeds):
        for run in (run for _, run in wanted.plan() if run.row == row and run.seed in seeds):
            run.folder.mkdir(parents=True, exist_ok=True)
            run.path(name).write_text("{}")

    assert names() == ["fa", "cmam"]
    write("config.json", "fa", 0)
    assert names() == ["fa", "cmam"]  # seed 1 has not begun
    write("config.json", "fa", 1)
    assert names() == ["cmam"]
    write("config.json", "cmam", 0, 1)
    write("result.json", "fa", 0, 1)
    write("result.json", "cmam", 0)
    assert names() == []
    assert names("always") == ["fa", "cmam"]
    assert names("never") == []


def test_only_training_of_more_than_some_minutes_is_checked(data, tmp_path, monkeypatch):
    monkeypatch.setattr(preflight, "SHORTEST_CHECKED_SECONDS", SHORTEST_CHECKED_SECONDS)
    short = a_grid(data, tmp_path)
    settings = dataclasses.replace(small_corpus.FA.training, epochs=5_000)
    long = a_grid(data, tmp_path, dataclasses.replace(small_corpus.FA, training=settings))
    assert preflight.rows_to_check(short) == []
    assert preflight.rows_to_check(short, "always") == list(short.rows)
    assert preflight.rows_to_check(long) == list(long.rows)
    (row,) = long.rows
    steps = plan.plan_row(row, long.corpora(row), long.folds_of(row), 2).steps
    seconds = plan.expected_seconds(long)
    assert seconds >= steps * plan.LEAST_SECONDS_OF_A_STEP
    assert plan.expected_seconds(long, jobs=2) == seconds / 2


def test_a_corpus_that_cannot_be_read_is_left_to_the_check(tmp_path):
    wanted = a_grid(tmp_path / "missing.csv", tmp_path)
    assert preflight.rows_to_check(wanted) == list(wanted.rows)


def test_the_time_names_the_rows_that_it_leaves_out(data, tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr(command.LOG, "info", lambda text, *values: lines.append(text % values))
    wanted = a_grid(data, tmp_path, small_corpus.FA, small_corpus.CMAM)
    values = types.SimpleNamespace(jobs=1, distribution="auto")
    train_command._log_time(wanted, {"fa": runs.StepTime(first=1.0, later=1.0)}, values)
    assert lines[-1].endswith("Not included, because they had begun before: cmam.")


def test_rows_without_a_validation_part_pass(data, tmp_path):
    # A batch has more clips than the preflight takes, which are therefore repeated.
    row = config.override(small_corpus.CMAM_ON_ALL, {"training.batch_size": 18})
    outcomes = checked(a_grid(data, tmp_path, row))
    assert [getattr(outcome, "row", outcome) for outcome in outcomes] == [row.name]


@pytest.mark.parametrize("place", ["file/below", "/proc/crossask"])
def test_a_model_folder_that_cannot_be_written(data, tmp_path, place):
    (tmp_path / "file").write_text("")
    folder = str(tmp_path / place)
    (error,) = checked(a_grid(data, tmp_path, model_dir=folder))
    assert f"{folder} cannot be written" in error.problem
    assert "--model_dir" in error.fix
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "scratch"]


def test_a_row_whose_folder_is_a_file(data, tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "fa").write_text("")
    (error,) = checked(a_grid(data, tmp_path))
    assert f"{tmp_path}/runs/fa/fold1/seed0 cannot be written" in error.problem


@pytest.mark.parametrize("place", ["file/below", "/proc/crossask"])
def test_a_features_folder_that_cannot_be_written(data, tmp_path, place):
    (tmp_path / "file").write_text("")
    folder = str(tmp_path / place)
    (error,) = checked(a_grid(data, tmp_path, features_dir=folder))
    assert f"{folder} cannot be written" in error.problem
    assert "--features_dir" in error.fix


def test_a_class_that_one_of_several_folds_evaluates(data, tmp_path):
    lines = list(csv.DictReader(data.open()))
    for line in lines:
        place = int(line["location"][1:])
        line["filename"] = data.parent / line["filename"]
        # Fold 3 evaluates scene a alone.
        line["fold"] = 1 + (place if line["scene"] == "a" else place % 2) % 3
    table = tmp_path / "clips.csv"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, lines[0])
        writer.writeheader()
        writer.writerows(lines)
    (outcome,) = checked(a_grid(table, tmp_path, folds=("1", "2", "3")))
    assert isinstance(outcome, row_check.Passed)
    (error,) = checked(a_grid(table, tmp_path, folds=("3",)))
    assert "Fold '3' of corpus 'folder' has no clips of b to evaluate on." in error.problem


@pytest.mark.parametrize(("side", "verb"), [("train", "train"), ("evaluation", "evaluate")])
def test_a_class_without_clips_on_a_side_of_the_fold_is_reported(
    data, tmp_path, side, verb, capsys
):
    lines = list(csv.DictReader(data.open()))
    for line in lines:
        place = int(line["location"][1:])
        line["filename"] = data.parent / line["filename"]
        line["fold"] = 2 if place > 1 else 1
        if line["scene"] == "b":
            line["fold"] = 1 if side == "train" else 2
    table = tmp_path / "clips.csv"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, lines[0])
        writer.writeheader()
        writer.writerows(lines)
    assert train(table, tmp_path, "--seeds=0,1") == 2
    printed = capsys.readouterr().err.splitlines()
    (number,) = (number for number, line in enumerate(printed) if line.startswith("Error: "))
    assert f"Fold '1' of corpus 'folder' has no clips of b to {verb} on." in printed[number]
    assert "leave the scene out" in printed[number + 1]
    assert not (tmp_path / "runs").exists()


def test_a_single_run_trains_on_every_scene_and_on_two_at_least(data, tmp_path, capsys):
    lines = list(csv.DictReader(data.open()))
    tables = {"one.csv": [], "folds.csv": []}
    for line in lines:
        line["filename"] = data.parent / line["filename"]
        line["fold"] = 1 if line["scene"] == "b" else 2
        tables["folds.csv"].append(line)
        if line["scene"] == "a":
            tables["one.csv"].append(line | {"fold": int(line["location"][1:]) % 2})
    problems = ["has one scene only, 'a'", "Fold '1' of corpus 'folder' has no clips of b to train"]
    for (name, rows), fold, problem in zip(tables.items(), "01", problems, strict=True):
        with (tmp_path / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        # A single run has no preflight.
        wanted = a_grid(tmp_path / name, tmp_path, seeds=(0,), folds=(fold,))
        assert preflight.rows_to_check(wanted) == []
        assert train(tmp_path / name, tmp_path, f"--folds={fold}") == 2
        assert problem in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_missing_weights_too_few_clips_and_too_little_memory_are_reported_together(
    data, tmp_path, scratch
):
    weightless = config.override(
        small_corpus.FEATURE_BASED,
        {"name": "weightless", "event_model.weights": str(tmp_path / "nowhere.npz")},
    )
    few = config.override(small_corpus.FA, {"name": "few", "training.batch_size": 64})
    # 5 GB for what one layer makes of the batch
    huge = config.override(
        small_corpus.FA,
        {"name": "huge", "training.batch_size": 12, "model.encoder_channels": (8192, 4, 8, 8)},
    )
    outcomes = checked(a_grid(data, tmp_path, weightless, few, huge), jobs=2, most_bytes=8 * GIB)
    assert all(isinstance(outcome, CrossaskError) for outcome in outcomes)
    problems, fixes = zip(*((error.problem, error.fix) for error in outcomes), strict=True)
    assert problems[0].startswith("Row weightless, features: ")
    assert "nowhere.npz" in problems[0]
    assert problems[1] == "Row few, features: 12 training clips do not fill one batch of 64."
    assert problems[2] == "Row huge runs out of memory at its batch size 12 (training step)."
    assert "training.batch_size" in fixes[2]
    assert list(scratch.iterdir()) == []


def test_embeddings_of_another_toolkit_that_lack_clips_are_reported(data, tmp_path):
    corpus = read_corpus("folder", data)
    first, *others = [clip.id for clip in corpus.clips if clip.id.startswith("a1")]
    names = [clip.id for clip in corpus.clips if clip.id not in others]
    np.savez(tmp_path / "embeddings.npz", **{name: np.ones([3, 4]) for name in names})
    row = config.override(
        small_corpus.FEATURE_BASED,
        {
            "event_model.name": "precomputed",
            "event_model.embeddings": str(tmp_path / "embeddings.npz"),
        },
    )
    (outcome,) = checked(a_grid(data, tmp_path, row))
    assert f"no embeddings of 2 of 24 clips: {', '.join(others)}." in outcome.problem
    assert first not in outcome.problem


def _killed(pipe, task):
    """In place of row_check.check_row."""
    os.kill(os.getpid(), signal.SIGKILL)


def _crashed(pipe, task):
    """In place of row_check.check_row."""
    pipe.send(("stage", "export"))
    os.kill(os.getpid(), signal.SIGSEGV)


def test_a_process_that_the_kernel_kills_has_run_out_of_memory(data, tmp_path, monkeypatch):
    monkeypatch.setattr(row_check, "check_row", _killed)
    (error,) = checked(a_grid(data, tmp_path))
    assert error.problem == "Row fa runs out of memory at its batch size 4 (start)."
    assert "Lower training.batch_size" in error.fix


def test_a_full_disk_is_no_lack_of_memory():
    # TensorFlow has one error for both.
    with (
        pytest.raises(tf.errors.ResourceExhaustedError) as disk,
        tf.io.TFRecordWriter("/dev/full") as writer,
    ):
        writer.write(bytes(1_000_000))
    with pytest.raises(tf.errors.ResourceExhaustedError) as memory:
        tf.zeros([1 << 24, 1 << 24])
    assert not row_check._is_out_of_memory(disk.value)
    assert row_check._is_out_of_memory(memory.value)


def test_a_process_that_crashes_is_reported_with_its_stage(data, tmp_path, monkeypatch):
    monkeypatch.setattr(row_check, "check_row", _crashed)
    (error,) = checked(a_grid(data, tmp_path))
    assert error.problem == "Row fa, export: the process was ended by SIGSEGV."
