"""Flags that several verbs have: their definitions, and what their values select."""

import dataclasses
import os
import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from absl import flags

from crossask.cli import command
from crossask.config import catalogue
from crossask.errors import CrossaskError

if TYPE_CHECKING:
    from crossask.config import Experiment

LARGEST_NUMBER = 2**31 - 1
# Flags that one --distribution alone uses, and its name.
DISTRIBUTION_OF = {"tpu": "tpu", "peer_timeout": "multi_worker_mirrored"}


def numbers(words: Sequence[str], name: str) -> list[int]:
    """Returns the value of a list flag as integers from 0 on.

    Args:
      words: Value of the flag.
      name: Name of the flag, for the message.

    Raises:
      CrossaskError: The list is empty or has other values.
    """
    given = f"--{name} is {','.join(words)!r}"
    try:
        found = [int(word) for word in words]
    except ValueError:
        found = []
    if not found or min(found) < 0:
        raise CrossaskError(f"{given}.", f"Give integers, for example --{name}=0,1,2.")
    # Two runs would have one folder.
    if len(set(found)) < len(found):
        raise CrossaskError(f"{given}, with a number twice.", "Give each number once.")
    if max(found) > LARGEST_NUMBER:
        raise CrossaskError(f"--{name} has {max(found)}.", f"Give numbers up to {LARGEST_NUMBER}.")
    return found


def define_wait_flag(flag_values: flags.FlagValues) -> None:
    """Defines the flag of commands whose output another command may write at the same time."""
    flags.DEFINE_bool(
        "wait",
        False,
        "If another command writes the same run, features, table or export, wait until it has "
        "ended; without this flag, the command ends with an error that names the other process.",
        flag_values=flag_values,
    )


def define_trust_flag(flag_values: flags.FlagValues) -> None:
    """Defines the flag of commands that load a model of unknown origin."""
    flags.DEFINE_bool(
        "trust_model",
        False,
        "Use a SavedModel that was not written by crossask-export. A SavedModel is a program, "
        "which can read and write your files.",
        flag_values=flag_values,
    )


def define_device_flags(flag_values: flags.FlagValues) -> None:
    """Defines the flags of commands that train: the devices, and how often the state is saved."""
    flags.DEFINE_string(
        "distribution",
        "auto",
        "Devices to train on: auto (all GPUs of the machine, else the CPU) | one_device | "
        "mirrored | multi_worker_mirrored | tpu.",
        flag_values=flag_values,
    )
    flags.DEFINE_string("tpu", None, "Address of the TPU.", flag_values=flag_values)
    flags.DEFINE_float(
        "peer_timeout",
        600.0,
        "With --distribution=multi_worker_mirrored: seconds to wait until the other machines of "
        "TF_CONFIG have started.",
        0.0,
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "save_steps",
        0,
        "Steps between two saves within an epoch; 0: no such saves. In any case, the state is "
        "saved at the end of an epoch and on SIGTERM.",
        0,
        flag_values=flag_values,
    )


def refuse_unused_device_flags(values: flags.FlagValues) -> None:
    """Raises CrossaskError if a flag is given that only another --distribution uses."""
    for name, distribution in DISTRIBUTION_OF.items():
        if values.distribution != distribution:
            command.refuse(
                values,
                [name],
                f"--distribution={values.distribution}",
                f", or set --distribution={distribution}",
            )


def exit_code_of_child(values: flags.FlagValues) -> int | None:
    """Runs the rest of a command in a child if it is one of several machines.

    `child_processes.run_in_child` gives the reason.

    It must be called before TensorFlow is imported.

    Returns:
      The exit code of the child; None in the child, and with any other --distribution.
    """
    if values.distribution != "multi_worker_mirrored":
        return None
    from crossask import child_processes

    return child_processes.run_in_child()


def define_runner_flags(flag_values: flags.FlagValues) -> None:
    """Defines the flags of commands that compute features: in threads or with Apache Beam."""
    flags.DEFINE_enum(
        "runner",
        "direct",
        ["direct", "beam"],
        "direct: features are computed in threads of this process; beam: as an Apache Beam "
        "pipeline.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "beam_options",
        "",
        "Options of Apache Beam, for example '--runner=FlinkRunner --flink_master=...'.",
        flag_values=flag_values,
    )


