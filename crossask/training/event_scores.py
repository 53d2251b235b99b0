"""Scores of the events in the clips of a run's evaluation fold."""

import logging
from collections.abc import Sequence

import pandas as pd

from crossask import files
from crossask.datasets import Corpus
from crossask.errors import WeightsError
from crossask.evaluation.events import UNIT_COLUMNS
from crossask.events.tagger import Tagger, read_tagger
from crossask.features import records
from crossask.features.cache import FeatureCache
from crossask.training.run_folder import Run

EVENT_SCORES = "event_scores.csv"
LOG = logging.getLogger("crossask")


def write_event_scores(
    run: Run, corpus: Corpus, cache: FeatureCache, clip_ids: Sequence[str]
) -> None:
    """Writes event_scores.csv, the mean event scores of each location, see `evaluation.events`.

    The scores are those of the head of the run's frozen event model. Nothing is written for a row
    without a frozen event model, for a control row, or for an event model without a head; the file
    of an earlier evaluation is removed.

    Args:
      run: The run.
      corpus: The corpus.
      cache: Features of the corpus.
      clip_ids: Clips of the evaluation fold.
    """
    # A report would show the events of a head that is no longer there.
    files.remove(run.path(EVENT_SCORES))
    experiment = run.experiment()
    if experiment.event_input != "embedding" or experiment.event_control:
        return
    try:
        tagger = read_tagger(experiment.event_model)
    except WeightsError as error:
        # Ready-made embeddings can be evaluated without the weights that computed them.
        LOG.warning("%s: there are no event scores. %s", run.title, error.problem)
        return
    width = cache.shapes["embedding"][-1]
    if tagger is None or tagger.kernel.shape[0] != width:
        return
    problem = problem_of_names(tagger.names)
    if problem:
        LOG.warning("%s: there are no event scores. %s", run.title, problem)
        return
    table = by_location(corpus, clip_scores(tagger, cache, clip_ids))
    with files.writing(run.path(EVENT_SCORES)) as temporary:
        table.to_csv(temporary, index=False, float_format="%.4g")


def problem_of_names(names: Sequence[str]) -> str:
    """Returns why events cannot be columns of a table of event scores; "" if they can."""
    for name in names:
        if name in UNIT_COLUMNS:
            return f"An event is called {name!r}, as a column of their table."
        if names.count(name) > 1:
            return f"Two events are called {name!r}."
    return ""


def clip_scores(tagger: Tagger, cache: FeatureCache, clip_ids: Sequence[str]) -> pd.DataFrame:
    """Returns the mean scores over the patches of each clip: a row for each id, events as columns.

    Args:
      tagger: The head.
      cache: Embeddings of the clips.
      clip_ids: The clips.
    """
    wanted = set(clip_ids)
    scores = {}
    for clip_id, embedding in records.read_clips(cache.shards("embedding")):
        if clip_id in wanted:
            scores[clip_id] = tagger(embedding).numpy().mean(axis=0)
    return pd.DataFrame.from_dict(scores, orient="index", columns=list(tagger.names))


def by_location(corpus: Corpus, scores: pd.DataFrame) -> pd.DataFrame:
    """Returns the mean scores of each location of a scene, or of each clip without locations.

    The table has the columns of `evaluation.events`.

    Args:
      corpus: The corpus.
      scores: Scores of each clip; the index contains the ids of the clips.
    """
    clips = [clip for clip in corpus.clips if clip.id in scores.index]
    scores = scores.loc[[clip.id for clip in clips]]
    truth = pd.Series([clip.scene for clip in clips], scores.index, name="truth")
    location = pd.Series([clip.location for clip in clips], scores.index, name="location")
    if not all(location):
        clip_count = pd.Series(1, scores.index, name="clips")
        no_location = pd.Series("", scores.index, name="location")
        return pd.concat([truth, no_location, clip_count, scores], axis=1)
    groups = scores.groupby([truth, location])
    means = groups.mean()
    means.insert(0, "clips", groups.size())
    return means.reset_index()
