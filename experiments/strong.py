"""A modern recipe on top of CMAM feature-based, at the demo's scale: each ingredient alone, then together; and a small student.

Not a part of the reproduction: the paper mentions none of it. `student_distilled` learns from the tables that
`crossask-evaluate --training_clips` writes for the row `base`; give their paths (joined by ";") as distillation.teacher.
"""

import dataclasses
from pathlib import Path

from crossask import config
from crossask.config import AugmentationConfig, DistillationConfig

_demo = {row.name: row for row in config.read_experiments(str(Path(__file__).with_name("demo.py")))}
# masks and mixing slow learning down: twice the demo's epochs for every row, with the schedule that experiments/fine_tuning.py found good
TRAINING = dataclasses.replace(_demo["fa"].training, epochs=20, schedule="cosine", warmup_epochs=2)
BASE = dataclasses.replace(_demo["cmam_feature_based"], name="base", training=TRAINING)
MASKS = AugmentationConfig(
    time_masks=2, time_mask_frames=25, frequency_masks=2, frequency_mask_bins=8
)
TOGETHER = dataclasses.replace(
    MASKS, mixup_alpha=0.3, time_roll=True, swap_channels=True, label_smoothing=0.1
)


def varied(name: str, **changes) -> config.Experiment:
    return dataclasses.replace(BASE, name=name, augmentation=AugmentationConfig(**changes))


def averaged(name: str, **changes) -> config.Experiment:
    return dataclasses.replace(BASE, name=name, training=dataclasses.replace(TRAINING, **changes))


# a fifteenth of the demo's FA, for small devices
STUDENT = dataclasses.replace(
    _demo["fa"],
    name="student",
    training=TRAINING,
    model=dataclasses.replace(
        BASE.model, encoder_channels=(4, 8, 8, 16), pooling_heads=2, pooling_dim=16
    ),
)

ROWS = (
    BASE,
    varied("mixup", mixup_alpha=0.3),
    dataclasses.replace(BASE, name="masks", augmentation=MASKS),
    varied("time_roll", time_roll=True),
    varied("swap_channels", swap_channels=True),
    varied("crop", crop_frames=125),
    varied("label_smoothing", label_smoothing=0.1),
    averaged("ema", average_decay=0.98),
    averaged("swa", average_decay=1.0, average_every="epoch", average_from=15),
    dataclasses.replace(
        BASE, name="both_orders", model=dataclasses.replace(BASE.model, both_channel_orders=True)
    ),
    dataclasses.replace(
        BASE,
        name="together",
        augmentation=TOGETHER,
        training=averaged("", average_decay=0.98).training,
    ),
    STUDENT,
    dataclasses.replace(
        STUDENT, name="student_distilled", distillation=DistillationConfig(teacher="teacher.csv")
    ),
)
