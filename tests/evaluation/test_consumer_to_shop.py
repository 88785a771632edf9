import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation import protocols
from slim_retrieval.evaluation.consumer_to_shop import consumer_to_shop
from slim_retrieval.evaluation.tables import Table


def judged(truth):
    ranks = np.array([np.arange(len(truth.gallery.paths))] * len(truth.query.paths))
    hits, junk = truth.relevance.judge(np.arange(len(truth.query.paths)), ranks)
    assert junk is None
    return {query: [truth.gallery.paths[i] for i in np.flatnonzero(row)] for query, row in zip(truth.query.paths, hits)}


def test_tree_of_folders(tmp_path):
    paths = ["skirt/1/1/user/a.jpg", "skirt/1/1/shop/b.jpg", "skirt/1/1/shop/c.jpg", "skirt/1/2/user/d.jpg",
             "skirt/1/2/shop/e.jpg", "vest/2/1/shop/f.jpg", "vest/2/0/user/g.jpg", "vest/2/0/shop/h.jpg"]
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"")
    truth = protocols.read("deepfashion2", str(tmp_path))
    assert judged(truth) == {
        "skirt/1/1/user/a.jpg": ["skirt/1/1/shop/b.jpg", "skirt/1/1/shop/c.jpg"],
        "skirt/1/2/user/d.jpg": ["skirt/1/2/shop/e.jpg"],  # another style of the pair is wrong
        "vest/2/0/user/g.jpg": []}  # style 0 matches nothing
    assert truth.relevance.num_positives.tolist() == [2, 1, 0]
    assert truth.query.labels == ["1/1", "1/2", "2/0"]


def test_columns():
    query = Table({"path": ["q"], "pair_id": ["1"], "style": ["1"]}, "Q")
    gallery = Table({"path": ["g", "h", "i"], "pair_id": ["1", "1", "11"], "style": ["1", "0", "1"]}, "G")
    assert judged(consumer_to_shop(query, gallery)) == {"q": ["g"]}


@pytest.mark.parametrize("paths, message", [
    (["1/1/user/a.jpg"], "T has no image in a folder shop/"),
    (["1/1/shop/a.jpg"], "T has no image in a folder user/"),
    (["1/1/user/a.jpg", "user/b.jpg", "1/1/shop/c.jpg"], "T: user/b.jpg is not in a folder pair_id/style/user"),
])
def test_trees_that_are_none(paths, message):
    table = Table({"path": paths}, "T")
    with pytest.raises(InputError, match=message):
        consumer_to_shop(table, table)
