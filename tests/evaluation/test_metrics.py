import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation import metrics
from slim_retrieval.evaluation.relevance import from_labels, from_lists


def test_worked_by_hand():
    relevance = from_lists([[0, 1], [3], [], [2]], [[2], [0, 1], [], []], 4)
    ranks = np.array([
        [2, 0, 3, 1],    # junk, +, wrong, +: places 1 and 3
        [0, 1, 2, 3],    # junk, junk, wrong, +: place 2
        [0, 1, 2, 3],    # no positives: left out
        [0, 1, -1, -1],  # never returned
    ])
    result = metrics.evaluate(ranks, relevance, recall_at=(1, 2, 4), names=["mP@2"])
    np.testing.assert_allclose(result.pop("average_precision"), [5 / 6, 1 / 2, np.nan, 0])
    log = 1 / np.log2([2, 3, 4, 5])  # the discounts of places 1, 2, 3, 4
    expected = {
        "mAP": (5 / 6 + 1 / 2) / 3, "mAP_step": (5 / 6 + 1 / 2) / 3, "mAP_trapezoid": ((1 + 7 / 12) / 2 + 1 / 4) / 3,
        "MAP_at_R": 1 / 2 / 3, "r_precision": 1 / 2 / 3, "mean_reciprocal_rank": (1 + 1 / 2 + 0) / 3,
        "mINP": (2 / 3 + 1 / 2 + 0) / 3, "ns_score": (2 + 1 + 0) / 3,
        "ndcg": ((log[0] + log[2]) / (log[0] + log[1]) + log[1] / log[0]) / 3,
        "recall_at_1": 1 / 3, "recall_at_2": 2 / 3, "recall_at_4": 2 / 3,
        "precision_at_1": 1 / 3, "precision_at_2": (1 / 2 + 1 / 2) / 3, "precision_at_4": (2 / 4 + 1 / 4) / 3,
        "mAP_at_1": 1 / 3, "mAP_at_2": (1 / 2 + 1 / 2) / 3, "mAP_at_4": (5 / 6 + 1 / 2) / 3,
        "ndcg_at_1": 1 / 3, "ndcg_at_2": (log[0] / (log[0] + log[1]) + log[1] / log[0]) / 3,
        "ndcg_at_4": ((log[0] + log[2]) / (log[0] + log[1]) + log[1] / log[0]) / 3,
        "mP_at_2": (1 / 2 + 1 / 2 + 0) / 3,
        "num_queries": 4, "num_queries_without_positives": 1, "num_queries_without_results": 0}
    assert result == {key: pytest.approx(value) for key, value in expected.items()}


def test_definition_is_the_one_asked_for():
    relevance, ranks = from_labels([1], [0, 1]), np.array([[0, 1]])
    assert metrics.evaluate(ranks, relevance, "step")["mAP"] == 1 / 2
    assert metrics.evaluate(ranks, relevance, "trapezoid")["mAP"] == 1 / 4


def test_truncating_a_ranking_never_helps():
    # Of three positives one is returned: dividing by those returned would give 1.
    result = metrics.evaluate(np.array([[0]]), from_labels([1], [1, 1, 1]), recall_at=(1, 10))
    assert result["mAP"] == pytest.approx(1 / 3) and result["recall_at_10"] == 1


def test_blocks_agree_with_sklearn_query_by_query(monkeypatch):
    rng = np.random.RandomState(0)
    query, gallery = rng.randint(5, size=37), rng.randint(5, size=50)
    scores = rng.rand(37, 50)
    ranks = np.argsort(-scores, axis=1).astype(np.int32)
    whole = metrics.evaluate(ranks, from_labels(query, gallery))
    monkeypatch.setattr(metrics, "PLACES_PER_BLOCK", 200)  # four queries at a time; 37 = 9 x 4 + 1
    blocks = metrics.evaluate(ranks, from_labels(query, gallery))
    expected = [average_precision_score(gallery == label, score) for label, score in zip(query, scores)]
    np.testing.assert_allclose(whole["average_precision"], expected, rtol=1e-12)
    np.testing.assert_allclose(blocks["average_precision"], expected, rtol=1e-12)
    assert whole["mAP"] == pytest.approx(np.mean(expected))
    first = [np.flatnonzero(gallery[row] == label)[0] + 1 for row, label in zip(ranks, query)]
    assert blocks["mean_reciprocal_rank"] == pytest.approx(np.mean([1 / place for place in first]))
    assert blocks["recall_at_5"] == pytest.approx(np.mean([place <= 5 for place in first]))


def test_rankings_without_results_are_counted_and_score_0():
    result = metrics.evaluate(np.array([[0, -1], [-1, -1]]), from_labels([1, 1], [1, 2]))
    assert result["num_queries_without_results"] == 1 and result["mAP"] == 1 / 2


