"""ESC-10 with the published YAMNet: two of the remedies for fine-tuning of fine_tuning.py.

That study has the demo's scale; this one has real recordings and an event model of full size. Rows
that train YAMNet have 6 epochs (108 steps), because its backward pass is slow on two CPU cores. The
study is not part of the reproduction.
"""

from pathlib import Path

from crossask import config

ESC10 = Path(__file__).with_name("esc10.py")
FEATURE_BASED, FINE_TUNING = config.read_experiments(f"{ESC10}:cmam_feature_based,cmam_fine_tuning")
ONE_RATE = config.override(FINE_TUNING, {"training.epochs": 6})


def remedy(name: str, changes: dict) -> config.Experiment:
    """Returns the row with one learning rate with another name and with `changes`."""
    return config.override(ONE_RATE, {"name": name, **changes})


ROWS = (
    FEATURE_BASED,
    ONE_RATE,
    remedy("warmup_cosine", {"training.schedule": "cosine", "training.warmup_epochs": 1}),
    remedy("l2_to_start", {"fine_tuning.l2_to_start": 10.0}),
)
