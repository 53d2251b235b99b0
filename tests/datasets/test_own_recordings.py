"""Settings that `crossask train RECORDINGS` chooses, and what it refuses."""

import ast
import csv
import json
from pathlib import Path

import media_files
import numpy as np
import pandas as pd
import pytest
import soundfile
from report.made_up_runs import write_run

from crossask import config, evaluation
from crossask.audio import reading
from crossask.cli import command, train
from crossask.cli import own_recordings as of_command
from crossask.datasets import own_recordings, read_corpus
from crossask.errors import CrossaskError, DataError
from crossask.report import write_report


def write(folder, name, seconds=5.0, rate=44100, channels=1):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(name)).normal(0, 0.1, (round(seconds * rate), channels))
    soundfile.write(path, noise, rate)


@pytest.fixture
def sounds(tmp_path):
    """Returns a folder of two scenes with four recordings each; three have other lengths."""
    folder = tmp_path / "sounds"
    for scene in ("park", "tram"):
        for number in range(4):
            write(folder, f"{scene}/{scene}_{number}.wav")
    write(folder, "park/park_0.wav", seconds=1.5)
    write(folder, "park/park_1.wav", seconds=12.0)
    write(folder, "tram/tram_0.wav", seconds=7.5, rate=48000)
    return folder


def test_settings_follow_the_recordings(sounds):
    own = own_recordings.examine(sounds)
    assert own.clip_seconds == 5
    assert own.sample_rate_hz == 44100
    assert own.is_mono
    assert own.grouped == 0
    # 1.5 s are one clip, 12 s two, 7.5 s two, and five recordings one each.
    assert own.clips == 10
    assert not own.has_validation
    words = own.in_words()
    assert "8 recordings of 2 scenes from 8 locations" in words
    assert "too few recordings for a validation part" in words


def test_long_stereo_recordings_have_clips_of_ten_seconds(tmp_path):
    for scene in ("park", "tram"):
        for number in range(2):
            write(tmp_path, f"{scene}/{number}.wav", seconds=30, rate=16000, channels=2)
    own = own_recordings.examine(tmp_path)
    assert (own.clip_seconds, own.is_mono, own.sample_rate_hz) == (10, False, 16000)
    assert own.clips == 12


def test_the_length_of_a_recording_without_one_in_its_header_is_counted(tmp_path):
    for scene in ("park", "tram"):
        for number in range(2):
            write(tmp_path, f"{scene}/{number}.flac", seconds=7)
            path = tmp_path / scene / f"{number}.flac"
            content = bytearray(path.read_bytes())
            # The number of samples is 36 bits of the first block; 0 is unknown.
            content[21] &= 0xF0
            content[22:26] = bytes(4)
            path.write_bytes(content)
    own = own_recordings.examine(tmp_path)
    assert own.clip_seconds == 7
    assert own.seconds.tolist() == [7, 7, 7, 7]


def test_the_estimated_length_of_a_recording_without_a_header_is_not_used(tmp_path):
    # FFmpeg estimates the length from the bit rate of the start, which is silent here.
    waveform = np.random.default_rng(0).normal(0, 0.1, (6 * 48000, 1)).clip(-0.9, 0.9)
    waveform[: 2 * 48000] = 0
    for scene in ("park", "tram"):
        (tmp_path / scene).mkdir()
        for number in range(2):
            path = tmp_path / scene / f"{number}.aac"
            media_files.write(path, waveform, 48000, "aac")
            assert abs(reading.seconds_of(path) - 6) > 1
    assert own_recordings.examine(tmp_path).clip_seconds == pytest.approx(6, abs=0.11)


def test_a_rate_without_features_is_replaced_by_the_next_lower_one(tmp_path):
    for scene in ("park", "tram"):
        for number in range(2):
            write(tmp_path, f"{scene}/{number}.wav", rate=37000)
    assert own_recordings.examine(tmp_path).sample_rate_hz == 32000


