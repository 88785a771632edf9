import numpy as np

from slim_retrieval.graph import cfa, cfa_joint, knn


def rows_of(n, seed, common=0.0):
    random = np.random.RandomState(seed)
    rows = np.eye(5, 9)[random.randint(5, size=n)] - 0.11 + 0.4 * random.randn(n, 9) + common
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_the_ranking_is_that_of_one_cfa_over_both():
    gallery, queries = rows_of(60, 0), rows_of(9, 1)
    for settings in ({}, {"levels": [{"k": [6], "alpha": 0.9}]}):
        both = cfa.CFA(**settings).fit(np.concatenate([gallery, queries])).gallery_
        model = cfa_joint.JointCFA(**settings).fit(gallery)
        ranks = model.rank(queries, 20)
        scores = both[60:] @ both[:60].T
        assert ranks.shape == (9, 20) and ranks.dtype == np.int32
        for row, score in zip(ranks, scores):
            assert len(set(row)) == 20
            np.testing.assert_allclose(score[row], np.sort(score)[::-1][:20], atol=1e-5)
        assert model.report_["levels"]
        alone = cfa.CFA(**settings).fit(gallery).gallery_
        for i, row in enumerate(model.rank_gallery(10)):
            assert i not in row
            np.testing.assert_allclose((alone @ alone[i])[row], -np.sort(-np.delete(alone @ alone[i], i))[:10],
                                       atol=1e-5)


def test_what_the_gallery_has_in_common_is_taken_from_both():
    gallery, queries = rows_of(60, 0, common=2.0), rows_of(9, 1, common=2.0)
    mean = gallery.mean(axis=0, dtype=np.float64)
    apart = [rows - mean for rows in (gallery, queries)]
    apart = [(rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32) for rows in apart]
    both = cfa.CFA().fit(np.concatenate(apart)).gallery_
    scores = both[60:] @ both[:60].T
    model = cfa_joint.JointCFA()
    near = knn.neighbors(model.graph_features(gallery), 12)
    for given in (None, near, knn.neighbors(gallery, 12)):
        for row, score in zip(model.fit(gallery, given).rank(queries, 20), scores):
            np.testing.assert_allclose(score[row], np.sort(score)[::-1][:20], atol=1e-4)
