"""A zip archive of a corpus into a folder: nothing outside it, nothing half written, and again where it was interrupted."""

import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from crossask import files
from crossask.errors import DataError

BLOCK_BYTES = 1 << 20
LAYOUT = (
    "audio",
    "evaluation_setup",
)  # folders of the official layouts: kept also where an archive holds nothing else
LITTER = ("__MACOSX", ".DS_Store")
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
)  # the last two: unknown method, encrypted


def unpack(archive: Path, folder: Path, keep=frozenset()) -> dict[str, int]:
    """Writes the members of `archive` below `folder`, without the one folder that holds them all.

    Each is written to a temporary name, checked against its CRC and moved. One that lies there already with the same content
    is not written again.

    Args:
      keep: names that are left as they are, because they belong to another archive.

    Returns:
      {name below `folder`: bytes} of the members, without those of `keep`.

    Raises:
      DataError: the archive is damaged, holds a link, a name twice or one that leads out of `folder`. The names are checked
        before anything is written.
      OSError: the disk refuses.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = {
                name: info for name, info in _members(opened, archive).items() if name not in keep
            }
            for parent in {(folder / name).parent for name in members}:
                files.remove_remains(parent)
            for name, info in members.items():
                if not _is_same(folder / name, info):
                    _write(opened, info, folder / name)
    except BROKEN as error:
        raise DataError(
            f"{archive} is damaged or of a kind that cannot be read ({error}).", "Fetch it again."
        ) from error
    return {name: info.file_size for name, info in members.items()}


def _members(opened: zipfile.ZipFile, archive: Path) -> dict[str, zipfile.ZipInfo]:
    """{safe name without the common top folder: member}, files alone."""
    paths = {}
    for info in opened.infolist():
        path = _safe_path(info, archive)
        if info.is_dir() or not path.parts or path.parts[0] in LITTER or path.name in LITTER:
            continue
        if path in paths:
            raise DataError(
                f"{archive} holds {str(path)!r} twice.",
                "Take the archive from the corpus's own page.",
            )
        paths[path] = info
    tops = {path.parts[0] for path in paths}
    strip = len(tops) == 1 and not tops & set(LAYOUT) and all(len(path.parts) > 1 for path in paths)
    return {"/".join(path.parts[1:] if strip else path.parts): info for path, info in paths.items()}


def _safe_path(info: zipfile.ZipInfo, archive: Path) -> PurePosixPath:
    path = PurePosixPath(info.filename.replace("\\", "/"))
    kind = stat.S_IFMT(info.external_attr >> 16)
    # 0: written on a system without kinds of files
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DataError(
            f"{archive} holds {info.filename!r}, which is a link or a device.",
            "Take the archive from the corpus's own page.",
        )
    if path.is_absolute() or ".." in path.parts or (path.parts and path.parts[0].endswith(":")):
        raise DataError(
            f"{archive} holds {info.filename!r}, which leads out of the folder.",
            "Take the archive from the corpus's own page.",
        )
    return path


def _is_same(path: Path, info: zipfile.ZipInfo) -> bool:
    if not path.is_file() or path.stat().st_size != info.file_size:
        return False
    crc = 0
    with open(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            crc = zlib.crc32(block, crc)
    return crc == info.CRC


def _write(opened: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path):
    with (
        files.writing(path) as temporary,
        opened.open(info) as source,
        open(temporary, "wb") as file,
    ):
        # the last read compares the CRC
        while block := source.read(BLOCK_BYTES):
            file.write(block)