def random_case(rng):
    """Return (relevance, ranks, positives and junk as sets); rankings may be cut short and padded."""
    num_queries, n = rng.randint(1, 6), rng.randint(1, 25)
    kinds = rng.choice(4, size=(num_queries, n), p=[0.5, 0.3, 0.1, 0.1])
    kinds[0, rng.randint(n)] = 1  # at least one query has a positive
    positives, junk = ([np.flatnonzero(row == kind) for row in kinds] for kind in (1, 2))
    depth = rng.randint(1, n + 1)
    ranks = np.array([rng.permutation(n)[:depth] for _ in range(num_queries)])
    for row in ranks:
        row[rng.randint(1, depth + 1):] = -1
    return from_lists(positives, junk, n), ranks, [set(p) for p in positives], [set(j) for j in junk]


def test_agrees_with_trec_eval():
    """Four hundred random cases; trec_eval knows no junk, so it is given the rankings without it."""
    trec = pytest.importorskip("pytrec_eval")  # no build for Python 3.7
    rng = np.random.RandomState(0)
    names = {"map": "mAP", "recip_rank": "mean_reciprocal_rank", "Rprec": "r_precision", "P_5": "precision_at_5",
             "ndcg": "ndcg", "ndcg_cut_5": "ndcg_at_5", "ndcg_cut_10": "ndcg_at_10", "success_1": "recall_at_1",
             "success_5": "recall_at_5"}
    for _ in range(400):
        relevance, ranks, positives, junk = random_case(rng)
        result = metrics.evaluate(ranks, relevance)
        qrel = {str(q): {str(i): 1 for i in ids} for q, ids in enumerate(positives) if ids}
        kept = [[i for i in row if i >= 0 and i not in junk[q]] for q, row in enumerate(ranks)]
        run = {str(q): {str(i): float(-place) for place, i in enumerate(row)} for q, row in enumerate(kept)}
        scores = trec.RelevanceEvaluator(qrel, {"map", "recip_rank", "Rprec", "P", "ndcg", "ndcg_cut", "success"})
        scores = scores.evaluate({q: run[q] for q in qrel})
        for theirs, ours in names.items():
            # A query that returned nothing is left out there and 0 here.
            expected = sum(score[theirs] for score in scores.values()) / len(qrel)
            assert result[ours] == pytest.approx(expected, abs=1e-9), (theirs, ranks)


def slow(ranked, positives, junk):
    """The definitions, one place after the other, of one query."""
    kept = [i for i in ranked if i >= 0 and i not in junk]
    right, total = [i in positives for i in kept], len(positives)

    def among(k):
        return sum(right[:k])
    first = next((place for place, hit in enumerate(right, 1) if hit), None)
    last = max([place for place, hit in enumerate(right, 1) if hit], default=0)
    return {
        "mAP_at_3": sum(among(r) / r for r in range(1, 4) if r <= len(right) and right[r - 1]) / min(3, total),
        "MAP_at_R": sum(among(r) / r for r in range(1, total + 1) if r <= len(right) and right[r - 1]) / total,
        "mAP_trapezoid": sum((1 if r == 1 else among(r - 1) / (r - 1)) / 2 + among(r) / r / 2
                             for r in range(1, len(right) + 1) if right[r - 1]) / total,
        "mP_at_3": among(3) / min(3, last) if last else 0,
        "mINP": total / last if among(len(right)) == total else 0,
        "cmc_at_3": float(first is not None and first <= 3), "ns_score": among(4), "precision_at_3": among(3) / 3}


def test_agrees_with_slow_definitions():
    rng = np.random.RandomState(1)
    for _ in range(300):
        relevance, ranks, positives, junk = random_case(rng)
        result = metrics.evaluate(ranks, relevance, recall_at=[3], names=["mP@3", "CMC@3"])
        rows = [slow(row, positives[q], junk[q]) for q, row in enumerate(ranks) if positives[q]]
        for key in rows[0]:
            assert result[key] == pytest.approx(np.mean([row[key] for row in rows]), abs=1e-12), key


def test_no_query_has_positives():
    with pytest.raises(InputError, match="none of the 2 queries has a positive among the 3 gallery images"):
        metrics.evaluate(np.array([[0], [1]]), from_labels([8, 9], [0, 1, 2]))


def test_unknown_definition_lists_the_known_ones():
    with pytest.raises(InputError, match="unknown definition of average precision 'area'.*step, trapezoid"):
        metrics.evaluate(np.array([[0]]), from_labels([0], [0]), "area")


def test_one_true_match_for_each_query_makes_map_the_mean_reciprocal_rank():
    random = np.random.RandomState(0)
    labels = random.permutation(40)
    ranks = np.array([random.permutation(40)[:30] for _ in range(40)])  # some are not found
    result = metrics.evaluate(ranks, from_labels(np.arange(40), labels))
    places = [(labels[row] == query).nonzero()[0] for query, row in enumerate(ranks)]
    expected = np.mean([1 / (place[0] + 1) if len(place) else 0 for place in places])
    assert result["mAP"] == pytest.approx(expected) and result["mean_reciprocal_rank"] == pytest.approx(expected)
