"""Lists on disk against a search of everything: recall, ties, few rows, what is read, and files that do not fit."""
import os

import numpy as np
import pytest

from slim_retrieval.common import memory
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import compiled, inverted_file, inverted_search, lists


def clustered(n, seed, d=16, spread=0.5):
    random = np.random.RandomState(seed)
    centres = np.random.RandomState(99).randn(80, d)
    rows = centres[random.randint(0, 80, n)] + spread * random.randn(n, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def exact(queries, gallery, k):
    """Return (ids, similarities) by a sort of all products; equal ones by the smaller id."""
    products = queries.astype(np.float64) @ gallery.T.astype(np.float64)
    ids = np.argsort(-products, axis=1, kind="stable")[:, :k]
    return ids, np.take_along_axis(products, ids, axis=1)


GALLERY, QUERIES = clustered(3000, 1), clustered(200, 2)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return (folder, the inverted file of GALLERY that is stored there with the key "k")."""
    folder = str(tmp_path_factory.mktemp("lists"))
    return folder, inverted_file.build(GALLERY, folder, "k", 0.95)


def test_the_files_hold_each_row_once_in_the_list_of_its_nearest_centre(built):
    index = built[1]
    assert sorted(index.ids) == list(range(3000)) and np.array_equal(index.rows, GALLERY[index.ids])
    own = np.repeat(np.arange(len(index.centres)), np.diff(index.bounds))
    products = index.rows @ index.centres.T
    np.testing.assert_allclose(products[np.arange(3000), own], products.max(axis=1), atol=1e-6)
    assert all((np.diff(index.ids[a:b]) > 0).all() for a, b in zip(index.bounds[:-1], index.bounds[1:]))


@pytest.mark.parametrize("k", [3, 10, 40, 100])
def test_what_was_asked_for_is_found_and_the_similarities_are_exact(built, k):
    index = built[1]
    depth = next(depth for depth in index.about["depths"] if depth["k"] >= k)
    ids, similarities = inverted_search.search(index, QUERIES, k)
    assert ids.dtype == np.int32 and similarities.dtype == np.float32
    share = np.mean([len(set(a) & set(b)) / k for a, b in zip(ids, exact(QUERIES, GALLERY, k)[0])])
    assert share > 0.92 and 0.92 < depth["recall"] <= 1 and depth["probes"] < index.about["lists"]
    np.testing.assert_allclose(similarities, np.einsum("qd,qkd->qk", QUERIES, GALLERY[ids]), atol=1e-6)
    assert (np.diff(similarities, axis=1) <= 0).all()


def test_the_recall_that_is_told_is_that_of_gallery_rows_themselves_left_out(built):
    index = built[1]
    rows = np.random.RandomState(3).permutation(3000)[:400]
    ids = inverted_search.look(index, GALLERY[rows], 11, index.about["depths"][0]["probes"])[0]
    assert (ids[:, 0] == rows).all()  # its own list is the nearest
    true = exact(GALLERY[rows], GALLERY, 11)[0][:, 1:]
    share = np.mean([len(set(a[1:]) & set(b)) / 10 for a, b in zip(ids, true)])
    assert abs(share - index.about["depths"][0]["recall"]) < 0.03


def test_deeper_than_the_sample_went_everything_is_found(built):
    ids, similarities = inverted_search.search(built[1], QUERIES[:5], 700)
    expected = exact(QUERIES[:5], GALLERY, 700)
    assert [set(row) for row in ids] == [set(row) for row in expected[0]]
    np.testing.assert_allclose(similarities, expected[1], atol=1e-6)


def test_lists_are_looked_into_as_the_queries_asked_for_need_it(built, tmp_path):
    def depth(asked):
        return inverted_file.build(GALLERY, str(tmp_path), "k", 0.95, asked=asked).about["depths"][0]

    noise, own = clustered(3000, 11, spread=9.0), built[1].about["depths"][0]
    assert depth(lambda rows: (GALLERY[rows], GALLERY[rows])) == own
    far = depth(lambda rows: (noise[rows], noise[rows]))
    assert far["probes"] > 2 * own["probes"] and far["recall"] > 0.9
    # True neighbours are those of the first; what is asked has next to nothing to do with them.
    assert depth(lambda rows: (GALLERY[rows], noise[rows]))["recall"] < 0.3


def test_a_recall_of_all_looks_into_what_the_sample_needs(tmp_path):
    few, many = (inverted_file.build(GALLERY, str(tmp_path / str(share)), "k", share).about["depths"][0]["probes"]
                 for share in (0.5, 1.0))
    assert few < many


def test_beyond_the_gallery_is_padded_and_few_lists_are_enough_rows(tmp_path):
    gallery = clustered(90, 4)
    index = inverted_file.build(gallery, str(tmp_path), "k", 0.0)
    assert index.about["lists"] == 4 and index.about["depths"][0]["probes"] == 1
    ids, similarities = inverted_search.search(index, QUERIES[:3], 95)
    np.testing.assert_array_equal(ids[:, :90], exact(QUERIES[:3], gallery, 90)[0])
    assert (ids[:, 90:] == -1).all() and (similarities[:, 90:] == -1).all()
    # One list would do by the recall that was asked for, but has fewer rows than are wanted.
    assert (inverted_search.look(index, QUERIES[:3], 60, 1)[0] >= 0).all()
    with pytest.raises(InputError, match="k is 0"):
        inverted_search.search(index, QUERIES, 0)
    with pytest.raises(InputError, match="must be equally wide"):
        inverted_search.search(index, QUERIES[:, :5], 1)


@pytest.mark.parametrize("n", [1, 2, 45])
def test_tiny_galleries(tmp_path, n):
    gallery = clustered(n, 5)
    found = inverted_search.search(inverted_file.build(gallery, str(tmp_path), "k", 0.99), QUERIES[:4], 2)[0]
    np.testing.assert_array_equal(found[:, :n], exact(QUERIES[:4], gallery, 2)[0])


def test_duplicates_come_by_the_smaller_id(tmp_path):
    gallery = np.tile(np.eye(4, 8, dtype=np.float32), (100, 1))  # row i is axis i % 4
    index = inverted_file.build(gallery, str(tmp_path), "k", 0.99)
    ids, similarities = inverted_search.search(index, np.eye(4, 8, dtype=np.float32), 5)
    np.testing.assert_array_equal(ids, np.arange(4)[:, None] + [[0, 4, 8, 12, 16]])
    assert (similarities == 1).all()


def test_what_one_query_reads_is_its_own_lists_alone(built):
    index = built[1]
    parts = inverted_search.nearest_lists(index, QUERIES[0], 10, 3)
    near = np.argsort(-(index.centres @ QUERIES[0]))[:3]
    rows = np.concatenate([np.arange(part.start, part.stop) for part in parts])
    expected = np.concatenate([np.arange(*index.bounds[number:number + 2]) for number in sorted(near)])
    np.testing.assert_array_equal(rows, expected)
    # Lists that follow each other are one slice.
    assert inverted_search.nearest_lists(index, QUERIES[0], 10, index.about["lists"]) == [slice(0, 3000)]


def test_a_gallery_that_has_changed_a_little_keeps_its_lists(built, tmp_path):
    before, random = built[1], np.random.RandomState(7)
    came_from = random.permutation(np.append(np.arange(100, 3000), np.full(60, -1)))  # 100 deleted, 60 new
    gallery = np.where((came_from >= 0)[:, None], GALLERY[came_from], clustered(2960, 8))
    index = inverted_file.build(gallery, str(tmp_path), "k", 0.95, before=(before, came_from))
    np.testing.assert_array_equal(index.centres, before.centres)
    assert sorted(index.ids) == list(range(2960)) and np.array_equal(index.rows, gallery[index.ids])
    own = np.repeat(np.arange(len(index.centres)), np.diff(index.bounds))
    products = index.rows @ index.centres.T
    np.testing.assert_allclose(products[np.arange(2960), own], products.max(axis=1), atol=1e-6)
    ids = inverted_search.search(index, QUERIES, 10)[0]
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(ids, exact(QUERIES, gallery, 10)[0])]) > 0.92


def test_without_numba_the_lists_are_the_same(built, tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "import_numba", lambda: None)
    monkeypatch.setattr(lists.best_lists, "Lists", None)
    index = inverted_file.build(GALLERY, str(tmp_path), "k", 0.95)
    np.testing.assert_array_equal(index.ids, built[1].ids)


def test_the_rows_are_mapped_read_only_and_given_back(built, tmp_path):
    index = inverted_file.load(built[0], "k")
    assert not index.rows.flags.writeable and memory._mapped(index.rows).mode == "r"
    before = inverted_search.search(index, QUERIES, 10)
    try:
        memory.limit_to(memory.LEAST, str(tmp_path))
        after = inverted_search.search(index, QUERIES, 10)
    finally:
        memory.limit_to(None, None)
    assert all(np.array_equal(a, b) for a, b in zip(before, after))


@pytest.mark.parametrize("damage", ["cut", "other shape", "gone", "no meta", "half a meta", "meta of another kind"])
def test_damage_is_one_error_and_building_again_mends_it(tmp_path, damage):
    gallery, folder = clustered(200, 6), str(tmp_path)
    inverted_file.build(gallery, folder, "k", 0.9)
    path, meta = os.path.join(folder, "rows.npy"), os.path.join(folder, "meta.json")
    if damage == "cut":
        with open(path, "r+b") as stream:
            stream.truncate(os.path.getsize(path) // 2)
    elif damage == "other shape":
        np.save(path, np.ones((3, 2), np.float32))
    elif damage in ("half a meta", "meta of another kind"):
        with open(meta, "r+b") as stream:
            stream.truncate(0 if damage == "meta of another kind" else 50)
            stream.write(b"[]" if damage == "meta of another kind" else b"")
    else:
        os.remove(path if damage == "gone" else meta)
    with pytest.raises(InputError):
        inverted_file.load(folder, "k")
    inverted_file.build(gallery, folder, "k", 0.9)
    assert np.array_equal(inverted_file.load(folder, "k").rows, gallery[inverted_file.load(folder, "k").ids])
    with pytest.raises(InputError, match="other features or settings"):
        inverted_file.load(folder, "another")
