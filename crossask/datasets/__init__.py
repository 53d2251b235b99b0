"""Corpora by name. A new one is one file and one line here. Imports no TensorFlow."""

import dataclasses
import importlib

from crossask.datasets.clips import Clip, Corpus, Fold, validation_split
from crossask.errors import ConfigError

DATASETS = {
    "tau2019": "crossask.datasets.tau2019:read",
    "tut2017": "crossask.datasets.tut2017:read",
    "folder": "crossask.datasets.folder:read",
    # the generator writes the official TAU layout
    "soundscapes": "crossask.datasets.tau2019:read",
}

__all__ = ["DATASETS", "Clip", "Corpus", "Fold", "read_corpus", "validation_split"]


def read_corpus(name: str, data_dir) -> Corpus:
    """The corpus `name` below `data_dir`, checked (labels, folds, files).

    Raises:
      ConfigError: the name stands in no table.
      DataError: the corpus contradicts itself or is not there.
    """
    if name not in DATASETS:
        raise ConfigError(f"There is no data set {name!r}.", f"Use one of: {', '.join(DATASETS)}.")
    module, function = DATASETS[name].split(":")
    return dataclasses.replace(getattr(importlib.import_module(module), function)(data_dir), name=name)
