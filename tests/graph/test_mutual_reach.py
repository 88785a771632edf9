import numpy as np
import pytest

from slim_retrieval.graph import affinity, cfa_graph, edges, knn, mutual_reach


def neighbours():
    """With a pad, a row that lists itself, and similarities that differ between the two directions of a pair."""
    random = np.random.RandomState(0)
    rows = random.randn(7, 6)[random.randint(7, size=70)] + 0.35 * random.randn(70, 6)
    ids, similarities = knn.neighbors((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), 12)
    ids, similarities = ids.copy(), similarities + 0.01 * random.rand(*ids.shape).astype(np.float32)
    ids[3, 7:] = -1
    ids[5, 2] = 5
    return ids, similarities


@pytest.mark.parametrize("block", [1, 2**22])
def test_each_edge_is_in_the_graphs_from_its_k_on(block, monkeypatch):
    monkeypatch.setattr(mutual_reach, "VALUES", block)
    ids, similarities = neighbours()
    graph, reach = mutual_reach.joined(ids, similarities, 10)
    for k in range(1, 11):
        part = graph.copy()
        part.data[reach > k] = 0
        np.testing.assert_array_equal(part.toarray(), edges.edges(ids, similarities, k, "mutual").toarray())


@pytest.mark.parametrize("gamma", [0, 3.0])
def test_the_sum_over_scales_equals_the_graphs_added_one_by_one(gamma):
    ids, similarities = neighbours()
    similarities[:, 6:] -= 1  # some edges have weight 0
    scales, counts = [2, 5, 10], [np.float32(0.5), np.float32(0.2), np.float32(0.1)]
    result = mutual_reach.summed(*mutual_reach.joined(ids, similarities, 10), scales, counts, gamma)
    expected = sum(count * affinity.affinity(edges.edges(ids, similarities, k, "mutual"), gamma)
                   for k, count in zip(scales, counts))
    np.testing.assert_allclose(result.toarray(), expected.toarray(), rtol=1e-6)
    np.testing.assert_array_equal(result.toarray(), result.toarray().T)
    assert result.nnz == expected.nnz


def test_other_edges_and_side_information_are_not_nested():
    near = neighbours()
    assert cfa_graph.nested([3], near, {"edges": "mutual"}) is not None
    assert cfa_graph.nested([3], near, {"edges": "shared"}) is None
    assert cfa_graph.nested([3], near, {"edges": "mutual"}, side=object()) is None
