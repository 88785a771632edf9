import argparse

import galleries
import numpy as np
import pytest

from slim_retrieval.common.errors import InputError


def flags(*words):
    parser = argparse.ArgumentParser()
    galleries.add_flags(parser)
    return parser.parse_args(["--folder", "f"] + list(words))


@pytest.fixture
def stored(tmp_path):
    """A file of 40 rows whose labels (two letters, by turns) are told by their direction, in no order."""
    features = np.random.RandomState(0).rand(40, 3) * 5
    path = str(tmp_path / "mine.npz")
    np.savez(path, features=features, labels=np.array(["x", "y"])[(features[:, 0] > features[:, 1]).astype(int)])
    return path


def test_rows_of_a_file_are_shared_out_without_overlap(stored, tmp_path):
    assert galleries.keys(flags("--features", stored)) == [{"set": "mine", "n": 30, "d": 3}]
    small, large = ([np.load(path) for path in galleries.prepare(str(tmp_path), key, stored)[:2]] + [
        galleries.prepare(str(tmp_path), key, stored)[2]]
        for key in galleries.keys(flags("--features", stored, "--sizes", "12", "30")))
    np.testing.assert_array_equal(small[0], large[0])  # the same queries
    np.testing.assert_array_equal(small[1], large[1][:12])
    rows = np.concatenate(large[:2])
    given = np.load(stored)["features"]
    given /= np.linalg.norm(given, axis=1, keepdims=True)
    np.testing.assert_allclose(rows[np.lexsort(rows.T)], given[np.lexsort(given.T)], atol=1e-6)
    np.testing.assert_array_equal(large[2], rows[:, 0] > rows[:, 1])
    np.testing.assert_array_equal(small[2], large[2][:22])


def test_too_few_and_too_many_images_are_refused(stored):
    with pytest.raises(InputError, match="20 gallery images; at least 21"):
        galleries.keys(flags("--sizes", "20"), 21)
    with pytest.raises(InputError, match="31 gallery images of .*; it has 40, of which 10 are queries"):
        galleries.keys(flags("--features", stored, "--sizes", "31"))


def test_without_a_file_there_are_generated_features_of_each_size():
    assert galleries.keys(flags("--sizes", "5", "7", "--dimensions", "4")) == [
        {"set": "generator", "n": 5, "d": 4}, {"set": "generator", "n": 7, "d": 4}]
