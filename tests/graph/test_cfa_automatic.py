import numpy as np
import pytest

from slim_retrieval.graph import centring, cfa, cfa_automatic, cfa_strength, knn, signatures


def classes(n=120, members=12, d=16, noise=0.9, seed=0, common=0.0):
    """Rows around a centre for each class; `common` is added to every value of every row."""
    random = np.random.RandomState(seed)
    labels = np.repeat(np.arange(n // members), members)
    centres = random.randn(n // members, d)
    rows = (centres - centres.mean(axis=0))[labels] + noise * random.randn(n, d) + common
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
    assert set(model.report_["chosen"]) == {"neighbors", "strength", "levels", "cells", "residual", "centring"}
    assert "[3, 5, 8, 12]" in model.report_["chosen"]["neighbors"]


@pytest.mark.parametrize("common", [0.0, 1.5])
def test_a_large_residual_is_plain_search_of_what_is_not_common(common):
    gallery, _ = classes(common=common)
    queries, _ = classes(24, seed=1, common=common)
    mean = gallery.mean(axis=0, dtype=np.float64) if common else 0.0
    plain, asked = (unit(rows - mean) for rows in (gallery, queries))
    model = cfa.CFA(residual=1000.0).fit(gallery)
    np.testing.assert_allclose(model.gallery_ @ model.gallery_.T, plain @ plain.T, atol=0.01)
    np.testing.assert_allclose(model.transform(queries) @ model.gallery_.T, asked @ plain.T, atol=0.01)


def test_rows_are_signatures_and_features_diffused_side_by_side(monkeypatch):
    """The graphs of four k added, each over its k, a dense inverse, and the feature of weight 1 added."""
    gallery, _ = classes(60, 6)
    ids, similarities = knn.neighbors(gallery, 12)
    starts = [signatures.signatures(gallery, ids, similarities).astype(np.float64), gallery.astype(np.float64)]
    matrix = np.zeros((60, 60))
    for k in (3, 5, 8, 12):
        for i in range(60):
            for j in ids[i, :k]:
                if i in ids[j, :k]:
                    matrix[i, j] += max(0.0, float(gallery[i] @ gallery[j])) ** 3 / k
    scale = np.array([1 / np.sqrt(d) if d > 0 else 0 for d in matrix.sum(axis=1)])
    inverse = np.linalg.inv(np.eye(60) - 0.98 * scale[:, None] * matrix * scale)
    solved = [unit(inverse @ start) for start in starts]
    monkeypatch.setattr(cfa_automatic, "AGREEING", 0.0)
    expected = unit(np.concatenate([solved[0], 0.4 * (solved[1] + gallery)], axis=1))
    rows = cfa.CFA().fit(gallery, (ids, similarities)).gallery_
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(rows @ rows.T, expected @ expected.T, atol=0.03)  # the solver stops at a residual of .02


def test_what_all_features_share_changes_nothing():
    """The same classes with a large common part: almost the same result, where plain search loses."""
    gallery, labels = classes(noise=0.6)
    shifted, _ = classes(noise=0.6, common=3.0)
    alone, both = (cfa.CFA().fit(rows) for rows in (gallery, shifted))
    assert alone.mean_ is None and np.linalg.norm(both.mean_) > 0.8
    assert mean_average_precision(shifted, labels) < mean_average_precision(gallery, labels) - 0.03
    assert mean_average_precision(both.gallery_, labels) > mean_average_precision(alone.gallery_, labels) - 0.02
    assert "is taken away" in both.report_["chosen"]["centring"]


def test_a_graph_of_features_that_were_not_centred_is_built_anew():
    gallery, _ = classes(common=1.5)
    source = cfa.CFA().graph_features(gallery)
    expected = cfa.CFA().fit(gallery, knn.neighbors(source, 12)).gallery_
    np.testing.assert_array_equal(cfa.CFA().fit(gallery, knn.neighbors(gallery, 12)).gallery_, expected)
    assert cfa.CFA(levels=[{"k": [5]}]).graph_features(gallery) is gallery
    np.testing.assert_allclose(source, centring.apply(gallery, gallery.mean(axis=0)), atol=1e-6)


def test_agreement_by_hand():
    """Row 0 finds itself twice and a row at 60 degrees: (1 + 1/2) / 2; row 1 finds orthogonal ones."""
    diffused = np.float32([[1, 0, 0], [1, 0, 0], [0.5, np.sqrt(0.75), 0], [0, 0, 1]])
    ids = np.array([[0, 1, 2], [3, 1, 0]])
    np.testing.assert_allclose(cfa_automatic.agreement(ids, diffused), [0.75, 0], atol=1e-6)
    np.testing.assert_allclose(cfa_automatic.gallery_agreement(ids, diffused), 0.375, atol=1e-6)


def test_where_neighbours_do_not_agree_the_gentler_strength_is_solved(monkeypatch):
    gallery, _ = classes()
    for wanted, strength in ((0.0, "alpha 0.98"), (1.1, "alpha 0.95")):
        monkeypatch.setattr(cfa_automatic, "AGREEING", wanted)
        model = cfa.CFA().fit(gallery)
        assert strength in model.report_["chosen"]["strength"]
        assert model.report_["levels"][0]["alpha"] == float(strength[6:]) and len(model.levels_) == 1


def test_a_sketch_tells_how_alike_the_signatures_have_become():
    """Diffusion and sketch are linear, so the sketch of a solution is the solution of the sketch."""
    gallery, _ = classes(n=360, noise=0.5)
    model = cfa.CFA().fit(gallery)
    rows = model.signatures_
    assert rows.shape[1] > 2 * cfa_strength.WIDTH
    short = cfa_strength.sketch(rows, 0)
    assert short.shape == (len(gallery), cfa_strength.WIDTH)
    near = knn.neighbors(gallery, 12)[0]
    np.testing.assert_allclose(cfa_automatic.gallery_agreement(near, short),
                               cfa_automatic.gallery_agreement(near, rows), atol=0.02)
    np.testing.assert_array_equal(cfa_strength.sketch(short, 0), short)
    np.testing.assert_allclose(np.linalg.norm(short, axis=1).mean(), np.sqrt(cfa_strength.WIDTH), rtol=0.02)


def test_a_query_whose_nearest_images_disagree_keeps_more_of_itself():
    """Agreement 1, 1/2 and nothing at all: weights 3, 3 x 8 and, at most, 3 x 1000."""
    diffused = np.float32([[1, 0, 0], [1, 0, 0], [0.5, np.sqrt(0.75), 0], [0, 0, 1]])
    weights = cfa_automatic.residual_of_queries(np.array([[0, 1, 1], [0, 2, 2], [0, 3, 3]]), diffused, 3.0)
    np.testing.assert_allclose(weights, [3, 24, 3000], rtol=1e-5)
    np.testing.assert_array_equal(cfa_automatic.residual_of_queries(np.zeros((2, 1), int), diffused, 3.0), [3, 3])


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_unseen_queries_leave_the_gallery_alone_and_do_not_see_each_other():
    gallery, _ = classes()
    queries, _ = classes(seed=1)
    model = cfa.CFA().fit(gallery)
    before, together = model.gallery_.copy(), model.transform(queries)
    np.testing.assert_array_equal(model.gallery_, before)
    np.testing.assert_allclose(model.transform(queries[5:6])[0], together[5], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