def test_takes_of_one_source_share_a_location_and_are_announced(tmp_path):
    for scene in ("park", "tram"):
        for number in range(3):
            for take in "AB":
                write(tmp_path, f"{scene}/1-{number}-{take}.wav", seconds=1.0)
    own = own_recordings.examine(tmp_path)
    assert own.grouped == 12
    assert "12 recordings are takes of the same source" in own.in_words()
    locations = {clip.id: clip.location for clip in own.corpus.clips}
    assert locations["park/1-0-A.wav"] == locations["park/1-0-B.wav"]
    assert locations["park/1-0-A.wav"] != locations["park/1-1-A.wav"]
    for fold in own.corpus.folds:
        trained = {locations[clip] for clip in fold.train}
        assert not trained & {locations[clip] for clip in fold.evaluation}


def test_a_scene_of_takes_of_one_source_is_an_error_that_says_so(tmp_path):
    for scene in ("park", "tram"):
        for name in ("A", "B", "C"):
            write(tmp_path, f"{scene}/site {name}.wav", seconds=1.0)
    with pytest.raises(DataError, match=r"of one source by their names .* walk-B") as raised:
        own_recordings.examine(tmp_path)
    assert "locations in a CSV" in raised.value.fix


def test_locations_of_a_table_stay(tmp_path):
    for name in ("a-1-A.wav", "a-1-B.wav", "b-1-A.wav", "b-1-B.wav"):
        write(tmp_path, name, seconds=1.0)
    lines = ["filename,scene,location"]
    lines += [f"a-1-{take}.wav,park,{place}" for take, place in (("A", "x"), ("B", "y"))]
    lines += [f"b-1-{take}.wav,tram,{place}" for take, place in (("A", "v"), ("B", "w"))]
    (tmp_path / "clips.csv").write_text("\n".join(lines))
    own = own_recordings.examine(tmp_path / "clips.csv")
    assert own.grouped == 0
    assert {clip.location for clip in own.corpus.clips} == {"x", "y", "v", "w"}


def test_one_scene_is_an_error(tmp_path):
    for number in range(2):
        write(tmp_path, f"park/{number}.wav", seconds=1.0)
    with pytest.raises(DataError, match="one scene only, 'park'"):
        own_recordings.examine(tmp_path)


