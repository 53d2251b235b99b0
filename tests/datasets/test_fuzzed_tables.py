"""Tables that were damaged at random: each reader returns a result or one CrossaskError.

`make test-faults` tries 20,000 tables.
"""

import io
import random

import damage
import numpy as np
import pytest
from mutations import mutated, outcomes

from crossask import evaluation, pretraining
from crossask.datasets import read_corpus
from crossask.evaluation.predictions import Predictions

TAU_META = """filename\tscene_label\tidentifier\tsource_label
audio/a.wav\tbus\tlyon-1\ta
audio/b.wav\tpark\tlyon-2\tb
audio/c.wav\tbus\tparis-3\ta
audio/d.wav\tpark\tparis-4\ts1
"""
TAU_TRAIN = "filename\tscene_label\naudio/a.wav\tbus\naudio/b.wav\tpark\n"
TAU_EVALUATE = "filename\tscene_label\naudio/c.wav\tbus\naudio/d.wav\tpark\n"
TAU = {
    "meta.csv": TAU_META,
    "evaluation_setup/fold1_train.csv": TAU_TRAIN,
    "evaluation_setup/fold1_evaluate.csv": TAU_EVALUATE,
}
# All recordings of TAU 2019 are of one device.
TAU_2019 = TAU | {"meta.csv": TAU_META.replace("\tb\n", "\ta\n").replace("\ts1\n", "\ta\n")}
TUT = {
    "meta.txt": "audio/a1_0_10.wav\tbus\ta1\naudio/b1_0_10.wav\tcafe/restaurant\tb1\n",
    "error.txt": "file\tonset\toffset\naudio/a1_0_10.wav\t1\t2\n",
    "evaluation_setup/fold1_train.txt": "audio/a1_0_10.wav\tbus\n",
    "evaluation_setup/fold1_evaluate.txt": "audio/b1_0_10.wav\tcafe/restaurant\n",
}
FOLDER = {
    "clips.csv": "filename,scene,location,city,device,fold\n"
    "a.wav,bus,p1,lyon,x,1\nb.wav,park,p2,lyon,y,1\nc.wav,bus,p3,oslo,x,2\nd.wav,park,p4,oslo,y,2\n"
}
PREDICTIONS = {
    "table.csv": "clip,location,city,device,truth,bus,park\n"
    "a,p1,lyon,x,bus,0.8,0.2\nb,p2,lyon,y,park,0.3,0.7\nc,p3,oslo,x,park,1e-3,0.999\n"
}
LABELS = {"labels.csv": 'filename,labels,fold\n0.wav,dog,1\n1.wav,"dog,rain",2\n'}


def embeddings_file(draw):
    """Returns the bytes of an .npz in which one array was changed, or some bytes."""
    rng = np.random.default_rng(draw.randrange(1 << 30))
    arrays = {"class_names": np.array(["bus", "park"])}
    for part in ("train", "val", "test"):
        arrays[f"{part}_x"] = rng.normal(size=(2, 1, 4)).astype(np.float32)
        arrays[f"{part}_y"] = np.arange(2)
        arrays[f"{part}_location"] = np.array([f"{part}0", f"{part}1"])
    name = draw.choice(sorted(arrays))
    others = [
        np.array(0), np.array([]), np.array(["x"]), np.array([1, 2, 3]), np.array([b"a", b"\xff"]),
        np.array([0.5, np.nan]), np.zeros((2, 1, 4), complex), np.array([True, False]),
        np.array(["2020-01-01", "NaT"], "datetime64[D]"), np.full((2, 1, 4), np.inf),
        np.zeros(2, [("a", "f4")]), np.array([2**63, 1], np.uint64), np.zeros((2, 1, 4), "S3"),
        np.zeros((0, 1, 4)), np.array([1, 2], object),
    ]  # fmt: skip
    if draw.randrange(3) == 0:
        del arrays[name]
    elif draw.randrange(2):
        arrays[name] = draw.choice(others)
    else:
        arrays[draw.choice(("_x", "extra_x", "extra", "test_y_x"))] = draw.choice(others)
    file = io.BytesIO()
    np.savez(file, **arrays)
    return mutated(file.getvalue(), draw) if draw.randrange(2) else file.getvalue()


