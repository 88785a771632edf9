import numpy as np

from slim_retrieval.datasets.checks import GRID
from slim_retrieval.datasets.findings import (
    find_duplicates,
    find_leaks,
    find_tiny_classes,
    find_unanswerable,
    twin_codes,
)
from slim_retrieval.datasets.pool import keep, make_pool, resplit
from slim_retrieval.datasets.table import ImageTable


def table(names, labels=None, **columns):
    if labels:
        columns["label"] = list(labels)
    return ImageTable(list(names), columns, lambda i: (names[i], i))


def test_a_pool_holds_each_image_once_and_reads_it_where_it_came_from():
    splits = {"train": table("abc", "xyx", color=list("123")), "query": table("cd", "xz"),
              "gallery": table("dba", "zyx")}
    pool = make_pool(splits)
    assert pool.table.paths == list("abcd") and pool.table.columns == {"label": list("xyxz")}
    assert {split: rows.tolist() for split, rows in pool.rows.items()} == {
        "train": [0, 1, 2], "query": [2, 3], "gallery": [3, 1, 0]}
    assert [pool.table.load(i) for i in range(4)] == [("a", 0), ("b", 1), ("c", 2), ("d", 1)]


def test_a_pool_tells_crops_of_one_file_apart():
    boxes = ["0 0 1 1", "1 1 2 2", ""]
    pool = make_pool({"train": table("aaa", "xxx", box=boxes), "query": table("a", "x", box=boxes[1:2]),
                      "gallery": table("a", "x")})
    assert len(pool.table) == 3 and (pool.rows["query"].tolist(), pool.rows["gallery"].tolist()) == ([1], [2])


def test_keep_and_resplit():
    pool = make_pool({"train": table("abc", "xyx", color=list("123")), "query": table("cd", "xz")})
    kept = keep(pool, {"train": np.array([True, False, True, True]), "query": np.array([True, True, False, True])})
    assert kept.rows["train"].tolist() == [0, 2] and kept.tables["train"].columns["color"] == ["1", "3"]
    assert kept.tables["query"].paths == ["d"] and kept.table is pool.table
    assert keep(pool, {}).rows["query"].tolist() == [2, 3]
    again = resplit(pool, {"gallery": [3, 0]})
    assert again.tables["gallery"].paths == ["d", "a"] and list(again.rows) == ["gallery"]


def test_duplicates_are_grouped_and_those_of_several_labels_come_first():
    codes = twin_codes(np.array([[1, 2], [1, 3], [1, 2], [9, 9], [1, 3], [1, 2]], np.uint64))
    assert len(set(codes)) == 3 and codes[0] == codes[2] == codes[5] and codes[1] == codes[4]
    found = find_duplicates(table("abcdef", "xyxzwx"), codes, np.arange(6))
    assert found == {"groups": 2, "images": 5, "groups_with_several_labels": 1,
                     "first": [["b", "e"], ["a", "c", "f"]]}
    assert find_duplicates(table("abcdef", "xyxzwx"), codes, np.array([0, 1, 3])) == {
        "groups": 0, "images": 0, "groups_with_several_labels": 0, "first": []}


def test_leaks_between_the_splits():
    """a and A are the same picture, b and B nearly; c is in two splits; q and g may be alike, both are tested."""
    names = "abcdABqg"
    levels = dict(zip(names, [10, 40, 70, 100, 10, 43, 200, 200]))
    pool = make_pool({"train": table("abcd", "abcd"), "query": table("ABqc", "abxc"), "gallery": table("gd", "xd")})
    thumbs = np.array([np.full((GRID, GRID, 3), levels[name]) for name in pool.table.paths], np.uint8)
    codes = np.array([levels[name] for name in pool.table.paths])
    found, leaky = find_leaks(pool, codes, thumbs)
    assert found["pairs"] == [
        {"splits": ["train", "query"], "same_file": 1, "identical": 1, "near_pairs": 1, "near_images": 1,
         "first": [["b", "B"]]},
        {"splits": ["train", "gallery"], "same_file": 1, "identical": 0, "near_pairs": 0, "near_images": 0,
         "first": []}]
    assert [name for name, is_leaky in zip(pool.table.paths, leaky["train"]) if is_leaky] == ["a", "b", "c", "d"]
    assert not leaky["validation"].any()


def test_no_leaks_where_there_is_one_set_only():
    pool = make_pool({"query": table("ab", "ab"), "gallery": table("ab", "ab")})
    found, leaky = find_leaks(pool, np.zeros(2, int), np.zeros((2, GRID, GRID, 3), np.uint8))
    assert found is None and not any(mask.any() for mask in leaky.values())


def test_tiny_classes():
    found = find_tiny_classes(list("aaaaabbccccd"), 4)
    assert found == {"classes": 4, "single": 1, "fewer_than": 4, "tiny": 2, "smallest": 1, "median": 3.0, "largest": 5,
                     "first": ["d", "b"]}


def test_queries_that_nothing_answers():
    gallery = table(["1", "2", "3"], "aab")
    assert find_unanswerable(table(["4", "5", "6"], "abc"), gallery) == 1
    assert find_unanswerable(gallery, gallery) == 1  # 3 is alone, its own file does not count
