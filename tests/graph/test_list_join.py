import numpy as np
import pytest

from slim_retrieval.graph import list_join, lists
from slim_retrieval.graph.compiled import workers

pytest.importorskip("numba")


def clustered(n=900, d=8, seed=0):
    random = np.random.RandomState(seed)
    rows = random.randn(30, d)[random.randint(30, size=n)] + 0.4 * random.randn(n, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def slow_join(gallery, looked, k):
    """All pairs of which one side looks into the other's list, sorted with Python."""
    products, result = gallery.astype(np.float64) @ gallery.T, []
    for i, mine in enumerate(looked):
        met = [j for j, theirs in enumerate(looked) if i != j and (theirs[0] in mine or mine[0] in theirs)]
        result.append(sorted(met, key=lambda j: -products[i, j])[:k])
    return result


@pytest.mark.parametrize("probes", [1, 3])
def test_all_pairs_that_meet_are_compared(monkeypatch, probes):
    monkeypatch.setattr(list_join, "ROWS", 50)
    monkeypatch.setattr(list_join, "PAIRS", 700)  # several blocks at once, and several times
    gallery = clustered(400)
    ids, similarities, about = list_join.join(gallery, 6, lambda centres: probes)
    assert about == {"lists": 20, "probes": probes}
    with workers() as pool:
        centres = lists.centroids(gallery, 20, np.random.RandomState(0), pool)
        looked = lists.nearest(gallery, centres, probes, pool)
    for row, expected in enumerate(slow_join(gallery, looked, 6)):
        np.testing.assert_array_equal(ids[row], expected + [-1] * (6 - len(expected)))
    found = ids >= 0
    exact = np.einsum("nd,nkd->nk", gallery, gallery[ids])
    np.testing.assert_allclose(similarities[found], exact[found], atol=1e-6)


def test_a_killed_join_goes_on_to_the_same_result(monkeypatch, tmp_path):
    gallery, store = clustered(), str(tmp_path / "state.npz")
    expected = list_join.join(gallery, 5, lambda centres: 2)
    monkeypatch.setattr(list_join, "SECONDS", -1.0)  # stored after each list
    monkeypatch.setattr(list_join, "STORING", np.inf)
    compare, calls = list_join._compare, []

    def killed(*arguments, **options):
        calls.append(1)
        if len(calls) == 57:
            raise KeyboardInterrupt
        compare(*arguments, **options)

    monkeypatch.setattr(list_join, "_compare", killed)
    with pytest.raises(KeyboardInterrupt):
        list_join.join(gallery, 5, lambda centres: 2, store=store)

    def not_again(centres):
        raise AssertionError("began anew")

    done = int(np.load(store)["done"])
    assert 40 < done <= 57
    monkeypatch.setattr(list_join, "_compare", compare)
    found = list_join.join(gallery, 5, not_again, store=store)
    for got, wanted in zip(found[:2], expected[:2]):
        np.testing.assert_array_equal(got, wanted)
    assert found[2] == expected[2]


def test_a_damaged_state_is_not_gone_on_with(tmp_path):
    store = tmp_path / "state.npz"
    store.write_bytes(b"PK\x03\x04 not a state")
    ids = list_join.join(clustered(200), 3, lambda centres: 2, store=str(store))[0]
    np.testing.assert_array_equal(ids, list_join.join(clustered(200), 3, lambda centres: 2)[0])
