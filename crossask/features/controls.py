"""Controls of an event model's contribution: feature caches with other embeddings than the clip's.

A control row (`Experiment.event_control`) is trained and evaluated on such a cache.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from crossask import config, files, text_tables
from crossask.config import Experiment
from crossask.datasets import Corpus, training_parts
from crossask.errors import DataError
from crossask.features import records, verification
from crossask.features.cache import FeatureCache

# Numbers in the seeds that keep the random draws of different controls apart.
OTHER_CLIP_KEY = 0xC0
SHUFFLE_KEY = 0x71
SWAP_KEY = 0x5A

EVENT_COLUMNS = ("filename", "onset", "offset", "event_label")

Embeddings = dict[str, np.ndarray]  # clip id -> [patches, width]


def controlled(
    cache: FeatureCache, corpus: Corpus, experiment: Experiment, fold: str, seed: int
) -> FeatureCache:
    """Returns the cache with the embeddings that `experiment.event_control` describes.

    They are written beside the cache's own embeddings, once.

    * other_clip: Embeddings of another clip, by a derangement within the training part, the
      validation part, if there is one, and the evaluation fold each.
    * shuffled_in_time: The clip's own embeddings with their patches in another order.
    * true_events: No embeddings but the truth, [patches, kinds of events]: the share of each patch
      in which an event of each kind sounds, from the corpus's events.csv.

    Args:
      cache: Features of the corpus.
      corpus: The corpus.
      experiment: The row; without a control, the cache is returned as it is.
      fold: Name of the fold.
      seed: Seed of the derangement or the shuffling.

    Raises:
      DataError: The corpus has no events.csv, a part of the fold has a single clip, or a clip has a
        single patch.
    """
    control = experiment.event_control
    if control == "other_clip":
        return _with_other_clips(cache, corpus, experiment, fold, seed)
    if control == "shuffled_in_time":
        return _shuffled_in_time(cache, seed)
    if control == "true_events":
        return _with_true_events(cache, corpus, experiment.features.clip_seconds)
    return cache


def swapped(
    cache: FeatureCache, corpus: Corpus, clip_ids: Sequence[str], seed: int
) -> tuple[FeatureCache, dict[str, str]]:
    """Returns a cache in which each clip has the embedding of a clip of another scene.

    It is used with a trained model, to see whether its predictions follow log-mel or embedding.

    Args:
      cache: Features of the corpus.
      corpus: The corpus.
      clip_ids: The clips to exchange.
      seed: Seed of the exchange.

    Returns:
      The cache, and {clip id: id of the clip whose embedding it has}.

    Raises:
      DataError: More than half of the clips belong to one scene.
    """
    rng = np.random.default_rng([seed, SWAP_KEY])
    scene_of = {clip.id: clip.scene for clip in corpus.clips}
    order = []
    largest = 0
    for scene in corpus.scenes:
        of_scene = [clip_id for clip_id in sorted(clip_ids) if scene_of[clip_id] == scene]
        order += rng.permutation(of_scene).tolist()
        largest = max(largest, len(of_scene))
    if 2 * largest > len(order):
        raise DataError(
            f"{largest} of {len(order)} clips belong to one scene, so that not every clip can be "
            "paired with a clip of another scene.",
            "Add clips of other scenes.",
        )
    # The clips are sorted by scene, so a shift by the largest scene's size leaves every scene.
    shifted = order[largest:] + order[:largest]
    donors = dict(zip(order, shifted, strict=True))
    values = _from_donors(cache, donors)
    return _written(cache, values, f"swapped-seed{seed}-{config.digest(order)}"), donors


def derangement(clip_ids: Sequence[str], rng: np.random.Generator) -> dict[str, str]:
    """Returns {clip id: another clip id}, each used once: one random cycle through all clips."""
    if len(clip_ids) < 2:
        raise DataError(
            f"A part of the fold has {len(clip_ids)} clip, so there is no other clip to take an "
            "embedding from.",
            "Add clips.",
        )
    order = rng.permutation(clip_ids).tolist()
    following = order[1:] + order[:1]
    return dict(zip(order, following, strict=True))


def read_embeddings(cache: FeatureCache) -> Embeddings:
    """Returns all embeddings of a cache by clip id; those of 10 s take 5 kB a clip."""
    return dict(records.read_clips(cache.shards("embedding")))


def _with_other_clips(
    cache: FeatureCache, corpus: Corpus, experiment: Experiment, fold: str, seed: int
) -> FeatureCache:
    """Returns the cache with embeddings of another clip of the same part; see `controlled`."""
    settings = experiment.training
    wanted = corpus.fold(fold)
    training, validation = training_parts(
        corpus, wanted, settings.validation_share, settings.validation_seed
    )
    donors = {}
    for number, clip_ids in enumerate((training, validation, wanted.evaluation)):
        # A row may have no validation part.
        if not clip_ids:
            continue
        rng = np.random.default_rng([seed, number, OTHER_CLIP_KEY])
        donors |= derangement(sorted(clip_ids), rng)
    values = _from_donors(cache, donors)
    return _written(cache, values, f"other_clip-seed{seed}-{config.digest(donors)}")


def _shuffled_in_time(cache: FeatureCache, seed: int) -> FeatureCache:
    """Returns the cache with each clip's patches in a random order; see `controlled`."""
    if cache.shapes["embedding"][0] < 2:
        raise DataError(
            "event_control is 'shuffled_in_time', but a clip has one patch of the event model, and "
            "so no order in time.",
            "Use event_control=other_clip, or longer clips (features.clip_seconds).",
        )
    rng = np.random.default_rng([seed, SHUFFLE_KEY])
    embeddings = read_embeddings(cache)
    values = {clip_id: rng.permutation(embeddings[clip_id]) for clip_id in cache.clip_ids}
    return _written(cache, values, f"shuffled_in_time-seed{seed}")


