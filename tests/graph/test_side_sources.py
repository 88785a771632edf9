import numpy as np
import pytest

from slim_retrieval.common.config import resolve, to_plain
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import side_sources, side_text, sources

CATEGORY = ["top", "top", "", "shoe", "shoe", "top"]
NOTES = ["red shirt", "blue shirt", "", "boot", "red boot", "shirt"]
LABELS = ["1", "2", "2", "3", "3", "1"]


def rows(n, d=4, seed=0):
    array = np.random.RandomState(seed).randn(n, d)
    return (array / np.linalg.norm(array, axis=1, keepdims=True)).astype(np.float32)


NODES = tuple(sources.Source(rows(n), "hash", "key", None, name + ".npy") for n, name in ((3, "Q"), (6, "G")))


def section(**settings):
    return to_plain(resolve(None, {"side." + name: str(value) for name, value in settings.items()}))["side"]


@pytest.fixture
def run(tmp_path):
    for split, paths, labels, more in (
            ("query", "pqr", ["1", "2", "3"], [["", ""]] * 3),
            ("gallery", "abcdef", LABELS, list(zip(CATEGORY, NOTES)))):
        folder = tmp_path / "features" / split
        folder.mkdir(parents=True)
        (folder / "index.csv").write_text("path,label,category,note\n" + "".join(
            "{}.jpg,{},{},{}\n".format(path, label, *both) for path, label, both in zip(paths, labels, more)))
    return str(tmp_path)


def test_nothing_asked_for_reads_nothing(tmp_path):
    given = side_sources.gather(section(), NODES, str(tmp_path / "absent"))
    assert given == (None, None, [], {})


def test_columns_of_the_runs_index(run):
    given = side_sources.gather(section(labels="category", text="note", trust=".7", modes="[veto]", text_neighbors=2),
                                NODES, run)
    np.testing.assert_array_equal(given.side.labels, [0, 0, -1, 1, 1, 0])
    assert given.side.trust == .7 and given.side.modes == ["veto"] == given.settings["modes"]
    np.testing.assert_allclose(given.side.text.toarray(), side_text.tfidf(NOTES).toarray())
    np.testing.assert_array_equal(given.side.text_neighbors, side_text.neighbors(side_text.tfidf(NOTES), 2))
    assert [(piece.setting, piece.column) for piece in given.pieces] == [
        ("side.labels", "category"), ("side.text", "note")]
    assert all(piece.path.endswith("gallery/index.csv") for piece in given.pieces)
    assert given.edges is None and "labels" not in given.settings


def test_a_file_of_columns_takes_the_indexs_place(run, tmp_path):
    (tmp_path / "s.csv").write_text("path,category\nb.jpg,hat\ne.jpg,hat\n")
    given = side_sources.gather(section(labels="category"), NODES, run, columns_path=str(tmp_path / "s.csv"))
    np.testing.assert_array_equal(given.side.labels, [-1, 0, -1, -1, 0, -1])
    assert given.side.trust is None and given.pieces[0].path == str(tmp_path / "s.csv")
    (tmp_path / "s.csv").write_text("category\n" + "\n".join(name or '""' for name in CATEGORY) + "\n")
    given = side_sources.gather(section(labels="category"), NODES, columns_path=str(tmp_path / "s.csv"))
    np.testing.assert_array_equal(given.side.labels, [0, 0, -1, 1, 1, 0])


