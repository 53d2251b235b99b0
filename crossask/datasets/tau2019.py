"""TAU Urban Acoustic Scenes 2019, development: the official layout and its one fold (Mesaros et al. 2018)."""

from pathlib import Path

from crossask.datasets.clips import Clip, Corpus, Fold, existing_audio, read_table

SCENES = (
    "airport", "bus", "metro", "metro_station", "park",
    "public_square", "shopping_mall", "street_pedestrian", "street_traffic", "tram",
)  # fmt: skip


def read(data_dir) -> Corpus:
    """Reads `meta.csv` and `evaluation_setup/fold1_{train,evaluate}.csv` below `data_dir`; audio as wav or flac.

    A location is a scene's place in a city (`identifier`, for example lisbon-1000). Milan stands in the evaluation side
    alone, and the rest of Milan (1,030 clips of the real corpus) in neither: such clips are left out here.

    Raises:
      DataError: a file is missing, a label unknown, or a location on both sides of the fold.
    """
    folder = Path(data_dir)
    train = read_table(folder / "evaluation_setup" / "fold1_train.csv", None, 2)
    evaluation = read_table(folder / "evaluation_setup" / "fold1_evaluate.csv", None, 2)
    fold = Fold("1", tuple(row["filename"] for row in train), tuple(row["filename"] for row in evaluation))
    used = set(fold.train) | set(fold.evaluation)
    clips = tuple(
        Clip(
            row["filename"], existing_audio(folder, row["filename"]), row["scene_label"], row["identifier"], row["identifier"].split("-")[0]
        )
        for row in read_table(folder / "meta.csv", None, 3)
        if row["filename"] in used
    )
    return Corpus("tau2019", SCENES, clips, (fold,))
