import os

import csv_rows
import graph_speed
import numpy as np
import pytest

from slim_retrieval.common import machine


@pytest.fixture(scope="module")
def features():
    rows = np.random.RandomState(0).randn(600, 8).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def nearest(features):
    """Each row's 20 nearest others, by sorting all."""
    similarities = features @ features.T
    np.fill_diagonal(similarities, -2)
    return np.argsort(-similarities, axis=1)[:, :20]


def sample_of(features, nearest):
    rows = np.arange(0, 600, 3)
    return rows, np.einsum("md,mkd->mk", features[rows], features[nearest[rows]])


# pynndescent compiles for a minute at each start, so it is left to the benchmark itself.
@pytest.mark.parametrize("name", sorted(set(graph_speed.METHODS) - {"pynndescent"}))
def test_each_method_finds_the_neighbours(name, features, nearest):
    function, module, _ = graph_speed.METHODS[name]
    if not machine.have(module):
        pytest.skip(module + " is not installed")
    watch = graph_speed.Watch()
    ids = function(features, sample_of(features, nearest), watch)
    found = np.mean([len(set(own) & set(true)) / 20 for own, true in zip(ids.tolist(), nearest.tolist())])
    assert found > (0.999 if name in ("ours_exact", "faiss_flat", "sklearn") else 0.9)
    assert watch.seconds > 0 and watch.processor > 0


def test_recall_counts_the_neighbours_and_not_the_image_itself(features, nearest):
    rows, true = sample_of(features, nearest)
    wrong = np.array([[i for i in range(600) if i not in own and i != row][:7]
                      for row, own in enumerate(nearest.tolist())])
    ids = np.concatenate([np.arange(600)[:, None], wrong, nearest[:, :13]], axis=1)[rows]  # itself, 7 wrong, 13 right
    assert graph_speed.recall(features, ids, (rows, true)) == pytest.approx(13 / 20)


def test_seconds_are_foretold_from_the_largest_smaller_size():
    rows = [{"method": "a", "n": "10", "d": "4", "seconds": "1"}, {"method": "a", "n": "30", "d": "4", "seconds": "5"},
            {"method": "a", "n": "50", "d": "4", "seconds": ""}, {"method": "b", "n": "60", "d": "4", "seconds": "9"}]
    assert graph_speed.predict({"method": "a", "n": 60, "d": 8}, rows, 2) == pytest.approx(5 * 4 * 2)
    assert graph_speed.predict({"method": "a", "n": 5, "d": 8}, rows, 2) == 0


def test_what_is_left_out_is_said_and_measured_when_it_may_take_longer(tmp_path, monkeypatch):
    monkeypatch.setattr(graph_speed.galleries, "QUERIES", 10)
    monkeypatch.setitem(graph_speed.METHODS, "absent", (None, "no_such_module", 1))
    path = str(tmp_path / "g.csv")
    csv_rows.write(path, graph_speed.COLUMNS, [{"set": "generator", "n": "100", "d": "8", "method": "faiss_flat",
                                                "seconds": "5"}])
    arguments = ["--folder", str(tmp_path), "--sizes", "200", "--dimensions", "8", "--output", path, "--methods",
                 "faiss_flat", "absent", "--most_seconds"]
    graph_speed.main(arguments + ["19"])
    notes = [row["note"] for row in csv_rows.read(path)[1:]]
    assert notes == ["left out: 20 s expected, more than 19",
                     "no_such_module is not installed: pip install no_such_module"]
    graph_speed.main(arguments + ["60"])
    rows = {row["method"]: row for row in csv_rows.read(path) if row["n"] == "200"}
    assert rows["faiss_flat"]["recall"] == "1.0" and rows["faiss_flat"]["note"] == ""
    assert float(rows["faiss_flat"]["seconds"]) < 5 and rows["absent"]["note"]
    assert not [name for name in os.listdir(str(tmp_path)) if name.startswith(".partial")]
