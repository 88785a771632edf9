import dataclasses
import json

import numpy as np
import pytest

from slim_retrieval.commands import retrieve, tune
from slim_retrieval.common import method_schema
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph.candidates import CANDIDATES

CFA = dataclasses.asdict(method_schema.CFAConfig())


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def classes(n=90, members=15, seed=0, noise=0.6):
    random = np.random.RandomState(seed)
    labels = np.repeat(np.arange(n // members), members)
    return unit(np.eye(n // members, 12)[labels] + noise * random.randn(n, 12)), labels


def test_the_best_mean_wins():
    """Classes that overlap want the graph, in whatever order they are tried."""
    gallery, labels = classes(noise=0.4)
    queries, score = tune.score_labels(labels)
    candidates = [{}, {"residual": 1000.0}]
    assert tune.choose("cfa", CFA, candidates, gallery, queries, score, 0) == {}
    assert tune.choose("cfa", CFA, candidates[::-1], gallery, queries, score, 0) == {}


def test_what_is_not_ahead_of_plain_search_by_more_than_its_error_is_not_chosen():
    """By hand: +1, +1, 0 over plain search (mean 2/3, error .27) wins; +2, -1, 0 (mean 1/3, error .72) does not."""
    gallery, labels = classes(12, 4)
    queries = np.arange(3)

    def chosen(*leads):
        values = iter([np.zeros(3)] + [np.array(lead, float) for lead in leads])
        return tune.choose("cfa", CFA, [{"residual": float(i + 1)} for i in range(len(leads))], gallery, queries,
                           lambda ranks: next(values), 0)

    assert chosen([2, -1, 0]) is None and chosen([1, 1, 0]) == {"residual": 1.0}
    assert chosen([2, -1, 0], [1, 1, 0]) == {"residual": 2.0}
    assert chosen([1, 1, 0], [1, 1, 0], [5, -1, 0]) == {"residual": 1.0}
    assert chosen([1, 1, 0], [1, np.nan, 1]) == {"residual": 1.0}


def test_pairs_are_scored_by_the_place_of_the_match():
    queries, score = tune.score_pairs(np.array([[0, 2], [3, 1]]))
    np.testing.assert_array_equal(queries, [0, 3, 2, 1])
    ranks = np.array([[1, 2, 3], [1, 0, 2], [0, 1, 3], [0, 2, 3]])  # places 2, 1 and the other way round 1, 3
    np.testing.assert_allclose(score(ranks), [-0.5, -np.log2(3) / 2])
    ranks[:2] = [[1, 3, 4], [0, 2, -1]]  # not returned: place 4
    np.testing.assert_allclose(score(ranks), [-1.0, -1 - np.log2(3) / 2])


def test_labels_are_scored_by_average_precision():
    """Image 0 finds its match at place 2: AP 1/2; image 2 has none."""
    queries, score = tune.score_labels(np.array(["a", "a", "b"]))
    np.testing.assert_array_equal(queries, [0, 1, 2])
    np.testing.assert_array_equal(score(np.array([[2, 1], [0, 2], [0, 1]])), [0.5, 1.0, np.nan])
    with pytest.raises(InputError, match="none of the 3 labels stands twice"):
        tune.score_labels(np.array([1, 2, 3]))


@pytest.mark.parametrize("text, message", [
    ("a,b\n0,1\n2,9\n", "pair 2: '2' and '9' are not two different rows from 0 to 4"),
    ("a,b\n1,1\n", "pair 1: '1' and '1' are not two different rows"),
    ("x,y\n1,2\n", "expected a column 'a' and a column 'b'"),
    ("a,b\n", "no pairs")])
def test_pairs_that_cannot_be_used(tmp_path, text, message):
    path = tmp_path / "pairs.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        tune.read_pairs(str(path), 5)
    with pytest.raises(InputError, match="give a CSV file of pairs"):
        tune.read_pairs(str(tmp_path / "other.csv"), 5)


@pytest.mark.parametrize("method", sorted(CANDIDATES))
def test_the_command(tmp_path, capsys, method):
    """Every candidate of every method is a setting that the method takes."""
    gallery, labels = classes(60, 10)
    np.save(str(tmp_path / "v.npy"), gallery)
    np.save(str(tmp_path / "l.npy"), labels)
    tune.main(["--method", method, "--features", str(tmp_path / "v.npy"), "--labels", str(tmp_path / "l.npy"),
               "--output", str(tmp_path / "t.yaml")])
    printed = capsys.readouterr().out
    assert printed.count("ahead of plain search by") == len(CANDIDATES[method]) and "use: " in printed


def test_the_best_is_written_as_a_configuration_that_retrieve_takes(tmp_path, capsys):
    gallery, labels = classes()
    np.save(str(tmp_path / "v.npy"), gallery)
    np.save(str(tmp_path / "l.npy"), labels)
    path = str(tmp_path / "tuned.yaml")
    tune.main(["--method", "dba", "--features", str(tmp_path / "v.npy"), "--labels", str(tmp_path / "l.npy"),
               "--output", path])
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("use: ")][0]
    assert "--method dba --config {}".format(path) in said
    k = json.loads(said.split("--dba.k '")[1].split("'")[0])
    retrieve.main(["--query", str(tmp_path / "v.npy"), "--gallery", str(tmp_path / "v.npy"), "--method", "dba",
                   "--config", path, "--output", str(tmp_path / "out")])
    assert json.loads((tmp_path / "out" / "dba.json").read_text())["parameters"]["k"] == k != 20


def test_what_is_evaluated_is_not_tuned_on(tmp_path, capsys):
    gallery, labels = classes()
    folder = tmp_path / "features" / "gallery"
    folder.mkdir(parents=True)
    np.save(str(folder / "features.npy"), gallery)
    (folder / "meta.json").write_text("{}")
    np.save(str(tmp_path / "l.npy"), labels)
    with pytest.raises(SystemExit) as end:
        tune.main(["--method", "cfa", "--features", str(folder / "features.npy"), "--labels", str(tmp_path / "l.npy")])
    assert end.value.code == 2 and "gallery features of a run" in capsys.readouterr().err


def test_bad_flags(capsys):
    with pytest.raises(SystemExit) as end:
        tune.main(["--method", "cfa", "--features", "x.npy"])
    assert end.value.code == 2 and "--features needs one of --labels and --pairs" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        tune.main(["--method", "none", "--features", "x.npy", "--labels", "l.csv"])
    assert end.value.code == 2 and "unknown method that can be tuned 'none'" in capsys.readouterr().err
