"""Tables of predictions as others write them: read, refused, pooled."""

import pytest
from evaluation.tables import HAND, random_table, table_of

from crossask import evaluation
from crossask.errors import DataError


def test_a_written_table_is_read_back_with_its_scores(tmp_path):
    table = random_table(4)
    table.to_csv(tmp_path / "predictions.csv", index=False)
    assert evaluation.score(
        evaluation.read_predictions(tmp_path / "predictions.csv")
    ) == evaluation.score(table)
    table.to_csv(tmp_path / "tabs.tsv", index=False, sep="\t", encoding="utf-8-sig")
    assert evaluation.score(evaluation.read_predictions(tmp_path / "tabs.tsv")) == evaluation.score(
        table
    )


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
