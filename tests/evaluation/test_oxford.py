"""Miniature VGG ground truths, against the program that comes with them, written from its definition."""
import pickle

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation import metrics, oxford, ranked_names


def write(folder, lists):
    """lists: {query: {query|good|ok|junk: lines}}."""
    folder.mkdir(exist_ok=True)
    for query, kinds in lists.items():
        for kind in ("query", "good", "ok", "junk"):
            (folder / "{}_{}.txt".format(query, kind)).write_text("".join(n + "\n" for n in kinds.get(kind, [])))
    return str(folder)


TWO = {"all_souls_1": {"query": ["oxc1_all_souls_000013 136.5 34.1 648.5 955.7"],
                       "good": ["all_souls_000013", "all_souls_000026"], "ok": ["oxford_002985"],
                       "junk": ["all_souls_000055", "oxford_000545"]},
       "balliol_1": {"query": ["oxc1_balliol_000051 1 2 3 4"], "good": ["balliol_000051"]}}


def compute_ap(ranked, good, ok, junk):
    """One image after the other: precision before and after, as the area of a trapezoid."""
    positive, ap, found, place, before = set(good) | set(ok), 0.0, 0, 0, 1.0
    for name in ranked:
        if name in junk:
            continue
        place += 1
        found += name in positive
        if name in positive:
            ap += (before + found / place) / 2 / len(positive)
        before = found / place
    return ap


def test_reads_the_lists(tmp_path):
    truth = oxford.read_oxford(write(tmp_path / "gt", TWO))
    assert truth.query.paths == ["all_souls_1", "balliol_1"]
    assert truth.query_names == ("all_souls_000013", "balliol_000051")
    assert truth.gallery.paths == ["all_souls_000013", "all_souls_000026", "all_souls_000055", "balliol_000051",
                                   "oxford_000545", "oxford_002985"]
    assert truth.relevance.num_positives.tolist() == [3, 1] and truth.ap == "trapezoid"
    assert not truth.is_complete and not truth.optional
    hits, junk = truth.relevance.judge(np.array([0, 1]), np.array([np.arange(6)] * 2))
    assert hits.tolist() == [[True, True, False, False, False, True], [False, False, False, True, False, False]]
    assert junk.tolist() == [[False, False, True, False, True, False], [False] * 6]


def test_worked_by_hand(tmp_path):
    """junk, +, wrong, +: places 1 and 3 of three positives: (1 + (1/2 + 2/3) / 2 + 0) / 3."""
    truth = oxford.read_oxford(write(tmp_path / "gt", TWO))
    lists = {"all_souls_1": ["all_souls_000055", "oxford_002985.jpg", "unlisted_000001", "all_souls_000013"],
             "balliol_000051": ["x", "y", "balliol_000051"]}
    ranks, truth = ranked_names.assemble(lists, truth, "R", must_have_all=True)
    result = metrics.evaluate(ranks, truth.relevance, truth.ap)
    np.testing.assert_allclose(result["average_precision"], [(1 + 7 / 12) / 3, (0 + 1 / 3) / 2])


def test_agrees_with_compute_ap_on_random_cases(tmp_path):
    rng = np.random.RandomState(0)
    for case in range(100):
        names = ["im_{:06d}".format(i) for i in range(rng.randint(5, 30))]
        lists, ranked = {}, {}
        for query in ("a_1", "b_2"):
            kinds = rng.randint(5, size=len(names))
            kinds[rng.randint(len(names))] = 1
            good, ok, junk = ([n for n, k in zip(names, kinds) if k == kind] for kind in (1, 2, 3))
            lists[query] = {"query": ["oxc1_" + query + " 0 0 1 1"], "good": good, "ok": ok, "junk": junk}
            ranked[query] = [names[i] for i in rng.permutation(len(names))[:rng.randint(1, len(names) + 1)]]
            if not set(ranked[query]) & set(good + ok + junk):
                ranked[query].append(good[0])
        truth = oxford.read_oxford(write(tmp_path / str(case), lists))
        ranks, truth = ranked_names.assemble(ranked, truth, "R", must_have_all=True)
        found = metrics.evaluate(ranks, truth.relevance, truth.ap)["average_precision"]
        expected = [compute_ap(ranked[query], kinds["good"], kinds["ok"], set(kinds["junk"]))
                    for query, kinds in sorted(lists.items())]
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_damaged_images_of_paris_are_no_part_of_it(tmp_path):
    assert len(oxford.CORRUPT) == 20 and {"paris_louvre_000136", "paris_triomphe_000867"} <= set(oxford.CORRUPT)
    lists = {"louvre_1": {"query": ["paris_louvre_000001 0 0 1 1"], "junk": ["paris_louvre_000002"],
                          "good": ["paris_louvre_000001", "paris_louvre_000136"]}}
    truth = oxford.read_paris(write(tmp_path / "gt", lists))
    assert truth.relevance.num_positives.tolist() == [1]
    assert {truth.gallery.paths[i] for i in truth.optional} == oxford.CORRUPT
    ranked = {"louvre_1": ["paris_" + name for name in
                           ("louvre_000136", "pantheon_000284", "louvre_000002", "louvre_000001")]}
    ranks, truth = ranked_names.assemble(ranked, truth, "R")
    assert metrics.evaluate(ranks, truth.relevance, truth.ap)["mAP"] == 1


def test_pickles_of_the_old_protocol(tmp_path):
    gnd = [{"ok": [0, 2], "junk": np.array([1]), "bbx": [1, 2, 3, 4]}, {"ok": np.array([3]), "junk": []}]
    content = {"gnd": gnd, "imlist": ["w", "x", "y", "z"], "qimlist": ["w", "z"]}
    (tmp_path / "gnd_oxford5k.pkl").write_bytes(pickle.dumps(content))
    for path in (tmp_path, tmp_path / "gnd_oxford5k.pkl"):
        truth = oxford.read_oxford(str(path))
        assert truth.query.paths == ["w", "z"] and truth.gallery.paths == ["w", "x", "y", "z"] and truth.is_complete
        result = metrics.evaluate(np.array([[1, 0, 3, 2], [0, 3, 1, 2]]), truth.relevance, truth.ap)
        np.testing.assert_allclose(result["average_precision"], [(1 + 7 / 12) / 2, 1 / 4])


@pytest.mark.parametrize("change, message", [
    ({"query": [""]}, "balliol_1_query.txt is empty; it must name the query's image"),
    ({"query": ["q 0 0 1 1"], "good": ["a"], "junk": ["a"]}, "calls a both positive and junk for the query balliol_1"),
])
def test_lists_that_cannot_be_right(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        oxford.read_oxford(write(tmp_path / "gt", dict(TWO, balliol_1=change)))


def test_files_that_cannot_be_used(tmp_path):
    with pytest.raises(InputError, match="holds no [*]_query.txt"):
        oxford.read_oxford(str(tmp_path))
    folder = write(tmp_path / "gt", TWO)
    (tmp_path / "gt" / "balliol_1_good.txt").write_bytes(b"caf\xe9_000001\n")
    with pytest.raises(InputError, match="balliol_1_good.txt is not UTF-8"):
        oxford.read_oxford(folder)
    (tmp_path / "gt" / "balliol_1_good.txt").unlink()
    with pytest.raises(InputError, match="no .*balliol_1_good.txt; the ground truth needs a list good, ok and junk"):
        oxford.read_oxford(folder)
