"""Event models and front-ends of the user's own: features of an older version are not used."""

import dataclasses
import importlib
import sys
import types

import pytest
import small_corpus

from crossask import config, events
from crossask.config import catalogue
from crossask.features import keys

CORPUS = types.SimpleNamespace(fingerprint="f", ready_made=False)


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    """Writes code into a module of the user's own, as if it was edited between two commands."""
    path = tmp_path / "own_events_of_a_user.py"
    monkeypatch.syspath_prepend(tmp_path)

    def write(code):
        path.write_text(code)
        sys.modules.pop(path.stem, None)
        importlib.invalidate_caches()

    write("")
    yield write
    sys.modules.pop(path.stem, None)


@pytest.mark.parametrize(
    ("layer", "patches", "changing"),
    [
        ("own_events_of_a_user:Layer", None, {"embedding"}),
        (None, "own_events_of_a_user:patches", {"embedding", "patches"}),
        (None, None, set()),
    ],
)
def test_features_are_computed_again_when_the_code_changed(
    own_module, monkeypatch, layer, patches, changing
):
    front_end = catalogue.front_end("vggish")
    entry = catalogue.event_model("vggish")
    monkeypatch.setitem(
        catalogue._TABLES[catalogue.FrontEnd],
        "own",
        dataclasses.replace(front_end, name="own", patches=patches or front_end.patches),
    )
    monkeypatch.setitem(
        catalogue._TABLES[catalogue.EventModel],
        "own",
        dataclasses.replace(entry, name="own", layer=layer or entry.layer, front_end="own"),
    )
    row = config.override(small_corpus.FEATURE_BASED, {"event_model.name": "own"})
    model = types.SimpleNamespace(weights_digest=lambda: "the same weights")

    def digests():
        event_digest = events.digest_of(row.event_model, model)
        found = {"of a run": event_digest}
        for kind in ("log_mel", "patches", "embedding"):
            found[kind] = keys.key_of(kind, CORPUS, row, event_digest)
        return found

    own_module("FACTOR = 1")
    before = digests()
    assert digests() == before
    own_module("FACTOR = 2")
    after = digests()
    changed = {name for name, value in after.items() if value != before[name]}
    assert changed == changing | ({"of a run"} if changing else set())
