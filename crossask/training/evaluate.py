"""Predictions and scores of finished runs. No other module predicts the evaluation fold."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from crossask import evaluation, files, stored
from crossask.config import Experiment
from crossask.datasets import Corpus
from crossask.features import controls
from crossask.features.batches import EvaluationData
from crossask.features.cache import FeatureCache
from crossask.features.verification import damage_named
from crossask.tracing import as_written
from crossask.training import network
from crossask.training.event_scores import EVENT_SCORES, write_event_scores
from crossask.training.parts import check_same_data, parts_of
from crossask.training.run import prediction_batch_size
from crossask.training.run_folder import Run

# Controls of CMAM that read one of the two inputs alone.
ONE_INPUT = ("events_alone", "scene_queries_scene")


def evaluate_run(run: Run, corpus: Corpus, cache: FeatureCache) -> None:
    """Predicts the evaluation fold of a finished run and writes predictions.csv and scores.json.

    If the run's event model is frozen and has a head, writes event_scores.csv, too.
    """
    write_table(run, "predictions.csv", predict(run, corpus, cache))
    with damage_named(cache):
        write_event_scores(run, corpus, cache, corpus.fold(run.fold).evaluation)
    # Scores are those of the file, whose probabilities have fewer digits.
    table = evaluation.read_predictions(run.path("predictions.csv"))
    scores = evaluation.score(table, seen_cities=corpus.training_cities(run.fold))
    content = evaluation.to_json(scores)
    devices = evaluation.score_devices([table], corpus.training_devices(run.fold))
    if devices:
        content["devices"] = evaluation.to_json(devices)
    beside = ("predictions.csv", EVENT_SCORES)
    stored.write_json(run.path("scores.json"), content, beside)


def predict_training_clips(run: Run, corpus: Corpus, cache: FeatureCache) -> None:
    """Predicts the training fold of a finished run and writes training_predictions.csv."""
    clip_ids = corpus.fold(run.fold).train
    write_table(run, "training_predictions.csv", predict(run, corpus, cache, clip_ids))


def evaluate_swapped(run: Run, corpus: Corpus, cache: FeatureCache) -> None:
    """Predicts the evaluation fold with each clip's embedding taken from a clip of another scene.

    Writes swapped_predictions.csv, and which input the predictions follow as swapped.json.
    """
    table = predict(run, corpus, cache, swap_events=True)
    write_table(run, "swapped_predictions.csv", table)
    shares = evaluation.whose_scene(table)
    stored.write_json(
        run.path("swapped.json"), evaluation.to_json(shares), ("swapped_predictions.csv",)
    )


def reads_two_inputs(experiment: Experiment) -> bool:
    """Returns whether a row reads log-mel and frozen embeddings, so that these can be swapped."""
    if experiment.event_input != "embedding" or not experiment.reads_log_mel:
        return False
    is_control = experiment.model.cross_attention in ONE_INPUT
    return not (experiment.system == "CMAM" and is_control)


def predict(
    run: Run,
    corpus: Corpus,
    cache: FeatureCache,
    clip_ids: Sequence[str] | None = None,
    swap_events: bool = False,
) -> pd.DataFrame:
    """Returns the predictions of a finished run.

    Args:
      run: The run.
      corpus: The corpus that it was trained on.
      cache: Features of the corpus.
      clip_ids: Clips to predict; None is the evaluation fold.
      swap_events: Whether each clip has the embedding of a clip of another scene. For a row with
        the control other_clip, this exchange replaces that of the control.

    Returns:
      A table sorted by clip: clip, location, city, device (if all clips have one), truth, and one
      probability a scene; with `swap_events` also events_of (the clip whose embedding was used)
      and events_truth (its scene).

    Raises:
      DataError: The run is not finished, a file of features is damaged, or recordings or parts of
        the fold have changed since its training.
      WeightsError: The event model has changed since its training.
    """
    experiment = run.experiment()
    parts = parts_of(corpus, run.fold, experiment.training)
    check_same_data(run, corpus, parts)
    network.check_event_model(run, cache.event_digest)
    if clip_ids is None:
        clip_ids = parts.evaluation
    donors = {}
    with damage_named(cache):
        # The control other_clip exchanges embeddings, too. Swapped once more, a clip would not have
        # that of the clip which the table names.
        if not (swap_events and experiment.event_control == "other_clip"):
            cache = controls.controlled(cache, corpus, experiment, run.fold, run.seed)
        if swap_events:
            cache, donors = controls.swapped(cache, corpus, clip_ids, run.seed)
        data = EvaluationData(cache, corpus, clip_ids, prediction_batch_size(experiment))
        probabilities = _probabilities(run, data)

    table = _clip_columns(corpus, data.ordered_clip_ids)
    if swap_events:
        scene_of = {clip.id: clip.scene for clip in corpus.clips}
        table["events_of"] = table["clip"].map(donors)
        table["events_truth"] = table["events_of"].map(scene_of)
    scores = pd.DataFrame(probabilities, columns=list(corpus.scenes))
    return pd.concat([table, scores], axis=1).sort_values("clip", ignore_index=True)


def write_table(run: Run, name: str, table: pd.DataFrame) -> None:
    """Writes a table as one of the run's CSV files."""
    with files.writing(run.path(name)) as temporary:
        table.to_csv(temporary, index=False)


def _probabilities(run: Run, data: EvaluationData) -> np.ndarray:
    """Returns probabilities [clips, scenes] in the order of `data.ordered_clip_ids`."""
    model = network.load(run)

    @tf.function(reduce_retracing=True)
    @as_written
    def step(inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        logits = model(inputs, training=False)
        # Half-precision logits are too coarse for small probabilities.
        return tf.nn.softmax(tf.cast(logits, tf.float32))

    batches = [step(inputs).numpy() for inputs, _, _ in data.batches()]
    # The last batch is filled with clips that are already predicted.
    return np.concatenate(batches)[: len(data.clip_ids)]


def _clip_columns(corpus: Corpus, clip_ids: Sequence[str]) -> pd.DataFrame:
    """Returns the columns clip, location, city, device (if all clips have one) and truth."""
    clips = {clip.id: clip for clip in corpus.clips}
    rows: list[dict[str, Any]] = []
    for clip_id in clip_ids:
        clip = clips[clip_id]
        rows.append(
            {
                "clip": clip.id,
                "location": clip.location,
                "city": clip.city,
                "device": clip.device,
                "truth": clip.scene,
            }
        )
    table = pd.DataFrame(rows)
    # Scores by location, city or device need them for all clips; a part of them would mislead.
    for column in ("location", "city"):
        if not table[column].astype(bool).all():
            table[column] = ""
    if not table["device"].astype(bool).all():
        # Most corpora have no devices, so the column would be empty in most tables.
        table = table.drop(columns="device")
    return table
