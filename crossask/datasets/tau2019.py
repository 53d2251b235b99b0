"""TAU Urban Acoustic Scenes 2019, development set, with its official fold (Mesaros et al. 2018)."""

import logging
from collections.abc import Sequence
from pathlib import Path

from crossask import text_tables
from crossask.audio import notices
from crossask.datasets.clip_tables import ClipTable, side_of_fold
from crossask.datasets.clips import Clip, Corpus, Fold
from crossask.datasets.corpus_files import audio_paths, how_to_get, how_to_get_metadata, require
from crossask.errors import DataError, shortened_list

SCENES = (
    "airport",
    "bus",
    "metro",
    "metro_station",
    "park",
    "public_square",
    "shopping_mall",
    "street_pedestrian",
    "street_traffic",
    "tram",
)
META_FILE = "meta.csv"
DEVICE_COLUMN = "source_label"
TRAIN_FILE = "evaluation_setup/fold1_train.csv"
EVALUATION_FILE = "evaluation_setup/fold1_evaluate.csv"

_PREFIX = "https://zenodo.org/record/2589280/files/TAU-urban-acoustic-scenes-2019-development"
# (url, bytes, md5) of each archive; free for non-commercial use with acknowledgement of Tampere
# University.
ARCHIVES = (
    (f"{_PREFIX}.doc.zip", 11_299, "1f6879544e80da70099a191613e7e51f"),
    (f"{_PREFIX}.meta.zip", 156_863, "09782f2097e4735687af73c44919329c"),
    (f"{_PREFIX}.audio.1.zip", 1_657_550_587, "aca4ebfd9ed03d5f747d6ba8c24bc728"),
    (f"{_PREFIX}.audio.2.zip", 1_666_219_450, "c4f170408ce77c8c70c532bf268d7be0"),
    (f"{_PREFIX}.audio.3.zip", 1_817_901_591, "c7214a07211f10f3250290d05e72c37e"),
    (f"{_PREFIX}.audio.4.zip", 1_821_710_642, "a6a62110f6699cf4432072acb1dffda6"),
    (f"{_PREFIX}.audio.5.zip", 1_803_118_466, "091a0b6d3c84b8e60e46940aa7d4a8a0"),
    (f"{_PREFIX}.audio.6.zip", 1_789_566_029, "114f4ca13e074391b98a1cfd8140de65"),
    (f"{_PREFIX}.audio.7.zip", 1_747_953_866, "5951dd2968f7a514e2afbe279c4f060d"),
    (f"{_PREFIX}.audio.8.zip", 1_728_724_513, "b0b63dc95b327e1509857c8d8a663cc3"),
    (f"{_PREFIX}.audio.9.zip", 1_667_106_209, "3c32a693a6b111ffb957be3c1dd22e9b"),
    (f"{_PREFIX}.audio.10.zip", 1_632_636_175, "0ffbf60006da520cc761fb74c878b98b"),
    (f"{_PREFIX}.audio.11.zip", 1_671_793_546, "599055d93b4c11057c29be2df54538d4"),
    (f"{_PREFIX}.audio.12.zip", 1_672_592_150, "98b8d162ff3665695c4c910e6c372cc8"),
    (f"{_PREFIX}.audio.13.zip", 1_673_481_614, "a356c08b1a5a21d433eba37ef87587f4"),
    (f"{_PREFIX}.audio.14.zip", 1_666_137_450, "f8969771e7faf7dd471d1cf78b0cf011"),
    (f"{_PREFIX}.audio.15.zip", 1_675_127_004, "4758c4b0fb7484faa632266e78850820"),
    (f"{_PREFIX}.audio.16.zip", 1_648_240_966, "a18acad9ede8ea76574216feb887f0bc"),
    (f"{_PREFIX}.audio.17.zip", 1_698_414_214, "1af7703484632f340da5c33662dc9632"),
    (f"{_PREFIX}.audio.18.zip", 1_731_093_704, "b67402bf3e08f4da394a7c18756c0fd2"),
    (f"{_PREFIX}.audio.19.zip", 1_745_153_640, "035db315f19106eb848b6f9b32bcc47c"),
    (f"{_PREFIX}.audio.20.zip", 1_774_038_704, "9cb28c74911bf8a3eadcf53f50a5b5d6"),
    (f"{_PREFIX}.audio.21.zip", 1_333_808_800, "0e44ed85c88ec036a9725b4dd1dfaea0"),
)


