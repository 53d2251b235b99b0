"""The tables of a teacher's predictions, from which a student learns (`distillation.teacher`)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from crossask import config, evaluation, stored
from crossask.config import DistillationConfig
from crossask.datasets import Corpus
from crossask.errors import DataError
from crossask.training.run_folder import Run

# The sum of a clip's probabilities, which a table rounds, may be below 1 by this much.
MOST_MISSING = 2e-3


def probabilities(
    distillation: DistillationConfig, corpus: Corpus, clip_ids: Sequence[str]
) -> dict[str, np.ndarray] | None:
    """Returns {clip id: mean probabilities of the teacher's tables}; None without a teacher.

    The probabilities are in the order of the corpus's scenes.

    Raises:
      DataError: A table cannot be read, or lacks clips or scenes.
    """
    paths = _paths(distillation)
    if not paths:
        return None
    scenes = list(corpus.scenes)
    total = 0.0
    for path in paths:
        table = evaluation.read_predictions(path).set_index("clip")
        missing = [clip_id for clip_id in clip_ids if clip_id not in table.index]
        problem = ""
        if missing:
            problem = f"{len(missing)} of {len(clip_ids)} training clips"
        elif set(scenes) - set(table.columns):
            problem = "some of the corpus's scenes"
        if problem:
            raise DataError(
                f"The teacher's table {path} lacks {problem}.",
                "Write it with crossask-evaluate --training_clips, on the same fold.",
            )
        found = table.loc[list(clip_ids), scenes].to_numpy(np.float64)
        least = found.sum(axis=1).min()
        if least < 1 - MOST_MISSING:
            raise DataError(
                f"The teacher's table {path} has other scenes, too: the probabilities of the "
                f"corpus's scenes sum to {least:.3g} for some clip.",
                "Use a teacher that was trained on the scenes of the corpus.",
            )
        total = total + found
    return dict(zip(clip_ids, total / len(paths), strict=True))


def digest(distillation: DistillationConfig) -> str:
    """Returns hexadecimal digits that change with the teacher's tables; "" without a teacher.

    Raises:
      DataError: A table cannot be read.
    """
    paths = _paths(distillation)
    if not paths:
        return ""
    found = []
    for path in paths:
        try:
            found.append(stored.sha256(Path(path)))
        except OSError as error:
            raise DataError(
                f"The teacher's table {path} cannot be read ({error.strerror}).",
                "Write it with crossask-evaluate --training_clips, on the same fold.",
            ) from error
    return config.digest(found)


def check(run: Run, found: str) -> None:
    """Raises DataError unless `found`, see `digest`, is that of the tables the run began with."""
    if not run.began_with("teacher_digest", found):
        raise DataError(
            f"{run.folder} began with other tables than distillation.teacher="
            f"{run.experiment().distillation.teacher!r} contains now.",
            "Restore the files that it began with, or train again in another --model_dir.",
        )


def _paths(distillation: DistillationConfig) -> list[str]:
    """Returns the paths of the teacher's tables, which semicolons separate in the field."""
    return [path.strip() for path in distillation.teacher.split(";") if path.strip()]
