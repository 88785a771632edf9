import os

import numpy as np
import pytest
from PIL import Image

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.csv_list import read_csv
from slim_retrieval.datasets.table import label_ids


def _write(tmp_path, text, encoding="utf-8"):
    for value, name in enumerate(["a.png", "b,c.png"]):
        Image.new("RGB", (2, 2), (value, 0, 0)).save(str(tmp_path / name))
    path = tmp_path / "list.csv"
    path.write_bytes(text.encode(encoding))
    return str(path)


def test_comma_with_quotes_further_columns_and_byte_order_mark(tmp_path):
    path = _write(tmp_path, 'label,path,color\n5,"b,c.png",red\n\n7,a.png,\n', "utf-8-sig")
    table = read_csv(path)
    assert table.paths == [os.path.join(str(tmp_path), "b,c.png"), os.path.join(str(tmp_path), "a.png")]
    assert table.columns == {"label": ["5", "7"], "color": ["red", ""]}
    assert [int(table.load(i)[0, 0, 0]) for i in range(2)] == [1, 0]


def test_tabs_and_absolute_paths(tmp_path):
    path = _write(tmp_path, "path\tlabel\n{}\tx\n".format(tmp_path / "a.png"))
    table = read_csv(path)
    assert table.paths == [str(tmp_path / "a.png")]
    assert table.columns == {"label": ["x"]}


@pytest.mark.parametrize("text, message", [
    ("file,label\na.png,1\n", "line 1: no column 'path' in the header \\(file, label\\)"),
    ("", "line 1: no column 'path' in the header \\(empty\\)"),
    ("path,label,label\na.png,1,1\n", "line 1: column 'label' is there twice"),
    ("path,label\na.png,1\n ,2\n", "line 3: empty path"),
    ("path,label\na.png,1\na.png,\n", "line 3: empty label"),
    ("path,label\na.png,1\nno.png,2\n", "line 3: no image .*no.png"),
    ("path,label\na.png,1\nb,c.png,2\n", "line 3: 3 fields, the header has 2"),
])
def test_bad_files_give_one_line_with_the_line_number(tmp_path, text, message):
    with pytest.raises(InputError, match="list.csv " + message) as info:
        read_csv(_write(tmp_path, text))
    assert "\n" not in str(info.value)


def test_a_list_without_labels_is_read_and_asked_for_one_only_where_it_is_needed(tmp_path):
    table = read_csv(_write(tmp_path, "path,class\na.png,1\n"))
    assert table.columns == {"class": ["1"]}
    with pytest.raises(InputError, match="no label column 'label'.*class"):
        label_ids(table)


def test_a_box_and_a_rotation_change_what_is_read(tmp_path):
    pixels = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    Image.fromarray(pixels).save(str(tmp_path / "p.png"))
    path = _write(tmp_path, "path,label,box,rotation\np.png,1,1 2 4 5,\np.png,1,,90\np.png,2,0.4 0.6 6.5 9,180\n")
    table = read_csv(path)
    assert np.array_equal(table.load(0), pixels[2:5, 1:4])
    assert np.array_equal(table.load(1), [[pixels[r, c] for r in range(5)] for c in range(6, -1, -1)])
    assert np.array_equal(table.load(2), pixels[1:, :6][::-1, ::-1])  # Pillow's round(6.5) is 6
    assert table.columns["box"][0] == "1 2 4 5"
    with pytest.raises(InputError, match="p.png: the box 'big' is not x1 y1 x2 y2"):
        read_csv(_write(tmp_path, "path,box\np.png,big\n"))


def test_missing_file_and_wrong_encoding(tmp_path):
    with pytest.raises(InputError, match="no file .*other.csv"):
        read_csv(str(tmp_path / "other.csv"))
    with pytest.raises(InputError, match="not a CSV file in UTF-8"):
        read_csv(_write(tmp_path, "path,label\n\u00e4.png,1\n", "latin-1"))
