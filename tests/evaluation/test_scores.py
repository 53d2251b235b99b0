"""Scores against cases worked by hand, scikit-learn and sed_eval; intervals against simulations."""

import dataclasses
import json

import numpy as np
import pytest
from evaluation.tables import HAND, SCENES, random_table, table_of
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, log_loss

from crossask import evaluation
from crossask.datasets.clips import Clip, Corpus, Fold
from crossask.errors import DataError

TWO = ("bus", "park")
OTHER = {"bus": "park", "park": "tram", "tram": "bus"}


def test_the_confusion_of_three_scenes_is_that_worked_by_hand():
    result = evaluation.score(table_of(HAND), resamples=50)
    assert result.confusion == ((2, 1, 1), (1, 2, 0), (0, 0, 3))
    accuracies = [result.per_class[scene].accuracy for scene in SCENES]
    assert accuracies == pytest.approx([0.5, 2 / 3, 1.0])
    assert [result.per_class[scene].clips for scene in SCENES] == [4, 3, 3]
    assert result.macro_accuracy == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)
    assert result.micro_accuracy == pytest.approx(7 / 10)
    assert result.log_loss == pytest.approx(-(7 * np.log(0.8) + 3 * np.log(0.1)) / 10)


@pytest.mark.parametrize("seed", [0, 1])
def test_scores_equal_those_of_scikit_learn(seed):
    table = random_table(seed, clips=83)
    truth = table["truth"]
    predicted = table[list(SCENES)].idxmax(axis=1)
    result = evaluation.score(table, resamples=20)
    expected = balanced_accuracy_score(truth, predicted)
    assert result.macro_accuracy == pytest.approx(expected, abs=1e-12)
    assert np.array_equal(result.confusion, confusion_matrix(truth, predicted, labels=SCENES))
    expected = log_loss(truth, table[list(SCENES)], labels=SCENES)
    assert result.log_loss == pytest.approx(expected, abs=1e-12)


def test_class_accuracies_equal_those_of_sed_eval():
    scene = pytest.importorskip("sed_eval.scene")
    containers = pytest.importorskip("dcase_util.containers")
    table = random_table(0, clips=83)

    def labelled(labels):
        rows = []
        for clip, label in zip(table["clip"], labels, strict=True):
            rows.append({"filename": f"{clip}.wav", "scene_label": label})
        return containers.MetaDataContainer(rows)

    metrics = scene.SceneClassificationMetrics(scene_labels=list(SCENES))
    metrics.evaluate(
        reference_scene_list=labelled(table["truth"]),
        estimated_scene_list=labelled(table[list(SCENES)].idxmax(axis=1)),
    )
    result = evaluation.score(table, resamples=20)
    theirs = metrics.results_class_wise_metrics()
    for name in SCENES:
        expected = theirs[name]["accuracy"]["accuracy"]
        assert result.per_class[name].accuracy == pytest.approx(expected)
    average = metrics.results_class_wise_average_metrics()
    assert result.macro_accuracy == pytest.approx(average["accuracy"]["accuracy"])


def test_scores_do_not_depend_on_the_order_of_rows():
    table = random_table(3)
    result = evaluation.score(table, resamples=100)
    assert evaluation.score(table.sample(frac=1, random_state=0), resamples=100) == result
    other_columns = table[["truth", "tram", "clip", "bus", "park", "location"]]
    other_order = evaluation.score(other_columns, resamples=100)
    assert other_order.macro_accuracy == result.macro_accuracy


def test_results_as_json_have_their_fields_as_keys():
    result = evaluation.score(random_table(3), resamples=100)
    content = evaluation.to_json(result)
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert list(content) == [field.name for field in dataclasses.fields(result)]
    assert list(content["interval"]) == [
        "low",
        "high",
        "confidence",
        "over",
        "covers_seeds",
        "method",
        "resamples",
        "resampling_seed",
    ]
    assert content["per_class"]["bus"]["interval"] == list(result.per_class["bus"].interval)
    of_seeds = evaluation.to_json(evaluation.summarise([random_table(3)], resamples=100))
    assert set(of_seeds) - set(content) == {"seeds", "seed_macro_accuracies", "seed_deviation"}


def test_the_interval_matches_its_closed_form_for_locations_of_equal_size():
    # With n locations of equal size a scene, the variance of a scene's mean accuracy is s^2 / n
    # with s^2 over n - 1.
    rng = np.random.default_rng(0)
    pairs = []
    locations = []
    variance = 0
    for scene in SCENES:
        correct_clips = rng.integers(2, 9, size=6)
        variance += np.var(correct_clips / 10, ddof=1) / 6 / 9
        for number, correct in enumerate(correct_clips):
            pairs += [(scene, scene)] * correct + [(scene, OTHER[scene])] * (10 - correct)
            locations += [f"{scene}{number}"] * 10
    interval = evaluation.score(table_of(pairs, locations=locations), resamples=20000).interval
    half_width = (interval.high - interval.low) / 2
    assert half_width == pytest.approx(1.96 * np.sqrt(variance), rel=0.05)
    assert interval.over == "location"


