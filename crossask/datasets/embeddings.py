"""Embeddings that were computed elsewhere, all clips in one .npz: a corpus without sound, for rows that read embeddings alone."""

import zipfile
from pathlib import Path

import numpy as np

from crossask.datasets.clips import Clip, Corpus, Fold
from crossask.errors import DataError

LAYOUT = (
    "Give an .npz with class_names [scenes] and, for the parts train, val and each to evaluate, PART_x [clips, patches, width] and "
    "PART_y [clips], indices of class_names; PART_location [clips] where the places are known."
)


def read(data_dir, need_audio: bool = True, name: str = "embeddings") -> Corpus:
    """Reads the labels of an .npz.

    Its arrays: `class_names` [scenes]; `train_x`, `val_x` and one or more others `<part>_x`, float [clips, patches, width]; with
    each, `<part>_y`, integer [clips], indices of `class_names`, and optionally `<part>_location`, text [clips]. Every part but
    these two is a fold of its name: evaluated after training on `train` and choosing by `val`. Without locations nobody can tell
    whether places stand on both sides, and intervals are over clips.

    Args:
      need_audio: ignored; labels and embeddings are one file.
      name: of the data set in the table.

    Raises:
      DataError: no such file, an array that is missing or does not fit, a location that is trained on and evaluated.
    """
    path = Path(data_dir)
    arrays = _load(path)
    if arrays.get("class_names", np.zeros(())).ndim != 1:
        raise DataError(f"{path} has no array class_names [scenes].", LAYOUT)
    scenes = tuple(str(scene) for scene in arrays["class_names"])
    clips = {part: _clips(path, part, arrays, scenes) for part in _parts(arrays)}
    ids = {part: tuple(clip.id for clip in of_part) for part, of_part in clips.items()}
    for needed in ("train", "val"):
        if needed not in ids:
            raise DataError(
                f"{path} has no part {needed!r}; its parts: {', '.join(ids) or 'none'}.", LAYOUT
            )
    folds = tuple(
        Fold(part, ids["train"] + ids["val"], ids[part], ids["val"])
        for part in ids
        if part not in ("train", "val")
    )
    if not folds:
        raise DataError(f"{path} has no part to evaluate.", LAYOUT)
    return Corpus(
        name,
        scenes,
        tuple(clip for of_part in clips.values() for clip in of_part),
        folds,
        ready_made=True,
    )


def read_arrays(path) -> dict[str, np.ndarray]:
    """Clip id -> embedding, float32 [patches, width], of the .npz at `path`."""
    arrays = _load(Path(path))
    return {
        _id(part, number): value
        for part in _parts(arrays)
        for number, value in enumerate(arrays[f"{part}_x"].astype(np.float32))
    }


def _load(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise DataError(f"There is no file {str(path)!r}.", f"Point --data_dir at it. {LAYOUT}")
    try:
        with zipfile.ZipFile(path):  # np.load takes an .npy and pickles as well
            pass
        with np.load(path) as file:
            return {name: file[name] for name in file.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is not a readable .npz ({error}).", LAYOUT) from error


def _parts(arrays) -> list[str]:
    return [name.removesuffix("_x") for name in arrays if name.endswith("_x")]


def _id(part: str, number: int) -> str:
    return f"{part}/{number:06d}"


def _clips(path: Path, part: str, arrays, scenes) -> list[Clip]:
    x, y = arrays[f"{part}_x"], arrays.get(f"{part}_y")
    if (
        y is None
        or x.ndim != 3
        or y.shape != (len(x),)
        or x.shape[1:] != arrays.get("train_x", x).shape[1:]
    ):
        raise DataError(
            f"{part}_x {list(x.shape)} and {part}_y {None if y is None else list(y.shape)} of {path} do not fit.",
            LAYOUT,
        )
    if not np.issubdtype(y.dtype, np.integer):
        raise DataError(f"{part}_y of {path} holds {y.dtype}, no whole numbers.", LAYOUT)
    if not np.isfinite(x).all():
        raise DataError(
            f"{part}_x of {path} holds values that are no numbers.",
            "Compute these embeddings again.",
        )
    outside = [int(label) for label in y if not 0 <= label < len(scenes)]
    if outside:
        raise DataError(
            f"{part}_y of {path} holds {outside[0]}, but there are {len(scenes)} class_names.",
            LAYOUT,
        )
    places = arrays.get(f"{part}_location", np.full(len(x), ""))
    if len(places) != len(x):
        raise DataError(
            f"{part}_location of {path} has {len(places)} entries for {len(x)} clips.", LAYOUT
        )
    return [
        Clip(_id(part, number), str(path), scenes[int(y[number])], str(places[number]))
        for number in range(len(x))
    ]
