"""What the three diffusion methods that re-order have in common; what sets them apart is in their own files."""
import dataclasses

import numpy as np
import pytest

from slim_retrieval.common import schema
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import knn, manifold, methods
from slim_retrieval.graph.joint_diffusion import JointDiffusion
from slim_retrieval.graph.offline_diffusion import OfflineDiffusion
from slim_retrieval.graph.spectral_diffusion import SpectralDiffusion

METHODS = [JointDiffusion, OfflineDiffusion, SpectralDiffusion]


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def clustered(n=60, d=12, seed=0, classes=5, spread=0.8):
    random = np.random.RandomState(seed)
    centres = np.random.RandomState(99).randn(classes, d)
    return unit(centres[np.arange(n) % classes] + spread * random.randn(n, d)).astype(np.float32)


def dense_matrix(gallery, k, gamma):
    """S by loops over all pairs."""
    n, similarities = len(gallery), gallery.astype(np.float64) @ gallery.T.astype(np.float64)
    nearest = [sorted((j for j in range(n) if j != i), key=lambda j: -similarities[i, j])[:k] for i in range(n)]
    weights = np.array([[max(0, similarities[i, j]) ** gamma if j in nearest[i] and i in nearest[j] else 0
                         for j in range(n)] for i in range(n)])
    degrees = weights.sum(axis=1)
    return np.array([[weights[i, j] / np.sqrt(degrees[i] * degrees[j]) if weights[i, j] else 0 for j in range(n)]
                     for i in range(n)])


def test_the_matrix_equals_the_dense_one():
    gallery = clustered()
    near = knn.neighbors(gallery, 20)
    np.testing.assert_allclose(manifold.matrix(near, 7, 3.0).toarray(), dense_matrix(gallery, 7, 3.0), atol=1e-5)


def test_mass_lies_on_the_given_ids_alone():
    ids = np.array([[3, 0, -1], [2, 1, 4]], np.int32)
    similarities = np.float32([[0.5, -0.25, -1], [1, 0.1, 0]])
    np.testing.assert_allclose(manifold.mass(ids, similarities, 3.0, 5).toarray(),
                               [[0, 0, 0, 0.125, 0], [0, 0.001, 1, 0, 0]], atol=1e-7)


def test_scores_come_first_and_the_rest_in_plain_order():
    """A spread that reaches only ids 7 and 3, one block of queries after the other."""
    gallery, queries = clustered(20), clustered(5, seed=2)

    def spread(mass):
        scores = np.zeros(mass.shape, np.float32)
        scores[:, 3], scores[:, 7], scores[:, 5] = 1, 2, -1
        return scores

    ranks = manifold.rank(spread, gallery, queries, 25, 4, 3.0)
    for row, query in zip(ranks, queries):
        plain = [i for i in np.argsort(-(gallery @ query), kind="stable") if i not in (3, 7)]
        assert list(row) == [7, 3] + plain + [-1] * 5
    own = manifold.rank_gallery(spread, gallery, knn.neighbors(gallery, 4), 19, 4, 3.0)
    for i, row in enumerate(own):
        plain = [j for j in np.argsort(-(gallery @ gallery[i]), kind="stable") if j not in (3, 7, i)]
        assert list(row) == [j for j in (7, 3) if j != i] + plain


def test_blocks_of_queries_do_not_show(monkeypatch):
    gallery, queries = clustered(), clustered(9, seed=2)
    model = JointDiffusion(k=6).fit(gallery)
    whole = model.rank(queries, 60), model.rank_gallery(59)
    monkeypatch.setattr(manifold, "BLOCK_VALUES", 240)
    np.testing.assert_array_equal(model.rank(queries, 60), whole[0])
    np.testing.assert_array_equal(model.rank_gallery(59), whole[1])


@pytest.mark.parametrize("method", METHODS)
def test_rankings_are_complete_and_hold_each_id_once(method):
    gallery, queries = clustered(), clustered(7, seed=2)
    model = method(k=6).fit(gallery)
    ranks = model.rank(queries, 70)
    assert ranks.dtype == np.int32 and ranks.shape == (7, 70)
    for row in ranks:
        assert sorted(row[:60]) == list(range(60)) and (row[60:] == -1).all()
    np.testing.assert_array_equal(model.rank(queries, 11), ranks[:, :11])
    own = model.rank_gallery(60)
    for i, row in enumerate(own):
        assert sorted(row[:59]) == [j for j in range(60) if j != i] and row[59] == -1
    np.testing.assert_array_equal(model.rank_gallery(11), own[:, :11])


