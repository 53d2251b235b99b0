"""What controls put in place of a clip's own embeddings, and whose scene a model names when its
inputs are of two clips.
"""

import dataclasses

import numpy as np
import pytest
import small_corpus

from crossask import config, files, serving, training
from crossask.datasets import read_corpus, training_parts
from crossask.errors import ConfigError, DataError
from crossask.features import controls
from crossask.features.cache import prepare_features
from crossask.training import evaluate, run_folder

ROW = config.override(small_corpus.FEATURE_BASED, {"training.epochs": 1})


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("controls")
    corpus = read_corpus("folder", small_corpus.write(folder / "corpus"))
    return folder, corpus, prepare_features(corpus, ROW, folder / "features")


def controlled(prepared, control: str, seed: int = 0):
    _, corpus, cache = prepared
    return controls.controlled(
        cache, corpus, dataclasses.replace(ROW, event_control=control), "1", seed
    )


def test_without_a_control_the_cache_is_what_it_was(prepared):
    assert controlled(prepared, "") is prepared[2]


def test_another_clips_embedding_comes_from_the_same_part_and_each_is_given_once(prepared):
    _, corpus, cache = prepared
    own = controls.read_embeddings(cache)
    found = controls.read_embeddings(controlled(prepared, "other_clip"))
    fold = corpus.fold("1")
    parts = (
        *training_parts(corpus, fold, ROW.training.validation_share, ROW.training.validation_seed),
        fold.evaluation,
    )
    assert sum(map(len, parts)) == len(corpus.clips)
    for part in parts:
        donors = {}
        for clip in part:
            (donors[clip],) = [other for other in part if np.array_equal(own[other], found[clip])]
        assert sorted(donors.values()) == sorted(part)
        assert all(clip != donor for clip, donor in donors.items())
    other_seed = controls.read_embeddings(controlled(prepared, "other_clip", 1))
    assert any(not np.array_equal(found[clip], other_seed[clip]) for clip in found)


def test_another_division_of_the_clips_has_donors_of_its_own(prepared):
    _, corpus, cache = prepared
    wide = config.override(ROW, {"event_control": "other_clip", "training.validation_share": 0.6})
    own, found = (
        controls.read_embeddings(one)
        for one in (cache, controls.controlled(cache, corpus, wide, "1", 0))
    )
    assert controlled(prepared, "other_clip").folders["embedding"] != cache.folders["embedding"]
    for part in (
        *training_parts(corpus, corpus.fold("1"), 0.6, ROW.training.validation_seed),
        corpus.fold("1").evaluation,
    ):
        assert {found[clip].tobytes() for clip in part} == {own[clip].tobytes() for clip in part}


def test_without_a_validation_part_donors_come_from_the_whole_training_fold(prepared):
    _, corpus, cache = prepared
    row = config.override(ROW, {"event_control": "other_clip", **small_corpus.NO_VALIDATION})
    own = controls.read_embeddings(cache)
    found = controls.read_embeddings(controls.controlled(cache, corpus, row, "1", 0))
    fold = corpus.fold("1")
    for part in (fold.train, fold.evaluation):
        assert {found[clip].tobytes() for clip in part} == {own[clip].tobytes() for clip in part}
        assert not any(np.array_equal(found[clip], own[clip]) for clip in part)


def test_patches_out_of_order_are_the_clips_own(prepared):
    own = controls.read_embeddings(prepared[2])
    found = controls.read_embeddings(controlled(prepared, "shuffled_in_time"))
    turned = [clip for clip in own if not np.array_equal(own[clip], found[clip])]
    assert 0 < len(turned) < len(own)  # of two patches, half stay by chance
    for clip in own:
        assert sorted(own[clip].tolist()) == sorted(found[clip].tolist())


def test_what_a_killed_command_left_among_the_embeddings_of_a_control_is_removed(prepared):
    folder = controlled(prepared, "shuffled_in_time").folders["embedding"]
    # No process has this number.
    left = folder / f".00000.tfrecord.{files._HOST}-{2**22 + 1}.part"
    left.write_bytes(b"half")
    controlled(prepared, "shuffled_in_time")
    assert not left.exists()


def test_true_events_are_shares_of_the_patches_time(prepared):
    folder, corpus, _ = prepared
    with pytest.raises(DataError, match=r"events\.csv"):
        controlled(prepared, "true_events")
    name = corpus.clips[0].path.rpartition("/")[2]
    events = (("0.25", "1.5", "dog"), ("0.5", "0.75", "dog"), ("1.9", "9", "bell"))
    lines = [
        "filename\tonset\toffset\tevent_label",
        *("\t".join([f"audio/{name}", *event]) for event in events),
    ]
    (folder / "events.csv").write_text("\n".join(lines) + "\n")  # beside the folder of the sounds
    changed = controlled(prepared, "true_events")
    assert changed.shapes["embedding"] == (2, 2)
    values = controls.read_embeddings(changed)
    # bell, dog in the first and the second of two seconds; overlapping dogs count once
    np.testing.assert_allclose(values[corpus.clips[0].id], [[0, 0.75], [0.1, 0.5]], atol=1e-6)
    assert not values[corpus.clips[1].id].any()
    (folder / "events.csv").write_text("filename,labels\na.wav,dog\n")
    with pytest.raises(DataError, match="has no column 'onset'"):
        controlled(prepared, "true_events")
    (folder / "events.csv").unlink()


