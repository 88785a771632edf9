import os

import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.found import WHOLE
from slim_retrieval.datasets.layouts import read_layout

LINES = ["path,label,color,camera", "a.jpg,1,red,2", "b.jpg,2,blue,1", "sub/ü c.jpg,1,red,1"]


@pytest.fixture
def images(photos):
    return photos("a.jpg", "b.jpg", "sub/ü c.jpg")


def table(path, **options):
    name, found = read_layout(path, **options)
    assert name == "list"
    return found.splits[WHOLE]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lists_as_spreadsheets_write_them(images, text, delimiter, encoding, end):
    path = text("list.csv", end.join(LINES).replace(",", delimiter) + end + end, encoding)
    got = table(path)
    assert got.paths == [os.path.join(images, name) for name in ("a.jpg", "b.jpg", "sub/ü c.jpg")]
    assert got.columns == {"label": ["1", "2", "1"], "color": ["red", "blue", "red"], "camera": ["2", "1", "1"]}


@pytest.mark.parametrize("header, options", [
    ("File,Class", {}), ("image_path,target", {}), ("IMAGE,label_id", {}),
    ("photo,item", {"path_column": "photo", "label_column": "item"}), ("path,item", {"label_column": "item"})])
def test_columns_of_other_names(images, text, header, options):
    got = table(text("list.tsv", header.replace(",", "\t") + "\na.jpg\tx\nb.jpg\ty\n"), **options)
    assert got.columns == {"label": ["x", "y"]}


def test_a_column_that_was_not_picked_does_not_hide_the_one_that_was(images, text):
    got = table(text("list.csv", "path,label,item\na.jpg,1,x\nb.jpg,2,y\n"), label_column="item")
    assert got.columns == {"label": ["x", "y"], "label_given": ["1", "2"]}


def test_paths_elsewhere_absolute_or_from_windows(images, text):
    path = text("lists/list.csv", "path,label\nsub\\ü c.jpg,1\n{}/a.jpg,2\n".format(images))
    got = table(path, images=images)
    assert got.paths == [os.path.join(images, "sub/ü c.jpg"), os.path.join(images, "a.jpg")]
    with pytest.raises(InputError, match="none of its 1 images is there.*relative to the list, or to --images"):
        read_layout(text("lists/other.csv", "path,label\na.jpg,1\n"))


def test_splits_by_a_column(images, text):
    _, found = read_layout(text("list.csv", "path,label,split\na.jpg,1,train\nb.jpg,2,Test\nsub/ü c.jpg,2,test\n"))
    assert sorted(found.splits) == ["gallery", "query", "train"]
    assert found.splits["query"].columns == {"label": ["2", "2"]}
    with pytest.raises(InputError, match="row 3: the split is 'tset'.*did you mean test"):
        read_layout(text("list.csv", "path,label,split\na.jpg,1,train\nb.jpg,2,tset\n"))
    with pytest.raises(InputError, match="row 3: the split is ''"):
        read_layout(text("list.csv", "path,label,split\na.jpg,1,train\nb.jpg,2,\n"))
    assert list(read_layout(text("list.csv", "path,label,split\na.jpg,1,\nb.jpg,2,\n"))[1].splits) == [WHOLE]


def test_boxes_of_one_column_or_four(images, text):
    got = table(text("list.csv", 'path,label,box\na.jpg,1,"2,1,5,4"\nb.jpg,2,\n'))
    assert got.load(0).shape == (3, 3, 3) and got.load(1).shape == (10, 12, 3)
    got = table(text("list.csv", "path,label,x1,y1,x2,y2\na.jpg,1,2,1,5,4\n"))
    assert got.columns == {"label": ["1"], "box": ["2 1 5 4"]} and got.load(0).shape == (3, 3, 3)
    with pytest.raises(InputError, match="row 2: x1, y1, x2, y2: could not convert"):
        table(text("list.csv", "path,label,x1,y1,x2,y2\na.jpg,1,2,1,5,wide\n"))


def test_without_labels(images, text):
    _, found = read_layout(text("list.csv", "path\na.jpg\nb.jpg\n"), unlabelled=True)
    assert found.protocol == "" and found.splits["query"] is found.splits["gallery"]
    with pytest.raises(InputError, match="none of its columns \\(path\\) is called label; name the right one with "
                                         "--label_column; or search without labels: --unlabelled"):
        read_layout(text("list.csv", "path\na.jpg\nb.jpg\n"))


@pytest.mark.parametrize("content, message", [
    ("", "is empty; it needs a header"), ("path,label\n", "has a header .* and no rows"),
    ("a.jpg,1\nb.jpg,2\n", "none of its columns \\(a.jpg, 1\\) is called path"),
    ("path,label\na.jpg,1,2\n", "row 2: 3 values, the header has 2"),
    ("path,label,label\na.jpg,1,2\n", "the column 'label' is there twice"),
    ("path,label\na.jpg,\n", "row 2: the label is empty"), ("path,label\n,1\n", "row 2: the path is empty"),
    ("\0\0\0", "is no text file")])
def test_lists_that_are_none(images, text, content, message):
    with pytest.raises(InputError, match=message) as info:
        read_layout(text("list.csv", content))
    assert "\n" not in str(info.value)


def test_unknown_columns_asked_for(images, text):
    with pytest.raises(InputError, match="has no column 'lable' \\(did you mean label\\?\\); it has: path, label"):
        read_layout(text("list.csv", "path,label\na.jpg,1\n"), label_column="lable")