@pytest.mark.parametrize("method", METHODS)
def test_a_gallery_image_as_query_is_treated_as_an_unseen_one(method):
    """Leaving its own place out, an image is ranked as a query whose nearest gallery images are the image's others."""
    gallery = clustered()
    model = method(k=6, query_neighbors=4).fit(gallery)
    ids, similarities = knn.neighbors(gallery, 4)
    scores = model.scores(manifold.mass(ids, similarities, 3.0, 60))
    scores = scores.toarray() if hasattr(scores, "toarray") else scores
    for i, row in enumerate(model.rank_gallery(59)):
        reached = [j for j in np.argsort(-scores[i], kind="stable") if j != i and scores[i, j] > 0]
        assert list(row[:len(reached)]) == reached


@pytest.mark.parametrize("method", METHODS)
def test_nothing_that_was_given_is_changed_and_queries_leave_nothing_behind(method):
    gallery, queries = clustered(), clustered(9, seed=2)
    ids, similarities = knn.neighbors(gallery, 59)
    before = [a.copy() for a in (gallery, queries, ids, similarities)]
    for array in (gallery, queries, ids, similarities):
        array.flags.writeable = False
    model = method(k=6).fit(gallery, (ids, similarities))
    own, ranks = model.rank_gallery(59), model.rank(queries, 60)
    np.testing.assert_array_equal(model.rank(queries[::-1], 60)[::-1], ranks)
    np.testing.assert_array_equal(np.concatenate([model.rank(queries[i:i + 1], 60) for i in range(9)]), ranks)
    np.testing.assert_array_equal(model.rank_gallery(59), own)
    for a, b in zip(before, (gallery, queries, ids, similarities)):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("method", METHODS)
def test_renumbered_images_give_renumbered_rankings(method):
    gallery, queries = clustered(), clustered(9, seed=2)
    shuffled = np.random.RandomState(1).permutation(60)
    first = method(k=8).fit(gallery).rank(queries, 60)
    again = method(k=8).fit(gallery[shuffled]).rank(queries, 60)
    np.testing.assert_array_equal(shuffled[again], first)


@pytest.mark.parametrize("method", METHODS)
def test_an_isolated_image_stands_where_plain_order_puts_it(method):
    """The last image is orthogonal to all others: it has no edge, no mass, and comes last."""
    gallery = np.concatenate([clustered(40, 7), np.zeros((40, 1), np.float32)], axis=1)
    gallery = np.concatenate([gallery, np.eye(8, dtype=np.float32)[7:]])
    model = method(k=5).fit(gallery)
    assert model.report_["isolated_nodes"] >= 1
    similarity = gallery[:40] @ gallery[:40].T
    ranks = model.rank(gallery[:3], 41)
    for row, others in zip(ranks, similarity):
        negative = np.flatnonzero(others < 0)
        assert set(row[:40 - len(negative)]) <= set(range(40)) and 40 in row
    alone = model.rank(gallery[40:], 41)
    assert alone[0, 0] == 40 and sorted(alone[0]) == list(range(41))


@pytest.mark.parametrize("method", METHODS)
def test_parts_that_are_not_connected_are_ranked_as_if_apart(method):
    first, second = clustered(30, 5, 0), clustered(35, 5, 1)
    whole = np.concatenate([np.concatenate([first, np.zeros((30, 5), np.float32)], axis=1),
                            np.concatenate([np.zeros((35, 5), np.float32), second], axis=1)])
    queries = np.concatenate([clustered(4, 5, 7), np.zeros((4, 5), np.float32)], axis=1)
    together, apart = method(k=6).fit(whole), method(k=6).fit(first)
    scores = [model.scores(manifold.mass(*knn.search(part, model.original_, 10), gamma=3.0, n=n))
              for model, part, n in ((together, queries, 65), (apart, queries[:, :5], 30))]
    scores = [s.toarray() if hasattr(s, "toarray") else s for s in scores]
    np.testing.assert_allclose(scores[0][:, :30], scores[1], atol=1e-4 * scores[1].max())
    assert not scores[0][:, 30:].any()
    for row, own in zip(together.rank(queries, 65), scores[0]):
        assert set(row[:(own > 0).sum()]) <= set(range(30))


