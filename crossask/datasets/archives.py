"""Downloading a published corpus: each archive is fetched, verified, unpacked and removed in turn.

A killed run continues where it stopped. Its state is in these files:

<data_dir>/.archives/
  .<archive>.part   the bytes that have arrived so far
  <archive>         verified, but not yet unpacked completely
  <archive>.json    unpacked: the archive's md5, and its files with their sizes
"""

import dataclasses
import logging
import os
import re
import shutil
import time
import urllib.parse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from crossask import downloading, files, stored
from crossask.datasets import unpacking
from crossask.errors import DataError, DownloadError

LOG = logging.getLogger("crossask")
STATE_FOLDER = ".archives"
MIRROR_VARIABLE = "CROSSASK_CORPUS_MIRROR"
PAUSES_SECONDS = (2.0, 10.0, 30.0, 60.0)

# Size of the unpacked files relative to their archives. Recordings of 24 bits: 41.5 GB of 35.6
# (TAU 2019), 12.4 GB of 10.7 (TUT 2017).
UNPACKED_SHARE = 1.2
GIGABYTE = 1e9


def fetch_corpus(
    archives: Iterable[tuple[str, int, str]],
    data_dir: str | Path,
    progress: downloading.Progress | None = None,
    base_url: str | None = None,
    pauses_seconds: Sequence[float] = PAUSES_SECONDS,
    pause: Callable[[float], object] = time.sleep,
) -> None:
    """Downloads and unpacks the archives of a corpus: data_dir/meta.csv, data_dir/audio/...

    Archives that are unpacked already are not requested again, so a second call does nothing, and a
    killed call continues, also within an archive. Each archive is removed before the next one is
    downloaded, so the disk never contains the whole corpus twice.

    Args:
      archives: (url, bytes, md5) of each archive, as `ARCHIVES` of a data set's module.
      data_dir: Folder to write to.
      progress: Called with the bytes so far and the bytes in all, over all archives.
      base_url: Address of a mirror, to which the archives' names are appended, or of a record on
        Zenodo. None is the environment variable CROSSASK_CORPUS_MIRROR, or else the archives' own
        addresses.
      pauses_seconds: Pauses before further tries, see `downloading.download`.
      pause: Function that waits for the given seconds.

    Raises:
      DownloadError: An archive cannot be fetched or is not the published one; in the latter case it
        is removed.
      DataError: The disk is too small or cannot be written, or an archive cannot be unpacked
        safely.
      CrossaskError: The folder contains files of another corpus that would be overwritten.
    """
    folder = Path(data_dir)
    base_url = base_url or os.environ.get(MIRROR_VARIABLE)
    wanted = [_Archive(url, size, md5, folder) for url, size, md5 in archives]
    total = _total_size(wanted)
    try:
        (folder / STATE_FOLDER).mkdir(parents=True, exist_ok=True)
        missing = _missing(wanted)
        _log_sizes(folder, wanted, missing)
        _check_free_space(folder, missing)
        done = total - _total_size(missing)
        for archive in missing:
            shown = _shifted(progress, done, total)
            _download(archive, base_url, shown, pauses_seconds, pause)
            _unpack(archive, _files_of_others(archive, wanted))
            done += archive.size
    except OSError as error:
        raise DataError(
            f"{folder} cannot be written ({error}).",
            "Free some space or correct --data_dir, and run the same command again: it continues.",
        ) from error


@dataclasses.dataclass(frozen=True)
class _Archive:
    """A published archive and its state in the folder of the corpus.

    Attributes:
      url: Published address.
      size: Size in bytes.
      md5: Published checksum.
      folder: Folder of the corpus.
    """

    url: str
    size: int
    md5: str
    folder: Path

    @property
    def name(self) -> str:
        """File name of the archive."""
        return urllib.parse.unquote(urllib.parse.urlsplit(self.url).path.rpartition("/")[2])

    @property
    def part(self) -> Path:
        """Path of the bytes that have arrived so far."""
        return self.folder / STATE_FOLDER / f".{self.name}.part"

    @property
    def verified(self) -> Path:
        """Path of the whole archive; it is moved there after its checksum was compared."""
        return self.folder / STATE_FOLDER / self.name

    @property
    def record(self) -> Path:
        """Path of the JSON file that says that the archive is unpacked."""
        return self.folder / STATE_FOLDER / f"{self.name}.json"

    @property
    def bytes_on_disk(self) -> int:
        """Bytes of the archive that are on the disk."""
        sizes = [path.stat().st_size for path in (self.part, self.verified) if path.is_file()]
        return sum(sizes)

    @property
    def is_unpacked(self) -> bool:
        """Whether the archive was unpacked and all of its files still exist."""
        members = self.members()
        if members is None:
            return False
        return all(_exists(self.folder / name, size) for name, size in members.items())

    def recorded(self) -> set[str]:
        """Returns the files that were unpacked, also those of another version of the archive."""
        members = stored.read_record(self.record).get("members")
        return set(members) if isinstance(members, dict) else set()

    def members(self) -> dict[str, int] | None:
        """Returns {file: bytes} of the unpacked archive.

        It is None if the archive is not unpacked, or another version of it was.
        """
        record = stored.read_record(self.record)
        members = record.get("members")
        if record.get("md5") != self.md5 or not isinstance(members, dict):
            return None
        return members


