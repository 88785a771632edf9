import numpy as np

from slim_retrieval.graph import cfa_queries


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_an_appended_query_by_loops():
    """Two scales; an edge only where the query is at least as near as the neighbour's own k-th."""
    random = np.random.RandomState(0)
    parts = [slice(0, 4), slice(4, 6)]
    queries, output = (np.concatenate([unit(random.randn(n, 4)), unit(random.randn(n, 2))], axis=1).astype(np.float32)
                       for n in (5, 12))
    ids = np.stack([random.permutation(12)[:4] for _ in range(5)])
    similarities = -np.sort(-random.uniform(0.1, 0.9, (5, 4)).astype(np.float32), axis=1)
    scales = [{"k": k, "weight": w, "reach": random.uniform(0, 0.6, 12).astype(np.float32),
               "degree": random.uniform(0.5, 2, 12).astype(np.float32),
               "lengths": [random.uniform(0.1, 1, 12).astype(np.float32) for _ in range(2)]}
              for k, w in ((2, 0.25), (4, 0.75))]
    result = cfa_queries.appended(queries, output, ids, similarities, scales, parts, 0.9, 2.0)
    assert any(similarities[q, r] < scales[1]["reach"][ids[q, r]] for q in range(5) for r in range(4))
    for q in range(5):
        for number, part in enumerate(parts):
            total = 0
            for scale in scales:
                edges = [(j, s ** 2) for j, s in zip(ids[q, :scale["k"]], similarities[q]) if s >= scale["reach"][j]]
                degree, moved = sum(a for _, a in edges), 0.1 * queries[q, part]
                for j, a in edges:
                    share = a / np.sqrt(degree * (scale["degree"][j] + a))
                    moved = moved + 0.9 * share * scale["lengths"][number][j] * output[j, part]
                total = total + scale["weight"] * unit(moved)
            np.testing.assert_allclose(result[q, part], unit(total), atol=1e-5)


def test_a_query_without_edges_stays_as_it_is():
    queries = np.eye(3, dtype=np.float32)
    output = unit(np.ones((2, 3), np.float32))
    scale = {"k": 2, "weight": 1.0, "reach": np.ones(2, np.float32), "degree": np.ones(2, np.float32),
             "lengths": [np.ones(2, np.float32)]}
    ids, similarities = np.zeros((3, 2), int), np.full((3, 2), 0.5, np.float32)
    result = cfa_queries.appended(queries, output, ids, similarities, [scale], [slice(0, 3)], 0.9, 3.0)
    np.testing.assert_allclose(result, queries, atol=1e-6)