def read(data_dir: str | Path, need_audio: bool = True, name: str = "tau2019") -> Corpus:
    """Reads the corpus; see `read_layout`.

    Milan is on the evaluation side only. The other clips of Milan (1,030 in the release) are in
    neither side; they are left out, and `Corpus.unused` counts them.

    Args:
      data_dir: Folder of the corpus.
      need_audio: Whether the sound files must exist.
      name: Name of the data set; others are written in the same layout.

    Raises:
      DataError: See `read_layout`.
    """
    return read_layout(data_dir, need_audio, name)


def read_layout(
    data_dir: str | Path, need_audio: bool, name: str, devices: Sequence[str] = ()
) -> Corpus:
    """Reads meta.csv and evaluation_setup/fold1_{train,evaluate}.csv; audio is wav or flac.

    A location is the `identifier` of the metadata: a scene's place in a city, such as lisbon-1000.

    Args:
      data_dir: Folder of the corpus.
      need_audio: Whether the sound files must exist.
      name: Name of the data set.
      devices: Devices of the corpus, the possible values of `source_label`; (): the corpus has one
        device, and its clips have none.

    Raises:
      DataError: Files or columns are missing, lines contradict each other, a scene or a device is
        unknown, there are several devices in a corpus of one, or a location is on both sides of the
        fold.
    """
    folder = Path(data_dir)
    advice = how_to_get(name, data_dir)
    metadata_files = (META_FILE, TRAIN_FILE, EVALUATION_FILE)
    require(folder, metadata_files, "metadata files", how_to_get_metadata(name, data_dir))
    table = text_tables.read_tab_separated(folder / META_FILE, least_cells=3)
    table.require(("filename", "scene_label", "identifier"), advice)
    if devices:
        table.require((DEVICE_COLUMN,), advice)
        _check_devices(table, devices)
        _log_one_device(table, name)
    else:
        _check_one_device(table, name)
    metadata = ClipTable(table, ("scene_label", "identifier"))
    train = _side(folder / TRAIN_FILE, metadata, advice)
    evaluation = _side(folder / EVALUATION_FILE, metadata, advice)
    in_fold = {*train, *evaluation}
    lines = [line for line in metadata if line.name in in_fold]
    paths = audio_paths(folder, [line.name for line in lines], advice if need_audio else None)
    clips = []
    for line, path in zip(lines, paths, strict=True):
        location = line.row["identifier"]
        clip = Clip(
            line.name,
            path,
            line.row["scene_label"],
            location,
            city=location.split("-")[0],
            device=line.row[DEVICE_COLUMN] if devices else "",
            origin=line.origin,
        )
        clips.append(clip)
    folds = (Fold("1", train, evaluation),)
    unused = len(metadata) - len(lines)
    return Corpus(name, SCENES, tuple(clips), folds, unused=unused)


def _check_devices(metadata: text_tables.Table, devices: Sequence[str]) -> None:
    """Raises DataError for the first line with another device, or without one."""
    for number, row in metadata.numbered_rows():
        device = row[DEVICE_COLUMN]
        if device not in devices:
            raise metadata.line_error(
                number,
                f"has the unknown device {device!r} in column {DEVICE_COLUMN!r}",
                f"Use the published file; the devices of this corpus are {', '.join(devices)}.",
            )


def _devices(metadata: text_tables.Table) -> list[str]:
    """Returns the devices of the metadata, sorted; [] without this column."""
    if DEVICE_COLUMN not in metadata.columns:
        return []
    return sorted(set(metadata.column(DEVICE_COLUMN)))


def _check_one_device(metadata: text_tables.Table, name: str) -> None:
    """Raises DataError for several devices: the folder contains another corpus of this layout."""
    found = _devices(metadata)
    if len(found) > 1:
        raise DataError(
            f"{metadata.path} has the devices {shortened_list(found)}, but {name} has one device.",
            "Set --dataset=tau2020_mobile or tau2022_mobile, or --data_dir to the folder of "
            f"{name}.",
        )


def _log_one_device(metadata: text_tables.Table, name: str) -> None:
    """Logs once if a corpus of several devices has one: it may be another corpus."""
    found = _devices(metadata)
    if len(found) == 1:
        notices.log_once(
            f"one device in {metadata.path}",
            logging.WARNING,
            "All recordings of %s in %s are of the device %s, as those of TAU 2019 are.",
            name,
            metadata.path.parent,
            found[0],
        )


def _side(path: Path, metadata: ClipTable, advice: str) -> tuple[str, ...]:
    """Returns the clips of one side of the fold."""
    table = text_tables.read_tab_separated(path, least_cells=2)
    table.require(("filename",), advice)
    return side_of_fold(table, metadata)
