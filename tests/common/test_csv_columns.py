import pytest

from slim_retrieval.common import csv_columns
from slim_retrieval.common.errors import InputError


def test_columns_are_read_as_text(tmp_path):
    (tmp_path / "c.csv").write_bytes("\ufeffname,category\n\"a, b\",\n\n\u00e9,7\n".encode("utf-8"))
    assert csv_columns.read(str(tmp_path / "c.csv")) == {"name": ["a, b", "\u00e9"], "category": ["", "7"]}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_separators_and_ends_of_lines_as_spreadsheets_write_them(tmp_path, separator, end):
    lines = ["path,label,note", 'a.jpg,x,"1,5;\t"', "b.jpg,y,"]
    text = end.join([line.replace(",", separator) for line in lines[:1]] + lines[1:]) + end
    text = text if separator == "," else text.replace("jpg,", "jpg" + separator).replace("x,", "x" + separator).replace(
        "y,", "y" + separator)
    (tmp_path / "c.csv").write_bytes(text.encode("utf-8-sig"))
    assert csv_columns.read(str(tmp_path / "c.csv")) == {
        "path": ["a.jpg", "b.jpg"], "label": ["x", "y"], "note": ["1,5;\t", ""]}


@pytest.mark.parametrize("content, message", [
    (b"", "expected a column 'path' and no column twice, got nothing"),
    (b"name\nx\n", r"expected a column 'path' and no column twice, got \['name'\]"),
    (b"path,path\nx,y\n", r"no column twice, got \['path', 'path'\]"),
    (b"path,b\nx\n", r"row 1 \(x\) has 1 values, the header has 2"),
    (b"path\n\xff\n", "is not UTF-8")])
def test_files_that_cannot_be_used(tmp_path, content, message):
    (tmp_path / "c.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        csv_columns.read(str(tmp_path / "c.csv"), ["path"])


def test_a_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(InputError, match="no .*c.csv; draw it up"):
        csv_columns.read(str(tmp_path / "c.csv"), advice="draw it up")
