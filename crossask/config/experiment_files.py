"""Experiment files: Python files that set ROWS, and JSON files and overrides on top of them."""

import builtins
import glob
import importlib.machinery
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from crossask import shipped
from crossask.config import json_files
from crossask.config.catalogue import did_you_mean
from crossask.config.schema import Experiment
from crossask.config.settings import fields
from crossask.config.values import override, parse_overrides
from crossask.errors import ConfigError, CrossaskError

# An import that is misspelled: "cannot import name 'Experimnt' from 'crossask.config'".
WRONG_IMPORT = re.compile(r"cannot import name '(\w+)'")
# Fields that hold paths of files.
PATHS = (
    "event_model.weights",
    "event_model.pca",
    "event_model.embeddings",
    "model.trunk",
    "distillation.teacher",
)
# Fields of a row that change none of its runs. Folds may be added to a row that has runs.
OF_NO_RUN = ("folds", "note")
# In `model.trunk`, the seed of a run.
SEED_IN_PATH = "{seed}"
WITHOUT_ROWS = "Define ROWS, a tuple of crossask.config.Experiment."


def read_experiments(reference: str) -> tuple[Experiment, ...]:
    """Returns rows of an experiment file.

    Reading an experiment runs its file. The file should be literal data, and import nothing of this
    package but `crossask.config`.

    Args:
      reference: "path/to/file.py" for all of its ROWS, or "path/to/file.py:row,row". A file of
        `shipped_experiments` can be given by its name alone: "dcase2019:row,row". A file of this
        name in the working folder comes before it.

    Returns:
      The rows, in the order of the reference, or else of ROWS.

    Raises:
      ConfigError: There is no such file or row, or a row is not valid.
    """
    file, names = _split(reference)
    rows = {}
    for row in _rows_of(_import_file(file), file):
        if row.name in rows:
            raise ConfigError(
                f"{file} defines two rows with the name {row.name!r}.",
                "Give each row a name of its own.",
            )
        rows[row.name] = row
    # A name that is given twice selects its row once: two runs would have one folder.
    wanted = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    for name in wanted:
        if name not in rows:
            raise ConfigError(
                f"{file} has no row {name!r}.",
                f"{did_you_mean(name, rows)}Use one of: {', '.join(rows)}.",
            )
    selected = wanted if wanted else list(rows)
    return tuple(rows[name] for name in selected)


def shipped_experiments() -> list[Path]:
    """Returns the experiment files that come with this package, sorted by name."""
    # Another package may have a folder `experiments`; one with Table 3 is ours.
    for table_3 in shipped.places("experiments/dcase2019.py"):
        if table_3.is_file():
            return sorted(table_3.parent.glob("*.py"))
    return []


def resolve(
    experiment: Experiment,
    config_files: Iterable[str | Path] = (),
    params_override: str = "",
) -> Experiment:
    """Returns a row with changes applied: the JSON files in turn, then `params_override`.

    This is the order of TensorFlow Model Garden.

    Args:
      experiment: The row.
      config_files: JSON files of fields; the config.json of a run can be given, too.
      params_override: "name=value,..." as `parse_overrides` reads it, applied last.

    Raises:
      ConfigError: A file that is not JSON, or a change that is not valid.
    """
    for path in config_files:
        changes = json_files.read(Path(path))
        _check_one_place(changes)
        try:
            # The config.json of a run contains the fields of its row under "experiment".
            experiment = override(experiment, changes.values("experiment"))
        except ConfigError as error:
            raise _of_row(experiment, changes.located(error)) from error
    try:
        return override(experiment, parse_overrides(params_override))
    except ConfigError as error:
        raise _of_row(experiment, error) from error


def _check_one_place(changes: json_files.JsonFile) -> None:
    """Raises ConfigError for fields both under "experiment" and beside it: these have no effect."""
    if "experiment" not in changes.content:
        return
    known = fields(Experiment)
    for name in changes.content:
        if name.partition(".")[0] in known:
            raise ConfigError(
                f"{changes.path}, line {changes.lines[name]}: {name!r} is beside 'experiment', "
                "which contains the fields.",
                "Move it into 'experiment', or leave 'experiment' out.",
            )


