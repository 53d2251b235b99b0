"""Data never runs: the package has no pickle, eval, exec, joblib, yaml or shell, except for Beam.

The syntax trees of all files are searched, so comments and texts do not count.
"""

import ast
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("crossask", "benchmarks", "experiments", "docs")
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml"}
# The list of shards that a command passes to its own Beam workers through its temporary folder.
ALLOWED = {("crossask/features/beam.py", "pickle")}
CALLS = {"eval", "exec", "compile", "__import__", "execfile"}
# The first two run a shell; the others unpickle or build objects.
METHODS = {"getoutput", "getstatusoutput", "read_pickle", "unsafe_load"}
# Functions of the module os that run a shell; the catalogue has a function `system`, too.
OS_FUNCTIONS = {"system", "popen"}


def sources():
    for folder in FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.py"))
    yield ROOT / "setup.py"


def findings(tree):
    """Yields what a file uses that can run data."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from MODULES & {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            yield from MODULES & {(node.module or "").partition(".")[0]}
        elif isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Name) and function.id in CALLS:
                yield function.id
            if isinstance(function, ast.Attribute):
                # re.compile and model.compile are something else; so is pandas' DataFrame.eval.
                if function.attr in METHODS:
                    yield function.attr
                if function.attr in OS_FUNCTIONS and ast.unparse(function.value) == "os":
                    yield function.attr
                if function.attr == "eval" and not isinstance(function.value, ast.Name):
                    yield "eval"
            for keyword in node.keywords:
                is_false = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                if keyword.arg in ("shell", "allow_pickle") and not is_false:
                    yield keyword.arg
                if keyword.arg == "safe_mode" and is_false:
                    yield "safe_mode"


def test_no_file_of_the_package_runs_data():
    found = set()
    for path in sources():
        for what in findings(ast.parse(path.read_text(encoding="utf-8"))):
            found.add((str(path.relative_to(ROOT)), what))
    assert found == ALLOWED


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "import yaml.reader",
        "from joblib import load",
        "eval('1')",
        "exec(text)",
        "os.system('ls')",
        "subprocess.run('ls', shell=True)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
        "pd.read_pickle(path)",
        "keras.models.load_model(path, safe_mode=False)",
    ],
)
def test_the_search_finds_what_it_should(code):
    assert list(findings(ast.parse(code)))


@pytest.mark.parametrize(
    "code", ["re.compile('a')", "model.compile()", "np.load(path, allow_pickle=False)", "'pickle'"]
)
def test_the_search_finds_nothing_else(code):
    assert not list(findings(ast.parse(code)))


def test_numpy_reads_no_objects_unless_it_is_asked_to(tmp_path):
    """Without the argument allow_pickle, np.load must refuse a pickle."""
    np.savez(tmp_path / "objects.npz", a=np.array([{}], object))
    file = np.load(tmp_path / "objects.npz")
    with file, pytest.raises(ValueError, match="allow_pickle=False"):
        file["a"]
