"""Damaged weights of event models, heads, PCAs and class maps: one error that names the file."""

import json
import zipfile

import damage
import numpy as np
import pytest

from crossask import events
from crossask.config import EventModelConfig
from crossask.errors import CrossaskError
from crossask.events import tagger, vggish, weights
from crossask.events.vggish import VGGish
from crossask.events.weights import RECORD

NAMED = {"ids": lambda value: getattr(value, "__name__", value)}
WIDTH = 1 / 64


def changed(**changes):
    """Returns a damage: other arrays in an .npz; a function computes one from the old one."""

    def damage_arrays(path):
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        for name, change in changes.items():
            key = FIRST.get(name, name)
            arrays[key] = change(arrays.pop(key)) if callable(change) else change
            if arrays[key] is None:
                del arrays[key]
        with open(path, "wb") as file:
            np.savez(file, **arrays)

    damage_arrays.__name__ = "_".join(["changed", *changes, *map(of_change, changes.values())])
    return damage_arrays


def of_change(change):
    return getattr(change, "__name__", "")


def not_a_number(array):
    return array * np.float32(np.nan)


def one_infinite(array):
    array = array.copy()
    array.flat[-1] = np.inf
    return array


def transposed(array):
    return np.swapaxes(array, -1, -2)


def flat(array):
    return array.reshape(-1)


def one_less(array):
    return array[:-1]


def program(array):
    """Returns an array that would be run as a program when it is read."""
    return np.array([print], dtype=object)


def left_out(array):
    return None


def words(array):
    return np.array(["a", "b"])


def entry_bits(bits):
    """Returns a damage: bits in the zip file's list of entries."""

    def damage_entry(path):
        content = bytearray(path.read_bytes())
        start = content.rfind(b"PK\1\2")
        for place, value in bits.items():
            content[start + place] = value
        path.write_bytes(content)

    damage_entry.__name__ = f"entry_{'_'.join(map(str, bits))}"
    return damage_entry


def twice(path):
    """Writes the first array a second time, as zeros."""
    with zipfile.ZipFile(path) as archive:
        name = archive.namelist()[0]
        content = archive.read(name)
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, content[:-8] + bytes(8))


# The kind of compression, and the flag of an encrypted entry.
ENTRIES = [entry_bits({10: 77}), entry_bits({8: 1})]
VALUES = [not_a_number, one_infinite, flat, one_less, program, left_out, words]
FIRST = {"first": "vggish/conv1/weights"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Returns a folder with weights, a head and a PCA."""
    folder = tmp_path_factory.mktemp("whole")
    model = VGGish(width=WIDTH, seed=1)
    model.save_npz(folder / "w.npz")
    rng = np.random.default_rng(0)
    head = tagger.Tagger(["dog", "rain"], rng.normal(size=(2, 2)), np.zeros(2), exclusive=True)
    head.save_npz(folder / "w_tags.npz")
    np.savez(folder / "pca.npz", pca_eigen_vectors=np.eye(128), pca_means=np.ones(128))
    (folder / "map.csv").write_text(
        "index,mid,display_name\n0,/m/0,Dog\n1,/m/1,Rain\n2,/m/2,Bell\n"
    )
    return folder


@pytest.fixture
def copied(whole, tmp_path):
    for path in whole.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def used_weights(path):
    model = events.build(EventModelConfig(name="vggish", width=WIDTH, weights=str(path)))
    return model.weights_digest()


def used_head(path):
    head = tagger.read_tags(path)
    return [head.names, head.kernel.numpy().tolist(), head.bias.numpy().tolist(), head.exclusive]


def used_pca(path):
    return [array.tolist() for array in vggish.read_pca(path)]


def check(use, path, damaging):
    expected = use(path)
    damaging(path)
    found, error = damage.outcome(use, path)
    if error is None:
        assert found == expected
    else:
        assert str(path) in error.problem
        assert error.fix


def test_weights_without_a_record_are_not_read_from_text(copied):
    path = copied / "w.npz"
    changed(**{RECORD: left_out})(path)
    used_weights(path)
    with np.load(path) as file:
        shape = file[FIRST["first"]].shape
    changed(first=np.full(shape, "a"))(path)
    with pytest.raises(CrossaskError, match="contains no numbers"):
        used_weights(path)


RECORDS = {
    "list": "[]",
    "text": '"text"',
    "no_json": "{",
    "other_model": json.dumps({"name": "yamnet"}),
    "digest_alone": json.dumps({"sha256": "0" * 64}),
    "other_width": json.dumps({"name": "vggish", "width": 1.0}),
}


@pytest.mark.parametrize(
    "damaging",
    [
        *damage.ALL,
        *ENTRIES,
        twice,
        *[changed(first=value) for value in [*VALUES, transposed]],
        changed(more=np.zeros(3)),
    ],
    **NAMED,
)
def test_damaged_weights_are_not_used(copied, damaging):
    check(used_weights, copied / "w.npz", damaging)


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_weights_with_a_damaged_record_are_not_used(copied, record):
    check(used_weights, copied / "w.npz", changed(**{RECORD: np.array(record)}))


@pytest.mark.parametrize(
    "damaging",
    [
        *damage.ALL,
        *ENTRIES,
        *[changed(kernel=value) for value in VALUES if value is not one_less],
        *[changed(names=value) for value in (one_less, program, left_out)],
        *[changed(bias=value) for value in (one_infinite, one_less)],
    ],
    **NAMED,
)
def test_a_damaged_head_names_no_events(copied, damaging):
    check(used_head, copied / "w_tags.npz", damaging)


def test_a_head_of_other_embeddings_is_an_error(copied):
    head = tagger.read_tags(copied / "w_tags.npz")
    assert head(np.zeros((3, 2), np.float32)).shape == (3, 2)
    with pytest.raises(CrossaskError, match="embeddings of 2 numbers, not of 3"):
        head(np.zeros((1, 3), np.float32))


@pytest.mark.parametrize(
    "damaging",
    [*damage.ALL, *ENTRIES, *[changed(pca_eigen_vectors=value) for value in VALUES]],
    **NAMED,
)
def test_a_damaged_pca_is_not_used(copied, damaging):
    check(used_pca, copied / "pca.npz", damaging)


@pytest.mark.parametrize(
    "damaging",
    [damage.half, damage.zeros, damage.text, damage.binary, damage.missing, damage.folder],
    **NAMED,
)
def test_a_damaged_class_map_is_an_error(copied, damaging):
    check(tagger.read_class_map, copied / "map.csv", damaging)


@pytest.mark.parametrize(
    ("old", "new"), [("1,/m/1,Rain\n", ""), ("2,", "1,"), ("Rain", ""), ("1,", "one,")]
)
def test_a_class_map_with_a_gap_is_an_error(copied, old, new):
    path = copied / "map.csv"
    assert tagger.read_class_map(path) == ["Dog", "Rain", "Bell"]
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(CrossaskError, match=r"map\.csv is no class map"):
        tagger.read_class_map(path)


def test_the_first_array_is_one_of_the_weights(whole):
    arrays, _ = weights.from_npz(whole / "w.npz")
    assert FIRST["first"] in arrays
