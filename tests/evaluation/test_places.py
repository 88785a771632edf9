import numpy as np

from slim_retrieval.evaluation.places import find, share, sums


def masks(*texts):
    """'+' is a positive, 'j' junk, '.' wrong; one text a ranking."""
    return (np.array([[c == which for c in text] for text in texts]) for which in "+j")


def test_worked_by_hand():
    hits, junk = masks("j+.+", "+jj+", "....", "jjj+")
    places = find(hits, [2, 5, 1, 1], junk)
    assert places.row.tolist() == [0, 0, 1, 1, 3]
    assert places.place.tolist() == [1, 3, 1, 2, 1]
    assert places.order.tolist() == [1, 2, 1, 2, 1]
    assert places.num_positives.tolist() == [2, 5, 1, 1]
    assert find(hits, [2, 5, 1, 1]).place.tolist() == [2, 4, 1, 4, 4]


def test_agrees_with_a_loop():
    rng = np.random.RandomState(0)
    for _ in range(200):
        kind = rng.randint(4, size=(rng.randint(1, 5), rng.randint(1, 9)))  # 1 positive, 2 junk
        expected = []
        for row, kinds in enumerate(kind):
            place = order = 0
            for one in kinds:
                place += one != 2
                if one == 1:
                    order += 1
                    expected.append((row, place, order))
        places = find(kind == 1, np.zeros(len(kind)), kind == 2)
        assert list(zip(places.row, places.place, places.order)) == expected


def test_sums_and_shares():
    hits, _ = masks("++.", "...", "..+")
    assert sums(find(hits, [2, 0, 1]), np.array([1.0, 10.0, 100.0])).tolist() == [11, 0, 100]
    np.testing.assert_array_equal(share([1, 2, 3], [2, 0, 3]), [0.5, np.nan, 1])
