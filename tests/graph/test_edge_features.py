import numpy as np
import pytest

from slim_retrieval.common import files
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import edge_features, sources


def rows(n, d=4, seed=0):
    array = np.random.RandomState(seed).randn(n, d)
    return (array / np.linalg.norm(array, axis=1, keepdims=True)).astype(np.float32)


def source(array, where="nodes"):
    return sources.Source(array, "hash", "key", None, where)


@pytest.fixture
def paths(tmp_path):
    np.save(str(tmp_path / "EQ.npy"), rows(2))
    np.save(str(tmp_path / "EG.npy"), rows(5, seed=1))
    return str(tmp_path / "EQ.npy"), str(tmp_path / "EG.npy")


NODES = source(rows(2, 7), "Q.npy"), source(rows(5, 7), "G.npy")


def test_files(paths):
    query, gallery = edge_features.read("", paths, NODES)
    np.testing.assert_array_equal(query.features, rows(2))
    np.testing.assert_array_equal(gallery.features, rows(5, seed=1))
    assert gallery.key == files.digest(rows(5, seed=1)) != query.key  # what the stored neighbours are kept under
    assert edge_features.read("", (None, None), NODES) is None


def write_run(directory, splits):
    run = directory / "other"
    for seed, (split, n) in enumerate(splits):
        (run / "features" / split).mkdir(parents=True)
        np.save(str(run / "features" / split / "features.npy"), rows(n, seed=seed))
    (run / "config.yaml").write_text("run: {name: other}\n")


def test_another_run_and_its_validation_cut(tmp_path):
    write_run(tmp_path, (("query", 2), ("gallery", 5), ("validation", 7)))
    query, gallery = edge_features.read("other", (None, None), NODES, directory=str(tmp_path))
    np.testing.assert_array_equal(gallery.features, rows(5, seed=1))
    query, gallery = edge_features.read("other", (None, None), NODES, (2 / 7, 3), str(tmp_path))
    assert query.features.shape == (2, 4) and gallery.features.shape == (5, 4)


def test_what_does_not_fit(paths, tmp_path):
    for given, missing in (((None, paths[1]), "--query_edge_features"), ((paths[0], None), "--edge_features")):
        with pytest.raises(InputError, match="go together, as a query's neighbours .*missing: " + missing):
            edge_features.read("", given, NODES)
    with pytest.raises(InputError, match=r"side.edge_features \(other\) exclude each other"):
        edge_features.read("other", paths, NODES)
    with pytest.raises(InputError, match="edge features .*EG.npy have 5 rows and the gallery features H.npy have 6"):
        edge_features.read("", paths, (NODES[0], source(rows(6), "H.npy")))
    with pytest.raises(InputError, match="edge features .*EQ.npy have 2 rows and the query features Q.npy have 3"):
        edge_features.read("", paths, (source(rows(3), "Q.npy"), NODES[1]))
    np.save(paths[0], rows(2, 3))
    with pytest.raises(InputError, match=r"query edge features have the shape \[2, 3\] and gallery features \[5, 4\]"):
        edge_features.read("", paths, NODES)
    with pytest.raises(InputError, match="no run othr .did you mean other"):
        write_run(tmp_path, (("query", 2),))
        edge_features.read("othr", (None, None), NODES, directory=str(tmp_path))
