"""Precomputed embeddings in one .npz file as a corpus without sound, for rows that read only them.

Arrays of the file:
  class_names            Names of the scenes, text [scenes].
  train_x, val_x         Embeddings of the training and the validation part, float
                         [clips, patches, width].
  <part>_x               Embeddings of one or more parts to evaluate.
  <part>_y               Scene of each clip of a part, integer [clips], an index of class_names.
  <part>_location        Optional: location of each clip of a part, text [clips].

Each part to evaluate is a fold of its name, evaluated after training on `train` and selection on
`val`. Without locations, places on both sides cannot be found, and intervals are over clips.
"""

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from crossask import stored
from crossask.datasets import leaks
from crossask.datasets.clips import Clip, Corpus, Fold
from crossask.errors import DataError

TRAIN = "train"
VALIDATION = "val"
FORMAT_HELP = (
    "Give an .npz with class_names [scenes] and, for train, val and each part to evaluate, PART_x "
    "[clips, patches, width] and PART_y [clips], indices of class_names; and PART_location [clips] "
    "if the places are known."
)


def read(data_dir: str | Path, need_audio: bool = True, name: str = "embeddings") -> Corpus:
    """Reads the labels of an .npz file; its format is described above.

    Args:
      data_dir: Path of the file.
      need_audio: Ignored: labels and embeddings are in one file.
      name: Name of the data set.

    Raises:
      DataError: There is no such file, an array is missing or does not fit, or a location is
        trained on and evaluated.
    """
    path = Path(data_dir)
    arrays = _load(path)
    if "class_names" not in arrays or arrays["class_names"].ndim != 1:
        raise DataError(f"{path} has no array class_names [scenes].", FORMAT_HELP)
    scenes = tuple(_text(scene) for scene in arrays["class_names"])
    clips = []
    ids = {}
    for part in _parts(arrays):
        part_clips = _clips(path, part, arrays, scenes)
        clips += part_clips
        ids[part] = tuple(clip.id for clip in part_clips)
    for needed in (TRAIN, VALIDATION):
        if needed not in ids:
            raise DataError(
                f"{path} has no part {needed!r}; its parts: {', '.join(ids) or 'none'}.",
                FORMAT_HELP,
            )
    train = ids[TRAIN] + ids[VALIDATION]
    folds = []
    for part in ids:
        if part not in (TRAIN, VALIDATION):
            folds.append(Fold(part, train, ids[part], validation=ids[VALIDATION]))
    if not folds:
        raise DataError(f"{path} has no part to evaluate.", FORMAT_HELP)
    corpus = Corpus(name, scenes, tuple(clips), tuple(folds), ready_made=True)
    hash_of = {}
    for part in ids:
        for number, embedding in enumerate(arrays[f"{part}_x"]):
            # As they are read, so that parts of different types can be compared.
            content = np.ascontiguousarray(embedding, np.float32).tobytes()
            hash_of[_clip_id(part, number)] = hashlib.sha256(content).hexdigest()
    leaks.check_embeddings(corpus, hash_of)
    return corpus


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Returns {clip id: embedding, float32 [patches, width]} of an .npz file."""
    arrays = _load(Path(path))
    embeddings = {}
    for part in _parts(arrays):
        for number, embedding in enumerate(arrays[f"{part}_x"].astype(np.float32)):
            embeddings[_clip_id(part, number)] = embedding
    return embeddings


def load_npz(path: Path, fix: str) -> dict[str, np.ndarray]:
    """Returns the arrays of an .npz by name.

    Args:
      path: The file.
      fix: What to do if it cannot be read.

    Raises:
      DataError: It cannot be read, or is another kind of file.
    """
    try:
        # np.load would read other kinds of files, too. An .npz is a zip file.
        with zipfile.ZipFile(path) as archive:
            _check_names(path, archive.namelist(), fix)
        with np.load(path) as file:
            return stored.arrays_of(file)
    except (OSError, *stored.BROKEN_ARRAYS) as error:
        raise DataError(f"{path} is not a readable .npz ({error}).", fix) from error


def _check_names(path: Path, names: Sequence[str], fix: str) -> None:
    """Raises DataError for two arrays of one name, of which np.load returns the last."""
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise DataError(
            f"{path} contains two arrays called {repeated.removesuffix('.npy')!r}.", fix
        )


def _load(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise DataError(
            f"There is no file {str(path)!r}.", f"Point --data_dir at it. {FORMAT_HELP}"
        )
    return load_npz(path, FORMAT_HELP)


def _parts(arrays: Mapping[str, np.ndarray]) -> list[str]:
    return [name.removesuffix("_x") for name in arrays if name.endswith("_x")]


def _clip_id(part: str, number: int) -> str:
    return f"{part}/{number:06d}"


def _clips(
    path: Path, part: str, arrays: Mapping[str, np.ndarray], scenes: Sequence[str]
) -> list[Clip]:
    """Returns the clips of a part after checking its arrays."""
    embeddings = arrays[f"{part}_x"]
    labels = _labels(path, part, arrays, len(scenes))
    if not np.issubdtype(embeddings.dtype, np.floating):
        raise DataError(f"{part}_x of {path} is {embeddings.dtype}, not float.", FORMAT_HELP)
    # A number may be too large for the type in which it is read.
    with np.errstate(over="ignore"):
        is_finite = np.isfinite(embeddings.astype(np.float32))
    if not is_finite.all():
        raise DataError(
            f"{part}_x of {path} contains values that are not finite.",
            "Compute these embeddings again.",
        )
    locations = arrays.get(f"{part}_location", np.full(len(embeddings), ""))
    if locations.shape != (len(embeddings),):
        raise DataError(
            f"{part}_location of {path} is {list(locations.shape)} for {len(embeddings)} clips.",
            FORMAT_HELP,
        )
    locations = [_text(location).strip() for location in locations]
    if any(locations) and not all(locations):
        raise DataError(
            f"{part}_location of {path} is blank for clip {locations.index('')}, others have one.",
            "Give every clip its location, or none.",
        )
    clips = []
    for number, label in enumerate(labels):
        clip_id = _clip_id(part, number)
        clips.append(Clip(clip_id, str(path), scenes[int(label)], locations[number]))
    return clips


def _text(value: np.generic) -> str:
    """Returns an entry of an array as text. Arrays from HDF5 files have bytes in place of text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def _labels(path: Path, part: str, arrays: Mapping[str, np.ndarray], scenes: int) -> np.ndarray:
    """Returns the labels of a part, integer [clips], after checking them."""
    embeddings = arrays[f"{part}_x"]
    labels = arrays.get(f"{part}_y")
    if labels is None:
        raise DataError(f"{path} has {part}_x, but no {part}_y.", FORMAT_HELP)
    # Embeddings of all parts have the same patches and width.
    clip_shape = arrays.get("train_x", embeddings).shape[1:]
    has_one_label_each = embeddings.ndim == 3 and labels.shape == (len(embeddings),)
    if not has_one_label_each or embeddings.shape[1:] != clip_shape:
        raise DataError(
            f"{part}_x {list(embeddings.shape)} and {part}_y {list(labels.shape)} of {path} do not "
            "fit each other or train_x.",
            FORMAT_HELP,
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{part}_y of {path} is {labels.dtype}, not integer.", FORMAT_HELP)
    outside = labels[(labels < 0) | (labels >= scenes)]
    if len(outside) > 0:
        raise DataError(
            f"{part}_y of {path} contains {outside[0]}, but there are {scenes} class_names.",
            FORMAT_HELP,
        )
    return labels
