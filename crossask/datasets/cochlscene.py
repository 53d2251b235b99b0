"""CochlScene, with its official training, validation and test sets (Jeong and Park 2022)."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from crossask.audio import reading
from crossask.datasets.clips import Clip, Corpus, Fold
from crossask.datasets.corpus_files import how_to_get
from crossask.errors import DataError

SCENES = (
    "Bus",
    "Cafe",
    "Car",
    "CrowdedIndoor",
    "Elevator",
    "Kitchen",
    "Park",
    "ResidentialArea",
    "Restaurant",
    "Restroom",
    "Street",
    "Subway",
    "SubwayStation",
)
SETS = ("Train", "Val", "Test")
# Scene, participant, recording, and number of the clip in it: Park_user0807_14976869_001.
NAME = re.compile(r"[A-Za-z]+_(?P<participant>user\d+)_(?P<recording>\d+)_\d+")


@dataclasses.dataclass(frozen=True)
class _File:
    """A sound file, and what its name says."""

    path: Path
    clip_set: str
    participant: str
    recording: str

    @property
    def id(self) -> str:
        """The path below the folder of the corpus: set, scene and name of the file."""
        return "/".join(self.path.parts[-3:])


def read(data_dir: str | Path, need_audio: bool = True, name: str = "cochlscene") -> Corpus:
    """Reads {Train,Val,Test}/<scene>/<scene>_<participant>_<recording>_<number>.wav.

    Other suffixes of sound files are read, too.

    The fold trains on Train and Val, of which Val is the validation part, and evaluates Test. The
    corpus does not name its places. A location is a participant if none of them is in two sets;
    else it is a recording.

    Args:
      data_dir: Folder that contains the three sets, or a folder CochlScene that contains them.
      need_audio: Has no effect: the names of the sound files are the metadata.
      name: Name of the data set.

    Raises:
      DataError: A set is missing or empty, a file has another name, or a scene is unknown.
    """
    folder = Path(data_dir)
    if (folder / "CochlScene").is_dir():
        folder = folder / "CochlScene"
    files = []
    for clip_set in SETS:
        found = _files(folder, clip_set)
        if not found:
            raise DataError(
                f"There are no sound files in {folder / clip_set}/<scene>; CochlScene has the sets "
                f"{', '.join(SETS)}.",
                how_to_get(name, data_dir),
            )
        files += found
    is_in_several_sets = _is_any_participant_in_several_sets(files)
    clips = []
    for file in files:
        location = file.participant
        if is_in_several_sets:
            location = f"{file.participant}_{file.recording}"
        clips.append(Clip(file.id, str(file.path), file.path.parent.name, location))
    fold = Fold(
        "1",
        train=tuple(file.id for file in files if file.clip_set != "Test"),
        evaluation=tuple(file.id for file in files if file.clip_set == "Test"),
        validation=tuple(file.id for file in files if file.clip_set == "Val"),
    )
    return Corpus(name, SCENES, tuple(clips), (fold,))


def _is_any_participant_in_several_sets(files: Sequence[_File]) -> bool:
    set_of: dict[str, str] = {}
    for file in files:
        first_set = set_of.setdefault(file.participant, file.clip_set)
        if file.clip_set != first_set:
            return True
    return False


def _files(folder: Path, clip_set: str) -> list[_File]:
    """Returns the sound files of a set, sorted by path; raises DataError for an unknown name."""
    files = []
    for path in sorted((folder / clip_set).glob("*/*")):
        if not reading.is_sound_file(path) or path.name.startswith("."):
            continue
        parts = NAME.fullmatch(path.stem)
        if parts is None:
            raise DataError(
                f"{path} is not named like a clip of CochlScene, such as "
                "Park_user0807_14976869_001.wav.",
                "Remove or rename it; own recordings are the data set 'folder'.",
            )
        files.append(_File(path, clip_set, parts["participant"], parts["recording"]))
    return files
