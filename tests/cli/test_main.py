"""`crossask VERB`, and what it shows without a verb; hints, completion and progress in a file."""

import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest

from crossask import config
from crossask.cli import main, progress, train
from crossask.grid import launcher
from crossask.version import __version__

ROOT = Path(__file__).parents[2]


def test_every_module_with_flags_is_a_verb_with_a_script():
    modules = set()
    for path in (ROOT / "crossask" / "cli").glob("*.py"):
        if "FLAGS = flags.FlagValues()" in path.read_text():
            modules.add(path.stem)
    assert modules == set(main.verbs())
    setup = (ROOT / "setup.py").read_text()
    listed = re.search(r"VERBS = \((.*?)\)", setup, re.DOTALL)[1]
    assert set(re.findall(r'"(\w+)"', listed)) == modules


def test_help_lists_every_verb_with_a_sentence(capsys):
    for arguments in ([], ["--help"]):
        assert main.main(["crossask", *arguments]) == 0
        printed = capsys.readouterr().out
        for verb in main.verbs():
            assert re.search(rf"^  {verb} +\w.*\.$", printed, re.MULTILINE), verb


@pytest.mark.parametrize("words", [["--version"], ["train", "--version"]])
def test_the_version_is_printed(words, capsys):
    assert main.main(["crossask", *words]) == 0
    assert capsys.readouterr().out == f"crossask {__version__}\n"


def test_an_unknown_verb_is_an_error_with_the_nearest_one(capsys):
    assert main.main(["crossask", "trian"]) == 2
    error = capsys.readouterr().err
    assert "There is no verb 'trian'." in error
    assert "Did you mean 'train'?" in error


def test_a_field_that_is_given_as_a_flag_gets_a_hint(capsys):
    assert main.main(["crossask", "train", "--epochs=3"]) == 2
    error = capsys.readouterr().err
    assert "Unknown command line flag 'epochs'" in error
    assert "use --params_override=training.epochs=..." in error
    assert "See crossask train --help." in error


def test_tensorflows_warnings_are_not_shown(caplog):
    assert main.main(["crossask", "--version"]) == 0
    assert main.main(["crossask", "fields", "epochs"]) == 0
    import tensorflow as tf

    tf.get_logger().warning("5 out of the last 9 calls triggered tf.function retracing.")
    assert "retracing" not in caplog.text


@pytest.mark.parametrize("flags", [[], ["--processes=3"], ["--processes", "3"]])
def test_help_behind_the_command_of_launch_is_that_of_the_command(monkeypatch, capsys, flags):
    launched = []
    monkeypatch.setattr(launcher, "launch_processes", lambda words, *_: launched.append(words) or 0)
    assert main.main(["crossask", "launch", *flags, "crossask-train", "--help"]) == 0
    assert launched == [["crossask-train", "--help"]]
    assert main.main(["crossask", "launch", *flags, "--help"]) == 0
    assert "--processes" in capsys.readouterr().out


def test_an_empty_argument_is_not_the_current_folder(capsys):
    for verb in ("predict", "train"):
        assert main.main(["crossask", verb, ""]) == 2
        assert "One of the arguments is empty." in capsys.readouterr().err


def test_required_flags_are_named_in_the_help_and_by_the_error(capsys):
    assert main.main(["crossask", "report", "--help"]) == 0
    required, _, others = capsys.readouterr().out.partition("Other flags:")
    assert "Required flags:" in required
    assert "  --model_dir:" in required
    assert "  --baseline:" in others
    assert main.main(["crossask", "report", "--out=x"]) == 2
    assert "--model_dir is missing." in capsys.readouterr().err
    assert main.main(["crossask", "train", "--experiment=demo"]) == 2
    assert "--data_dir is missing." in capsys.readouterr().err


def test_rows_of_the_package_have_short_names(capsys, tmp_path, monkeypatch):
    # Experiment files of the package are found in every folder.
    monkeypatch.chdir(tmp_path)
    by_path = config.read_experiments(f"{ROOT}/experiments/dcase2019.py:fa")
    assert config.read_experiments("dcase2019:fa") == by_path
    assert main.main(["crossask", "experiments"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert len(listed) == len(config.shipped_experiments())
    assert main.main(["crossask", "experiments", "dcase2019"]) == 0
    assert "dcase2019:fa " in capsys.readouterr().out
    assert main.main(["crossask", "experiments", "dcase2018"]) == 2
    assert "Did you mean 'dcase2019'?" in capsys.readouterr().err


def test_fields_are_listed_by_a_part_of_their_name(capsys):
    assert main.main(["crossask", "fields", "warmup"]) == 0
    printed = capsys.readouterr().out
    assert "training.warmup_epochs=0" in printed
    assert "training.batch_size" not in printed
    assert main.main(["crossask", "fields", "nothing_of_this_name"]) == 2


@pytest.mark.processes
def test_bash_completes_verbs_and_flags(tmp_path, capsys):
    assert main.main(["crossask", "completion", "bash"]) == 0
    script = tmp_path / "completion.bash"
    script.write_text(capsys.readouterr().out)

    def completed(*words: str) -> list[str]:
        code = (
            f"source {script}; COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; "
            'COMP_LINE="${COMP_WORDS[*]}"; _crossask; echo "${COMPREPLY[@]}"'
        )
        done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
        return done.stdout.split()

    assert completed("crossask", "tr") == ["train"]
    assert completed("crossask", "train", "--see") == ["--seeds"]
    assert completed("crossask-report", "--base") == ["--baseline"]
    assert main.main(["crossask", "completion", "tcsh"]) == 2


def test_zsh_has_its_own_completion_before_that_of_bash(capsys):
    # `complete` of bashcompinit calls `compdef`, which compinit defines.
    assert main.main(["crossask", "completion", "zsh"]) == 0
    script = capsys.readouterr().out
    assert 0 < script.index("&& compinit ") < script.index("&& bashcompinit\n")
    assert script.index("&& bashcompinit\n") < script.index("\ncomplete ")


def test_progress_in_a_file_is_a_line_for_every_tenth(caplog):
    with caplog.at_level(logging.INFO, logger="crossask"):
        update = progress.progress_bar("features", "clip")
        for done in range(1, 201):
            update(done, 200, "clip.wav")
    assert len(caplog.messages) == 10
    assert re.fullmatch(
        r"features: 50 % \(100 of 200 clips; \d+ s left; clip\.wav\)", caplog.messages[4]
    )
    assert caplog.messages[-1] == "features: 100 % (200 of 200 clips; clip.wav)"


def test_progress_that_goes_on_counts_from_where_it_was(caplog):
    with caplog.at_level(logging.INFO, logger="crossask"):
        update = progress.progress_bar("features", "clip")
        update(95, 100)
        update(100, 100)
    assert caplog.messages == ["features: 100 % (100 of 100 clips)"]


def test_train_is_the_same_command_with_and_without_a_dash():
    source = "from crossask.cli import main; raise SystemExit(main.main())"
    words = [sys.executable, "-c", source, "train", "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(train.__doc__.strip().splitlines()[0])
