"""Scores against hand-worked figures and scikit-learn; intervals against a simulation with a fixed seed."""

import json
import subprocess
import sys

import numpy as np
import pytest
from evaluation.tables import HAND, SCENES, random_table, table_of
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, log_loss

from crossask import evaluation
from crossask.datasets.clips import Clip, Corpus, Fold
from crossask.errors import DataError


def test_a_hand_worked_confusion_of_three_scenes():
    result = evaluation.score(table_of(HAND), resamples=50)
    assert result["confusion"] == [[2, 1, 1], [1, 2, 0], [0, 0, 3]]
    assert [result["per_class"][s]["accuracy"] for s in SCENES] == pytest.approx([0.5, 2 / 3, 1.0])
    assert [result["per_class"][s]["clips"] for s in SCENES] == [4, 3, 3]
    assert result["macro_accuracy"] == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)
    assert result["micro_accuracy"] == pytest.approx(7 / 10)
    assert result["log_loss"] == pytest.approx(-(7 * np.log(0.8) + 3 * np.log(0.1)) / 10)


@pytest.mark.parametrize("seed", [0, 1])
def test_scores_equal_those_of_scikit_learn(seed):
    table = random_table(seed, clips=83)
    predicted = table[list(SCENES)].idxmax(axis=1)
    result = evaluation.score(table, resamples=20)
    assert result["macro_accuracy"] == pytest.approx(
        balanced_accuracy_score(table["truth"], predicted), abs=1e-12
    )
    assert (
        result["confusion"] == confusion_matrix(table["truth"], predicted, labels=SCENES).tolist()
    )
    assert result["log_loss"] == pytest.approx(
        log_loss(table["truth"], table[list(SCENES)], labels=SCENES), abs=1e-12
    )


def test_class_accuracies_equal_those_of_sed_eval():
    scene, containers = (
        pytest.importorskip("sed_eval.scene"),
        pytest.importorskip("dcase_util.containers"),
    )
    table = random_table(0, clips=83)
    predicted = table[list(SCENES)].idxmax(axis=1)

    def labelled(labels):
        rows = [
            {"filename": f"{clip}.wav", "scene_label": label}
            for clip, label in zip(table["clip"], labels, strict=True)
        ]
        return containers.MetaDataContainer(rows)

    metrics = scene.SceneClassificationMetrics(scene_labels=list(SCENES))
    metrics.evaluate(
        reference_scene_list=labelled(table["truth"]), estimated_scene_list=labelled(predicted)
    )
    result, theirs = evaluation.score(table, resamples=20), metrics.results_class_wise_metrics()
    assert [result["per_class"][s]["accuracy"] for s in SCENES] == pytest.approx(
        [theirs[s]["accuracy"]["accuracy"] for s in SCENES]
    )
    average = metrics.results_class_wise_average_metrics()
    assert result["macro_accuracy"] == pytest.approx(average["accuracy"]["accuracy"])


def test_scores_are_plain_json_and_do_not_depend_on_the_order_of_rows():
    table = random_table(3)
    result = evaluation.score(table, resamples=100)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert evaluation.score(table.sample(frac=1, random_state=0), resamples=100) == result
    other_order = evaluation.score(
        table[["truth", "tram", "clip", "bus", "park", "location"]], resamples=100
    )
    assert other_order["macro_accuracy"] == result["macro_accuracy"]


def test_the_interval_matches_its_closed_form_for_locations_of_equal_size():
    # n locations of equal size a scene: the variance of a scene's mean accuracy is s^2 / n with s^2 over n - 1
    rng = np.random.default_rng(0)
    pairs, places, variance = [], [], 0
    for scene, other in zip(SCENES, ("park", "tram", "bus"), strict=True):
        hits = rng.integers(2, 9, size=6)
        variance += np.var(hits / 10, ddof=1) / 6 / 9
        for place, right in enumerate(hits):
            pairs += [(scene, scene)] * right + [(scene, other)] * (10 - right)
            places += [f"{scene}{place}"] * 10
    interval = evaluation.score(table_of(pairs, locations=places), resamples=20000)["interval"]
    assert (interval["high"] - interval["low"]) / 2 == pytest.approx(
        1.96 * np.sqrt(variance), rel=0.05
    )
    assert interval["over"] == "location"


def test_intervals_over_locations_are_wider_and_cover_better_where_clips_of_a_location_are_alike():
    # each location has its own difficulty around 0.6: a clip tells little that its neighbours have not told
    rng = np.random.default_rng(7)
    inside, widths = {"location": 0, "clip": 0}, {"location": [], "clip": []}
    repeats, locations, clips = 60, 6, 10
    for _ in range(repeats):
        pairs, places = [], []
        for scene, other in zip(SCENES, ("park", "tram", "bus"), strict=True):
            for place in range(locations):
                right = rng.random(clips) < rng.beta(0.9, 0.6)  # mean 0.6
                pairs += [(scene, scene if hit else other) for hit in right]
                places += [f"{scene}{place}"] * clips
        for kind, table in (
            ("location", table_of(pairs, locations=places)),
            ("clip", table_of(pairs)),
        ):
            interval = evaluation.score(table, resamples=400)["interval"]
            assert interval["over"] == kind
            inside[kind] += interval["low"] <= 0.6 <= interval["high"]
            widths[kind].append(interval["high"] - interval["low"])
    assert np.mean(widths["location"]) > 1.5 * np.mean(widths["clip"])
    assert inside["location"] / repeats > 0.85
    assert inside["clip"] / repeats < 0.75


