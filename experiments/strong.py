"""A modern training recipe for CMAM feature-based, at the demo's scale, and a small student.

Each ingredient is tried alone, then several together. The paper mentions none of them, and the
study is not part of the reproduction.

"student_distilled" learns from the tables that `crossask-evaluate --training_clips` writes for the
row "base". Give their paths, joined by ";", as distillation.teacher.
"""

from pathlib import Path

from crossask import config

DEMO = Path(__file__).with_name("demo.py")
DEMO_FA, DEMO_CMAM = config.read_experiments(f"{DEMO}:fa,cmam_feature_based")

# Masks and mixup slow learning down, so every row has twice the demo's epochs. The schedule is that
# of the row of fine_tuning.py with the best score on the validation part.
TRAINING = {
    "training.epochs": 20,
    "training.schedule": "cosine",
    "training.warmup_epochs": 2,
}
BASE = config.override(DEMO_CMAM, {"name": "base", **TRAINING})

MASKS = {
    "augmentation.time_masks": 2,
    "augmentation.time_mask_frames": 25,
    "augmentation.frequency_masks": 2,
    "augmentation.frequency_mask_bins": 8,
}
TOGETHER = {
    **MASKS,
    "augmentation.mixup_alpha": 0.3,
    "augmentation.time_roll": True,
    "augmentation.swap_channels": True,
    "augmentation.label_smoothing": 0.1,
    "training.average_decay": 0.98,
}
# The mean of the weights at the ends of the epochs from 15 on.
LAST_EPOCHS = {
    "training.average_decay": 1.0,
    "training.average_every": "epoch",
    "training.average_from": 15,
}

# A network for small devices, with a fifteenth of the parameters of the demo's FA.
STUDENT = config.override(
    DEMO_FA,
    {
        "name": "student",
        "model.encoder_channels": (4, 8, 8, 16),
        "model.pooling_heads": 2,
        "model.pooling_dim": 16,
        **TRAINING,
    },
)


def variant(name: str, changes: dict) -> config.Experiment:
    """Returns the row "base" with another name and with `changes`, {field: value}."""
    return config.override(BASE, {"name": name, **changes})


ROWS = (
    BASE,
    variant("mixup", {"augmentation.mixup_alpha": 0.3}),
    variant("masks", MASKS),
    variant("time_roll", {"augmentation.time_roll": True}),
    variant("swap_channels", {"augmentation.swap_channels": True}),
    variant("crop", {"augmentation.crop_frames": 125}),
    variant("label_smoothing", {"augmentation.label_smoothing": 0.1}),
    variant("ema", {"training.average_decay": 0.98}),
    variant("swa", LAST_EPOCHS),
    variant("both_orders", {"model.both_channel_orders": True}),
    variant("together", TOGETHER),
    STUDENT,
    config.override(STUDENT, {"name": "student_distilled", "distillation.teacher": "teacher.csv"}),
)
