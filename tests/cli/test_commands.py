"""The commands from recordings to an answer, as a user types them: exit codes, messages, files."""

import csv
import importlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import small_corpus
import soundfile
from every_verb import call, run_every_verb

from crossask import stored
from crossask.cli import command, main

NAMED = ("--data_dir=x", "--model_dir=y")
VERBS = main.verbs()


@pytest.fixture
def rows(tmp_path) -> Path:
    return small_corpus.write_rows(tmp_path / "rows.py", "FA", "FEATURE_BASED")


@pytest.fixture(scope="module")
def work(made_once) -> Path:
    """Returns a folder in which every verb has run once: corpus/, rows.py, runs/, report/, model/.

    Tests only read it.
    """
    return made_once("commands", run_every_verb)


@pytest.mark.parametrize(
    ("verb", "flag"),
    [
        ("predict", "--hop=nan"),
        ("app", "--max_minutes=nan"),
        ("app", "--request_timeout=inf"),
        ("pretrain", "--learning_rate=nan"),
        ("pretrain", "--clip_seconds=inf"),
    ],
)
def test_a_number_that_is_not_finite_is_a_mistake_although_it_is_in_the_range(verb, flag, capsys):
    assert main.main(["crossask", verb, flag]) == command.USER_ERROR
    name, _, value = flag.partition("=")
    assert f"{name} is {value}." in capsys.readouterr().err


@pytest.mark.parametrize(("verb", "flag"), [("predict", "--model"), ("app", "--model")])
def test_a_path_after_a_flag_may_begin_with_the_home_folder(
    tmp_path, monkeypatch, capsys, verb, flag
):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    words = [str(tmp_path / "a.wav")] if verb == "predict" else []
    assert call(verb, f"{flag}=~/my model", *words) == 2
    assert f"{tmp_path}/my model" in capsys.readouterr().err


@pytest.mark.trains
def test_each_step_leaves_what_the_next_one_reads(work):
    for row in ("fa", "cmam_feature_based"):
        for seed in (0, 1):
            run = work / "runs" / row / "fold1" / f"seed{seed}"
            scores = json.loads((run / "scores.json").read_text())
            assert (
                0
                <= scores["interval"]["low"]
                <= scores["macro_accuracy"]
                <= scores["interval"]["high"]
                <= 1
            )
            assert (
                json.loads((run / "config.json").read_text())["experiment"]["training"]["epochs"]
                == 1
            )
    table = list(csv.DictReader((work / "report" / "table.csv").read_text().splitlines()))
    assert [line["row"] for line in table] == ["fa", "cmam_feature_based"]
    assert "<html" in (work / "report" / "report.html").read_text()


def test_rows_of_a_published_corpus_take_recordings_of_ones_own(table, rows, capsys):
    arguments = (
        f"--experiment={rows}:fa",
        f"--data_dir={table}",
        "--params_override=dataset=tau2019",
        "--dry_run",
    )
    assert call("train", *arguments) == 2
    assert "meta.csv" in capsys.readouterr().err
    assert call("train", *arguments, "--dataset=folder") == 0
    assert "folder, fold 1: " in capsys.readouterr().out


def test_a_dry_run_prints_runs_and_steps_and_leaves_nothing(table, rows, tmp_path, capsys):
    corpus = shutil.copy(table, tmp_path)  # There are no recordings beside it.
    before = sorted(tmp_path.iterdir())
    arguments = (f"--experiment={rows}:fa", f"--data_dir={corpus}", "--seeds=0,1")
    assert call("train", "--dry_run", *arguments) == 0
    printed = capsys.readouterr().out
    # four folds of three clips a scene and place: 18 clips, of which ceil(0.3 x 3) places a scene
    # validate
    assert "folder, fold 1: 18 clips to train on, 6 to evaluate, 0 in neither." in printed
    assert "fa: 2 runs (training + validation clips of fold 1: 12 + 6), 18 steps" in printed
    after = sorted(path for path in tmp_path.iterdir() if path.name != "__pycache__")
    assert after == before


def test_a_dry_run_of_a_batch_that_is_too_large_is_an_error(table, rows, capsys):
    arguments = (f"--experiment={rows}:fa", f"--data_dir={table}", "--seeds=0,1")
    assert call("train", "--dry_run", *arguments, "--params_override=training.batch_size=13") == 2
    problem = "Row fa, fold 1: 12 training clips do not fill one batch of 13."
    assert problem in capsys.readouterr().err


