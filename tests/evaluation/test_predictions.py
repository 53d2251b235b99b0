"""Tables of predictions as other programs write them: read, refused, pooled."""

import pytest
from evaluation.tables import HAND, SCENES, random_table, table_of

from crossask import evaluation
from crossask.errors import DataError


def test_a_written_table_is_read_with_the_same_scores(tmp_path):
    table = random_table(4)
    expected = evaluation.score(table)
    table.to_csv(tmp_path / "predictions.csv", index=False)
    commas = evaluation.read_predictions(tmp_path / "predictions.csv")
    assert evaluation.score(commas) == expected
    table.to_csv(tmp_path / "tabs.tsv", index=False, sep="\t", encoding="utf-8-sig")
    tabs = evaluation.read_predictions(tmp_path / "tabs.tsv")
    assert evaluation.score(tabs) == expected


def test_a_table_without_locations_is_scored_by_clip_with_a_note(tmp_path):
    path = tmp_path / "other.csv"
    table_of(HAND).assign(location="", city="").to_csv(path, index=False)
    result = evaluation.score(evaluation.read_predictions(path), resamples=50)
    assert result.interval.over == "clip"
    assert result.locations is None
    assert any("resamples clips" in note for note in result.notes)


def test_the_order_of_the_columns_changes_no_accuracy_also_with_ties():
    table = random_table(4)
    # Rounded, as other programs write them, many clips have two equal probabilities.
    table = table.assign(bus=table["bus"].round(1), park=((1 - table["bus"].round(1)) / 2))
    table = table.assign(tram=table["park"])
    turned = table[[*table.columns[:3], "tram", "park", "bus"]]
    first = evaluation.score(table, resamples=50)
    second = evaluation.score(turned, resamples=50)
    assert first.macro_accuracy == second.macro_accuracy
    for scene, score in first.per_class.items():
        assert score.accuracy == second.per_class[scene].accuracy
    assert first.notes == second.notes
    ties = int((table["bus"] <= table["park"]).sum())
    assert f"In {ties} clips" in first.notes[-1]
    assert "by name" in first.notes[-1]


def test_a_column_of_zeros_is_named_and_changes_no_score():
    table = table_of(HAND)
    scored = evaluation.score(table.assign(fold=0.0), resamples=50)
    expected = evaluation.score(table, resamples=50)
    assert scored.macro_accuracy == expected.macro_accuracy
    assert scored.log_loss == expected.log_loss
    (note,) = [note for note in scored.notes if "column fold is 0" in note]
    assert "leave it out" in note
    # A scene that was predicted for some clip is one.
    table.loc[0, ["bus", "park"]] = [0.7, 0.1]
    used = evaluation.score(table.assign(metro=[0.1] + 9 * [0.0]), resamples=50)
    assert not any("is 0 for every clip" in note for note in used.notes)


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
        (f"{HEADER}\n", "contains no predictions"),
        ("clip,truth\na,b", "0 scenes"),
    ],
)
def test_a_faulty_table_is_refused_with_file_row_and_value(tmp_path, text, words):
    path = tmp_path / "other.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        evaluation.read_predictions(path)
    assert "other.csv" in caught.value.problem
    assert caught.value.fix


def test_a_missing_file_is_reported_with_its_path(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv"):
        evaluation.read_predictions(tmp_path / "none.csv")


def test_the_pooled_folds_have_the_score_of_all_their_clips():
    table = random_table(2)
    pooled = evaluation.pool([table.iloc[:40], table.iloc[40:]])
    assert evaluation.score(pooled, resamples=50) == evaluation.score(table, resamples=50)


def test_a_clip_of_two_folds_is_refused():
    table = random_table(2)
    with pytest.raises(DataError, match="'c039' is in the predictions of two folds"):
        evaluation.pool([table.iloc[:40], table.iloc[39:]])


def test_locations_that_only_one_fold_has_are_left_out_of_the_pooled_table():
    table = random_table(2)
    pooled = evaluation.pool([table.iloc[:40], table.iloc[40:].drop(columns="location")])
    assert evaluation.score(pooled, resamples=50).interval.over == "clip"


def test_numbers_are_names_as_texts_are():
    # As pandas reads a CSV whose clips and scenes have numbers.
    texts = random_table(0)
    texts["clip"] = [str(number) for number in range(len(texts))]
    texts["truth"] = texts["truth"].map({name: str(n) for n, name in enumerate(SCENES)})
    texts = texts.rename(columns={name: str(number) for number, name in enumerate(SCENES)})
    numbers = texts.astype({"clip": int, "truth": int})
    for table in (numbers, numbers.rename(columns={str(n): n for n in range(len(SCENES))})):
        assert evaluation.score(table, resamples=20) == evaluation.score(texts, resamples=20)
        assert evaluation.compare([table], [texts], resamples=20).difference == 0


def test_folds_with_different_scenes_are_refused():
    table = random_table(2)
    with pytest.raises(DataError, match="different scenes"):
        evaluation.pool([table, table.rename(columns={"bus": "ferry"})])
