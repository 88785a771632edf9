import dataclasses

import numpy as np
import pytest
from scipy import sparse

from slim_retrieval.common import schema
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import cas_distances, cas_encoding, knn, methods, order
from slim_retrieval.graph.cas import CAS


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def clustered(n=60, d=12, seed=0, classes=5, spread=0.8):
    random = np.random.RandomState(seed)
    centres = np.random.RandomState(99).randn(classes, d)
    return unit(centres[np.arange(n) % classes] + spread * random.randn(n, d)).astype(np.float32)


def rows_of_sum_one(x):
    return x / np.maximum(x.sum(axis=1, keepdims=True), 1e-30)


def textbook(x, k1, k2, k3, k4, k5, sigma, mu, share, paths):
    """The method over dense n x n arrays, node by node: the distances between all nodes."""
    x = x.astype(np.float64)
    n = len(x)
    d = np.maximum(2 - 2 * x @ x.T, 0)
    np.fill_diagonal(d, 0)
    d /= d.max(axis=1, keepdims=True)
    order = [sorted(range(n), key=lambda j: (j != i, -(x[i] @ x[j]))) for i in range(n)]  # itself first
    kernel = np.exp(-d / sigma ** 2)

    def mutual(k):
        return [{j for j in order[i][:k] if i in order[j][:k]} for i in range(n)]

    sure, whole, half = mutual(k1), mutual(k2 + 1), mutual(k2 // 2 + 1)
    cluster = [set.union(whole[i], *(half[j] for j in whole[i] if len(half[j] & whole[i]) > 2 / 3 * len(half[j])))
               for i in range(n)]
    weights, steps = np.zeros((n, n)), np.zeros((n, n))
    for i in range(n):
        for j in order[i][1:k1]:
            weights[i, j] = kernel[i, j] * (2 if j in sure[i] else 1)
        for j in order[i][1:k3]:
            steps[i, j] = kernel[i, j]
    weights = (weights + weights.T) / 2
    degrees = weights.sum(axis=1)
    s, alpha, f = weights / np.sqrt(np.outer(degrees, degrees)), 1 / (1 + mu), weights
    for _ in range(10):
        f = alpha / 2 * (f @ s + s @ f) + (1 - alpha) * np.eye(n)
    steps = rows_of_sum_one(steps)
    two = steps @ steps
    encoded = np.zeros((n, n))
    for i in range(n):
        members, c = sorted(cluster[i]), sorted(sure[i])
        encoded[i, members] = f[i, members]
        if len(c) > 1 and len(members) - len(c) > 1:
            a = np.mean([two[j, j] for j in c])
            w = np.array([a if j in sure[i] else min(a, np.mean([two[j, m] for m in c])) for j in members])
            own = f[i, members]
            encoded[i, members] = (own * a * w + a ** 2 * own.mean() - a * (own * w).mean()) / a ** 2
    encoded = rows_of_sum_one(encoded)
    mixed = np.array([(encoded[order[i][:k4]].mean(axis=0) + 2 * encoded[sorted(sure[i])].mean(axis=0)) / 3
                      for i in range(n)])
    kept = mixed @ mixed
    for i in range(n):
        kept[i, np.argsort(-kept[i], kind="stable")[k5:]] = 0
    kept = rows_of_sum_one(kept)
    found = kept @ kept
    divergence = np.array([[divergence_of(found[i], found[j]) for j in range(n)] for i in range(n)])
    if paths:
        steps = np.full((n, n), 50.0)
        for i in range(n):
            steps[i, order[i][:paths]] = divergence[i, order[i][:paths]]
        divergence = np.minimum(steps, steps.T)
        for via in range(n):
            divergence = np.minimum(divergence, divergence[:, via:via + 1] + divergence[via])
    return (1 - share) * divergence + share * d


def divergence_of(p, q):
    m = (p + q) / 2
    return sum(0.5 * a[a > 0] @ np.log2(a[a > 0] / m[a > 0]) for a in (p, q))


SETTINGS = [dict(zip(("k1", "k2", "k3", "k4", "k5", "paths"), values)) for values in (
    (5, 20, 25, 6, 25, 0), (5, 20, 25, 6, 25, 100), (3, 6, 4, 1, 3, 0), (4, 10, 8, 3, 10, 5), (8, 8, 8, 8, 8, 12))]


def model_of(settings, **others):
    settings = dict(settings)
    return CAS(path_neighbors=settings.pop("paths"), **dict(settings, **others))


def assert_ordered(ranks, distances, atol=1e-5):
    """Rankings compared modulo near ties: along each, the textbook's distances never fall."""
    for row, values in zip(ranks, distances):
        row = row[row >= 0]
        assert (np.diff(values[row]) > -atol).all()


@pytest.mark.parametrize("settings", SETTINGS)
def test_rankings_equal_the_textbook_form(settings):
    gallery, queries = clustered(40), clustered(5, seed=2)
    model = model_of(settings).fit(gallery)
    distances = textbook(gallery, sigma=0.3, mu=0.23, share=0.3, **settings)
    ranks = model.rank_gallery(39)
    assert_ordered(ranks, distances)
    np.fill_diagonal(distances, np.inf)
    assert (ranks == np.argsort(distances, axis=1, kind="stable")[:, :39]).mean() > 0.98
    together = textbook(np.concatenate([gallery, queries]), sigma=0.3, mu=0.23, share=0.3, **settings)[40:, :40]
    ranks = model.rank(queries, 40)
    assert_ordered(ranks, together)
    assert (ranks == np.argsort(together, axis=1, kind="stable")).mean() > 0.98


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_lambda_at_its_ends(share):
    gallery = clustered(30)
    model = CAS(k2=6, path_neighbors=0, lambda_value=share).fit(gallery)
    distances = textbook(gallery, 5, 6, 25, 6, 25, 0.3, 0.23, share, 0)
    ranks = model.rank_gallery(29)
    assert_ordered(ranks, distances)
    if share == 1:
        np.testing.assert_array_equal(ranks, knn.neighbors(gallery, 29)[0])
    else:  # images that share nothing are equally far, and follow in plain order
        for i, row in enumerate(ranks):
            apart = [j for j in row if distances[i, j] > 1 - 1e-12]
            assert apart == sorted(apart, key=lambda j: -(gallery[i] @ gallery[j]))


def test_a_narrow_width_is_near_the_whole():
    gallery = clustered(200)
    near = knn.neighbors(gallery, 30)
    whole, narrow = (cas_encoding.encode(near, np.ones(200, np.float32), 5, 20, 25, 6, 25, 0.3, 0.23, width).toarray()
                     for width in (200, 60))
    np.testing.assert_allclose(narrow, whole, atol=2e-3)
    assert np.abs(whole).max() > 0.02


def test_two_nodes_by_hand():
    """Each is the other's mutual neighbour: W = 2 w on both sides, S swaps the two. F = b + c S with
    b <- alpha c + (1 - alpha), c <- alpha b, from b = 0, c = 2 w."""
    weights = sparse.csr_matrix(np.float32([[0, 0.25], [0.25, 0]]))
    found = cas_encoding.diffuse(weights, sparse.csr_matrix(np.ones((2, 2), np.float32)), 0.25, 10).toarray()
    b, c = 0.0, 0.5
    for _ in range(10):
        b, c = 0.8 * c + 0.2, 0.8 * b
    np.testing.assert_allclose(found, [[b, c], [c, b]], rtol=1e-5)


def test_the_diffusion_goes_towards_its_closed_form(monkeypatch):
    gallery = clustered(40)
    ids, similarities = knn.neighbors(gallery, 5)
    weights, confident = cas_encoding.listed(ids, similarities, 5), cas_encoding.members(ids, 1)
    monkeypatch.setattr(cas_encoding, "ITERATIONS", 100)
    found = cas_encoding.diffuse(weights, confident, 0.25, 1000).toarray()
    dense = weights.toarray().astype(np.float64)
    dense = (dense + dense.T) / 2
    s = dense / np.sqrt(np.outer(dense.sum(axis=1), dense.sum(axis=1)))
    np.testing.assert_allclose(found, 0.2 * np.linalg.inv(np.eye(40) - 0.8 * s), atol=1e-5)
    np.testing.assert_array_equal(found, found.T)


def test_divergences_by_hand():
    """Equal: 0. Nothing in common: 1. (1/2, 1/2, 0) and (0, 1/2, 1/2): 1/2. (1, 0, 0) and (1/2, 1/2, 0):
    1 - JS = (log2(3/2) + log2(3)/2) / 2."""
    p = np.float32([[0.5, 0.5, 0], [1, 0, 0]])
    q = np.float32([[0.5, 0.5, 0], [0, 0, 1], [0, 0.5, 0.5], [1, 0, 0]])
    found = cas_distances.shared_information(sparse.csr_matrix(p), sparse.csr_matrix(q).T.tocsr())
    third = (np.log2(1.5) + np.log2(3) / 2) / 2
    np.testing.assert_allclose(found, [[1, 0, 0.5, third], [third, 0, 0, 1]], atol=1e-6)


def test_paths_by_hand():
    """Three nodes; the middle one shares half with either other: 1/2 to it, 1/2 + 1/2 across; the fourth is cut off."""
    encoded = sparse.csr_matrix(np.float32([[0.5, 0.5, 0, 0, 0], [0, 0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5, 0],
                                            [0, 0, 0, 0, 1]]))
    graph = cas_distances.divergence_graph(encoded, np.array([[1], [2], [1], [-1]]))
    np.testing.assert_allclose(cas_distances.path_lengths(graph, [0, 3]), [[0, 0.5, 1, 50], [50, 50, 50, 0]], atol=1e-6)
    twins = cas_distances.divergence_graph(encoded[[0, 0, 1]], np.array([[1], [2], [0]]))
    assert twins[0, 1] > 0  # equal distributions stay joined
    np.testing.assert_allclose(cas_distances.path_lengths(twins, [0]), [[0, 0, 0.5]], atol=1e-6)


def test_largest_keeps_the_largest_and_of_equal_ones_the_smaller_id():
    matrix = sparse.csr_matrix(np.float32([[0.5, 2, 0.5, 0.5], [0, 3, 0, 0], [1e-20, 1e20, 1, 2], [0, 0, 0, 0]]))
    found = cas_encoding.largest(matrix, 2)
    np.testing.assert_array_equal(found.toarray(), np.float32([[0.5, 2, 0, 0], [0, 3, 0, 0], [0, 1e20, 0, 2], [0] * 4]))
    assert found.nnz == 5


def test_blocks_do_not_show(monkeypatch):
    gallery, queries = clustered(), clustered(9, seed=2)
    model = CAS().fit(gallery)
    whole = model.rank(queries, 60), model.rank_gallery(59)
    monkeypatch.setattr(cas_encoding, "ROWS", 7)
    monkeypatch.setattr(cas_distances, "BLOCK_VALUES", 240)
    monkeypatch.setattr(order, "BLOCK_QUERIES", 1)
    monkeypatch.setattr(order, "BLOCK_VALUES", 240)
    np.testing.assert_array_equal(model.rank(queries, 60), whole[0])
    np.testing.assert_array_equal(model.rank_gallery(59), whole[1])


@pytest.mark.parametrize("paths", [0, 20])
def test_rankings_are_complete_and_hold_each_id_once(paths):
    gallery, queries = clustered(), clustered(7, seed=2)
    model = CAS(path_neighbors=paths).fit(gallery)
    ranks = model.rank(queries, 70)
    assert ranks.dtype == np.int32 and ranks.shape == (7, 70)
    for row in ranks:
        assert sorted(row[:60]) == list(range(60)) and (row[60:] == -1).all()
    np.testing.assert_array_equal(model.rank(queries, 11), ranks[:, :11])
    for i, row in enumerate(model.rank_gallery(60)):
        assert sorted(row[:59]) == [j for j in range(60) if j != i] and row[59] == -1


def test_nothing_that_was_given_is_changed_and_queries_leave_nothing_behind():
    gallery, queries = clustered(), clustered(9, seed=2)
    ids, similarities = knn.neighbors(gallery, 59)
    before = [a.copy() for a in (gallery, queries, ids, similarities)]
    for array in (gallery, queries, ids, similarities):
        array.flags.writeable = False
    model = CAS().fit(gallery, (ids, similarities))
    own, ranks = model.rank_gallery(59), model.rank(queries, 60)
    np.testing.assert_array_equal(model.rank(queries[::-1], 60)[::-1], ranks)
    np.testing.assert_array_equal(model.rank(queries, 60), ranks)
    np.testing.assert_array_equal(model.rank_gallery(59), own)
    np.testing.assert_array_equal(CAS().fit(gallery).rank(queries, 60), ranks)
    np.testing.assert_array_equal(CAS().fit(gallery, (ids[:, :3], similarities[:, :3])).rank(queries, 60), ranks)
    for a, b in zip(before, (gallery, queries, ids, similarities)):
        np.testing.assert_array_equal(a, b)


def test_a_memory_mapped_gallery_and_graph_give_the_same(tmp_path):
    gallery = clustered()
    arrays = (gallery,) + knn.neighbors(gallery, 59)
    for name, array in zip("gis", arrays):
        np.save(str(tmp_path / (name + ".npy")), array)
    mapped = [np.load(str(tmp_path / (name + ".npy")), mmap_mode="r") for name in "gis"]
    one, two = CAS().fit(gallery, arrays[1:]), CAS().fit(mapped[0], mapped[1:])
    np.testing.assert_array_equal(one.rank(gallery[:3], 60), two.rank(gallery[:3], 60))


def test_renumbered_images_give_renumbered_rankings():
    gallery, queries = clustered(), clustered(9, seed=2)
    shuffled = np.random.RandomState(1).permutation(60)
    first, again = (CAS().fit(x).rank(queries, 60) for x in (gallery, gallery[shuffled]))
    assert (shuffled[again] == first).mean() > 0.99  # float32 sums in another order may swap near ties
    np.testing.assert_array_equal(shuffled[again][:, :20], first[:, :20])


@pytest.mark.parametrize("paths", [0, 20])
def test_duplicates_come_first(paths):
    gallery = np.repeat(clustered(12), 4, axis=0)
    model = CAS(path_neighbors=paths).fit(gallery)
    for i, row in enumerate(model.rank_gallery(47)):
        assert set(row[:3]) == {j for j in range(i - i % 4, i - i % 4 + 4) if j != i}
    for i, row in enumerate(model.rank(gallery[::4], 48)):
        assert set(row[:4]) == set(range(4 * i, 4 * i + 4))


def test_parts_far_apart_are_not_mixed():
    """Two orthogonal halves of 30 with neighbours only among themselves: the own half comes first, however far."""
    zeros = np.zeros((30, 5), np.float32)
    gallery = np.concatenate([np.concatenate([clustered(30, 5, 0), zeros], axis=1),
                              np.concatenate([zeros, clustered(30, 5, 1)], axis=1)])
    model = CAS(k2=6, k3=8, path_neighbors=10).fit(gallery)
    for i, row in enumerate(model.rank_gallery(59)):
        assert {j // 30 for j in row[:15]} == {i // 30}


@pytest.mark.parametrize("paths", [0, 100])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_tiny_galleries(n, paths):
    gallery = clustered(n)
    model = CAS(path_neighbors=paths).fit(gallery)
    for row in model.rank(clustered(2, seed=1), 5):
        assert sorted(row[:n]) == list(range(n)) and (row[n:] == -1).all()
    for i, row in enumerate(model.rank_gallery(5)):
        assert sorted(row[:n - 1]) == [j for j in range(n) if j != i] and (row[n - 1:] == -1).all()


def test_a_gallery_of_equal_images():
    gallery = np.repeat(clustered(1), 7, axis=0)
    model = CAS().fit(gallery)
    for i, row in enumerate(model.rank_gallery(6)):
        assert sorted(row) == [j for j in range(7) if j != i]


def test_least_settings():
    gallery = clustered()
    ranks = CAS(k1=1, k2=1, k3=1, k4=1, k5=1, path_neighbors=1, width=1).fit(gallery).rank_gallery(59)
    for i, row in enumerate(ranks):
        assert sorted(row) == [j for j in range(60) if j != i]


def test_widths_that_are_asked_for():
    assert CAS().needed_neighbors(5000) == 99 and CAS().needed_neighbors(30) == 29
    assert CAS(path_neighbors=0).needed_neighbors(5000) == 24
    assert CAS().fit(clustered()).report_ == {"k1": 5, "k2": 20, "k3": 25, "k4": 6, "k5": 25, "width": 60,
                                              "path_neighbors": 60}


def test_the_configuration_has_the_defaults_of_the_class():
    section = dataclasses.asdict(schema.Config().cas)
    assert vars(methods.METHODS["cas"](section, seed=0)) == vars(CAS())


@pytest.mark.parametrize("settings, message", [
    ({"k1": 0}, "k1 is 0; it must be at least 1"), ({"width": 0}, "width is 0"),
    ({"path_neighbors": -1}, "path_neighbors is -1; it must be at least 0"),
    ({"sigma": 0.0}, "sigma 0.0, mu 0.23, lambda_value 0.3; sigma and mu must be above 0"),
    ({"mu": -1.0}, "mu -1.0"), ({"lambda_value": 1.5}, "lambda_value 1.5")])
def test_settings_that_cannot_be_used(settings, message):
    with pytest.raises(InputError, match=message):
        CAS(**settings).fit(clustered())


def test_queries_that_cannot_be_used():
    model = CAS().fit(clustered())
    with pytest.raises(InputError, match=r"\[2, 11\].*\[60, 12\]"):
        model.rank(clustered(2, 11), 5)
    with pytest.raises(InputError, match="k is 0"):
        model.rank(clustered(2), 0)
