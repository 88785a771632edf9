import numpy as np

from slim_retrieval.graph import cfa_queries


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_an_appended_query_by_loops():
    """Two systems, one of two graphs; an edge only where the query is at least as near as the neighbour's own k-th."""
    random = np.random.RandomState(0)
    parts = [slice(0, 4), slice(4, 6)]
    queries, output = (np.concatenate([unit(random.randn(n, 4)), unit(random.randn(n, 2))], axis=1).astype(np.float32)
                       for n in (5, 12))
    ids = np.stack([random.permutation(12)[:4] for _ in range(5)])
    similarities = -np.sort(-random.uniform(0.1, 0.9, (5, 4)).astype(np.float32), axis=1)
    systems = [{"graphs": [{"k": k, "share": share, "reach": random.uniform(0, 0.6, 12).astype(np.float32)}
                           for k, share in graphs],
                "weight": weight, "degree": random.uniform(0.5, 2, 12).astype(np.float32),
                "lengths": [random.uniform(0.1, 1, 12).astype(np.float32) for _ in range(2)]}
               for graphs, weight in (([(2, 1.0)], 0.25), ([(3, 0.5), (4, 0.25)], 0.75))]
    result = cfa_queries.appended(queries, output, ids, similarities, systems, parts, 0.9, 2.0)
    assert any(similarities[q, r] < systems[1]["graphs"][1]["reach"][ids[q, r]] for q in range(5) for r in range(4))
    for q in range(5):
        for number, part in enumerate(parts):
            total = 0
            for system in systems:
                edges = {}
                for graph in system["graphs"]:
                    for j, s in zip(ids[q, :graph["k"]], similarities[q]):
                        if s >= graph["reach"][j]:
                            edges[j] = edges.get(j, 0) + graph["share"] * s ** 2
                degree, moved = sum(edges.values()), 0.1 * queries[q, part]
                for j, a in edges.items():
                    share = a / np.sqrt(degree * (system["degree"][j] + a))
                    moved = moved + 0.9 * share * system["lengths"][number][j] * output[j, part]
                total = total + system["weight"] * unit(moved)
            np.testing.assert_allclose(result[q, part], unit(total), atol=1e-5)


def test_a_query_without_edges_stays_as_it_is():
    queries = np.eye(3, dtype=np.float32)
    output = unit(np.ones((2, 3), np.float32))
    ones = np.ones(2, np.float32)
    system = {"graphs": [{"k": 2, "share": 1.0, "reach": ones}], "weight": 1.0, "degree": ones, "lengths": [ones]}
    ids, similarities = np.zeros((3, 2), int), np.full((3, 2), 0.5, np.float32)
    result = cfa_queries.appended(queries, output, ids, similarities, [system], [slice(0, 3)], 0.9, 3.0)
    np.testing.assert_allclose(result, queries, atol=1e-6)