def test_intervals_over_locations_are_wider_and_better_where_clips_of_a_location_are_alike():
    # Each location has an accuracy of its own, 0.6 on average, so a clip adds little to the others.
    rng = np.random.default_rng(7)
    contained = {"location": 0, "clip": 0}
    widths = {"location": [], "clip": []}
    repeats = 60
    clips = 10
    for _ in range(repeats):
        pairs = []
        locations = []
        for scene in SCENES:
            for number in range(6):
                is_correct = rng.random(clips) < rng.beta(0.9, 0.6)
                pairs += [(scene, scene if correct else OTHER[scene]) for correct in is_correct]
                locations += [f"{scene}{number}"] * clips
        with_locations = table_of(pairs, locations=locations)
        for unit, table in (("location", with_locations), ("clip", table_of(pairs))):
            interval = evaluation.score(table, resamples=400).interval
            assert interval.over == unit
            contained[unit] += interval.low <= 0.6 <= interval.high
            widths[unit].append(interval.high - interval.low)
    assert np.mean(widths["location"]) > 1.5 * np.mean(widths["clip"])
    assert contained["location"] / repeats > 0.85
    assert contained["clip"] / repeats < 0.75


def test_no_scene_disappears_from_a_resample():
    # One clip of tram among many: draws over all clips would lose it in a third of the resamples.
    pairs = [("bus", "bus")] * 40 + [("park", "park")] * 40 + [("tram", "bus")]
    locations = [f"l{number}" for number in range(81)]
    interval = evaluation.score(table_of(pairs, locations=locations)).interval
    assert (interval.low, interval.high) == pytest.approx((2 / 3, 2 / 3))


def test_scenes_without_clips_are_left_out_of_the_mean_and_reported():
    pairs = [pair for pair in HAND if pair[0] != "tram"]
    result = evaluation.score(table_of(pairs), resamples=50)
    assert result.macro_accuracy == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert result.per_class["tram"].accuracy is None
    assert any("No clip of tram" in note for note in result.notes)


def test_each_city_has_a_score():
    cities = ["lyon"] * 4 + ["milan"] * 6
    locations = [f"{city}-{number}" for number, city in enumerate(cities)]
    result = evaluation.score(table_of(HAND, locations=locations, cities=cities), resamples=50)
    lyon = result.cities["lyon"]
    assert (lyon.clips, lyon.locations) == (4, 4)
    assert (lyon.micro_accuracy, lyon.macro_accuracy) == (0.5, 0.5)
    assert result.cities["milan"].macro_accuracy == pytest.approx((2 / 3 + 1) / 2)


def test_scores_are_means_over_seeds_with_their_deviation():
    perfect = table_of([(truth, truth) for truth, _ in HAND])
    result = evaluation.summarise([table_of(HAND), perfect], resamples=50)
    of_first = (1 / 2 + 2 / 3 + 1) / 3
    assert result.macro_accuracy == pytest.approx((of_first + 1) / 2)
    assert result.seed_deviation == pytest.approx((1 - of_first) / np.sqrt(2))
    assert result.confusion[0] == (3, 0.5, 0.5)
    assert evaluation.summarise([perfect]).seed_deviation is None


def test_seen_and_unseen_cities_have_scores_of_their_own():
    # milan: bus 0 of 1, park 2 of 3, tram 3 of 3
    cities = ["lyon"] * 3 + ["milan"] * 7
    locations = [f"{city}-{number}" for number, city in enumerate(cities)]
    table = table_of(HAND, locations=locations, cities=cities)
    result = evaluation.score(table, resamples=50, seen_cities=["lyon", "oslo"])
    assert result.seen.macro_accuracy == pytest.approx(2 / 3)
    assert result.unseen.macro_accuracy == pytest.approx((0 + 2 / 3 + 1) / 3)
    assert (result.seen.clips, result.seen.locations) == (3, 3)
    assert (result.unseen.clips, result.unseen.locations) == (7, 7)
    for part, city in ((result.seen, "lyon"), (result.unseen, "milan")):
        alone = evaluation.score(table[table["city"] == city], resamples=50)
        assert part.interval == alone.interval


