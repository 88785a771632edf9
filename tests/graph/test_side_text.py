import numpy as np
import pytest
from scipy import sparse

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import side_text

TEXTS = ["red shoe", "blue shoe", "", "red hat", "green tree", "red shoe"]


def graph(pairs, n=6):
    dense = np.zeros((n, n), np.float32)
    for (i, j), value in pairs.items():
        dense[i, j] = dense[j, i] = value
    return sparse.csr_matrix(dense)


def slow_tfidf(texts):
    """Return dense TF-IDF vectors with idf = ln((1 + n) / (1 + df)) + 1 and rows of length 1."""
    words = sorted({word for text in texts for word in text.split()})
    table = np.array([[text.split().count(word) for word in words] for text in texts], np.float64)
    table *= np.log((1 + len(texts)) / (1 + (table > 0).sum(axis=0))) + 1
    norms = np.linalg.norm(table, axis=1, keepdims=True)
    return table / np.where(norms > 0, norms, 1)


def test_tfidf_equals_the_definition_and_an_empty_text_is_unknown():
    vectors = side_text.tfidf(TEXTS)
    np.testing.assert_allclose(vectors.toarray(), slow_tfidf(TEXTS), atol=1e-6)
    assert sparse.issparse(vectors) and vectors.dtype == np.float32
    np.testing.assert_array_equal(side_text.known(vectors), [True, True, False, True, True, True])
    np.testing.assert_array_equal(side_text.known(vectors.toarray()), [True, True, False, True, True, True])


def test_texts_without_words():
    with pytest.raises(InputError, match="none of the 2 texts holds a word of two characters or more"):
        side_text.tfidf(["", "a !"])


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("pairs_at_a_time", [2, 2**16])
def test_mix_by_hand(dense, pairs_at_a_time, monkeypatch):
    monkeypatch.setattr(side_text, "PAIRS", 16 * pairs_at_a_time)
    vectors = side_text.tfidf(TEXTS)
    matrix = graph({(0, 1): .8, (0, 2): .7, (0, 5): .6, (3, 4): .5})
    found = side_text.mix(matrix, vectors.toarray() if dense else vectors, .25).toarray()
    cosine = slow_tfidf(TEXTS) @ slow_tfidf(TEXTS).T
    expected = graph({(0, 1): .75 * .8 + .25 * cosine[0, 1], (0, 2): .7,  # 2 has no text
                      (0, 5): .75 * .6 + .25, (3, 4): .75 * .5}).toarray()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_array_equal(found, found.T)
    assert matrix[0, 1] == np.float32(.8)


def test_no_text_at_all_changes_nothing():
    matrix, nothing = graph({(0, 1): .8, (1, 2): .5}), np.zeros((6, 3), np.float32)
    np.testing.assert_array_equal(side_text.mix(matrix, nothing, .9).toarray(), matrix.toarray())
    near = side_text.neighbors(nothing, 2)
    np.testing.assert_array_equal(near, np.full((6, 2), -1))
    np.testing.assert_array_equal(side_text.add(matrix, near, np.eye(6, dtype=np.float32)).toarray(), matrix.toarray())


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("rows", [2, 512])
def test_neighbors_by_hand(dense, rows, monkeypatch):
    monkeypatch.setattr(side_text, "ROWS", rows)
    vectors = side_text.tfidf(TEXTS)
    found = side_text.neighbors(vectors.toarray() if dense else vectors, 3)
    # Shoe is as frequent as red: 1 and 3 are equally near to 0 and 5 but for blue and hat, which are equally rare.
    np.testing.assert_array_equal(found, [[5, 1, 3], [0, 5, -1], [-1, -1, -1], [0, 5, -1], [-1, -1, -1], [0, 1, 3]])
    assert found.dtype == np.int32


@pytest.mark.parametrize("dense", [False, True])
def test_neighbors_equal_a_full_sort(dense):
    random = np.random.RandomState(0)
    words = np.array(["w{:02d}".format(i) for i in range(20)])
    texts = [" ".join(random.choice(words, random.randint(0, 5))) for _ in range(80)]
    vectors = side_text.tfidf(texts)
    found = side_text.neighbors(vectors.toarray() if dense else vectors, 4)
    cosine = slow_tfidf(texts) @ slow_tfidf(texts).T
    np.fill_diagonal(cosine, 0)
    for i, row in enumerate(found):
        near = row[row >= 0]
        assert len(near) == min(4, np.sum(cosine[i] > 1e-9)) and len(set(near)) == len(near)
        np.testing.assert_allclose(cosine[i, near], np.sort(cosine[i])[::-1][:len(near)], atol=1e-6)


def test_add_joins_text_neighbours_at_the_features_similarity():
    gallery = np.array([[1, 0], [.6, .8], [0, 1], [.8, .6], [-1, 0], [.8, -.6]], np.float32)
    matrix = graph({(0, 3): .8, (1, 2): .8})
    near = np.array([[3, 5], [0, -1], [-1, -1], [-1, -1], [0, -1], [-1, -1]], np.int32)
    found = side_text.add(matrix, near, gallery)
    # 4 is opposite to 0: no edge.
    np.testing.assert_allclose(found.toarray(), graph({(0, 3): .8, (1, 2): .8, (0, 5): .8, (0, 1): .6}).toarray(),
                               atol=1e-6)
    assert found.nnz == 8 and matrix.nnz == 4


def test_given_vectors(tmp_path):
    path = str(tmp_path / "T.npy")
    np.save(path, np.array([[3, 4], [0, 0], [0, 2]], np.float64))
    found = side_text.given(path, 3)
    np.testing.assert_allclose(found, [[.6, .8], [0, 0], [0, 1]], atol=1e-7)
    assert found.dtype == np.float32


@pytest.mark.parametrize("array, message", [
    (np.zeros((4, 2)), r"has the shape \[4, 2\] of float64; expected one vector .* gallery's 3 images"),
    (np.zeros(3), r"has the shape \[3\]"), (np.array([["a"]] * 3), r"of <U1"),
    (np.array([[0, 1], [np.nan, 0], [np.inf, 1]]), r"row 1 of .*T.npy holds NaN or infinity \(2 of 3 rows do\)")])
def test_vectors_that_cannot_be_used(tmp_path, array, message):
    np.save(str(tmp_path / "T.npy"), array)
    with pytest.raises(InputError, match="side.text_vectors: .*" + message):
        side_text.given(str(tmp_path / "T.npy"), 3)