def with_absolute_paths(experiment: Experiment) -> Experiment:
    """Returns a row whose files are found from every folder.

    ~ at the start of a path is the home folder, as in flags: shells do not replace it within
    --params_override. What is no file here, such as a TF-Hub handle, remains as it is.
    """
    changes = {}
    for name in PATHS:
        part, _, field = name.partition(".")
        value = getattr(getattr(experiment, part), field)
        # distillation.teacher may list several files.
        paths = [path.strip() for path in value.split(";")]
        absolute = []
        for path in map(os.path.expanduser, paths):
            absolute.append(os.path.abspath(path) if _exists(path) else path)
        if absolute != paths:
            changes[name] = ";".join(absolute)
    return override(experiment, changes) if changes else experiment


def _exists(path: str) -> bool:
    """Returns whether there is a file or folder; of a path with a seed, that of any seed."""
    if SEED_IN_PATH not in path:
        return os.path.exists(path)
    return bool(glob.glob(glob.escape(path).replace(SEED_IN_PATH, "*")))


def _of_row(experiment: Experiment, error: ConfigError) -> ConfigError:
    return ConfigError(f"Row {experiment.name!r}: {error.problem}", error.fix)


def _split(reference: str) -> tuple[Path, str]:
    """Returns the path of the experiment file of a reference, and the names of its rows.

    Raises:
      ConfigError: There is no such file.
    """
    # A colon may also be part of the path, so the reference is split at ".py:". This removes the
    # suffix of the path, which is added again.
    path, _, names = reference.partition(".py:")
    file = Path(path if path.endswith(".py") else f"{path}.py")
    if file.is_file():
        return file, names
    name, _, names_of_short_form = reference.partition(":")
    # An edited copy of a shipped file comes before that file, with and without names of rows.
    copy = Path(f"{name}.py")
    if copy.is_file():
        return copy, names_of_short_form
    known = {found.stem: found for found in shipped_experiments()}
    # Also where a folder has this name, such as that of the data set.
    if name in known:
        return known[name], names_of_short_form
    if path and Path(path).exists():
        kind = "no Python file (its name does not end in .py)"
        if Path(path).is_dir():
            kind = "a folder"
        raise ConfigError(
            f"{path} is {kind}.",
            "Give an experiment file; fields in JSON are given with --config_file.",
        )
    raise ConfigError(
        f"There is no experiment file {str(file)!r}.",
        f"{did_you_mean(name, known)}Give a path such as experiments/demo.py:fa, or the name of a "
        f"file of the package: {', '.join(known)}.",
    )


