"""Settings with random mistakes: a row is the result, or one CrossaskError.

`make test-faults` tries 5,000 settings.
"""

import json
import random

import pytest
from mutations import mutated, outcomes

from crossask import config
from crossask.config import reference

ROW = config.Experiment(name="row")
PATHS = [entry.path for entry in reference.entries()]
TEXT = (
    "training.epochs=3,model.encoder_channels=(8,16,32,64),event_model.level=-26.0,"
    "features.mono=true,note='a, b',training.keep=last"
)
VALUES = (
    *(0, 1, -1, 3, 2**31, 10**30, 0.0, -0.5, 0.5, 1e308, 1e-320, float("nan"), float("inf")),
    *(True, False, None, "", "x", "FA", "CMAM", "yamnet", "linear", "last", "1", "\n", "a/b"),
    *([], [1], [8, 16, 32, 64], [0.5], [True], [None], ["x", "y"], [[1, 2]], [[1, 2, 3]]),
    *({}, {"epochs": 2}, {"no": 1}, {"": {}}, {1: 2}, (), (1, "x"), b"bytes", object()),
)


def by_values(_folder, draw):
    """Returns the row with one to three fields at random values."""
    changes = {}
    for _ in range(draw.randint(1, 3)):
        path = draw.choice(PATHS)
        if draw.randrange(8) == 0:
            path = mutated(path.encode(), draw).decode("utf-8", "replace")
        changes[path] = draw.choice(VALUES)
    return config.override(ROW, changes)


def by_text(_folder, draw):
    """Returns the row with a damaged --params_override."""
    return config.resolve(ROW, (), mutated(TEXT.encode(), draw).decode("utf-8", "replace"))


def by_file(folder, draw):
    """Returns the row with a damaged --config_file."""
    path = folder / "row.json"
    content = json.dumps(config.to_dict(ROW), indent=2).encode()
    path.write_bytes(mutated(content, draw))
    return config.resolve(ROW, [path], "")


WAYS = {"values": by_values, "text": by_text, "file": by_file}


def try_settings(folder, way, count, seed):
    """Reads `count` damaged settings; returns (number read, number refused)."""
    draw = random.Random(seed)

    def read_damaged():
        row = WAYS[way](folder, draw)
        # What is accepted can be stored and read again.
        assert config.from_dict(config.Experiment, config.to_dict(row)) == row
        assert config.digest(row)

    return outcomes(read_damaged, count, f"by {way}, seed {seed}")


@pytest.mark.parametrize("way", WAYS)
def test_damaged_settings_are_read_or_refused(tmp_path, way):
    read, refused = try_settings(tmp_path, way, 60, seed=0)
    # The damage is such that both happen.
    assert read > 0
    assert refused > 0


@pytest.mark.faults
@pytest.mark.parametrize("way", WAYS)
def test_5000_damaged_settings_are_read_or_refused(tmp_path, way):
    read, refused = try_settings(tmp_path, way, 1670, seed=1)
    assert read + refused == 1670
