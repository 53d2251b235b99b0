"""Scores against hand-worked figures and scikit-learn; intervals against a simulation with a fixed seed."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, log_loss

from crossask import evaluation
from crossask.errors import DataError

SCENES = ("bus", "park", "tram")
# truth, prediction; worked by hand: bus 2 of 4, park 2 of 3, tram 3 of 3
HAND = (
    ("bus", "bus"), ("bus", "bus"), ("bus", "park"), ("bus", "tram"),
    ("park", "park"), ("park", "park"), ("park", "bus"),
    ("tram", "tram"), ("tram", "tram"), ("tram", "tram"),
)  # fmt: skip


def table_of(pairs, scenes=SCENES, locations=None, cities=None, sure=0.8):
    """A table in which the predicted scene has probability `sure` and the others share the rest."""
    rows = []
    for number, (truth, predicted) in enumerate(pairs):
        row = {"clip": f"clip{number:04d}"}
        if locations is not None:
            row["location"] = locations[number]
        if cities is not None:
            row["city"] = cities[number]
        row["truth"] = truth
        rows.append(row | {s: sure if s == predicted else (1 - sure) / (len(scenes) - 1) for s in scenes})
    return pd.DataFrame(rows)


def random_table(seed, clips=90, scenes=SCENES, locations=5):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(len(scenes)), size=clips)
    truth = np.repeat(scenes, -(-clips // len(scenes)))[:clips]
    place = [f"{scene}-{number % locations}" for number, scene in enumerate(truth)]
    table = pd.DataFrame({"clip": [f"c{i:03d}" for i in range(clips)], "location": place, "truth": truth})
    return table.assign(**dict(zip(scenes, probabilities.T, strict=True)))


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
    assert result["macro_accuracy"] == pytest.approx(balanced_accuracy_score(table["truth"], predicted), abs=1e-12)
    assert result["confusion"] == confusion_matrix(table["truth"], predicted, labels=SCENES).tolist()
    assert result["log_loss"] == pytest.approx(log_loss(table["truth"], table[list(SCENES)], labels=SCENES), abs=1e-12)


def test_scores_are_plain_json_and_do_not_depend_on_the_order_of_rows():
    table = random_table(3)
    result = evaluation.score(table, resamples=100)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert evaluation.score(table.sample(frac=1, random_state=0), resamples=100) == result
    other_order = evaluation.score(table[["truth", "tram", "clip", "bus", "park", "location"]], resamples=100)
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
    assert (interval["high"] - interval["low"]) / 2 == pytest.approx(1.96 * np.sqrt(variance), rel=0.05)
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
        for kind, table in (("location", table_of(pairs, locations=places)), ("clip", table_of(pairs))):
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
    result = evaluation.score(table_of(HAND, locations=[f"{c}-{i}" for i, c in enumerate(cities)], cities=cities), resamples=50)
    assert result["cities"]["lyon"] == {"clips": 4, "locations": 4, "micro_accuracy": 0.5, "macro_accuracy": 0.5}
    assert result["cities"]["milan"]["macro_accuracy"] == pytest.approx((2 / 3 + 1) / 2)


def test_seeds_are_averaged_and_their_deviation_stands_beside_the_interval():
    better = table_of([(truth, truth) for truth, _ in HAND])
    result = evaluation.summarise([table_of(HAND), better], resamples=50)
    one = (1 / 2 + 2 / 3 + 1) / 3
    assert result["macro_accuracy"] == pytest.approx((one + 1) / 2)
    assert result["seed_deviation"] == pytest.approx((1 - one) / np.sqrt(2))
    assert result["confusion"][0] == [3, 0.5, 0.5]
    assert evaluation.summarise([better])["seed_deviation"] is None


def test_a_paired_difference_is_surer_than_two_intervals_suggest():
    # both sides fail at the same locations; a is right on one clip more at each
    pairs_a, pairs_b, places = [], [], []
    for scene, other in zip(SCENES, ("park", "tram", "bus"), strict=True):
        for place, right in enumerate((0, 2, 4, 6, 8, 9)):
            pairs_a += [(scene, scene if clip < right + 1 else other) for clip in range(10)]
            pairs_b += [(scene, scene if clip < right else other) for clip in range(10)]
            places += [f"{scene}{place}"] * 10
    a, b = table_of(pairs_a, locations=places), table_of(pairs_b, locations=places)
    result = evaluation.compare([a], [b])
    assert result["difference"] == pytest.approx(0.1)
    assert (result["interval"]["low"], result["interval"]["high"]) == pytest.approx((0.1, 0.1))
    assert result["verdict"] == "better"
    assert evaluation.compare([b], [a])["verdict"] == "worse"
    overlap = evaluation.score(a)["interval"]["low"] < evaluation.score(b)["interval"]["high"]
    assert overlap


def test_equal_predictions_and_single_locations_let_nothing_be_told():
    table = random_table(5)
    assert evaluation.compare([table], [table])["verdict"] == "cannot tell"
    perfect = table_of([(truth, truth) for truth, _ in HAND], locations=[truth for truth, _ in HAND])
    result = evaluation.compare([perfect], [table_of(HAND, locations=[truth for truth, _ in HAND])])
    assert result["difference"] > 0
    assert result["verdict"] == "cannot tell"
    assert any("One location only" in note for note in result["notes"])


def test_the_verdict_of_two_equal_systems_is_rarely_wrong():
    rng = np.random.default_rng(11)
    told = 0
    for _ in range(60):
        pairs_a, pairs_b, places = [], [], []
        for scene, other in zip(SCENES, ("park", "tram", "bus"), strict=True):
            for place in range(5):
                for side in (pairs_a, pairs_b):
                    right = rng.random(8) < rng.beta(3, 2)
                    side += [(scene, scene if hit else other) for hit in right]
                places += [f"{scene}{place}"] * 8
        result = evaluation.compare([table_of(pairs_a, locations=places)], [table_of(pairs_b, locations=places)], resamples=400)
        told += result["verdict"] != "cannot tell"
    assert told / 60 < 0.12


def test_a_comparison_of_different_clips_names_the_difference():
    a, b = table_of(HAND), table_of(HAND).iloc[1:]
    with pytest.raises(DataError, match="1 only in the first, 0 only in the second; the second lacks 'clip0000'"):
        evaluation.compare([a], [b])
    c = table_of((("park", "park"), *HAND[1:]))
    with pytest.raises(DataError, match="'clip0000' has the truth 'bus' in the first and 'park' in the second"):
        evaluation.compare([a], [c])


def test_a_rival_may_order_or_lack_columns_and_have_fewer_seeds():
    places = [f"{truth}{number % 2}" for number, (truth, _) in enumerate(HAND)]
    ours = [table_of(HAND, locations=places), table_of(HAND, locations=places)]
    rival = table_of(HAND)[["truth", "tram", "bus", "park", "clip"]]
    result = evaluation.compare(ours, [rival])
    assert result["difference"] == 0
    assert result["interval"]["over"] == "location"
    assert evaluation.compare([rival], ours)["interval"]["over"] == "location"


def test_folds_are_pooled_once():
    table = random_table(2)
    pooled = evaluation.pool([table.iloc[:40], table.iloc[40:]])
    assert evaluation.score(pooled, resamples=50) == evaluation.score(table, resamples=50)
    with pytest.raises(DataError, match="'c039' stands in two folds"):
        evaluation.pool([table.iloc[:40], table.iloc[39:]])


def test_a_location_known_in_one_fold_only_is_no_location_of_the_pool():
    table = random_table(2)
    pooled = evaluation.pool([table.iloc[:40], table.iloc[40:].drop(columns="location")])
    assert evaluation.score(pooled, resamples=50)["interval"]["over"] == "clip"


def test_a_written_table_is_read_back_with_its_scores(tmp_path):
    table = random_table(4)
    table.to_csv(tmp_path / "predictions.csv", index=False)
    assert evaluation.score(evaluation.read_predictions(tmp_path / "predictions.csv")) == evaluation.score(table)
    table.to_csv(tmp_path / "tabs.tsv", index=False, sep="\t", encoding="utf-8-sig")
    assert evaluation.score(evaluation.read_predictions(tmp_path / "tabs.tsv")) == evaluation.score(table)


def test_a_table_without_locations_is_scored_by_clip_and_says_so(tmp_path):
    path = tmp_path / "rival.csv"
    table_of(HAND).assign(location="", city="").to_csv(path, index=False)
    result = evaluation.score(evaluation.read_predictions(path), resamples=50)
    assert result["interval"]["over"] == "clip"
    assert result["locations"] is None
    assert any("resamples clips" in note for note in result["notes"])


HEADER = "clip,location,city,truth,bus,park"
GOOD = "a,l1,x,bus,0.9,0.1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{HEADER}\n{GOOD}\na,l1,x,bus,0.9,0.1", "Row 2 of .*'a'.* repeats"),
        (f"{HEADER}\n{GOOD}\nb,l1,x,bus,0.9,0.2", r"Row 2 of .*'b'.* sum to 1\.1"),
        (f"{HEADER}\n{GOOD}\nb,l1,x,bus,1.2,-0.2", "Row 2 of .*'b'.* has 1.2 in column 'bus'"),
        (f"{HEADER}\n{GOOD}\nb,l1,x,bus,nan,0.2", "Row 2 of .*'b'.* has nan in column 'bus'"),
        (f"{HEADER}\n{GOOD}\nb,l1,x,tram,0.9,0.1", "Row 2 of .*'b'.* has the truth 'tram'"),
        (f"{HEADER}\n{GOOD}\nb,l1,x,bus,high,0.1", "Row 2 of .* has 'high' in column 'bus'"),
        (f"{HEADER}\n{GOOD}\nb,l1,x,bus,0.9", "Row 2 of .* has 5 cells, its header 6"),
        (f"{HEADER}\n{GOOD}\nb,,x,bus,0.9,0.1", "Row 2 of .*'b'.* has no location"),
        ("clip,location,city,bus,park\na,l,x,1,0", "no column 'truth'"),
        ("clip,truth,bus,bus\na,bus,1,0", "a column 'bus'"),
        (f"{HEADER}\n", "holds no predictions"),
        ("clip,truth\na,b", "0 scenes"),
    ],
)
def test_a_faulty_table_is_refused_with_file_row_and_value(tmp_path, text, words):
    path = tmp_path / "rival.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        evaluation.read_predictions(path)
    assert "rival.csv" in caught.value.problem
    assert caught.value.fix


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv"):
        evaluation.read_predictions(tmp_path / "none.csv")


def test_scoring_and_reporting_load_no_tensorflow():
    code = "import sys, crossask.evaluation, crossask.report; print([m for m in ('tensorflow', 'tf_keras') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
