import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation import metrics, protocols
from slim_retrieval.evaluation.same_camera import same_camera
from slim_retrieval.evaluation.tables import Table

QUERY = ["0002_c1s1_000451_00.jpg", "0007_c3s2_000001_00.jpg"]
GALLERY = ["0002_c1s1_000776_01.jpg",  # the query's own camera: junk for query 0
           "0002_c2s1_000301_01.jpg", "0000_c1s1_000000_01.jpg", "-1_c1s1_000401_03.jpg", "0007_c1s2_000009_02.jpg",
           "0002_c6s4_000002_04.jpg"]


def test_market_worked_by_hand(tmp_path):
    for folder, names in (("query", QUERY), ("bounding_box_test", GALLERY)):
        (tmp_path / folder).mkdir()
        for name in names + ["Thumbs.db"]:
            (tmp_path / folder / name).write_bytes(b"")
    truth = protocols.read("market1501", str(tmp_path))
    names = [path.split("/")[1] for path in truth.gallery.paths]
    assert names == sorted(GALLERY) and truth.relevance.num_positives.tolist() == [2, 1]
    ids = {name: i for i, name in enumerate(names)}
    # Query 0: own camera and -1 removed, then distractor, +, other, +: places 2 and 4. Query 1: -1 removed, place 1.
    ranks = np.array([[ids[GALLERY[i]] for i in order] for order in ([0, 3, 2, 1, 4, 5], [3, 4, 0, 1, 2, 5])])
    result = metrics.evaluate(ranks, truth.relevance, truth.ap, names=truth.metrics)
    np.testing.assert_allclose(result["average_precision"], [(1 / 2 + 2 / 4) / 2, 1])
    assert (result["cmc_at_1"], result["cmc_at_5"]) == (1 / 2, 1) and result["mINP"] == (2 / 4 + 1) / 2
    # The authors' own program: ((0 + 1/2) / 2 + (1/3 + 2/4) / 2) / 2.
    assert result["mAP_trapezoid"] == pytest.approx(((1 / 4 + 5 / 12) / 2 + 1) / 2)


def test_columns_say_the_same_as_names():
    query = Table({"path": ["q"], "label": ["5"], "camera": ["2"]}, "Q")
    gallery = Table({"path": list("abcd"), "label": ["5", "5", "6", "-1"], "camera": ["2", "1", "2", "7"]}, "G")
    hits, junk = same_camera(query, gallery).relevance.judge(np.array([0]), np.array([[0, 1, 2, 3, -1]]))
    assert hits.tolist() == [[False, True, False, False, False]]
    assert junk.tolist() == [[True, False, False, True, False]]


def test_veri_names():
    query = Table({"path": ["image_query/0002_c002_00030600_0.jpg"]}, "Q")
    gallery = Table({"path": ["0002_c002_00030605_1.jpg", "0002_c010_00030600_0.jpg", "0020_c001_00000001_0.jpg"]}, "G")
    truth = same_camera(query, gallery)
    hits, junk = truth.relevance.judge(np.array([0]), np.array([[0, 1, 2]]))
    assert hits.tolist() == [[False, True, False]] and junk.tolist() == [[True, False, False]]
    assert truth.gallery.labels == ["2", "2", "20"]


def test_agrees_with_a_loop_on_random_cases():
    """The evaluation of open-reid and its kin, one query after the other."""
    rng = np.random.RandomState(0)
    for _ in range(100):
        n = rng.randint(5, 30)
        labels, cameras = rng.choice([-1, 0, 1, 2, 3], size=n), rng.randint(1, 4, size=n)
        asked, seen = rng.randint(1, 4, size=4), rng.randint(1, 4, size=4)
        ranks = np.array([rng.permutation(n) for _ in asked])
        expected, cmc = [], []
        for label, camera, row in zip(asked, seen, ranks):
            kept = [i for i in row if labels[i] != -1 and not (labels[i] == label and cameras[i] == camera)]
            matches = np.array([labels[i] == label for i in kept])
            if matches.any():
                places = np.flatnonzero(matches) + 1
                expected.append(np.mean(np.arange(1, len(places) + 1) / places))
                cmc.append(places[0] <= 3)
        if expected:
            tables = [Table({"path": ["x"] * len(a), "label": [str(v) for v in a], "camera": [str(v) for v in b]}, "T")
                      for a, b in ((asked, seen), (labels, cameras))]
            result = metrics.evaluate(ranks, same_camera(*tables).relevance, names=["CMC@3"])
            assert result["mAP"] == pytest.approx(np.mean(expected))
            assert result["cmc_at_3"] == pytest.approx(np.mean(cmc))


def test_names_that_say_nothing():
    with pytest.raises(InputError, match="Q: the name x.jpg does not say identity and camera"):
        same_camera(Table({"path": ["0001_c1.jpg", "x.jpg"]}, "Q"), Table({"path": ["0001_c1.jpg"]}, "G"))
