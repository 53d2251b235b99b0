"""TUT Acoustic Scenes 2017, official four folds: the rows of strong_dcase2019.py.

Not a part of the reproduction, and not run here. The goal is 88 % over the four folds.
"""

import dataclasses
from pathlib import Path

from crossask import config


def of_corpus(row: config.Experiment) -> config.Experiment:
    return dataclasses.replace(
        config.override(row, {"features.sample_rate_hz": 44100, "training.batch_size": 16}),
        dataset="tut2017",
        folds=("1", "2", "3", "4"),
    )


ROWS = tuple(
    of_corpus(row)
    for row in config.read_experiments(str(Path(__file__).with_name("strong_dcase2019.py")))
)
