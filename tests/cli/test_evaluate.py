"""What crossask-evaluate prints about runs that already have scores."""

import json

import pytest

from crossask.cli import evaluate


@pytest.fixture
def evaluated_run(tmp_path):
    """Returns a function that writes a finished run with a score."""

    def write(row, seed, macro_accuracy):
        folder = tmp_path / row / "fold1" / f"seed{seed}"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"experiment": {"name": row}}))
        (folder / "result.json").write_text("{}")
        interval = {"low": 0.4, "high": 0.9, "over": "location", "confidence": 0.95}
        scores = {"macro_accuracy": macro_accuracy, "clips": 8, "interval": interval}
        (folder / "scores.json").write_text(json.dumps(scores))

    return write


def lines(tmp_path, capsys):
    assert evaluate.main(["crossask-evaluate", f"--model_dir={tmp_path}"]) == 0
    return capsys.readouterr().err


def test_several_runs_of_a_row_are_one_line_with_their_mean_and_range(
    evaluated_run, tmp_path, capsys
):
    for seed, macro_accuracy in enumerate([0.5, 0.75, 1.0]):
        evaluated_run("cmam", seed, macro_accuracy)
    found = lines(tmp_path, capsys)
    assert "cmam: macro accuracy 75.0 %, the mean of 3 runs (50.0 % to 100.0 %)." in found
    assert "seed 0: macro accuracy" not in found


def test_the_only_run_of_a_row_has_its_interval(evaluated_run, tmp_path, capsys):
    evaluated_run("fa", 0, 0.625)
    found = lines(tmp_path, capsys)
    expected = "fa fold 1 seed 0: macro accuracy 62.5 % (95 % interval over locations 40.0 to 90.0)"
    assert f"{expected}, 8 clips." in found


def test_rows_of_one_name_in_two_folders_are_not_averaged(evaluated_run, tmp_path, capsys):
    for study, macro_accuracies in (("first", [0.25, 0.5]), ("second", [0.75, 1.0])):
        for seed, macro_accuracy in enumerate(macro_accuracies):
            evaluated_run(f"{study}/fa", seed, macro_accuracy)
    evaluated_run("third/fa", 0, 0.625)
    found = lines(tmp_path, capsys)
    for study, mean in (("first", 37.5), ("second", 87.5)):
        row = tmp_path / study / "fa"
        assert f"{row}: macro accuracy {mean} %, the mean of 2 runs" in found
    assert f"{tmp_path / 'third' / 'fa'} fold 1 seed 0: macro accuracy 62.5 %" in found


def test_a_run_that_does_not_record_its_data_set_is_an_error_with_its_file(
    evaluated_run, tmp_path, capsys
):
    evaluated_run("fa", 0, 0.625)
    (scores,) = tmp_path.rglob("scores.json")
    scores.unlink()
    assert evaluate.main(["crossask-evaluate", f"--model_dir={tmp_path}"]) == 2
    problem, fix = capsys.readouterr().err.splitlines()[:2]
    assert problem.startswith(f"Error: {scores.with_name('config.json')} does not say on which")
    assert "--data_dir" in fix
