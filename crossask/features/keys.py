"""Names of the folders of features: hashes of everything that determines the bytes in them."""

import logging
from pathlib import Path

from crossask import config, events
from crossask.audio import rates, resampling
from crossask.config import Experiment, catalogue
from crossask.datasets import Corpus
from crossask.features import computation, records
from crossask.features.computation import FrozenModel

# Version of the features:
# 1: recordings were recognised by their size, start and end.
# 2: recordings were recognised by all their bytes.
# 3: the front-end is compiled, and several clips are embedded together, which changes the last bits
#    of features.
FORMAT_VERSION = 3
LOG = logging.getLogger("crossask")


def key_of(
    kind: str,
    corpus: Corpus,
    experiment: Experiment,
    event_digest: str,
    version: int = FORMAT_VERSION,
) -> str:
    """Returns a hash of everything that determines the bytes of a kind of feature.

    Args:
      kind: The kind of feature.
      corpus: The corpus.
      experiment: The row.
      event_digest: `FeatureCache.event_digest`.
      version: FORMAT_VERSION, or a lower one for the key of an earlier version.
    """
    fingerprint = corpus.fingerprint_of_ends if version == 1 else corpus.fingerprint
    stored = [version, records.CLIPS_PER_SHARD, fingerprint]
    if corpus.ready_made:
        return config.digest(*stored)
    features = experiment.features
    event_model = experiment.event_model
    lengths = [features.clip_seconds, features.max_padding_seconds, features.max_cut_seconds]
    plain_features = config.to_dict(features)
    # Keys of whole recordings are as they were before this field.
    if features.clip_hop_seconds is None:
        del plain_features["clip_hop_seconds"]
    else:
        lengths.append(features.clip_hop_seconds)
    shared = [*stored, resampling.RESAMPLER_VERSION, lengths]
    # Recordings of other rates are first converted to a rate that the event model may raise.
    rate_hz = computation.highest_rate_hz(experiment)
    if rate_hz > max(features.sample_rate_hz, rates.EVENT_RATE_HZ):
        shared.append(rate_hz)
    if kind == "log_mel":
        return config.digest(*shared, plain_features)
    input_choices = [event_model.pad_end]
    if event_model.level is not None:
        input_choices.append(event_model.level)
    if version >= 3:
        # The rate to which a recording is converted whose own rate the graph does not have. It also
        # depends on the rate of the scene model.
        input_choices.append(rates.graph_rate(0, rate_hz))
    if kind == "patches":
        front_end = catalogue.event_model(event_model.name).front_end
        code = catalogue.code_of(catalogue.front_end(front_end).patches)
        if code:
            input_choices.append(code)
        return config.digest(*shared, front_end, *input_choices)
    return config.digest(*shared, event_model.name, *input_choices, event_digest)


def event_digest(experiment: Experiment, event_model: FrozenModel | None) -> str:
    """Returns `FeatureCache.event_digest`."""
    if event_model is None:
        return ""
    return events.digest_of(experiment.event_model, event_model)


def log_older_version(
    folder: Path,
    kind: str,
    corpus: Corpus,
    experiment: Experiment,
    event_digest: str,
) -> None:
    """Logs that features of earlier versions are not used, before they are computed again."""
    if folder.exists():
        return
    for version in range(1, FORMAT_VERSION):
        key = key_of(kind, corpus, experiment, event_digest, version)
        older = folder.with_name(f"{kind}-{key}")
        if older.exists():
            LOG.warning(
                "%s is of an earlier version of crossask, which computed features differently or "
                "recognised recordings by their ends alone. It is not read; remove it. The "
                "features are computed again.",
                older,
            )