def _with_true_events(cache: FeatureCache, corpus: Corpus, clip_seconds: float) -> FeatureCache:
    """Returns the cache with true events in place of embeddings; see `controlled`."""
    values = _true_events(cache, corpus, clip_seconds)
    digest = config.digest({clip_id: value.tolist() for clip_id, value in values.items()})
    return _written(cache, values, f"true_events-{digest}")


def _from_donors(cache: FeatureCache, donors: Mapping[str, str]) -> Embeddings:
    """Returns for every clip the embedding of its donor; a clip without a donor keeps its own."""
    embeddings = read_embeddings(cache)
    return {clip_id: embeddings[donors.get(clip_id, clip_id)] for clip_id in cache.clip_ids}


def _true_events(cache: FeatureCache, corpus: Corpus, clip_seconds: float) -> Embeddings:
    """Returns for every clip the share of each patch in which each kind of event sounds."""
    patches = cache.shapes["embedding"][0]
    edges = np.arange(patches + 1) * clip_seconds / patches  # seconds
    # The sound files are in <corpus>/audio.
    folder = Path(corpus.clips[0].path).parent.parent
    table = _read_events(folder / "events.csv", corpus.name)
    kinds = sorted({event["event_label"] for event in table})
    clip_of_file = _clips_by_file(corpus)
    if not any(_is_of_corpus(event["filename"], folder, clip_of_file) for event in table):
        raise DataError(
            f"{folder / 'events.csv'} has no events of any clip of corpus {corpus.name!r}.",
            "Its column filename contains the names of the clips' files.",
        )
    values = {clip_id: np.zeros((patches, len(kinds)), np.float32) for clip_id in cache.clip_ids}
    for event in table:
        clip_id = clip_of_file.get(Path(event["filename"]).name)
        if clip_id not in values:
            continue
        last_start = np.maximum(edges[:-1], float(event["onset"]))
        first_end = np.minimum(edges[1:], float(event["offset"]))
        share = np.clip((first_end - last_start) * patches / clip_seconds, 0, 1)
        column = values[clip_id][:, kinds.index(event["event_label"])]
        # Overlapping events of one kind do not add up.
        np.maximum(column, share, out=column)
    return values


def _clips_by_file(corpus: Corpus) -> dict[str, str]:
    """Returns {name of a file: id of its clip}; raises DataError if two clips have one name."""
    clip_of_file: dict[str, str] = {}
    for clip in corpus.clips:
        first = clip_of_file.setdefault(Path(clip.path).name, clip.id)
        if first != clip.id:
            raise DataError(
                f"The clips {first!r} and {clip.id!r} have files of one name, so it is not known "
                "which of them an event of events.csv is in.",
                "Use the corpus soundscapes, or files of different names that are not cut into "
                "clips.",
            )
    return clip_of_file


def _is_of_corpus(file: str, folder: Path, clip_of_file: Mapping[str, str]) -> bool:
    """Returns whether a file of events.csv is one of the corpus, of which a part may be read."""
    return Path(file).name in clip_of_file or (folder / file).is_file()


def _read_events(path: Path, corpus_name: str) -> tuple[dict[str, str], ...]:
    """Returns the lines of events.csv.

    Raises:
      DataError: It is missing, lacks columns, or has a time that is no number.
    """
    if not path.is_file():
        raise DataError(
            f"Corpus {corpus_name!r} has no table of its events: there is no {path}.",
            "Use the corpus soundscapes.",
        )
    table = text_tables.read_tab_separated(path)
    table.require(EVENT_COLUMNS, "Use the corpus soundscapes, or a table of the same format.")
    for number, row in table.numbered_rows():
        for column in ("onset", "offset"):
            if not _is_time(row[column]):
                raise table.line_error(
                    number, f"has the {column} {row[column]!r}", "Give it in seconds, such as 1.5."
                )
    return table.rows


def _is_time(cell: str) -> bool:
    """Returns whether a cell is a finite number."""
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _written(cache: FeatureCache, values: Embeddings, name: str) -> FeatureCache:
    """Returns the cache with `values` as its embeddings, written where they are not yet.

    Their folder is that of the cache's own embeddings with `name` appended.
    """
    own = cache.folders["embedding"]
    folder = own.with_name(f"{own.name}-{name}")
    shape = next(iter(values.values())).shape
    changed = dataclasses.replace(
        cache,
        folders={**cache.folders, "embedding": folder},
        shapes={**cache.shapes, "embedding": shape},
    )
    files.remove_remains(folder)
    verification.remove_incomplete(folder, cache.clip_ids)
    for number, path in enumerate(changed.shards("embedding")):
        if Path(path).is_file():
            continue
        clip_ids = records.clips_of_shard(cache.clip_ids, number)
        encoded = []
        for clip_id in clip_ids:
            encoded.append(records.encode_clip(clip_id, values[clip_id], folder.name))
        records.write_shard(path, encoded)
    return changed
