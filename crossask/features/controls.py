"""Controls of what an event model contributes: embeddings put in place of a clip's own, as a feature cache like any other."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import tensorflow as tf

from crossask import config
from crossask.datasets import Corpus, training_parts
from crossask.errors import DataError
from crossask.features.cache import CLIPS_PER_SHARD, FeatureCache, record, write_shard


def controlled(
    cache: FeatureCache, corpus: Corpus, experiment: config.Experiment, fold: str, seed: int
) -> FeatureCache:
    """The cache with the embeddings that `experiment.event_control` asks for; written beside the cache's own, once.

    "other_clip": those of another clip, by a derangement drawn by `seed` within the training part, the validation part and the
    evaluation side of the fold each. "shuffled_in_time": a clip's own, its patches in another order. "true_events": no
    embeddings but the truth, [patches, kinds], the share of each patch's time in which an event of each kind sounds; of
    corpora that tell it (events.csv).

    Raises:
      DataError: the corpus does not tell its events, or a side has a single clip.
    """
    control = experiment.event_control
    if not control:
        return cache
    if control == "true_events":
        values = _true_events(cache, corpus, experiment.features.clip_seconds)
        return _written(
            cache,
            values,
            f"{control}-{config.digest({clip: value.tolist() for clip, value in values.items()})}",
        )
    embeddings = read_embeddings(cache)
    if control == "other_clip":
        settings, wanted = experiment.training, corpus.fold(fold)
        parts = (
            *training_parts(corpus, wanted, settings.validation_share, settings.validation_seed),
            wanted.evaluation,
        )
        donors = {}
        for number, ids in enumerate(parts):
            donors |= derangement(sorted(ids), np.random.default_rng([seed, number, 0xC0]))
        values = {clip: embeddings[donors.get(clip, clip)] for clip in cache.clip_ids}
        return _written(cache, values, f"{control}-seed{seed}-{config.digest(donors)}")
    rng = np.random.default_rng([seed, 0x71])
    return _written(
        cache,
        {clip: rng.permutation(embeddings[clip]) for clip in cache.clip_ids},
        f"{control}-seed{seed}",
    )


def swapped(
    cache: FeatureCache, corpus: Corpus, clip_ids, seed: int
) -> tuple[FeatureCache, dict[str, str]]:
    """For a trained model: the cache with each clip's embedding taken from a clip of another scene; {clip: that other clip}.

    Raises:
      DataError: more than half of the clips are of one scene.
    """
    rng = np.random.default_rng([seed, 0x5A])
    scene = {clip.id: clip.scene for clip in corpus.clips}
    by_scene = [
        rng.permutation([clip for clip in sorted(clip_ids) if scene[clip] == name]).tolist()
        for name in corpus.scenes
    ]
    largest, order = max(map(len, by_scene)), [clip for clips in by_scene for clip in clips]
    if 2 * largest > len(order):
        raise DataError(
            f"{largest} of {len(order)} clips are of one scene: not every clip finds one of another.",
            "Give more clips.",
        )
    # a shift by the largest scene's size leaves every scene
    donors = dict(zip(order, order[largest:] + order[:largest], strict=True))
    embeddings = read_embeddings(cache)
    values = {clip: embeddings[donors.get(clip, clip)] for clip in cache.clip_ids}
    return _written(cache, values, f"swapped-seed{seed}-{config.digest(order)}"), donors


def derangement(clip_ids, rng) -> dict[str, str]:
    """{clip: another clip}, each given once: one cycle through all of them in random order."""
    if len(clip_ids) < 2:
        raise DataError(
            f"A side of the fold has {len(clip_ids)} clip: there is no other to take an embedding from.",
            "Add clips.",
        )
    order = rng.permutation(clip_ids).tolist()
    return dict(zip(order, order[1:] + order[:1], strict=True))


def read_embeddings(cache: FeatureCache) -> dict[str, np.ndarray]:
    """{clip: embedding [patches, width]}, all of them: of ten seconds 5 kB a clip."""
    values, format_ = {}, {name: tf.io.FixedLenFeature([], tf.string) for name in ("clip", "value")}
    for text in tf.data.TFRecordDataset(cache.shards("embedding")).as_numpy_iterator():
        example = tf.io.parse_single_example(text, format_)
        values[example["clip"].numpy().decode()] = np.frombuffer(
            example["value"].numpy(), "<f4"
        ).reshape(cache.shapes["embedding"])
    return values


def _true_events(cache: FeatureCache, corpus: Corpus, clip_seconds: float) -> dict[str, np.ndarray]:
    patches = cache.shapes["embedding"][0]
    edges = np.arange(patches + 1) * clip_seconds / patches
    path = Path(corpus.clips[0].path).parent.parent / "events.csv"
    if not path.is_file():
        raise DataError(
            f"Corpus {corpus.name!r} does not tell its events: there is no {path}.",
            "Use the corpus soundscapes.",
        )
    with open(path, newline="", encoding="utf-8") as file:
        table = csv.DictReader(file, delimiter="\t")
        if missing := {"filename", "onset", "offset", "event_label"} - set(table.fieldnames or ()):
            raise DataError(
                f"{path} has no column {', '.join(sorted(missing))}.",
                "Use the corpus soundscapes, or a table of its form.",
            )
        events = list(table)
    kinds = sorted({event["event_label"] for event in events})
    clips = {Path(clip.path).name: clip.id for clip in corpus.clips}
    values = {clip: np.zeros((patches, len(kinds)), np.float32) for clip in cache.clip_ids}
    for event in events:
        clip = clips.get(Path(event["filename"]).name)
        if clip in values:
            sounds = np.minimum(edges[1:], float(event["offset"])) - np.maximum(
                edges[:-1], float(event["onset"])
            )
            column = values[clip][:, kinds.index(event["event_label"])]
            # two trolleys at once are no more than a trolley
            np.maximum(column, np.clip(sounds * patches / clip_seconds, 0, 1), out=column)
    return values


def _written(cache: FeatureCache, values: dict[str, np.ndarray], name: str) -> FeatureCache:
    """The cache with `values` as its embeddings, in the folder of its own embeddings followed by `name`."""
    folder = cache.folders["embedding"].with_name(f"{cache.folders['embedding'].name}-{name}")
    shape = next(iter(values.values())).shape
    changed = dataclasses.replace(
        cache,
        folders={**cache.folders, "embedding": folder},
        shapes={**cache.shapes, "embedding": shape},
    )
    for number, shard in enumerate(changed.shards("embedding")):
        if not Path(shard).is_file():
            clips = cache.clip_ids[number * CLIPS_PER_SHARD : (number + 1) * CLIPS_PER_SHARD]
            write_shard(shard, (record(clip, values[clip]) for clip in clips))
    return changed
