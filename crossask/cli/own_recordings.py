"""Runs `crossask train RECORDINGS`: settings, training, evaluation, report and export."""

import itertools
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from crossask import files, locks
from crossask.cli import command, shared_flags
from crossask.errors import CrossaskError

if TYPE_CHECKING:
    from crossask.datasets.own_recordings import OwnRecordings

SEEDS = "0,1,2"
# The experiment file, which the user edits.
ROWS = "rows.py"
# Earlier tables of the recordings, by their numbers.
TABLE_BEFORE = "clips_before_{}.csv"
# All numbers of the report, beside the folder of the runs.
RESULTS = "results.json"
# Flags of `crossask train` that also apply to a folder of recordings.
PASSED_ON = ("folds", "jobs", "workers", "distribution", "tpu", "save_steps")


def train(words: Sequence[str], values: flags.FlagValues) -> int:
    """Trains rows that fit the recordings of a folder or a CSV, and exports the best one.

    Args:
      words: The folder or the CSV.
      values: Flags of `crossask train`; those of an experiment file are refused.
    """
    _check(words, values)
    source = Path(words[0])
    from crossask.datasets import folder, own_recordings

    own = own_recordings.examine(source)
    command.LOG.info("%s", own.in_words())
    out = Path(values.model_dir or folder_beside(source))
    if os.path.realpath(out / folder.TABLE) == os.path.realpath(folder.table_of(source)):
        raise CrossaskError(
            f"{out} is the folder of the recordings, whose table {folder.TABLE} would be "
            "overwritten.",
            "Set --model_dir to another folder, or leave it out.",
        )
    _check_overwritten(out)
    with locks.of_folder(out):
        return _train_and_export(own, out, values)


def _check_overwritten(out: Path) -> None:
    """Raises CrossaskError for a file of another program in the folder to write to.

    The folder may be that of a project, with a table of other recordings.
    """
    from crossask.datasets import folder, own_recordings

    is_ours = {folder.TABLE: own_recordings.is_written_table, RESULTS: _is_written_results}
    for name, check in is_ours.items():
        path = out / name
        if path.exists() and not check(path):
            raise CrossaskError(
                f"{path} was not written by crossask train, and would be overwritten.",
                "Set --model_dir to another folder, or leave it out.",
            )


def _is_written_results(path: Path) -> bool:
    """Returns whether a file contains the numbers of a report."""
    from crossask import stored

    return "corpora" in stored.read_record(path)


def _train_and_export(own: "OwnRecordings", out: Path, values: flags.FlagValues) -> int:
    """Writes the table and the settings, and runs the verbs."""
    from crossask.datasets import folder, own_recordings

    table = out / folder.TABLE
    rows = out / ROWS
    _keep_table(table, own_recordings.table_text(own))
    own_recordings.write_table(own, table)
    _write_rows(own_recordings.experiment_text(own, table), rows)

    features = values.features_dir or out / "features"
    runs = out / "runs"
    seeds = ",".join(values.seeds) if values["seeds"].present else SEEDS
    grid = [f"--experiment={rows}", f"--data_dir={table}", f"--features_dir={features}"]
    grid += [f"--model_dir={runs}", f"--seeds={seeds}"]
    for name in PASSED_ON:
        if values[name].present:
            grid.append(f"--{name}={_as_text(values[name].value)}")
    if values.dry_run:
        return _verb("train", *grid, "--dry_run")
    steps = (
        ("train", *grid, f"--preflight={values.preflight}"),
        ("evaluate", f"--model_dir={runs}"),
        ("report", f"--model_dir={runs}", f"--out={out / 'report'}", f"--json={out / RESULTS}"),
    )
    worst_code = 0
    for step in steps:
        code = _verb(*step)
        if code not in (0, command.SOME_FAILED):
            return code
        # SOME_FAILED: the finished runs are evaluated, reported and exported all the same. The
        # others failed, or an earlier command began them and this one does not train them.
        worst_code = max(worst_code, code)
    return max(worst_code, _export(out))


def _keep_table(table: Path, text: str) -> None:
    """Renames the table of an earlier command that was edited, so that it is not overwritten.

    Args:
      table: The table of the recordings that will be written.
      text: Its content.
    """
    if not table.exists() or table.read_bytes() == text.encode():
        return
    numbers = itertools.count(1)
    paths = (table.with_name(TABLE_BEFORE.format(number)) for number in numbers)
    before = next(path for path in paths if not os.path.lexists(path))
    os.replace(table, before)
    command.LOG.info(
        "%s is written anew, because it differs from the recordings that are given. The "
        "earlier one is %s. To train with it, copy it to another folder, and give the copy "
        "in place of the recordings.",
        table,
        before,
    )


