import re

import numpy as np
import pytest
import scipy.io

from slim_retrieval.common import files
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import sources

ROWS = np.eye(5, dtype=np.float32)


def write_split(run, split, labels=("a", "b", "a", "b", "c"), meta=True):
    folder = run / "features" / split
    folder.mkdir(parents=True)
    np.save(str(folder / "features.npy"), ROWS)
    rows = ["{}.jpg,{}\n".format(i, label) for i, label in enumerate(labels)]
    (folder / "index.csv").write_text("path,label\n" + "".join(rows))
    if meta:
        files.write_json(str(folder / "meta.json"), {"features_hash": "recorded"})


def test_files_of_revisited_are_d_x_n(tmp_path):
    """One .mat holds queries and gallery, in columns, of length 2 here."""
    rows = np.random.RandomState(0).randn(7, 3)
    rows *= 2 / np.linalg.norm(rows, axis=1, keepdims=True)
    path = str(tmp_path / "roxford5k.mat")
    scipy.io.savemat(path, {"X": rows.T, "Q": rows[:2].T})
    query, gallery = sources.from_file(path, "query"), sources.from_file(path, "gallery")
    np.testing.assert_allclose(gallery.features, rows / 2, atol=1e-6)
    np.testing.assert_allclose(query.features, rows[:2] / 2, atol=1e-6)
    assert gallery.features.dtype == np.float32 and query.key != gallery.key


def test_a_file_is_hashed_by_its_content(tmp_path):
    for name, rows in (("a", ROWS), ("b", ROWS), ("c", ROWS[::-1])):
        np.save(str(tmp_path / (name + ".npy")), rows)
    a, b, c = (sources.from_file(str(tmp_path / (name + ".npy")), "query") for name in "abc")
    assert a.features_hash == b.features_hash != c.features_hash
    assert a.labels is None and isinstance(a.features, np.memmap)


def test_a_run_hands_over_features_hash_and_labels(tmp_path):
    write_split(tmp_path, "train")
    source = sources.from_run(str(tmp_path), "train", labels=True)
    assert source.features_hash == "recorded" and list(source.labels) == ["a", "b", "a", "b", "c"]
    assert sources.from_run(str(tmp_path), "train").labels is None
    assert sources.has_split(str(tmp_path), "train") and not sources.has_split(str(tmp_path), "query")


def test_features_without_meta_are_hashed(tmp_path):
    write_split(tmp_path, "query", meta=False)
    assert sources.from_run(str(tmp_path), "query").features_hash == files.digest(ROWS)


def test_the_validation_split_is_cut_without_overlap(tmp_path):
    write_split(tmp_path, "validation")
    query, gallery = sources.from_validation(str(tmp_path), 0.4, 0)
    assert query.features.shape == (2, 5) and gallery.features.shape == (3, 5)
    # Rows of the identity: together they are all of it, and no row is in both.
    np.testing.assert_array_equal(query.features.sum(axis=0) + gallery.features.sum(axis=0), 1)
    assert query.features_hash == gallery.features_hash == "recorded"
    assert query.key != gallery.key  # graphs of the two must not be taken for each other
    assert sources.from_validation(str(tmp_path), 0.4, 1)[1].key != gallery.key


def test_no_validation_split(tmp_path):
    with pytest.raises(InputError, match="no validation features in .*data.validation"):
        sources.from_validation(str(tmp_path), 0.2, 0)


def test_labels_from_csv_and_npy(tmp_path):
    (tmp_path / "l.csv").write_text("label,x\nshoe,1\nbag,2\n")
    np.save(str(tmp_path / "l.npy"), np.array([4, 9]))
    assert list(sources.read_labels(str(tmp_path / "l.csv"), 2, "F.npy")) == ["shoe", "bag"]
    assert list(sources.read_labels(str(tmp_path / "l.npy"), 2, "F.npy")) == [4, 9]


@pytest.mark.parametrize("name, content, message", [
    ("l.csv", b"path,class\nx,1\ny,2\n", "expected a column 'label' and no column twice, got ['path', 'class']"),
    ("l.csv", b"path,label\nx,1\n", "has 1 labels and F.npy has 2 features"),
    ("l.csv", b"path,label\nx,1\ny\n", "row 2 (y) has 1 values, the header has 2"),
    ("l.csv", b"path,label\n\xff\xfe,1\n", "is not UTF-8"),
    ("l.csv", b"", "expected a column 'label' and no column twice, got nothing"),
    ("l.npy", b"nonsense", "l.npy is not a usable .npy file")])
def test_labels_that_cannot_be_used(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=re.escape(message)):
        sources.read_labels(str(tmp_path / name), 2, "F.npy")


def test_label_arrays_of_other_shapes_and_missing_files(tmp_path):
    np.save(str(tmp_path / "l.npy"), np.zeros((2, 2)))
    with pytest.raises(InputError, match=r"got shape \[2, 2\] of float64"):
        sources.read_labels(str(tmp_path / "l.npy"), 2, "F.npy")
    with pytest.raises(InputError, match="no file of labels"):
        sources.read_labels(str(tmp_path / "absent.csv"), 2, "F.npy")
