import numpy as np
import pytest
from scipy import sparse
from scipy.sparse import csgraph

from slim_retrieval.graph import node_order


def graph(n, pairs, values=None):
    rows, columns = np.array(pairs).T
    values = np.ones(len(pairs)) if values is None else values
    half = sparse.coo_matrix((np.asarray(values, np.float32), (rows, columns)), shape=(n, n))
    return (half + half.T).tocsr()


def test_the_stronger_edge_decides_who_follows_whom():
    # 0-4 and 1-3 are the strongest; 2 hangs on 3; a weak edge joins both groups.
    order = node_order.order(graph(5, [(0, 4), (1, 3), (2, 3), (0, 1)], [5, 5, 3, 1]))
    assert order.tolist() == [0, 4, 1, 2, 3]


def test_groups_of_groups_stay_together():
    # Pairs (0,1) (2,3) (4,5) (6,7); pairs are joined two and two: (0,1) with (6,7), (2,3) with (4,5).
    order = node_order.order(graph(8, [(0, 1), (2, 3), (4, 5), (6, 7), (1, 6), (3, 4), (0, 2)], [9] * 4 + [3, 3, 1]))
    assert order.tolist() == [0, 1, 6, 7, 2, 3, 4, 5]


@pytest.mark.parametrize("n", [1, 60])
def test_isolated_nodes_stay_in_their_order(n):
    assert node_order.order(sparse.csr_matrix((n, n), dtype=np.float32)).tolist() == list(range(n))


def test_each_component_lies_in_one_piece():
    random = np.random.RandomState(0)
    matrix = graph(400, random.randint(400, size=(330, 2)), random.rand(330))
    order = node_order.order(matrix)
    assert sorted(order.tolist()) == list(range(400))
    components = csgraph.connected_components(matrix)[1][order]
    assert np.sum(components[1:] != components[:-1]) == components.max()


def test_a_numbering_of_classes_that_was_lost_is_found_again():
    random = np.random.RandomState(1)
    numbers = random.permutation(600)
    inside = [(numbers[a], numbers[b]) for a in range(600) for b in a // 20 * 20 + random.permutation(20)[:6] if a != b]
    across = random.randint(600, size=(150, 2)).tolist()
    matrix = graph(600, inside + across, [1.0] * len(inside) + [0.2] * 150)
    places = np.argsort(node_order.order(matrix))
    assert np.mean([abs(places[a] - places[b]) < 20 for a, b in inside]) > 0.95
    assert np.mean([abs(int(a) - int(b)) < 20 for a, b in inside]) < 0.1