class _TextLoader(importlib.machinery.SourceFileLoader):
    """Runs the text of a file, and never the bytecode that Python has stored for it.

    Python takes the bytecode of an earlier text if the new one has the same size and was written in
    the same second, as by a script that tries several values.
    """

    def get_code(self, fullname: str) -> CodeType:
        """Returns the compiled text."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _import_file(file: Path) -> ModuleType:
    """Runs an experiment file and returns it as a module.

    Raises:
      ConfigError: The file cannot be run, or a row is not valid; the message gives the line.
    """
    _check_encoding(file)
    spec = importlib.util.spec_from_file_location(f"crossask_experiment_{file.stem}", file)
    spec.loader = _TextLoader(spec.name, spec.origin)
    module = importlib.util.module_from_spec(spec)
    # A dataclass of the file may look its module up.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise _syntax_error(file, error) from error
    except (Exception, SystemExit) as error:
        calls = traceback.extract_tb(error.__traceback__)
        # Python records absolute paths, so calls are compared with spec.origin, not with `file`.
        # The last of these calls is the innermost one: the line of the wrong row.
        lines = [call.lineno for call in calls if call.filename == spec.origin]
        is_of_compiler = not lines and isinstance(error, (MemoryError, RecursionError))
        if is_of_compiler:
            raise ConfigError(
                f"{file} is nested too deeply.", "Write it in simpler steps."
            ) from error
        if not lines or isinstance(error, MemoryError):
            # The file cannot be read, or there is no memory.
            raise
        problem, fix = _explained(error, module)
        raise ConfigError(f"{file}, line {lines[-1]}: {problem}", fix) from error
    return module


def _check_encoding(file: Path) -> None:
    """Raises ConfigError for a file in UTF-16 or UTF-32, which Python cannot run."""
    encoding = json_files.other_encoding(file.read_bytes())
    if encoding:
        raise ConfigError(f"{file} is encoded as {encoding}.", "Save it as UTF-8.")


def _syntax_error(file: Path, error: SyntaxError) -> ConfigError:
    """Returns the error of a file that is not Python, or of a module that it imports."""
    # Without a file name, the error is about the whole file.
    place = str(error.filename or file)
    # Text that was compiled without a file has a name such as "<string>".
    if place.startswith("<"):
        place = str(file)
    if Path(place).absolute() == file.absolute():
        place = str(file)
    if error.lineno:
        place = f"{place}, line {error.lineno}"
    shown = (error.text or "").strip()[:80]
    fix = f"Correct the line: {shown}" if shown else "Correct the file."
    return ConfigError(f"{place}: {error.msg}.", fix)


def _explained(error: BaseException, module: ModuleType) -> tuple[str, str]:
    """Returns an error of an experiment file in words, and what to do about it."""
    if isinstance(error, CrossaskError):
        return error.problem, error.fix
    if isinstance(error, SystemExit):
        return "the file ends the command.", "Remove the call of exit."
    text = " ".join(str(error).split()).rstrip(".")
    problem = f"{type(error).__name__}: {text}."
    if isinstance(error, ModuleNotFoundError):
        missing = error.name or ""
        parent, _, name = missing.rpartition(".")
        siblings = vars(sys.modules[parent]) if parent in sys.modules else sys.modules
        return (
            f"there is no module {missing!r}.",
            f"{did_you_mean(name, siblings)}Install it, or put its folder on PYTHONPATH.",
        )
    known: Iterable[str] = ()
    wrong = getattr(error, "name", None) or ""
    if isinstance(error, ImportError):
        found = WRONG_IMPORT.match(text)
        known = _names(sys.modules.get(wrong))
        wrong = found.group(1) if found else ""
    elif isinstance(error, AttributeError):
        known = _names(getattr(error, "obj", None))
    elif isinstance(error, NameError):
        known = [*vars(module), *vars(builtins)]
    return problem, f"{did_you_mean(wrong, known)}Correct the line."


def _names(value: Any) -> list[str]:
    """Returns the public names of a module or another object."""
    names = [] if value is None else dir(value)
    return [name for name in names if not name.startswith("_")]


def _rows_of(module: ModuleType, file: Path) -> list[Experiment]:
    """Returns ROWS of an experiment file.

    Raises:
      ConfigError: There is none, or it is no tuple of rows.
    """
    if not hasattr(module, "ROWS"):
        nearest = did_you_mean("ROWS", _names(module))
        raise ConfigError(f"{file} defines no rows.", f"{nearest}{WITHOUT_ROWS}")
    rows = module.ROWS
    if isinstance(rows, Experiment):
        raise ConfigError(
            f"ROWS of {file} is one row, not a tuple of rows.",
            "Write a comma after the row: ROWS = (Experiment(...),).",
        )
    try:
        rows = list(rows)
    except TypeError as error:
        kind = type(rows).__name__
        raise ConfigError(f"ROWS of {file} is of type {kind}.", WITHOUT_ROWS) from error
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Experiment):
            kind = type(row).__name__
            raise ConfigError(
                f"Row {number} of ROWS of {file} is of type {kind}, not an Experiment.",
                WITHOUT_ROWS,
            )
    if not rows:
        raise ConfigError(f"ROWS of {file} is empty.", WITHOUT_ROWS)
    return rows