def corpus(name):
    return lambda folder: read_corpus(name, folder, need_audio=False)


READERS = {
    "tau2019": (TAU_2019, corpus("tau2019")),
    "tau2020_mobile": (TAU, corpus("tau2020_mobile")),
    "tut2017": (TUT, corpus("tut2017")),
    "folder": (FOLDER, corpus("folder")),
    "predictions": (
        PREDICTIONS,
        lambda folder: Predictions(evaluation.read_predictions(folder / "table.csv")),
    ),
    "labels": (LABELS, lambda folder: pretraining.read_labelled_clips(folder / "labels.csv")),
    "embeddings": (None, lambda folder: read_corpus("embeddings", folder / "made.npz")),
}


def try_tables(folder, reader, count, seed):
    """Reads `count` damaged sets of tables; returns (number read, number refused)."""
    tables, read = READERS[reader]
    (folder / "evaluation_setup").mkdir()
    for number in range(2):
        (folder / f"{number}.wav").write_bytes(b"sound %d" % number)
    draw = random.Random(seed)

    def read_damaged():
        if tables is None:
            (folder / "made.npz").write_bytes(embeddings_file(draw))
        else:
            damaged = draw.choice(sorted(tables))
            for name, text in tables.items():
                content = text.encode()
                (folder / name).write_bytes(mutated(content, draw) if name == damaged else content)
        read(folder)

    return outcomes(read_damaged, count, f"of {reader}, seed {seed}")


def whole_npz():
    arrays = {"class_names": np.array(["bus", "park"])}
    for number, part in enumerate(("train", "val", "test")):
        arrays[f"{part}_x"] = np.arange(8, dtype=np.float32).reshape(2, 1, 4) + 10 * number
        arrays[f"{part}_y"] = np.arange(2)
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def content_of(found):
    return str(getattr(found, "__dict__", found))


FILES = []
for of_reader, (texts, _) in READERS.items():
    # Clips in error.txt are only counted.
    FILES += [(of_reader, name) for name in texts or ["made.npz"] if name != "error.txt"]
# A changed letter in a table of text is another name. An .npz has checksums.
DAMAGES = {
    True: [each for each in damage.ALL if each not in damage.FLIPS],
    False: damage.ALL,
}
DAMAGED_FILES = []
for of_reader, file_name in FILES:
    is_text = READERS[of_reader][0] is not None
    DAMAGED_FILES += [(of_reader, file_name, each) for each in DAMAGES[is_text]]


@pytest.mark.parametrize(
    ("reader", "name", "damaging"),
    DAMAGED_FILES,
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_table_that_is_not_whole_is_read_as_it_was_or_is_named(tmp_path, reader, name, damaging):
    tables, read = READERS[reader]
    (tmp_path / "evaluation_setup").mkdir()
    for number in range(2):
        (tmp_path / f"{number}.wav").write_bytes(b"sound %d" % number)
    for each, content in (tables or {"made.npz": whole_npz().decode("latin-1")}).items():
        (tmp_path / each).write_bytes(content.encode("latin-1"))
    whole = read(tmp_path)
    damaging(tmp_path / name)
    found, error = damage.outcome(read, tmp_path)
    if error is not None:
        assert damage.names(error, name, tmp_path)
    else:
        assert content_of(found) == content_of(whole)


@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_table_is_read_or_refused(tmp_path, reader):
    read, refused = try_tables(tmp_path, reader, 60, seed=0)
    # The damage is such that both happen.
    assert read > 0
    assert refused > 0


@pytest.mark.faults
@pytest.mark.parametrize("reader", READERS)
def test_20000_damaged_tables_are_read_or_refused(tmp_path, reader):
    read, refused = try_tables(tmp_path, reader, 2860, seed=1)
    assert read + refused == 2860
