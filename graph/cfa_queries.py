"""What CFA does with queries that are not in the gallery."""
import numpy as np

from slim_retrieval.graph import affinity, features, query_expansion

QUERIES = {"auto": "appended when CFA chooses its levels, augmented when they are given",
           "appended": "each query becomes one more node of the solved graph, which stays as it is",
           "augmented": "a query moves towards what its nearest neighbours have become",
           "raw": "queries stay as they are (not with automatic settings)",
           "joint": "queries and gallery are one graph, solved for this set of queries"}


def augmented(queries, output, ids, weights, parts):
    """Return q + the direction of what its neighbours have become: normalise(q + normalise(sum_j w_j y_j)).

    Args:
      queries: float32 [q, d], rows L2-normalised.
      output: float32 [n, d], the level's output.
      ids: int [q, k], the neighbours; weights: float32 [q, k].
      parts: column slices, each treated by itself.
    """
    moved = features.normalise_parts(query_expansion.weighted_sum(output, ids, weights), parts)
    moved += queries
    return features.normalise_parts(moved, parts)


def appended(queries, output, ids, similarities, systems, parts, alpha, gamma):
    """Return the rows that the queries would have as further nodes of the solved graph, float32 [q, d].

    At each k the query's edges are what they would be among mutual neighbours: its k nearest gallery images that are at
    least as near to it as to their own k-th. With the gallery's solution held fixed, the equation of the
    query's row, (I - alpha S) y = (1 - alpha) x, gives

        y_q = (1 - alpha) q + alpha sum_j S_qj y_j,   S_qj = a_qj / sqrt(d_q (d_j + a_qj))

    Of the y_j of each system only the lengths are kept, the direction is taken from the level's output. A query without
    an edge stays as it is. All the kinds of edges are treated as mutual ones, the strictest.

    Args:
      queries: float32 [q, d], rows L2-normalised.
      output: float32 [n, d], the level's output, or what gives some of its rows (cfa_automatic.Output).
      ids, similarities: [q, K], the nearest gallery images of each query by original features, best first.
      systems: list of dicts: graphs (list of dicts: k, share of its edges in A, reach: float32 [n], similarity of the
        k-th neighbour), weight, degree (float32 [n], row sums of A), lengths (for each part float32 [n], norms of the
        solution's rows).
      parts: column slices, each normalised by itself.
      alpha, gamma: of the level.
    """
    result = np.zeros(queries.shape, np.float32)
    widest = max(graph["k"] for system in systems for graph in system["graphs"])
    for start, stop in features.blocks(len(queries), widest * output.shape[1]):  # so many rows of it are gathered
        rows = slice(start, stop)
        for system in systems:
            near, shares = _shares(ids[rows], similarities[rows], system, gamma)
            directions = output[near]
            for part, length in zip(parts, system["lengths"]):
                moved = np.matmul((shares * length[near])[:, None, :], directions[:, :, part])[:, 0]
                moved *= np.float32(alpha)
                moved += np.float32(1 - alpha) * queries[rows, part]
                result[rows, part] += np.float32(system["weight"]) * features.normalise_rows(moved)
    return features.normalise_parts(result, parts)


def _shares(ids, similarities, system, gamma):
    """Return (ids, S) of each query and its neighbours in one system, [q, largest k]; S is 0 where there is no edge."""
    widest = max(graph["k"] for graph in system["graphs"])
    ids, similarities = ids[:, :widest], similarities[:, :widest]
    total = np.zeros_like(similarities)
    for graph in system["graphs"]:
        near = slice(0, graph["k"])
        total[:, near] += graph["share"] * (similarities[:, near] >= graph["reach"][ids[:, near]])
    edge = affinity.weights(similarities, gamma) * total
    degree = edge.sum(axis=1, keepdims=True)
    return ids, edge / np.sqrt(np.maximum(degree * (system["degree"][ids] + edge), np.finfo(np.float32).tiny))
