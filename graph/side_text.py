"""Texts of images as side information about edges: TF-IDF or given vectors, mixed into similarities, and text k-NN.

An image without text (or with a vector of zeros) is unknown: its edges stay as they are and it gets no new ones.
Wrong texts are not looked for: a text cannot be told from an unusual one. They do no more than their weight lets them:
a new edge counts by the features' similarity and the text's together.
"""
import numpy as np
from scipy import sparse

from slim_retrieval.common import feature_files
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import features, knn, symmetric

ROWS = 512  # texts whose similarities to all others are formed at a time
PAIRS = 2**16  # pairs whose vectors are gathered at a time


def tfidf(texts):
    """Return the texts as TF-IDF vectors, float32 CSR [n, words], rows of length 1; a row of zeros where no word is.

    scikit-learn's TfidfVectorizer as it comes: lower case, words of two characters or more, idf = ln((1 + n) /
    (1 + df)) + 1.

    Raises:
      InputError: no text holds a word.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer  # here: scikit-learn takes a second to import
    try:
        return TfidfVectorizer(dtype=np.float32).fit_transform(texts).tocsr()
    except ValueError as error:
        raise InputError("side.text: none of the {} texts holds a word of two characters or more; name a column with "
                         "texts".format(len(texts))) from error


def given(path, rows):
    """Return the vectors in a file of features as float32 [rows, m], rows of length 1, rows of zeros left.

    Raises:
      InputError: no usable file, another number of rows, or values that are not finite numbers.
    """
    stored = feature_files.load(path, "text")
    if stored.ndim != 2 or len(stored) != rows or stored.dtype.kind not in "fiu":
        raise InputError("side.text_vectors: {} has the shape {} of {}; expected one vector of numbers for each of the "
                         "gallery's {} images".format(path, list(stored.shape), stored.dtype, rows))
    vectors = np.array(stored, np.float32)
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if bad.size:
        raise InputError("side.text_vectors: row {} of {} holds NaN or infinity ({} of {} rows do); a row of zeros "
                         "stands for no text".format(bad[0], path, bad.size, rows))
    return features.normalise_rows(vectors)


def known(vectors):
    """Return bool [n]: which rows are not all zeros."""
    return np.asarray(abs(vectors).sum(axis=1)).ravel() > 0


def mix(matrix, vectors, weight):
    """Return the edges with (1 - weight) s_ij + weight t_ij, t the texts' cosine; s_ij where a text is unknown.

    Args:
      matrix: edges, symmetric CSR [n, n].
      vectors: [n, m], CSR or array, rows of length 1 or zeros.
      weight: of the text, in [0, 1].
    """
    rows, columns = symmetric.ends(matrix)
    told = known(vectors)
    both = np.flatnonzero(told[rows] & told[columns])
    values = matrix.data.astype(np.float64)
    values[both] = (1 - weight) * values[both] + weight * _cosines(vectors, rows[both], columns[both])
    return symmetric.with_values(matrix, values)


def add(matrix, near, gallery):
    """Return the edges with each image joined to its nearest by text, at the similarity of their features.

    `mix` afterwards weighs the text in, as for every edge.

    Args:
      matrix: edges, symmetric CSR [n, n].
      near: int [n, k], -1 pads, from `neighbors`.
      gallery: float32 [n, d], rows L2-normalised.
    """
    rows, places = np.nonzero(near >= 0)
    columns = near[rows, places]
    similarities = np.clip(_cosines(gallery, rows, columns), -1, 1)
    return symmetric.larger(matrix, symmetric.from_pairs(rows, columns, similarities, len(near)))


def neighbors(vectors, count):
    """Return each text's nearest other texts, int32 [n, count], nearest first, ties by the smaller row, -1 pads.

    Texts that share no word are never neighbours. Vectors are compared in blocks of rows; no [n, n] appears.
    """
    result = np.full((vectors.shape[0], count), -1, np.int32)
    if not sparse.issparse(vectors):
        rows = np.flatnonzero(known(vectors))
        if len(rows) > 1:
            ids, similarities = knn.neighbors(np.ascontiguousarray(vectors[rows]), min(count, len(rows) - 1))
            result[rows, :ids.shape[1]] = np.where(similarities > 0, rows[ids], -1)
        return result
    transposed = vectors.T.tocsr()
    for start in range(0, vectors.shape[0], ROWS):
        product = (vectors[start:start + ROWS] @ transposed).tocsr()
        product.sort_indices()
        for i in range(product.shape[0]):
            span = slice(product.indptr[i], product.indptr[i + 1])
            others = product.indices[span] != start + i
            ids, values = product.indices[span][others], product.data[span][others]
            best = ids[np.argsort(-values, kind="stable")[:count]]
            result[start + i, :len(best)] = best
    return result


def _cosines(vectors, rows, columns):
    """Return the inner product of each pair of rows, float64 [pairs]; ij and ji give the same number."""
    result = np.empty(len(rows))
    for start in range(0, len(rows), PAIRS if sparse.issparse(vectors) else PAIRS // 16):
        part = slice(start, start + (PAIRS if sparse.issparse(vectors) else PAIRS // 16))
        first, second = vectors[rows[part]], vectors[columns[part]]
        if sparse.issparse(vectors):
            result[part] = np.asarray(first.multiply(second).sum(axis=1)).ravel()
        else:
            result[part] = np.einsum("ij,ij->i", first, second)
    return result
