"""`make results`: the plan of the stored studies, and a small study that is made, resumed and
changed.
"""

import csv
import dataclasses
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import small_corpus
import soundfile
from report.made_up_runs import MACHINE, write_run

from crossask import locks
from crossask.errors import CrossaskError

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "experiments" / "results"
sys.path.insert(0, str(RESULTS))

import make_results  # noqa: E402
import studies  # noqa: E402

NOTHING_GIVEN = dict.fromkeys(studies.VARIABLES, "")
EVERYTHING = dict.fromkeys(studies.VARIABLES, "https://example.org")


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


def settings_of(out: Path, variables=NOTHING_GIVEN) -> make_results.Settings:
    return make_results.Settings(out / "out", variables, studies.CORPORA, stored=out / "stored")


def test_every_stored_file_has_one_study_and_the_readme_lists_it():
    names = [study.name for study in studies.STUDIES]
    assert len(set(names)) == len(names)
    assert {path.stem for path in RESULTS.glob("*.json")} <= set(names)
    page = (RESULTS / "README.md").read_text()
    for name in names:
        assert f"`{name}.json`" in page


def test_every_row_of_a_studied_file_is_trained_once(tmp_path):
    settings = settings_of(tmp_path, EVERYTHING)
    # Several studies may share the rows of one file on one corpus.
    rows_of: dict[tuple[str, str], list[str]] = {}
    for study in studies.STUDIES:
        for training in study.trainings:
            names = rows_of.setdefault((study.corpus, training.file), [])
            names += [row.name for row in make_results.rows_of(training, study, settings)]
    for (_, file), names in rows_of.items():
        all_rows = make_results.config.read_experiments(file)
        assert sorted(names) == sorted(row.name for row in all_rows)


def test_rows_with_random_events_keep_their_empty_weights(tmp_path):
    settings = settings_of(tmp_path, EVERYTHING)
    weights = {}
    for study in studies.STUDIES:
        for training in study.trainings:
            for row in make_results.rows_of(training, study, settings):
                if row.name == "random_events":
                    weights[study.name] = row.event_model.weights
    assert weights == {"controls": "", "esc10_controls": "", "ambience": ""}


def test_a_dry_run_needs_no_data_and_writes_nothing(tmp_path, capsys):
    settings = settings_of(tmp_path)
    assert make_results.make_results(studies.STUDIES, settings, is_dry_run=True) == 0
    printed = capsys.readouterr().out
    minutes = {study.name: f"{study.minutes:.0f} min" for study in studies.STUDIES}
    # Two rows with three seeds and one row with one, on one fold.
    assert f"demo                          7 runs  {minutes['demo']:17}  to do" in printed
    # Ten rows with three seeds on five folds.
    of_esc10 = f"150 runs  {minutes['esc10']:17}  skipped: ESC10= is"
    assert f"esc10                       {of_esc10}" in printed
    demo_minutes = 0
    for study in studies.STUDIES:
        if study.corpus == "demo":
            demo_minutes += study.minutes
    assert f"To do: {demo_minutes:.0f} min on two CPU cores." in printed
    assert "crossask-train --experiment=experiments/demo.py:fa,cmam_feature_based " in printed
    assert "experiments/esc10.py" not in printed
    assert list(tmp_path.iterdir()) == []


def test_a_study_without_its_data_is_skipped_with_the_reason(tmp_path, capsys):
    (study,) = [study for study in studies.STUDIES if study.name == "esc10_controls"]
    variables = NOTHING_GIVEN | {"ESC10": f"{tmp_path}/nowhere"}
    assert make_results.make_results([study], settings_of(tmp_path, variables)) == 0
    printed = capsys.readouterr().out
    assert f"skipped: ESC10={tmp_path}/nowhere does not exist; YAMNET= is not given (" in printed
    assert "https://tfhub.dev/google/yamnet/1" in printed
    assert f"Changed in {tmp_path}/stored: nothing." in printed


