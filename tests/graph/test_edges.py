import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import edges, knn

KINDS = sorted(edges.EDGES)


def clustered(n=70, d=6, seed=0):
    random = np.random.RandomState(seed)
    rows = random.randn(7, d)[random.randint(7, size=n)] + 0.35 * random.randn(n, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def nearest_sets(ids, k):
    return [{int(j) for j in row[:k] if j >= 0} for row in ids]


def mutual_sets(ids, k):
    near = nearest_sets(ids, k)
    return [{j for j in near[i] if i in near[j]} for i in range(len(ids))]


def slow_pairs(ids, k, kind):
    """Return {(i, j): weight or None} by loops over Python sets; None stands for the similarity."""
    n, near, mutual = len(ids), nearest_sets(ids, k), mutual_sets(ids, k)
    if kind == "knn":
        return {(i, j): None for i in range(n) for j in range(n) if j in near[i] or i in near[j]}
    if kind == "mutual":
        return {(i, j): None for i in range(n) for j in mutual[i]}
    if kind == "shared":
        own = [mutual[i] | {i} for i in range(n)]
        return {(i, j): len(own[i] & own[j]) / (len(own[i]) * len(own[j])) ** 0.5 for i in range(n) for j in mutual[i]}
    whole = [mutual[i] | {i} for i in range(n)]
    half = [s | {i} for i, s in enumerate(mutual_sets(ids, max(1, int(np.around(k / 2)))))]
    expanded = [set(s) for s in whole]
    for p in range(n):
        for q in whole[p]:
            if len(whole[p] & half[q]) >= 2 / 3 * len(half[q]) - 1e-9:
                expanded[p] |= half[q]
    return {(i, j): None for i in range(n) for j in range(n) if i != j and (j in expanded[i] or i in expanded[j])}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 4, 9])
@pytest.mark.parametrize("rows", [16, 4096])
def test_edges_equal_slow_loops(kind, k, rows, monkeypatch):
    monkeypatch.setattr(edges, "ROWS", rows)
    features = clustered()
    ids, similarities = knn.neighbors(features, 12)
    matrix = edges.edges(ids, similarities, k, kind, features)
    expected = np.zeros((len(features),) * 2)
    for (i, j), weight in slow_pairs(ids, k, kind).items():
        expected[i, j] = features[i] @ features[j] if weight is None else weight
    dense = matrix.toarray()
    np.testing.assert_allclose(dense, expected, atol=1e-6)
    np.testing.assert_array_equal(dense, dense.T)
    assert matrix.nnz == len(slow_pairs(ids, k, kind))
    assert matrix.dtype == np.float32 and not matrix.diagonal().any()


def test_expansion_reaches_pairs_that_no_list_holds():
    """k_reciprocal joins pairs beyond the k stored neighbours: their similarity comes from the features."""
    features = clustered()
    ids, similarities = knn.neighbors(features, 4)
    near = nearest_sets(ids, 4)
    joined = slow_pairs(ids, 4, "k_reciprocal")
    beyond = [(i, j) for i, j in joined if j not in near[i] and i not in near[j]]
    assert beyond
    matrix = edges.edges(ids, similarities, 4, "k_reciprocal", features)
    for i, j in beyond:
        assert abs(matrix[i, j] - features[i] @ features[j]) < 1e-6
    assert edges.edges(ids, similarities, 4, "k_reciprocal").nnz == len(joined) - len(beyond)


@pytest.mark.parametrize("kind", KINDS)
def test_pads_and_self_are_no_edges(kind):
    ids = np.array([[0, 1], [0, -1], [-1, -1]], np.int32)  # node 0 lists itself, node 2 lists nothing
    similarities = np.array([[1, 0.5], [0.5, -1], [-1, -1]], np.float32)
    dense = edges.edges(ids, similarities, 2, kind).toarray()
    weight = 1.0 if kind == "shared" else 0.5
    np.testing.assert_allclose(dense, [[0, weight, 0], [weight, 0, 0], [0, 0, 0]])


@pytest.mark.parametrize("kind", KINDS)
def test_duplicates_are_joined(kind):
    features = np.repeat(np.eye(3, dtype=np.float32), 3, axis=0)
    ids, similarities = knn.neighbors(features, 2)
    expected = np.kron(np.eye(3), np.ones((3, 3)) - np.eye(3))
    np.testing.assert_allclose(edges.edges(ids, similarities, 2, kind, features).toarray(), expected, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_are_not_changed(kind):
    features = clustered(30)
    ids, similarities = knn.neighbors(features, 5)
    before = ids.copy(), similarities.copy()
    edges.edges(ids, similarities, 4, kind, features)
    np.testing.assert_array_equal(ids, before[0])
    np.testing.assert_array_equal(similarities, before[1])


@pytest.mark.parametrize("kind", KINDS)
def test_memory_mapped_neighbours_give_the_same(kind, tmp_path):
    features = clustered(30)
    stored = []
    for name, array in zip("is", knn.neighbors(features, 6)):
        np.save(str(tmp_path / (name + ".npy")), array)
        stored.append((array[:, :5], np.load(str(tmp_path / (name + ".npy")), mmap_mode="r")[:, :5]))
    (ids, mapped_ids), (similarities, mapped_similarities) = stored
    np.testing.assert_array_equal(edges.edges(mapped_ids, mapped_similarities, 4, kind, features).toarray(),
                                  edges.edges(ids, similarities, 4, kind, features).toarray())


def test_an_unknown_kind_lists_the_known():
    with pytest.raises(InputError, match="unknown kind of edges 'mutal' .did you mean mutual.*k_reciprocal, knn"):
        edges.edges(np.zeros((2, 1), np.int32), np.zeros((2, 1), np.float32), 1, "mutal")
