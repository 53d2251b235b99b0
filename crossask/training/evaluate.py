"""Predictions of finished runs."""

import numpy as np
import pandas as pd
import tensorflow as tf

from crossask.datasets import Corpus, training_parts
from crossask.features import controls
from crossask.features.batches import evaluation_batches, ordered
from crossask.training import network, run_folder
from crossask.training.run import MOST_CLIPS, check_division


def predict(
    run: run_folder.Run, corpus: Corpus, cache, clip_ids=None, swap_events: bool = False
) -> pd.DataFrame:
    """Predictions of a finished run on its evaluation fold: clip, location, city, truth, one probability a scene.

    With `swap_events` each clip's embedding is that of a clip of another scene: two more columns, events_of (that clip) and
    events_truth (its scene).
    """
    fold, settings = corpus.fold(run.fold), run.experiment().training
    clip_ids = fold.evaluation if clip_ids is None else clip_ids
    parts = training_parts(corpus, fold, settings.validation_share, settings.validation_seed)
    check_division(run, (*parts, fold.evaluation))
    network.check_event_model(run, cache.event_digest)
    cache = controls.controlled(cache, corpus, run.experiment(), run.fold, run.seed)
    donors = None
    if swap_events:
        cache, donors = controls.swapped(cache, corpus, clip_ids, run.seed)
    model, size = network.load(run), min(run.experiment().training.batch_size, MOST_CLIPS)
    step = tf.function(
        lambda inputs: tf.nn.softmax(tf.cast(model(inputs, training=False), tf.float32)),
        reduce_retracing=True,
    )
    batches = evaluation_batches(cache, corpus, clip_ids, size)
    probabilities = np.concatenate([step(inputs).numpy() for inputs, _, _ in batches])[
        : len(clip_ids)
    ]
    clips = {clip.id: clip for clip in corpus.clips}
    rows = [clips[clip_id] for clip_id in ordered(cache, clip_ids)]
    table = pd.DataFrame(
        [{"clip": c.id, "location": c.location, "city": c.city, "truth": c.scene} for c in rows]
    )
    for column in ("location", "city"):  # known of all clips or of none
        if not table[column].astype(bool).all():
            table[column] = ""
    if donors:
        table["events_of"] = table["clip"].map(donors)
        table["events_truth"] = table["events_of"].map(
            {clip.id: clip.scene for clip in corpus.clips}
        )
    return pd.concat(
        [table, pd.DataFrame(probabilities, columns=list(corpus.scenes))], axis=1
    ).sort_values("clip", ignore_index=True)