def test_the_written_files_are_read_again_and_an_edited_one_is_kept(sounds, capsys):
    out = sounds.with_name("models")
    words = ["crossask train", str(sounds), f"--model_dir={out}", "--dry_run", "--seeds=0"]
    assert train.main(words) == 0
    printed = capsys.readouterr().out
    assert "folder, fold 1: " in printed
    assert "fa: 4 runs" in printed
    rows = config.read_experiments(str(out / "rows.py"))
    assert [row.name for row in rows] == ["fa", "linear", "cmam"]
    assert {row.features.clip_hop_seconds for row in rows} == {5.0}
    with open(out / "clips.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 8
    assert len(read_corpus("folder", out / "clips.csv").clips) == 8

    edited = (out / "rows.py").read_text().replace("epochs=8", "epochs=3")
    (out / "rows.py").write_text(edited)
    assert train.main(words) == 0
    assert (out / "rows.py").read_text() == edited


def test_a_written_table_that_was_edited_is_kept_beside_the_new_one(sounds, monkeypatch, capsys):
    monkeypatch.setattr(of_command, "_verb", lambda *_: 0)
    words = ["crossask train", str(sounds), "--dry_run"]
    out = sounds.with_name("sounds_models")
    for _ in range(2):
        assert train.main(words) == 0
        assert sorted(path.name for path in out.glob("*.csv")) == ["clips.csv"]
    written = (out / "clips.csv").read_bytes()
    for number, place in ((1, b"the park"), (2, b"another park")):
        edited = written.replace(b"park/park_1\r\n", place + b"\r\n")
        (out / "clips.csv").write_bytes(edited)
        capsys.readouterr()
        assert train.main(words) == 0
        assert (out / "clips.csv").read_bytes() == written
        assert (out / f"clips_before_{number}.csv").read_bytes() == edited
        assert f"clips_before_{number}.csv. To train with it" in capsys.readouterr().err
    assert b"the park" in (out / "clips_before_1.csv").read_bytes()


def test_settings_that_were_written_for_other_recordings_are_announced(sounds, monkeypatch, capsys):
    monkeypatch.setattr(of_command, "_verb", lambda *_: 0)
    words = ["crossask train", str(sounds), "--dry_run", "--seeds=0"]
    for _ in range(2):
        assert train.main(words) == 0
        assert "rows.py (edit it and run the same command)." in capsys.readouterr().err
    # The clips of the first command have 5 s.
    for number in range(4, 10):
        write(sounds, f"park/park_{number}.wav", seconds=9.0)
        write(sounds, f"tram/tram_{number}.wav", seconds=9.0)
    assert train.main(words) == 0
    printed = capsys.readouterr().err
    assert "Clips of 9 s" in printed
    assert "rows.py, which was written before. Where they differ from those above" in printed


def test_the_written_table_is_read_if_two_names_differ_only_in_blanks_or_case(tmp_path):
    for scene in ("park", "tram"):
        for name in ("rec 1", "rec1", "Rec2", "rec2"):
            write(tmp_path / "sounds", f"{scene}/{name}.wav", seconds=1.0)
    own = own_recordings.examine(tmp_path / "sounds")
    own_recordings.write_table(own, tmp_path / "clips.csv")
    corpus = read_corpus("folder", tmp_path / "clips.csv")
    assert {clip.location for clip in corpus.clips} == {clip.location for clip in own.corpus.clips}
    truth = [clip.scene for clip in corpus.clips]
    predictions = pd.DataFrame(
        {
            "clip": [clip.id for clip in corpus.clips],
            "truth": truth,
            "location": [clip.location for clip in corpus.clips],
            "park": [float(scene == "park") for scene in truth],
            "tram": [float(scene == "tram") for scene in truth],
        }
    )
    predictions.to_csv(tmp_path / "predictions.csv", index=False)
    table = evaluation.read_predictions(tmp_path / "predictions.csv")
    assert evaluation.score(table).macro_accuracy == 1.0


def test_the_written_table_is_utf_8_whatever_the_locale(tmp_path, monkeypatch):
    for scene in ("café", "park"):
        for number in range(2):
            write(tmp_path / "sounds", f"{scene}/{number}.wav", seconds=1)
    own = own_recordings.examine(tmp_path / "sounds")

    def open_with_locale(path, mode, encoding="ascii", **options):
        return open(path, mode, encoding=encoding, **options)

    monkeypatch.setattr(own_recordings, "open", open_with_locale, raising=False)
    own_recordings.write_table(own, tmp_path / "clips.csv")
    monkeypatch.undo()
    assert read_corpus("folder", tmp_path / "clips.csv").scenes == ("café", "park")


@pytest.mark.parametrize("path", [r"C:\Users\me\clips.csv", 'a"""b".csv', "über/clips.csv"])
def test_the_experiment_file_of_any_path_is_python(sounds, path):
    own = own_recordings.examine(sounds)
    # The "\U" of a path of Windows begins an escape sequence in Python.
    text = own_recordings.experiment_text(own, path)
    assert path in ast.get_docstring(ast.parse(text))


def test_the_folder_beside_recordings_has_their_whole_name(tmp_path, monkeypatch):
    folder = tmp_path / "sounds.v1"
    (folder / "park").mkdir(parents=True)
    (tmp_path / "clips.csv").write_text("filename,scene\n")
    monkeypatch.chdir(folder)
    # Not sounds_models, which would be that of sounds.v2, too.
    beside = tmp_path / "sounds.v1_models"
    assert of_command.folder_beside(folder) == beside
    assert of_command.folder_beside(Path(".")) == beside
    assert of_command.folder_beside(Path("park/..")) == beside
    assert str(of_command.folder_beside(Path(".."))) == f"{tmp_path}_models"
    assert of_command.folder_beside(tmp_path / "clips.csv") == tmp_path / "clips_models"
    with pytest.raises(CrossaskError, match="no place beside '/'"):
        of_command.folder_beside(Path("/"))


@pytest.mark.parametrize("is_table", [True, False])
def test_a_table_of_the_recordings_is_not_overwritten(sounds, capsys, is_table):
    lines = ["filename,scene,note"]
    for path in sorted(sounds.glob("*/*")):
        lines.append(f"{path.relative_to(sounds)},{path.parent.name},a note")
    table = sounds / "clips.csv"
    table.write_text("\n".join(lines))
    source = table if is_table else sounds
    words = ["crossask train", str(source), f"--model_dir={sounds}", "--dry_run"]
    assert train.main(words) == 2
    assert "would be overwritten" in capsys.readouterr().err
    assert table.read_text() == "\n".join(lines)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("clips.csv", "filename,scene,location\nsounds/a/1.wav,a,here\n"),
        ("clips.csv", "file;label\n/data/1.wav;a\n"),
        ("clips.csv", "mine"),
        ("results.json", '{"mine": 1}'),
        ("results.json", "no JSON"),
    ],
)
def test_a_file_of_another_program_in_the_folder_of_models_is_not_overwritten(
    sounds, tmp_path, capsys, name, content
):
    project = tmp_path / "project"
    project.mkdir()
    (project / name).write_text(content)
    words = ["crossask train", str(sounds), f"--model_dir={project}", "--dry_run"]
    assert train.main(words) == 2
    problem, fix = capsys.readouterr().err.splitlines()[-2:]
    assert f"{project / name} was not written by crossask train, and would be" in problem
    assert "--model_dir" in fix
    assert (project / name).read_text() == content
    assert not (project / "rows.py").exists()