def test_describe_prints_the_size_of_every_row(rows, capsys):
    assert call("describe", f"--experiment={rows}", "--classes=2") == 0
    header, fa, cmam, note = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["row", "system", "strategy", "parameters"]
    assert fa.split()[:3] == ["fa", "FA", "from_scratch"]
    assert cmam.split()[-1] > "0"  # The last column counts the event model's multiply-accumulates.
    assert "a clip of 2 s" in note


@pytest.mark.trains
def test_predict_prints_words_json_or_csv(work, capsys):
    file = work / "corpus" / "a00.wav"
    assert call("predict", f"--model={work}/model", "--top=1", file) == 0
    words = capsys.readouterr().out
    assert words.startswith(f"{file}: ")
    assert words.count("%") == 1
    assert call("predict", f"--model={work}/model", "--format=json", file) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["file"] == str(file)
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert call("predict", f"--model={work}/model", "--format=csv", file) == 0
    (first,) = csv.DictReader(capsys.readouterr().out.splitlines())
    assert first["scene"] == answer["scene"] == max("ab", key=lambda scene: float(first[scene]))


@pytest.mark.trains
def test_bad_files_are_reported_and_the_others_predicted(work, tmp_path, capsys):
    broken, odd = tmp_path / "broken.wav", tmp_path / "odd.wav"
    broken.write_bytes(b"RIFF")
    soundfile.write(odd, np.zeros(4000), 12345)
    assert call("predict", f"--model={work}/model", broken, work / "corpus" / "a00.wav", odd) == 3
    printed = capsys.readouterr()
    assert "a00.wav" in printed.out
    assert str(broken) in printed.err
    assert f"{odd} lasts 0.324 s" in printed.err
    assert "2 of 3 files" in printed.err
    assert call("predict", f"--model={work}/model", broken) == 2


@pytest.mark.trains
def test_finished_runs_are_trained_again_never_and_evaluated_again_on_request(work, tmp_path):
    shutil.copytree(work / "runs", tmp_path / "runs")
    run = tmp_path / "runs" / "fa" / "fold1" / "seed0"
    before = {name: (run / name).stat().st_mtime_ns for name in ("best.npz", "scores.json")}
    common = (
        f"--experiment={work}/rows.py:fa",
        f"--data_dir={work}/corpus/clips.csv",
        "--params_override=training.epochs=1",
    )
    assert call("train", *common, f"--model_dir={tmp_path}/runs", "--seeds=0") == 0
    assert call("evaluate", f"--model_dir={tmp_path}/runs") == 0
    assert {name: (run / name).stat().st_mtime_ns for name in before} == before
    scores = (run / "scores.json").read_bytes()
    assert call("evaluate", f"--model_dir={run}", "--again") == 0
    assert (run / "scores.json").read_bytes() == scores
    assert (run / "scores.json").stat().st_mtime_ns > before["scores.json"]


@pytest.mark.trains
def test_a_run_without_a_validation_part_is_logged_evaluated_reported_and_exported(
    work, tmp_path, caplog
):
    arguments = (
        f"--experiment={work}/rows.py:fa",
        f"--data_dir={work}/corpus/clips.csv",
        f"--model_dir={tmp_path}/runs",
        "--params_override=training.epochs=1,training.validation_share=0,training.keep=last",
    )
    with small_corpus.without_graphs(), caplog.at_level("INFO"):
        assert call("train", *arguments) == 0
    (line,) = [text for text in caplog.messages if text.startswith("fa fold 1 seed 0: ")]
    assert line.startswith("fa fold 1 seed 0: epoch 1 of 1, no validation part, ")
    assert call("evaluate", f"--model_dir={tmp_path}/runs") == 0
    assert call("report", f"--model_dir={tmp_path}/runs", f"--out={tmp_path}/report") == 0
    (row,) = csv.DictReader((tmp_path / "report" / "table.csv").read_text().splitlines())
    assert row["validation_macro_accuracy"] == ""
    run = tmp_path / "runs" / "fa" / "fold1" / "seed0"
    assert call("export", f"--model_dir={run}", f"--out={tmp_path}/model") == 0


