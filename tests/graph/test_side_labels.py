import numpy as np
import pytest
from scipy import sparse

from slim_retrieval.graph import edges, knn, side_labels

# Two triangles 0-1-2 and 3-4-5 joined by the bridge 2-3.
PAIRS = {(0, 1): .9, (0, 2): .8, (1, 2): .7, (2, 3): .5, (3, 4): .9, (3, 5): .6, (4, 5): .8}
UNKNOWN = np.full(6, -1)


def graph(pairs=PAIRS, n=6):
    dense = np.zeros((n, n), np.float32)
    for (i, j), value in pairs.items():
        dense[i, j] = dense[j, i] = value
    return sparse.csr_matrix(dense)


def features(n=6, seed=0):
    rows = np.random.RandomState(seed).randn(n, 3)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def classes(sizes, spread, seed=0):
    """Return (edges of clustered features, features, the classes)."""
    random = np.random.RandomState(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    rows = random.randn(len(sizes), 16)[truth] + spread * random.randn(len(truth), 16)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return edges.edges(*knn.neighbors(rows, 10), k=10, kind="mutual"), rows, truth


def with_wrong(truth, share, seed=1):
    """Return the labels with a share of them replaced by a draw at random; and which were drawn anew."""
    random = np.random.RandomState(seed)
    drawn = random.rand(len(truth)) < share
    return np.where(drawn, random.randint(truth.max() + 1, size=len(truth)), truth), drawn


def test_veto_drops_edges_between_different_known_labels_only():
    found = side_labels.veto(graph(), np.array([0, 0, 0, 1, 1, -1]))
    expected = {pair: value for pair, value in PAIRS.items() if pair != (2, 3)}
    np.testing.assert_array_equal(found.toarray(), graph(expected).toarray())
    assert found.nnz == 12


def test_reweight_multiplies_by_what_is_known():
    found = side_labels.reweight(graph(), np.array([0, 0, 1, 1, -1, -1]), 2, .5, 1).toarray()
    factors = {(0, 1): 2, (0, 2): .5, (1, 2): .5, (2, 3): 2, (3, 4): 1, (3, 5): 1, (4, 5): 1}
    expected = graph({pair: value * factors[pair] for pair, value in PAIRS.items()}).toarray()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_add_joins_the_nearest_of_the_same_label():
    rows = np.array([[1, 0], [.8, .6], [.6, .8], [0, 1], [.8, -.6], [-1, 0]], np.float32)
    empty = graph({(3, 5): .3})
    found = side_labels.add(empty, np.array([0, 0, 0, 1, -1, 1]), rows, 1).toarray()
    # 0's nearest of its label is 1 (.8); 1's is 2 (.96); 2's is 1. Of 3 and 5 only each other (0, and .3 is there).
    expected = graph({(0, 1): .8, (1, 2): .96, (3, 5): .3}).toarray()
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_an_added_edge_counts_no_less_than_a_usual_one():
    rows = np.array([[1, 0], [0, 1], [-1, 0], [1, 0], [1, 0], [1, 0]], np.float32)
    found = side_labels.add(graph(), np.array([0, -1, -1, -1, -1, -1]), rows, 3)
    np.testing.assert_array_equal(found.toarray(), graph().toarray())  # nobody else has the label
    found = side_labels.add(graph(), np.array([0, -1, -1, -1, 0, -1]), -rows[[0, 1, 2, 3, 2, 5]], 3).toarray()
    assert found[0, 4] == found[4, 0] == np.float32(.8)  # similarity -1; the median of .5 .6 .7 .8 .8 .9 .9
    found = side_labels.add(graph(), np.array([0, 0, -1, -1, -1, -1]), rows, 3).toarray()
    assert found[0, 1] == np.float32(.9)  # an edge keeps its own when that is larger


@pytest.mark.parametrize("small", [2, 1024])
def test_add_equals_slow_loops_and_stays_bounded(small, monkeypatch):
    monkeypatch.setattr(side_labels, "SMALL_CLASS", small)
    matrix, rows, _ = classes([12, 30, 1, 17], 1.0)
    codes = np.random.RandomState(3).randint(-1, 3, 60)
    expected, usual = matrix.toarray(), np.median(matrix.data)
    for i in np.flatnonzero(codes >= 0):
        others = [j for j in np.flatnonzero(codes == codes[i]) if j != i]
        for j in sorted(others, key=lambda j: -float(rows[i] @ rows[j]))[:4]:
            value = max(float(rows[i] @ rows[j]), usual)
            expected[i, j] = expected[j, i] = max(expected[i, j], value)
    found = side_labels.add(matrix, codes, rows, 4)
    np.testing.assert_allclose(found.toarray(), np.maximum(expected, 0), atol=1e-6)
    np.testing.assert_array_equal(found.toarray(), found.toarray().T)
    assert found.nnz <= matrix.nnz + 2 * 4 * 60 and not found.diagonal().any()


@pytest.mark.parametrize("change", [
    lambda m, c: side_labels.veto(m, c), lambda m, c: side_labels.reweight(m, c, 3, 0),
    lambda m, c: side_labels.add(m, c, features(), 2)], ids=["veto", "reweight", "add"])
def test_unknown_labels_change_nothing_and_inputs_stay(change):
    matrix = graph()
    np.testing.assert_array_equal(change(matrix, UNKNOWN).toarray(), matrix.toarray())
    codes = np.array([0, 1, 0, 1, 0, -1])
    found = change(matrix, codes)
    np.testing.assert_array_equal(found.toarray(), found.toarray().T)
    np.testing.assert_array_equal(matrix.toarray(), graph().toarray())
    np.testing.assert_array_equal(codes, [0, 1, 0, 1, 0, -1])


def test_trust_by_hand():
    """20 pairs of mutual nearest neighbours, 15 of them agree; two labels, each on half of the images.

    Agreement 3/4, by chance 1/2: kappa = (3/4 - 1/2) / (1 - 1/2) = 1/2, trust = sqrt(1/2).
    """
    pairs = {(2 * i, 2 * i + 1): .9 for i in range(20)}
    pairs.update({(2 * i + 1, 2 * i + 2): .4 for i in range(19)})  # further away: they do not count
    labels = [0] * 16 + [1] * 14 + [0, 1] * 5  # 8 + 7 pairs agree, 5 do not: 21 labels 0 and 19 labels 1
    labels[0:2] = 1, 1  # 7 pairs of 0, 8 of 1: 19 labels 0 and 21 labels 1
    codes, chance = np.array(labels), (19 / 40) ** 2 + (21 / 40) ** 2
    trust, counted = side_labels.estimate_trust(graph(pairs, 40), codes)
    assert counted == 20
    assert trust == pytest.approx(((15 / 20 - chance) / (1 - chance)) ** .5)


def test_trust_looks_at_the_nearest_with_a_known_label():
    """0's nearest, 1, is unknown: 0 is compared with 2, and 2's nearest known is 0."""
    pairs, codes = {}, []
    for i in range(0, 60, 3):
        pairs.update({(i, i + 1): .9, (i + 1, i + 2): .8, (i, i + 2): .7})
        codes += [i % 2, -1, i % 2]
    trust, counted = side_labels.estimate_trust(graph(pairs, 60), np.array(codes))
    assert (trust, counted) == (1.0, 20)


@pytest.mark.parametrize("wrong", [0, .2, .5, 1])
def test_trust_is_the_share_of_right_labels_where_features_are_good(wrong):
    matrix, _, truth = classes([250] * 10, .3)
    codes, _ = with_wrong(truth, wrong)
    trust, counted = side_labels.estimate_trust(matrix, codes)
    assert counted > 200 and abs(trust - (1 - wrong)) < (.3 if wrong == 1 else .06)  # sqrt is steep at 0


def test_too_little_to_judge_by_is_trusted():
    assert side_labels.estimate_trust(graph(), np.array([0, 1, 0, 1, 0, 1])) == (1.0, 2)
    pairs = {(2 * i, 2 * i + 1): .9 for i in range(20)}
    assert side_labels.estimate_trust(graph(pairs, 40), np.zeros(40, int)) == (1.0, 20)  # one label only
    assert side_labels.estimate_trust(graph(pairs, 40), np.full(40, -1)) == (1.0, 0)


def test_the_label_that_its_neighbours_contradict_is_set_aside():
    codes = np.array([0, 0, 1, 1, 1, 1])  # 2 sits among 0s, with one edge to a 1
    np.testing.assert_array_equal(side_labels.believe(graph(), codes, 5 / 6), [0, 0, -1, 1, 1, 1])
    np.testing.assert_array_equal(side_labels.believe(graph(), codes, 1), codes)
    # Contradicted are 2 alone, 0 and 1 in part: by 2 (.8 of .9, .7 of .9), less than they support each other.
    np.testing.assert_array_equal(side_labels.believe(graph(), codes, 0), [0, 0, -1, 1, 1, 1])


def test_support_by_hand():
    """Node 0's neighbours: 1 (.9, label 1), 2 (.6, own label), 3 (.3, own label): votes 1 against 2/3 + 1/3."""
    matrix = graph({(0, 1): .9, (0, 2): .6, (0, 3): .3}, 4)
    np.testing.assert_allclose(side_labels._support(matrix, np.array([0, 1, 0, 0])),
                               [1, 1 / 2, 1, 1], rtol=1e-6)  # 1: nobody for it, one vote against
    np.testing.assert_allclose(side_labels._support(matrix, np.array([0, 1, 0, -1]))[0], (1 + 2 / 3) / 2, rtol=1e-6)


@pytest.mark.parametrize("share", [1.0, .5])
def test_wrong_labels_are_found_and_right_ones_kept(share):
    matrix, _, truth = classes([60] * 8, .4)
    codes, _ = with_wrong(truth, .2)
    codes = np.where(np.random.RandomState(2).rand(len(codes)) < share, codes, -1)
    before, known = np.mean((codes != truth)[codes >= 0]), np.sum(codes >= 0)
    believed = side_labels.believe(matrix, codes, side_labels.estimate_trust(matrix, codes)[0])
    after = np.mean((believed != truth)[believed >= 0])
    assert before > .14 and after < .05 and np.sum(believed >= 0) > .7 * known
    assert set(np.flatnonzero(believed != codes)) <= set(np.flatnonzero(codes >= 0))
    assert (believed[believed >= 0] == codes[believed >= 0]).all()
