"""Plans from metadata alone: the counts of the corpus, the steps of the rows."""

import dataclasses

import pytest
import small_corpus

from crossask import config, grid, training
from crossask.audio import notices
from crossask.config import TrainingConfig
from crossask.datasets import read_corpus
from crossask.errors import DataError
from crossask.features.cache import FeatureCache
from crossask.grid import preflight
from crossask.grid.plan import (
    SECONDS_TO_START_A_RUN,
    plan_row,
    seconds_a_step,
    seconds_to_train,
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return read_corpus(
        "folder", small_corpus.write(tmp_path_factory.mktemp("corpus"), places=4, clips=3)
    )


def test_steps_are_whole_batches_times_epochs_folds_and_seeds(corpus):
    plan = plan_row(small_corpus.FA, corpus, ("1", "2"), 5)
    for name, part in plan.parts.items():
        assert len(part.training) + len(part.validation) == len(corpus.fold(name).train)
    assert plan.steps == 5 * 3 * sum(len(part.training) // 4 for part in plan.parts.values())
    assert plan.runs == 10


def test_the_time_of_a_row_counts_start_steps_and_validation(corpus):
    plan = plan_row(small_corpus.FA, corpus, ("1", "2"), 5)
    batches = [-(-len(part.validation) // 4) for part in plan.parts.values()]
    assert min(batches) > 0
    # A prediction is one of the three passes of a step.
    steps = plan.steps + 5 * 3 * sum(batches) / 3
    assert plan.seconds(2.0) == pytest.approx(10 * SECONDS_TO_START_A_RUN + 2 * steps)


def test_without_a_validation_part_the_steps_are_those_of_the_whole_training_fold(corpus):
    plan = plan_row(small_corpus.FA_ON_ALL, corpus, ("1",), 1)
    assert plan.parts["1"].validation == ()
    assert plan.steps == 3 * (len(corpus.fold("1").train) // 4)


def test_contexts_of_frames_are_counted_where_a_row_learns_from_them(corpus):
    row = dataclasses.replace(
        small_corpus.FA, training=TrainingConfig(epochs=1, batch_size=256, context_frames=5)
    )
    plan = plan_row(row, corpus, ("1",), 1)
    assert plan.steps == len(plan.parts["1"].training) * 198 // 256  # 2 s


def test_clips_that_are_shorter_than_the_context_fill_no_batch(corpus):
    settings = TrainingConfig(epochs=1, batch_size=256, context_frames=250)
    row = dataclasses.replace(small_corpus.FA, training=settings)
    assert plan_row(row, corpus, ("1",), 1).steps == 0
    cache = FeatureCache(tuple(clip.id for clip in corpus.clips), {}, {"log_mel": (198, 64, 2)})
    with pytest.raises(DataError, match=r"198 frames, but training\.context_frames"):
        training.training_data(row, corpus, cache, corpus.fold("1").train, 0)


def test_a_validation_part_without_a_scene_is_a_warning(corpus, caplog):
    (fold,) = [fold for fold in corpus.folds if fold.name == "1"]
    location_of = {clip.id: clip.location for clip in corpus.clips if clip.scene == "a"}
    first = next(clip_id for clip_id in fold.train if clip_id in location_of)
    validation = tuple(
        clip_id for clip_id in fold.train if location_of.get(clip_id) == location_of[first]
    )
    of_a = dataclasses.replace(corpus, folds=(dataclasses.replace(fold, validation=validation),))
    notices.forget()
    for _ in range(2):
        preflight._check_trained(small_corpus.FA, of_a, "1")
    (line,) = [line for line in caplog.messages if "is chosen without" in line]
    assert "The validation part of fold '1' of corpus 'folder' has no clips of b" in line
    caplog.clear()
    notices.forget()
    preflight._check_trained(small_corpus.FA, corpus, "1")
    preflight._check_trained(small_corpus.FA_ON_ALL, corpus, "1")
    assert not any("is chosen without" in line for line in caplog.messages)


def test_rows_that_share_features_name_them_alike(corpus):
    fa, cmam = (
        plan_row(row, corpus, ("1",), 1) for row in (small_corpus.FA, small_corpus.FEATURE_BASED)
    )
    assert set(fa.feature_bytes) < set(cmam.feature_bytes)
    assert sum(fa.feature_bytes.values()) == 4 * 198 * 64 * 2 * len(corpus.clips)


def test_time_to_train_counts_the_runs_that_are_left(tmp_path):
    data = small_corpus.write(tmp_path / "corpus", places=4, clips=3)
    wanted = grid.Grid(
        rows=(small_corpus.FA, small_corpus.CMAM),
        seeds=(0, 1, 2),
        data_dir=str(data),
        features_dir=str(tmp_path / "features"),
        model_dir=str(tmp_path / "runs"),
        folds=("1",),
    )
    corpus = read_corpus("folder", data)
    steps = plan_row(small_corpus.FA, corpus, ("1",), 1).steps
    # A row without a measured time is left out.
    times = {"fa": grid.StepTime(first=20, later=2)}
    assert seconds_to_train(wanted, times) == 3 * (20 + 2 * steps)
    assert seconds_to_train(wanted, times, jobs=2) == 3 * (20 + 2 * steps) / 2
    # A finished run takes no more time.
    finished = wanted.plan()[0][1]
    finished.folder.mkdir(parents=True)
    finished.path("result.json").write_text("{}")
    assert finished.finished
    assert seconds_to_train(wanted, times) == 2 * (20 + 2 * steps)


SOFT = config.override(
    small_corpus.FA, {"augmentation.mixup_alpha": 0.2, "augmentation.crop_frames": 100}
)


@pytest.mark.trains
@pytest.mark.parametrize(
    "row", [small_corpus.FA, small_corpus.CMAM, SOFT], ids=["frozen", "trained", "soft"]
)
def test_a_step_of_every_kind_of_row_can_be_timed(corpus, row):
    assert seconds_a_step(row, len(corpus.scenes)) > 0


def test_the_official_fold_is_counted_without_audio(real_data):
    corpus = read_corpus("tau2019", real_data("meta/tau2019"), need_audio=False)
    part = plan_row(small_corpus.FA, corpus, ("1",), 1).parts["1"]
    assert len(part.training) + len(part.validation) == 9_185
    assert len(part.evaluation) == 4_185
    assert corpus.unused == 1_030
