"""What GFR is given, checked."""
import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import features


def nobody(rows, k):
    """Return the neighbours of rows that have none."""
    return np.full((rows, k), -1), np.full((rows, k), -1, np.float32)


def dense_labels(labels, train):
    """Return labels as ints from 0, one for each row; refuse fewer than two classes."""
    labels = np.asarray(labels)
    if labels.shape != (len(train),):
        raise InputError("labels have shape {}, train features {}; give one label for each row".format(
            labels.shape, train.shape))
    classes, labels = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise InputError("GFR learns from classes: the labels hold {}, at least 2 are needed".format(len(classes)))
    return labels


def checked(array, what, width=None):
    """Return features as features.check_features does, but let a matrix without rows pass; refuse another width."""
    array = np.asarray(array)
    if array.ndim != 2 or len(array) > 0:
        array = features.check_features(array, what)
    if width is not None and array.shape[1] != width:
        raise InputError("{} features are {} wide, but GFR was trained on {}; extract both with the same model".format(
            what, array.shape[1], width))
    return array


def checked_ids(ids, n, size, k):
    """Return the first k columns of neighbour ids [n, m], each from -1 to size - 1."""
    ids = ids if isinstance(ids, np.ndarray) else np.asarray(ids)
    if ids.ndim != 2 or len(ids) != n or ids.shape[1] < k or ids.dtype.kind not in "iu":
        raise InputError("neighbours have shape {} of {}, but ids of {} rows and at least {} columns are needed; "
                         "lower gfr.neighbors or search again".format(ids.shape, ids.dtype, n, k))
    ids = np.array(ids[:, :k], dtype=np.int64)
    if ids.size and not (ids.min() >= -1 and ids.max() < size):
        raise InputError("neighbour ids run from {} to {}, but there are {} images; search the neighbours "
                         "again".format(ids.min(), ids.max(), size))
    return ids