def test_without_known_cities_there_are_no_scores_of_seen_and_unseen_ones():
    with_cities = table_of(HAND, cities=["lyon"] * len(HAND))
    for table, seen in ((with_cities, None), (table_of(HAND), {"lyon"})):
        result = evaluation.score(table, resamples=10, seen_cities=seen)
        assert (result.seen, result.unseen) == (None, None)
    result = evaluation.summarise([with_cities], resamples=10, seen_cities={"lyon"})
    assert result.seen.clips == len(HAND)
    assert result.unseen is None
    with pytest.raises(DataError, match="one name, 'lyon'"):
        evaluation.score(with_cities, seen_cities="lyon")


def test_a_scene_of_one_location_in_the_unseen_cities_is_reported():
    pairs = [
        ("bus", "bus"),
        ("bus", "park"),
        ("bus", "bus"),
        ("park", "park"),
        ("park", "bus"),
        ("park", "park"),
    ]
    cities = ["lyon", "lyon", "milan", "lyon", "milan", "milan"]
    table = table_of(pairs, scenes=TWO, locations=list("abcdef"), cities=cities)
    notes = evaluation.score(table, resamples=10, seen_cities=["lyon"]).notes
    too_narrow = "The interval of these cities is too narrow."
    assert f"Scenes with a single location in the unseen cities: bus. {too_narrow}" in notes
    assert f"Scenes with a single location in the seen cities: park. {too_narrow}" in notes


@pytest.mark.parametrize(
    ("cities", "seen"),
    [(("lyon", "lyon", "milan"), ["lyon"]), (("", "", ""), None), (("lyon", "", "milan"), None)],
)
def test_cities_are_seen_if_every_training_clip_has_one(cities, seen):
    clips = []
    for number, city in enumerate(cities):
        clips.append(Clip(f"c{number}", "", "bus", f"l{number}", city))
    corpus = Corpus("small", TWO, tuple(clips), (Fold("1", ("c0", "c1"), ("c2",)),))
    assert corpus.training_cities("1") == seen


def fold_table(fold: str, correct: int):
    """Returns four clips of either scene, `correct` of each predicted correctly."""
    pairs = []
    for scene, other in (TWO, TWO[::-1]):
        pairs += [(scene, scene)] * correct + [(scene, other)] * (4 - correct)
    return table_of(pairs, scenes=TWO, prefix=f"{fold}-")


def test_the_spread_over_folds_and_over_seeds_is_kept_apart():
    # fold 1: 0.5 and 1; fold 2: 0.25 twice
    correct = {("1", 0): 2, ("1", 1): 4, ("2", 0): 1, ("2", 1): 1}
    tables = {key: fold_table(key[0], count) for key, count in correct.items()}
    result = evaluation.spread(tables)
    assert result.fold_means == pytest.approx({"1": 0.75, "2": 0.25})
    assert result.seed_means == pytest.approx({0: 0.375, 1: 0.625})
    assert result.fold_deviation == pytest.approx(0.5 / np.sqrt(2))
    assert result.seed_deviation == pytest.approx(0.25 / np.sqrt(2))
    assert result.within_fold_seed_deviation == pytest.approx(np.sqrt((0.125 + 0) / 2))


def test_one_fold_or_one_seed_has_no_spread():
    one_seed = evaluation.spread({("1", 0): fold_table("1", 2), ("2", 0): fold_table("2", 4)})
    assert one_seed.fold_deviation == pytest.approx(0.5 / np.sqrt(2))
    assert one_seed.seed_deviation is None
    assert one_seed.within_fold_seed_deviation is None
    one_fold = evaluation.spread({("1", 0): fold_table("1", 2), ("1", 1): fold_table("1", 4)})
    assert one_fold.fold_deviation is None
    assert one_fold.seed_deviation == pytest.approx(0.5 / np.sqrt(2))
    assert one_fold.within_fold_seed_deviation == one_fold.seed_deviation


def test_the_pooled_score_is_that_of_the_clips_not_the_mean_of_the_folds():
    # bus: 4 of 4 in a large fold, 0 of 1 in a small one; pooled 4 of 5
    large = table_of([("bus", "bus")] * 4 + [("park", "park")], scenes=TWO, prefix="large")
    small = table_of([("bus", "park"), ("park", "park")], scenes=TWO, prefix="small")
    result = evaluation.spread({("1", 0): large, ("2", 0): small})
    assert result.seed_means == {0: pytest.approx((4 / 5 + 1) / 2)}
    pooled = evaluation.score(evaluation.pool([large, small]), resamples=10)
    assert result.seed_means[0] == pooled.macro_accuracy


def test_a_seed_that_lacks_a_fold_is_reported():
    tables = {
        ("1", 0): fold_table("1", 2),
        ("2", 0): fold_table("2", 2),
        ("1", 7): fold_table("1", 2),
    }
    with pytest.raises(DataError, match="Seed 7 has no predictions of fold 2"):
        evaluation.spread(tables)
    with pytest.raises(DataError, match="No table"):
        evaluation.spread({})
