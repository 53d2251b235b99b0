"""The data sets, read as checked corpora. Imports no TensorFlow.

The catalogue (`crossask.config.catalogue.DATASETS`) lists them.
"""

from pathlib import Path

from crossask.config import Experiment, catalogue
from crossask.datasets.clips import Clip, Corpus, Fold
from crossask.datasets.recordings import cut_into_clips, recording_and_start, recording_count
from crossask.datasets.validation_parts import training_parts, validation_split
from crossask.downloading import Progress
from crossask.errors import ConfigError

# Part of the address of each archive of metadata.
METADATA_ARCHIVE = ".meta."

__all__ = [
    "Clip",
    "Corpora",
    "Corpus",
    "Fold",
    "download_corpus",
    "read_corpus",
    "recording_and_start",
    "recording_count",
    "training_parts",
    "validation_split",
]


def read_corpus(name: str, data_dir: str | Path, need_audio: bool = True) -> Corpus:
    """Returns a data set as a checked corpus.

    Args:
      name: Name of a data set of the catalogue.
      data_dir: Folder of the data set (or its CSV).
      need_audio: Whether the sound files must exist. If False, only metadata is read: the paths of
        the clips may not exist, and `Corpus.fingerprint` cannot be computed.

    Raises:
      ConfigError: There is no data set of this name.
      DataError: The data set is missing, or contradicts itself.
    """
    read = catalogue.load(catalogue.dataset(name).reader)
    return read(data_dir, need_audio, name)


class Corpora:
    """The corpora of rows; rows with the same clips share one.

    Args:
      data_dir: Folder (or CSV) of the data set.
      need_audio: See `read_corpus`.
    """

    def __init__(self, data_dir: str | Path, need_audio: bool = True):
        self.data_dir = data_dir
        self.need_audio = need_audio
        self._corpora: dict[tuple, Corpus] = {}

    def __call__(self, row: Experiment) -> Corpus:
        """Returns the corpus of a row, whose recordings are cut into clips if the row says so."""
        whole_key = (row.dataset,)
        if whole_key not in self._corpora:
            self._corpora[whole_key] = read_corpus(row.dataset, self.data_dir, self.need_audio)
        whole = self._corpora[whole_key]
        features = row.features
        if features.clip_hop_seconds is None:
            return whole
        key = (row.dataset, features.clip_seconds, features.clip_hop_seconds)
        if key not in self._corpora:
            self._corpora[key] = cut_into_clips(whole, features)
        return self._corpora[key]


def download_corpus(
    name: str,
    data_dir: str | Path,
    progress: Progress | None = None,
    metadata_only: bool = False,
) -> None:
    """Downloads and unpacks the published archives of a data set.

    Args:
      name: Name of a data set of the catalogue.
      data_dir: Folder to write to.
      progress: Called with the bytes so far and the bytes in all.
      metadata_only: Whether to leave out the recordings.

    Raises:
      ConfigError: The data set is not published as archives.
      DownloadError: A file could not be downloaded or is not the published one.
    """
    from crossask.datasets.archives import fetch_corpus

    entry = catalogue.dataset(name)
    if entry.by_hand:
        raise ConfigError(
            f"The data set {name!r} cannot be downloaded by this command.", entry.by_hand
        )
    if not entry.archives:
        others = [other.name for other in catalogue.DATASETS.values() if other.archives]
        raise ConfigError(
            f"The data set {name!r} has nothing to download.",
            f"These data sets have: {', '.join(others)}.",
        )
    archives = catalogue.load(entry.archives)
    if metadata_only:
        archives = [archive for archive in archives if METADATA_ARCHIVE in archive[0]]
    fetch_corpus(archives, data_dir, progress)
