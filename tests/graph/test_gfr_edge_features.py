"""The numbers about a pair that GFR's edges are learned from, against loops over lists and sets."""
import numpy as np
import pytest

from slim_retrieval.graph import gfr_edge_features, knn


def unit_rows(n, d, seed=0):
    x = np.random.RandomState(seed).normal(size=(n, d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def slow(ids, similarities, gallery_ids, gallery_similarities):
    """The features of one node, from Python lists."""
    k, rows = len(ids), []
    for place, (j, s) in enumerate(zip(ids, similarities), 1):
        other_ids, other = list(gallery_ids[j]), gallery_similarities[j]
        back = min(1 + sum(value > s + 1e-6 for value in other), k + 1)
        row = [s, np.log(min(place, back)), np.log(max(place, back))]
        for m in (1, 5, 20):
            ends = similarities[min(m, k) - 1], other[min(m, k) - 1]
            row += [s - min(ends), s - max(ends)]
        row += [(np.mean(similarities) + np.mean(other)) / 2, abs(np.mean(similarities) - np.mean(other))]
        for m in (3, 5, 10, 20, 40):
            m = min(m, k)
            mine, others = set(ids[:m]) - {-1}, set(other_ids[:m]) - {-1}
            row.append(len(mine & others) / (2 * m - len(mine & others)))
        for t in (3.0, 10.0):
            weights = [np.exp(-(list(ids).index(c) + 1 + other_ids.index(c) + 1) / t)
                       for c in set(ids) & set(other_ids) - {-1}]
            row.append(sum(weights) / sum(np.exp(-2 * rank / t) for rank in range(1, k + 1)))
        rows.append(row)
    return rows


@pytest.mark.parametrize("k", [1, 7, 24])
def test_features_of_images_and_of_queries_are_the_slow_loops(k, monkeypatch):
    monkeypatch.setattr(gfr_edge_features, "ROWS", 7)
    x, queries = unit_rows(30, 3), unit_rows(9, 3, seed=1)
    near, asked = knn.neighbors(x, k), knn.search(queries, x, k)
    for lists in (near, asked):
        found = gfr_edge_features.features(lists, near)
        assert found.shape == (len(lists[0]), k, gfr_edge_features.COUNT) and found.dtype == np.float32
        for row, ids, similarities in zip(found, *lists):
            np.testing.assert_allclose(row, slow(ids, similarities, *near), atol=1e-5)


def test_a_pair_looks_the_same_from_both_sides():
    x = unit_rows(40, 3)
    near = knn.neighbors(x, 10)
    found, pairs = gfr_edge_features.features(near, near), 0
    for i in range(40):
        for place, j in enumerate(near[0][i]):
            back = np.flatnonzero(near[0][j] == i)
            if len(back):
                np.testing.assert_allclose(found[i, place], found[j, back[0]], atol=1e-5)
                pairs += 1
    assert pairs > 100


def test_pads_share_nothing_and_disturb_no_one():
    """With the last column padded, what the first columns say of shared neighbours within 3 does not change."""
    x = unit_rows(30, 3)
    ids, similarities = knn.neighbors(x, 6)
    padded = np.where(np.arange(6) < 5, ids, -1)
    found = gfr_edge_features.features((padded, similarities), (padded, similarities))
    for row, mine, own in zip(found[:, :5], padded, similarities):
        np.testing.assert_allclose(row, np.array(slow(mine, own, padded, similarities))[:5], atol=1e-5)
    assert np.isfinite(found).all()


def test_a_query_that_is_an_image_looks_like_it():
    """With the image's own list of neighbours; that it stands in none of theirs itself makes no difference."""
    x = unit_rows(60, 3)
    near = knn.neighbors(x, 8)
    chosen = np.array([4, 17, 44])
    as_query = gfr_edge_features.features((near[0][chosen], near[1][chosen]), near)
    np.testing.assert_allclose(as_query, gfr_edge_features.features(near, near)[chosen], atol=1e-6)
