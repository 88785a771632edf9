import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation import metrics, ranking_files
from slim_retrieval.evaluation.qrels import read_qrels

QRELS = "1 0 d1 1\n1 0 d2 0\n1 0 d3 2\n2 0 d2 1\n2 0 d4 -2\n3 0 d1 0\n"


def write(path, text):
    path.write_text(text)
    return str(path)


def test_judgements(tmp_path):
    truth = read_qrels(write(tmp_path / "qrels", QRELS))
    assert truth.query.paths == ["1", "2", "3"] and truth.gallery.paths == ["d1", "d2", "d3", "d4"]
    assert truth.relevance.num_positives.tolist() == [2, 1, 0] and not truth.is_complete


def test_agrees_with_trec_eval(tmp_path):
    """Random runs and judgements as files, read by both; scores without ties, which the two break differently."""
    trec = pytest.importorskip("pytrec_eval")  # no build for Python 3.7
    rng = np.random.RandomState(0)
    for _ in range(40):
        docs = ["d{}".format(i) for i in range(20)]
        judged = [(q, d, rng.randint(-1, 3)) for q in "12" for d in rng.permutation(docs)[:10]]
        run = [(q, d, score) for q in "12" for d, score in zip(rng.permutation(docs)[:15], rng.permutation(99) / 7.0)]
        qrels = write(tmp_path / "qrels", "".join("{} 0 {} {}\n".format(*row) for row in judged))
        ranked = write(tmp_path / "run.txt", "".join("{} Q0 {} 9 {} tag\n".format(*row) for row in run))
        with open(qrels) as one, open(ranked) as other:
            evaluator = trec.RelevanceEvaluator(trec.parse_qrel(one), {"map", "recip_rank"})
            scores = evaluator.evaluate(trec.parse_run(other))
        ranks, truth = ranking_files.read(ranked, read_qrels(qrels))
        result = metrics.evaluate(ranks, truth.relevance)
        kept = [q for q in "12" if any(r > 0 for p, _, r in judged if p == q)]
        for theirs, ours in (("map", "mAP"), ("recip_rank", "mean_reciprocal_rank")):
            assert result[ours] == pytest.approx(np.mean([scores[q][theirs] for q in kept]))


@pytest.mark.parametrize("text, message", [
    ("1 0 d1\n", "line 1: '1 0 d1' is not query, iteration, image and relevance"),
    ("1 0 d1 1\n1 0 d2 yes\n", "line 2: '1 0 d2 yes' is not"),
    ("\n", "is empty"),
])
def test_files_that_cannot_be_used(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_qrels(write(tmp_path / "qrels", text))
