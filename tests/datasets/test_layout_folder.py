import os

import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.found import WHOLE
from slim_retrieval.datasets.layouts import read_layout, recognise


def rows(table, root):
    return sorted(zip([os.path.relpath(path, root) for path in table.paths], table.columns["label"]))


def test_one_folder_a_class(photos):
    root = photos("cat/1.jpg", "cat/2.JPG", "dog/1.jpg", "dog/a b ü.PNG", "dog/deep/3.webp")
    for clutter in ("cat/.DS_Store", "cat/Thumbs.db", "notes.txt", "dog/._1.jpg", ".hidden/4.jpg", "__MACOSX/1/1.jpg"):
        path = os.path.join(root, clutter)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(b"x")
    name, found = read_layout(root)
    assert name == "folders" and found.protocol == "classes" and list(found.splits) == [WHOLE]
    assert rows(found.splits[WHOLE], root) == [
        ("cat/1.jpg", "cat"), ("cat/2.JPG", "cat"), ("dog/1.jpg", "dog"), ("dog/a b ü.PNG", "dog"),
        ("dog/deep/3.webp", "dog")]
    # Thumbs.db and notes.txt; hidden ones are not counted.
    assert any(note.endswith("without an image's ending, 2") for note in found.notes)
    assert found.splits[WHOLE].load(0).shape == (10, 12, 3)


def test_a_folder_that_holds_all_the_rest_is_passed_through(photos):
    root = photos("archive/photos/cat/1.jpg", "archive/photos/dog/1.jpg")
    name, found = read_layout(root)
    assert name == "folders" and sorted(found.splits[WHOLE].columns["label"]) == ["cat", "dog"]


def test_deep_folders_say_which_folder_is_the_class(photos):
    root = photos("shoes/boots/1.jpg", "shoes/boots/2.jpg", "shoes/heels/1.jpg", "hats/caps/1.jpg", "hats/0.jpg")
    _, found = read_layout(root)
    assert sorted(set(found.splits[WHOLE].columns["label"])) == ["hats", "shoes"]
    assert any("class is the first folder (2 classes)" in note and "the one that the image lies in (4 classes)" in note
               for note in found.notes)
    _, found = read_layout(root, class_folder="last")
    assert sorted(set(found.splits[WHOLE].columns["label"])) == ["hats", "hats/caps", "shoes/boots", "shoes/heels"]


def test_stray_images_beside_class_folders_are_left_out_and_counted(photos):
    root = photos("cat/1.jpg", "dog/1.jpg", "stray.jpg")
    _, found = read_layout(root)
    assert len(found.splits[WHOLE]) == 2
    assert any("1 of 3 images lie beside the class folders" in note and "stray.jpg" in note for note in found.notes)


def test_split_folders(photos):
    root = photos("train/cat/1.jpg", "train/dog/1.jpg", "val/cat/2.jpg", "Test/cat/3.jpg", "Test/dog/3.jpg")
    name, found = read_layout(root)
    assert name == "split_folders" and sorted(found.splits) == ["gallery", "query", "train", "validation"]
    assert rows(found.splits["train"], root) == [("train/cat/1.jpg", "cat"), ("train/dog/1.jpg", "dog")]
    assert found.splits["query"] is found.splits["gallery"]
    assert rows(found.splits["query"], root) == [("Test/cat/3.jpg", "cat"), ("Test/dog/3.jpg", "dog")]


def test_a_test_folder_beside_a_query_folder(photos):
    with pytest.raises(InputError, match="split test beside query or gallery"):
        read_layout(photos("test/cat/1.jpg", "query/cat/1.jpg"))


def test_a_flat_folder_has_no_labels(photos):
    root = photos("1.jpg", "2.jpg", "3.jpg")
    name, found = read_layout(root)
    assert name == "flat" and found.protocol == "" and "label" not in found.splits["query"].columns
    assert found.splits["query"] is found.splits["gallery"] and len(found.splits["query"]) == 3
    assert read_layout(photos("only/1.jpg", "only/2.jpg", folder="one"))[0] == "flat"


def test_links_are_followed_and_loops_end(photos, tmp_path):
    root = photos("cat/1.jpg", "dog/1.jpg", folder="photos")
    photos("1.jpg", folder="elsewhere")
    os.symlink(str(tmp_path / "elsewhere"), os.path.join(root, "bird"))
    os.symlink(os.path.join(root, "cat", "1.jpg"), os.path.join(root, "dog", "link.jpg"))
    os.symlink(os.path.join(root, "none.jpg"), os.path.join(root, "dog", "broken.jpg"))
    os.symlink(root, os.path.join(root, "cat", "loop"))
    _, found = read_layout(root)
    assert rows(found.splits[WHOLE], root) == [("bird/1.jpg", "bird"), ("cat/1.jpg", "cat"), ("dog/1.jpg", "dog"),
                                               ("dog/broken.jpg", "dog"), ("dog/link.jpg", "dog")]


def test_a_folder_that_may_not_be_entered_is_said(photos, monkeypatch):
    root, scan = photos("cat/1.jpg", "dog/1.jpg"), os.scandir

    def refuse(path):
        if path.endswith("dog"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match="cannot read the folder .*dog: Permission denied"):
        read_layout(root)


@pytest.mark.parametrize("names, message", [
    ([], "no image below .* \\(1 other files; unpack photos.zip first\\)"),
    (["a.jpg"], "holds 1 images and no class folders")])
def test_nothing_to_make_classes_of(photos, text, names, message):
    photos(*names)
    path = os.path.dirname(text("photos.zip", "x"))
    with pytest.raises(InputError, match=message):
        read_layout(path, "folders")


def test_a_wrong_path_names_the_nearest(photos):
    root = photos("cat/1.jpg", folder="photos")
    with pytest.raises(InputError, match="there is no .*phtos \\(did you mean photos\\?\\)"):
        recognise(os.path.join(os.path.dirname(root), "phtos"))
    for name in ("", "folders"):
        with pytest.raises(InputError, match="there is no"):
            read_layout(root + "x", name)
    with pytest.raises(InputError, match="unknown layout 'folder' \\(did you mean folders\\?\\)"):
        read_layout(root, "folder")
    with pytest.raises(InputError, match="--rotations is for the layout omniglot, but .* is flat"):
        read_layout(root, rotations=True)


def test_what_is_no_folder_and_no_list(text):
    with pytest.raises(InputError, match="is no folder and no list of images .*; unpack it first"):
        recognise(text("photos.zip", "x"))