def test_no_scene_vanishes_from_a_resample():
    # one clip of tram among many: drawing over all clips would lose it in a third of the resamples
    pairs = [("bus", "bus")] * 40 + [("park", "park")] * 40 + [("tram", "bus")]
    interval = evaluation.score(table_of(pairs, locations=[f"l{i}" for i in range(81)]))["interval"]
    assert (interval["low"], interval["high"]) == pytest.approx((2 / 3, 2 / 3))


def test_scenes_without_clips_leave_the_mean_and_are_named():
    result = evaluation.score(table_of([p for p in HAND if p[0] != "tram"]), resamples=50)
    assert result["macro_accuracy"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert result["per_class"]["tram"]["accuracy"] is None
    assert any("No clip of tram" in note for note in result["notes"])


def test_cities_are_scored_by_themselves():
    cities = ["lyon"] * 4 + ["milan"] * 6
    result = evaluation.score(
        table_of(HAND, locations=[f"{c}-{i}" for i, c in enumerate(cities)], cities=cities),
        resamples=50,
    )
    assert result["cities"]["lyon"] == {
        "clips": 4,
        "locations": 4,
        "micro_accuracy": 0.5,
        "macro_accuracy": 0.5,
    }
    assert result["cities"]["milan"]["macro_accuracy"] == pytest.approx((2 / 3 + 1) / 2)


def test_seeds_are_averaged_and_their_deviation_stands_beside_the_interval():
    better = table_of([(truth, truth) for truth, _ in HAND])
    result = evaluation.summarise([table_of(HAND), better], resamples=50)
    one = (1 / 2 + 2 / 3 + 1) / 3
    assert result["macro_accuracy"] == pytest.approx((one + 1) / 2)
    assert result["seed_deviation"] == pytest.approx((1 - one) / np.sqrt(2))
    assert result["confusion"][0] == [3, 0.5, 0.5]
    assert evaluation.summarise([better])["seed_deviation"] is None


def test_clips_of_seen_and_unseen_cities_are_scored_apart():
    cities = ["lyon"] * 3 + ["milan"] * 7  # milan: bus 0 of 1, park 2 of 3, tram 3 of 3
    table = table_of(
        HAND, locations=[f"{city}-{number}" for number, city in enumerate(cities)], cities=cities
    )
    result = evaluation.score(table, resamples=50, seen_cities=["lyon", "oslo"])
    assert result["seen"]["macro_accuracy"] == pytest.approx(2 / 3)
    assert result["unseen"]["macro_accuracy"] == pytest.approx((0 + 2 / 3 + 1) / 3)
    assert [(result[half]["clips"], result[half]["locations"]) for half in ("seen", "unseen")] == [
        (3, 3),
        (7, 7),
    ]
    for half, city in (("seen", "lyon"), ("unseen", "milan")):
        alone = evaluation.score(table[table["city"] == city], resamples=50)
        assert result[half]["interval"] == alone["interval"]


def test_cities_that_are_unknown_make_no_halves():
    cities = ["lyon"] * len(HAND)
    with_cities = table_of(HAND, cities=cities)
    for table, seen in ((with_cities, None), (table_of(HAND), {"lyon"})):
        result = evaluation.score(table, resamples=10, seen_cities=seen)
        assert (result["seen"], result["unseen"]) == (None, None)
    result = evaluation.summarise([with_cities], resamples=10, seen_cities={"lyon"})
    assert result["seen"]["clips"] == len(HAND)
    assert result["unseen"] is None
    with pytest.raises(DataError, match="one name, 'lyon'"):
        evaluation.score(with_cities, seen_cities="lyon")


def test_a_scene_of_one_location_in_the_unseen_cities_is_named():
    pairs = [
        ("bus", "bus"),
        ("bus", "park"),
        ("bus", "bus"),
        ("park", "park"),
        ("park", "bus"),
        ("park", "park"),
    ]
    cities = ["lyon", "lyon", "milan", "lyon", "milan", "milan"]
    table = table_of(pairs, scenes=("bus", "park"), locations=list("abcdef"), cities=cities)
    notes = evaluation.score(table, resamples=10, seen_cities=["lyon"])["notes"]
    assert "One location only for bus in the unseen cities: their interval is too narrow." in notes
    assert "One location only for park in the seen cities: their interval is too narrow." in notes


@pytest.mark.parametrize(
    ("cities", "seen"),
    [(("lyon", "lyon", "milan"), ["lyon"]), (("", "", ""), None), (("lyon", "", "milan"), None)],
)
def test_cities_are_seen_where_every_training_clip_has_one(cities, seen):
    clips = tuple(
        Clip(f"c{number}", "", "bus", f"l{number}", city) for number, city in enumerate(cities)
    )
    corpus = Corpus("small", ("bus", "park"), clips, (Fold("1", ("c0", "c1"), ("c2",)),))
    assert corpus.training_cities("1") == seen


def test_scoring_and_reporting_load_no_tensorflow():
    code = "import sys, crossask.evaluation, crossask.report; print([m for m in ('tensorflow', 'tf_keras') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
