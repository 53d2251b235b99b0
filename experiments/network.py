"""A larger network than the paper's and a training recipe for it, at the demo's scale.

Each part of the network is tried alone, then all parts together, then with the recipe, and also
with events. The parts follow McDonnell and Gao (2020): residual blocks, a split band, 128 mel
bands, time differences of the log-mel, and warm restarts. strong.py tries the augmentations one by
one. The study is not part of the reproduction.
"""

from pathlib import Path

from crossask import config

STRONG = Path(__file__).with_name("strong.py")
(BASE,) = config.read_experiments(f"{STRONG}:base")
CMAM = config.override(BASE, {"name": "cmam"})
FA = config.override(CMAM, {"name": "fa", "strategy": "from_scratch", "system": "FA"})

RECIPE = {
    "augmentation.mixup_alpha": 0.3,
    "augmentation.time_masks": 2,
    "augmentation.time_mask_frames": 25,
    "augmentation.frequency_masks": 2,
    "augmentation.frequency_mask_bins": 16,
    "augmentation.time_roll": True,
    "augmentation.swap_channels": True,
}
# With 128 mel bands and the default transform, the lowest triangles would contain no bin of it.
BAND = {"features.log_mel.mel_bins": 128, "features.log_mel.fft_size": 4096}
NETWORK = {"model.encoder": "residual", "model.split_band": True, "model.deltas": True, **BAND}
# The learning rate falls three times, over 3, 6 and 12 epochs.
RESTARTS = {
    "training.warmup_epochs": 0,
    "training.schedule": "warm_restarts",
    "training.restart_epochs": 3,
    "training.epochs": 21,
}


def variant(row: config.Experiment, name: str, changes: dict) -> config.Experiment:
    """Returns `row` with another name and with `changes`, {field: value}."""
    return config.override(row, {"name": name, **changes})


ROWS = (
    FA,
    variant(FA, "residual", {"model.encoder": "residual"}),
    variant(FA, "split_band", {"model.split_band": True}),
    variant(FA, "deltas", {"model.deltas": True}),
    variant(FA, "band", BAND),
    variant(FA, "restarts", RESTARTS),
    variant(FA, "network", NETWORK),
    variant(FA, "recipe", NETWORK | RECIPE | RESTARTS),
    CMAM,
    variant(CMAM, "cmam_network", NETWORK),
    variant(CMAM, "cmam_recipe", NETWORK | RECIPE | RESTARTS),
)
