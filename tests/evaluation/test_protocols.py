import re

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation import (
    class_lists,
    consumer_to_shop,
    ground_truth,
    ilias,
    landmarks,
    metric_names,
    oxford,
    protocols,
    qrels,
    revisited,
    same_camera,
)
from slim_retrieval.evaluation.tables import Table


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
    return str(path)


def check(truth):
    """Query b: gallery image 0 is right; query a: 1 and 2."""
    assert truth.query.paths == ["q/0", "q/1"] and truth.query.labels == ["b", "a"]
    assert truth.gallery.paths == ["g/0", "g/1", "g/2"] and truth.rule == "same label"
    assert truth.relevance.num_positives.tolist() == [1, 2]
    hits, junk = truth.relevance.judge(np.array([0, 1]), np.array([[0, 1, 2], [0, 1, 2]]))
    assert hits.tolist() == [[True, False, False], [False, True, True]] and junk is None


QUERY, GALLERY = "path,label\nq/0,b\nq/1,a\n", "id,label,path\n0,b,g/0\n1,a,g/1\n2,a,g/2\n"


def test_one_csv_in_row_order(tmp_path):
    # A byte order mark, an extra column, and splits that take turns.
    text = ("\ufeffsplit,path,label,note\nquery,q/0,b,\ngallery,g/0,b,x\nquery,q/1,a,\ngallery,g/1,a,\n\n"
            "gallery,g/2,a,\n")
    check(protocols.read("classes", write(tmp_path / "gt.csv", text)))
    check(protocols.read("mnist", write(tmp_path / "gt.tsv", text.replace(",", "\t"))))


def test_features_folder(tmp_path):
    write(tmp_path / "query" / "index.csv", QUERY)
    write(tmp_path / "gallery" / "index.csv", GALLERY)
    check(protocols.read("classes", str(tmp_path)))


def test_folder_of_two_files(tmp_path):
    write(tmp_path / "query.csv", QUERY)
    write(tmp_path / "gallery.csv", GALLERY)
    check(protocols.read("classes", str(tmp_path)))


def test_without_splits_each_image_searches_all_others(tmp_path):
    truth = protocols.read("classes", write(tmp_path / "gt.csv", "path,label\nx,a\ny,b\nz,a\n"))
    assert truth.relevance.num_positives.tolist() == [1, 0, 1]
    hits, junk = truth.relevance.judge(np.arange(3), np.array([[0, 1, 2]] * 3))
    assert hits.tolist() == [[False, False, True], [False] * 3, [True, False, False]]
    assert junk.tolist() == np.eye(3, dtype=bool).tolist()


def test_labels_are_text(tmp_path):
    # 1 and 01 are two labels; a label may hold commas, quotes and any script.
    text = 'split,path,label\nquery,q,1\ngallery,g,01\nquery,r,"été, ""x"""\ngallery,h,"été, ""x"""\n'
    truth = protocols.read("classes", write(tmp_path / "gt.csv", text))
    assert truth.relevance.num_positives.tolist() == [0, 1] and truth.query.labels[1] == 'été, "x"'


def test_own_image_in_the_gallery_is_junk(tmp_path):
    text = "split,path,label\nquery,same.jpg,a\nquery,other.jpg,a\ngallery,x.jpg,a\ngallery,same.jpg,a\n"
    truth = protocols.read("classes", write(tmp_path / "gt.csv", text))
    assert truth.relevance.num_positives.tolist() == [1, 2]
    assert truth.rule == "same label, the query's own image being junk (in the gallery for 1 of 2 queries)"


@pytest.mark.parametrize("text, message", [
    ("path,name\nq,a\n", "lacks the column label; it has: path, name"),
    ("name;label\nx;a\n", "lacks the column path; it has: name, label"),
    ("", "lacks the column path; it has: nothing"),
    ("split,path,label\n", "has a header and no rows"),
    ("split,path,label\nquery,q,a\n", "has no row whose split is gallery"),
    ("split,path,label\ngallery,g,a\n", "has no row whose split is query"),
    ("split,path,label\nquery,q,a\ngalery,g,a\n", "row 2: split is 'galery'; it must be query or gallery"),
    ("split,path,label\nquery,q,\ngallery,g,a\n", "row 1: label is empty"),
    ("split,path,label\ngallery,g,a\nquery,,a\n", "row 2: path is empty"),
    ("split,path,label\nquery,a,b.jpg,a\n", "line 2: 4 values for 3 columns"),
    ("split,path,label\nquery,q\n", "line 2: 2 values for 3 columns"),
    ("path,label,path\nquery,q,a\n", "has a column twice"),
    ("split,path,label\nquery,q,\u00e9".encode("latin-1"), "is not UTF-8; save it again"),
    ('split,path,label\nquery,"q"x,a\n', "is not valid CSV"),
])
def test_files_that_cannot_be_used(tmp_path, text, message):
    path = write(tmp_path / "gt.csv", text)
    with pytest.raises(InputError, match=re.escape(message)) as error:
        protocols.read("classes", path)
    assert path in str(error.value) and "\n" not in str(error.value)


def test_missing_files_and_protocol(tmp_path):
    with pytest.raises(InputError, match="no ground truth .*none.csv"):
        protocols.read("classes", str(tmp_path / "none.csv"))
    write(tmp_path / "query.csv", QUERY)
    with pytest.raises(InputError, match="no ground truth .*gallery.csv"):
        protocols.read("classes", str(tmp_path))
    with pytest.raises(InputError, match="unknown protocol 'class' .did you mean classes[?].; known: cars196, cifar10"):
        protocols.read("class", str(tmp_path))


def test_rules_apply_to_tables_and_lists_do_not():
    query, gallery = Table({"path": ["q"], "label": ["a"]}, "Q"), Table({"path": ["g", "h"], "label": ["b", "a"]}, "G")
    truth = protocols.of_tables("sop", query, gallery)
    assert truth.relevance.num_positives.tolist() == [1] and "recall@1000" in truth.metrics
    for name in ("oxford5k", "rparis6k", "landmarks_v2", "qrels", "ilias"):
        with pytest.raises(InputError, match="protocol {} needs the benchmark's ground truth".format(name)):
            protocols.of_tables(name, query, gallery)


def test_each_protocol_is_reported_by_metrics_that_exist():
    shown = [module.METRICS for module in (same_camera, consumer_to_shop, ilias, landmarks, oxford, qrels, revisited)]
    for names in shown + list(class_lists.METRICS.values()) + [ground_truth.SHOWN]:
        assert "mAP" in [metric_names.parse(name).key for name in names]
