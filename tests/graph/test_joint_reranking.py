"""Properties of the methods that put gallery and queries into one graph."""
import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import knn, order
from slim_retrieval.graph.gnn_rerank import GNNRerank
from slim_retrieval.graph.k_reciprocal import KReciprocal

METHODS = {"k_reciprocal": lambda: KReciprocal(6, 3), "gnn_rerank": lambda: GNNRerank(7, 3)}
pytestmark = pytest.mark.parametrize("make", METHODS.values(), ids=METHODS.keys())


def clustered(n, seed, d=8):
    random = np.random.RandomState(seed)
    centres = np.random.RandomState(99).randn(6, d)
    rows = centres[random.randint(6, size=n)] + 0.5 * random.randn(n, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def gallery():
    return clustered(70, 0)


@pytest.fixture
def queries():
    return clustered(15, 1)


def test_rankings_are_complete_and_a_shorter_one_is_their_beginning(make, gallery, queries):
    method = make().fit(gallery)
    whole, own = method.rank(queries, 70), method.rank_gallery(69)
    assert whole.dtype == own.dtype == np.int32
    np.testing.assert_array_equal(np.sort(whole, axis=1), [np.arange(70)] * 15)
    np.testing.assert_array_equal(np.sort(own, axis=1), [np.delete(np.arange(70), i) for i in range(70)])
    np.testing.assert_array_equal(method.rank(queries, 9), whole[:, :9])
    np.testing.assert_array_equal(method.rank_gallery(9), own[:, :9])


def test_queries_rank_as_the_same_images_do_within_the_gallery(make, gallery, queries):
    """One graph: asked as queries or as part of the gallery, the same images see the others in the same order."""
    nodes = np.concatenate([gallery, queries])
    within = make().fit(nodes).rank_gallery(84)[70:]
    expected = [row[row < 70] for row in within]
    np.testing.assert_array_equal(make().fit(gallery).rank(queries, 70), expected)


def test_another_order_of_gallery_and_queries_changes_nothing_else(make, gallery, queries):
    random = np.random.RandomState(2)
    places, asked = random.permutation(70), random.permutation(15)
    expected = make().fit(gallery).rank(queries, 20)[asked]
    np.testing.assert_array_equal(places[make().fit(gallery[places]).rank(queries[asked], 20)], expected)


def test_inputs_are_not_changed_and_may_be_memory_mapped(make, gallery, queries, tmp_path):
    expected = make().fit(gallery).rank(queries, 70), make().fit(gallery).rank_gallery(20)
    mapped = []
    for number, array in enumerate((gallery, queries) + knn.neighbors(gallery, 12)):
        np.save(str(tmp_path / str(number)), array)
        mapped.append(np.load(str(tmp_path / str(number)) + ".npy", mmap_mode="r"))  # writing to it would raise
    method = make().fit(mapped[0], (mapped[2][:, :9], mapped[3][:, :9]))
    np.testing.assert_array_equal(method.rank(mapped[1], 70), expected[0])
    np.testing.assert_array_equal(method.rank_gallery(20), expected[1])


def test_neighbours_given_are_used_and_too_few_are_searched(make, gallery, queries, monkeypatch):
    method = make()
    needed, expected = method.needed_neighbors(70), make().fit(gallery).rank_gallery(9)
    near = knn.neighbors(gallery, needed)
    np.testing.assert_array_equal(make().fit(gallery, (near[0][:, :2], near[1][:, :2])).rank_gallery(9), expected)
    monkeypatch.setattr(knn, "neighbors", lambda *_: pytest.fail("searched again"))
    np.testing.assert_array_equal(method.fit(gallery, near).rank_gallery(9), expected)


def test_blocks_do_not_show(make, gallery, queries, monkeypatch):
    method = make().fit(gallery)
    expected = method.rank(queries, 70), method.rank_gallery(69)
    monkeypatch.setattr(order, "BLOCK_QUERIES", 4)
    monkeypatch.setattr(order, "BLOCK_VALUES", 1)
    np.testing.assert_array_equal(method.rank(queries, 70), expected[0])
    np.testing.assert_array_equal(method.rank_gallery(69), expected[1])


def test_exact_duplicates_come_first_and_by_id(make):
    gallery = np.concatenate([np.eye(8, dtype=np.float32)] * 8)  # image i and its copies i + 8, i + 16, ...
    method = make().fit(gallery)
    copies = np.arange(64).reshape(8, 8).T
    np.testing.assert_array_equal(method.rank(gallery[:8], 8), copies)
    np.testing.assert_array_equal(method.rank_gallery(7)[:8], copies[:, 1:])
    np.testing.assert_array_equal(method.rank_gallery(7)[8], [0] + list(range(16, 64, 8)))


@pytest.mark.parametrize("size", [1, 2, 4])
def test_small_galleries_are_padded(make, gallery, queries, size):
    ranks = make().fit(gallery[:size]).rank(queries[:1], size + 2)
    assert sorted(ranks[0].tolist()) == [-1, -1] + list(range(size)) and ranks[0, size:].tolist() == [-1, -1]
    own = make().fit(gallery[:size]).rank_gallery(size)
    assert (own[:, size - 1] == -1).all()
    np.testing.assert_array_equal(np.sort(own[:, :size - 1], axis=1),
                                  [np.delete(np.arange(size), i) for i in range(size)])


def test_queries_of_another_width_are_refused(make, gallery):
    with pytest.raises(InputError, match="query features have the shape"):
        make().fit(gallery).rank(gallery[:, :5], 3)
