"""Scores and ids as one integer: a plain sort of integers puts the best first and breaks ties exactly, by the id."""
import numpy as np

MISSING = np.iinfo(np.int64).max  # a key behind all others: no such neighbour


def encode(scores, ids):
    """Return int64 keys that sort by falling score, then by rising id.

    The upper half holds the score's bits, turned so that they order as integers do, the lower half the id. 0.0 and -0.0
    are a tie.

    Args:
      scores: float32, finite.
      ids: int, of a shape that fits.
    """
    bits = (scores + np.float32(0)).view(np.int32)  # + 0 turns -0.0 into 0.0
    return (~_flip(bits).astype(np.int64) << 32) | ids


def decode(keys):
    """Return (ids int32, scores float32) of keys; of missing ones -1 and -1."""
    ids = (keys & 0xFFFFFFFF).astype(np.int32)
    scores = _flip((~(keys >> 32)).astype(np.int32)).view(np.float32)
    missing = keys == MISSING
    ids[missing], scores[missing] = -1, -1
    return ids, scores


def without(rows, scores, ids, k):
    """Return (ids, scores) [m, k], the best of what was found for some rows, themselves left out.

    Args:
      rows: int [m], which ones they are.
      scores, ids: float32 and int [m, more than k]; ids below 0 are pads.
    """
    found = encode(np.clip(scores, -1, 1), ids)
    found[(ids < 0) | (ids == rows[:, None])] = MISSING
    found.sort(axis=1)
    return decode(found[:, :k])


def _flip(bits):
    """Map a float's bits to an int32 of the same order, and back: negative floats order the wrong way round."""
    return np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)
