import os

import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation import tables


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return str(folder)


def test_images_of_a_folder_by_name(tmp_path):
    query, gallery = tables.read_pair(touch(tmp_path, "b/2.JPG", "a/10.png", "a/9.png", "Thumbs.db", "list.txt"))
    assert query is gallery and query.columns == {"path": ["a/10.png", "a/9.png", "b/2.JPG"]}


def test_images_of_two_folders(tmp_path):
    folder = touch(tmp_path, "query/1.jpg", "bounding_box_test/2.jpg", "bounding_box_train/3.jpg", "readme.txt")
    query, gallery = tables.read_pair(folder, ("query", "bounding_box_test"))
    assert query.columns["path"] == ["query/1.jpg"] and gallery.columns["path"] == ["bounding_box_test/2.jpg"]


def test_a_list_of_names(tmp_path):
    (tmp_path / "names.txt").write_text("b.jpg\n\n a.jpg \n")
    assert tables.read_table(str(tmp_path / "names.txt")).columns == {"path": ["b.jpg", "a.jpg"]}


def test_rows_and_columns():
    table = tables.Table({"path": ["a", "b", "c"], "label": ["x", "", "z"]}, "here.csv")
    assert table.take([2, 0]).columns == {"path": ["c", "a"], "label": ["z", "x"]}
    with pytest.raises(InputError, match="here.csv row 2: label is empty"):
        table.column("label")
    with pytest.raises(InputError, match="here.csv lacks the column camera; it has: path, label"):
        table.column("camera")


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="holds neither query/index.csv nor query.csv nor images"):
        tables.read_pair(str(tmp_path))
    (tmp_path / "empty.txt").write_text("\n \n")
    with pytest.raises(InputError, match="empty.txt is empty"):
        tables.read_table(str(tmp_path / "empty.txt"))
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9.jpg\n")
    with pytest.raises(InputError, match="latin.txt is not UTF-8"):
        tables.read_table(str(tmp_path / "latin.txt"))
    with open(os.path.join(os.fsencode(str(tmp_path)), b"caf\xe9.jpg"), "wb"):
        pass
    with pytest.raises(InputError, match="holds a file name that is not UTF-8"):
        tables.read_pair(str(tmp_path))
