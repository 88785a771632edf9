"""Ground truth must not help to rank: refuse side information that is the evaluated column, record all other.

What a ranking used is written beside it (`write`), so that eval_map.py can compare it with a ground truth that
retrieve.py never saw; see evaluation/leakage.py.
"""
import os
from collections import namedtuple

import numpy as np

from slim_retrieval.common import files, partition
from slim_retrieval.common.errors import InputError

EVALUATED = "label"  # the column of index.csv that eval_map.py scores by

# One piece of side information. setting: such as side.labels. path: of its file. column: of the file, or "".
# codes: int [n], images that it joins have one code, -1 unknown.
Piece = namedtuple("Piece", "setting path column codes")


def check_name(setting, column, path, own_index):
    """Refuse a column by its name: the one that is evaluated, and the paths, which tell the class by their folders.

    Args:
      setting: that names it, such as side.labels.
      column: its name.
      path: of its file.
      own_index: whether that file is the run's index.csv.

    Raises:
      InputError: names both columns.
    """
    if own_index and column == EVALUATED:
        raise InputError("{} names the column {!r} of {}, by which the ranking is evaluated (column {!r}); ground "
                         "truth must not help to rank: name another column".format(setting, column, path, EVALUATED))
    if column == "path":
        raise InputError("{} names the column {!r} of {}, which tells the class (column {!r}) where each class has a "
                         "folder; name another column".format(setting, column, path, EVALUATED))


def check(pieces, query_labels=None, gallery_labels=None):
    """Refuse side information whose content is that of the column that the ranking will be evaluated by.

    Compared is which gallery images it joins (a column to 90 % of the pairs, what was computed to 100 %), over the
    gallery images whose label some query has: labels of other classes, such as those trained on, may be known. A
    coarser or noisier column is not the ground truth.

    Args:
      pieces: list of Piece.
      query_labels, gallery_labels: text [q] and [n], or None where no ground truth is known (features from anywhere).

    Raises:
      InputError: names both columns.
    """
    if gallery_labels is None:
        return
    for piece in pieces:
        share = partition.agreement_with_truth(piece.codes, query_labels, gallery_labels)
        if partition.is_truth(share, piece.column):
            raise InputError("{} ({}) joins the same gallery images as the column {!r}, by which the ranking is "
                             "evaluated ({:.0%} of the pairs); ground truth must not help to rank: leave it out".format(
                                 piece.setting, describe(piece), EVALUATED, share))


def describe(piece):
    """Return the piece's file, with its column where it has one."""
    return "column {!r} of {}".format(piece.column, piece.path) if piece.column else piece.path


def write(folder, pieces, settings):
    """Write what the pieces tell beside the rankings; return the record for the ranking's json.

        <folder>/side-<digest>.npz    one int64 [n] for each piece, in order: its codes (none without a piece)

    Args:
      folder: of the rankings.
      pieces: list of Piece.
      settings: plain dict, how the side information was used.
    """
    if not pieces:
        return {"settings": settings, "sources": [], "codes": None}
    arrays = {str(number): np.asarray(piece.codes) for number, piece in enumerate(pieces)}
    name = "side-{}.npz".format(files.digest(*[arrays[key] for key in sorted(arrays)]))
    with files.replacing(os.path.join(folder, name)) as temporary:
        np.savez_compressed(temporary, **arrays)
    sources = [{"setting": piece.setting, "path": os.path.abspath(piece.path), "column": piece.column,
                "hash": files.digest(arrays[str(number)]), "known": float(np.mean(piece.codes >= 0))}
               for number, piece in enumerate(pieces)]
    return {"settings": settings, "sources": sources, "codes": name}
