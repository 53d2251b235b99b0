"""Mistakes in experiment files, JSON files and overrides are one error with line and remedy."""

import json

import pytest

from crossask import config
from crossask.errors import ConfigError

ROW = config.Experiment("row")
GOOD = (
    b"from crossask.config import Experiment, FeatureConfig, TrainingConfig\n"
    b'ROWS = (Experiment("fa"),)\n'
)


def error_of_file(tmp_path, content: bytes) -> ConfigError:
    path = tmp_path / "rows.py"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        config.read_experiments(str(path))
    error = caught.value
    assert str(path) in error.problem
    check_two_lines(error)
    return error


def check_two_lines(error: ConfigError) -> None:
    for text in (error.problem, error.fix):
        assert "\n" not in text
        assert text.endswith((".", ")", ":")) or text.startswith("Correct the line: ")
        assert len(text) < 900


# What is in the file, and what the two lines must contain.
FILES = {
    "no text": (b"", ["defines no rows", "Define ROWS"]),
    "blank": (b"\n\n", ["defines no rows"]),
    "syntax": (b'x = 1\nROWS = (Experiment("fa, system="FA"),)\n', ["line 2", "Correct the line"]),
    "open bracket": (b"ROWS = (\n", ["line 1", "never closed"]),
    "indentation": (b"x = 1\n  y = 2\n", ["line 2", "indent"]),
    "tabs": (b"if 1:\n\tx = 1\n        y = 2\n", ["line 3", "tabs"]),
    "python 2": (b"print 'x'\n", ["line 1", "print"]),
    "json": (b'{"training": {"epochs": true}}', ["line 1", "true"]),
    "yaml": (b"training:\n  epochs: 1\n", ["line 1"]),
    "notebook": (b'{"cells": [null]}', ["line 1", "null"]),
    "smart quotes": ("x = “a”\n".encode(), ["line 1", "invalid character"]),
    "no-break space": ("x =\u00a01\n".encode(), ["line 1", "invalid non-printable character"]),
    "diff": (b"<<<<<<< HEAD\nx = 1\n", ["line 1"]),
    "utf-16 with mark": (GOOD.decode().encode("utf-16"), ["UTF-16", "UTF-8"]),
    "utf-16 without mark": (GOOD.decode().encode("utf-16-le"), ["UTF-16", "UTF-8"]),
    "utf-32": (GOOD.decode().encode("utf-32"), ["UTF-32", "UTF-8"]),
    "latin-1": (b"x = 1\ny = '\xe9'\n", ["utf-8"]),
    "unknown encoding": (b"# coding: klingon\n", ["klingon"]),
    "zero byte": (b"x = 1\0\n", ["bytes of zero"]),
    "binary": (bytes(range(1, 256)), ["line 1"]),
    "deep nesting": (b"x = " + b"(" * 500 + b")" * 500, ["too many nested parentheses"]),
    "deep minus": (b"x = " + b"-" * 200_000 + b"1", ["too deeply"]),
    "missing module": (b"import mymodule\n", ["line 1", "'mymodule'", "PYTHONPATH"]),
    "misspelled module": (b"import jsn\n", ["'jsn'", "Did you mean"]),
    "misspelled module of ours": (
        b"from crossask.confg import Experiment\n",
        ["line 1", "'crossask.confg'", "Did you mean 'config'?"],
    ),
    "misspelled import": (
        b"\nfrom crossask.config import Experimnt\n",
        ["line 2", "Experimnt", "Did you mean 'Experiment'?"],
    ),
    "forgotten import": (
        b'from crossask.config import Experiment\nROWS = (Experimnt("a"),)\n',
        ["line 2", "Experimnt", "Did you mean 'Experiment'?"],
    ),
    "wrong attribute": (
        b"from crossask import config\n\nROWS = (config.Experimnt('a'),)\n",
        ["line 3", "Did you mean 'Experiment'?"],
    ),
    "own error": (b"x = 1\nraise ValueError('no\\ngood')\n", ["line 2", "ValueError: no good"]),
    "division": (b"x = 1 / 0\n", ["line 1", "ZeroDivisionError"]),
    "recursion": (b"def f():\n    f()\nf()\n", ["line 2", "RecursionError"]),
    "exit": (b"import sys\nsys.exit(0)\n", ["line 2", "ends the command"]),
    "file that is missing": (b"open('/there/is/none')\n", ["line 1", "/there/is/none"]),
    "misspelled ROWS": (GOOD.replace(b"ROWS", b"Rows"), ["no rows", "Did you mean 'Rows'?"]),
    "no rows": (b"ROWS = ()\n", ["empty"]),
    "ROWS is None": (b"ROWS = None\n", ["NoneType"]),
    "forgotten comma": (GOOD.replace(b",)", b")"), ["one row", "comma"]),
    "ROWS of text": (b"ROWS = ('fa',)\n", ["Row 1", "str"]),
    "ROWS of dictionaries": (b"ROWS = [{'name': 'fa'}]\n", ["Row 1", "dict"]),
    "class in place of a row": (
        GOOD.replace(b'Experiment("fa")', b"Experiment"),
        ["Row 1", "not an Experiment"],
    ),
    "no name": (GOOD.replace(b'("fa")', b"()"), ["line 2", "name"]),
    "two values of one field": (
        GOOD.replace(b'"fa"', b'"fa", system="FA", system="VEM"'),
        ["line 2", "repeated"],
    ),
    "two names of one argument": (GOOD.replace(b'"fa"', b'"fa", name="b"'), ["line 2", "name"]),
    "too many arguments": (GOOD.replace(b'"fa"', b'"fa"' + b", 1" * 40), ["line 2"]),
    "unknown field": (GOOD.replace(b'"fa"', b'"fa", sistem="FA"'), ["line 2", "'system'"]),
    "system in lower case": (GOOD.replace(b'"fa"', b'"fa", system="fa"'), ["line 2", "'FA'"]),
    "a whole number of bits": (
        GOOD.replace(b'"fa"', b'"fa", training=TrainingConfig(epochs=10**5000)'),
        ["line 2", "training.epochs", "2147483647"],
    ),
    "names of two rows": (
        GOOD.replace(b'(Experiment("fa"),)', b'(Experiment("fa"), Experiment("fa"))'),
        ["two rows", "'fa'"],
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_mistake_in_an_experiment_file_is_named_with_its_remedy(tmp_path, name):
    content, words = FILES[name]
    error = error_of_file(tmp_path, content)
    for word in words:
        assert word in error.problem + error.fix


def test_a_mistake_in_a_module_that_the_file_imports(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_pools.py").write_text("\nPOOLS = ((2, 2)\n")
    path = tmp_path / "rows.py"
    path.write_text("import own_pools\n")
    with pytest.raises(ConfigError, match=r"own_pools\.py, line 2: .*never closed"):
        config.read_experiments(str(path))


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("{folder}", "a folder"),
        ("{folder}/fields.yaml", "no Python file"),
        ("{folder}/none.py", "no experiment file"),
        ("dcase2091", "'dcase2019'"),
        ("{folder}/rows.py:FA", "Did you mean 'fa'?"),
    ],
)
def test_a_wrong_reference_to_experiments_is_named_with_its_remedy(tmp_path, reference, words):
    (tmp_path / "fields.yaml").write_text("training:\n  epochs: 1\n")
    (tmp_path / "rows.py").write_bytes(GOOD)
    with pytest.raises(ConfigError) as caught:
        config.read_experiments(reference.format(folder=tmp_path))
    assert words in caught.value.problem + caught.value.fix
    check_two_lines(caught.value)


def test_a_row_that_is_named_twice_is_read_once(tmp_path):
    path = tmp_path / "rows.py"
    path.write_bytes(GOOD)
    assert len(config.read_experiments(f"{path}:fa,fa")) == 1


JSON = {
    "empty": (b"", ["line 1", "expecting value"]),
    "a list": (b"[1]", ["JSON list"]),
    "a number": (b"3", ["JSON int"]),
    "null": (b"null", ["JSON NoneType"]),
    "half": (b'{\n"training": {', ["line 2"]),
    "single quotes": (b"{'training.epochs': 3}", ["line 1", "double quotes"]),
    "last comma": (b'{"training.epochs": 3,\n}', ["line", "comma"]),
    "comment": (b'{\n// three\n"training.epochs": 3}', ["line 2", "comment"]),
    "python words": (b'{"model.standardise_embedding": True}', ["line 1", "true"]),
    "two objects": (b'{}\n{"a": 1}', ["line 2", "extra data"]),
    "yaml": (b"training:\n  epochs: 1\n", ["line 1", "JSON object"]),
    "no comma": (b'{"training.epochs": 3\n"system": "FA"}', ["line 2", "Add what is missing"]),
    "NaN": (b'{"training.learning_rate": NaN}', ["NaN is no number"]),
    "infinity": (b'{"training.learning_rate": -Infinity}', ["-Infinity is no number"]),
    "1e999": (b'{\n"training.learning_rate": 1e999}', ["line 2", "inf", "finite"]),
    "utf-16": ('{"training.epochs": 3}'.encode("utf-16"), ["UTF-16", "UTF-8"]),
    "latin-1": (b'{\n"note": "\xe9"}', ["line 2", "0xe9", "UTF-8"]),
    "deep nesting": (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", ["too deeply"]),
    "many digits": (b'{"training.epochs": ' + b"9" * 5000 + b"}", ["readable"]),
    "large number": (
        b'{\n"training": {\n"epochs": 99999999999}}',
        ["line 3", "training.epochs is 99999999999", "2147483647"],
    ),
    "name twice": (b'{"training.epochs": 3,\n"training.epochs": 4}', ["line 2", "line 1"]),
    "inner name twice": (
        b'{"training": {\n"epochs": 3,\n"epochs": 4}}',
        ["line 3", "'training.epochs'", "line 2"],
    ),
    "unknown field": (b'{\n\n"training": {"epoch": 3}}', ["line 3", "'epochs'"]),
    "unknown part": (b'{\n"trainning": {"epochs": 3}}', ["line 2", "'training'"]),
    "text for a number": (b'{\n"training": {\n"epochs": "3"}}', ["line 3", "an integer"]),
    "number for a part": (b'{\n"training": 3}', ["line 2", "training.epochs"]),
    "list for a part": (b'{\n"training": [3]}', ["line 2", "training.epochs"]),
    "object for a number": (b'{"training": {\n"epochs": {"a": 1}}}', ["line 2", "an integer"]),
    "wrong shape": (b'{\n"model.encoder_pools": [2, 2]}', ["line 2", "encoder_pools[0]"]),
    "three numbers in a pool": (
        b'{\n"model.encoder_pools": [[2, 2, 2]]}',
        ["line 2", "encoder_pools[0]"],
    ),
    "no layers": (b'{\n"model.encoder_channels": []}', ["line 2", "at least 1"]),
    "a layer of nothing": (b'{\n"model.vem_pools": [[0, 2]]}', ["line 2", "at least 1"]),
    "experiment is a list": (b'{\n"experiment": [1]}', ["line 2", "JSON list"]),
    "a field beside the experiment": (
        b'{"experiment": {"training": {"epochs": 3}},\n"training.batch_size": 4}',
        ["line 2", "'training.batch_size' is beside 'experiment'"],
    ),
    "in the config.json of a run": (
        b'{"paths": {},\n"experiment": {"training": {\n"epochs": 0}}}',
        ["line 3", "training.epochs is 0"],
    ),
    "very long": (b'{"note": "' + b"x" * 10_000_000 + b'"}', ["larger than 10 MB"]),
}


@pytest.mark.parametrize("name", JSON)
def test_a_mistake_in_a_json_file_is_named_with_its_remedy(tmp_path, name):
    content, words = JSON[name]
    path = tmp_path / "fields.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        config.resolve(ROW, [path])
    error = caught.value
    assert str(path) in error.problem
    check_two_lines(error)
    for word in words:
        assert word in error.problem + error.fix


def test_a_json_file_that_is_missing_or_a_folder(tmp_path):
    for path in (tmp_path, tmp_path / "none.json"):
        with pytest.raises(ConfigError, match="not a readable JSON file"):
            config.resolve(ROW, [path])


def test_what_editors_of_windows_add_is_read(tmp_path):
    path = tmp_path / "fields.json"
    path.write_bytes(json.dumps({"training.epochs": 3}).encode("utf-8-sig") + b"\r\n")
    assert config.resolve(ROW, [path]).training.epochs == 3


OVERRIDES = {
    "no value": ("training.epochs", ["name=value"]),
    "no name": ("=3", ["name=value"]),
    "two equals signs": ("training.epochs==3", ["'=3'"]),
    "twice": ("training.epochs=3,training.epochs=4", ["training.epochs is given twice"]),
    "nearest": ("training.epoch=3", ["'epochs'"]),
    "case": ("Training.epochs=3", ["'training'"]),
    "private": ("training.__class__=3", ["There is no field"]),
    "two dots": ("training..epochs=3", ["There is no field"]),
    "open bracket": ("model.encoder_channels=(8,16,training.epochs=3", ["brackets"]),
    "one bracket too many": ("training.epochs=3),system=FA", ["brackets"]),
    "no number": ("training.learning_rate=nan", ["'nan'", "finite"]),
    "infinite": ("training.learning_rate=1e999", ["inf", "finite"]),
    "negative": ("training.epochs=-1", ["at least 1"]),
    "large": ("training.batch_size=2147483648", ["2147483647"]),
    "many digits": ("training.epochs=" + "9" * 5000, ["an integer"]),
    "deep": ("training.epochs=" + "-" * 5000 + "1", ["too deeply"]),
    "decimal": ("training.epochs=3.0", ["3.0", "an integer"]),
    "truth for a number": ("training.epochs=True", ["True", "an integer"]),
    "part": ("training=3", ["training.epochs"]),
    "name of a folder above": ("name=../x", ["folder of runs"]),
    "name with a comma": ("name='a,b'", ["folder of runs"]),
    "comma without quotes": ("name=a,b", ["name=value"]),
    "empty name": ("name=", ["folder of runs"]),
    "long name": ("name=" + "x" * 300, ["folder of runs"]),
    "no folds": ("folds=()", ["at least one fold"]),
    "fold twice": ("folds=('1','1')", ["each once"]),
    "fold of a folder above": ("folds=('../1',)", ["folds[0]"]),
}


@pytest.mark.parametrize("name", OVERRIDES)
def test_a_mistake_in_an_override_is_named_with_its_remedy(name):
    text, words = OVERRIDES[name]
    with pytest.raises(ConfigError) as caught:
        config.resolve(ROW, (), text)
    check_two_lines(caught.value)
    for word in words:
        assert word in caught.value.problem + caught.value.fix


def test_names_of_other_alphabets_are_names_of_rows():
    assert config.resolve(ROW, (), "name=пример").name == "пример"
