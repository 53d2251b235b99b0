"""Corpora by name. A new one is one file and one line here. Imports no TensorFlow."""

import importlib

from crossask.datasets.clips import Clip, Corpus, Fold, training_parts, validation_split
from crossask.errors import ConfigError

DATASETS = {
    "tau2019": "crossask.datasets.tau2019:read",
    "tut2017": "crossask.datasets.tut2017:read",
    "folder": "crossask.datasets.folder:read",
    "embeddings": "crossask.datasets.embeddings:read",
    # the generator writes the official TAU layout
    "soundscapes": "crossask.datasets.tau2019:read",
}

# corpora that are published as archives, and their tables of (url, bytes, md5)
ARCHIVES = {
    "tau2019": "crossask.datasets.tau2019:ARCHIVES",
    "tut2017": "crossask.datasets.tut2017:ARCHIVES",
}

__all__ = ["ARCHIVES", "DATASETS", "Clip", "Corpus", "Fold", "download_corpus", "read_corpus", "training_parts", "validation_split"]


def read_corpus(name: str, data_dir, need_audio: bool = True) -> Corpus:
    """The corpus `name` below `data_dir`, checked (labels, folds, files).

    Args:
      need_audio: False: metadata alone is read. The clips' paths may then lead nowhere, and `Corpus.fingerprint` cannot be asked
        for.

    Raises:
      ConfigError: the name stands in no table.
      DataError: the corpus contradicts itself or is not there.
    """
    if name not in DATASETS:
        raise ConfigError(f"There is no data set {name!r}.", f"Use one of: {', '.join(DATASETS)}.")
    return _named(DATASETS[name])(data_dir, need_audio, name)


def download_corpus(name: str, data_dir, progress=None, **options):
    """Fetches the published archives of the corpus `name` into `data_dir`; `downloads.fetch_corpus` says how, and the rest.

    Raises:
      ConfigError: the data set is not published as archives.
    """
    if name not in ARCHIVES:
        raise ConfigError(f"The data set {name!r} has nothing to download.", f"Those that have: {', '.join(ARCHIVES)}.")
    from crossask.datasets import downloads

    downloads.fetch_corpus(_named(ARCHIVES[name]), data_dir, progress, **options)


def _named(entry: str):
    module, name = entry.split(":")
    return getattr(importlib.import_module(module), name)