def test_a_table_is_written_again_when_recordings_were_added(sounds, tmp_path, capsys):
    words = ["crossask train", str(sounds), f"--model_dir={tmp_path / 'models'}", "--dry_run"]
    assert train.main(words) == 0
    (tmp_path / "models" / "results.json").write_text('{"corpora": []}')
    table = tmp_path / "models" / "clips.csv"
    lines = len(table.read_text().splitlines())
    first = min(sounds.glob("*/*.wav"))
    samples, rate = soundfile.read(first)
    soundfile.write(first.with_name("added.wav"), samples[::-1], rate)
    # The user may also want other settings.
    (tmp_path / "models" / "rows.py").unlink()
    assert train.main(words) == 0
    assert len(table.read_text().splitlines()) == lines + 1


def test_flags_of_the_grid_apply_to_a_folder_of_recordings(sounds, tmp_path, capsys):
    words = ["crossask train", str(sounds), f"--model_dir={tmp_path / 'models'}", "--dry_run"]
    assert train.main([*words, "--folds=1", "--seeds=0,1"]) == 0
    assert "fa: 2 runs" in capsys.readouterr().out
    assert train.main([*words, "--folds=9"]) == 2
    assert "'9'" in capsys.readouterr().err


def test_flags_about_devices_reach_the_training_of_a_folder(sounds, tmp_path, monkeypatch):
    given = ["--distribution=tpu", "--tpu=local", "--save_steps=7"]
    given += ["--jobs=3", "--workers=4", f"--features_dir={tmp_path / 'features'}"]
    verbs = {}

    def verb(name, *words):
        verbs[name] = words
        return command.USER_ERROR

    monkeypatch.setattr(of_command, "_verb", verb)
    words = ["crossask train", str(sounds), f"--model_dir={tmp_path / 'models'}"]
    assert train.main([*words, *given]) == command.USER_ERROR
    assert set(given) <= set(verbs["train"])


def test_flags_about_several_machines_have_no_effect_on_a_folder(sounds, tmp_path, capsys):
    words = ["crossask train", str(sounds), f"--model_dir={tmp_path / 'models'}"]
    assert train.main([*words, "--peer_timeout=5"]) == command.USER_ERROR
    message = capsys.readouterr().err
    assert "--peer_timeout has no effect with a folder of recordings" in message
    assert "multi_worker_mirrored" not in message
    assert train.main([*words, "--tpu=local"]) == command.USER_ERROR
    assert "--tpu has no effect with --distribution=auto" in capsys.readouterr().err