def runner(values: flags.FlagValues) -> Callable | None:
    """Returns the function that computes features elsewhere; None without Apache Beam.

    Raises:
      CrossaskError: The options of Beam are given without it, or cannot be read.
    """
    if values.runner != "beam":
        if values.beam_options:
            raise CrossaskError(
                "--beam_options is given without --runner=beam.",
                "Add --runner=beam, or remove --beam_options.",
            )
        return None
    from crossask.features import beam

    try:
        words = shlex.split(values.beam_options)
    except ValueError as error:
        raise CrossaskError(
            f"--beam_options is {values.beam_options!r} ({error}).", "Close the quotation mark."
        ) from error
    return beam.pipeline_writer(words)


def define_experiment_flags(flag_values: flags.FlagValues, corpus: bool = True) -> None:
    """Defines the flags that select rows, and with `corpus` those of the data set's folders."""
    flags.DEFINE_string(
        "experiment",
        "",
        "Rows: FILE.py (all rows of the file) or FILE.py:row,row. A file that crossask-experiments "
        "lists needs no path and no suffix: dcase2019:fa.",
        flag_values=flag_values,
    )
    flags.DEFINE_multi_string(
        "config_file",
        [],
        "JSON file with fields to replace. May be repeated; a later file replaces the fields of an "
        "earlier one.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "params_override",
        "",
        "Fields to replace after those of --config_file: training.epochs=3,training.batch_size=8",
        flag_values=flag_values,
    )
    if not corpus:
        return
    flags.DEFINE_string("data_dir", "", "Folder (or CSV) of the data set.", flag_values=flag_values)
    flags.DEFINE_string(
        "features_dir",
        "",
        "Folder of the stored features; default: 'features' in the data set's folder.",
        flag_values=flag_values,
    )


def define_weights_flag(flag_values: flags.FlagValues) -> None:
    """Defines the flag for weights that are no longer where a run was trained with them."""
    flags.DEFINE_string(
        "weights",
        "",
        "File or folder of the event model's weights, or of its embeddings, if it was moved since "
        "the training. Default: the one that each run was trained with.",
        flag_values=flag_values,
    )


def dataset_names(*others: str) -> str:
    """Returns the names of the catalogue's data sets, and others, for the help of a flag."""
    return " | ".join([*catalogue.DATASETS, *others])


def experiments(flag_values: flags.FlagValues) -> list["Experiment"]:
    """Returns the rows that the flags select, with all replaced fields.

    Raises:
      CrossaskError: A row or a field does not exist, or two rows have one name after the changes.
    """
    from crossask import config

    command.required(flag_values, "experiment")
    rows = []
    for row in config.read_experiments(flag_values.experiment):
        dataset = flag_values.dataset if "dataset" in flag_values else ""
        if dataset:
            # Before the fields are replaced, because some are for one data set only.
            row = _on_dataset(row, dataset)
        row = config.resolve(row, flag_values.config_file, flag_values.params_override)
        if dataset:
            # And afterwards, because one of the fields may be the data set.
            row = _on_dataset(row, dataset)
        rows.append(config.with_absolute_paths(row))
    names = [row.name for row in rows]
    for name in names:
        if names.count(name) > 1:
            # Their runs would have one folder.
            raise CrossaskError(
                f"--params_override or --config_file gives several rows the name {name!r}.",
                "Select one row (--experiment=FILE.py:row), or leave out the field name.",
            )
    return rows


def features_dir(data_dir: str, given: str) -> str:
    """Returns the folder of the stored features: the given one, or that of the data set."""
    if given:
        return given
    folder = data_dir
    if not os.path.isdir(data_dir):
        # `data_dir` is a CSV: the features are stored beside it.
        folder = os.path.dirname(os.path.abspath(data_dir))
    return os.path.join(folder, "features")


def _on_dataset(row: "Experiment", dataset: str) -> "Experiment":
    """Returns the row on another data set, without the paper's score, which is for its own one."""
    if row.dataset == dataset:
        return row
    return dataclasses.replace(row, dataset=dataset, paper_score=None)
