"""Tables of text: the two formats, and errors with file and line."""

import unicodedata

import pytest

from crossask import text_tables
from crossask.datasets import clip_tables
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


@pytest.mark.parametrize("read", [text_tables.read_csv, text_tables.read_tab_separated])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le with mark"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_a_table_is_read_with_any_delimiter_encoding_and_line_end(
    tmp_path, read, encoding, delimiter, line_end
):
    text = line_end.join(["name,scene", "caf\u00e9.wav,bus", "b\u2028\x85.wav,tram", ""])
    text = text.replace(",", delimiter)
    if encoding == "utf-16-le with mark":
        content = "\ufeff".encode("utf-16-le") + text.encode("utf-16-le")
    else:
        content = text.encode(encoding)
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    table = read(path)
    assert table.columns == ("name", "scene")
    assert list(table.numbered_rows()) == [
        (2, {"name": "caf\u00e9.wav", "scene": "bus"}),
        (3, {"name": "b\u2028\x85.wav", "scene": "tram"}),
    ]


def test_a_first_column_that_numbers_the_rows_is_left_out(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(",name,scene\n0,a,bus\n1,b,tram\n")
    assert text_tables.read_csv(path).rows == (
        {"name": "a", "scene": "bus"},
        {"name": "b", "scene": "tram"},
    )
    path.write_text(",name,scene\n0,a,bus\n2,b,tram\n")
    assert text_tables.read_csv(path).columns == ("", "name", "scene")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'name,scene\n"a,bus\nb,tram\nc,bus\n', r"no CSV: .* ends in line 4"),
        (b"name,scene\na,b,tram\n", "Line 2 .* has 3 columns, but there are 2"),
        (b"name,scene,name\na,b,c\n", "two columns called 'name'"),
        (b"name,scene\na,bus\nb,\xff\n", r"UTF-8 \(line 3: invalid start byte\)"),
        (b"name,scene\na\0,bus\n", r"UTF-8 \(line 2: a zero byte\)"),
        ("name,scene\n".encode("utf-16-le"), r"UTF-8 \(line 1: a zero byte\)"),
        (b"\xff\xfen\0a", r"UTF-8 \(line 1: truncated data\)"),
    ],
)
def test_what_cannot_be_read_without_doubt_is_an_error_with_the_line(tmp_path, content, message):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        text_tables.read_csv(path)


def test_a_folder_in_place_of_a_table_is_an_error(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        text_tables.read_csv(tmp_path)


def test_names_of_files_have_slashes_unless_the_backslash_is_in_the_name(tmp_path):
    (tmp_path / "a\\b.wav").touch()
    names = ["x\\y.wav", "./x//y.wav", "a\\b.wav", ""]
    found = [text_tables.file_name(name, tmp_path) for name in names]
    assert found == ["x/y.wav", "x/y.wav", "a\\b.wav", ""]


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_with_accents_is_that_of_the_file_that_is_there(tmp_path, forms):
    written, present = (unicodedata.normalize(form, "f\u00eate/caf\u00e9.wav") for form in forms)
    assert text_tables.file_name(written, tmp_path) == written
    (tmp_path / present).parent.mkdir()
    (tmp_path / present).touch()
    assert text_tables.file_name(written, tmp_path) == present
    (tmp_path / written).parent.mkdir()
    (tmp_path / written).touch()
    assert text_tables.file_name(written, tmp_path) == written


def test_an_empty_file_is_a_table_without_columns(tmp_path):
    path = tmp_path / "table.csv"
    path.touch()
    assert text_tables.read_csv(path).columns == ()
    assert text_tables.read_tab_separated(path).rows == ()


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("=1+2", "'=1+2"),
        ("+a", "'+a"),
        ("-a", "'-a"),
        ("@a", "'@a"),
        ("'a", "''a"),
        ("\t=a", "'\t=a"),
        ("\r=a", "'\r=a"),
        ("＝1", "'＝1"),
        ("-1.5", "-1.5"),
        ("+1e-3", "+1e-3"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_no_name_is_a_formula_in_a_spreadsheet(name, cell):
    assert text_tables.cell_of(name) == cell
    assert text_tables.name_of(cell) == name


@pytest.mark.parametrize(
    ("name", "clip", "expected"),
    [
        ("park/a", "park/a.wav", True),
        ("park/a", "/sounds/park/a.wav", True),
        ("park/a.wav", "/sounds/park/a.wav@10.0s", True),
        ("park/a", "C:\\sounds\\park\\a.wav", True),
        ("a", "/sounds/park/a.wav", True),
        ("park", "/sounds/park.v1/a.wav", False),
        ("park", "/sounds/park/a.wav", False),
        ("ark/a", "/sounds/park/a.wav", False),
        ("park/a", "/sounds/park/ab.wav", False),
        ("", "/sounds/park/a.wav", False),
    ],
)
def test_a_name_that_was_made_from_a_file_is_the_end_of_its_path(name, clip, expected):
    assert text_tables.is_made_from_file(name, clip) == expected


def test_names_are_sorted_by_the_numbers_in_them():
    names = ["fold10", "10", "fold9", "9", "test", "a2b", "a10b", ""]
    expected = ["", "9", "10", "a2b", "a10b", "fold9", "fold10", "test"]
    assert sorted(names, key=text_tables.natural_key) == expected


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_with_accents_are_those_of_the_files_in_the_files_of_a_fold_too(tmp_path, form):
    # The files of a fold are in a folder of their own.
    (tmp_path / "audio").mkdir()
    (tmp_path / "evaluation_setup").mkdir()
    file = unicodedata.normalize(form, "audio/málaga.wav")
    (tmp_path / file).touch()
    listed = unicodedata.normalize("NFD" if form == "NFC" else "NFC", file)
    tables = []
    for path in (tmp_path / "meta.csv", tmp_path / "evaluation_setup" / "fold1_train.csv"):
        path.write_text(f"filename\tscene_label\n{listed}\tbus\n", encoding="utf-8")
        tables.append(text_tables.read_tab_separated(path))
    metadata = clip_tables.ClipTable(tables[0])
    assert metadata.names == clip_tables.side_of_fold(tables[1], metadata) == (file,)
