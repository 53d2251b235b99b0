"""Several folds of one corpus: their predictions pooled, and the spread over folds kept apart from that over seeds."""

import numpy as np
import pandas as pd

from crossask.errors import DataError
from crossask.evaluation.predictions import scenes_of
from crossask.evaluation.views import View, aligned, deviation


def pool(tables) -> pd.DataFrame:
    """One table from the tables of several folds; a clip that stands in two of them is a DataError."""
    tables = list(tables)
    scenes = [set(scenes_of(table)) for table in tables]
    if any(other != scenes[0] for other in scenes):
        raise DataError(
            "The folds to pool know different scenes.", "Pool folds of one corpus only."
        )
    # location or city is kept only where every fold has it: half a column would be a location called "nan"
    pooled = pd.concat(tables, ignore_index=True, join="inner")
    twice = pooled["clip"][pooled["clip"].duplicated()]
    if len(twice):
        raise DataError(
            f"Clip {twice.iloc[0]!r} stands in two folds' predictions.", "Pool each fold once."
        )
    return pooled


def spread(tables: dict) -> dict:
    """How far macro accuracy moves from fold to fold and, apart from it, from seed to seed; tables: (fold, seed) -> table.

    Folds differ because their locations do; seeds differ because training does. A deviation over all runs at once would
    mix the two and be taken for either.

    Returns:
      fold_means: fold -> mean over seeds.
      seed_means: seed -> score of the clips of all folds pooled (not the mean of the folds' scores).
      fold_deviation: of fold_means, over folds; it still holds 1 / seeds of the seeds' variance within a fold.
      seed_deviation: of seed_means, over seeds: the one to put beside a pooled score.
      within_fold_seed_deviation: root of the mean over folds of the variance over seeds within a fold.
      All with n - 1, fractions; a deviation is None where there is one fold, or one seed, only.

    Raises:
      DataError: no table, a seed that lacks a fold, seeds of different clips, a clip in two folds.
    """
    folds, seeds = (
        list(dict.fromkeys(fold for fold, _ in tables)),
        list(dict.fromkeys(seed for _, seed in tables)),
    )
    if not tables:
        raise DataError(
            "No table of predictions was given.", "Give one table for each fold and seed."
        )
    missing = [(fold, seed) for fold in folds for seed in seeds if (fold, seed) not in tables]
    if missing:
        raise DataError(
            f"Seed {missing[0][1]} has no predictions of fold {missing[0][0]}.",
            "Give only seeds that have run every fold.",
        )
    scores = np.array(
        [
            [view.macro_accuracy for view in aligned(tables[fold, seed] for seed in seeds)]
            for fold in folds
        ]
    )
    fold_means = scores.mean(axis=1)
    seed_means = [View(pool(tables[fold, seed] for fold in folds)).macro_accuracy for seed in seeds]
    within = float(np.sqrt(np.var(scores, axis=1, ddof=1).mean())) if len(seeds) > 1 else None
    return {
        "fold_means": {fold: float(mean) for fold, mean in zip(folds, fold_means, strict=True)},
        "seed_means": dict(zip(seeds, seed_means, strict=True)),
        "fold_deviation": deviation(fold_means),
        "seed_deviation": deviation(seed_means),
        "within_fold_seed_deviation": within,
    }
