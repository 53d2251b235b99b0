"""Tables of text: the two formats, and errors with file and line."""

import pytest

from crossask import text_tables
from crossask.errors import DataError


def test_a_csv_has_quotation_marks(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text('\ufeffname,"scene label"\n"a,b.wav", bus \n\nc.wav\n', encoding="utf-8")
    table = text_tables.read_csv(path)
    assert table.columns == ("name", "scene label")
    assert list(table.numbered_rows()) == [
        (2, {"name": "a,b.wav", "scene label": "bus"}),
        (4, {"name": "c.wav", "scene label": ""}),
    ]


def test_a_tab_separated_table_has_neither(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text('name\tscene \n"a"\tbus \r\n\t\nb\n', encoding="utf-8")
    table = text_tables.read_tab_separated(path)
    assert table.columns == ("name", "scene")
    assert list(table.numbered_rows()) == [
        (2, {"name": '"a"', "scene": "bus"}),
        (4, {"name": "b", "scene": ""}),
    ]


def test_columns_can_be_given_for_a_table_without_a_header(tmp_path):
    path = tmp_path / "table.txt"
    path.write_text("a\tbus\nb\ttram\n")
    table = text_tables.read_tab_separated(path, ("name", "scene"))
    assert table.column("scene") == ("bus", "tram")


@pytest.mark.parametrize("before", ["", "\n \n"])
@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_a_header_with_a_tab_makes_it_the_delimiter_of_a_csv(tmp_path, delimiter, before):
    path = tmp_path / "table.csv"
    path.write_text(before + 'name,scene\n"a b",bus\n'.replace(",", delimiter))
    assert text_tables.read_csv(path).rows == ({"name": "a b", "scene": "bus"},)


def test_empty_columns_after_the_last_name_are_no_columns(tmp_path):
    path = tmp_path / "table.txt"
    path.write_text("name\tscene\tcity\t\t\na\tbus\t\t\t\nb\t\n")
    expected = (
        {"name": "a", "scene": "bus", "city": ""},
        {"name": "b", "scene": "", "city": ""},
    )
    for table in (text_tables.read_csv(path), text_tables.read_tab_separated(path)):
        assert table.columns == ("name", "scene", "city")
        assert table.rows == expected


@pytest.mark.parametrize("line", ["a", "a\tbus\tlyon\tx", "a\tbus\tlyon\t\tx"])
def test_a_line_with_too_few_or_too_many_cells_is_an_error_with_its_number(tmp_path, line):
    path = tmp_path / "table.txt"
    path.write_text(f"name\tscene\tcity\na\tbus\n\n{line}\n")
    with pytest.raises(DataError, match=r"Line 4 of .*table\.txt has \d columns") as error:
        text_tables.read_tab_separated(path, least_cells=2)
    assert "name, scene, city" in error.value.fix


@pytest.mark.parametrize("read", [text_tables.read_csv, text_tables.read_tab_separated])
def test_missing_columns_and_other_encodings_are_errors_with_the_file(tmp_path, read):
    path = tmp_path / "table.csv"
    path.write_text("name\na\n")
    with pytest.raises(DataError, match=r"table\.csv has no column 'scene'.*\['name'\]"):
        read(path).require(("name", "scene"), "Add it.")
    path.write_bytes("caf\u00e9\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"table\.csv is no \w+ in UTF-8"):
        read(path)


def test_semicolons_are_an_error_that_says_so(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("name;scene\na;bus\n")
    with pytest.raises(DataError, match="no column 'name'") as error:
        text_tables.read_csv(path).require(("name", "scene"), "Give a header.")
    assert "commas or tabs" in error.value.fix
    assert "semicolons" in error.value.fix


def test_an_empty_file_is_a_table_without_columns(tmp_path):
    path = tmp_path / "table.csv"
    path.touch()
    assert text_tables.read_csv(path).columns == ()
    assert text_tables.read_tab_separated(path).rows == ()
