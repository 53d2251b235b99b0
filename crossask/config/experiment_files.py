"""Experiment files: Python files that set ROWS, and JSON files and overrides on top of them."""

import importlib.util
import json
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType

from crossask import shipped
from crossask.config.catalogue import did_you_mean
from crossask.config.schema import Experiment
from crossask.config.values import override, parse_overrides
from crossask.errors import ConfigError


def read_experiments(reference: str) -> tuple[Experiment, ...]:
    """Returns rows of an experiment file.

    Reading an experiment runs its file. The file should be literal data, and import nothing of this
    package but `crossask.config`.

    Args:
      reference: "path/to/file.py" for all of its ROWS, or "path/to/file.py:row,row". A file of
        `shipped_experiments` can be given by its name alone: "dcase2019:row,row".

    Returns:
      The rows, in the order of the reference, or else of ROWS.

    Raises:
      ConfigError: There is no such file or row, or a row is not valid.
    """
    file, names = _split(reference)
    rows = {}
    for row in getattr(_import_file(file), "ROWS", ()):
        if row.name in rows:
            raise ConfigError(
                f"{file} defines two rows with the name {row.name!r}.",
                "Give each row a name of its own.",
            )
        rows[row.name] = row
    if not rows:
        raise ConfigError(
            f"{file} defines no rows.", "Define ROWS, a tuple of crossask.config.Experiment."
        )
    wanted = [name.strip() for name in names.split(",") if name.strip()]
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
    changes = []
    for path in config_files:
        values = _read_json(Path(path))
        # The config.json of a run contains the fields of its row under "experiment".
        changes.append(values.get("experiment", values))
    changes.append(parse_overrides(params_override))
    try:
        for values in changes:
            experiment = override(experiment, values)
    except ConfigError as error:
        raise ConfigError(f"Row {experiment.name!r}: {error.problem}", error.fix) from error
    return experiment


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
    known = {found.stem: found for found in shipped_experiments()}
    if name in known:
        return known[name], names_of_short_form
    raise ConfigError(
        f"There is no experiment file {str(file)!r}.",
        f"{did_you_mean(name, known)}Give a path such as experiments/demo.py:fa, or the name of a "
        f"file of the package: {', '.join(known)}.",
    )


def _import_file(file: Path) -> ModuleType:
    """Runs an experiment file and returns it as a module.

    Raises:
      ConfigError: A row is not valid; the message gives its line in the file.
    """
    spec = importlib.util.spec_from_file_location(f"crossask_experiment_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ConfigError as error:
        calls = traceback.extract_tb(error.__traceback__)
        # Python records absolute paths, so calls are compared with spec.origin, not with `file`.
        # The last of these calls is the innermost one: the line of the wrong row.
        lines = [call.lineno for call in calls if call.filename == spec.origin]
        raise ConfigError(f"{file}, line {lines[-1]}: {error.problem}", error.fix) from error
    return module


def _read_json(path: Path) -> Mapping:
    try:
        changes = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path} is not a readable JSON file ({error}).",
            "Give a JSON object of fields, as in a run's config.json.",
        ) from error
    if not isinstance(changes, dict):
        raise ConfigError(
            f"{path} contains a JSON {type(changes).__name__}, not a JSON object.",
            "Give a JSON object of fields, as in a run's config.json.",
        )
    return changes
