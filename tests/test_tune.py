import dataclasses

import numpy as np
import pytest

from slim_retrieval.commands import tune
from slim_retrieval.common import method_schema
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph.candidates import CANDIDATES

CFA = dataclasses.asdict(method_schema.CFAConfig())


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def classes(n=90, members=15, seed=0):
    random = np.random.RandomState(seed)
    labels = np.repeat(np.arange(n // members), members)
    return unit(np.eye(n // members, 12)[labels] + 0.6 * random.randn(n, 12)), labels


def test_the_best_mean_wins():
    """Classes that overlap want the graph; a score that counts backwards wants the worst."""
    gallery, labels = classes()
    queries, score = tune.score_labels(labels)
    candidates = [{}, {"residual": 1000.0}]
    assert tune.choose("cfa", CFA, candidates, gallery, queries, score, 0) == {}
    assert tune.choose("cfa", CFA, candidates, gallery, queries, lambda ranks: -score(ranks), 0) == candidates[1]


def test_pairs_are_scored_by_the_place_of_the_match():
    queries, score = tune.score_pairs(np.array([[0, 2], [3, 1]]))
    np.testing.assert_array_equal(queries, [0, 3])
    np.testing.assert_allclose(score(np.array([[1, 2, 3], [1, 0, 2]])), [-1.0, 0.0])


def test_labels_are_scored_by_average_precision():
    """Image 0 finds its match at place 2: AP 1/2; image 2 has none."""
    queries, score = tune.score_labels(np.array(["a", "a", "b"]))
    np.testing.assert_array_equal(queries, [0, 1, 2])
    np.testing.assert_array_equal(score(np.array([[2, 1], [0, 2], [0, 1]])), [0.5, 1.0, np.nan])
    with pytest.raises(InputError, match="none of the 3 labels stands twice"):
        tune.score_labels(np.array([1, 2, 3]))


@pytest.mark.parametrize("text, message", [
    ("a,b\n0,1\n2,9\n", "line 3: '2' and '9' are not two different rows from 0 to 4"),
    ("a,b\n1,1\n", "line 2: '1' and '1' are not two different rows"),
    ("x,y\n1,2\n", "line 2: None and None"),
    ("a,b\n", "no pairs")])
def test_pairs_that_cannot_be_used(tmp_path, text, message):
    path = tmp_path / "pairs.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        tune.read_pairs(str(path), 5)
    with pytest.raises(InputError, match="no file of pairs"):
        tune.read_pairs(str(tmp_path / "other.csv"), 5)


@pytest.mark.parametrize("method", sorted(CANDIDATES))
def test_the_command(tmp_path, capsys, method):
    """Every candidate of every method is a setting that the method takes."""
    gallery, labels = classes(60, 10)
    np.save(str(tmp_path / "v.npy"), gallery)
    np.save(str(tmp_path / "l.npy"), labels)
    tune.main(["--method", method, "--features", str(tmp_path / "v.npy"), "--labels", str(tmp_path / "l.npy")])
    printed = capsys.readouterr().out
    assert printed.count("against the default") == len(CANDIDATES[method]) and "use: " in printed


def test_bad_flags(capsys):
    with pytest.raises(SystemExit) as end:
        tune.main(["--method", "cfa", "--features", "x.npy"])
    assert end.value.code == 2 and "--features needs one of --labels and --pairs" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        tune.main(["--method", "none", "--features", "x.npy", "--labels", "l.csv"])
    assert end.value.code == 2 and "unknown method that can be tuned 'none'" in capsys.readouterr().err
