"""TUT Acoustic Scenes 2017, development: the official layout and its four folds (Mesaros et al. 2017)."""

import re
from pathlib import Path

from crossask.datasets.clips import Clip, Corpus, Fold, audio_paths, how_to_get, read_table, require
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
COLUMNS = ("filename", "scene_label", "identifier")
_AT = "https://zenodo.org/record/400515/files/TUT-acoustic-scenes-2017-development"
# url, bytes, md5; free for non-commercial use with acknowledgement (Tampere University)
ARCHIVES = (
    (f"{_AT}.doc.zip", 54_796, "2065495aaf3f1103e795c9899e2af1df"),
    (f"{_AT}.meta.zip", 104_321, "9007fd4772d816590c5db5f5e9568f5d"),
    (f"{_AT}.error.zip", 1_432, "802c700b021769e52a2c1e3b9c117a1b"),
    (f"{_AT}.audio.1.zip", 1_071_445_248, "251325a9afaaad0326ad1c57f57d514a"),
    (f"{_AT}.audio.2.zip", 1_073_453_613, "c26861e05147dc319b4250eb103d9d99"),
    (f"{_AT}.audio.3.zip", 1_073_077_819, "a4815775f8a5e629179726ee4cd4f55a"),
    (f"{_AT}.audio.4.zip", 1_072_822_038, "1732b03afe8c53ef8bba80ba14766e57"),
    (f"{_AT}.audio.5.zip", 1_072_644_652, "611be754a0c951185c6ae4b7643c19a0"),
    (f"{_AT}.audio.6.zip", 1_072_667_888, "165a201db800d3ea76fce5a9c2bd97d7"),
    (f"{_AT}.audio.7.zip", 1_073_417_661, "c7d79db84264401c0f8680dcc36013ad"),
    (f"{_AT}.audio.8.zip", 1_072_381_222, "35043f25123439392338c790494c7a19"),
    (f"{_AT}.audio.9.zip", 1_072_087_738, "0805dcf5d8e6871dc9610182b2efb93a"),
    (f"{_AT}.audio.10.zip", 1_046_262_120, "5df83a191295a04e290b125c634e13e7"),
)


def read(data_dir, need_audio: bool = True, name: str = "tut2017") -> Corpus:
    """Reads `meta.txt` and every `evaluation_setup/fold*_{train,evaluate}.txt` (tab-separated, no header); audio as wav or flac.

    A location is the recording's id, the file name up to its first underscore. Clips with recording errors are kept, as
    in the corpus's own baseline; `Corpus.faulty` counts those that `error.txt` marks, where it is there. Folds may be missing;
    asking the corpus for one of them is an error.

    Args:
      need_audio: False: metadata alone is read, `Clip.path` may lead nowhere.
      name: of the data set in the table.

    Raises:
      DataError: files are missing, a label unknown, or a recording on both sides of a fold.
    """
    folder, advice = Path(data_dir), how_to_get(name, data_dir)
    require(folder, ("meta.txt",), "metadata files", advice)
    rows = read_table(folder / "meta.txt", COLUMNS, 2)
    folds = tuple(fold for number in FOLDS for fold in _fold(folder, number, advice))
    if not folds:
        raise DataError(
            f"{folder / 'evaluation_setup'} holds no fold files; the corpus has {len(FOLDS)} folds.",
            advice,
        )
    paths = audio_paths(folder, [row["filename"] for row in rows], advice if need_audio else None)
    clips = tuple(
        # the corpus's own pages write labels with spaces, its files with underscores
        Clip(
            row["filename"],
            path,
            row["scene_label"].replace(" ", "_"),
            Path(row["filename"]).name.split("_")[0],
        )
        for row, path in zip(rows, paths, strict=True)
    )
    return Corpus(
        name,
        SCENES,
        clips,
        folds,
        faulty=_faulty(folder / "error.txt", clips),
        official_folds=FOLDS,
    )


def _fold(folder: Path, number: str, advice: str) -> tuple[Fold, ...]:
    """One fold, or none where neither of its files is there; one file of two is an error."""
    files = [f"evaluation_setup/fold{number}_{side}.txt" for side in ("train", "evaluate")]
    if not any((folder / file).is_file() for file in files):
        return ()
    require(folder, files, f"files of fold {number}", advice)
    return (
        Fold(
            number,
            *(
                tuple(row["filename"] for row in read_table(folder / file, COLUMNS, 2))
                for file in files
            ),
        ),
    )


def _faulty(path: Path, clips: tuple[Clip, ...]) -> int:
    """How many clips have a line in a list of file, onset, offset. Lines that name no clip (a header) count for nothing."""
    if not path.is_file():
        return 0
    names = {Path(clip.id).name for clip in clips}
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    return len({Path(re.split(r"[\t,; ]", line.strip())[0]).name for line in lines} & names)