def _write_rows(text: str, rows: Path) -> None:
    """Writes the experiment file if there is none, and logs which settings count."""
    if not rows.exists():
        with files.writing(rows) as temporary:
            temporary.write_text(text, encoding="utf-8")
    elif rows.read_text(encoding="utf-8", errors="replace") != text:
        # It was edited, or written for other recordings: before some were added, for example.
        command.LOG.info(
            "Settings: %s, which was written before. Where they differ from those above, they "
            "count; remove the file to have it written for these recordings.",
            rows,
        )
        return
    command.LOG.info("Settings: %s (edit it and run the same command).", rows)


def folder_beside(source: Path) -> Path:
    """Returns the folder that is written for recordings if none is given.

    Args:
      source: A folder, also "." and "..", or a table, whose suffix is left out.
    """
    # In the real path of ".", the folder has a name. Other paths stay as they are written.
    if source.name in ("", ".."):
        source = source.resolve()
    if not source.name:
        raise CrossaskError(
            f"There is no place beside {str(source)!r}.", "Set --model_dir to another folder."
        )
    # The name of a folder may have a point, such as sounds.v1 and sounds.v2.
    name = source.name if source.is_dir() else source.stem
    return source.with_name(f"{name}_models")


def _as_text(value: Any) -> str:
    """Returns the value of a flag as the command line writes it."""
    if isinstance(value, list):
        return ",".join(value)
    return str(value)


def _check(words: Sequence[str], values: flags.FlagValues) -> None:
    """Raises CrossaskError for several folders, flags of an experiment file, several machines."""
    if len(words) > 1:
        raise CrossaskError(
            f"{len(words)} folders are given.", "Give one folder with a sub-folder for each scene."
        )
    for name in ("experiment", "data_dir", "dataset", "params_override", "config_file"):
        if values[name].present:
            raise CrossaskError(
                f"--{name} cannot be combined with a folder of recordings.",
                "Leave it out, and edit the experiment file that is written.",
            )
    if values.distribution == "multi_worker_mirrored":
        # One command writes the folder, and the machines would wait for each other.
        raise CrossaskError(
            "Several machines cannot train on a folder of recordings together.",
            "Write the settings on one of them with --dry_run, then train with "
            "--experiment=RECORDINGS_models/rows.py --data_dir=RECORDINGS_models/clips.csv on all.",
        )
    command.refuse(values, ["peer_timeout"], "a folder of recordings")
    shared_flags.refuse_unused_device_flags(values)


def _export(out: Path) -> int:
    """Exports a run of the row with the best score, and returns the exit code.

    Raises:
      CrossaskError: No row of the experiment file has a score.
    """
    from crossask import config
    from crossask.training import run_folder

    experiment_file = out / ROWS
    names = {row.name for row in config.read_experiments(str(experiment_file))}
    content = json.loads((out / RESULTS).read_text(encoding="utf-8"))
    rows = []
    for corpus in content["corpora"]:
        # Rows whose recordings were cut differently are in tables of their own.
        for row in corpus["rows"]:
            # The report also has rows that are no longer in the file. Their recordings may be
            # others, and the user does not want them.
            if row["name"] in names:
                rows.append(row)
    if not rows:
        raise CrossaskError(
            f"No row of {experiment_file} has a score, so none is exported.",
            "See the errors above, and run the same command again.",
        )
    best_row = max(rows, key=lambda row: row["macro_accuracy"])["name"]
    model = out / "model"
    command.LOG.info(
        "The row %s has the best score. The score is optimistic, because it selected the row.",
        best_row,
    )
    if model.exists():
        command.LOG.info("Model: %s (written before; remove it to write another).", model)
        return 0
    # The run of the first fold and the first seed, among those that are finished.
    runs = run_folder.find_runs(out / "runs" / best_row)
    run = next(run for run in runs if run.finished)
    code = _verb("export", f"--model_dir={run.folder}", f"--out={model}")
    if not code:
        command.LOG.info("Predict with it: crossask predict --model=%s RECORDING", model)
    return code


def _verb(name: str, *arguments: str) -> int:
    """Runs another verb in this process and returns its exit code."""
    from crossask.cli import main

    return main.main(["crossask", name, *arguments])
