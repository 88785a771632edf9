"""A miniature gnd_roxford5k.pkl, against the authors' definition written as plain loops."""
import os
import pickle

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation import metrics, revisited


def write(folder, gnd, num_images, name="gnd_roxford5k.pkl", **more):
    content = dict({"gnd": gnd, "imlist": ["im{}".format(i) for i in range(num_images)],
                    "qimlist": ["q{}".format(i) for i in range(len(gnd))]}, **more)
    (folder / name).write_bytes(pickle.dumps(content))
    return str(folder)


GND = [{"easy": np.array([0, 1]), "hard": [2], "junk": np.array([3, 4]), "bbx": [1.0, 2.0, 3.0, 4.0]},
       {"easy": [], "hard": np.array([5]), "junk": np.array([], float), "bbx": [0, 0, 1, 1]}]


def slow(ranked, right, removed, kappas):
    """AP and mP@k of one query by places that are counted one after the other."""
    places, place = [], 0
    for i in ranked:
        if i in removed:
            continue
        place += 1
        if i in right:
            places.append(place)
    ap = 0.0
    for j, r in enumerate(places):
        ap += ((1.0 if r == 1 else j / (r - 1.0)) + (j + 1.0) / r) / 2 / len(right)
    return ap, [sum(r <= min(max(places), k) for r in places) / min(max(places), k) for k in kappas]


def test_settings_worked_by_hand(tmp_path):
    truth = revisited.read_roxford(write(tmp_path, GND, 7))
    assert truth.query.paths == ["q0", "q1"] and truth.gallery.paths[6] == "im6" and truth.ap == "trapezoid"
    ranks = np.array([[3, 2, 0, 6, 1, 4, 5], [6, 5, 0, 1, 2, 3, 4]])
    aps = {name: metrics.evaluate(ranks, setting.relevance, truth.ap)["average_precision"]
           for name, setting in truth.settings.items()}
    # Query 0, easy: 2, 3 and 4 removed: 0 6 1 5 -> places 1, 3. Medium: 3, 4 removed: 2 0 6 1 5 -> 1, 2, 4.
    # Hard: 0, 1, 3, 4 removed: 2 6 5 -> 1. Query 1 has no easy image; medium and hard: place 2.
    np.testing.assert_allclose(aps["easy"], [(1 + 7 / 12) / 2, np.nan])
    np.testing.assert_allclose(aps["medium"], [(1 + 1 + (2 / 3 + 3 / 4) / 2) / 3, 1 / 4])
    np.testing.assert_allclose(aps["hard"], [1, 1 / 4])
    assert truth.relevance is truth.settings["medium"].relevance


def test_agrees_with_loops_on_random_cases(tmp_path):
    rng = np.random.RandomState(0)
    for _ in range(100):
        n = rng.randint(6, 25)
        gnd = []
        for _ in range(3):
            kinds = rng.randint(5, size=n)
            kinds[rng.permutation(n)[:2]] = [0, 1]  # an easy and a hard one
            gnd.append({kind: np.flatnonzero(kinds == number) for number, kind in enumerate(["easy", "hard", "junk"])})
        truth = revisited.read_rparis(write(tmp_path, gnd, n, "gnd_rparis6k.pkl"))
        ranks = np.array([rng.permutation(n) for _ in gnd])
        for name, (kinds, removed) in revisited.SETTINGS.items():
            result = metrics.evaluate(ranks, truth.settings[name].relevance, truth.ap, names=truth.metrics)
            right, junk = ([set(np.concatenate([one[kind] for kind in some])) for one in gnd]
                           for some in (kinds, removed))
            rows = [slow(row, right[q], junk[q], [1, 5, 10]) for q, row in enumerate(ranks)]
            np.testing.assert_allclose(result["average_precision"], [ap for ap, _ in rows], rtol=1e-12)
            found = [result["mP_at_1"], result["mP_at_5"], result["mP_at_10"]]
            np.testing.assert_allclose(found, np.mean([mp for _, mp in rows], axis=0), rtol=1e-12)


class Attack:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, ("touch " + self.target,)


def test_a_pickle_that_would_run_something_is_refused(tmp_path):
    target = str(tmp_path / "ran")
    (tmp_path / "gnd_roxford5k.pkl").write_bytes(pickle.dumps({"gnd": [Attack(target)], "imlist": [], "qimlist": []}))
    with pytest.raises(InputError, match="gnd_roxford5k.pkl is refused: it asks for (posix|nt).system"):
        revisited.read_roxford(str(tmp_path))
    assert not os.path.exists(target)


@pytest.mark.parametrize("gnd, more, message", [
    ([{"ok": [0], "junk": []}], {}, "query 0 has no list 'easy', but junk, ok; is it the ground truth of this"),
    ([{"easy": [9], "hard": [], "junk": []}], {}, "query 0 names the image 9, but imlist has 3"),
    ([{"easy": [0], "hard": [], "junk": [-1]}], {}, "query 0 names the image -1, but imlist has 3"),
    (GND, {"qimlist": ["q0"]}, "has a gnd for 2 queries and a qimlist of 1"),
])
def test_pickles_that_cannot_be_right(tmp_path, gnd, more, message):
    with pytest.raises(InputError, match=message):
        revisited.read_roxford(write(tmp_path, gnd, 3, **more))


def test_other_pickles(tmp_path):
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(InputError, match="x.pkl holds a list rather than a dict with gnd, imlist and qimlist"):
        revisited.read_roxford(str(path))
    path.write_bytes(pickle.dumps({"gnd": []}))
    with pytest.raises(InputError, match="holds a dict with gnd rather than"):
        revisited.read_roxford(str(path))
    path.write_bytes(b"")
    with pytest.raises(InputError, match="x.pkl is damaged or no pickle"):
        revisited.read_roxford(str(path))
    with pytest.raises(InputError, match="no file .*gnd_roxford5k.pkl"):
        revisited.read_roxford(str(tmp_path))
