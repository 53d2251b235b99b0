"""TUT Acoustic Scenes 2017, development set, with its four official folds (Mesaros et al. 2017)."""

import re
from collections.abc import Iterable
from pathlib import Path

from crossask import text_tables
from crossask.datasets.clip_tables import ClipTable, side_of_fold
from crossask.datasets.clips import Clip, Corpus, Fold
from crossask.datasets.corpus_files import audio_paths, how_to_get, how_to_get_metadata, require
from crossask.errors import DataError

SCENES = (
    "beach",
    "bus",
    "cafe/restaurant",
    "car",
    "city_center",
    "forest_path",
    "grocery_store",
    "home",
    "library",
    "metro_station",
    "office",
    "park",
    "residential_area",
    "train",
    "tram",
)
FOLDS = ("1", "2", "3", "4")
# The files have no header.
COLUMNS = ("filename", "scene_label", "identifier")

_PREFIX = "https://zenodo.org/record/400515/files/TUT-acoustic-scenes-2017-development"
# (url, bytes, md5) of each archive; free for non-commercial use with acknowledgement of Tampere
# University.
ARCHIVES = (
    (f"{_PREFIX}.doc.zip", 54_796, "2065495aaf3f1103e795c9899e2af1df"),
    (f"{_PREFIX}.meta.zip", 104_321, "9007fd4772d816590c5db5f5e9568f5d"),
    (f"{_PREFIX}.error.zip", 1_432, "802c700b021769e52a2c1e3b9c117a1b"),
    (f"{_PREFIX}.audio.1.zip", 1_071_445_248, "251325a9afaaad0326ad1c57f57d514a"),
    (f"{_PREFIX}.audio.2.zip", 1_073_453_613, "c26861e05147dc319b4250eb103d9d99"),
    (f"{_PREFIX}.audio.3.zip", 1_073_077_819, "a4815775f8a5e629179726ee4cd4f55a"),
    (f"{_PREFIX}.audio.4.zip", 1_072_822_038, "1732b03afe8c53ef8bba80ba14766e57"),
    (f"{_PREFIX}.audio.5.zip", 1_072_644_652, "611be754a0c951185c6ae4b7643c19a0"),
    (f"{_PREFIX}.audio.6.zip", 1_072_667_888, "165a201db800d3ea76fce5a9c2bd97d7"),
    (f"{_PREFIX}.audio.7.zip", 1_073_417_661, "c7d79db84264401c0f8680dcc36013ad"),
    (f"{_PREFIX}.audio.8.zip", 1_072_381_222, "35043f25123439392338c790494c7a19"),
    (f"{_PREFIX}.audio.9.zip", 1_072_087_738, "0805dcf5d8e6871dc9610182b2efb93a"),
    (f"{_PREFIX}.audio.10.zip", 1_046_262_120, "5df83a191295a04e290b125c634e13e7"),
)


def read(data_dir: str | Path, need_audio: bool = True, name: str = "tut2017") -> Corpus:
    """Reads meta.txt and evaluation_setup/fold*_{train,evaluate}.txt; audio is wav or flac.

    A location is the id of the recording, which is the file name up to its first underscore. Clips
    with recording errors are kept, as in the corpus's own baseline; `Corpus.faulty` counts those
    that error.txt lists, if that file exists. Folds may be missing; `Corpus.fold` raises an error
    for a missing one.

    Args:
      data_dir: Folder of the corpus.
      need_audio: Whether the sound files must exist.
      name: Name of the data set.

    Raises:
      DataError: Files are missing, lines contradict each other, a scene is unknown, or a recording
        is on both sides of a fold.
    """
    folder = Path(data_dir)
    advice = how_to_get(name, data_dir)
    require(folder, ("meta.txt",), "metadata files", how_to_get_metadata(name, data_dir))
    metadata = ClipTable(_read(folder / "meta.txt"), ("scene_label",))
    folds = _read_folds(folder, metadata, advice)
    paths = audio_paths(folder, metadata.names, advice if need_audio else None)
    clips = []
    for line, path in zip(metadata, paths, strict=True):
        # The corpus's web pages write labels with spaces, its files with underscores.
        scene = line.row["scene_label"].replace(" ", "_")
        recording = Path(line.name).name.split("_")[0]
        if not recording:
            raise metadata.table.line_error(
                line.number,
                f"has the name {line.name!r}, which does not start with a recording",
                advice,
            )
        clips.append(Clip(line.name, path, scene, recording, origin=line.origin))
    return Corpus(
        name,
        SCENES,
        tuple(clips),
        folds,
        faulty=_count_faulty(folder / "error.txt", metadata.names),
        official_folds=FOLDS,
    )


def _read_folds(folder: Path, metadata: ClipTable, advice: str) -> tuple[Fold, ...]:
    """Returns the folds whose files exist; one file of the two of a fold is an error."""
    folds = []
    for number in FOLDS:
        train = f"evaluation_setup/fold{number}_train.txt"
        evaluation = f"evaluation_setup/fold{number}_evaluate.txt"
        if (folder / train).is_file() or (folder / evaluation).is_file():
            require(folder, (train, evaluation), f"files of fold {number}", advice)
            train_ids = side_of_fold(_read(folder / train), metadata)
            evaluation_ids = side_of_fold(_read(folder / evaluation), metadata)
            folds.append(Fold(number, train_ids, evaluation_ids))
    if not folds:
        raise DataError(
            f"{folder / 'evaluation_setup'} contains no fold files; the corpus has {len(FOLDS)} "
            "folds.",
            advice,
        )
    return tuple(folds)


def _read(path: Path) -> text_tables.Table:
    return text_tables.read_tab_separated(path, COLUMNS, least_cells=2)


def _count_faulty(path: Path, names: Iterable[str]) -> int:
    """Returns how many of the files `names` are in a list of (file, onset, offset) lines.

    Lines without such a file, such as a header, are ignored.
    """
    if not path.is_file():
        return 0
    listed = set()
    for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        first_cell = re.split(r"[\t,; ]", line.strip())[0]
        listed.add(Path(first_cell).name)
    return len(listed & {Path(name).name for name in names})