@pytest.mark.trains
def test_an_unfinished_run_is_left_out_and_the_exit_code_says_so(work, tmp_path):
    shutil.copytree(work / "runs", tmp_path / "runs")
    (tmp_path / "runs" / "fa" / "fold1" / "seed1" / "result.json").unlink()
    assert call("evaluate", f"--model_dir={tmp_path}/runs") == 3


@pytest.mark.trains
def test_any_table_of_predictions_is_scored(work, capsys):
    run = work / "runs" / "fa" / "fold1" / "seed0"
    assert call("evaluate", f"--predictions={run}/predictions.csv") == 0
    assert json.loads(capsys.readouterr().out) == stored.read_json(run / "scores.json", "")


@pytest.mark.parametrize(
    ("verb", "arguments", "problem", "fix"),
    [
        ("prepare", ["--dataset=folder"], "--data_dir is missing", "--help"),
        ("prepare", ["--dataset=birds", "--data_dir=."], "no data set 'birds'", "tau2019"),
        ("prepare", ["--assets=vgg"], "no asset 'vgg'", "vggish"),
        *[
            ("prepare", ["--assets=vggish", flag], "has no effect with --assets alone", "--dataset")
            for flag in ("--experiment={rows}", "--data_dir=.", "--verify", "--cities=lyon")
        ],
        *[
            (
                "prepare",
                ["--dataset=tau2019", "--data_dir=x", flag],
                f"{flag.partition('=')[0]} has no effect with --dataset=tau2019 without",
                "or add --experiment",
            )
            for flag in ("--features_dir=x", "--params_override=a.b=1", "--config_file=x.json")
        ],
        (
            "prepare",
            ["--dataset=tau2019", "--data_dir=.", "--cities=lyon"],
            "--cities has no effect with --dataset=tau2019",
            "Remove",
        ),
        (
            "prepare",
            ["--dataset=soundscapes", "--data_dir=.", "--events=5"],
            "--events has no effect",
            "Remove",
        ),
        (
            "prepare",
            ["--dataset=events", "--data_dir=.", "--experiment={rows}"],
            "--experiment has no effect",
            "Remove",
        ),
        (
            "prepare",
            ["--dataset=events", "--data_dir=.", "--download"],
            "--download has no effect with --dataset=events",
            "another --dataset",
        ),
        (
            "pretrain",
            ["--embeddings=x.npz", "--width=0.5", "--out=y.npz"],
            "--width has no effect with --embeddings",
            "Remove",
        ),
        *[
            (
                "pretrain",
                ["--embeddings=x.npz", flag, "--out=y.npz"],
                "has no effect with --embeddings",
                "Remove",
            )
            for flag in ("--runner=beam", "--distribution=mirrored", "--save_steps=5")
        ],
        (
            "pretrain",
            ["--events=x.csv", "--experiment={rows}", "--out=y.npz"],
            "--experiment has no effect with --events",
            "Remove",
        ),
        (
            "pretrain",
            ["--events=x.csv", "--audio_dir=sounds", "--out=y.npz"],
            "--audio_dir has no effect with a CSV of labelled files",
            "Remove --audio_dir",
        ),
        (
            "pretrain",
            ["--events=x.csv", "--peer_timeout=5", "--out=y.npz"],
            "--peer_timeout has no effect with --distribution=auto",
            "set --distribution=multi_worker_mirrored",
        ),
        (
            "train",
            ["--experiment={rows}", "--data_dir=x", "--distribution=mirrored", "--tpu=local"],
            "--tpu has no effect with --distribution=mirrored",
            "set --distribution=tpu",
        ),
        (
            "evaluate",
            ["--predictions=x.csv", "--model_dir=y"],
            "Both --predictions and --model_dir",
            "Give one",
        ),
        (
            "predict",
            ["--rate=16000", "x.wav"],
            "--rate has no effect with sound files",
            "add --stream",
        ),
        (
            "describe",
            ["--fields", "--experiment={rows}", "--params_override=training.epochs=3"],
            "--experiment has no effect with --fields",
            "Remove --experiment",
        ),
        (
            "describe",
            ["--fields", "--classes=3"],
            "--classes has no effect with --fields",
            "Remove",
        ),
        ("export", ["--model_dir=x", "--out=x.tflite"], "--out ends in .tflite", "--format=litert"),
        ("predict", ["--out=x.csv", "x.wav"], "ends in .csv", "Add --format=csv"),
        ("predict", ["--out=x.JSON", "x.wav"], "ends in .JSON", "Add --format=json"),
        ("predict", ["--model=", "x.wav"], "--model is empty", "variable of the shell"),
        ("app", ["--model="], "--model is empty", "variable of the shell"),
        *[
            ("app", [f"--public_name={name}"], f"{name!r}, which is no host name", "Give the name")
            for name in ("https://sounds.example.org", "example.org:8443", "example.org/sounds")
        ],
        ("predict", ["--format=csv", "--top=1", "x.wav"], "--top has no effect", "--format=text"),
        ("predict", ["--stream", "--hop=1"], "--hop has no effect with --stream", "Remove --hop"),
        *[
            (
                "evaluate",
                ["--predictions=x.csv", flag],
                "has no effect with --predictions",
                "Remove",
            )
            for flag in (
                "--data_dir=x",
                "--features_dir=x",
                "--weights=x",
                "--training_clips",
                "--swap_events",
                "--again",
            )
        ],
        *[
            (verb, ["my_model"], "'my_model' follows no flag", f"{verb} --help")
            for verb in ("app", "evaluate", "report", "export", "prepare", "pretrain", "describe")
        ],
        ("train", [], "Neither recordings nor --experiment are given.", "crossask train FOLDER"),
        ("predict", [], "No recording is given", "crossask-predict FILE_OR_FOLDER"),
        ("train", ["--data_dir=x", "--model_dir=y"], "--experiment is missing", "--help"),
        *[
            (
                verb,
                repeated,
                f"{repeated[0].partition('=')[0]} is given 2 times",
                "Give it once",
            )
            for verb, repeated in (
                ("train", ["--params_override=training.epochs=3", "--params_override=name=a"]),
                ("train", ["--experiment={rows}:fa", "--experiment={rows}:cmam_feature_based"]),
                ("train", ["--seeds=0", "--seeds=1"]),
                ("train", ["--folds=1", "--folds=2"]),
                ("pretrain", ["--test_folds=4", "--test_folds=5"]),
                ("prepare", ["--assets=vggish", "--assets=yamnet"]),
            )
        ],
        # reproduce.sh gives it without a change, too.
        ("train", ["--params_override=", "--data_dir=x"], "--experiment is missing", "--help"),
        (
            "train",
            ["--experiment=nowhere.py", "--data_dir=x", "--model_dir=y"],
            "no experiment file",
            "experiments/demo.py",
        ),
        (
            "train",
            ["--experiment={rows}:fb", "--data_dir=x", "--model_dir=y"],
            "no row 'fb'",
            "fa, cmam_feature_based",
        ),
        (
            "train",
            [
                "--experiment={rows}",
                "--params_override=training.epoch=3",
                "--data_dir=x",
                "--model_dir=y",
            ],
            "training.epoch",
            "'epochs'",
        ),
        (
            "train",
            [
                "--experiment={rows}",
                "--params_override=training.epochs=x",
                "--data_dir=x",
                "--model_dir=y",
            ],
            "'x'",
            "int",
        ),
        (
            "train",
            [
                "--experiment={rows}",
                "--params_override=name=mine",
                "--data_dir=x",
                "--model_dir=y",
            ],
            "gives several rows the name 'mine'",
            "Select one row",
        ),
        (
            "train",
            ["--experiment={rows}", "--seeds=one", "--data_dir=x", "--model_dir=y"],
            "--seeds",
            "0,1,2",
        ),
        (
            "train",
            ["--experiment={rows}", "--distribution=five", "--data_dir={csv}", "--model_dir=y"],
            "'five'",
            "mirrored",
        ),
        (
            "train",
            ["--experiment={rows}", "--folds=7", "--data_dir={csv}", "--model_dir={tmp}"],
            "7",
            "1",
        ),
        ("evaluate", ["--model_dir=nowhere"], "no runs below 'nowhere'", "crossask-train"),
        ("evaluate", ["--predictions=nowhere.csv"], "nowhere.csv", ""),
        ("report", ["--model_dir=nowhere", "--out=x"], "no runs below", "crossask-train"),
        ("predict", ["--modle=x", "a.wav"], "modle", "--help"),
        ("pretrain", ["--events=nowhere.csv", "--out=x.npz"], "no CSV 'nowhere.csv'", "filename"),
        ("app", ["--model=nowhere"], "not a model written by crossask-export", "saved_model.pb"),
        ("pretrain", ["--events={csv}", "--out=x.ckpt"], "--out", ".npz"),
        (
            "pretrain",
            ["--events={csv}", "--out=x.npz", "--learning_rate=0"],
            "--learning_rate is 0",
            "above 0",
        ),
    ],
)
def test_a_users_mistake_is_two_lines_and_exit_code_2(
    table, rows, tmp_path, monkeypatch, capsys, verb, arguments, problem, fix
):
    # Some commands create the folder of their lock.
    monkeypatch.chdir(tmp_path)
    places = {"rows": rows, "csv": table, "tmp": tmp_path}
    assert call(verb, *(argument.format(**places) for argument in arguments)) == 2
    assert_problem_and_fix(capsys.readouterr().err, problem, fix)


