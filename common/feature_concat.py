"""Features of several models as one: each row normalised, times its model's weight, side by side, normalised."""
import os

import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.feature_store import FeatureWriter, read_index
from slim_retrieval.common.files import read_json

BLOCK = 4096  # rows at a time


def concatenate(parts, weights, folder, key, meta):
    """Write the features of `parts`, which are of the same images, as one store; return its width.

    The similarity of two rows is then the mean of the models' similarities, each weighing by its squared weight.

    Args:
      parts: folders of complete stores (features.npy, index.csv, meta.json).
      weights: a positive number for each.
      folder, key: as of feature_store.FeatureWriter; a store that was left half-written is gone on with.
      meta: dict; the parts' own meta is added as `parts`.

    Raises:
      InputError: the parts are of different images.
    """
    columns = [read_index(os.path.join(part, "index.csv")) for part in parts]
    for part, of_part in zip(parts[1:], columns[1:]):
        if of_part["path"] != columns[0]["path"]:
            raise InputError("{} and {} hold different images, {} and {}; extract both anew, with the same "
                             "extraction.skip_unreadable".format(parts[0], part, len(columns[0]["path"]),
                                                                 len(of_part["path"])))
    arrays = [np.load(os.path.join(part, "features.npy"), mmap_mode="r") for part in parts]
    metas = [read_json(os.path.join(part, "meta.json")) for part in parts]
    writer = FeatureWriter(folder, sum(array.shape[1] for array in arrays), key)
    for start in range(writer.next_row, len(arrays[0]), BLOCK):
        rows = np.concatenate([weight * _unit(array[start:start + BLOCK]) for weight, array in zip(weights, arrays)], 1)
        writer.append(rows, len(rows), metas[0]["skipped"] if start == 0 else ())
    writer.finish(columns[0], dict(meta, parts=[dict(m, weight=weight) for weight, m in zip(weights, metas)]))
    return writer.width


def _unit(rows):
    rows = np.asarray(rows, np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