def test_one_patch_cannot_be_shuffled_in_time(prepared):
    folder, corpus, cache = prepared
    short = dataclasses.replace(cache, shapes={**cache.shapes, "embedding": (1, 128)})
    with pytest.raises(DataError, match="one patch of the event model"):
        controlled((folder, corpus, short), "shuffled_in_time")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a.wav\tnow\t2.0\tdog"], "Line 2 of .*events.csv has the onset 'now'"),
        (["a.wav\t1.0\tnan\tdog"], "Line 2 of .*events.csv has the offset 'nan'"),
        (["a.wav\t1.0\t\tdog"], "Line 2 of .*events.csv has the offset ''"),
        (["nowhere.wav\t1.0\t2.0\tdog"], "has no events of any clip"),
    ],
)
def test_a_table_of_events_that_says_nothing_of_the_clips_is_an_error(prepared, lines, message):
    path = prepared[0] / "events.csv"
    path.write_text("\n".join(["filename\tonset\toffset\tevent_label", *lines]) + "\n")
    with pytest.raises(DataError, match=message):
        controlled(prepared, "true_events")
    path.unlink()


def test_true_events_need_a_file_name_of_its_own_for_each_clip(prepared):
    folder, corpus, cache = prepared
    (folder / "events.csv").write_text("filename\tonset\toffset\tevent_label\n")
    first = corpus.clips[0]
    cut = [dataclasses.replace(first, id=f"{first.id}@{start}.0s") for start in (0, 2)]
    twice = dataclasses.replace(
        corpus, clips=tuple(dataclasses.replace(clip, start_seconds=0.0) for clip in cut), folds=()
    )
    row = dataclasses.replace(ROW, event_control="true_events")
    with pytest.raises(DataError, match="have files of one name"):
        controls.controlled(cache, twice, row, "1", 0)
    (folder / "events.csv").unlink()


@pytest.mark.trains
@pytest.mark.parametrize(
    "row", ["other_clip", "shuffled_in_time", "attends_itself", "events_alone"]
)
def test_a_control_row_trains_and_predicts_and_a_swap_names_both_clips(
    prepared, row, tmp_path, monkeypatch
):
    _, corpus, cache = prepared
    direction = {"attends_itself": "scene_queries_scene", "events_alone": "events_alone"}.get(row)
    experiment = config.override(
        ROW, {"model.cross_attention": direction} if direction else {"event_control": row}
    )
    run = run_folder.run_at(tmp_path, row, "1", 0)
    training.train(run, experiment, corpus, cache)
    plain = training.predict(run, corpus, cache)
    read = []
    probabilities = evaluate._probabilities
    monkeypatch.setattr(
        evaluate, "_probabilities", lambda run, data: read.append(data) or probabilities(run, data)
    )
    swapped = training.predict(run, corpus, cache, swap_events=True)
    before = controlled(prepared, row) if row == "shuffled_in_time" else cache
    own = controls.read_embeddings(before)
    given = controls.read_embeddings(read[0].cache)
    for clip, donor in zip(swapped["clip"], swapped["events_of"], strict=True):
        np.testing.assert_array_equal(given[clip], own[donor])
    assert swapped["clip"].tolist() == plain["clip"].tolist()
    assert (swapped["truth"] != swapped["events_truth"]).all()
    assert sorted(swapped["events_of"]) == sorted(swapped["clip"])
    if experiment.event_control:
        for write in (serving.export_run, serving.export_litert):
            with pytest.raises(ConfigError, match="is a control"):
                write(run, tmp_path / "model.tflite")
        assert not list(tmp_path.glob("*model*"))
    changes = np.abs(swapped[["a", "b"]].to_numpy() - plain[["a", "b"]].to_numpy()).max()
    assert (changes > 1e-6) == (row != "attends_itself")  # which reads no embedding


def test_events_alone_do_not_hear_the_log_mel(prepared):
    from crossask import models

    rng = np.random.default_rng(0)
    model = models.build(
        "CMAM", 2, dataclasses.replace(small_corpus.NARROW, cross_attention="events_alone")
    )
    embedding = rng.normal(size=(1, 2, 128)).astype(np.float32)
    first, second = (
        model(
            {"log_mel": rng.normal(size=(1, 198, 64, 2)).astype(np.float32), "embedding": embedding}
        ).numpy()
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    assert (
        "cross"
        not in model.explain(
            {"log_mel": np.zeros((1, 198, 64, 2), np.float32), "embedding": embedding}
        )[1]
    )


def test_a_control_needs_frozen_embeddings():
    with pytest.raises(ConfigError, match="event_control"):
        dataclasses.replace(small_corpus.CMAM, event_control="other_clip")
    with pytest.raises(ConfigError, match="'oracle'"):
        dataclasses.replace(ROW, event_control="oracle")


def test_most_clips_of_one_scene_cannot_be_swapped(prepared):
    _, corpus, cache = prepared
    mine = [clip.id for clip in corpus.clips if clip.scene == "a"]
    with pytest.raises(DataError, match="one scene"):
        controls.swapped(cache, corpus, mine, 0)
