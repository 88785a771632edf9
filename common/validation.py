"""Cut the validation split into queries and a gallery, so that parameters are never chosen on the test queries."""
import numpy as np

from slim_retrieval.common.errors import InputError


def cut(num_rows, share, seed):
    """Return (query rows, gallery rows) of the validation split, both sorted int64; together they are all rows.

    Args:
      num_rows: rows of the validation features.
      share: share of the rows that become queries, rounded; each side keeps at least one row.
      seed: the run's seed; same rows, share and seed, same cut.

    Raises:
      InputError: fewer than two rows.
    """
    if num_rows < 2:
        raise InputError("the validation split has {} image(s); at least 2 are needed to cut it into queries and a "
                         "gallery".format(num_rows))
    num_queries = min(max(int(round(share * num_rows)), 1), num_rows - 1)
    order = np.random.RandomState(seed).permutation(num_rows)
    return np.sort(order[:num_queries]), np.sort(order[num_queries:])
