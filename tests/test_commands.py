"""The commands from recordings to an answer, as a user types them: exit codes, messages, files."""

import csv
import importlib
import json
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import small_corpus
import soundfile

NAMED = ("--data_dir=x", "--model_dir=y")
VERBS = (
    "prepare",
    "pretrain",
    "train",
    "evaluate",
    "report",
    "export",
    "predict",
    "describe",
    "launch",
    "app",
)
ROWS = """
import sys
sys.path.insert(0, {tests!r})
import dataclasses, small_corpus
ROWS = (small_corpus.FA, small_corpus.FEATURE_BASED)
"""


def call(verb: str, *arguments) -> int:
    return importlib.import_module(f"crossask.cli.{verb}").main(
        [f"crossask-{verb}", *map(str, arguments)]
    )


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder in which every verb has run once: corpus/, rows.py, runs/, report/, model/."""
    folder = tmp_path_factory.mktemp("work")
    data = small_corpus.write(folder / "corpus")
    (folder / "rows.py").write_text(
        ROWS.format(tests=str(small_corpus.__file__.rpartition("/")[0]))
    )
    common = (
        f"--experiment={folder}/rows.py",
        f"--data_dir={data}",
        "--params_override=training.epochs=1",
    )
    assert call("prepare", "--dataset=folder", *common) == 0
    assert (
        call("train", *common, f"--model_dir={folder}/runs", "--seeds=0,1", "--preflight=never")
        == 0
    )
    assert call("evaluate", f"--model_dir={folder}/runs") == 0
    assert call("report", f"--model_dir={folder}/runs", f"--out={folder}/report") == 0
    assert (
        call(
            "export",
            f"--model_dir={folder}/runs/cmam_feature_based/fold1/seed1",
            f"--out={folder}/model",
        )
        == 0
    )
    return folder


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


def test_rows_of_a_published_corpus_take_recordings_of_ones_own(work, capsys):
    rows = (
        f"--experiment={work}/rows.py:fa",
        f"--data_dir={work}/corpus/clips.csv",
        "--params_override=dataset=tau2019",
        "--dry_run",
    )
    assert call("train", *rows) == 2
    assert "meta.csv" in capsys.readouterr().err
    assert call("train", *rows, "--dataset=folder") == 0
    assert "folder, fold 1: " in capsys.readouterr().out


def test_a_dry_run_tells_runs_and_steps_and_leaves_nothing(work, tmp_path, capsys):
    corpus = shutil.copy(work / "corpus" / "clips.csv", tmp_path)  # no recordings beside it
    assert (
        call(
            "train",
            "--dry_run",
            f"--experiment={work}/rows.py:fa",
            f"--data_dir={corpus}",
            "--seeds=0,1",
        )
        == 0
    )
    told = capsys.readouterr().out
    # four folds of three clips a scene and place: 18 clips, of which ceil(0.3 x 3) places a scene validate
    assert "folder, fold 1: 18 clips to train on, 6 to evaluate, 0 in neither." in told
    assert "fa: 2 runs (training + validation clips of fold 1: 12 + 6), 18 steps" in told
    assert list(tmp_path.iterdir()) == [tmp_path / "clips.csv"]


def test_describe_prints_the_size_of_every_row(work, capsys):
    assert call("describe", f"--experiment={work}/rows.py", "--classes=2") == 0
    header, fa, cmam, note = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["row", "system", "strategy", "parameters"]
    assert fa.split()[:3] == ["fa", "FA", "from_scratch"]
    assert cmam.split()[-1] > "0"  # the event model's multiply-accumulates
    assert "a clip of 2 s" in note


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


def test_one_bad_file_of_two_is_told_and_the_other_answered(work, tmp_path, capsys):
    broken, odd = tmp_path / "broken.wav", tmp_path / "odd.wav"
    broken.write_bytes(b"RIFF")
    soundfile.write(odd, np.zeros(12345), 12345)
    assert call("predict", f"--model={work}/model", broken, work / "corpus" / "a00.wav", odd) == 3
    told = capsys.readouterr()
    assert "a00.wav" in told.out
    assert str(broken) in told.err
    assert "12345 Hz" in told.err
    assert "2 of 3 files" in told.err
    assert call("predict", f"--model={work}/model", broken) == 2


def test_training_again_leaves_finished_runs_alone_and_evaluating_again_is_asked_for(work):
    run = work / "runs" / "fa" / "fold1" / "seed0"
    before = {name: (run / name).stat().st_mtime_ns for name in ("best.npz", "scores.json")}
    common = (
        f"--experiment={work}/rows.py:fa",
        f"--data_dir={work}/corpus/clips.csv",
        "--params_override=training.epochs=1",
    )
    assert call("train", *common, f"--model_dir={work}/runs", "--seeds=0") == 0
    assert call("evaluate", f"--model_dir={work}/runs") == 0
    assert {name: (run / name).stat().st_mtime_ns for name in before} == before
    scores = (run / "scores.json").read_bytes()
    assert call("evaluate", f"--model_dir={run}", "--again") == 0
    assert (run / "scores.json").read_bytes() == scores
    assert (run / "scores.json").stat().st_mtime_ns > before["scores.json"]


def test_an_unfinished_run_is_left_out_and_the_exit_code_says_so(work, tmp_path):
    shutil.copytree(work / "runs", tmp_path / "runs")
    (tmp_path / "runs" / "fa" / "fold1" / "seed1" / "result.json").unlink()
    assert call("evaluate", f"--model_dir={tmp_path}/runs") == 3


def test_any_table_of_predictions_is_scored(work, capsys):
    run = work / "runs" / "fa" / "fold1" / "seed0"
    assert call("evaluate", f"--predictions={run}/predictions.csv") == 0
    assert json.loads(capsys.readouterr().out) == json.loads((run / "scores.json").read_text())


@pytest.mark.parametrize(
    ("verb", "arguments", "problem", "fix"),
    [
        ("prepare", ["--dataset=folder"], "--data_dir is not given", "--help"),
        ("prepare", ["--dataset=birds", "--data_dir=."], "no data set 'birds'", "tau2019"),
        ("prepare", ["--assets=vgg"], "no asset 'vgg'", "vggish"),
        ("train", [*NAMED], "--experiment is not given", "--help"),
        ("train", ["--experiment=nowhere.py", *NAMED], "no experiment file", "experiments/demo.py"),
        ("train", ["--experiment={rows}:fb", *NAMED], "no row 'fb'", "fa, cmam_feature_based"),
        (
            "train",
            ["--experiment={rows}", "--params_override=training.epoch=3", *NAMED],
            "training.epoch",
            "'epochs'",
        ),
        (
            "train",
            ["--experiment={rows}", "--params_override=training.epochs=x", *NAMED],
            "'x'",
            "int",
        ),
        ("train", ["--experiment={rows}", "--seeds=one", *NAMED], "--seeds", "0,1,2"),
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
        ("export", ["--model_dir={work}/runs", "--out=x"], "holds 4 runs", "one of them"),
        ("export", ["--model_dir={work}/runs/fa/fold1/seed0", "--out={work}/model"], "exists", ""),
        ("predict", ["--model={work}/model"], "No recording is given", "crossask-predict"),
        (
            "predict",
            ["--model={work}/model", "--timeline", "--format=dcase2019", "a.wav"],
            "--timeline has no format",
            "text, csv",
        ),
        ("predict", ["--model={work}/model", "--watch", "a", "b"], "2 folders", "one"),
        ("predict", ["--model={work}/model", "--stream", "a.wav"], "--stream", "Leave out"),
        ("predict", ["--model={work}/model", "{work}/runs"], "no sound files", ".wav"),
        ("predict", ["--model={work}/model", "{work}/*.none"], "No file fits", "pattern"),
        (
            "predict",
            ["--model={work}/runs", "a.wav"],
            "not a model written by crossask-export",
            "saved_model.pb",
        ),
        ("predict", ["--model={work}/model", "nowhere.wav"], "nowhere.wav", ""),
        ("predict", ["--modle=x", "a.wav"], "modle", "--help"),
        ("pretrain", ["--events=nowhere.csv", "--out=x.npz"], "no CSV 'nowhere.csv'", "filename"),
        ("app", [], "--model is not given", "--help"),
        ("pretrain", ["--events={csv}", "--out=x.ckpt"], "--out", ".npz"),
    ],
)
def test_a_users_mistake_is_two_lines_and_exit_code_2(
    work, tmp_path, capsys, verb, arguments, problem, fix
):
    places = {
        "work": work,
        "rows": work / "rows.py",
        "csv": work / "corpus" / "clips.csv",
        "tmp": tmp_path,
    }
    assert call(verb, *(argument.format(**places) for argument in arguments)) == 2
    lines = capsys.readouterr().err.splitlines()
    told = next(number for number, line in enumerate(lines) if line.startswith("Error: "))
    assert problem in lines[told]
    assert fix in lines[told + 1]
    assert not any("Traceback" in line for line in lines)


@pytest.mark.parametrize("verb", VERBS)
def test_help_answers_without_tensorflow(verb, capsys):
    code = (
        f"import sys; from crossask.cli import {verb}; rc = {verb}.main(['x', '--help']); "
        "sys.exit(rc or 'tensorflow' in sys.modules or 'gradio' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"crossask-{verb}" in done.stdout
    assert "Flags:" in done.stdout


def test_each_verb_is_also_a_module(work):
    done = subprocess.run(
        [sys.executable, "-m", "crossask.cli.predict", "--model=nowhere", "a.wav"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_killed_prepare_goes_on_to_the_same_bytes(work, tmp_path):
    """Also where it is killed while a shard is half written."""
    data = small_corpus.write(tmp_path / "corpus", places=12, clips=8)
    command = [
        sys.executable,
        "-m",
        "crossask.cli.prepare",
        "--dataset=folder",
        f"--experiment={work}/rows.py",
        f"--data_dir={data}",
    ]

    def files(folder):
        return {
            path.relative_to(folder): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    assert (
        subprocess.run(
            [*command, f"--features_dir={tmp_path}/whole"], capture_output=True, check=False
        ).returncode
        == 0
    )
    process = subprocess.Popen(
        [*command, f"--features_dir={tmp_path}/killed"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and not list((tmp_path / "killed").rglob("*.tfrecord*")):
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -9
    done = files(tmp_path / "killed")
    whole = files(tmp_path / "whole")
    assert done.keys() != whole.keys()
    assert (
        subprocess.run(
            [*command, f"--features_dir={tmp_path}/killed"], capture_output=True, check=False
        ).returncode
        == 0
    )
    assert files(tmp_path / "killed") == whole
