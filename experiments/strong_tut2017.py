"""TUT Acoustic Scenes 2017, official four folds: the rows of strong_dcase2019.py.

They are not part of the reproduction, and they have not been run. The goal is 88 % over the four
folds.
"""

from pathlib import Path

from crossask import config

DCASE2019 = Path(__file__).with_name("strong_dcase2019.py")
TUT2017 = {
    "dataset": "tut2017",
    "folds": ("1", "2", "3", "4"),
    "features.sample_rate_hz": 44100,
    "training.batch_size": 16,
}

ROWS = tuple(config.override(row, TUT2017) for row in config.read_experiments(str(DCASE2019)))