@pytest.mark.trains
@pytest.mark.parametrize(
    ("verb", "arguments", "problem", "fix"),
    [
        ("export", ["--model_dir={work}/runs", "--out=x"], "contains 4 runs", "one of them"),
        ("export", ["--model_dir={work}/runs/fa/fold1/seed0", "--out={work}/model"], "exists", ""),
        ("predict", ["--model={work}/model"], "No recording is given", "crossask-predict"),
        (
            "predict",
            ["--model={work}/model", "--timeline", "--format=dcase2019", "a.wav"],
            "--timeline cannot be written",
            "text, csv",
        ),
        ("predict", ["--model={work}/model", "--watch", "a", "b"], "2 folders", "one"),
        ("predict", ["--model={work}/model", "--stream", "a.wav"], "--stream", "Remove"),
        ("predict", ["--model={work}/model", "{work}/runs"], "no sound files", ".wav"),
        ("predict", ["--model={work}/model", "{work}/*.none"], "No file matches", "pattern"),
        (
            "predict",
            ["--model={work}/runs", "{work}/runs/fa/fold1/seed0/predictions.csv"],
            "not a model written by crossask-export",
            "saved_model.pb",
        ),
        ("predict", ["--model={work}/model", "nowhere.wav"], "nowhere.wav", ""),
    ],
)
def test_a_users_mistake_with_runs_and_models_is_two_lines_and_exit_code_2(
    work, tmp_path, monkeypatch, capsys, verb, arguments, problem, fix
):
    monkeypatch.chdir(tmp_path)
    assert call(verb, *(argument.format(work=work) for argument in arguments)) == 2
    assert_problem_and_fix(capsys.readouterr().err, problem, fix)


