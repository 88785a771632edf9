"""How much of a result, and of a difference between two methods, is the choice of queries.

The queries are taken for a sample of all queries that could be asked; nothing is said about other galleries, other
trained networks or other seeds.
"""
import numpy as np

LEVEL = 0.95
RESAMPLES = 2000
FLIPS = 10000
VALUES_PER_BLOCK = 2**22


def interval(values, seed=0):
    """Return [low, high], the 95 % percentile bootstrap interval of a mean over queries.

    Args:
      values: float [num_queries], one score a query; NaN (no positives) is left out, as it is from the mean.
      seed: of the resampling; equal seed and values, equal interval.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13; 2,000 resamples.
    """
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    random, means = np.random.RandomState(seed), []
    for rows in _blocks(RESAMPLES, len(values)):
        means.append(values[random.randint(len(values), size=(rows, len(values)))].mean(axis=1))
    tail = 100 * (1 - LEVEL) / 2
    return [float(bound) for bound in np.percentile(np.concatenate(means), [tail, 100 - tail])]


def paired(values, reference, seed=0):
    """Compare two methods query by query: {"difference", "interval", "p"} of the mean of values - reference.

    The interval is `interval` of the differences. p is two-sided, of the sign-flip permutation test: how often chance
    alone, giving each query's difference either sign, makes a mean at least as far from 0 (10,000 flips, the observed
    signs counted as one of them, so p is at least 1 / 10,001).

    Args:
      values, reference: float [num_queries], the same queries in the same order; queries with a NaN are left out.
      seed: of both.

    Source: Smucker, Allan and Carterette, CIKM 2007 (the paired randomisation test for retrieval).
    """
    difference = np.asarray(values, np.float64) - np.asarray(reference, np.float64)
    difference = difference[~np.isnan(difference)]
    random, observed = np.random.RandomState(seed), abs(difference.sum())
    far = 0
    for rows in _blocks(FLIPS, len(difference)):
        bits = np.unpackbits(np.frombuffer(random.bytes(rows * -(-len(difference) // 8)), np.uint8).reshape(rows, -1),
                             axis=1)[:, :len(difference)]
        flipped = 2 * (bits.astype(np.float64) @ difference) - difference.sum()
        far += int((abs(flipped) >= observed * (1 - 1e-9)).sum())  # sums in another order differ in the last digits
    return {"difference": float(difference.mean()), "interval": interval(difference, seed),
            "p": (far + 1) / (FLIPS + 1)}


def _blocks(rows, columns):
    """Yield how many of `rows` to take at a time, so that a block has VALUES_PER_BLOCK values."""
    size = max(1, VALUES_PER_BLOCK // max(columns, 1))
    for start in range(0, rows, size):
        yield min(size, rows - start)
