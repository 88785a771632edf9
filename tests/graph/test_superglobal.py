import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph.superglobal import SuperGlobal, refined_scores


def clustered(n=60, d=8, seed=0, noise=0.5):
    random = np.random.RandomState(seed)
    rows = np.random.RandomState(99).randn(6, d)[random.randint(6, size=n)] + noise * random.randn(n, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def plain_order(query, gallery, drop=None):
    similarity = gallery.astype(np.float64) @ query.astype(np.float64)
    return [j for j in sorted(range(len(gallery)), key=lambda j: (-similarity[j], j)) if j != drop]


def slow_scores(query, gallery, shortlist, k, beta, drop=None):
    """Return (plain order, score of each image of the shortlist): every refined feature is formed, in float64."""
    order = plain_order(query, gallery, drop)
    short, x, q = order[:shortlist], gallery.astype(np.float64), query.astype(np.float64)
    refined, similarity = {}, x @ x.T
    for i in short:
        others = sorted((j for j in short if j != i), key=lambda j: -similarity[i, j])[:k]
        weights = [1.0] + [beta * max(0, similarity[i, j]) for j in others]
        refined[i] = sum(w * x[j] for w, j in zip(weights, [i] + others)) / sum(weights)
    first = {i: q @ refined[i] for i in short}
    best = sorted(short, key=lambda i: -first[i])[:k + 1]
    expanded = np.max([refined[i] for i in best], axis=0)
    return order, {i: (first[i] + expanded @ refined[i]) / 2 for i in short}


def check_ranking(ranks, order, score):
    """The shortlist by falling score, up to the rounding of float32; the rest in plain order."""
    m = len(score)
    assert sorted(ranks[:m]) == sorted(score) and list(ranks[m:]) == order[m:]
    values = [score[i] for i in ranks[:m]]
    np.testing.assert_allclose(values, sorted(values, reverse=True), atol=1e-6)


@pytest.mark.parametrize("shortlist, k, beta", [(20, 4, 0.15), (60, 9, 0.5), (400, 9, 0.15), (5, 30, 1.0), (7, 0, 0.1)])
def test_equals_the_loops_for_queries_and_for_the_gallery_itself(shortlist, k, beta):
    gallery, queries = clustered(), clustered(7, seed=1)
    model = SuperGlobal(shortlist, k, beta).fit(gallery)
    ranks, own = model.rank(queries, 60), model.rank_gallery(59)
    assert ranks.dtype == own.dtype == np.int32
    for row, query in zip(ranks, queries):
        check_ranking(row, *slow_scores(query, gallery, shortlist, k, beta))
    for i, row in list(enumerate(own))[::6]:
        check_ranking(row, *slow_scores(gallery[i], gallery, shortlist, k, beta, drop=i))


def test_scores_by_hand():
    """x0 = (1, 0), x1 = (.6, .8), x2 = (0, 1); q = (.8, .6), k = 1, beta .5.

    Nearest: x0 -> x1 (.6), x1 -> x2 (.8), x2 -> x1 (.8). g0 = (1.18, .24) / 1.3, g1 = (.6, 1.2) / 1.4,
    g2 = (.24, 1.32) / 1.4; a = .836923, .857143, .702857; q' = max(g1, g0) = (1.18 / 1.3, 1.2 / 1.4).
    """
    rows = np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)
    g = np.array([[1.18, 0.24], [0.6, 1.2], [0.24, 1.32]]) / np.array([[1.3], [1.4], [1.4]])
    expected = (np.array([0.836923, 0.857143, 0.702857]) + g @ [1.18 / 1.3, 1.2 / 1.4]) / 2
    scores = refined_scores(rows, np.array([0.8, 0.96, 0.6], np.float32), 1, 0.5)
    np.testing.assert_allclose(scores, expected, atol=1e-5)


@pytest.mark.parametrize("settings", [{"shortlist": 0}, {"shortlist": 1}])
def test_a_shortlist_of_at_most_one_gives_the_plain_order(settings):
    gallery, queries = clustered(), clustered(7, seed=1)
    ranks = SuperGlobal(**settings).fit(gallery).rank(queries, 60)
    np.testing.assert_array_equal(ranks, [plain_order(query, gallery) for query in queries])


def test_only_the_shortlist_is_reordered_and_a_shallow_ranking_is_the_top_of_the_deep_one():
    gallery, queries = clustered(noise=1.0), clustered(7, seed=1, noise=1.0)
    model = SuperGlobal(shortlist=20).fit(gallery)
    deep, plain = model.rank(queries, 60), np.array([plain_order(query, gallery) for query in queries])
    np.testing.assert_array_equal(np.sort(deep[:, :20]), np.sort(plain[:, :20]))
    np.testing.assert_array_equal(deep[:, 20:], plain[:, 20:])
    assert (deep != plain).any()
    np.testing.assert_array_equal(model.rank(queries, 8), deep[:, :8])


def test_rankings_are_padded_beyond_the_gallery():
    gallery = clustered(5)
    model = SuperGlobal().fit(gallery)
    ranks, own = model.rank(clustered(3, seed=1), 8), model.rank_gallery(8)
    assert (ranks[:, 5:] == -1).all() and (own[:, 4:] == -1).all()
    np.testing.assert_array_equal(np.sort(ranks[:, :5]), np.tile(np.arange(5), (3, 1)))
    for i, row in enumerate(own):
        assert sorted(row[:4]) == [j for j in range(5) if j != i]
    one = SuperGlobal().fit(gallery[:1])
    assert one.rank(gallery, 1).tolist() == [[0]] * 5 and one.rank_gallery(2).tolist() == [[-1, -1]]


def test_duplicates_rank_by_id():
    gallery = np.repeat(clustered(5), 4, axis=0)
    ranks = SuperGlobal(k=3).fit(gallery).rank(clustered(6, seed=1), 20)
    for row in ranks:
        for four in row.reshape(5, 4):
            np.testing.assert_array_equal(four, four[0] // 4 * 4 + np.arange(4))


def test_a_renumbered_gallery_is_ranked_the_same():
    gallery, queries = clustered(), clustered(7, seed=1)
    order = np.random.RandomState(3).permutation(60)
    ranks = SuperGlobal(shortlist=30).fit(gallery[order]).rank(queries, 60)
    np.testing.assert_array_equal(order[ranks], SuperGlobal(shortlist=30).fit(gallery).rank(queries, 60))


def test_nothing_is_changed_and_queries_do_not_see_each_other(tmp_path):
    gallery, queries = clustered(), clustered(7, seed=1)
    np.save(str(tmp_path / "g.npy"), gallery)
    model, before = SuperGlobal(shortlist=20).fit(np.load(str(tmp_path / "g.npy"), mmap_mode="r")), queries.copy()
    own, together = model.rank_gallery(59), model.rank(queries, 60)
    np.testing.assert_array_equal(np.concatenate([model.rank(queries[i:i + 1], 60) for i in range(7)]), together)
    np.testing.assert_array_equal(model.rank_gallery(59), own)
    np.testing.assert_array_equal(queries, before)
    np.testing.assert_array_equal(model.original_, gallery)
    assert model.needed_neighbors(60) == 0 and model.report_ == {"shortlist": 20}


def test_widths_that_differ():
    with pytest.raises(InputError, match=r"\[2, 3\] and gallery features \[5, 4\]"):
        SuperGlobal().fit(clustered(5, 4)).rank(clustered(2, 3), 5)
