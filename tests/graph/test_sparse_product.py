import numpy as np
import pytest
from scipy import sparse

from slim_retrieval.graph import compiled, sparse_product

BY = ["numba", "scipy"]


def random_matrix(n=70, density=0.15, seed=0):
    """Rows of some values, row 5 of none."""
    random = np.random.RandomState(seed)
    dense = random.randn(n, n) * (random.rand(n, n) < density)
    dense[5] = 0
    return sparse.csr_matrix(dense.astype(np.float32))


def rows(matrix, by, monkeypatch, pool):
    if by == "numba":
        pytest.importorskip("numba")
    else:
        monkeypatch.setattr(sparse_product, "compiled", lambda *_: None)
    return sparse_product.Rows(matrix, pool)


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("width", [1, 16, 32, 64, 64 + 32 + 16 + 7])
def test_product_equals_the_dense_one(by, width, monkeypatch):
    matrix, block = random_matrix(), np.random.RandomState(1).randn(70, width).astype(np.float32)
    with compiled.workers() as pool:
        result = rows(matrix, by, monkeypatch, pool).product(block)
    np.testing.assert_allclose(result, matrix.toarray().astype(np.float64) @ block, atol=1e-5)


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("omega", [1.0, 1.7])
def test_advance_equals_the_formula(by, omega, monkeypatch):
    matrix, random = random_matrix(), np.random.RandomState(2)
    right, current, previous = (random.randn(70, 9).astype(np.float32) for _ in range(3))
    full = matrix.toarray().astype(np.float64) @ current + right
    expected = previous + omega * (full - previous)
    expected[5] = right[5]  # the row without values
    kept = right.copy(), current.copy()
    with compiled.workers() as pool:
        operator = rows(matrix, by, monkeypatch, pool)
        sums = operator.advance(omega, right, current, previous, squares=True)
        assert operator.advance(omega, right, current, previous.copy()) is None
    np.testing.assert_allclose(previous, expected, atol=1e-5)
    np.testing.assert_allclose(sums, ((full - current) ** 2).sum(axis=0), rtol=1e-5)
    np.testing.assert_array_equal(right, kept[0])
    np.testing.assert_array_equal(current, kept[1])


@pytest.mark.parametrize("width", [9, 64 + 16 + 3])
def test_float16_blocks_hold_rounded_results_of_float32_sums(width, monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.setattr(sparse_product, "CACHED", 0)  # rows are asked for in advance
    matrix, random = random_matrix(), np.random.RandomState(2)
    blocks = [random.randn(70, width).astype(np.float16) for _ in range(3)]
    wide = [block.astype(np.float64) for block in blocks]
    full = matrix.toarray().astype(np.float64) @ wide[1] + wide[0]
    expected = wide[2] + 1.5 * (full - wide[2])
    expected[5] = wide[0][5]
    with compiled.workers() as pool:
        operator = sparse_product.Rows(matrix, pool, half=True)
        sums = operator.advance(1.5, *blocks, squares=True)
    assert operator.dtype == blocks[2].dtype == np.float16
    np.testing.assert_allclose(blocks[2].astype(np.float64), expected, rtol=2**-11, atol=1e-5)
    np.testing.assert_allclose(sums, ((full - wide[1]) ** 2).sum(axis=0), rtol=1e-4)


def test_asking_in_advance_changes_nothing(monkeypatch):
    pytest.importorskip("numba")
    matrix, block = random_matrix(), np.random.RandomState(1).randn(70, 64 + 16 + 4).astype(np.float32)
    before = sparse_product.Rows(matrix, None).product(block)
    monkeypatch.setattr(sparse_product, "CACHED", 0)
    np.testing.assert_array_equal(sparse_product.Rows(matrix, None).product(block), before)


def test_without_numba_blocks_are_float32(monkeypatch):
    assert rows(random_matrix(), "scipy", monkeypatch, None).dtype == np.float32
    monkeypatch.setattr(sparse_product, "compiled", lambda *_: None)
    assert sparse_product.Rows(random_matrix(), None, half=True).dtype == np.float32


def test_a_product_overwrites_whatever_was_there(monkeypatch):
    """omega 1 leaves nothing of `previous`, not even infinity times zero."""
    matrix, block = random_matrix(), np.ones((70, 3), np.float32)
    for by in BY:
        out = np.full((70, 3), np.inf, np.float32)
        with compiled.workers() as pool:
            rows(matrix, by, monkeypatch, pool).advance(1, block[:0], block, out)
        np.testing.assert_allclose(out, matrix.toarray() @ block, atol=1e-5)


def test_parts_cover_each_row_once_also_where_one_row_holds_most(monkeypatch):
    dense = np.zeros((9, 9), np.float32)
    dense[4] = 1
    dense[8, 0] = 2
    with compiled.workers() as pool:
        operator = sparse_product.Rows(sparse.csr_matrix(dense), pool)
        covered = [row for first, last in operator.bounds for row in range(first, last)]
        assert covered == list(range(9))
        np.testing.assert_array_equal(operator.product(np.eye(9, dtype=np.float32)), dense)
