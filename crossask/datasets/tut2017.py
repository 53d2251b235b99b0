"""TUT Acoustic Scenes 2017, development: the official layout and its four folds (Mesaros et al. 2017)."""

from pathlib import Path

from crossask.datasets.clips import Clip, Corpus, Fold, existing_audio, read_table
from crossask.errors import DataError

SCENES = (
    "beach", "bus", "cafe/restaurant", "car", "city_center", "forest_path", "grocery_store", "home",
    "library", "metro_station", "office", "park", "residential_area", "train", "tram",
)  # fmt: skip


def read(data_dir) -> Corpus:
    """Reads `meta.txt` and every `evaluation_setup/fold*_{train,evaluate}.txt` (tab-separated, no header).

    A location is the recording's id, the file name up to its first underscore. Clips with recording errors are kept, as
    in the corpus's own baseline.

    Raises:
      DataError: a file is missing, a label unknown, or a recording on both sides of a fold.
    """
    folder = Path(data_dir)
    columns = ("filename", "scene_label", "identifier")
    rows = read_table(folder / "meta.txt", columns, 2)
    clips = []
    for row in rows:
        location = Path(row["filename"]).name.split("_")[0]
        clips.append(Clip(row["filename"], existing_audio(folder, row["filename"]), row["scene_label"].replace(" ", "_"), location))
    folds = []
    for number in (1, 2, 3, 4):
        train = folder / "evaluation_setup" / f"fold{number}_train.txt"
        if train.is_file():
            evaluation = train.with_name(f"fold{number}_evaluate.txt")
            folds.append(Fold(str(number), *(tuple(r["filename"] for r in read_table(p, columns, 2)) for p in (train, evaluation))))
    if not folds:
        raise DataError(f"{folder / 'evaluation_setup'} holds no fold files.", "Unpack the corpus's meta archive there.")
    return Corpus("tut2017", SCENES, tuple(clips), tuple(folds))