def assert_problem_and_fix(messages: str, problem: str, fix: str) -> None:
    """Checks the two lines of the error in what was written to standard error."""
    lines = messages.splitlines()
    number = next(number for number, line in enumerate(lines) if line.startswith("Error: "))
    assert problem in lines[number]
    assert fix in lines[number + 1]
    assert not any("Traceback" in line for line in lines)


@pytest.mark.processes
@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_is_a_module_whose_help_needs_no_tensorflow(verb):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", f"crossask.cli.{verb}", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"crossask-{verb}" in done.stdout
    has_flags = bool(command.shown_flags(importlib.import_module(f"crossask.cli.{verb}").FLAGS))
    assert has_flags == ("lags:\n" in done.stdout)
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "crossask.cli" in modules
    assert not {"tensorflow", "gradio"} & modules


def contents(folder: Path) -> dict[Path, bytes]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder): path.read_bytes() for path in paths}


@pytest.mark.processes
def test_a_killed_prepare_resumes_to_the_same_bytes(rows, tmp_path):
    """It is killed while a shard is half written, or just after."""
    data = small_corpus.write(tmp_path / "corpus", places=8, clips=8)  # four shards
    arguments = ("--dataset=folder", f"--experiment={rows}", f"--data_dir={data}")
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, "-m", "crossask.cli.prepare", *arguments]
    process = subprocess.Popen(
        [*command, f"--features_dir={killed}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and not list(killed.rglob("*.tfrecord*")):
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -9
    assert call("prepare", *arguments, f"--features_dir={whole}") == 0
    assert contents(killed).keys() != contents(whole).keys()
    assert call("prepare", *arguments, f"--features_dir={killed}") == 0
    assert contents(killed) == contents(whole)
