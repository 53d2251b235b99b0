"""Unpacking a zip archive of a corpus safely: only below the folder, whole files, no bombs."""

import stat
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath, PureWindowsPath

from crossask import files
from crossask.errors import CrossaskError, DataError

BLOCK_BYTES = 1 << 20
# Recordings cannot be packed to a third of their size, and tables to a tenth. An archive of a few
# kilobytes can claim terabytes, which would fill the disk.
MOST_UNPACKED_SHARE = 20
# So much is always unpacked: a small archive may contain one long table.
ALWAYS_BYTES = 100_000_000

# Folders of the official layout. They stay in the paths even if all files of an archive are in one
# of them.
OFFICIAL_FOLDERS = ("audio", "evaluation_setup")
# Files and folders that macOS adds to archives.
LITTER = ("__MACOSX", ".DS_Store")
# Names of texts in archives, without their suffixes.
TEXTS = ("README", "LICENSE")
# NotImplementedError is an unknown compression method, RuntimeError an encrypted archive.
DAMAGE_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


def unpack(
    archive: Path,
    folder: Path,
    keep: Collection[str] = frozenset(),
    replaced: Collection[str] = frozenset(),
) -> dict[str, int]:
    """Writes the files of an archive below a folder.

    If all files are in one folder of the archive, that folder is left out of the paths, unless it
    is one of OFFICIAL_FOLDERS. Each file is written to a temporary name, checked against its CRC
    and moved. A file that exists with the same content is not written again. One that is cut off
    is; one with other content is that of another corpus.

    Args:
      archive: Path of the zip archive.
      folder: Folder to write to.
      keep: Names of files that are left as they are, because they belong to another archive.
      replaced: Names of files of an earlier version of the archive, which may have other content.

    Returns:
      {name below `folder`: bytes} of the archive's files without those of `keep`.

    Raises:
      DataError: The archive is damaged, or contains a link, a name twice, a name that leads out of
        `folder`, or far more than its size can be. This is checked before anything is written.
      CrossaskError: A folder to write to is a link, or a file of another corpus would be
        overwritten. The archive is as it should be.
      OSError: The disk cannot be written.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _members(opened, archive)
            members = {name: member for name, member in members.items() if name not in keep}
            _check_size(members.values(), archive)
            _check_links(folder, members)
            # A killed run may have left a temporary file.
            for parent in {(folder / name).parent for name in members}:
                files.remove_remains(parent)
            missing = {}
            for name, member in members.items():
                if not _has_content(folder / name, member):
                    missing[name] = member
            for name, member in missing.items():
                if name not in replaced:
                    _check_is_start(opened, member, folder / name)
            for name, member in missing.items():
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
    for path in member_at:
        for parent in path.parents:
            if parent in member_at:
                raise _unsafe(archive, f"{str(parent)!r} as a file and as a folder")
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
    has_drive = bool(PureWindowsPath(member.filename).drive)
    if path.is_absolute() or ".." in path.parts or has_drive:
        raise _unsafe(archive, f"{member.filename!r}, which leads out of the folder")
    return path


def _check_size(members: Collection[zipfile.ZipInfo], archive: Path) -> None:
    """Raises DataError if the archive claims to contain far more than its size can be.

    zipfile reads no more of a member than its claimed size.
    """
    claimed = sum(member.file_size for member in members)
    packed = archive.stat().st_size
    if claimed > max(ALWAYS_BYTES, MOST_UNPACKED_SHARE * packed):
        raise _unsafe(
            archive,
            f"{claimed / 1e9:,.1f} GB in a file of {packed / 1e6:,.1f} MB, which no recordings are",
        )


def _check_links(folder: Path, names: Collection[str]) -> None:
    """Raises CrossaskError if a file would be written through a link in the folder.

    The folder itself may be one: the user has named it.
    """
    parents = set()
    for name in names:
        parents.update(PurePosixPath(name).parents)
    for parent in sorted(parents):
        path = folder / parent
        if path != folder and path.is_symlink():
            raise CrossaskError(
                f"{path} is a link to {path.readlink()}, and archives are not unpacked into links.",
                "Replace the link by a folder, and run the same command again. To have the corpus "
                "on another disk, let --data_dir be a folder there, or a link to one.",
            )


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


def _check_is_start(opened: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    """Raises CrossaskError if a file exists that is no start of a member.

    Recordings of TAU 2019 and of TAU 2020 Mobile have the same names.
    """
    # A link is replaced, and its target stays. Texts for people are in every corpus.
    if not path.is_file() or path.is_symlink() or path.stem.upper() in TEXTS:
        return
    with open(path, "rb") as file, opened.open(member) as source:
        is_start = path.stat().st_size <= member.file_size
        while is_start and (block := file.read(BLOCK_BYTES)):
            is_start = source.read(len(block)) == block
    if not is_start:
        raise CrossaskError(
            f"{path.parent} contains another {path.name} than that of this corpus.",
            "Set --data_dir to another folder, which contains no other corpus; or, if the file is "
            "damaged, remove it.",
        )


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    with (
        files.writing(path) as temporary,
        opened.open(member) as source,
        # The temporary name may not be a link either.
        open(temporary, "xb") as file,
    ):
        # zipfile compares the CRC at the last read.
        while block := source.read(BLOCK_BYTES):
            file.write(block)


def _unsafe(archive: Path, content: str) -> DataError:
    return DataError(
        f"{archive} contains {content}.", "Download the archive from the corpus's own page."
    )
