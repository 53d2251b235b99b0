"""The archives of a published corpus: fetched one at a time, verified, unpacked, removed; a killed run goes on.

<data_dir>/.archives/
  <archive>.json    the archive is unpacked: its md5, and the files it gave with their sizes
  <archive>         verified, not yet unpacked to the end
  .<archive>.part   what has arrived so far
"""

import dataclasses
import json
import logging
import os
import shutil
import time
import urllib.parse
from pathlib import Path

from crossask import downloading, files
from crossask.datasets import unpacking
from crossask.errors import DataError, DownloadError

LOG = logging.getLogger("crossask")
FOLDER = ".archives"
MIRROR_VARIABLE = "CROSSASK_CORPUS_MIRROR"
PAUSES_SECONDS = (2.0, 10.0, 30.0, 60.0)
# 24-bit recordings: 41.5 GB of 35.6 (TAU 2019), 12.4 of 10.7 (TUT 2017)
UNPACKED_SHARE = 1.2
GIGABYTE = 1e9


@dataclasses.dataclass(frozen=True)
class _Archive:
    url: str
    bytes: int
    md5: str
    folder: Path

    @property
    def name(self) -> str:
        return urllib.parse.unquote(urllib.parse.urlsplit(self.url).path.rpartition("/")[2])

    @property
    def part(self) -> Path:
        return self.folder / FOLDER / f".{self.name}.part"

    @property
    def whole(self) -> Path:
        return self.folder / FOLDER / self.name

    @property
    def record(self) -> Path:
        return self.folder / FOLDER / f"{self.name}.json"

    def members(self) -> dict[str, int] | None:
        """{file: bytes} that it gave; None where it is not unpacked, or was another archive."""
        try:
            record = json.loads(self.record.read_text())
            return record["members"] if record["md5"] == self.md5 else None
        except (OSError, ValueError, KeyError):
            return None

    @property
    def is_done(self) -> bool:
        members = self.members()
        return members is not None and all(
            _is_there(self.folder / name, size) for name, size in members.items()
        )


def fetch_corpus(
    archives,
    data_dir,
    progress=None,
    base_url: str | None = None,
    pauses_seconds=PAUSES_SECONDS,
    pause=time.sleep,
):
    """Fetches a corpus's archives into `data_dir`: data_dir/meta.csv, data_dir/audio/... result.

    What is there already is not asked for again: after a whole run this does nothing, after a killed one it goes on, within an
    archive too. An archive is removed before the next one comes, so there is never room needed for the corpus twice.

    Args:
      archives: rows of (url, bytes, md5), as `ARCHIVES` of a data set's module.
      progress: called with (bytes done, bytes in all), over all archives.
      base_url: a mirror: the archives' names are appended to it. Default: the environment's CROSSASK_CORPUS_MIRROR, else the
        addresses as they stand.
      pauses_seconds, pause: waits after a broken connection, see `downloading.download`.

    Raises:
      DownloadError: an archive cannot be fetched, or is not the published one; a wrong one is removed.
      DataError: the disk is too small or refuses, or an archive cannot be unpacked safely.
    """
    folder = Path(data_dir)
    base_url = base_url or os.environ.get(MIRROR_VARIABLE)
    archives = [_Archive(url, size, md5, folder) for url, size, md5 in archives]
    try:
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
        missing = _missing(archives)
        total, to_come = (
            sum(archive.bytes for archive in archives),
            sum(archive.bytes for archive in missing),
        )
        LOG.info(
            "%d archives, %.1f GB; still to come into %s: %d archives, %.1f GB.",
            len(archives),
            total / GIGABYTE,
            folder,
            len(missing),
            (to_come - _arrived(missing)) / GIGABYTE,
        )
        _check_room(folder, missing)
        done = total - to_come
        for archive in missing:
            _fetch(archive, base_url, _from(done, total, progress), pauses_seconds, pause)
            _unpack(
                archive,
                frozenset().union(
                    *(other.members() or () for other in archives if other != archive)
                ),
            )
            done += archive.bytes
    except OSError as error:
        raise DataError(
            f"{folder} cannot be written ({error}).",
            "Make room or mend --data_dir; the same command goes on.",
        ) from error


def _missing(archives) -> list[_Archive]:
    """Those not unpacked yet; of the others, what a killed run left is removed."""
    missing = [archive for archive in archives if not archive.is_done]
    for archive in archives:
        if archive not in missing:
            archive.whole.unlink(missing_ok=True)
            archive.part.unlink(missing_ok=True)
    if archives:
        files.remove_remains(archives[0].record.parent)
    return missing


def _arrived(archives) -> int:
    """Bytes of these archives that are on the disk."""
    return sum(
        path.stat().st_size
        for archive in archives
        for path in (archive.part, archive.whole)
        if path.is_file()
    )


def _check_room(folder: Path, missing):
    """At the worst moment everything is unpacked and the largest archive still lies beside it."""
    if not missing:
        return
    unpacked, largest = (
        UNPACKED_SHARE * sum(a.bytes for a in missing),
        max(a.bytes for a in missing),
    )
    needed, free = unpacked + largest - _arrived(missing), shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{folder} has {free / GIGABYTE:.1f} GB free; {needed / GIGABYTE:.1f} GB are needed ({unpacked / GIGABYTE:.1f} GB of files to"
            f" come, and {largest / GIGABYTE:.1f} GB for the largest archive while it is unpacked).",
            "Make room, or give a --data_dir on a larger disk.",
        )


def _from(done: int, total: int, progress):
    return (lambda have, _: progress(done + have, total)) if progress else None


def _fetch(archive: _Archive, base_url: str | None, progress, pauses_seconds, pause):
    """The whole, verified archive. Its name says that it is: it was moved there after the check."""
    if not archive.whole.is_file():
        url = (
            f"{base_url.rstrip('/')}/{urllib.parse.quote(archive.name)}"
            if base_url
            else archive.url
        )
        downloading.download(url, archive.part, progress, archive.bytes, pauses_seconds, pause)
        found = downloading.checksum(archive.part, "md5")
        if found != archive.md5:
            archive.part.unlink()
            raise DownloadError(
                f"What {url} gave has the md5 {found}, not {archive.md5}.",
                "It was removed. Run the same command again; if it happens again, something between here and there changes files.",
            )
        os.replace(archive.part, archive.whole)
    if progress:
        progress(archive.bytes, archive.bytes)


def _unpack(archive: _Archive, keep: frozenset):
    """Unpacks, then writes the record, then removes the archive: in this order a killed run loses nothing."""
    try:
        members = unpacking.unpack(archive.whole, archive.folder, keep)
    except DataError:
        archive.whole.unlink()
        raise
    files.write_json(archive.record, {"md5": archive.md5, "members": members})
    archive.whole.unlink()


def _is_there(path: Path, size: int) -> bool:
    """Also where the corpus was re-packed as FLAC."""
    if path.is_file():
        return path.stat().st_size == size
    return path.suffix == ".wav" and path.with_suffix(".flac").is_file()
