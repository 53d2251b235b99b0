"""TAU Urban Acoustic Scenes 2019, development: the official layout and its one fold (Mesaros et al. 2018)."""

from pathlib import Path

from crossask.datasets.clips import Clip, Corpus, Fold, audio_paths, how_to_get, read_table, require

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
METADATA = ("meta.csv", "evaluation_setup/fold1_train.csv", "evaluation_setup/fold1_evaluate.csv")
_AT = "https://zenodo.org/record/2589280/files/TAU-urban-acoustic-scenes-2019-development"
# url, bytes, md5; free for non-commercial use with acknowledgement (Tampere University)
ARCHIVES = (
    (f"{_AT}.doc.zip", 11_299, "1f6879544e80da70099a191613e7e51f"),
    (f"{_AT}.meta.zip", 156_863, "09782f2097e4735687af73c44919329c"),
    (f"{_AT}.audio.1.zip", 1_657_550_587, "aca4ebfd9ed03d5f747d6ba8c24bc728"),
    (f"{_AT}.audio.2.zip", 1_666_219_450, "c4f170408ce77c8c70c532bf268d7be0"),
    (f"{_AT}.audio.3.zip", 1_817_901_591, "c7214a07211f10f3250290d05e72c37e"),
    (f"{_AT}.audio.4.zip", 1_821_710_642, "a6a62110f6699cf4432072acb1dffda6"),
    (f"{_AT}.audio.5.zip", 1_803_118_466, "091a0b6d3c84b8e60e46940aa7d4a8a0"),
    (f"{_AT}.audio.6.zip", 1_789_566_029, "114f4ca13e074391b98a1cfd8140de65"),
    (f"{_AT}.audio.7.zip", 1_747_953_866, "5951dd2968f7a514e2afbe279c4f060d"),
    (f"{_AT}.audio.8.zip", 1_728_724_513, "b0b63dc95b327e1509857c8d8a663cc3"),
    (f"{_AT}.audio.9.zip", 1_667_106_209, "3c32a693a6b111ffb957be3c1dd22e9b"),
    (f"{_AT}.audio.10.zip", 1_632_636_175, "0ffbf60006da520cc761fb74c878b98b"),
    (f"{_AT}.audio.11.zip", 1_671_793_546, "599055d93b4c11057c29be2df54538d4"),
    (f"{_AT}.audio.12.zip", 1_672_592_150, "98b8d162ff3665695c4c910e6c372cc8"),
    (f"{_AT}.audio.13.zip", 1_673_481_614, "a356c08b1a5a21d433eba37ef87587f4"),
    (f"{_AT}.audio.14.zip", 1_666_137_450, "f8969771e7faf7dd471d1cf78b0cf011"),
    (f"{_AT}.audio.15.zip", 1_675_127_004, "4758c4b0fb7484faa632266e78850820"),
    (f"{_AT}.audio.16.zip", 1_648_240_966, "a18acad9ede8ea76574216feb887f0bc"),
    (f"{_AT}.audio.17.zip", 1_698_414_214, "1af7703484632f340da5c33662dc9632"),
    (f"{_AT}.audio.18.zip", 1_731_093_704, "b67402bf3e08f4da394a7c18756c0fd2"),
    (f"{_AT}.audio.19.zip", 1_745_153_640, "035db315f19106eb848b6f9b32bcc47c"),
    (f"{_AT}.audio.20.zip", 1_774_038_704, "9cb28c74911bf8a3eadcf53f50a5b5d6"),
    (f"{_AT}.audio.21.zip", 1_333_808_800, "0e44ed85c88ec036a9725b4dd1dfaea0"),
)


def read(data_dir, need_audio: bool = True, name: str = "tau2019") -> Corpus:
    """Reads `meta.csv` and `evaluation_setup/fold1_{train,evaluate}.csv` below `data_dir`; audio as wav or flac.

    A location is a scene's place in a city (`identifier`, for example lisbon-1000). Milan stands in the evaluation side
    alone, and the rest of Milan (1,030 clips of the real corpus) in neither: such clips are left out, `Corpus.unused` counts
    them.

    Args:
      need_audio: False: metadata alone is read, `Clip.path` may lead nowhere.
      name: of the data set in the table; others are written in the same layout.

    Raises:
      DataError: files are missing, a label unknown, or a location on both sides of the fold.
    """
    folder = Path(data_dir)
    require(folder, METADATA, "metadata files", how_to_get(name, data_dir))
    meta, train, evaluation = (
        read_table(folder / file, None, minimum)
        for file, minimum in zip(METADATA, (3, 2, 2), strict=True)
    )
    fold = Fold(
        "1", tuple(row["filename"] for row in train), tuple(row["filename"] for row in evaluation)
    )
    in_fold = set(fold.train) | set(fold.evaluation)
    rows = [row for row in meta if row["filename"] in in_fold]
    paths = audio_paths(
        folder,
        [row["filename"] for row in rows],
        how_to_get(name, data_dir) if need_audio else None,
    )
    clips = tuple(
        Clip(
            row["filename"],
            path,
            row["scene_label"],
            row["identifier"],
            row["identifier"].split("-")[0],
        )
        for row, path in zip(rows, paths, strict=True)
    )
    return Corpus(name, SCENES, clips, (fold,), unused=len(meta) - len(rows))
