import numpy as np
import pytest
from scipy import sparse

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import affinity, diffusion, diffusion_columns


def random_graph(n=60, seed=0, density=0.1):
    random = np.random.RandomState(seed)
    dense = np.triu(random.rand(n, n) * (random.rand(n, n) < density), 1)
    return affinity.normalised(sparse.csr_matrix((dense + dense.T).astype(np.float32)))


def random_features(n=60, d=10, seed=1):
    return np.random.RandomState(seed).randn(n, d).astype(np.float32)


def direct(matrix, alpha, features):
    dense = np.eye(matrix.shape[0]) - alpha * matrix.toarray().astype(np.float64)
    return np.linalg.solve(dense, (1 - alpha) * features.astype(np.float64))


# At alpha 0.99 rounding the exact solution to float32 alone leaves a residual near 4e-6.
@pytest.mark.parametrize("alpha, tolerance", [(0.1, 1e-6), (0.8, 1e-6), (0.95, 1e-6), (0.99, 1e-5)])
@pytest.mark.parametrize("block", [None, 1, 3])
def test_solution_equals_the_dense_direct_one(alpha, tolerance, block):
    matrix, features = random_graph(), random_features()
    solution, info = diffusion.solve(matrix, alpha, features, tolerance=tolerance, block=block)
    np.testing.assert_allclose(solution, direct(matrix, alpha, features), atol=1e-5)
    assert info["converged"] and info["residual"] <= tolerance and 0 < info["iterations"] < 100
    assert solution.dtype == np.float32


def test_the_residual_told_is_the_true_one():
    matrix, features = random_graph(), random_features()
    solution, info = diffusion.solve(matrix, 0.9, features, tolerance=1e-3)
    right = 0.1 * features.astype(np.float64)
    residual = right - (solution - 0.9 * (matrix.toarray().astype(np.float64) @ solution))
    true = np.max(np.linalg.norm(residual, axis=0) / np.linalg.norm(right, axis=0))
    assert abs(true - info["residual"]) < 1e-5 and 1e-6 < true <= 1e-3


def test_alpha_zero_gives_the_features_back():
    features = random_features()
    solution, _ = diffusion.solve(random_graph(), 0.0, features)
    np.testing.assert_allclose(solution, features, rtol=1e-6)


def test_an_isolated_node_is_only_scaled():
    dense = random_graph().toarray()
    dense[7] = dense[:, 7] = 0
    matrix = affinity.normalised(sparse.csr_matrix(dense))
    features = random_features()
    solution, _ = diffusion.solve(matrix, 0.9, features, tolerance=1e-6)
    assert np.isfinite(solution).all()
    np.testing.assert_allclose(solution[7], 0.1 * features[7], atol=1e-6)


def test_renumbered_nodes_give_renumbered_results():
    matrix, features = random_graph(), random_features()
    order = np.random.RandomState(3).permutation(len(features))
    plain, _ = diffusion.solve(matrix, 0.9, features, tolerance=1e-6)
    renumbered, _ = diffusion.solve(matrix[order][:, order], 0.9, features[order], tolerance=1e-6)
    np.testing.assert_allclose(renumbered, plain[order], atol=1e-5)


def test_parts_that_are_not_connected_do_not_touch():
    first, second = random_graph(30, 0, 0.2), random_graph(25, 1, 0.2)
    features = random_features(55)
    whole, _ = diffusion.solve(sparse.block_diag([first, second], format="csr"), 0.9, features, tolerance=1e-6)
    np.testing.assert_allclose(whole[:30], diffusion.solve(first, 0.9, features[:30], tolerance=1e-6)[0], atol=1e-5)
    np.testing.assert_allclose(whole[30:], diffusion.solve(second, 0.9, features[30:], tolerance=1e-6)[0], atol=1e-5)


def test_a_column_of_zeros_and_columns_of_other_sizes():
    """A tiny column beside a huge one is solved as exactly."""
    matrix, features = random_graph(), random_features()
    features[:, 2] = 0
    features[:, 3] *= 1e6
    features[:, 4] *= 1e-6
    solution, info = diffusion.solve(matrix, 0.9, features, tolerance=1e-6)
    expected = direct(matrix, 0.9, features)
    np.testing.assert_array_equal(solution[:, 2], 0)
    for column in (0, 3, 4):
        np.testing.assert_allclose(solution[:, column], expected[:, column],
                                   atol=1e-5 * np.abs(expected[:, column]).max())
    assert info["converged"]


