"""`Pool`: every image of a data set once, and which of them each split holds."""
from typing import Dict, List, NamedTuple

import numpy as np

from slim_retrieval.datasets.checks import image_keys
from slim_retrieval.datasets.table import ImageTable


class Pool(NamedTuple):
    """The distinct images of all splits.

    Attributes:
      table: ImageTable of the images, each once; its columns are those that all splits have.
      rows: {split: int64 rows of `table`}, in the split's order.
      tables: {split: ImageTable} as the layout gave them, row by row as in `rows`.
    """
    table: ImageTable
    rows: Dict[str, np.ndarray]
    tables: Dict[str, ImageTable]


def make_pool(splits):
    """Return the `Pool` of {split: ImageTable}; images of the same path, box and rotation are one."""
    known, places, rows = {}, [], {}
    for split, table in splits.items():
        mine = np.empty(len(table), np.int64)
        for i, key in enumerate(image_keys(table)):
            if key not in known:
                known[key] = len(places)
                places.append((split, i))
            mine[i] = known[key]
        rows[split] = mine
    names = set.intersection(*(set(table.columns) for table in splits.values()))
    columns = {name: [splits[split].columns[name][i] for split, i in places] for name in sorted(names)}
    paths = [splits[split].paths[i] for split, i in places]
    return Pool(ImageTable(paths, columns, lambda row: splits[places[row][0]].load(places[row][1])), rows, splits)


def keep(pool, wanted):
    """Return the `Pool` with only some images in its splits; `table` stays.

    Args:
      wanted: {split: bool [len(pool.table)]}; splits that it does not name stay whole.
    """
    kept = {split: np.flatnonzero(wanted[split][rows]) if split in wanted else np.arange(len(rows))
            for split, rows in pool.rows.items()}
    return Pool(pool.table, {split: pool.rows[split][some] for split, some in kept.items()},
                {split: pool.tables[split].subset(some) for split, some in kept.items()})


def resplit(pool, rows_by_split):
    """Return the `Pool` with other splits: {split: rows of `pool.table`}."""
    rows = {split: np.asarray(rows, np.int64) for split, rows in rows_by_split.items()}
    return Pool(pool.table, rows, {split: pool.table.subset(some) for split, some in rows.items()})


def labels_of(table) -> List[str]:
    """Return the labels, all empty where there are none."""
    return table.columns["label"] if "label" in table.columns else [""] * len(table)
