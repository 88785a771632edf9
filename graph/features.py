"""Features as the graph methods want them: float32 [n, d], rows L2-normalised, finite; memory-mapped where possible."""
import numpy as np

from slim_retrieval.common import memory
from slim_retrieval.common.errors import InputError
from slim_retrieval.common.progress import progress

# A row counts as normalised when its norm is this near to 1: float32 sums stray by 1e-6, float16 ones by 1e-3.
NORM_TOLERANCE = 1e-4
BLOCK_VALUES = 2**21  # values looked at in one go: 16 MB as float64


def check_features(array, name):
    """Return `array` as float32 [n, d] with finite, L2-normalised rows.

    An array that is so already is returned as it is (a memory map stays one); any other is converted into a new array,
    which one printed line says. The input is never changed.

    Args:
      array: [n, d] of any real type.
      name: what the array is, such as "gallery"; used in messages.

    Raises:
      InputError: wrong number of dimensions, nothing in it, no real numbers, NaN or infinity, or a row of zeros
        (it has no direction, so it cannot be normalised or compared).
    """
    if array.ndim != 2 or 0 in array.shape:
        raise InputError("{} features have the shape {}; expected [images, dimensions] with at least one of "
                         "each".format(name, list(array.shape)))
    if array.dtype.kind not in "fiu":
        raise InputError("{} features have the type {}; expected real numbers such as float32".format(
            name, array.dtype))
    if _check_rows(array, name) and array.dtype == np.float32:
        return array
    print("{} features: converted from {} to float32 with normalised rows ({:.0f} MB in memory)".format(
        name, array.dtype, array.size * 4 / 1e6), flush=True)
    result = memory.empty(array.shape)
    for start, stop in blocks(*array.shape):
        rows = array[start:stop].astype(np.float64)
        # By the largest value first: the squares of very large or very small values leave float64's range.
        rows /= np.abs(rows).max(axis=1, keepdims=True)
        result[start:stop] = rows / np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
        memory.release(array, result)
    return result


def check_same_width(query, gallery, name="query"):
    """Raise InputError unless both arrays have the same number of columns."""
    if query.shape[1] != gallery.shape[1]:
        advice = "extract both with the same model"
        if query.shape[0] == gallery.shape[0]:
            advice = "they are equally long, so save both transposed if they hold a column for each image"
        raise InputError("{} features have the shape {} and gallery features {}; they must be equally wide: {}".format(
            name, list(query.shape), list(gallery.shape), advice))


def normalise_rows(array):
    """L2-normalise the rows of a float32 array in place and return it; rows of zeros stay zeros."""
    for start, stop in blocks(*array.shape):
        rows = array[start:stop]
        norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        array[start:stop] = rows / np.maximum(norms, np.finfo(np.float32).tiny)[:, None]
        memory.release(array)
    return array


def normalise_parts(array, parts):
    """L2-normalise each part of the rows, a slice of columns, by itself and in place; return the array."""
    for part in parts:
        normalise_rows(array[:, part])
    return array


def blocks(rows, columns):
    """Return [(start, stop), ...] over `rows`, each a few million values wide, so that a memory map streams."""
    size = max(1, BLOCK_VALUES // columns)
    return [(start, min(start + size, rows)) for start in range(0, rows, size)]


def _check_rows(array, name):
    """Return whether all rows are normalised; refuse bad ones, naming the first and their number."""
    bad, zero, normalised = [], [], True
    for start, stop in progress(blocks(*array.shape), what="checking {} features".format(name), unit="block"):
        rows = array[start:stop].astype(np.float64)
        largest = np.abs(rows).max(axis=1)  # NaN and infinity survive max(); isfinite on every value costs more
        bad.extend(start + np.flatnonzero(~np.isfinite(largest)))
        zero.extend(start + np.flatnonzero(largest == 0))
        with np.errstate(over="ignore", invalid="ignore"):
            norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
            normalised = normalised and bool(np.all(np.abs(norms - 1) <= NORM_TOLERANCE))
        memory.release(array)
    if bad:
        raise InputError("{} features: row {} holds NaN or infinity ({} of {} rows do); leave these images out or "
                         "extract them again".format(name, bad[0], len(bad), len(array)))
    if zero:
        raise InputError("{} features: row {} is all zeros ({} of {} rows are) and cannot be normalised; leave these "
                         "images out".format(name, zero[0], len(zero), len(array)))
    return normalised