def test_vectors_pairs_edges_and_denoising(run, tmp_path):
    np.save(str(tmp_path / "T.npy"), rows(6, 3))
    (tmp_path / "p.csv").write_text("a,b,score\na.jpg,f.jpg,7\n1,2,3\n")
    for name, n in (("EQ", 3), ("EG", 6)):
        np.save(str(tmp_path / (name + ".npy")), rows(n, 3, 1))
    given = side_sources.gather(
        section(text_vectors=tmp_path / "T.npy", text_neighbors=0, pair_scores=tmp_path / "p.csv", pair_mode="multiply",
                pair_scale=10, denoise="rank"),
        NODES, run, edge_paths=(str(tmp_path / "EQ.npy"), str(tmp_path / "EG.npy")))
    assert given.side.text_neighbors is None and given.side.labels is None
    np.testing.assert_allclose(given.side.pairs, [[0, 1], [5, 2], [7, 3]])
    assert (given.side.pair_mode, given.side.pair_scale, given.side.denoise) == ("multiply", 10, "rank")
    assert [piece.setting for piece in given.pieces] == ["side.text_vectors", "side.pair_scores", "edge_features"]
    assert given.settings["edge_features"] == {
        name: source.features_hash for name, source in zip(("query", "gallery"), given.edges)}
    assert side_sources.gather(section(denoise="hubs"), NODES).settings["denoise"] == "hubs"


@pytest.mark.parametrize("settings, message", [
    ({"labels": "label"}, "side.labels names the column 'label'"),
    ({"text": "label"}, "side.text names the column 'label'"),
    ({"text": "path"}, "side.text names the column 'path'"), ({"labels": "categories"}, "did you mean category"),
    ({"labels": "category", "trust": "high"}, "side.trust: 'high' is neither auto nor a number from 0 to 1"),
    ({"labels": "category", "trust": "1.5"}, "side.trust: '1.5' is neither"),
    ({"labels": "category", "trust": "nan"}, "side.trust: 'nan' is neither"),
    ({"labels": "category", "modes": "[vto]"}, "unknown side.modes value 'vto' .did you mean veto"),
    ({"text": "note", "text_vectors": "T.npy"}, "side.text .'note'. and side.text_vectors .'T.npy'. exclude each"),
    ({"pair_scores": "absent.csv"}, "no file absent.csv"), ({"text_vectors": "absent.npy"}, "no file absent.npy")])
def test_settings_that_cannot_be_used(run, settings, message):
    with pytest.raises(InputError, match=message):
        side_sources.gather(section(**settings), NODES, run)


def test_ground_truth_in_any_disguise_is_refused(run, tmp_path):
    (tmp_path / "s.csv").write_text("path,kind,text\n" + "".join(
        "{}.jpg,k{},of kind {}\n".format(path, label, label) for path, label in zip("abcdef", LABELS)))
    np.save(str(tmp_path / "onehot.npy"), np.eye(4)[list(map(int, LABELS))])
    np.save(str(tmp_path / "EQ.npy"), np.eye(4)[[1, 2, 3]])
    (tmp_path / "p.csv").write_text("a,b,score\n0,5,1\n3,4,1\n1,2,1\n0,1,0\n")
    columns = str(tmp_path / "s.csv")
    for settings, more, what in (
            ({"labels": "kind"}, {"columns_path": columns}, "side.labels .column 'kind' of"),
            ({"text": "text"}, {"columns_path": columns}, "side.text .column 'text' of"),
            ({"text_vectors": tmp_path / "onehot.npy"}, {}, "side.text_vectors"),
            ({"pair_scores": tmp_path / "p.csv"}, {}, "side.pair_scores"),
            ({}, {"edge_paths": (str(tmp_path / "EQ.npy"), str(tmp_path / "onehot.npy"))}, "edge_features")):
        with pytest.raises(InputError, match=what + ".* joins the same gallery images as the column 'label'"):
            side_sources.gather(section(**settings), NODES, run, **more)


def test_labels_of_classes_that_no_query_has_may_be_known(run, tmp_path):
    """Queries of classes 1 and 3: that b and c are both of class 2 may be told, though it is the truth."""
    (tmp_path / "features" / "query" / "index.csv").write_text("path,label\np.jpg,1\nq.jpg,3\nr.jpg,3\n")
    (tmp_path / "s.csv").write_text("path,label\nb.jpg,2\nc.jpg,2\n")
    given = side_sources.gather(section(labels="label"), NODES, run, columns_path=str(tmp_path / "s.csv"))
    np.testing.assert_array_equal(given.side.labels, [-1, 0, 0, -1, -1, -1])
