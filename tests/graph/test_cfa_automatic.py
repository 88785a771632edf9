import numpy as np
import pytest

from slim_retrieval.graph import cfa, cfa_automatic, knn, signatures


def classes(n=120, members=12, d=16, noise=0.9, seed=0):
    random = np.random.RandomState(seed)
    labels = np.repeat(np.arange(n // members), members)
    rows = random.randn(n // members, d)[labels] + noise * random.randn(n, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels


def mean_average_precision(rows, labels):
    """All rows as queries, each itself excluded, by a plain loop."""
    found = []
    for i, scores in enumerate(rows @ rows.T):
        order = [j for j in np.argsort(-scores, kind="stable") if j != i]
        hits, precisions = 0, []
        for place, j in enumerate(order, 1):
            if labels[j] == labels[i]:
                hits += 1
                precisions.append(hits / place)
        found.append(np.mean(precisions))
    return np.mean(found)


@pytest.mark.parametrize("n, expected", [
    (1, [1]), (2, [1]), (4, [3]), (10, [3, 5, 8]), (100, [3, 5, 8, 12]), (400, [3, 5, 8, 12]),
    (1000, [3, 5, 8, 12, 20]), (2000, [3, 5, 8, 12, 20, 30]), (10000, [3, 5, 8, 12, 20, 30, 50])])
def test_scales_grow_with_the_square_root_of_the_gallery(n, expected):
    assert cfa_automatic.scales(n) == expected


def test_it_gains_on_classes_that_overlap_and_says_what_it_chose():
    gallery, labels = classes()
    model = cfa.CFA().fit(gallery)
    assert mean_average_precision(model.gallery_, labels) > mean_average_precision(gallery, labels) + 0.05
    assert set(model.report_["chosen"]) == {"neighbors", "strength", "levels", "cells", "residual"}
    assert "[3, 5, 8, 12]" in model.report_["chosen"]["neighbors"]


def test_a_large_residual_is_the_method_none():
    gallery, _ = classes()
    rows = cfa.CFA(residual=1000.0).fit(gallery).gallery_
    np.testing.assert_allclose(rows @ rows.T, gallery @ gallery.T, atol=1e-5)


def test_rows_are_the_diffused_signature_and_the_feature_side_by_side():
    """Every scale solved by a dense inverse, summed, and the feature of weight one half set beside it."""
    gallery, _ = classes(60, 6)
    ids, similarities = knn.neighbors(gallery, 12)
    start = signatures.signatures(gallery, ids, similarities)
    total = np.zeros(start.shape)
    for k in (3, 5, 8, 12):
        matrix = np.zeros((60, 60))
        for i in range(60):
            for j in ids[i, :k]:
                if i in ids[j, :k]:
                    matrix[i, j] = max(0.0, float(gallery[i] @ gallery[j])) ** 3
        scale = np.array([1 / np.sqrt(d) if d > 0 else 0 for d in matrix.sum(axis=1)])
        solution = np.linalg.solve(np.eye(60) - 0.9 * scale[:, None] * matrix * scale, 0.1 * start.astype(np.float64))
        total += solution / np.linalg.norm(solution, axis=1, keepdims=True)
    total /= np.linalg.norm(total, axis=1, keepdims=True)
    expected = (total @ total.T + 0.25 * gallery @ gallery.T) / 1.25
    rows = cfa.CFA().fit(gallery, (ids, similarities)).gallery_
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(rows @ rows.T, expected, atol=0.02)  # the solver stops at a residual of .01


def test_unseen_queries_leave_the_gallery_alone_and_do_not_see_each_other():
    gallery, _ = classes()
    queries, _ = classes(seed=1)
    model = cfa.CFA().fit(gallery)
    before, together = model.gallery_.copy(), model.transform(queries)
    np.testing.assert_array_equal(model.gallery_, before)
    np.testing.assert_allclose(model.transform(queries[5:6])[0], together[5], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
