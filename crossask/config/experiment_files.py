"""Experiment files: Python files that set ROWS, and JSON files and overrides on top of them."""

import importlib.util
import json
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType

from crossask.config.catalogue import did_you_mean
from crossask.config.schema import Experiment
from crossask.config.values import override, parse_overrides
from crossask.errors import ConfigError


def read_experiments(reference: str) -> tuple[Experiment, ...]:
    """Returns rows of an experiment file.

    Reading an experiment runs its file, which is meant to be literal data and to import nothing but
    `crossask.config`.

    Args:
      reference: "path/to/file.py" for all of its ROWS, or "path/to/file.py:row,row".

    Raises:
      ConfigError: There is no such file or row, or a row is not valid.
    """
    path, _, names = reference.partition(".py:")
    file = Path(path if path.endswith(".py") else f"{path}.py")
    if not file.is_file():
        raise ConfigError(
            f"There is no experiment file {str(file)!r}.",
            "Give a path such as experiments/demo.py:cmam_feature_based.",
        )
    rows = {row.name: row for row in getattr(_run(file), "ROWS", ())}
    if not rows:
        raise ConfigError(
            f"{file} defines no rows.", "Define ROWS, a tuple of crossask.config.Experiment."
        )
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in rows:
            raise ConfigError(
                f"{file} has no row {name!r}.",
                f"{did_you_mean(name, rows)}Its rows: {', '.join(rows)}.",
            )
    return tuple(rows[name] for name in wanted or rows)


def resolve(
    experiment: Experiment,
    config_files: Iterable[str | Path] = (),
    params_override: str = "",
) -> Experiment:
    """Returns a row with changes applied in Model Garden's order.

    Args:
      experiment: The row.
      config_files: JSON files of fields, applied in turn; a run's config.json will do.
      params_override: "name=value,..." as `parse_overrides` reads it, applied last.

    Raises:
      ConfigError: A file that is not JSON, or a change that is not valid.
    """
    changes = []
    for path in config_files:
        values = _read_json(Path(path))
        changes.append(values.get("experiment", values))
    changes.append(parse_overrides(params_override))
    try:
        for values in changes:
            experiment = override(experiment, values)
    except ConfigError as error:
        raise ConfigError(f"Row {experiment.name!r}: {error.problem}", error.fix) from error
    return experiment


def _run(file: Path) -> ModuleType:
    """Returns the experiment file as a module; a wrong row is reported with its line."""
    spec = importlib.util.spec_from_file_location(f"crossask_experiment_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ConfigError as error:
        calls = traceback.extract_tb(error.__traceback__)
        lines = [call.lineno for call in calls if call.filename == str(file)]
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
            f"{path} holds a JSON {type(changes).__name__}.",
            "Give a JSON object of fields, as in a run's config.json.",
        )
    return changes
