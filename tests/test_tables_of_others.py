"""Tables as other programs save them: a byte order mark, CRLF, empty columns, spaces around values.

Each reader returns for such a table what it returns for a tidy one.
"""

import numpy as np
import pytest
import soundfile

from crossask import evaluation, pretraining, text_tables
from crossask.config import FeatureConfig
from crossask.datasets import read_corpus
from crossask.events.tagger import read_class_map
from crossask.features import controls
from crossask.serving.calibration import calibration_clips

EMPTY_COLUMNS = 5
NAMES = [f"{scene}{number}.wav" for scene in ("bus", "park") for number in range(3)]


def write(folder, files):
    """Writes {path below the folder: lines of comma-separated cells}."""
    for name, lines in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines))


def write_with_tabs(folder, files):
    """Writes the same with tabs between the cells."""
    replaced = {}
    for name, lines in files.items():
        replaced[name] = [line.replace(",", "\t") for line in lines]
    write(folder, replaced)


def make_untidy(path, first_line):
    """Saves a table again as spreadsheets and scripts do; lines before `first_line` stay."""
    lines = path.read_text().splitlines()
    delimiter = "\t" if "\t" in lines[0] else ","
    untidy = lines[:first_line]
    for line in lines[first_line:]:
        cells = [f" {cell} " for cell in line.split(delimiter)]
        untidy.append(delimiter.join(cells + [""] * EMPTY_COLUMNS))
    untidy.append(delimiter * EMPTY_COLUMNS)
    text = "\ufeff" + "".join(f"{line}\r\n" for line in untidy)
    path.write_bytes(text.encode())


def write_recordings(folder):
    generator = np.random.default_rng(0)
    for name in NAMES:
        soundfile.write(folder / name, generator.normal(0, 0.1, 800), 8000)


def read_tau2019(folder):
    write_with_tabs(
        folder,
        {
            "meta.csv": [
                "filename,scene_label,identifier,source_label",
                "audio/a.wav,bus,lyon-1,a",
                "audio/b.wav,tram,lyon-2,a",
            ],
            "evaluation_setup/fold1_train.csv": ["filename,scene_label", "audio/a.wav,bus"],
            "evaluation_setup/fold1_evaluate.csv": ["filename,scene_label", "audio/b.wav,tram"],
        },
    )
    return lambda: read_corpus("tau2019", folder, need_audio=False)


def read_tut2017(folder):
    write_with_tabs(
        folder,
        {
            "meta.txt": ["audio/a001_0_10.wav,bus,a001", "audio/a002_0_10.wav,tram,a002"],
            "error.txt": ["file,onset,offset", "audio/a001_0_10.wav,1,2"],
            "evaluation_setup/fold1_train.txt": ["audio/a001_0_10.wav,bus"],
            "evaluation_setup/fold1_evaluate.txt": ["audio/a002_0_10.wav,tram"],
        },
    )
    return lambda: read_corpus("tut2017", folder, need_audio=False)


def read_folder_table(folder):
    write_recordings(folder)
    lines = [f"{name},{name[:-5]},place {name[:-4]},{name[-5]}" for name in NAMES]
    write(folder, {"clips.csv": ["filename,scene,location,fold", *lines]})
    return lambda: read_corpus("folder", folder)


def read_labelled(folder):
    write_recordings(folder)
    lines = [f"{name},{name[:-5]},{name[-5]}" for name in NAMES]
    write(folder, {"labels.csv": ["filename,category,fold", *lines]})
    return lambda: pretraining.read_labelled_clips(folder / "labels.csv")


def read_events(folder):
    lines = ["filename,onset,offset,event_label", "audio/a.wav,0.5,2,dog"]
    write_with_tabs(folder, {"events.csv": lines})
    return lambda: controls._read_events(folder / "events.csv", "soundscapes")


def read_list_for_calibration(folder):
    write_recordings(folder)
    write(folder, {"list.csv": ["filename", *NAMES]})
    features = FeatureConfig(sample_rate_hz=8000, clip_seconds=0.1)
    return lambda: np.stack(calibration_clips(folder / "list.csv", features)).tolist()


def read_tab_separated_list_for_calibration(folder):
    write_recordings(folder)
    lines = [f"{name},bus" for name in NAMES]
    write_with_tabs(folder, {"list.csv": ["filename,scene", *lines]})
    features = FeatureConfig(sample_rate_hz=8000, clip_seconds=0.1)
    return lambda: np.stack(calibration_clips(folder / "list.csv", features)).tolist()


def read_predictions(folder):
    lines = ["clip,location,truth,bus,tram", "a,l1,bus,0.9,0.1", "b,l2,tram,0.2,0.8"]
    write(folder, {"predictions.csv": lines})
    return lambda: evaluation.read_predictions(folder / "predictions.csv").to_dict()


def read_names_of_events(folder):
    write(folder, {"map.csv": ["index,mid,display_name", "0,/m/0,dog", "1,/m/1,rain"]})
    return lambda: read_class_map(folder / "map.csv")


@pytest.mark.parametrize(
    "prepare",
    [
        read_tau2019,
        read_tut2017,
        read_folder_table,
        read_labelled,
        read_events,
        read_list_for_calibration,
        read_tab_separated_list_for_calibration,
        read_predictions,
        read_names_of_events,
    ],
)
@pytest.mark.parametrize("first_line", [0, 1], ids=["with the first line", "without it"])
def test_an_untidy_table_is_read_as_a_tidy_one(prepare, first_line, tmp_path):
    read = prepare(tmp_path)
    expected = read()
    tables = [path for path in tmp_path.rglob("*") if path.suffix in (".csv", ".txt")]
    assert tables
    for path in tables:
        make_untidy(path, first_line)
        assert read() == expected, path


def test_quotation_marks_after_a_space_belong_to_the_csv(tmp_path):
    path = tmp_path / "map.csv"
    path.write_text('index, mid, display_name\n0, /m/0, "Dog, barking"\n')
    assert read_class_map(path) == ["Dog, barking"]


@pytest.mark.parametrize("first_line", ["sep=;", "SEP=;", '"sep=;"'])
def test_excels_line_with_the_delimiter_is_no_header(tmp_path, first_line):
    path = tmp_path / "table.csv"
    path.write_text(f"{first_line}\nfilename;scene\na.wav;bus, night\n")
    table = text_tables.read_csv(path)
    assert table.columns == ("filename", "scene")
    assert table.rows == ({"filename": "a.wav", "scene": "bus, night"},)
