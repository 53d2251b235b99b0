"""Unpacking a zip archive of a corpus safely: only below the folder, and only whole files."""

import stat
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from crossask import files
from crossask.errors import DataError

BLOCK_BYTES = 1 << 20

# Folders of the official layout. They stay in the paths even if all files of an archive are in one
# of them.
OFFICIAL_FOLDERS = ("audio", "evaluation_setup")
# Files and folders that macOS adds to archives.
LITTER = ("__MACOSX", ".DS_Store")
# NotImplementedError is an unknown compression method, RuntimeError an encrypted archive.
DAMAGE_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


def unpack(archive: Path, folder: Path, keep: Collection[str] = frozenset()) -> dict[str, int]:
    """Writes the files of an archive below a folder.

    If all files are in one folder of the archive, that folder is left out of the paths, unless it
    is one of OFFICIAL_FOLDERS. Each file is written to a temporary name, checked against its CRC
    and moved. A file that exists with the same content is not written again.

    Args:
      archive: Path of the zip archive.
      folder: Folder to write to.
      keep: Names of files that are left as they are, because they belong to another archive.

    Returns:
      {name below `folder`: bytes} of the archive's files without those of `keep`.

    Raises:
      DataError: The archive is damaged, or contains a link, a name twice, or a name that leads out
        of `folder`. Names are checked before anything is written.
      OSError: The disk cannot be written.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _members(opened, archive)
            members = {name: member for name, member in members.items() if name not in keep}
            # A killed run may have left a temporary file.
            for parent in {(folder / name).parent for name in members}:
                files.remove_remains(parent)
            for name, member in members.items():
                if not _has_content(folder / name, member):
                    _write(opened, member, folder / name)
    except DAMAGE_ERRORS as error:
        raise DataError(
            f"{archive} is damaged or of a kind that cannot be read ({error}).",
            "Download it again.",
        ) from error
    return {name: member.file_size for name, member in members.items()}


def _members(opened: zipfile.ZipFile, archive: Path) -> dict[str, zipfile.ZipInfo]:
    """Returns {name below the folder to write to: member} of the files of an archive."""
    member_at: dict[PurePosixPath, zipfile.ZipInfo] = {}
    for member in opened.infolist():
        path = _safe_path(member, archive)
        if member.is_dir() or not path.parts or _is_litter(path):
            continue
        if path in member_at:
            raise _unsafe(archive, f"{str(path)!r} twice")
        member_at[path] = member
    skipped = 1 if _have_common_folder(member_at) else 0
    return {"/".join(path.parts[skipped:]): member for path, member in member_at.items()}


def _safe_path(member: zipfile.ZipInfo, archive: Path) -> PurePosixPath:
    """Returns the path of a member; raises DataError for a link or a path out of the folder."""
    # The upper 16 bits are the Unix mode. They are 0 in archives of other systems.
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _unsafe(archive, f"{member.filename!r}, which is a link or a device")
    # Some Windows programs write backslashes, and a path may begin with a drive, "C:".
    path = PurePosixPath(member.filename.replace("\\", "/"))
    has_drive = bool(path.parts) and path.parts[0].endswith(":")
    if path.is_absolute() or ".." in path.parts or has_drive:
        raise _unsafe(archive, f"{member.filename!r}, which leads out of the folder")
    return path


def _is_litter(path: PurePosixPath) -> bool:
    return path.parts[0] in LITTER or path.name in LITTER


def _have_common_folder(paths: Collection[PurePosixPath]) -> bool:
    """Returns whether all files are in one folder that is not part of the official layout."""
    top_names = {path.parts[0] for path in paths}
    if len(top_names) != 1 or not top_names.isdisjoint(OFFICIAL_FOLDERS):
        return False
    return all(len(path.parts) > 1 for path in paths)


def _has_content(path: Path, member: zipfile.ZipInfo) -> bool:
    """Returns whether a file exists with the size and the CRC of a member."""
    if not path.is_file() or path.stat().st_size != member.file_size:
        return False
    crc = 0
    with open(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            crc = zlib.crc32(block, crc)
    return crc == member.CRC


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    with (
        files.writing(path) as temporary,
        opened.open(member) as source,
        open(temporary, "wb") as file,
    ):
        # zipfile compares the CRC at the last read.
        while block := source.read(BLOCK_BYTES):
            file.write(block)


def _unsafe(archive: Path, content: str) -> DataError:
    return DataError(
        f"{archive} contains {content}.", "Download the archive from the corpus's own page."
    )
