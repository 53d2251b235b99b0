"""The folder of stored features is named by all fields that change their values, and no others."""

import pytest
import small_corpus

from crossask import config, events
from crossask.config import EventModelConfig, FeatureConfig, LogMelConfig, settings
from crossask.datasets import read_corpus
from crossask.features import keys

ALL = {"log_mel", "embedding", "patches"}
EVENTS = {"embedding", "patches"}
# Field -> another value, and the kinds of features that it changes.
CHANGES = {
    # Recordings of other rates are first converted to a rate that depends on this one.
    "features.sample_rate_hz": (24000, ALL),
    "features.clip_seconds": (1.9, ALL),
    "features.max_padding_seconds": (0.25, ALL),
    "features.max_cut_seconds": (0.25, ALL),
    "features.clip_hop_seconds": (1.0, ALL),
    "features.mono": (True, {"log_mel"}),
    "features.log_mel.window_seconds": (0.02, {"log_mel"}),
    "features.log_mel.hop_seconds": (0.02, {"log_mel"}),
    "features.log_mel.fft_size": (1024, {"log_mel"}),
    "features.log_mel.mel_bins": (32, {"log_mel"}),
    "features.log_mel.min_hz": (50.0, {"log_mel"}),
    "features.log_mel.max_hz": (7000.0, {"log_mel"}),
    "features.log_mel.spectrum": ("magnitude", {"log_mel"}),
    "features.log_mel.log_offset": (1e-5, {"log_mel"}),
    "features.log_mel.mel_scale": ("slaney", {"log_mel"}),
    "features.log_mel.window": ("hamming", {"log_mel"}),
    "features.log_mel.centred": (True, {"log_mel"}),
    "event_model.name": ("yamnet", EVENTS),
    "event_model.width": (0.0625, {"embedding"}),
    "event_model.initialisation": ("glorot", {"embedding"}),
    "event_model.embedding_tap": ("relu", {"embedding"}),
    "event_model.activation": ("relu6", {"embedding"}),
    "event_model.precision": ("mixed_bfloat16", {"embedding"}),
    "event_model.pad_end": (True, EVENTS),
    "event_model.level": (-26.0, EVENTS),
}
# Fields of files and of models from files: their content is part of the name, see the tests of
# these models.
OF_FILES = {
    "event_model.weights",
    "event_model.pca",
    "event_model.embeddings",
    "event_model.sample_rate_hz",
    "event_model.output",
    "event_model.window_seconds",
}


def test_every_field_before_the_features_is_listed_here():
    names = set()
    for part in (FeatureConfig, LogMelConfig, EventModelConfig):
        names |= {part.prefix + name for name in settings.fields(part)}
    assert names - {"features.log_mel"} == set(CHANGES) | OF_FILES


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Returns a corpus of four clips."""
    table = small_corpus.write(tmp_path_factory.mktemp("few"), places=2, clips=1)
    return read_corpus("folder", table)


def keys_of(corpus, row):
    event_digest = events.digest_of(row.event_model, events.frozen(row))
    return {kind: keys.key_of(kind, corpus, row, event_digest) for kind in ALL}


def test_each_field_changes_the_names_of_the_features_that_it_changes(few):
    row = small_corpus.FEATURE_BASED
    before = keys_of(few, row)
    assert keys_of(few, row) == before
    for field, (value, kinds) in CHANGES.items():
        changed = keys_of(few, config.override(row, {field: value}))
        assert {kind for kind in ALL if changed[kind] != before[kind]} == kinds, field


def test_what_only_changes_training_changes_no_name(few):
    row = small_corpus.FEATURE_BASED
    others = {"training.epochs": 9, "training.batch_size": 2, "model.pooling_dim": 16}
    assert keys_of(few, config.override(row, others)) == keys_of(few, row)