@pytest.mark.parametrize("alpha", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("tolerance", [1e-1, 1e-3])
def test_the_products_are_as_many_as_chebyshevs_bound_says(alpha, tolerance):
    """1 / cosh(m arcosh(1 / alpha)) <= tolerance, and no m below; S here has eigenvalues at both ends."""
    pairs = sparse.block_diag([sparse.csr_matrix(np.float32([[0, 1], [1, 0]]))] * 20, format="csr")
    _, info = diffusion.solve(pairs, alpha, random_features(40), tolerance=tolerance)
    bound = [1 / np.cosh(m * np.arccosh(1 / alpha)) for m in range(1, 200)]
    assert info["iterations"] == 1 + np.flatnonzero(np.array(bound) <= tolerance)[0] and info["converged"]


@pytest.mark.parametrize("small", [1, 1000])
def test_neither_renumbering_nor_how_threads_share_shows(monkeypatch, small):
    matrix, features = random_graph(), random_features()
    initial = random_features(seed=5)
    plain, _ = diffusion.solve(matrix, 0.9, features, tolerance=1e-6, initial=initial)
    monkeypatch.setattr(diffusion, "REORDER", 1)
    monkeypatch.setattr(diffusion_columns, "ROWS", 7)
    monkeypatch.setattr(diffusion, "SMALL", small)
    moved, _ = diffusion.solve(matrix, 0.9, features, tolerance=1e-6, initial=initial, block=3)
    np.testing.assert_allclose(moved, plain, atol=1e-5)


def test_a_warm_start_at_the_solution_needs_no_iterations():
    matrix, features = random_graph(), random_features()
    cold, info = diffusion.solve(matrix, 0.95, features, tolerance=1e-5)
    exact = direct(matrix, 0.95, features).astype(np.float32)
    before = exact.copy()
    warm, warm_info = diffusion.solve(matrix, 0.95, features, tolerance=1e-5, initial=exact)
    assert warm_info["iterations"] == 1 < info["iterations"]  # the one product that finds out
    np.testing.assert_allclose(warm, cold, atol=1e-4)
    np.testing.assert_array_equal(exact, before)


def test_memory_maps_in_and_out(tmp_path):
    matrix, features = random_graph(), random_features()
    np.save(str(tmp_path / "x.npy"), features)
    mapped = np.load(str(tmp_path / "x.npy"), mmap_mode="r")
    out = np.memmap(str(tmp_path / "y"), np.float32, "w+", shape=features.shape)
    result, _ = diffusion.solve(matrix, 0.9, mapped, out=out, block=4)
    assert result is out
    np.testing.assert_allclose(out, direct(matrix, 0.9, features), atol=1e-4)
    np.testing.assert_array_equal(mapped, features)


def test_a_tolerance_beyond_float32_ends_and_is_told(capsys):
    matrix, features = random_graph(), random_features()
    solution, info = diffusion.solve(matrix, 0.999, features, tolerance=1e-7, max_iterations=1000)
    assert not info["converged"] and info["iterations"] < 1000 and "warning" in capsys.readouterr().err
    np.testing.assert_allclose(solution, direct(matrix, 0.999, features), atol=1e-4)


def test_too_few_iterations_are_told_with_the_residual(capsys):
    _, info = diffusion.solve(random_graph(), 0.99, random_features(), tolerance=1e-6, max_iterations=4)
    assert not info["converged"] and info["residual"] > 1e-6 and info["iterations"] <= 4
    message = capsys.readouterr().err
    assert "warning: diffusion stopped after 4 products" in message and "{:.1e}".format(info["residual"]) in message


def test_float16_storage_solves_to_its_own_precision():
    pytest.importorskip("numba")
    matrix, features = random_graph(), random_features() * 1e-6  # below what float16 holds as it is
    solution, info = diffusion.solve(matrix, 0.9, features, tolerance=2e-2, storage="float16")
    expected = direct(matrix, 0.9, features)
    assert info["converged"]
    np.testing.assert_allclose(solution, expected, atol=2e-2 * np.abs(expected).max())
    assert solution.dtype == np.float32


def test_float16_storage_says_when_a_tolerance_is_beyond_it(capsys):
    pytest.importorskip("numba")
    _, info = diffusion.solve(random_graph(), 0.95, random_features(), tolerance=1e-5, storage="float16")
    assert not info["converged"] and info["residual"] < 2e-2
    assert "float16 gives about" in capsys.readouterr().err


def test_an_unknown_storage_is_refused():
    with pytest.raises(InputError, match="float16"):
        diffusion.solve(random_graph(), 0.9, random_features(), storage="float8")