def test_make_passes_on_every_variable_of_the_studies():
    (line,) = re.findall(r"^RESULTS_DATA := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert line.split() == list(studies.VARIABLES)


def test_make_prints_the_plan_through_its_target():
    command = ["make", "--silent", "--dry-run", "results", "STUDIES=demo,esc10", "ESC10=a b"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert '--studies="demo,esc10"' in done.stdout
    assert '--data ESC10="a b"' in done.stdout


@pytest.mark.parametrize("problem", ["training.epochs is 0.", "no experiment file"])
def test_a_mistake_in_an_experiment_file_is_two_lines(tmp_path, monkeypatch, capsys, problem):
    rows = tmp_path / "rows.py"
    if problem == "training.epochs is 0.":
        rows.write_text(
            "from crossask.config import Experiment, TrainingConfig\n"
            'ROWS = (Experiment("fa", training=TrainingConfig(epochs=0)),)\n'
        )
    study = studies.Study("small", "a test", "demo", (studies.Training(str(rows), (0,)),))
    monkeypatch.setattr(make_results, "STUDIES", (study,))
    monkeypatch.setattr(sys, "argv", ["make_results.py", f"--out={tmp_path / 'out'}"])
    assert make_results.main() == make_results.USER_ERROR
    errors = capsys.readouterr().err
    assert problem in errors
    assert errors.count("\n") == 2


def test_a_study_that_another_process_computes_is_not_touched(tmp_path, capsys):
    (study,) = [study for study in studies.STUDIES if study.name == "demo"]
    settings = settings_of(tmp_path)
    with locks.of_path(settings.folder(study)):
        assert make_results.make_results([study], settings) == make_results.ALL_FAILED
    assert f"{settings.folder(study)} is being written by process" in capsys.readouterr().err
    assert not settings.folder(study).exists()


def small_study(folder: Path, epochs: int = 1, seeds=(0, 1)):
    """Returns a study of FA on the small corpus, and its corpora."""
    rows = small_corpus.write_rows(folder / "rows.py", "FA")
    override = f"training.epochs={epochs}"
    trainings = (studies.Training(str(rows), seeds, override=override),)
    study = studies.Study("small", "a test", "small", trainings, minutes=1)
    # The preparation is a command like those of the other studies: it writes the corpus.
    code = "import sys, pathlib, small_corpus; small_corpus.write(pathlib.Path(sys.argv[1]))"
    corpus = studies.Corpus(
        data="{out}/small_files/clips.csv",
        needs=("AMBIENCE",),
        preparation=(
            "env",
            f"PYTHONPATH={python_path()}",
            "{python}",
            "-c",
            code,
            "{out}/small_files",
        ),
    )
    return study, {"small": corpus}


def python_path() -> str:
    return os.pathsep.join([str(ROOT), str(small_corpus.FOLDER)])


@pytest.mark.trains
@pytest.mark.processes
def test_a_study_is_made_resumed_and_made_again_when_its_rows_change(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", python_path())
    given = tmp_path / "recordings.csv"
    given.write_text("filename,scene,location\n")
    study, corpora = small_study(tmp_path)
    settings = make_results.Settings(
        tmp_path / "out", NOTHING_GIVEN | {"AMBIENCE": str(given)}, corpora, tmp_path / "stored"
    )
    assert make_results.make_results([study], settings) == 0
    assert f"Changed in {tmp_path}/stored: small.json." in capfd.readouterr().out
    content = json.loads((tmp_path / "stored" / "small.json").read_text())
    assert content["command"] == "make results STUDIES=small AMBIENCE=..."
    (corpus,) = content["corpora"]
    assert [(row["name"], row["seeds"]) for row in corpus["rows"]] == [("fa", [0, 1])]
    assert set(content["machines"][0]) == {"cores", "cpu", "memory_gib"}
    assert "crossask" in content["versions"]
    # No folder of this machine, and not its name.
    assert str(tmp_path) not in json.dumps(content)

    # A finished study runs no command.
    assert make_results.make_results([study], settings) == 0
    printed = capfd.readouterr().out
    assert "finished" in printed
    assert "$ crossask" not in printed
    assert f"Changed in {tmp_path}/stored: nothing." in printed

    # Killed before its end: one run is missing, the other one is kept as it is.
    seeds = tmp_path / "out" / "small" / "runs" / "fa" / "fold1"
    before = (seeds / "seed0" / "result.json").stat().st_mtime_ns
    (seeds / "seed1" / "result.json").unlink()
    (tmp_path / "out" / "small" / "finished.json").unlink()
    assert make_results.make_results([study], settings) == 0
    assert (seeds / "seed0" / "result.json").stat().st_mtime_ns == before
    assert (seeds / "seed1" / "result.json").is_file()

    # With another row and one seed, the runs are set aside, and the first one is trained again.
    changed, _ = small_study(tmp_path, epochs=2, seeds=(0,))
    assert make_results.make_results([changed], settings) == 0
    assert json.loads((seeds / "seed0" / "result.json").read_text())["epochs"] == 2
    aside = tmp_path / "out" / "small" / "outdated" / "fa" / "fold1" / "seed0"
    assert json.loads((aside / "result.json").read_text())["epochs"] == 1
    assert not (seeds / "seed1").exists()
    content = json.loads((tmp_path / "stored" / "small.json").read_text())
    assert content["corpora"][0]["rows"][0]["seeds"] == [0]


def test_a_study_that_fails_is_reported_and_the_others_go_on(tmp_path, capfd):
    fails = studies.Corpus(
        data="{out}/x.csv", preparation=("{python}", "-c", "raise SystemExit(1)")
    )
    rows = small_corpus.write_rows(tmp_path / "rows.py", "FA")
    trainings = (studies.Training(str(rows), (0,)),)
    names = ("first", "second")
    found = [studies.Study(name, "a test", "fails", trainings) for name in names]
    settings = make_results.Settings(tmp_path / "out", {}, {"fails": fails}, tmp_path / "stored")
    assert make_results.make_results(found, settings) == make_results.ALL_FAILED
    printed = capfd.readouterr()
    assert "first: python" in printed.err
    assert "Failed: first, second." in printed.err
    assert f"Changed in {tmp_path}/stored: nothing." in printed.out


def test_a_study_whose_file_cannot_be_completed_is_reported_as_well(tmp_path, capfd, monkeypatch):
    def refused(study, settings):
        raise CrossaskError("The disk is full.", "Free some space.")

    monkeypatch.setattr(make_results, "compute", refused)
    corpus = studies.Corpus(data="{out}/x.csv")
    found = [studies.Study(name, "a test", "any", ()) for name in ("first", "second")]
    settings = make_results.Settings(tmp_path / "out", {}, {"any": corpus}, tmp_path / "stored")
    assert make_results.make_results(found, settings) == make_results.ALL_FAILED
    assert "Failed: first, second." in capfd.readouterr().err


def test_sigterm_reaches_the_command_and_waits_for_it(tmp_path):
    started = tmp_path / "started"
    saved = tmp_path / "saved"
    # A command that saves its state when it is stopped, as crossask-train does.
    command = (
        "import pathlib, signal, sys, time\n"
        "def stop(number, frame):\n"
        f"    pathlib.Path({str(saved)!r}).touch()\n"
        "    sys.exit(75)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        f"pathlib.Path({str(started)!r}).touch()\n"
        "time.sleep(60)\n"
    )
    driver = (
        "import signal, sys\n"
        f"sys.path.insert(0, {str(RESULTS)!r})\n"
        "import make_results\n"
        "signal.signal(signal.SIGTERM, make_results._stop)\n"
        f"make_results._run((sys.executable, '-c', {command!r}))\n"
    )
    environment = os.environ | {"PYTHONPATH": python_path()}
    with subprocess.Popen([sys.executable, "-c", driver], env=environment) as process:
        for _ in range(600):
            if started.exists():
                break
            time.sleep(0.1)
        process.terminate()
        assert process.wait(timeout=30) == make_results.STOPPED
    assert saved.exists()


def test_the_preparations_write_the_clips_of_their_corpora(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", python_path())
    rng = np.random.default_rng(0)
    lines = ["filename,scene,location"]
    for number in range(6):
        soundfile.write(tmp_path / f"{number}.wav", rng.normal(0, 0.1, (8000 * 11, 1)), 8000)
        lines.append(f"{number}.wav,{'rain' if number % 2 else 'wind'},place {number}")
    (tmp_path / "recordings.csv").write_text("\n".join(lines) + "\n")
    folder = tmp_path / "ESC-10" / "001 - Dog bark"
    folder.mkdir(parents=True)
    (folder / "1-100032-A.ogg").touch()
    given = {"AMBIENCE": f"{tmp_path}/recordings.csv", "ESC10": f"{tmp_path}/ESC-10"}
    settings = settings_of(tmp_path, EVERYTHING | given)
    for study in studies.STUDIES:
        if study.name in ("esc10", "ambience", "quiet_ambience_levels_linear"):
            make_results._prepare(study, settings)
            with open(settings.fill(studies.CORPORA[study.corpus].data, study)) as file:
                clips = list(csv.DictReader(file))
            assert len(clips) == (1 if study.name == "esc10" else 6)
    quiet, rate = soundfile.read(settings.out / "ambience_quiet_files" / "0_00.wav")
    assert rate == 8000
    assert 20 * np.log10(quiet.std()) < -40


def test_a_benchmark_without_trainings_is_run_alone(tmp_path):
    script = tmp_path / "benchmark.py"
    script.write_text("import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('{\"a\": 1}')")
    study = studies.Study(
        "small", "a test", "none", (), benchmark=("{python}", str(script), "{stored}")
    )
    corpora = {"none": studies.Corpus(data="")}
    settings = make_results.Settings(
        tmp_path / "out", NOTHING_GIVEN, corpora, stored=tmp_path / "stored"
    )
    assert make_results.make_results([study], settings) == 0
    content = json.loads((tmp_path / "stored" / "small.json").read_text())
    assert content["a"] == 1
    assert content["command"] == "make results STUDIES=small"
    assert content["versions"]["crossask"]
    assert set(content["machines"][0]) == {"cores", "cpu", "memory_gib"}


def test_a_benchmark_replaces_the_report_and_gets_command_and_machine(tmp_path):
    study, corpora = small_study(tmp_path)
    study = dataclasses.replace(study, benchmark=("{python}", "b.py", "{runs}", "{stored}"))
    settings = make_results.Settings(
        tmp_path / "out", {"AMBIENCE": str(tmp_path)}, corpora, tmp_path / "stored"
    )
    folder = tmp_path / "out" / "small"
    last = list(make_results.commands(study, settings))[-1]
    assert last == (sys.executable, "b.py", str(folder / "runs"), str(folder / "small.json"))
    write_run(folder / "runs", "fa", (2, 3), seed=0)
    (folder / "small.json").write_text('{"clips": 3}')
    make_results._complete(study, settings)
    assert json.loads((folder / "small.json").read_text()) == {
        "clips": 3,
        "command": "make results STUDIES=small AMBIENCE=...",
        "machines": [MACHINE],
        "seeds": [0],
        "versions": {"crossask": ["0.1.0"], "numpy": ["2.4.6"]},
    }


def test_a_student_is_set_aside_with_its_teacher(tmp_path):
    rows = tmp_path / "rows.py"
    rows.write_text(
        "from crossask import config\n"
        "ROWS = (\n"
        '    config.Experiment("teacher"),\n'
        '    config.Experiment("student", distillation=config.DistillationConfig("a.csv")),\n'
        '    config.Experiment("fa"),\n'
        ")\n"
    )
    study = studies.Study("small", "a test", "demo", (studies.Training(str(rows), (0,)),))
    settings = settings_of(tmp_path)
    for row in make_results.rows_of(study.trainings[0], study, settings):
        fields = {"distillation.teacher": row.distillation.teacher}
        if row.name == "teacher":
            fields["training.epochs"] = 3
        write_run(
            tmp_path / "out" / "small" / "runs",
            row.name,
            (2, 3),
            system=row.system,
            strategy=row.strategy,
            corpus=row.dataset,
            fields=fields,
        )
    make_results._set_outdated_runs_aside(study, settings)
    aside = tmp_path / "out" / "small" / "outdated"
    assert sorted(path.name for path in aside.iterdir()) == ["student", "teacher"]
    left = tmp_path / "out" / "small" / "runs"
    assert (left / "fa" / "fold1" / "seed0" / "config.json").is_file()
    assert not (left / "student" / "fold1" / "seed0").exists()


def test_runs_stay_if_their_row_has_more_folds_now(tmp_path):
    rows = tmp_path / "rows.py"
    rows.write_text(
        "from crossask import config\n"
        'ROWS = (config.Experiment("fa", folds=("1", "2"), note="new"),)\n'
    )
    study = studies.Study("small", "a test", "demo", (studies.Training(str(rows), (0,)),))
    folder = tmp_path / "out" / "small"
    for fold, folds in (("1", ("1",)), ("3", ("1", "2", "3"))):
        fields = {"folds": folds}
        write_run(folder / "runs", "fa", (2, 3), corpus="tau2019", fold=fold, fields=fields)
    make_results._set_outdated_runs_aside(study, settings_of(tmp_path))
    runs = [path.parent for path in folder.rglob("config.json")]
    # A report would read a run of a fold that the row no longer has.
    assert sorted(str(run.relative_to(folder)) for run in runs) == [
        "outdated/fa/fold3/seed0",
        "runs/fa/fold1/seed0",
    ]


def test_a_finished_run_stays_whose_weights_the_study_names_by_a_relative_path(
    tmp_path, monkeypatch
):
    # As with the default of `make results`, OUT=results_output.
    monkeypatch.chdir(tmp_path)
    rows = tmp_path / "rows.py"
    rows.write_text(
        "from crossask import config\n"
        'ROWS = (config.Experiment("cmam", "CMAM", "feature_based"),)\n'
    )
    weights = Path("out", "demo_files", "event_model.npz")
    weights.parent.mkdir(parents=True)
    weights.touch()
    training = studies.Training(str(rows), (0,), override=studies.DEMO_WEIGHTS)
    study = studies.Study("small", "a test", "demo", (training,))
    settings = settings_of(Path())
    (row,) = make_results.rows_of(training, study, settings)
    assert row.event_model.weights == str(weights)
    # crossask-train records absolute paths.
    run = write_run(
        Path("out", "small", "runs"),
        "cmam",
        (2, 3),
        system="CMAM",
        strategy="feature_based",
        corpus="tau2019",
        fields={"event_model.weights": str(weights.absolute())},
    )
    make_results._set_outdated_runs_aside(study, settings)
    assert (run / "config.json").is_file()
    assert not Path("out", "small", "outdated").exists()


def test_a_change_within_a_folder_of_data_is_noticed(tmp_path):
    folder = tmp_path / "recordings"
    (folder / "rain").mkdir(parents=True)
    recording = folder / "rain" / "a.ogg"
    recording.write_bytes(b"one")
    script = tmp_path / "benchmark.py"
    script.write_text(
        "import pathlib, sys\n"
        "pathlib.Path(sys.argv[1]).write_text('{}')\n"
        "with open(sys.argv[2], 'a') as file:\n"
        "    file.write('x')\n"
    )
    calls = tmp_path / "calls"
    benchmark = ("{python}", str(script), "{stored}", str(calls))
    study = studies.Study("small", "a test", "sounds", (), benchmark=benchmark)
    corpora = {"sounds": studies.Corpus(data="", needs=("ESC10",))}
    given = NOTHING_GIVEN | {"ESC10": str(folder)}
    settings = make_results.Settings(tmp_path / "out", given, corpora, stored=tmp_path / "stored")

    def calls_so_far():
        assert make_results.make_results([study], settings) == 0
        return len(calls.read_text())

    assert calls_so_far() == 1
    assert calls_so_far() == 1
    recording.write_bytes(b"two")
    assert calls_so_far() == 2
    recording.rename(folder / "a.ogg")
    assert calls_so_far() == 3
    assert calls_so_far() == 3


def test_a_run_of_another_row_is_set_aside_even_if_its_row_cannot_be_read(tmp_path):
    rows = tmp_path / "rows.py"
    rows.write_text('from crossask import config\nROWS = (config.Experiment("fa"),)\n')
    study = studies.Study("small", "a test", "demo", (studies.Training(str(rows), (0,)),))
    settings = settings_of(tmp_path)
    runs = tmp_path / "out" / "small" / "runs"
    write_run(runs, "fa", (2, 3), corpus="tau2019")
    removed = write_run(runs, "removed", (2, 3), corpus="tau2019")
    # A field that another version had.
    content = json.loads((removed / "config.json").read_text())
    content["experiment"]["unknown"] = 1
    (removed / "config.json").write_text(json.dumps(content))
    make_results._set_outdated_runs_aside(study, settings)
    aside = tmp_path / "out" / "small" / "outdated"
    assert [path.name for path in aside.iterdir()] == ["removed"]
    assert (runs / "fa" / "fold1" / "seed0" / "config.json").is_file()