def test_the_best_row_is_exported_by_its_name(tmp_path, monkeypatch):
    write_run(tmp_path / "runs", "@best", (4, 4), "CMAM", "feature_based")
    write_run(tmp_path / "runs", "fa", (2, 3))
    assert exported(tmp_path, monkeypatch) == tmp_path / "runs" / "@best" / "fold1" / "seed0"


def test_the_best_row_is_found_among_rows_whose_recordings_were_cut_differently(
    tmp_path, monkeypatch
):
    write_run(tmp_path / "runs", "fa", (2, 3))
    assert exported(tmp_path, monkeypatch) == tmp_path / "runs" / "fa" / "fold1" / "seed0"
    # Then a row with clips of another length was added: a report on two corpora.
    other = write_run(tmp_path / "runs", "fa_5_s", (4, 4), seed=1)
    content = json.loads((other / "config.json").read_text())
    content["corpus"]["fingerprint"] = "beef"
    (other / "config.json").write_text(json.dumps(content))
    assert exported(tmp_path, monkeypatch) == other


def test_a_run_that_is_not_finished_is_not_exported(tmp_path, monkeypatch):
    write_run(tmp_path / "runs", "fa", (2, 3), seed=0, finished=False)
    finished = write_run(tmp_path / "runs", "fa", (2, 3), seed=1)
    assert exported(tmp_path, monkeypatch) == finished


def test_a_row_that_was_removed_from_the_file_is_not_exported(tmp_path, monkeypatch):
    write_run(tmp_path / "runs", "cmam", (4, 4), "CMAM", "feature_based")
    fa = write_run(tmp_path / "runs", "fa", (2, 3))
    assert exported(tmp_path, monkeypatch, names=("fa", "linear")) == fa
    with pytest.raises(CrossaskError, match="has a score, so none"):
        exported(tmp_path, monkeypatch, names=("linear",))


def exported(out, monkeypatch, names=()):
    """Reports on the runs in a folder, and returns the folder of the run that is exported.

    Args:
      out: The folder.
      monkeypatch: Keeps the model from being written.
      names: Names of the rows in the experiment file; () for those that have runs.
    """
    names = names or [path.name for path in (out / "runs").iterdir()]
    rows = ", ".join(f"Experiment({name!r})" for name in names)
    text = f"from crossask.config import Experiment\n\nROWS = ({rows},)\n"
    (out / of_command.ROWS).write_text(text)
    results = out / of_command.RESULTS
    write_report(out / "runs", out / "report", resamples=20, json_file=results)
    verbs = []
    monkeypatch.setattr(of_command, "_verb", lambda *words: verbs.append(words) or 0)
    assert of_command._export(out) == 0
    ((verb, run, target),) = verbs
    assert (verb, target) == ("export", f"--out={out / 'model'}")
    return Path(run.removeprefix("--model_dir="))


def test_what_is_finished_is_reported_and_exported_beside_a_run_that_is_not(
    sounds, tmp_path, monkeypatch
):
    names = []

    def verb(name, *_):
        names.append(name)
        return command.SOME_FAILED if name == "evaluate" else 0

    monkeypatch.setattr(of_command, "_verb", verb)
    monkeypatch.setattr(of_command, "_export", lambda out: names.append("export") or 0)
    assert train.main(["crossask-train", str(sounds), f"--model_dir={tmp_path / 'out'}"]) == 3
    assert names == ["train", "evaluate", "report", "export"]


@pytest.mark.parametrize(
    ("flag", "problem"),
    [
        ("--experiment=demo", "--experiment cannot be combined"),
        ("--params_override=training.epochs=3", "--params_override cannot be combined"),
        ("--distribution=multi_worker_mirrored", "Several machines cannot train on a folder"),
    ],
)
def test_flags_of_experiment_files_are_refused(sounds, flag, problem, capsys):
    assert train.main(["crossask train", str(sounds), flag]) == 2
    assert problem in capsys.readouterr().err
    assert train.main(["crossask train", str(sounds), str(sounds)]) == 2
    assert "2 folders are given" in capsys.readouterr().err