@pytest.mark.parametrize("method", METHODS)
def test_duplicates_share_their_score_and_are_all_found(method):
    gallery = np.repeat(clustered(12), 4, axis=0)
    model = method(k=3).fit(gallery)
    for i, row in enumerate(model.rank_gallery(47)):
        assert set(row[:3]) == {j for j in range(i - i % 4, i - i % 4 + 4) if j != i}
    for i, row in enumerate(model.rank(gallery[::4], 48)):
        assert set(row[:4]) == set(range(4 * i, 4 * i + 4))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_tiny_galleries(method, n):
    gallery = clustered(n)
    model = method().fit(gallery)
    for row in model.rank(clustered(2, seed=1), 5):
        assert sorted(row[:n]) == list(range(n)) and (row[n:] == -1).all()
    for i, row in enumerate(model.rank_gallery(5)):
        assert sorted(row[:n - 1]) == [j for j in range(n) if j != i] and (row[n - 1:] == -1).all()


@pytest.mark.parametrize("method", METHODS)
def test_given_neighbours_are_used_and_too_few_are_searched_again(method):
    gallery, queries = clustered(), clustered(5, seed=2)
    expected = method(k=8).fit(gallery).rank(queries, 60)
    for width in (3, 59):
        np.testing.assert_array_equal(
            method(k=8).fit(gallery, knn.neighbors(gallery, width)).rank(queries, 60), expected)
    none = np.full((60, 59), -1, np.int32), np.full((60, 59), -1, np.float32)
    unconnected = method(k=8).fit(gallery, none)
    assert unconnected.report_["edges_per_node"] == 0 and unconnected.report_["isolated_nodes"] == 60
    np.testing.assert_array_equal(unconnected.rank(queries, 60), np.argsort(-(queries @ gallery.T), axis=1))


@pytest.mark.parametrize("method", METHODS)
def test_a_memory_mapped_gallery_and_graph_give_the_same(method, tmp_path):
    gallery = clustered()
    arrays = (gallery,) + knn.neighbors(gallery, 59)
    for name, array in zip("gis", arrays):
        np.save(str(tmp_path / (name + ".npy")), array)
    mapped = [np.load(str(tmp_path / (name + ".npy")), mmap_mode="r") for name in "gis"]
    one, two = method(k=6).fit(gallery, arrays[1:]), method(k=6).fit(mapped[0], mapped[1:])
    np.testing.assert_array_equal(one.rank(gallery[:3], 60), two.rank(gallery[:3], 60))
    np.testing.assert_array_equal(one.rank_gallery(5), two.rank_gallery(5))


@pytest.mark.parametrize("method", METHODS)
def test_widths_that_the_methods_ask_for(method):
    wide = 999 if method is OfflineDiffusion else 50
    assert method().needed_neighbors(5000) == wide
    assert method().needed_neighbors(30) == 29
    assert method(k=4, query_neighbors=20).needed_neighbors(5000) >= 20


@pytest.mark.parametrize("name, method", zip(("joint_diffusion", "offline_diffusion", "spectral_diffusion"), METHODS))
def test_the_configuration_has_the_defaults_of_the_class(name, method):
    section = dataclasses.asdict(getattr(schema.Config(), name))
    made = methods.METHODS[name](section, seed=0)
    assert type(made) is method and vars(made) == vars(method())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("settings, message", [
    ({"alpha": 1.0}, "alpha 1.0 is out of range; it must be at least 0 and below 1"),
    ({"k": 0}, "k is 0; it must be at least 1"),
    ({"query_neighbors": 0}, "query_neighbors is 0; it must be at least 1")])
def test_settings_that_cannot_be_used(method, settings, message):
    with pytest.raises(InputError, match=message):
        method(**settings).fit(clustered())


@pytest.mark.parametrize("method", METHODS)
def test_queries_that_cannot_be_used(method):
    model = method().fit(clustered())
    with pytest.raises(InputError, match=r"\[2, 11\].*\[60, 12\]"):
        model.rank(clustered(2, 11), 5)
    with pytest.raises(InputError, match="k is 0"):
        model.rank(clustered(2), 0)
