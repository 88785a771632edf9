import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.validation import cut
from slim_retrieval.graph import side_columns
from slim_retrieval.graph.side_columns import Columns

INDEX = {"path": ["a.jpg", "b.jpg", "c.jpg"], "label": ["x", "y", "x"]}


def write(tmp_path, text):
    (tmp_path / "side.csv").write_text(text)
    return str(tmp_path / "side.csv")


def test_row_by_row(tmp_path):
    path = write(tmp_path, "category,note\nshoe,old\n,\nhat,\n")
    assert side_columns.read_columns(path, 3) == {"category": ["shoe", "", "hat"], "note": ["old", "", ""]}
    assert side_columns.read_columns(path, 3, INDEX)["category"] == ["shoe", "", "hat"]  # a run, but no paths


def test_by_path_in_any_order_and_number(tmp_path):
    path = write(tmp_path, "category,path\nhat,c.jpg\nbag,elsewhere.jpg\nshoe,a.jpg\n")
    assert side_columns.read_columns(path, 3, INDEX) == {"category": ["shoe", "", "hat"], "path": INDEX["path"]}


@pytest.mark.parametrize("text, index, message", [
    ("category\nshoe\nhat\n", None, "side.csv has 2 rows and the gallery 3 images"),
    ("category,path\nshoe,a.jpg\nhat,a.jpg\n", INDEX, "has the path 'a.jpg' twice"),
    ("category,path\nshoe,q.jpg\n", INDEX, "no path in .*side.csv, such as 'q.jpg', is in the gallery.*'a.jpg'"),
    ("category,category\nshoe,q\n", INDEX, "no column twice")])
def test_files_that_cannot_be_used(tmp_path, text, index, message):
    with pytest.raises(InputError, match=message):
        side_columns.read_columns(write(tmp_path, text), 3, index)


def test_one_column():
    columns = Columns({"category": ["", "b"], "none": ["", ""], "path": ["1", "2"]}, "i.csv", True)
    assert side_columns.column(columns, "category", "side.labels") == ["", "b"]
    for name, message in (("categry", "unknown column for side.labels in i.csv 'categry' .did you mean category"),
                          ("none", "side.labels: column 'none' of i.csv is empty for all 2 gallery images"),
                          ("path", "side.labels names the column 'path' of i.csv, which tells the cl")):
        with pytest.raises(InputError, match=message):
            side_columns.column(columns, name, "side.labels")
    with pytest.raises(InputError, match="side.text is 'note', and features from anywhere come without columns.*--si"):
        side_columns.column(side_columns.NONE, "note", "side.text")


def test_indexes_of_a_run_and_of_its_validation_cut(tmp_path):
    for split, rows in (("query", 2), ("gallery", 3), ("validation", 9)):
        folder = tmp_path / "features" / split
        folder.mkdir(parents=True)
        (folder / "index.csv").write_text("path,label\n" + "".join("{}{},x\n".format(split, i) for i in range(rows)))
    query, gallery, path = side_columns.read_indexes(str(tmp_path))
    assert query["path"] == ["query0", "query1"] and len(gallery["label"]) == 3 and path.endswith("gallery/index.csv")
    query, gallery, path = side_columns.read_indexes(str(tmp_path), (.3, 5))
    rows = cut(9, .3, 5)
    assert query["path"] == ["validation{}".format(i) for i in rows[0]]
    assert gallery["path"] == ["validation{}".format(i) for i in rows[1]] and path.endswith("validation/index.csv")
    assert not np.intersect1d(*rows).size