def _missing(archives: Sequence[_Archive]) -> list[_Archive]:
    """Returns the archives that are not unpacked; removes what killed runs left of the others."""
    missing = []
    for archive in archives:
        if archive.is_unpacked:
            archive.verified.unlink(missing_ok=True)
            archive.part.unlink(missing_ok=True)
        else:
            missing.append(archive)
    if archives:
        files.remove_remains(archives[0].record.parent)
    return missing


def _total_size(archives: Iterable[_Archive]) -> int:
    return sum(archive.size for archive in archives)


def _bytes_on_disk(archives: Iterable[_Archive]) -> int:
    return sum(archive.bytes_on_disk for archive in archives)


def _log_sizes(folder: Path, archives: Sequence[_Archive], missing: Sequence[_Archive]) -> None:
    remaining = _total_size(missing) - _bytes_on_disk(missing)
    LOG.info(
        "%d archives, %.1f GB; still to download into %s: %d archives, %.1f GB.",
        len(archives),
        _total_size(archives) / GIGABYTE,
        folder,
        len(missing),
        remaining / GIGABYTE,
    )


def _check_free_space(folder: Path, missing: Sequence[_Archive]) -> None:
    """Raises DataError unless the disk has room for the missing archives.

    At the worst moment, all of them are unpacked and the largest archive still exists beside its
    files.
    """
    if not missing:
        return
    unpacked = UNPACKED_SHARE * _total_size(missing)
    largest = max(archive.size for archive in missing)
    needed = unpacked + largest - _bytes_on_disk(missing)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{folder} has {free / GIGABYTE:.1f} GB free; {needed / GIGABYTE:.1f} GB are needed "
            f"({unpacked / GIGABYTE:.1f} GB for the files, and {largest / GIGABYTE:.1f} GB for the "
            "largest archive while it is unpacked).",
            "Free some space, or give a --data_dir on a larger disk.",
        )


def _shifted(
    progress: downloading.Progress | None, done: int, total: int
) -> downloading.Progress | None:
    """Returns the progress function of one archive: `done` bytes of earlier archives are added."""
    if progress is None:
        return None

    def shifted(arrived: int, _: int) -> None:
        progress(done + arrived, total)

    return shifted


def _download(
    archive: _Archive,
    base_url: str | None,
    progress: downloading.Progress | None,
    pauses_seconds: Sequence[float],
    pause: Callable[[float], object],
) -> None:
    """Downloads and verifies an archive, unless it is there already."""
    if not archive.verified.is_file():
        url = archive.url
        if base_url:
            url = f"{_folder_of_files(base_url)}/{urllib.parse.quote(archive.name)}"
        downloading.download(url, archive.part, progress, archive.size, pauses_seconds, pause)
        _verify(archive, url)
        os.replace(archive.part, archive.verified)
    if progress:
        progress(archive.size, archive.size)


def _folder_of_files(base_url: str) -> str:
    """Returns the address to which a mirror's file names are appended, also for a Zenodo record."""
    base_url = base_url.rstrip("/")
    if re.search(r"/records?/\d+$", base_url):
        return f"{base_url}/files"
    return base_url


def _verify(archive: _Archive, url: str) -> None:
    """Raises DownloadError, and removes the file, if it has another checksum."""
    found = downloading.checksum(archive.part, "md5")
    if found != archive.md5:
        archive.part.unlink()
        raise DownloadError(
            f"The file from {url} has the md5 {found}, not {archive.md5}; it was removed.",
            "Run the same command again; if the error stays, the server or a proxy changes files.",
        )


def _files_of_others(archive: _Archive, archives: Iterable[_Archive]) -> set[str]:
    """Returns the files that were unpacked from the other archives."""
    names = set()
    for other in archives:
        if other != archive:
            names.update(other.members() or ())
    return names


def _unpack(archive: _Archive, keep: set[str]) -> None:
    """Unpacks an archive, then writes the record, then removes the archive.

    In this order, a killed run loses nothing.
    """
    try:
        members = unpacking.unpack(archive.verified, archive.folder, keep, archive.recorded())
    except DataError:
        archive.verified.unlink()
        raise
    stored.write_json(archive.record, {"md5": archive.md5, "members": members})
    archive.verified.unlink()


def _exists(path: Path, size: int) -> bool:
    """Returns whether a file of this size exists, or the same recording as FLAC."""
    if path.is_file():
        return path.stat().st_size == size
    return path.suffix == ".wav" and path.with_suffix(".flac").is_file()
