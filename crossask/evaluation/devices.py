"""Scores by recording device: of each device, and of devices with and without training clips."""

import dataclasses
from collections.abc import Collection, Iterable

import numpy as np
import pandas as pd

from crossask.evaluation.intervals import Bootstrap
from crossask.evaluation.predictions import Predictions, aligned
from crossask.evaluation.scores import Groups, PartScore, part_score, seen_and_unseen


@dataclasses.dataclass(frozen=True)
class DeviceScores:
    """The scores of one row by device: means over its seeds.

    Attributes:
      devices: Device -> score of its clips.
      training_devices: Devices of the training clips; None if they are unknown.
      seen: Score of the clips of these devices; None without such clips, and if they are unknown.
      unseen: The same for the other devices.
      notes: Sentences on how far the intervals can be trusted.
    """

    devices: dict[str, PartScore]
    training_devices: tuple[str, ...] | None
    seen: PartScore | None
    unseen: PartScore | None
    notes: tuple[str, ...]


def score_devices(
    tables: Iterable[pd.DataFrame | Predictions],
    training_devices: Collection[str] | None = None,
    resamples: int = 2000,
) -> DeviceScores | None:
    """Computes the scores of one row of a results table by device.

    The clips of different devices may come from different locations, so that a difference between
    two devices is not that of the devices alone.

    Args:
      tables: Predictions of the same clips, one table for each training seed.
      training_devices: Devices of the training clips; None if they are unknown.
      resamples: Number of draws of the bootstrap.

    Returns:
      The scores; None if the tables have no column `device`.

    Raises:
      DataError: A table is not valid, or the tables have different clips.
    """
    bootstrap = Bootstrap(resamples)
    seeds = aligned(tables)
    first = seeds[0]
    if first.device is None:
        return None
    correct = np.stack([predictions.correct for predictions in seeds], axis=1)  # [clips, seeds]
    scores = {}
    single = []
    for device in sorted(set(first.device)):
        selected = first.device == device
        scores[device] = part_score(first, correct, selected, bootstrap)
        if first.single_unit_scenes(selected):
            single.append(device)
    parts, notes = seen_and_unseen(
        first, correct, Groups("devices", first.device, training_devices), bootstrap
    )
    if single:
        notes.append(
            f"Devices of which a scene has a single {first.unit}: {', '.join(single)}. Their "
            "intervals are too narrow."
        )
    return DeviceScores(
        devices=scores,
        training_devices=None if training_devices is None else tuple(sorted(training_devices)),
        seen=parts.get("seen"),
        unseen=parts.get("unseen"),
        notes=tuple(notes),
    )
