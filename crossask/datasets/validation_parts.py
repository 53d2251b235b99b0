"""The validation part of a training fold: the corpus's own, or drawn by location, or none."""

import collections
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from crossask.datasets.clips import Clip, Corpus, Fold
from crossask.errors import DataError

# Draws of a validation part, of which the best is used, as in the DCASE 2019 baseline.
DRAWS = 100

# Keeps the draws apart from other uses of the same seed.
SEED_KEY = 0x5EED


def training_parts(
    corpus: Corpus, fold: Fold, share: float, seed: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the clips to train on and the clips to validate on.

    Args:
      corpus: The corpus.
      fold: The fold. If it has a validation part, that part is used; else see `validation_split`.
      share: Share of the training clips that is drawn for validation. With 0, all of them are
        trained on, those of the fold's own validation part, too.
      seed: Seed of the draw.

    Returns:
      Ids of the training part, and ids of the validation part; () without one.
    """
    if share == 0:
        return fold.train, ()
    if not fold.validation:
        return validation_split(corpus, fold.train, share, seed)
    validation = set(fold.validation)
    training = tuple(clip_id for clip_id in fold.train if clip_id not in validation)
    return training, fold.validation


def validation_split(
    corpus: Corpus, train_ids: Sequence[str], share: float, seed: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Draws a validation part of a training fold that shares no location with the rest.

    As in the DCASE 2019 baseline, ceil(share * locations) of the locations of each scene and city
    are drawn, 100 times for each scene; the draw whose share of clips is nearest to `share` is
    used. Unlike there, never all locations of a city are drawn, so that every scene and city stays
    in the training part.

    Args:
      corpus: The corpus.
      train_ids: Ids of the clips of the training fold.
      share: Share for validation, above 0 and below 1.
      seed: Seed of the draws.

    Returns:
      Ids of the training part and ids of the validation part, in the order of `train_ids`.

    Raises:
      DataError: The share is out of range, or a scene has too few locations.
    """
    if not 0 < share < 1:
        raise DataError(
            f"The validation share is {share}.", "Set training.validation_share between 0 and 1."
        )
    clip_of = {clip.id: clip for clip in corpus.clips}
    clips = [clip_of[clip_id] for clip_id in train_ids]
    rng = np.random.default_rng(np.random.SeedSequence([seed, SEED_KEY]))
    chosen = set()
    for scene in sorted({clip.scene for clip in clips}):
        of_scene = [clip for clip in clips if clip.scene == scene]
        chosen |= _chosen_locations(of_scene, share, rng)
    # A location that was recorded for two scenes is in the validation part with both of them, so
    # that it is not on both sides.
    training = [clip for clip in clips if clip.location not in chosen]
    validation = [clip for clip in clips if clip.location in chosen]
    missing = {clip.scene for clip in clips} - {clip.scene for clip in training}
    if missing:
        raise DataError(
            f"No training clip of {', '.join(sorted(missing))} is left after the validation split.",
            "Lower training.validation_share, or add locations of these scenes.",
        )
    return _ids(training), _ids(validation)


def _chosen_locations(clips: Sequence[Clip], share: float, rng: np.random.Generator) -> set[str]:
    """Returns the locations of one scene's validation part: the best of 100 draws."""
    cities: dict[str, set[str]] = {}
    for clip in clips:
        cities.setdefault(clip.city, set()).add(clip.location)
    locations = set().union(*cities.values())
    if len(locations) < 2:
        raise DataError(
            f"Scene {clips[0].scene!r} has one location in the training fold: nothing is left to "
            "validate on.",
            "Record more locations of it, or leave the scene out.",
        )
    pools = _pools(cities)
    clips_at = collections.Counter(clip.location for clip in clips)
    draws = [_draw(pools, share, rng) for _ in range(DRAWS)]

    def distance(drawn: set[str]) -> float:
        drawn_clips = sum(clips_at[location] for location in drawn)
        return abs(drawn_clips / len(clips) - share)

    return min(draws, key=distance)


def _pools(cities: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Returns groups of locations, from each of which a share is drawn: a city each.

    A city's only location cannot be on both sides, so such cities are one group together.
    """
    pools = []
    single = []
    for locations in cities.values():
        if len(locations) > 1:
            pools.append(sorted(locations))
        else:
            single += locations
    if single:
        pools.append(sorted(set(single)))
    # The order decides the draws, so it must not depend on the order of the clips.
    return sorted(pools)


def _draw(pools: Iterable[Sequence[str]], share: float, rng: np.random.Generator) -> set[str]:
    """Draws ceil(share * n) of the n locations of each group, but never all."""
    drawn = set()
    for pool in pools:
        count = min(math.ceil(share * len(pool)), len(pool) - 1)
        drawn.update(rng.permutation(pool)[:count].tolist())
    return drawn


def _ids(clips: Iterable[Clip]) -> tuple[str, ...]:
    return tuple(clip.id for clip in clips)
