import logging
import os

import numpy as np
import pytest
from PIL import Image

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.folder import read_folder


def _image(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (2, 2), (value, value, value)).save(str(path))


def test_classes_and_files_are_sorted_and_labelled_by_folder(tmp_path, caplog):
    _image(tmp_path / "cat" / "2.png", 2)
    _image(tmp_path / "cat" / "1.PNG", 1)
    _image(tmp_path / "ant" / "deep" / "9.bmp", 9)
    (tmp_path / "cat" / "notes.txt").write_text("x")
    (tmp_path / "readme.md").write_text("x")
    _image(tmp_path / "cat" / ".hidden.png", 7)
    _image(tmp_path / ".git" / "x.png", 7)
    with caplog.at_level(logging.INFO):
        table = read_folder(str(tmp_path))
    assert [os.path.relpath(p, str(tmp_path)) for p in table.paths] == ["ant/deep/9.bmp", "cat/1.PNG", "cat/2.png"]
    assert table.columns == {"label": ["ant", "cat", "cat"]}
    assert [int(table.load(i)[0, 0, 0]) for i in range(3)] == [9, 1, 2]
    assert table.load(0).dtype == np.uint8
    assert [r.getMessage() for r in caplog.records if "ignored 2 files" in r.getMessage()]


def test_an_empty_class_folder_is_named(tmp_path):
    _image(tmp_path / "cat" / "1.png", 1)
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / "a.txt").write_text("x")
    with pytest.raises(InputError, match=r"dog holds no image \(1 other files\)"):
        read_folder(str(tmp_path))


def test_no_class_folders(tmp_path):
    _image(tmp_path / "1.png", 1)
    with pytest.raises(InputError, match=r"holds no class folders \(1 files\)"):
        read_folder(str(tmp_path))


def test_no_folder(tmp_path):
    with pytest.raises(InputError, match="no folder .*nowhere"):
        read_folder(str(tmp_path / "nowhere"))


def test_a_name_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "cat").mkdir()
    with open(os.path.join(os.fsencode(str(tmp_path)), b"cat", b"\xff.png"), "wb") as stream:
        stream.write(b"x")
    with pytest.raises(InputError, match="not valid UTF-8; rename it"):
        read_folder(str(tmp_path))
