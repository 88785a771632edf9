import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation.names import Names, last, stem


def test_endings_and_folders():
    assert stem("a/b.JPG") == "a/b" and stem("a/b.c") == "a/b.c" and stem("a.tar/b") == "a.tar/b"
    assert last("a/b.png") == "b" and last("b") == "b"


@pytest.mark.parametrize("name, place", [
    ("oxford/jpg/all_souls_000013.jpg", 0),  # as it is
    ("oxford/jpg/all_souls_000013", 0),
    ("all_souls_000013", 0), ("all_souls_000013.jpg", 0), ("elsewhere/all_souls_000013.png", 0),
    ("data/a/1.jpg", 1), ("b/1.png", 2), ("a/1", 1),
    ("c/1.5", 3),  # no ending of an image
    ("all_souls_00001", None), ("", None),
])
def test_names_are_found_however_they_are_written(name, place):
    assert Names(["oxford/jpg/all_souls_000013.jpg", "data/a/1.jpg", "data/b/1.jpg", "c/1.5"]).find(name) == place


def test_a_name_that_fits_two_is_refused():
    names = Names(["data/a/1.jpg", "data/b/1.jpg", "x.jpg", "x.png"])
    with pytest.raises(InputError, match="'1' may be any of 2 images, such as data/a/1.jpg and data/b/1.jpg"):
        names.find("1")
    assert names.find("x.png") == 3  # as it is written, it fits one
    with pytest.raises(InputError, match="'x' may be any of 2"):
        names.find("x")


def test_nearest():
    assert Names(["a/christ_church_000179.jpg"]).nearest("christ_chuch_179") == " (did you mean christ_church_000179?)"
    assert Names(["a"]).nearest("zzz") == ""
