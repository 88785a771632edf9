import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.arrange import arrange, check_labels, check_wishes
from slim_retrieval.datasets.found import WHOLE, Found
from slim_retrieval.datasets.pool import make_pool
from slim_retrieval.datasets.splits import SHARES
from slim_retrieval.datasets.table import ImageTable


def table(names, labels, **columns):
    return ImageTable(list(names), dict(columns, label=list(labels)), lambda i: names[i])


def whole(labels, **columns):
    return {WHOLE: table(["{:03d}".format(i) for i in range(len(labels))], labels, **columns)}


def run(splits, mode="", validation=0.0, unlabelled=False, readable=None):
    pool = make_pool(splits)
    readable = np.ones(len(pool.table), bool) if readable is None else readable
    return arrange(pool, Found(splits), readable, np.arange(len(readable)), mode, SHARES, validation,
                   0, unlabelled)


def test_splits_are_drawn_from_what_can_be_read():
    labels = np.repeat(list("abcd"), 20)
    readable = np.arange(80) % 5 > 0
    pool, how = run(whole(labels), readable=readable)
    assert sorted(np.concatenate(list(pool.rows.values()))) == np.flatnonzero(readable).tolist()
    assert "drawn by images (chosen by the size of the classes" in how and "seed 0" in how
    assert pool.tables["train"].columns["label"] == labels[pool.rows["train"]].tolist()


def test_shops_and_customers_are_divided_by_item():
    labels = np.repeat(np.arange(30).astype(str), 20)
    pool, how = run(whole(labels, source=["user", "shop"] * 300))
    assert "drawn by classes" in how
    assert set(pool.tables["query"].columns["source"]) == {"user"}
    assert set(pool.tables["gallery"].columns["source"]) == {"shop"}
    assert not set(pool.tables["query"].columns["label"]) & set(pool.tables["train"].columns["label"])


def given():
    return {"train": table(["t{}".format(i) for i in range(40)], np.repeat(np.arange(10).astype(str), 4)),
            "query": table("qr", "xy"), "gallery": table("qrs", "xyx")}


def test_splits_of_the_data_set_stay_and_a_share_of_the_training_classes_may_validate():
    pool, how = run(given())
    assert {split: len(rows) for split, rows in pool.rows.items()} == {"train": 40, "query": 2, "gallery": 3}
    assert "no validation split" in how
    pool, how = run(given(), validation=0.3)
    parts = [set(pool.tables[split].columns["label"]) for split in ("train", "validation")]
    assert [len(part) for part in parts] == [7, 3] and not parts[0] & parts[1]
    assert "3 of 10 training classes, drawn with seed 0" in how
    with pytest.raises(InputError, match="--validation 0.9 of 10 training classes would leave 1"):
        run(given(), validation=0.9)
    with pytest.raises(InputError, match="--validation: the data set has no training split"):
        run({"query": table("q", "x"), "gallery": table("g", "x")}, validation=0.1)


def test_splits_may_be_drawn_anew_where_labels_are_what_counts():
    pool, how = run(given(), "images")
    assert sum(len(rows) for rows in pool.rows.values()) == 43 and "drawn by images, shares" in how


@pytest.mark.parametrize("found, wishes, message", [
    (Found(given(), protocol="oxford5k"), {"mode": "images"}, "--split images: oxford5k has splits and a ground truth"),
    (Found(whole("abab")), {"validation": 0.1}, "--validation is for data sets with splits of their own"),
    (Found(given(), reader="idx"), {"drop_leaks": True}, "inside larger files, .* need --tfrecord"),
    (Found(given(), reader="idx"), {"mode": "classes"}, "inside larger files, .* need --tfrecord"),
    (Found(given(), protocol=""), {"tfrecord": True}, "--tfrecord: slim's records hold a class"),
    (Found(given()), {"shares": dict(SHARES, query=0.9)}, "--shares .* add up to 1")])
def test_wishes_that_cannot_be_granted(found, wishes, message):
    none = {"mode": "", "shares": SHARES, "validation": 0.0, "tfrecord": False, "drop_leaks": False}
    with pytest.raises(InputError, match=message):
        check_wishes(found, **dict(none, **wishes))
    check_wishes(found, **none)


def test_without_labels_everything_searches_everything():
    pool, how = run(whole("abc"), unlabelled=True)
    assert pool.tables["query"].paths == pool.tables["gallery"].paths == ["000", "001", "002"]
    assert "label" not in pool.tables["query"].columns and pool.tables["query"].load(1) == "001"


def test_labels_that_say_nothing():
    check_labels(["a", "a", "b"])
    with pytest.raises(InputError, match="all 3 images have the one label 'a'"):
        check_labels(["a"] * 3)
    with pytest.raises(InputError, match="each of the 3 images has a label of its own, e.g. 'a'"):
        check_labels(list("abc"))
