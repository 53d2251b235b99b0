"""The formats of sound files by the suffixes of their names, and the sound files in a folder."""

import dataclasses
import os
from pathlib import Path

from crossask.audio.folder_walk import FolderWalk
from crossask.errors import shortened_list

# Suffix in lower case -> name of the format, for messages.
LIBSNDFILE_FORMATS = {
    ".wav": "WAV",
    ".wave": "WAV",
    ".bwf": "Broadcast WAV",
    ".w64": "Wave64",
    ".rf64": "RF64",
    ".flac": "FLAC",
    ".ogg": "Ogg",
    ".oga": "Ogg",
    ".opus": "Opus",
    ".mp3": "MP3",
    ".mp2": "MPEG layer 2",
    ".aif": "AIFF",
    ".aiff": "AIFF",
    ".aifc": "AIFF-C",
    ".au": "AU",
    ".snd": "AU",
    ".caf": "Core Audio",
    ".voc": "VOC",
    ".sph": "NIST Sphere",
}
PYAV_FORMATS = {
    ".m4a": "MPEG-4 audio",
    ".m4b": "MPEG-4 audio",
    ".aac": "AAC",
    ".mp4": "MPEG-4",
    ".m4v": "MPEG-4",
    ".mov": "QuickTime",
    ".3gp": "3GPP",
    ".3g2": "3GPP2",
    ".amr": "AMR",
    ".awb": "AMR wideband",
    ".webm": "WebM",
    ".weba": "WebM",
    ".mkv": "Matroska",
    ".mka": "Matroska",
    ".wma": "Windows Media",
    ".wmv": "Windows Media",
    ".asf": "Windows Media",
    ".avi": "AVI",
    ".flv": "Flash video",
    ".mpg": "MPEG",
    ".mpeg": "MPEG",
    ".mts": "AVCHD",
    ".m2ts": "AVCHD",
    ".ac3": "AC-3",
    ".eac3": "E-AC-3",
    ".dts": "DTS",
    ".ape": "Monkey's Audio",
    ".wv": "WavPack",
    ".tta": "TTA",
    ".mpc": "Musepack",
    ".spx": "Speex",
}
FORMATS = LIBSNDFILE_FORMATS | PYAV_FORMATS
# Suffixes of the names of sound files, in lower case.
SUFFIXES = tuple(FORMATS)


@dataclasses.dataclass(frozen=True)
class FolderContent:
    """The sound files below a folder, and what else is there.

    Attributes:
      files: The sound files, sorted.
      unknown: Files whose suffix is none of SUFFIXES.
      hidden: Files and folders whose names start with a dot; such folders are not searched.
      empty: Sound files without a single byte.
      unreadable: Sound files and folders that this user may not read.
      unnameable: Sound files whose names are not in UTF-8: no table can contain them.
      special: Pipes, devices, and links without a target.
      linked: Links to folders that are searched already, such as those that form a circle.
    """

    files: tuple[Path, ...] = ()
    unknown: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    empty: tuple[Path, ...] = ()
    unreadable: tuple[Path, ...] = ()
    unnameable: tuple[Path, ...] = ()
    special: tuple[Path, ...] = ()
    linked: tuple[Path, ...] = ()

    @property
    def left_out(self) -> str:
        """How many files are left out for each reason, in words; "" if there are none."""
        reasons = []
        if self.unknown:
            suffixes = sorted({path.suffix.lower() or "none" for path in self.unknown})
            reasons.append(f"{len(self.unknown)} with another suffix ({shortened_list(suffixes)})")
        if self.hidden:
            reasons.append(f"{len(self.hidden)} hidden")
        if self.empty:
            reasons.append(f"{len(self.empty)} empty (0 bytes)")
        if self.unreadable:
            reasons.append(f"{len(self.unreadable)} without permission to read")
        if self.unnameable:
            # The bytes that are no text are shown as numbers.
            first = os.fsencode(self.unnameable[0].name).decode("utf-8", "backslashreplace")
            reasons.append(f"{len(self.unnameable)} with a name that is not in UTF-8 ({first})")
        if self.special:
            reasons.append(f"{len(self.special)} pipes or links without a target")
        if self.linked:
            reasons.append(f"{len(self.linked)} links to folders that are searched already")
        return ", ".join(reasons)

    def nothing_found(self, folder: str | Path) -> tuple[str, str]:
        """Returns the problem and the fix of an error for a folder without sound files."""
        left_out = f" Left out: {self.left_out}." if self.left_out else ""
        return (
            f"The folder {folder} contains no sound files.{left_out}",
            f"Names of sound files end in {' '.join(SUFFIXES)}.",
        )

    def __add__(self, other: "FolderContent") -> "FolderContent":
        """Returns the content of two folders."""
        joined = {}
        for field in dataclasses.fields(self):
            joined[field.name] = getattr(self, field.name) + getattr(other, field.name)
        return FolderContent(**joined)


def is_sound_file(path: Path) -> bool:
    """Returns whether a file has a suffix of sound files, in upper or lower case."""
    return path.suffix.lower() in SUFFIXES


def is_text(path: str | os.PathLike[str]) -> bool:
    """Returns whether a path is text; other names contain bytes that no table can contain."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def folder_content(folder: str | Path) -> FolderContent:
    """Returns the sound files in a folder and its subfolders, and what is left out.

    Links to folders are followed, and each folder is searched once; see `FolderWalk`.
    """
    found: dict[str, list[Path]] = {field.name: [] for field in dataclasses.fields(FolderContent)}
    walk = FolderWalk(folder)
    for parent, names in walk:
        for name in names:
            path = Path(parent, name)
            kind = _kind(path)
            if kind:
                found[kind].append(path)
    found["hidden"] += walk.hidden
    found["unreadable"] += walk.unreadable
    found["linked"] += walk.repeated
    return FolderContent(**{kind: tuple(sorted(paths)) for kind, paths in found.items()})


def _kind(path: Path) -> str:
    """Returns the field of FolderContent to which a file belongs; "" if it exists no more."""
    if path.name.startswith("."):
        return "hidden"
    try:
        if not path.is_file():
            return "special" if os.path.lexists(path) else ""
        size = path.stat().st_size
    except PermissionError:
        # The folder may be listed, but not entered.
        return "unreadable"
    except FileNotFoundError:
        return ""
    if not is_sound_file(path):
        return "unknown"
    if not os.access(path, os.R_OK):
        return "unreadable"
    if size == 0:
        return "empty"
    if not is_text(path):
        return "unnameable"
    return "files"
