"""What a fitted CFA keeps beside its output so that images can be added and taken away (growth.py)."""
import hashlib

import numpy as np

from slim_retrieval.common import memory
from slim_retrieval.graph import features, signatures

SPARE = 16  # neighbours kept beyond those used: so many of an image's may be deleted before its list is searched anew


def collect(model, gallery, neighbors, needed):
    """Return the state of a CFA that was just fitted, a dict.

        ids, similarities   [n, up to needed + SPARE], the neighbours of the features that make the edges
        rows                uint64 [n], a digest of each row of the gallery
        centres             float32 [width, d], the random images of the signatures, or None
        fitted, changed     images of the fit, and how many were added or deleted since

    Args:
      model: CFA after `fit`.
      gallery: float32 [n, d] as it was given to fit.
      neighbors: (ids, similarities) as fit used them, the `needed` nearest or more.
    """
    ids, similarities = (array[:, :needed + SPARE] for array in neighbors)
    centres = None if model.levels else signatures.centres(model.source_, model.seed)
    return {"ids": np.array(ids), "similarities": np.array(similarities), "rows": digests(gallery),
            "centres": centres, "fitted": len(gallery), "changed": 0}


def digests(gallery):
    """Return a digest of each row, uint64 [n]: equal rows have equal ones, others differ but for one pair in 2^64.

    Args:
      gallery: [n, d]; may be memory-mapped.
    """
    result = np.empty(len(gallery), np.uint64)
    for start, stop in features.blocks(*gallery.shape):
        rows = np.ascontiguousarray(gallery[start:stop])
        found = b"".join(hashlib.blake2b(row, digest_size=8).digest() for row in rows)
        result[start:stop] = np.frombuffer(found, np.uint64)
        memory.release(gallery)
    return result


def origins(before, after):
    """Return where each row was before, int64 [n], -1 for a new one; equal rows are matched in their order.

    Args:
      before, after: uint64 [m], uint64 [n], digests of the rows.
    """
    places = {}
    for place in range(len(before) - 1, -1, -1):
        places.setdefault(int(before[place]), []).append(place)
    return np.array([places[row].pop() if places.get(row) else -1 for row in after.tolist()], np.int64)
