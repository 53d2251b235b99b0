"""A larger network than the paper's and a recipe for it, at the demo's scale: each part alone, then together, also with events.

Not a part of the reproduction. The parts of the network follow McDonnell and Gao (2020): residual blocks, a split band, the
whole band in 128 bins, slopes beside the log-mel, warm restarts. experiments/strong.py has the augmentation one by one.
"""

import dataclasses
from pathlib import Path

from crossask import config

_strong = {
    row.name: row for row in config.read_experiments(str(Path(__file__).with_name("strong.py")))
}
CMAM = dataclasses.replace(_strong["base"], name="cmam")
FA = dataclasses.replace(CMAM, name="fa", system="FA", strategy="from_scratch")
RECIPE = {
    "augmentation.mixup_alpha": 0.3,
    "augmentation.time_masks": 2,
    "augmentation.time_mask_frames": 25,
    "augmentation.frequency_masks": 2,
    "augmentation.frequency_mask_bins": 16,
    "augmentation.time_roll": True,
    "augmentation.swap_channels": True,
}
# a longer transform, so that the lowest of twice as many triangles are not empty
BAND = {"features.log_mel.mel_bins": 128, "features.log_mel.fft_size": 4096}
NETWORK = {"model.encoder": "residual", "model.split_band": True, "model.deltas": True, **BAND}
# falls of 3, 6 and 12 epochs
RESTARTS = {
    "training.warmup_epochs": 0,
    "training.schedule": "warm_restarts",
    "training.restart_epochs": 3,
    "training.epochs": 21,
}


def varied(row: config.Experiment, name: str, changes: dict) -> config.Experiment:
    return dataclasses.replace(config.override(row, changes), name=name)


ROWS = (
    FA,
    varied(FA, "residual", {"model.encoder": "residual"}),
    varied(FA, "split_band", {"model.split_band": True}),
    varied(FA, "deltas", {"model.deltas": True}),
    varied(FA, "band", BAND),
    varied(FA, "restarts", RESTARTS),
    varied(FA, "network", NETWORK),
    varied(FA, "recipe", NETWORK | RECIPE | RESTARTS),
    CMAM,
    varied(CMAM, "cmam_network", NETWORK),
    varied(CMAM, "cmam_recipe", NETWORK | RECIPE | RESTARTS),
)
