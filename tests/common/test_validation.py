import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.validation import cut


@pytest.mark.parametrize("num_rows, share, num_queries", [
    (10, 0.2, 2), (100, 0.25, 25), (2, 0.01, 1), (2, 0.99, 1), (3, 0.99, 2), (50, 0.01, 1)])
def test_every_row_is_on_one_side(num_rows, share, num_queries):
    query, gallery = cut(num_rows, share, 7)
    assert len(query) == num_queries
    assert sorted(query.tolist() + gallery.tolist()) == list(range(num_rows))
    assert (np.diff(query) > 0).all() and (np.diff(gallery) > 0).all()


def test_seed_decides():
    first, again, other = cut(1000, 0.2, 1), cut(1000, 0.2, 1), cut(1000, 0.2, 2)
    np.testing.assert_array_equal(first[0], again[0])
    assert first[0].tolist() != other[0].tolist()
    # Rows often come sorted by class: the cut must not take a stretch of them.
    assert first[0].min() < 100 and first[0].max() > 900


@pytest.mark.parametrize("num_rows", [0, 1])
def test_too_few_rows(num_rows):
    with pytest.raises(InputError, match="has {} image".format(num_rows)):
        cut(num_rows, 0.2, 0)
